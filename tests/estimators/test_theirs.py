"""scikit-learn's own tests of its MLPs, read from the installed package, with our classes in the place of its own."""

import importlib.util
import inspect
from unittest import mock

import pytest
import sklearn.neural_network

import fastbp
from fastbp.kernels.compile import JIT

PRIVATE = {
    "test_gradient": "_loss_grad_lbfgs",
    "test_learning_rate_warmstart": "_optimizer",
    "test_adaptive_learning_rate": "_optimizer",
}
"""Tests that cannot apply -> the private attribute of scikit-learn's class that they read."""

SHORT = {
    "test_fit", "test_partial_fit_classes_error", "test_partial_fit_unseen_classes", "test_partial_fit_errors",
    "test_nonfinite_params", "test_shuffle", "test_verbose_sgd", "test_early_stopping_stratified",
    "test_minimum_input_sample_size", "test_preserve_feature_names",
}  # fmt: skip
"""The others train for hundreds of epochs, which plain Python would take half an hour for."""


def load():
    """Import their module anew, under a name of its own, while scikit-learn's names stand for our classes."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    module = importlib.util.module_from_spec(spec)
    with mock.patch.multiple(sklearn.neural_network, MLPClassifier=fastbp.MLPClassifier,
                             MLPRegressor=fastbp.MLPRegressor):
        spec.loader.exec_module(module)
    return module


THEIRS = {name: test for name, test in vars(load()).items() if name.startswith("test_")}
globals().update({name: test for name, test in THEIRS.items() if name not in PRIVATE and (JIT or name in SHORT)})

# Many fits of theirs end before they converge, and say so.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def global_random_seed():
    """scikit-learn's conftest draws it; this is its default."""
    return 42


@pytest.mark.parametrize("name", PRIVATE)
def test_what_is_left_out_is_private(name):
    source = inspect.getsource(THEIRS[name])
    assert f"mlp.{PRIVATE[name]}" in source or f"clf.{PRIVATE[name]}" in source
    assert not hasattr(fastbp.MLPClassifier(max_iter=1).fit([[0.0], [1.0]], [0, 1]), PRIVATE[name])


def test_they_are_run_on_ours():
    assert len(THEIRS) > 30 and set(THEIRS) > SHORT
    module = load()
    assert module.MLPClassifier is fastbp.MLPClassifier and module.MLPRegressor is fastbp.MLPRegressor
    assert sklearn.neural_network.MLPClassifier is not fastbp.MLPClassifier
