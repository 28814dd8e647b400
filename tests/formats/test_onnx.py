"""ONNX out: onnxruntime, and where it is absent fastbp itself, computes what `predict` does."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import compiled_only, network
from mpmath import mp
from sklearn.exceptions import NotFittedError

import fastbp
from fastbp import encoders
from fastbp.formats.onnx import builder, functions, writer
from fastbp.formats.onnx.operators import Arrays

WIDE = {"float32": 1e-6, "float64": 3e-15}
"""Largest difference, relative to the largest output: rounding, in another order of sums."""


@pytest.fixture(scope="module")
def onnx():
    return pytest.importorskip("onnx", reason="onnx is not installed")


@pytest.fixture(scope="module")
def runtime():
    found = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    found.set_default_logger_severity(3)
    return found


@pytest.fixture
def run(onnx, runtime):
    """Check a model as onnx does, and compute its outputs by onnxruntime."""

    def outputs(content, X):
        onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        assert [port.shape for port in session.get_inputs()] == [["N", X.shape[1]]]
        return session.run(None, {"X": X})

    return outputs


def same(found, expected, dtype, factor=1.0):
    assert found.dtype == dtype and found.shape == expected.shape
    assert np.abs(found - expected).max() <= factor * WIDE[dtype] * np.abs(expected).max()


@pytest.mark.parametrize("name", sorted(functions.NAMES))
def test_the_runtime_computes_every_activation(name, run, rng):
    """In both precisions, and with the operators of newer versions; also far out."""
    hidden = "tanh" if name in ("softmax", "exp") else name  # of exp(exp(x)) rounding leaves little
    for dtype in ("float32", "float64"):
        net = network((3, 5, 4), hidden, name, "cross_entropy" if name == "softmax" else "squared_error", dtype=dtype)
        X = rng.normal(size=(60, 3)).astype(dtype)
        X[:10] *= 1 if name == "sin" else 30
        for opset in (13, 20):
            same(run(net.to_onnx(opset=opset, dtype=dtype), X)[0], net.predict(X), dtype)


def test_what_operators_make_of_gelu_in_double_is_right(rng):
    """They have no error function."""
    x = np.concatenate([np.linspace(-14, 14, 200), [-1e-3, 1e-3, -40, 40]])
    found = functions.activated(Arrays(), "gelu", x, double=True, opset=13)
    expected = [float(mp.mpf(value) * mp.ncdf(mp.mpf(value))) for value in x]
    np.testing.assert_allclose(found, expected, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_alphas_and_layers_without_biases(dtype, run, rng):
    X = rng.normal(size=(20, 3)).astype(dtype)
    parametric = network((3, 6, 5, 2), [fastbp.parametric("selu", 0.3), fastbp.parametric("gelu")], dtype=dtype)
    parametric.alphas[1][:] = [0.5, -1, 0, 2, 1]
    for net in (parametric, network((3, 6, 1), bias=False, dtype=dtype), network((3, 1), dtype=dtype)):
        for rows in (X, X[:1]):
            same(run(net.to_onnx(dtype=dtype), rows)[0], net.predict(rows), dtype, factor=3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_encoders_are_in_the_graph(dtype, run, rng):
    """With codes that are missing, unseen and NaN, and numbers beyond the edges."""
    given = [encoders.Identity([0, 3]), encoders.OneHot(1, 4), encoders.Embedding(1, 5, 3),
             encoders.Periodic([0, 2], 5, 4), encoders.PiecewiseLinear([0, 3], [[-1, 0, 0.5, 2], [0, 1]]),
             encoders.Periodic(3, 4, 2)]
    net = network((4, 6, 2), fastbp.parametric("mish", 0.5), encoders=given, scaling=True, dtype=dtype)
    X = rng.normal(size=(70, 4)).astype(dtype)
    X[:, 1] = np.arange(70) % 8 - 1
    X[::9, 1] = np.nan
    same(run(net.to_onnx(dtype=dtype), X)[0], net.predict(X), dtype, factor=5)
    alone = network((4, 6, 2), scaling=True, dtype=dtype)
    X[:, 1] = 1
    same(run(alone.to_onnx(dtype=dtype), X)[0], alone.predict(X), dtype)


def random_encoders(rng, n):
    """Encoders of n columns: codes in one of them, the others read by one or two."""
    code, rest = int(rng.integers(n)), list(range(n))
    rest.remove(code)
    found = [encoders.Embedding(code, 4, int(rng.integers(1, 4))) if rng.random() < 0.5 else encoders.OneHot(code, 4)]
    if rest:
        found += [encoders.Identity(rest), encoders.Periodic(rest, int(rng.integers(1, 5)), int(rng.integers(2, 4)))]
    return [found[i] for i in rng.permutation(len(found))]


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed, onnx, run):
    """Runtime and reference compute what predict does, and what has no encoders comes back."""
    from onnx.reference import ReferenceEvaluator

    rng = np.random.default_rng(seed)
    known = sorted(functions.NAMES - {"exp", "softmax", "identity"})
    sizes = rng.integers(1, 9, rng.integers(2, 6))
    hidden = [fastbp.parametric(name, 0.7) if rng.random() < 0.3 else name
              for name in rng.choice(known, len(sizes) - 2).tolist()]
    given = random_encoders(rng, int(sizes[0])) if rng.random() < 0.4 else None
    dtype, opset = str(rng.choice(["float32", "float64"])), int(rng.choice(list(builder.IR_VERSIONS)))
    net = network(sizes, hidden, str(rng.choice(known)), seed=seed, bias=bool(rng.random() < 0.8), dtype=dtype,
                  encoders=given, scaling=bool(rng.random() < 0.3))
    X = rng.normal(size=(int(rng.integers(1, 40)), int(sizes[0]))).astype(dtype)
    if given is not None:
        X[:, next(encoder.column for encoder in given if encoder.reads_codes)] = np.arange(len(X)) % 6 - 1
    content, expected = net.to_onnx(opset=opset, dtype=dtype), net.predict(X)
    same(run(content, X)[0], expected, dtype, factor=10)
    np.testing.assert_allclose(ReferenceEvaluator(content).run(None, {"X": X})[0], expected, rtol=1e-4,
                               atol=1e-5 if dtype == "float32" else 1e-13)
    if not net.encoders:
        again = fastbp.from_onnx(content, cost="squared_error")
        np.testing.assert_allclose(again.predict(X), expected, atol=1e-5 if dtype == "float32" else 1e-11)


def test_the_reference_of_onnx_agrees(onnx, rng):
    """And counts on no behaviour of onnxruntime's."""
    from onnx.reference import ReferenceEvaluator

    net = network((2, 4, 3), "gelu", "softmax", "cross_entropy", encoders=[
        encoders.Periodic(0, 3), encoders.Embedding(1, 3, 2)])
    X = np.c_[rng.normal(size=9), np.arange(9) % 5 - 1].astype(np.float32)
    np.testing.assert_allclose(ReferenceEvaluator(net.to_onnx()).run(None, {"X": X})[0], net.predict(X), atol=1e-6)


