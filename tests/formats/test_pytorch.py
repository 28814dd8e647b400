"""Networks from PyTorch's files and state_dicts, and back: against what PyTorch computed, which need not be there."""

import itertools
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
from foreign_files import FILES, OUTPUTS, X, path_of
from safetensors.numpy import save_file

import fastbp
from fastbp.formats import pytorch, torch_pickle

PRELU = fastbp.parametric("relu")
READ = {
    "sequential.pt": ("tanh", {}), "protocol4.pt": ("tanh", {}), "sequential.safetensors": ("tanh", {}),
    "half.pt": ("relu", {}), "half.safetensors": ("relu", {}),
    "bfloat16.pt": ("relu", {}), "bfloat16.safetensors": ("relu", {}),
    "strides.pt": ("relu", {}), "prelu.pt": (PRELU, {}), "checkpoint.pt": ("silu", {}),
    "nested.safetensors": ("silu", {"layers": ["body.0", "head"]}),
}
STATE = {"0.weight": np.ones((4, 3)), "0.bias": np.zeros(4), "2.weight": np.ones((2, 4))}


@pytest.mark.parametrize("name", READ)
def test_files_of_pytorch_give_what_it_computes(name, tmp_path):
    activation, options = READ[name]
    network = fastbp.from_torch(path_of(name, tmp_path), activation, **options)
    assert network.dtype == np.float32
    np.testing.assert_allclose(network.predict(X), OUTPUTS[name], rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "words"), [
    ("module.pt", r"torch.nn.modules.linear.Linear.*save model.state_dict\(\)"),
    ("script.pt", "TorchScript.*torch.jit.load"),
    ("legacy.pt", "before version 1.6.*state_dict"),
    ("batchnorm.pt", "1.weight.*fuse_linear_bn_eval"),
    ("nested.safetensors", "in which order.*layers=.*head.weight"),
    ("plain.net", "neither a file of torch.save nor"),
])
def test_what_is_not_read_is_told_with_what_to_do(name, words):
    with pytest.raises(ValueError, match=words):
        fastbp.from_torch(FILES / name, "tanh")


