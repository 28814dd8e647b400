"""Networks as modules of plain NumPy: run in a namespace that has NumPy alone, and compared with `predict`."""

import builtins

import numpy as np
import pytest
from helpers import DTYPES

import fastbp
from fastbp import encoders
from fastbp.formats import evaluation

RELATIVE = {"float32": 1e-6, "float64": 1e-14}
NAMES = [name for name in fastbp.activations.ACTIVATIONS if name in evaluation.KNOWN]


def module(text):
    """Run a module that may import NumPy and three modules of Python's alone; warnings are errors."""
    def some(name, *arguments):
        assert name in ("numpy", "base64", "math"), name
        return builtins.__import__(name, *arguments)

    found = {"__builtins__": vars(builtins) | {"__import__": some}}
    exec(compile(text, "network.py", "exec"), found)
    return found


def agree(found, expected, dtype):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= RELATIVE[dtype] * np.abs(expected).max()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_activation(dtype, rng):
    assert len(NAMES) >= 18
    for name in NAMES:
        softmax = name == "softmax"
        net = fastbp.Network((3, 5, 4), "tanh" if softmax else name, "softmax" if softmax else "identity", seed=1,
                             dtype=dtype)
        net.parameters += (0.1 * rng.normal(size=net.n_parameters)).astype(dtype)
        X = rng.normal(0, 3, (9, 3))
        predict = module(net.to_numpy())["predict"]
        agree(predict(X), net.predict(X), dtype)
        assert predict(X).dtype == dtype and predict(X[:0]).shape == (0, 4)
        agree(predict(X[0].tolist()), net.predict(X[0]), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_far_net_inputs_and_nan(dtype):
    """Where a layer is its function alone."""
    x = np.array([[-np.inf], [-1e30], [-200], [0], [200], [1e30], [np.inf], [np.nan]], dtype)
    for name in NAMES:
        if name in ("softmax", "sin"):  # of one number, and without a limit
            continue
        net = fastbp.Network((1, 1), output=name, init=[[[1]]], bias=False, dtype=dtype)
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(module(net.to_numpy())["predict"](x), net.predict(x), rtol=1e-6, atol=1e-30,
                                       err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_encoders_parametric_activations_and_no_biases(dtype, rng):
    found = [encoders.Periodic([0, 1], frequencies=5, size=3), encoders.Identity([2, 0]),
             encoders.OneHot(3, categories=4), encoders.Embedding(4, categories=5, size=3),
             encoders.PiecewiseLinear([2, 0], edges=[[-1, 0, 0.5, 2], [-1, 1]])]
    net = fastbp.Network((5, 4, 4), fastbp.parametric("mish"), cost="gaussian_nll", encoders=found, scaling=True,
                         bias=False, seed=0, dtype=dtype)
    net.parameters += (0.1 * rng.normal(size=net.n_parameters)).astype(dtype)
    X = np.column_stack([rng.normal(0, 2, (9, 3)), rng.integers(-1, 6, 9), rng.integers(-1, 7, 9)])
    X[:3, 3:] = np.nan
    text = net.to_numpy()
    agree(module(text)["predict"](X), net.predict(X), dtype)
    assert "all means before all logarithms" in text


def test_parameters_are_exact(rng):
    for dtype in DTYPES:
        net = fastbp.Network((3, 4, 2), seed=0, dtype=dtype)
        net.parameters[:] = rng.normal(size=net.n_parameters) * 10.0 ** rng.integers(-30, 30, net.n_parameters)
        net.weights[0][0] = [-0.0, np.finfo(dtype).tiny / 4, np.finfo(dtype).max]
        found = module(net.to_numpy())
        for i in range(2):
            for own, values in ((net.weights[i], found[f"W{i + 1}"]), (net.biases[i], found[f"b{i + 1}"])):
                assert values.dtype == own.dtype and values.tobytes() == own.tobytes()


def test_names_of_classes(rng):
    X = rng.normal(size=(9, 3))
    net = fastbp.Network((3, 3), output="softmax", cost="cross_entropy", seed=0)
    found = module(net.to_numpy(classes=["é", "b", "'c"]))
    agree(found["predict_proba"](X), net.predict(X), "float32")
    assert found["predict"](X).tolist() == [["é", "b", "'c"][i] for i in net.predict(X).argmax(axis=1)]
    assert found["predict"](X[0]) == found["predict"](X)[0]
    with pytest.raises(ValueError, match="classes has 2 names, expected 3 for 3 outputs"):
        net.to_numpy(classes=["a", "b"])
    net = fastbp.Network((3, 1), cost="binary_cross_entropy", seed=0)
    found = module(net.to_numpy(classes=np.array([3, 7])))
    assert found["predict"](X).tolist() == np.where(net.predict(X)[:, 0] > 0.5, 7, 3).tolist()
    assert found["predict_proba"](X).shape == (9, 2)


def test_estimators_bring_scalers_and_classes(rng):
    X = rng.normal(size=(30, 3)) + [0, 100, 1e6]
    y = X[:, 0] ** 2 + X[:, 1]
    settings = {"hidden_layer_sizes": (4,), "tol": 0.1, "solver": "lbfgs", "random_state": 0}
    for targets in (y, np.column_stack([y, 2 * y])):
        model = fastbp.MLPRegressor(standardize=True, **settings).fit(X, targets)
        agree(module(model.to_numpy())["predict"](X), model.predict(X), "float64")
        agree(module(model.to_numpy(dtype="float32"))["predict"](X), model.predict(X), "float32")
    model = fastbp.MLPRegressor(standardize=True, n_members=3, **settings).fit(X, y)
    agree(module(model.to_numpy())["predict"](X), model.predict(X), "float64")
    for targets in (np.where(y > 100, "high", "low"), np.full(30, "single"), np.digitize(y, [99.5, 100.5]),
                    np.column_stack([y > 99, y > 101])):
        model = fastbp.MLPClassifier(standardize=True, **settings).fit(X, targets)
        found = module(model.to_numpy())
        np.testing.assert_array_equal(found["predict"](X), model.predict(X))
        agree(found["predict_proba"](X), model.predict_proba(X), "float64")


def test_files_and_errors(tmp_path):
    net = fastbp.Network((2, 3, 1), seed=0)
    text = net.to_numpy(tmp_path / "net.py")
    assert (tmp_path / "net.py").read_text() == text and text.isascii()
    net.to_numpy(tmp_path / "Übertragung.py")  # nothing in the text names the file
    for X in (np.zeros((2, 3)), 1.0, np.zeros((1, 2, 2))):
        with pytest.raises(ValueError, match=r"X has shape .*, expected \(n_samples, 2\)"):
            module(text)["predict"](X)
    for wrong, words in (({"path": tmp_path / "net.txt"}, r"ends in \.py"), ({"dtype": "int8"}, "dtype"),
                         ({"classes": ["a"]}, "single output")):
        with pytest.raises(ValueError, match=words):
            net.to_numpy(**wrong)