def test_a_file_has_the_lowest_version_that_serves(onnx):
    net = network((2, 3, 1), "gelu")
    for opset, version in builder.IR_VERSIONS.items():
        made = onnx.load_from_string(net.to_onnx(opset=opset))
        assert [(part.domain, part.version) for part in made.opset_import] == [("", opset)]
        assert made.ir_version == version
        assert version == onnx.helper.find_min_ir_version_for(list(made.opset_import))
    kinds = [node.op_type for node in onnx.load_from_string(net.to_onnx(opset=20)).graph.node]
    assert kinds == ["Gemm", "Gelu", "Gemm"]


def test_names_are_identifiers_and_unlike(onnx):
    """As the specification asks for."""
    net = network((3, 4, 2), fastbp.parametric("gelu"), encoders=[encoders.Periodic([0, 1]), encoders.OneHot(2, 3)],
                  scaling=True, dtype="float64")
    for content in (net.to_onnx(), net.to_onnx(dtype="float64")):
        graph = onnx.load_from_string(content).graph
        made = [node.output[0] for node in graph.node] + [tensor.name for tensor in graph.initializer] + ["X"]
        assert len(made) == len(set(made)) and all(name.isidentifier() and name.isascii() for name in made)
        assert {node.name for node in graph.node} <= set(made)


def test_a_network_in_double_is_written_in_single_by_default(run, rng):
    net = network((3, 5, 2), dtype="float64")
    X = rng.normal(size=(9, 3))
    same(run(net.to_onnx(), X.astype(np.float32))[0], net.predict(X).astype(np.float32), "float32")