def test_a_pickle_is_not_run(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(pickle.dumps({"0.weight": [1.0]}))
    with pytest.raises(ValueError, match="is a pickle, of which nothing is read"):
        fastbp.from_torch(path)


def test_a_state_dict_is_a_mapping_of_arrays():
    network = fastbp.from_torch(STATE, "relu", cost="cross_entropy")
    assert (network.layers, network.activations, network.dtype) == ((3, 4, 2), ("relu", "softmax"), np.float64)
    assert network.biases[1].tolist() == [0, 0]
    assert fastbp.from_torch({"weight": np.ones((2, 3)), "bias": np.ones(2)}).layers == (3, 2)
    narrow = fastbp.from_torch({name: array.astype(np.float16) for name, array in STATE.items()}, "relu", "logistic")
    assert narrow.dtype == np.float32 and narrow.cost_function.name == "binary_cross_entropy"
    assert fastbp.from_torch(STATE, "relu", layers=["0.weight"]).layers == (3, 4)
    assert fastbp.from_torch({"a.weight": np.eye(2)}, "relu", layers=["a"] * 3).layers == (2, 2, 2, 2)  # tied weights
    parametric = fastbp.from_torch(STATE, fastbp.parametric("mish", 0.5))
    assert parametric.alphas[0].tolist() == [0.5] * 4


@pytest.mark.parametrize(("state", "options", "error", "words"), [
    (STATE, {"activation": None}, ValueError, "does not say which activations"),
    ({}, {}, ValueError, "no linear layers.*There are: nothing"),
    (STATE | {"1.weight": np.ones(4), "1.bias": np.ones(4)}, {}, ValueError, "1.weight, 1.bias belong to no linear"),
    ({"0.weight": np.ones((4, 3)), "1.weight": np.ones(4), "2.weight": np.ones((2, 4))}, {}, ValueError,
     r"slopes of nn.PReLU behind 0.*parametric\('relu'\)"),
    (STATE | {"0.weight_g": np.ones(4)}, {}, ValueError, "remove_weight_norm"),
    ({"2.weight": np.ones((2, 4)), "0.weight": np.ones((4, 3))}, {}, ValueError, "do not follow each other"),
    (STATE | {"0.bias": np.ones(3)}, {}, ValueError, r"0.bias has the shape \[3\].*expected \[4\]"),
    (STATE | {"0.weight": np.ones((4, 3), int)}, {}, ValueError, "0.weight is of int64"),
    (STATE | {"0.weight": np.full((4, 3), "x")}, {}, TypeError, "0.weight has dtype <U1"),
    (STATE | {0: np.ones(3)}, {}, TypeError, "the name 0"),
    (STATE, {"layers": ["0", "1"]}, ValueError, "layer '1' has no matrix"),
    (STATE, {"layers": "0"}, TypeError, "layers is '0', expected a list of names"),
    (STATE, {"layers": []}, TypeError, "layers is"),
    (STATE, {"dtype": "int8"}, ValueError, "dtype is 'int8'"),
    (STATE, {"activation": ["relu", "relu"]}, ValueError, "activation has 2 names, expected 1"),
    (STATE | {"0.bias": np.full(4, np.nan)}, {}, ValueError, "biases of layer 1"),
    (3, {}, TypeError, "a int is given"),
    (types.SimpleNamespace(state_dict=None), {}, TypeError, r"state_dict\(\) returns"),
])
def test_what_does_not_fit_is_named(state, options, error, words):
    with pytest.raises(error, match=words):
        fastbp.from_torch(state, **{"activation": "relu"} | options)


def test_safetensors_are_put_in_the_order_of_their_numbers(tmp_path):
    """Its file has them in alphabetical order: 10 before 2."""
    path = tmp_path / "x.safetensors"
    sizes = (3, 4, 4, 4, 4, 4, 2)
    arrays = {f"net.{2 * i}.weight": np.random.default_rng(i).normal(size=(m, n))
              for i, (n, m) in enumerate(itertools.pairwise(sizes))}
    save_file(arrays, path)
    network = fastbp.from_torch(path, "tanh")
    assert not network.bias
    for found, given in zip(network.weights, arrays.values(), strict=True):
        np.testing.assert_array_equal(found, given)


# ----------------------------------------------------------------------------------------------------- the machine

def machine(value):
    return torch_pickle.Machine(pickle.dumps(value, 2)).run()


def test_plain_values_come_through_the_machine():
    value = {"a": [1, -1, 300, 70_000, 2**40, -(2**70), 0.5, None, True, False, "é", (), (1,), (1, 2, 3, 4)],
             "b": {"c": [], 3: {}}}
    value["again"] = value["a"]
    for protocol in (2, 3, 4, 5):
        found = torch_pickle.Machine(pickle.dumps(value, protocol)).run()
        assert found == value and found["again"] is found["a"]


@pytest.mark.parametrize("value", [print, {(1, 2): 3}, {1.5: 2}, {1, 2}, b"x", np.ones(2), 1j, ValueError("x")])
def test_nothing_else_does(value):
    with pytest.raises(ValueError, match="it "):
        machine(value)


@pytest.mark.parametrize("content", [
    b"", b".", b"\x80\x02", b"\x80\x02N", b"(.", b"a.", b"s.", b"N(t", b"h\x05.",
    b"cos\nsystem\nX\x02\x00\x00\x00ls\x85R.",
    b"ccollections\nOrderedDict\nN\x85R.", b"Nb.", b"NQ.", b"X\xff\xff\xff\xffx.", b"K\x01K\x02R.",
    b"\x8a\xff.", b"ctorch\nFloatStorage\nN\x85R.",
])
def test_damaged_pickles_are_refused(content):
    with pytest.raises(ValueError, match="it "):
        torch_pickle.Machine(content).run()


def test_tuples_deep_in_each_other_do_not_overflow_the_stack():
    deep = b"\x80\x02}" + b")" + b"\x85" * 50_000 + b"N" + b"s."
    with pytest.raises(ValueError, match="key of type tuple"):
        torch_pickle.Machine(deep).run()


# --------------------------------------------------------------------------------------------------- hostile archives

def archive(path, tensors, data, compression=zipfile.ZIP_STORED):
    """Write a file as torch.save does, of (shape, strides, offset) and one storage of float32."""
    def text(value):
        return b"X" + len(value).to_bytes(4, "little") + value.encode()

    def numbers(values):
        return b"(" + b"".join(b"\x8a\x09" + value.to_bytes(9, "little", signed=True) for value in values) + b"t"

    storage = (b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"J"
               + (len(data) // 4).to_bytes(4, "little") + b"tQ")
    pickled = b"\x80\x02}(" + b"".join(
        text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"\x8a\x09" + offset.to_bytes(9, "little")
        + numbers(shape) + numbers(strides) + b"\x89}tR" for name, (shape, strides, offset) in tensors.items()) + b"u."
    with zipfile.ZipFile(path, "w", compression) as whole:
        whole.writestr("x/data.pkl", pickled)
        whole.writestr("x/data/0", data)


def test_archives_as_pytorch_writes_them_are_read(tmp_path):
    """The others below differ from this one in one thing each."""
    numbers = np.arange(12, dtype="f4")
    archive(tmp_path / "x", {"a.weight": ((3, 2), (2, 1), 6)}, numbers.tobytes())
    np.testing.assert_array_equal(fastbp.from_torch(tmp_path / "x").weights[0], numbers[6:].reshape(3, 2))


@pytest.mark.parametrize(("tensor", "words"), [
    (((3, 2), (2, 1), 7), "reaches beyond the 12 numbers"),
    (((3, 2), (2, 2**40), 0), "reaches beyond"),
    (((2**40, 2**40), (0, 0), 0), "reaches beyond"),
    (((13, 1), (0, 0), 0), "reaches beyond"),
    (((3, 2), (-2, 1), 6), "a tensor that is none"),
    (((3, 2), (2,), 0), "a tensor that is none"),
    (((0, 2), (2, 1), 0), "no matrix"),
])
def test_tensors_stay_within_their_storage(tensor, words, tmp_path):
    archive(tmp_path / "x", {"a.weight": tensor}, bytes(48))
    with pytest.raises(ValueError, match=words):
        fastbp.from_torch(tmp_path / "x")


def test_tensors_that_share_a_storage_do_not_fill_the_memory(tmp_path):
    archive(tmp_path / "x", {f"{i}.weight": ((100, 100), (100, 1), 0) for i in range(100)}, bytes(40_000))
    with pytest.raises(ValueError, match="its tensors share their numbers"):
        fastbp.from_torch(tmp_path / "x", "tanh")
    archive(tmp_path / "x", {f"{i}.weight": ((100, 100), (100, 1), 0) for i in range(3)}, bytes(40_000))
    assert fastbp.from_torch(tmp_path / "x", "tanh").layers == (100,) * 4


def test_archives_are_not_unpacked(tmp_path):
    archive(tmp_path / "x", {"a.weight": ((3, 2), (2, 1), 0)}, bytes(48), zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="is compressed"):
        fastbp.from_torch(tmp_path / "x")


def test_members_that_overlap_are_refused(tmp_path):
    """Two entries of the table of contents for the same bytes."""
    archive(tmp_path / "x", {"a.weight": ((3, 2), (2, 1), 0)}, bytes(4000))
    content = (tmp_path / "x").read_bytes()
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    entries = content[start:end]
    second = entries[entries.index(b"PK\x01\x02", 4) :].replace(b"x/data/0", b"x/data/1")
    tail = bytearray(content[end:])
    tail[8:12] = (3).to_bytes(2, "little") * 2
    tail[12:16] = (len(entries) + len(second)).to_bytes(4, "little")
    (tmp_path / "x").write_bytes(content[:start] + entries + second + tail)
    with pytest.raises(ValueError, match="overlap"):
        fastbp.from_torch(tmp_path / "x")


# ----------------------------------------------------------------------------------------------------------- to_torch

NETWORKS = {
    "plain": lambda: fastbp.Network((3, 5, 4, 2), "relu", seed=0),
    "double": lambda: fastbp.Network((3, 4, 1), "tanh", "logistic", "binary_cross_entropy", dtype="float64", seed=1),
    "prelu": lambda: fastbp.Network((3, 5, 2), fastbp.parametric("relu", 0.75), bias=False, seed=2),
    "scaled": lambda: fastbp.Network((3, 5, 2), "gelu", scaling=True, seed=3),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_state_dict_leads_back_to_the_network(name, monkeypatch):
    """With PyTorch's one function that is needed."""
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(from_numpy=lambda array: array))
    network = NETWORKS[name]()
    if network.scaling:
        network.scaling_factors[:] = [2, 0.5, -1]
    state = network.to_torch()
    assert list(state)[0] == "0.weight" and ("0.bias" in state) == network.bias
    assert ("1.weight" in state) == (name == "prelu")
    hidden = PRELU if name == "prelu" else network.activations[0]
    again = fastbp.from_torch(state, hidden, network.activations[-1])
    np.testing.assert_allclose(again.predict(X), network.predict(X), rtol=1e-6, atol=1e-7)
    state["0.weight"][:] = 0
    assert network.weights[0].any()


def test_what_pytorch_does_not_have_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(from_numpy=lambda array: array))
    with pytest.raises(ValueError, match=r"parametric\('mish'\) has no counterpart"):
        fastbp.Network((3, 4, 1), fastbp.parametric("mish")).to_torch()
    coded = fastbp.Network((2, 4, 1), encoders=[fastbp.encoders.Periodic([0, 1])])
    with pytest.raises(ValueError, match="no place for encoders: Periodic"):
        coded.to_torch()


def test_without_pytorch_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"fastbp\[torch\]"):
        fastbp.Network((3, 4, 1)).to_torch()


def test_pytorch_computes_the_same():
    torch = pytest.importorskip("torch", reason="PyTorch itself is large, and no part of the test extra")
    nn = torch.nn
    kinds = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "selu": nn.SELU, "silu": nn.SiLU,
             "gelu": nn.GELU, "mish": nn.Mish, "softplus": nn.Softplus, "softsign": nn.Softsign, "tanh": nn.Tanh,
             "logistic": nn.Sigmoid, "hard_tanh": nn.Hardtanh, "hard_sigmoid": nn.Hardsigmoid}
    for name, kind in kinds.items():
        network = fastbp.Network((3, 5, 4, 2), name, dtype="float64", seed=0)
        model = nn.Sequential(nn.Linear(3, 5), kind(), nn.Linear(5, 4), kind(), nn.Linear(4, 2)).double()
        model.load_state_dict(network.to_torch())
        with torch.no_grad():
            np.testing.assert_allclose(model(torch.from_numpy(X)).numpy(), network.predict(X), rtol=1e-8, atol=1e-8)
        found = fastbp.from_torch(model.state_dict(), name)
        np.testing.assert_array_equal(found.parameters, network.parameters)
    half = nn.Linear(3, 2).bfloat16()
    assert fastbp.from_torch(half.state_dict()).weights[0].tolist() == half.weight.float().tolist()


def test_bfloat16_is_the_upper_half():
    values = np.array([1.0, -2.5, 0.0, np.inf], "f4")
    upper = (values.view("u4") >> 16).astype("<u2").tobytes()
    np.testing.assert_array_equal(pytorch._numbers(upper, "bfloat16"), values)
