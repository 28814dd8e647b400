"""Networks from scikit-learn's MLPs and back, against scikit-learn."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

import fastbp

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
TARGETS = {
    "two": np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)],
    "three": np.array([2, 5, 9])[np.digitize(X[:, 0], [-0.5, 0.5])],
    "labels": (X[:, :2] > 0).astype(int),
    "number": X[:, 0] * X[:, 1],
    "numbers": X[:, :2] ** 2,
}


def fitted(target, activation):
    kind = MLPRegressor if "number" in target else MLPClassifier
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp = kind(hidden_layer_sizes=(5, 4), activation=activation, max_iter=3, random_state=0)
        return mlp.fit(X, TARGETS[target])


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("target", TARGETS)
def test_an_mlp_goes_to_a_network_and_back(target, activation):
    mlp = fitted(target, activation)
    network = fastbp.from_sklearn(mlp)
    assert network.dtype == np.float64 and network.layers == (3, 5, 4, network.layers[-1])
    again = network.to_sklearn(getattr(mlp, "classes_", None) if target != "labels" else None)
    assert type(again) is type(mlp) and again.n_layers_ == mlp.n_layers_ and again.n_features_in_ == 3
    np.testing.assert_array_equal(again.predict(X), mlp.predict(X))
    out = network.predict(X)
    if "number" in target:
        np.testing.assert_allclose(out.squeeze(), mlp.predict(X), rtol=1e-12, atol=1e-14)
    else:
        expected = mlp.predict_proba(X)
        np.testing.assert_allclose(out, expected[:, 1:] if target == "two" else expected, rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(again.predict_proba(X), expected)
        np.testing.assert_array_equal(again.classes_, mlp.classes_)


@pytest.mark.parametrize("target", TARGETS)
def test_scikit_learn_goes_on_with_what_it_is_given(target):
    network = fastbp.from_sklearn(fitted(target, "tanh"))
    mlp = network.to_sklearn(np.unique(TARGETS[target]) if target in ("two", "three") else None)
    before = mlp.predict(X)
    mlp.partial_fit(X, TARGETS[target])
    assert np.isfinite(mlp.loss_) and before.shape == mlp.predict(X).shape
    assert not np.array_equal(mlp.coefs_[0], network.weights[0].T)


def test_the_costs_are_those_that_it_minimises():
    names = [fastbp.from_sklearn(fitted(target, "tanh")).cost_function.name for target in TARGETS]
    assert names == ["binary_cross_entropy", "cross_entropy", "binary_cross_entropy", "squared_error", "squared_error"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        counts = MLPRegressor(hidden_layer_sizes=(3,), loss="poisson", max_iter=2, random_state=0).fit(X, abs(X[:, 0]))
    network = fastbp.from_sklearn(counts, cost="poisson", dtype="float32")
    assert (network.activations[-1], network.cost_function.name) == ("exp", "poisson")
    np.testing.assert_allclose(network.predict(X)[:, 0], counts.predict(X), rtol=1e-5)


def test_a_network_without_hidden_layers_or_biases_is_one_of_scikit_learn_too():
    network = fastbp.Network((3, 2), output="softmax", cost="cross_entropy", bias=False, scaling=True, seed=0)
    network.scaling_factors[:] = [1, 2, 3]
    mlp = network.to_sklearn([False, True])
    assert mlp.hidden_layer_sizes == () and mlp.coefs_[0].dtype == np.float32
    np.testing.assert_allclose(mlp.predict_proba(X), network.predict(X), rtol=1e-5)


@pytest.mark.parametrize(("network", "classes", "words"), [
    (lambda: fastbp.Network((3, 4, 1), "gelu"), None, "activations gelu, expected one for all of identity"),
    (lambda: fastbp.Network((3, 4, 4, 1), ["relu", "tanh"]), None, "activations relu, tanh"),
    (lambda: fastbp.Network((3, 4, 1), fastbp.parametric("relu")), None, "activations parametric"),
    (lambda: fastbp.Network((3, 4, 1), output="tanh"), None, "output layer has tanh"),
    (lambda: fastbp.Network((3, 4, 1)), [0, 1], "linear outputs, which is no classifier"),
    (lambda: fastbp.Network((3, 4, 3), cost="cross_entropy"), [0, 1], "expected 3 different ones"),
    (lambda: fastbp.Network((3, 4, 2), cost="cross_entropy"), [1, 0], "in ascending order"),
    (lambda: fastbp.Network((3, 4, 2), cost="cross_entropy"), [1, 1], "expected 2 different ones"),
    (lambda: fastbp.Network((3, 4, 2), cost="cross_entropy"), np.array([1, "a"], object), "in ascending order"),
    (lambda: fastbp.Network((3, 4, 2), cost="cross_entropy"), [None, 1], "in ascending order"),
    (lambda: fastbp.Network((2, 2), encoders=[fastbp.encoders.Periodic([0, 1])]), None, "no place for encoders"),
])
def test_what_scikit_learn_lacks_is_refused(network, classes, words):
    with pytest.raises(ValueError, match=words):
        network().to_sklearn(classes)


def test_what_is_no_mlp_is_refused():
    with pytest.raises(TypeError, match="a MLPRegressor without coefs_"):
        fastbp.from_sklearn(MLPRegressor())
    with pytest.raises(TypeError, match="a int without"):
        fastbp.from_sklearn(3)
    for n_members in (1, 2):  # of whose scalers a network knows nothing
        own = fastbp.MLPRegressor(hidden_layer_sizes=(2,), standardize=True, n_members=n_members, solver="lbfgs",
                                  tol=1e9)
        with pytest.raises(TypeError, match="MLPRegressor of fastbp is given, expected one of scikit-learn"):
            fastbp.from_sklearn(own.fit(X, X[:, 0]))
    mlp = fitted("number", "tanh")
    mlp.coefs_ = mlp.coefs_[:1]
    with pytest.raises(ValueError, match="coefs_ have the shapes"):
        fastbp.from_sklearn(mlp)