def test_files(tmp_path):
    net = network((3, 5, 2), "mish")
    path = tmp_path / "net.onnx"
    assert net.to_onnx(path) is None
    assert path.read_bytes() == net.to_onnx() == net.copy().to_onnx()
    with pytest.raises(OSError):
        net.to_onnx(tmp_path / "nowhere" / "net.onnx")


@pytest.mark.parametrize(("options", "words"), [
    ({"opset": 12}, "opset is 12, expected at least 13"),
    ({"opset": 29}, "opset is 29, expected at most 28"),
    ({"opset": "13"}, "opset is '13', expected a whole number"),
    ({"dtype": "float16"}, "dtype is 'float16', expected 'float32' or 'float64'"),
    ({"dtype": "x"}, "dtype is 'x'"),
])
def test_settings_that_do_not_fit(options, words):
    with pytest.raises((ValueError, TypeError), match=re.escape(words)):
        network((2, 1)).to_onnx(**options)


def test_what_cannot_be_written_is_refused_by_name(monkeypatch):
    wide = network((2, 1), dtype="float64")
    wide.weights[0][:] = 1e300
    with pytest.raises(ValueError, match="layer1_weights has numbers that are not finite in float32: use dtype"):
        wide.to_onnx()
    assert fastbp.from_onnx(wide.to_onnx(dtype="float64")).weights[0][0, 0] == 1e300
    wide.weights[0][:] = np.nan
    with pytest.raises(ValueError, match="not finite in float64"):
        wide.to_onnx(dtype="float64")
    monkeypatch.setattr("fastbp.formats.onnx.messages.MOST_BYTES", 100)
    with pytest.raises(ValueError, match="the file would have .* bytes"):
        network((2, 9, 1)).to_onnx()
    monkeypatch.setattr(functions, "NAMES", frozenset())  # as of one that is registered
    with pytest.raises(ValueError, match="activation 'tanh' has no operators of ONNX"):
        network((2, 3, 1)).to_onnx()


# --------------------------------------------------------------------------------------------------- there and back

@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_activation_comes_back(dtype):
    """To the bit, from the operators of each version."""
    for name in sorted(functions.NAMES):
        hidden, cost = ("tanh", "cross_entropy") if name == "softmax" else (name, "squared_error")
        net = network((3, 5, 4, 2), [hidden, "relu"], name, cost, dtype=dtype)
        for opset in (13, 20):
            again = fastbp.from_onnx(net.to_onnx(opset=opset, dtype=dtype), cost=cost)
            assert (again.layers, again.activations, again.dtype) == (net.layers, net.activations, net.dtype)
            np.testing.assert_array_equal(again.parameters, net.parameters)


def test_parametric_activations_come_back(rng):
    X = rng.normal(size=(20, 3))
    for name in sorted(functions.NAMES - {"identity", "softmax", "exp"}):
        net = network((3, 5, 2), fastbp.parametric(name), dtype="float64")
        net.alphas[0][:] = [0.5, -0.7, 0, 2, 1]
        again = fastbp.from_onnx(net.to_onnx(dtype="float64"))
        assert again.alphas[0].size == 5, name
        np.testing.assert_allclose(again.predict(X), net.predict(X), atol=1e-12, err_msg=name)


def test_a_network_that_comes_back_can_be_trained(rng):
    net = network((3, 8, 1), "silu", "logistic", "binary_cross_entropy")
    again = fastbp.from_onnx(net.to_onnx())
    X = rng.normal(size=(64, 3)).astype(np.float32)
    Y = (X[:, 0] > 0).astype(np.float32)
    assert again.fit(X, Y, epochs=5, optimizer=fastbp.Adam(0.05)).cost(X, Y) < net.cost(X, Y)
    assert fastbp.from_onnx(net.to_onnx(), dtype="float64", cost="squared_error").dtype == np.float64


# ------------------------------------------------------------------------------------------------------- estimators

