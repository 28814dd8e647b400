"""ONNX in: files of other libraries, what decorates a chain of dense layers, and what is no such chain."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from helpers import compiled_only, network

import fastbp
from fastbp.formats.onnx import messages, operators, protobuf, reader
from fastbp.formats.onnx.protobuf import block, integer, text

FILES = Path(__file__).parent / "files"
EXPECTED = dict(np.load(FILES / "onnx_expected.npz"))

ACTIVATIONS = {
    "skl2onnx_binary": ["relu", "logistic"],
    "skl2onnx_double": ["relu", "identity"],
    "skl2onnx_labels": ["logistic", "logistic"],
    "skl2onnx_letters": ["tanh", "softmax"],
    "skl2onnx_regression": ["identity", "identity"],
    "tf2onnx_classifier": ["silu", "parametric(relu)", "hard_sigmoid", "softmax"],
    "tf2onnx_smooth": ["elu", "selu", "softplus", "softsign", "mish", "exp", "hard_tanh", "logistic"],
    "torch_classifier": ["gelu", "silu", "softmax"],
    "torch_decorated": ["mish", "parametric(relu)", "hard_sigmoid"],
    "torch_kinks": ["hard_tanh", "leaky_relu", "parametric(relu)", "hard_tanh", "identity"],
    "torch_smooth": ["elu", "selu", "softplus", "softsign", "tanh", "logistic"],
    "torch_square": ["gaussian", "identity"],
}


@pytest.mark.parametrize("path", sorted(FILES.glob("*.onnx")), ids=lambda path: path.stem)
def test_files_of_other_libraries(path):
    """As onnxruntime computes them, which tests/formats/make_onnx_files.py has written down."""
    net = fastbp.from_onnx(path)
    name = path.stem.removesuffix("_script").removesuffix("_dynamo")
    assert list(net.activations) == ACTIVATIONS[name]
    found, expected = net.predict(EXPECTED["X"]), EXPECTED[path.stem]
    if name in ("skl2onnx_binary", "skl2onnx_labels"):  # 1 − p beside p
        expected = expected[:, net.layers[-1] :]
    assert net.dtype == (np.float64 if name == "skl2onnx_double" else np.float32)
    np.testing.assert_allclose(found, expected.reshape(found.shape), atol=3e-7)


def test_all_files_are_small():
    assert all(path.stat().st_size < 20_000 for path in FILES.glob("*onnx*"))


# ------------------------------------------------------------------------------------- graphs that are written here

FLOATS, DOUBLES = 1, 11


def attribute(name, value):
    if isinstance(value, np.ndarray):
        return text(1, name) + block(5, *messages.tensor("", value)) + integer(20, 4)
    if isinstance(value, bytes):
        return text(1, name) + block(4, value) + integer(20, 3)
    if isinstance(value, list) and isinstance(value[0], float):
        return text(1, name) + block(7, np.array(value, "<f4").tobytes()) + integer(20, 6)
    return messages.attribute(name, value)


def model(nodes, tensors=(), *, inputs=("X",), outputs=("Y",), shape=("N", 3), opset=13):
    """A model: of each node its operator (with a domain in front), inputs, output and attributes."""
    graph = []
    for op, takes, makes, attributes in nodes:
        domain, _, op = op.rpartition("/")
        node = messages.node(op, takes, makes, {}) + (text(7, domain) if domain else [])
        for key, value in attributes.items():
            node += block(5, *attribute(key, value))
        graph += block(1, *node)
    for name, values in dict(tensors).items():
        graph += block(5, *(values if isinstance(values, list) else messages.tensor(name, np.asarray(values))))
    for number, names in ((11, inputs), (12, outputs)):
        for name in names:
            graph += block(number, *messages.port(name, FLOATS, shape))
    return messages.model(graph, opset, 8)


W = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
B = np.array([0.5, -1, 0.25, 2], np.float32)
DENSE = [("Gemm", ["X", "W", "B"], "Z", {"transB": 1})]
TENSORS = {"W": W, "B": B}


def behind(*nodes, **tensors):
    """A dense layer of 4 neurons, Z, and nodes behind it that end in Y."""
    return model([*DENSE, *nodes], TENSORS | {name: np.asarray(value, np.float32) for name, value in tensors.items()})


X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32) * 3
Z = X.astype(float) @ W.T.astype(float) + B


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


KNOWN = {
    "gelu by erf": (behind(("Div", ["Z", "r"], "a", {}), ("Erf", ["a"], "e", {}), ("Add", ["one", "e"], "s", {}),
                           ("Mul", ["Z", "s"], "t", {}), ("Mul", ["t", "h"], "Y", {}), r=math.sqrt(2), one=1, h=0.5),
                    ["gelu"], np.vectorize(lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2)(Z)),
    "silu": (behind(("Sigmoid", ["Z"], "s", {}), ("Mul", ["s", "Z"], "Y", {})), ["silu"], Z * sigmoid(Z)),
    "swish of another slope": (behind(("Mul", ["Z", "c"], "a", {}), ("Sigmoid", ["a"], "s", {}),
                                      ("Mul", ["s", "Z"], "Y", {}), c=1.702), ["silu", "identity"],
                               Z * sigmoid(1.702 * Z)),
    "softplus with a threshold": (behind(("Softplus", ["Z"], "s", {}), ("Greater", ["Z", "c"], "g", {}),
                                         ("Where", ["g", "Z", "s"], "Y", {}), c=20), ["softplus"],
                                  np.log1p(np.exp(Z))),
    "relu6": (behind(("Clip", ["Z", "low", "high"], "Y", {}), low=0, high=6), ["hard_tanh", "identity"],
              np.clip(Z, 0, 6)),
    "limits far out": (behind(("Clip", ["Z", "low", "high"], "Y", {}), low=-500, high=500), ["hard_tanh", "identity"],
                       Z),
    "a limit below": (behind(("Max", ["c", "Z"], "Y", {}), c=-2), ["relu", "identity"], np.maximum(Z, -2)),
    "a limit above": (behind(("Min", ["c", "Z"], "Y", {}), c=1), ["relu", "identity"], np.minimum(Z, 1)),
    "limits as attributes": (model([*DENSE, ("Clip", ["Z"], "Y", {"min": -1.0, "max": 1.0})], TENSORS, opset=9),
                             ["hard_tanh"], np.clip(Z, -1, 1)),
    "hard sigmoid of Keras 2": (behind(("HardSigmoid", ["Z"], "Y", {})), ["hard_sigmoid"],
                                np.clip(0.2 * Z + 0.5, 0, 1)),
    "celu": (behind(("Celu", ["Z"], "Y", {"alpha": 2.0})), ["elu", "identity"],
             np.where(Z > 0, Z, 2 * np.expm1(np.minimum(Z, 0) / 2))),
    "swish": (behind(("Swish", ["Z"], "Y", {"alpha": 0.5})), ["silu", "identity"], Z * sigmoid(Z / 2)),
    "abs": (behind(("Abs", ["Z"], "Y", {})), ["parametric(relu)"], np.abs(Z)),
    "prelu": (behind(("PRelu", ["Z", "c"], "Y", {}), c=[0.1, 0.2, 1, -1]), ["parametric(relu)"],
              np.where(Z > 0, Z, Z * [0.1, 0.2, 1, -1])),
    "tanh from a sigmoid": (behind(("Add", ["Z", "Z"], "a", {}), ("Sigmoid", ["a"], "s", {}),
                                   ("Mul", ["s", "two"], "t", {}), ("Sub", ["t", "one"], "Y", {}), two=2, one=1),
                            ["tanh"], np.tanh(Z)),
    "scaled in between": (behind(("Sigmoid", ["Z"], "s", {}), ("Mul", ["s", "c"], "t", {}),
                                 ("Mul", ["t", "Z"], "Y", {}), c=[1, 2, 0.5, 0]), ["silu", "identity"],
                          Z * sigmoid(Z) * [1, 2, 0.5, 0]),
    "lines alone": (behind(("Neg", ["Z"], "a", {}), ("Sub", ["one", "a"], "b", {}), ("Div", ["b", "c"], "d", {}),
                           ("Sub", ["d", "Z"], "Y", {}), one=1, c=[1, 2, 4, 8]), ["identity"],
                    (1 + Z) / [1, 2, 4, 8] - Z),
    "a softmax that nothing reads": (behind(("Softmax", ["Z"], "s", {}), ("Relu", ["Z"], "Y", {})), ["relu"],
                                     np.maximum(Z, 0)),
    "gaussian": (behind(("Pow", ["Z", "two"], "a", {}), ("Neg", ["a"], "b", {}), ("Exp", ["b"], "Y", {}), two=2),
                 ["gaussian"], np.exp(-(Z**2))),
}


@pytest.mark.parametrize("name", KNOWN)
def test_activations_are_told_by_their_values(name):
    content, expected, values = KNOWN[name]
    net = fastbp.from_onnx(content, cost="squared_error", dtype="float64")
    assert list(net.activations) == expected
    np.testing.assert_allclose(net.predict(X), values, atol=2e-6)


DECORATED = {
    "standardised inputs": (model([("Sub", ["X", "m"], "a", {}), ("Div", ["a", "s"], "b", {}),
                                   ("Gemm", ["b", "W", "B"], "Y", {"transB": 1})],
                                  TENSORS | {"m": B[:3], "s": B[1:]}), ((X - B[:3]) / B[1:]) @ W.T + B),
    "a scaler": (model([("ai.onnx.ml/Scaler", ["X"], "a", {"offset": [1.0, 2.0, 3.0], "scale": [2.0]}),
                        ("Gemm", ["a", "W", "B"], "Y", {"transB": 1})], TENSORS), 2 * (X - [1, 2, 3]) @ W.T + B),
    "alpha and beta, samples first": (model([("Gemm", ["X", "V", "B"], "Y", {"alpha": 0.5, "beta": -2.0})],
                                            {"V": W.T.copy(), "B": B}), 0.5 * (Z - B) - 2 * B),
    "no biases": (model([("Gemm", ["X", "W"], "Y", {"transB": 1})], TENSORS), Z - B),
    "biases first": (model([("MatMul", ["X", "V"], "a", {}), ("Add", ["B", "a"], "Y", {})],
                           {"V": W.T.copy(), "B": B[None]}), Z),
    "constants as nodes": (model([("Constant", [], "V", {"value": W}), ("Transpose", ["V"], "U", {"perm": [1, 0]}),
                                  ("MatMul", ["X", "U"], "a", {}), ("Constant", [], "c", {"value_float": 2.0}),
                                  ("Mul", ["a", "c"], "Y", {})]), 2 * (Z - B)),
    "computed constants": (model([("Reshape", ["v", "s"], "V", {}), ("Cast", ["V"], "U", {"to": DOUBLES}),
                                  ("Add", ["U", "o"], "T", {}), ("Identity", ["T"], "S", {}),
                                  ("MatMul", ["X", "S"], "Y", {})],
                                 {"v": W.reshape(-1), "s": np.array([3, -1]), "o": np.float64(1)}),
                           X @ (W.reshape(3, 4) + 1)),
    "axes of constants": (model([("Unsqueeze", ["W", "one"], "a", {}), ("Squeeze", ["a", "one"], "b", {}),
                                 ("Unsqueeze", ["b"], "c", {"axes": [0]}), ("Squeeze", ["c"], "d", {"axes": [-3]}),
                                 ("Dropout", ["d"], "e", {}), ("Gemm", ["X", "e"], "Y", {"transB": 1})],
                                TENSORS | {"one": np.array([1])}), Z - B),
    "the shape of a batch": (model([("Shape", ["X"], "s", {}), ("Gather", ["s", "zero"], "n", {}),
                                    ("Cast", ["n"], "c", {"to": messages.INT64}),
                                    ("Unsqueeze", ["c", "zero"], "u", {}), ("Concat", ["u", "m"], "t", {"axis": 0}),
                                    ("Reshape", ["X", "t"], "r", {}), ("Gemm", ["r", "W", "B"], "Y", {"transB": 1})],
                                   TENSORS | {"zero": np.array([0]), "m": np.array([-1])}), Z),
    "pictures": (model([("Cast", ["X"], "c", {"to": FLOATS}), ("Flatten", ["c"], "f", {}),
                        ("Gemm", ["f", "W", "B"], "Y", {"transB": 1})], TENSORS, shape=("N", 1, 3)), Z),
    "pictures by their shape": (model([("Shape", ["X"], "s", {}), ("Gather", ["s", "zero"], "n", {}),
                                       ("Concat", ["n", "m"], "t", {"axis": 0}), ("Reshape", ["X", "t"], "f", {}),
                                       ("Gemm", ["f", "W", "B"], "Y", {"transB": 1})],
                                      TENSORS | {"zero": np.array([0]), "m": np.array([3])}, shape=("N", 3, 1)), Z),
    "passed over": (model([("Flatten", ["X"], "a", {"axis": 1}), ("Identity", ["a"], "b", {}),
                           ("Gemm", ["b", "W", "B"], "c", {"transB": 1}), ("Dropout", ["c"], "d", {}),
                           ("Cast", ["d"], "e", {"to": DOUBLES}), ("Reshape", ["e", "s"], "Y", {})],
                          TENSORS | {"s": np.array([-1, 4])}), Z),
    "normalised": (model([*DENSE, ("BatchNormalization", ["Z", "B", "B", "B", "v"], "Y", {"epsilon": 0.5})],
                         TENSORS | {"v": np.abs(B)}), (Z - B) / np.sqrt(np.abs(B) + 0.5) * B + B),
    "behind an activation": (model([*DENSE, ("Tanh", ["Z"], "t", {}), ("Mul", ["t", "B"], "u", {}),
                                    ("Sub", ["u", "c"], "v", {}), ("MatMul", ["v", "W"], "Y", {})],
                                   TENSORS | {"c": np.float32(3)}), (np.tanh(Z) * B - 3) @ W),
    "labels cut off": (model([*DENSE, ("Softmax", ["Z"], "P", {"axis": 1}), ("ArgMax", ["P"], "Y", {"axis": 1})],
                             TENSORS), np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)),
}


@pytest.mark.parametrize("name", DECORATED)
def test_what_stands_beside_layers(name):
    content, values = DECORATED[name]
    np.testing.assert_allclose(fastbp.from_onnx(content, dtype="float64").predict(X), values, rtol=1e-5, atol=1e-5)


def tensor(kind, shape, *values):
    return [part for n in shape for part in integer(1, n)] + integer(2, kind) + text(8, "W") + list(values)


def halves(values):
    return np.frombuffer(values.astype("<f2").tobytes(), "<u2")


def packed(number, values):
    return block(number, *(protobuf.varint(int(value)) for value in values))


TYPED = {
    "float32": tensor(messages.FLOAT, (4, 3), *block(4, W.tobytes())),
    "float32, each a field": tensor(messages.FLOAT, (4, 3), *(part for value in W.ravel()
                                                              for part in protobuf.single(4, value))),
    "float64": tensor(messages.DOUBLE, (4, 3), *block(10, W.astype("<f8").tobytes())),
    "float16": tensor(messages.FLOAT16, (4, 3), *packed(5, halves(W).ravel())),
    "float16, raw": tensor(messages.FLOAT16, (4, 3), *block(9, W.astype("<f2").tobytes())),
    "bfloat16": tensor(messages.BFLOAT16, (4, 3), *packed(5, (W.ravel().view("<u4") >> 16))),
}


@pytest.mark.parametrize("name", TYPED)
def test_weights_of_every_type(name):
    net = fastbp.from_onnx(model([("Gemm", ["X", "W"], "Y", {"transB": 1})], {"W": TYPED[name]}))
    assert net.dtype == ("float64" if name == "float64" else "float32")
    np.testing.assert_allclose(net.weights[0], W, rtol={"float16": 1e-3, "bfloat16": 1e-2}.get(name.split(",")[0], 0))


def test_packed_numbers():
    """Of all lengths, with both signs."""
    numbers = [sign * (2**k + part) for k in range(0, 63, 7) for part in (-1, 0, 1) for sign in (1, -1)]
    content = memoryview(b"".join(map(protobuf.varint, numbers)))
    np.testing.assert_array_equal(protobuf.integers([content, 5, content[:0], 2**64 - 1]), [*numbers, 5, -1])
    for wrong, words in ((b"\x01\x80", "cut off"), (b"\xff" * 10 + b"\x01", "more than ten bytes")):
        with pytest.raises(ValueError, match=words):
            protobuf.integers([memoryview(wrong)])


def test_error_functions_agree():
    x = np.linspace(-7, 7, 301)
    np.testing.assert_allclose(operators.FUNCTIONS["Erf"](x), np.vectorize(math.erf)(x), atol=1e-15)


# --------------------------------------------------------------------------------------------- what is no such chain

def test_what_is_no_file_of_this_kind(tmp_path):
    path = tmp_path / "net.onnx"
    with pytest.raises(OSError):
        fastbp.from_onnx(path)
    network((2, 1)).save(path)
    with pytest.raises(ValueError, match="net.onnx: "):
        fastbp.from_onnx(path)
    with pytest.raises(ValueError, match="the ONNX model: it is no ONNX model"):
        fastbp.from_onnx(b"")


EXTERNAL = tensor(messages.FLOAT, (4, 3), *block(13, *text(1, "location"), *text(2, "/etc/passwd")), *integer(14, 1))
THEN = ("Add", ["Z", "R"], "Y", {})

REFUSED = {
    "external": (model(DENSE, {"W": EXTERNAL, "B": B}, outputs="Z"), "'W' lies in another file: save the model in one"),
    "inputs": (model([*DENSE], TENSORS, inputs=("X", "Q"), outputs="Z"), r"inputs \['X', 'Q'\], expected one"),
    "convolution": (model([("Conv", ["X", "W"], "Y", {})], TENSORS), r"node 'Y' \(Conv\) .* does not read this"),
    "domain": (model([("com.microsoft/Gelu", ["X"], "Y", {})]), r"node 'Y' \(com.microsoft.Gelu\)"),
    "branches": (model([*DENSE, ("Gemm", ["X", "W"], "R", {"transB": 1}), THEN], TENSORS), r"\(Add\).*two branches"),
    "shortcut": (model([("MatMul", ["X", "V"], "Z", {}), ("Add", ["Z", "X"], "Y", {})], {"V": np.eye(3)}),
                 "joins two branches"),
    "two outputs": (model([*DENSE, ("Relu", ["Z"], "Y", {})], TENSORS, outputs=("Y", "Z")), "more than one network's"),
    "gelu by tanh": (behind(("Gelu", ["Z"], "Y", {"approximate": b"tanh"})),
                     "Gemm, Gelu are no activation that fastbp has; the nearest is 'gelu', .* by up to 0.00047"),
    "elu of another alpha": (behind(("Elu", ["Z"], "Y", {"alpha": 2.0})), "no activation"),
    "a threshold": (behind(("ThresholdedRelu", ["Z"], "Y", {"alpha": 50.0})), "no activation"),
    "a second kink": (behind(("Sub", ["Z", "c"], "a", {}), ("Relu", ["a"], "b", {}), ("Relu", ["Z"], "d", {}),
                             ("Add", ["b", "d"], "Y", {}), c=1000), "no activation"),
    "a function of inputs": (model([("Tanh", ["X"], "a", {}), ("Gemm", ["a", "W"], "Y", {"transB": 1})], TENSORS),
                             "Tanh works on the inputs, before any layer"),
    "softmax inside": (model([*DENSE, ("Softmax", ["Z"], "s", {}), ("MatMul", ["s", "W"], "Y", {})], TENSORS),
                       "softmax"),
    "behind softmax": (behind(("Softmax", ["Z"], "s", {}), ("Exp", ["s"], "Y", {})), "which must be the last"),
    "softmax over samples": (behind(("Softmax", ["Z"], "Y", {"axis": 0})), "not over the outputs of each sample"),
    "by batches": (model([*DENSE, ("BatchNormalization", ["Z", *"BBBB"], "Y", {"training_mode": 1})], TENSORS),
                   "export the network for inference"),
    "dropout": (model([*DENSE, ("Dropout", ["Z", "p", "t"], "Y", {})],
                      TENSORS | {"p": np.float32(0.5), "t": np.array(1)}), "drops neurons"),
    "integers": (behind(("Cast", ["Z"], "Y", {"to": messages.INT64})), "other numbers than float32 or float64"),
    "a constant a sample": (behind(("Add", ["Z", "c"], "Y", {}), c=[[1], [2]]), r"shape \(2, 1\), expected one number"),
    "sizes": (model([("Gemm", ["X", "B2"], "Y", {})], {"B2": np.ones((2, 2), np.float32)}),
              "weights for 2 numbers, and 3 come"),
    "layers that do not meet": (model([*DENSE, ("Gemm", ["Z", "W"], "Y", {"transB": 1})], TENSORS),
                                "weights for 3 numbers, and 4 come"),
    "samples in columns": (model([("Gemm", ["X", "W"], "Y", {"transA": 1})], TENSORS), "samples in columns"),
    "old operators": (model(DENSE, TENSORS, outputs="Z", opset=6), "version 6 of ONNX' operators, expected 7"),
    "order": (model([("Relu", ["Z"], "Y", {}), *DENSE], TENSORS), "nothing before it makes 'Z'"),
    "no layer": (model([("Relu", ["X"], "Y", {})]), "no dense layer"),
    "constant output": (model([("Relu", ["W"], "Y", {})], TENSORS), "does not depend on the input"),
    "no output": (model(DENSE, TENSORS), "nothing before it makes 'Y'"),
    "not finite": (model(DENSE, TENSORS | {"B": np.float32([1, 2, np.nan, 1])}, outputs="Z"), "not finite"),
    "other rows": (model([*DENSE, ("Reshape", ["Z", "s"], "a", {}), ("MatMul", ["a", "W"], "Y", {})],
                         TENSORS | {"s": np.array([-1, 1])}), r"node 'a' \(Reshape\) makes other rows"),
    "scaled behind": (model([("Gemm", ["X", "V"], "Z", {}), ("Exp", ["Z"], "a", {}), ("Mul", ["a", "c"], "Y", {})],
                            {"V": np.ones((3, 1001), np.float32), "c": np.float32(2)}), "its 1001 outputs are scaled"),
    "complement": (behind(("Sigmoid", ["Z"], "p", {}), ("Concat", ["p", "p"], "Y", {"axis": 1})), "not 1 − p and p"),
    "a scaled softmax": (behind(("Softmax", ["Z"], "s", {}), ("Mul", ["s", "c"], "Y", {}), c=2), "must be the last"),
    "softmax of an activation": (behind(("Relu", ["Z"], "r", {}), ("Softmax", ["r"], "Y", {})),
                                 "Relu, Softmax stand between a layer and its softmax"),
    "softmaxes side by side": (behind(("Softmax", ["Z"], "s", {}), ("Concat", ["s", "s"], "Y", {"axis": 1})),
                               "not 1 − p and p"),
    "pictures": (model([("Gemm", ["X", "W"], "Y", {"transB": 1})], TENSORS, shape=("N", 1, 3)),
                 "works on an input of 3 dimensions"),
    "flattened otherwise": (model([("Flatten", ["X"], "Y", {"axis": 2})], shape=("N", 1, 3)),
                            "does not make a row of each sample"),
    "no inputs": (model([("Gemm", [], "Y", {})]), "it has no input"),
    "biases that are made": (model([("Gemm", ["X", "W"], "R", {"transB": 1}),
                                    ("Gemm", ["X", "W", "R"], "Y", {"transB": 1})], TENSORS), "are no constants"),
    "whole numbers as weights": (model([("Gemm", ["X", "I"], "Y", {})], {"I": np.ones((3, 3), np.int64)}),
                                 "weights are int64 of shape"),
    "a scaler of something else": (model([("ai.onnx.ml/Scaler", ["X"], "Y", {"scale": b"1"})]), "are no numbers"),
    "alpha of another type": (behind(("Elu", ["Z"], "Y", {"alpha": 1})), "attribute alpha is no float"),
    "limits that are made": (behind(("Relu", ["Z"], "r", {}), ("Clip", ["Z", "r"], "Y", {})), "limits are no constant"),
    "the number of samples": (model([*DENSE, ("Shape", ["X"], "s", {}), ("Add", ["Z", "s"], "Y", {})], TENSORS),
                              "computes with the number of samples"),
    "a shape of constants": (model([("Shape", ["W"], "Y", {})], TENSORS), "not of the input"),
    "three inputs": (behind(("Add", ["Z", "Z", "Z"], "Y", {})), "it has 3 inputs"),
    "texts": (model([*DENSE, ("Add", ["Z", "t"], "Y", {})], TENSORS | {"t": messages.tensor("t", ["a"])}),
              "elements of type 8, expected numbers"),
    "sparse tensors": (messages.model(block(15, b""), 13, 7), "sparse tensors"),
    "functions": (messages.model([], 13, 7) + b"".join(block(25, b"")), "functions of its own"),
    "division by 0": (behind(("Div", ["Z", "c"], "Y", {}), c=0), "not finite"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_chain_of_dense_layers_is_refused_by_name(name):
    content, words = REFUSED[name]
    with pytest.raises(ValueError, match=words):
        fastbp.from_onnx(content)


def constant(name, nodes, tensors):
    """A model in which nodes make the weights."""
    return model([*nodes, ("MatMul", ["X", name], "Y", {})], tensors)


BIG = np.ones((3, 20_000), np.float32)
HOSTILE = {
    "an outer product": (constant("c", [("Mul", ["a", "b"], "c", {})],
                                  {"a": np.ones((30_000, 1)), "b": np.ones((1, 30_000))}), "do not fit each other"),
    "weights in many layers": (model([("Gemm", [f"z{i - 1}" if i else "X", "W"], f"z{i}", {}) for i in range(50)],
                                     {"W": np.ones((300, 300), np.float32)}, shape=("N", 300), outputs=("z49",)),
                               "same weights over and over"),
    "constants of constants": (constant("c99", [("Exp", [f"c{i - 1}" if i else "W"], f"c{i}", {}) for i in range(100)],
                                        {"W": BIG}), "more of its constants than its size accounts for"),
    "vectors without end": (model([("Gemm", ["X", "W"], "z0", {}),
                                   *(("Add", [f"z{i}", "B"], f"z{i + 1}", {}) for i in range(60))],
                                  {"W": BIG, "B": BIG[0]}, outputs=("z60",)), "more of its constants"),
    "operators without end": (model([*DENSE, *(("Sin", [f"z{i}" if i else "Z"], f"z{i + 1}", {}) for i in range(90))],
                                    TENSORS, outputs=("z90",)), "one of more than 64 operators"),
    "a shape without end": (constant("W", [], {"W": integer(2, 1) + text(8, "W") + block(1, bytes(300_000))}),
                            "more than 250000 fields, or numbers in attributes"),
    "an attribute without end": (model([("ai.onnx.ml/Scaler", ["X"], "Y", {"scale": [1.0] * 300_000})]),
                                 "more than 250000 fields, or numbers in attributes"),
    "a name without end": (model([("Relu", ["X"], "Y" * 10_001, {})]), "a name has 10001 bytes"),
    "fields without end": (b"\x08\x01" * 300_000, "more than 250000 fields"),
    "a shape of no data": (constant("W", [], {"W": tensor(messages.FLOAT, (3, 2**40))}), "holds 0 numbers"),
    "a negative shape": (constant("W", [], {"W": tensor(messages.FLOAT, (-3, -4), *block(9, W.tobytes()))}),
                         "the shape"),
    "a length beyond the file": (protobuf.varint(7 << 3 | 2) + protobuf.varint(2**62) + b"x", "where 1 are left"),
    "a constant from a shape": (constant("c", [("ConstantOfShape", ["s"], "c", {})], {"s": np.array([2**31, 2**31])}),
                                "does not read this operator"),
}


CONSTANTS = {
    "another type": ([("Cast", ["W"], "c", {"to": messages.STRING})], "other numbers than floats and integers"),
    "a list for a type": ([("Cast", ["W"], "c", {"to": [1]})], "other numbers than floats and integers"),
    "too large": ([("Mul", ["W", "big"], "a", {}), ("Cast", ["a"], "c", {"to": messages.INT64})], "too large"),
    "an order": ([("Transpose", ["W"], "c", {"perm": [0, 0]})], "order of axes"),
    "an order of fractions": ([("Transpose", ["W"], "c", {"perm": [1.0, 0.0]})], "order of axes"),
    "no shape": ([("Reshape", ["W", "W"], "c", {})], "no list of sizes"),
    "another size": ([("Reshape", ["W", "five"], "c", {})], r"shape \[5, 2\] does not hold 12"),
    "a size below": ([("Reshape", ["W", "below"], "c", {})], "does not hold 12"),
    "two axes": ([("Unsqueeze", ["W", "below"], "c", {})], "axes are not one constant"),
    "no such axis": ([("Unsqueeze", ["W"], "c", {"axes": [4]})], "no axis 4"),
    "an axis of some size": ([("Squeeze", ["W"], "c", {"axes": [0]})], "axis 0 has not the size 1"),
    "picked": ([("Gather", ["W", "below"], "c", {})], "does not compute this of constants"),
    "nothing": ([("Add", ["W", ""], "c", {})], "it has 2 inputs"),
    "a function of a shape": ([("Shape", ["X"], "s", {}), ("Exp", ["s"], "c", {})], "it is not of numbers"),
    "an unknown shape": ([("Shape", ["X"], "s", {}), ("Concat", ["s", "W"], "c", {})], "sizes that are not known"),
    "a computed shape": ([("Shape", ["X"], "s", {}), ("Transpose", ["s"], "c", {})], "the number of samples"),
    "no constant": ([("Constant", [], "c", {"value_string": b"x"})], "constant is no number"),
    "part of a number": ([("Constant", [], "c", {"value": np.ones(2)})], "float64 of shape"),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_that_cannot_be_made(name):
    nodes, words = CONSTANTS[name]
    with pytest.raises(ValueError, match=words):
        fastbp.from_onnx(constant("c", nodes, {"W": W, "big": np.float32(1e30), "five": np.array([5, -1]),
                                               "below": np.array([-2, -6])}))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_gets_no_more_than_its_size_accounts_for(name):
    content, words = HOSTILE[name]
    with pytest.raises(ValueError, match=words):
        fastbp.from_onnx(content)


def test_the_work_on_a_file_is_bounded(monkeypatch):
    monkeypatch.setattr(reader, "WORK", (0, 1000))
    with pytest.raises(ValueError, match="more between its layers than its size accounts for"):
        fastbp.from_onnx(network((3, 4, 1), "gelu").to_onnx())


# ------------------------------------------------------------------------------------------------------ damaged files

@pytest.fixture(scope="module")
def fuzzer():
    spec = importlib.util.spec_from_file_location("fuzz_onnx", Path(__file__).parents[1] / "fuzz" / "onnx_files.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@compiled_only
def test_damaged_files_are_read_or_refused(fuzzer):
    found, wrong = fuzzer.run(range(200), seed=0)
    assert wrong == []
    assert min(found["read"], found["refused"]) > 30


def test_the_fuzzer_sees_what_it_looks_for(fuzzer, monkeypatch):
    """An exception of another type, and one that NumPy has raised."""
    def fail(content):
        return None + 1

    def theirs(content):
        try:
            np.ones(3).reshape(2, 2)
        except ValueError as error:
            raise ValueError(f"it: {error}") from error

    for reading in (fail, theirs):
        monkeypatch.setattr(reader, "layers", reading)
        assert fuzzer.run(range(1), seed=0)[1][0][1] == "wrong exception"
