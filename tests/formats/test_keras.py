"""Networks from Keras' files, against what Keras computed, which need not be there."""

import gzip
import json
import math
import struct
import zipfile

import numpy as np
import pytest
from foreign_files import FILES, OUTPUTS, X, path_of

import fastbp
from fastbp.formats import hdf5, keras
from fastbp.formats.chain import build

READ = {
    "slopes.keras": ("parametric(relu, alpha=0.8)", "parametric(relu, alpha=0.7)"),
    "batchnorm.keras": ("relu", "softmax"),
    "functional.keras": ("gelu", "identity"),
    "keras2.keras": ("hard_sigmoid", "parametric(relu, alpha=0.9)", "logistic"),
    "newer.keras": ("tanh",) * 9,
}
READ["keras213.keras"] = READ["keras2.keras"]
READ |= {name.replace(".keras", ".h5"): READ[name] for name in ("slopes.keras", "batchnorm.keras", "keras2.keras")}


@pytest.mark.parametrize("name", READ)
def test_files_of_keras_give_what_it_computes(name, tmp_path):
    network = fastbp.from_keras(path_of(name, tmp_path))
    assert network.dtype == np.float32
    for function, alphas, expected in zip(network.activations, network.alphas, READ[name], strict=True):
        assert function.partition(",")[0].rstrip(")") == expected.partition(",")[0].rstrip(")")
        if alphas.size:
            np.testing.assert_allclose(alphas, float(expected.partition("=")[2].rstrip(")")), rtol=1e-6)
    np.testing.assert_allclose(network.predict(X), OUTPUTS[name], rtol=5e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "words"), [
    ("branches.keras", "are no chain: each layer must read the one before"),
    ("weights.h5", "weights alone.*save the whole model"),
    ("sequential.pt", "has no weights, expected model.weights.h5"),
    ("plain.net", "neither a .keras archive nor an .h5 file"),
])
def test_what_is_not_read_is_told(name, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        fastbp.from_keras(path_of(name, tmp_path))


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        fastbp.from_keras(tmp_path / "x")


def test_what_an_archive_says_of_its_layers_is_compared_with_what_it_has(tmp_path):
    def change(name, old, new):
        with zipfile.ZipFile(path_of("batchnorm.keras", tmp_path)) as whole:
            members = {member: whole.read(member) for member in whole.namelist()}
        assert old in members[name]
        members[name] = members[name].replace(old, new)
        with zipfile.ZipFile(tmp_path / "changed", "w") as whole:
            for member, content in members.items():
                whole.writestr(member, content)
        return tmp_path / "changed"

    for old, new, words in [
        (b'"units": 4', b'"units": 5', r"kernel of layer dense\w* has the shape \(3, 4\), expected \(n, 5\)"),
        (b'"class_name": "Dense"', b'"class_name": "Conv1D"', "class 'Conv1D', which is not read"),
        (b'"class_name": "ReLU"', b'"class_name": "Lambda"', "class 'Lambda', which is not read"),
        (b'"max_value": null', b'"max_value": 6', "ReLU with max_value=6"),
        (b'"quantization_config": null', b'"lora_rank": 4', "quantised or has LoRA"),
        (b'"class_name": "Sequential"', b'"class_name": "Other"', "the model is of class 'Other'"),
        (b'"activation": "linear"', b'"activation": "relu6"', "activation 'relu6', which has no counterpart"),
    ]:
        with pytest.raises(ValueError, match=words):
            fastbp.from_keras(change("config.json", old, new))
    with pytest.raises(ValueError, match="is damaged"):
        fastbp.from_keras(change("config.json", b'"layers": ', b'"layers": ' + b"[" * 100_000))
    with pytest.raises(ValueError, match="which version of Keras"):
        fastbp.from_keras(change("metadata.json", b"3.", b"x."))


@pytest.mark.parametrize("named", [True, False])
def test_the_output_is_that_of_the_last_layer(named, tmp_path):
    """Also where layers are said to be read as Keras 2 says it."""
    with zipfile.ZipFile(path_of("functional.keras", tmp_path)) as whole:
        model = json.loads(whole.read("config.json"))
    inside = model["config"]
    names = [layer["name"] for layer in inside["layers"]]
    assert inside["output_layers"] == [names[-1], 0, 0]
    if not named:
        for before, layer in zip(names[:-1], inside["layers"][1:], strict=True):
            layer["inbound_nodes"] = [[[before, 0, 0, {}]]]
    assert [layer["name"] for layer in keras._chain(model)] == names[1:]
    for ends in ([[names[1], 0, 0], [names[-1], 0, 0]], [names[1], 0, 0], []):
        inside["output_layers"] = ends
        with pytest.raises(ValueError, match="expected the last layer's alone"):
            keras._chain(model)


# ----------------------------------------------------------------------------------------------- layers, one by one

def computed(stack, variables=None, version=3):
    """Return the outputs of layers, each a class name and settings, behind a linear one that changes nothing."""
    rng = np.random.default_rng(0)
    own = variables or {}
    layers = [{"class_name": kind, "config": {"name": f"{kind}{i}", **config}}
              for i, (kind, config) in enumerate(stack)]

    def variable(i, name, _):
        if name == "kernel":
            return np.eye(3)
        return own[name] if name in own else rng.normal(size=3) * 0

    network = build(fastbp.Network, keras._made(keras.Model(layers, version, variable), 10_000), dtype="float64")
    return network.predict(X)


LINEAR = ("Dense", {"units": 3, "activation": "linear"})


def dense(activation):
    return [("Dense", {"units": 3, "activation": activation})]


EXACT = {
    "linear": X, "relu": np.maximum(X, 0), "tanh": np.tanh(X), "sigmoid": 1 / (1 + np.exp(-X)),
    "softplus": np.log1p(np.exp(X)), "softsign": X / (1 + abs(X)), "exponential": np.exp(X),
    "elu": np.where(X > 0, X, np.expm1(X)), "leaky_relu": np.where(X > 0, X, 0.2 * X),
    "hard_sigmoid": np.clip(X / 6 + 0.5, 0, 1), "hard_tanh": np.clip(X, -1, 1), "silu": X / (1 + np.exp(-X)),
    "swish": X / (1 + np.exp(-X)), "mish": X * np.tanh(np.log1p(np.exp(X))),
    "gelu": X * np.vectorize(lambda x: (1 + math.erf(x / math.sqrt(2))) / 2)(X),
    "selu": 1.0507009873554805 * np.where(X > 0, X, 1.6732632423543772 * np.expm1(X)),
    "softmax": np.exp(X) / np.exp(X).sum(axis=1, keepdims=True),
}


@pytest.mark.parametrize("name", EXACT)
def test_activations_are_keras_own(name):
    np.testing.assert_allclose(computed(dense(name)), EXACT[name], rtol=1e-13, atol=1e-14)
    function = {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}
    np.testing.assert_allclose(computed([LINEAR, ("Activation", {"activation": function})]), EXACT[name], rtol=1e-13,
                               atol=1e-14)


def test_names_that_meant_something_else_go_by_the_version():
    np.testing.assert_allclose(computed(dense("hard_sigmoid"), version=2), np.clip(0.2 * X + 0.5, 0, 1), atol=1e-15)
    slopes = [({}, 0.3), ({"negative_slope": 0.1}, 0.1), ({"alpha": 0.25}, 0.25), ({"negative_slope": 0.01}, 0.01)]
    for config, slope in slopes:
        np.testing.assert_allclose(computed([LINEAR, ("LeakyReLU", config)]), np.where(X > 0, X, slope * X), atol=1e-15)
    np.testing.assert_allclose(computed([LINEAR, ("ReLU", {"negative_slope": 0.5})]), np.where(X > 0, X, X / 2))
    prelu = computed([LINEAR, ("PReLU", {})], {"alpha": np.array([0.1, 0.2, -0.5])})
    np.testing.assert_allclose(prelu, np.where(X > 0, X, [0.1, 0.2, -0.5] * X), atol=1e-15)


def test_what_is_affine_is_folded():
    variables = {"gamma": np.array([1.0, 2, 3]), "beta": np.array([0.5, 0, -1]), "moving_mean": np.array([1.0, 2, 3]),
                 "moving_variance": np.array([4.0, 1, 0.25]), "mean": np.array([1.0, 0, -1]),
                 "variance": np.array([0.0, 4, 9])}
    norm = ("BatchNormalization", {"epsilon": 0.1, "scale": True, "center": True, "axis": [1]})
    normed = (X - variables["moving_mean"]) / np.sqrt(variables["moving_variance"] + 0.1) * variables["gamma"] \
        + variables["beta"]
    for stack, expected in [
        ([LINEAR, norm], normed),
        ([norm, LINEAR], normed),
        ([norm, norm, LINEAR], (normed - [1, 2, 3]) / np.sqrt([4.1, 1.1, 0.35]) * [1, 2, 3] + [0.5, 0, -1]),
        ([LINEAR, ("BatchNormalization", {"epsilon": 0.1, "scale": False, "center": False})],
         (X - [1, 2, 3]) / np.sqrt([4.1, 1.1, 0.35])),
        ([("Normalization", {}), ("Dropout", {"rate": 0.5}), LINEAR], (X - [1, 0, -1]) / [1e-7, 2, 3]),
        ([("Normalization", {"mean": [[1, 2, 3]], "variance": [[4, 4, 4]]}), LINEAR], (X - [1, 2, 3]) / 2),
        ([("Rescaling", {"scale": 2, "offset": -1}), LINEAR], 2 * X - 1),
        ([*dense("relu"), ("Rescaling", {"scale": 2, "offset": -1})], 2 * np.maximum(X, 0) - 1),
        ([*dense("relu"), norm, *dense("tanh")],
         np.tanh((np.maximum(X, 0) - [1, 2, 3]) / np.sqrt([4.1, 1.1, 0.35]) * [1, 2, 3] + [0.5, 0, -1])),
    ]:
        np.testing.assert_allclose(computed(stack, variables), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("stack", "words"), [
    ([*dense("relu"), ("ReLU", {})], "does not come right behind a linear one"),
    ([("ReLU", {}), LINEAR], "does not come right behind a linear one"),
    ([LINEAR, ("ELU", {"alpha": 0.5})], "ELU with alpha=0.5"),
    ([LINEAR, ("Softmax", {"axis": 1})], "Softmax with axis=1"),
    ([LINEAR, ("LeakyReLU", {"alpha": "x"})], "slope 'x'"),
    ([("Dropout", {})], "no Dense layer"),
    ([LINEAR, ("BatchNormalization", {"axis": 2})], "normalises axis 2"),
    ([("Normalization", {"invert": True}), LINEAR], "inverts"),
    ([LINEAR, ("Normalization", {"mean": [1.0, 2.0], "variance": [1.0, 1.0]})], r"normalises \(2,\) numbers"),
    (dense({"class_name": "Mine"}), "no counterpart"),
])
def test_what_has_no_counterpart_is_named(stack, words):
    with pytest.raises(ValueError, match=words):
        computed(stack)


def test_variables_that_layers_share_do_not_fill_the_memory():
    layers = [{"class_name": "Dense", "config": {"units": 100, "activation": "linear", "use_bias": False}}] * 30
    model = keras.Model(layers, 3, lambda *_: np.ones((100, 100), "f4"))
    assert len(keras._made(model, 40_000)) == 30
    with pytest.raises(ValueError, match="share their variables"):
        keras._made(model, 10_000)


# -------------------------------------------------------------------------------------------------------------- HDF5

def test_hdf5_is_read_in_both_forms(tmp_path):
    with zipfile.ZipFile(path_of("newer.keras", tmp_path)) as archive:
        newer = hdf5.File(archive.read("model.weights.h5"))
    older = hdf5.File(gzip.decompress((FILES / "batchnorm.h5.gz").read_bytes()))
    assert (older.content[8], newer.content[8]) == (0, 2)
    assert json.loads(older.attribute("", "model_config"))["class_name"] == "Sequential"
    assert older.attribute("model_weights", "backend") == "torch" and older.attribute("", "nothing") is None
    assert older.has("model_weights") and not older.has("model_weights/nothing")
    assert [newer.array(f"layers/dense{end}/vars/0").shape for end in ("", "_8")] == [(3, 2), (2, 2)]
    with pytest.raises(KeyError):
        older.array("nothing")
    with pytest.raises(ValueError, match="is no array"):
        older.array("model_weights")


@pytest.mark.parametrize("content", [
    b"", hdf5.SIGNATURE, hdf5.SIGNATURE + bytes(100), hdf5.SIGNATURE + b"\2\x08\x08\0" + b"\xff" * 40,
    hdf5.SIGNATURE + b"\1" + bytes(100), hdf5.SIGNATURE + b"\2\x04\x08\0" + bytes(40),
])
def test_what_is_no_hdf5_is_refused(content):
    with pytest.raises((ValueError, LookupError)):
        hdf5.File(content).attribute("", "x")


def test_blocks_that_overlap_are_not_read_for_ever():
    file = hdf5.File(gzip.decompress((FILES / "batchnorm.h5.gz").read_bytes()))
    with pytest.raises(ValueError, match="its parts overlap"):
        for _ in range(65):
            file.stretch(0, len(file.content))
    content = bytearray(96 + 16 + 24)  # a header whose continuation is itself
    content[:16] = hdf5.SIGNATURE + b"\0\0\0\0\0\x08\x08\0"
    content[64:72] = struct.pack("<Q", 96)
    content[96:112] = struct.pack("<BxHII4x", 1, 1, 1, 24)
    content[112:] = struct.pack("<HHB3xQQ", 16, 16, 0, 112, 24)
    with pytest.raises(ValueError, match="continues where it was"):
        hdf5.File(bytes(content)).attribute("", "x")


def test_every_length_of_a_cut_file_is_refused(tmp_path):
    content = path_of("slopes.h5", tmp_path).read_bytes()
    path = tmp_path / "x.h5"
    for length in range(8, len(content) - 2048, 397):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"x.h5"):
            fastbp.from_keras(path)