def fitted(estimator, y):
    X = np.random.default_rng(0).normal(size=(90, 4)) * [1, 10, 0.1, 1] + [1e6, 0, 3, 0]
    sums = X[:, 1] / 10 + X[:, 3]
    targets = {"one": sums, "two": np.c_[sums, X[:, 2]], "bool": sums > 0, "letters": np.array(["no", "yes", "-"])[
        np.arange(90) % 3], "pair": np.array(["b", "a"], object)[(sums > 0) * 1], "floats": np.arange(90) % 3 * 2.0,
        "labels": np.c_[sums > 0, sums < 1, X[:, 2] > 3].astype(int), "single": np.full(90, 7)}[y]
    if y == "floats":
        X = np.round(X, 1)
    return X, estimator(hidden_layer_sizes=(6,), max_iter=3, random_state=0), targets


CASES = [("MLPRegressor", "one", {}), ("MLPRegressor", "two", {"standardize": True}),
         ("MLPRegressor", "one", {"standardize": True, "n_members": 3, "resample": "bootstrap"}),
         ("MLPClassifier", "bool", {"standardize": True}), ("MLPClassifier", "letters", {"standardize": True}),
         ("MLPClassifier", "pair", {"standardize": True, "n_members": 2}),
         ("MLPClassifier", "floats", {"n_members": 2, "standardize": True}),
         ("MLPClassifier", "labels", {"standardize": True}), ("MLPClassifier", "single", {})]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("kind", "y", "options"), CASES,
                         ids=lambda value: value if isinstance(value, str) else ",".join(value))
def test_estimators_answer_as_they_do(kind, y, options, run):
    """Targets in their units, classes by name; also of inputs that float32 hardly tells apart before scaling."""
    X, estimator, targets = fitted(getattr(fastbp, kind), y)
    estimator.set_params(**options).fit(X, targets)
    for dtype in ("float32", "float64"):
        rows = X.astype(dtype)
        found = run(estimator.to_onnx(dtype=dtype), rows)
        if kind == "MLPRegressor":
            expected = estimator.predict(rows)
            same(found[0], expected.astype(dtype), dtype, factor=10)
            continue
        labels, probabilities = found
        np.testing.assert_array_equal(labels, estimator.predict(rows).astype(labels.dtype))
        assert labels.dtype == (object if y in ("letters", "pair") else np.int64)
        assert probabilities.shape == estimator.predict_proba(rows).shape and probabilities.dtype == dtype
        np.testing.assert_allclose(probabilities, estimator.predict_proba(rows), atol=10 * WIDE[dtype])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_networks_come_back_out_of_estimators():
    """Scalers go into the weights; a classifier's end is cut off."""
    for kind, y in (("MLPRegressor", "two"), ("MLPClassifier", "bool"), ("MLPClassifier", "letters"),
                    ("MLPClassifier", "labels")):
        X, estimator, targets = fitted(getattr(fastbp, kind), y)
        X = X - [1e6, 0, 0, 0]
        estimator.set_params(standardize=True, dtype="float64").fit(X, targets)
        net = fastbp.from_onnx(estimator.to_onnx(dtype="float64"))
        expected = estimator.predict(X) if kind == "MLPRegressor" else estimator.predict_proba(X)
        np.testing.assert_allclose(net.predict(X), expected[:, 1:] if y == "bool" else expected, rtol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimators_that_cannot_be_written_say_why():
    with pytest.raises(NotFittedError):
        fastbp.MLPRegressor().to_onnx()
    with pytest.raises(ValueError, match=r"classes are \[0.5, 1.0\], of which ONNX has neither"):
        writer._names(builder.Builder(13, "float32"), (0.5, 1.0))
    X, estimator, targets = fitted(fastbp.MLPRegressor, "one")
    estimator.set_params(standardize=True).fit(X * [1, 1e-60, 1, 1], targets)
    with pytest.raises(ValueError, match="use dtype='float64'"):
        estimator.to_onnx()
    with pytest.raises(AttributeError, match=r"TabularRegressor has no to_onnx: .* as ONNX.*ensemble_\[i\].to_onnx"):
        fastbp.TabularRegressor().to_onnx("x.onnx")
    assert not hasattr(fastbp.TabularClassifier(), "to_onnx")


@compiled_only
def test_the_example_with_a_runtime_runs(runtime, tmp_path, monkeypatch):
    """Of docs/how-to/formats.md; those without onnxruntime run with the other documents."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "formats.md"
    blocks = re.findall(r"^```py\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    block, = [block for block in blocks if "onnxruntime" in block]
    monkeypatch.chdir(tmp_path)
    exec(compile(block, str(page), "exec"), {})
