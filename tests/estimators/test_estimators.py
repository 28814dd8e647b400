"""MLPClassifier and MLPRegressor beside scikit-learn's, among its tools, and what they have beyond."""

import pickle
import re
import warnings
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from helpers import few
from scipy import sparse
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_multilabel_classification
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, mean_poisson_deviance, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import compute_sample_weight
from sklearn.utils.estimator_checks import estimator_checks_generator

import fastbp
from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.estimators import _epochs
from fastbp.estimators._base import _Samples
from fastbp.kernels.compile import JIT
from fastbp.optimizers import OPTIMIZERS
from fastbp.training.line_search import LineSearches

OURS = [MLPClassifier, MLPRegressor]
# A fit of a few epochs ends before it converges, and says so; what matters here says so by pytest.warns.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def digits(n=0, classes=10):
    X, y = load_digits(n_class=classes, return_X_y=True)
    n = n or few(300, 40)
    return X[:n] / 16, y[:n]


def diabetes():
    X, y = load_diabetes(return_X_y=True)
    n = few(200, 40)
    return X[:n] / X.std(axis=0), y[:n] / 100


def several():
    X, y = diabetes()
    return X, np.column_stack([y, np.sqrt(y), X[:, 0]])


def labels():
    return make_multilabel_classification(few(150, 40), 10, random_state=0)


DATA = {
    "classes": (MLPClassifier, digits), "two": (MLPClassifier, lambda: digits(few(100, 40), 2)),
    "labels": (MLPClassifier, labels), "one output": (MLPRegressor, diabetes), "outputs": (MLPRegressor, several),
    "counts": (MLPRegressor, lambda: (diabetes()[0] / 3, np.round(diabetes()[1] * 3))),
}  # fmt: skip
"""Name -> our class, samples. Counts go with the Poisson loss."""

FIT = dict(hidden_layer_sizes=(7, 5), max_iter=few(8, 2), random_state=3)


def pair(name, **parameters):
    """Return ours and scikit-learn's, alike, and their samples."""
    kind, data = DATA[name]
    settings = FIT | parameters | ({"loss": "poisson"} if name == "counts" else {})
    return kind(**settings), getattr(theirs, kind.__name__)(**settings), data()


def agree(ours, other, tolerance=1e-10):
    """Losses and weights agree; both have moved from where they began."""
    assert ours.n_iter_ == other.n_iter_ and ours.t_ == other.t_
    np.testing.assert_allclose(ours.loss_curve_, other.loss_curve_, rtol=0, atol=tolerance)
    for found, expected in zip(ours.coefs_ + ours.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        assert found.shape == expected.shape and found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


# ------------------------------------------------------------------------------------------- beside scikit-learn's

SOLVERS = [
    dict(solver="sgd", momentum=0, learning_rate_init=0.01), dict(solver="sgd", learning_rate_init=0.01),
    dict(solver="sgd", nesterovs_momentum=False, learning_rate_init=0.01),
    dict(solver="sgd", learning_rate="invscaling", learning_rate_init=0.05, power_t=0.3),
    dict(solver="sgd", learning_rate="adaptive", learning_rate_init=0.01, tol=10, n_iter_no_change=1),
    dict(solver="adam"), dict(solver="adam", epsilon=1e-2, beta_1=0.7, beta_2=0.9, learning_rate_init=0.02),
]  # fmt: skip


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize("name", few(list(DATA), ["two", "outputs"]))
def test_losses_and_weights_agree_in_full_batches(name, solver):
    ours, other, (X, y) = pair(name, batch_size=len(DATA[name][1]()[0]), shuffle=False, alpha=0.1, **solver)
    start = ours.set_params(max_iter=1).fit(X, y).coefs_[0].copy()
    agree(ours.set_params(max_iter=FIT["max_iter"]).fit(X, y), other.fit(X, y))
    assert not np.array_equal(ours.coefs_[0], start)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("name", few(list(DATA), ["two", "counts"]))
def test_losses_and_weights_agree_in_shuffled_batches(name, activation):
    """Beyond what was asked for: the shuffles are scikit-learn's too. The last batch is a smaller one."""
    ours, other, (X, y) = pair(name, activation=activation, batch_size=32, alpha=0.1)
    agree(ours.fit(X, y), other.fit(X, y))


@pytest.mark.parametrize("name", ["classes", "outputs", "counts"])
def test_losses_and_weights_agree_with_weights_and_early_stopping(name):
    ours, other, (X, y) = pair(name, early_stopping=True, tol=0.05, n_iter_no_change=2, max_iter=few(60, 4))
    X, y = X[:200], y[:200]  # one batch, see the next test
    weight = np.random.default_rng(0).uniform(0.2, 2, len(X))
    ours.fit(X, y, weight)
    other.fit(X, y, weight)
    agree(ours, other)
    np.testing.assert_allclose(ours.validation_scores_, other.validation_scores_, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.best_validation_score_, other.best_validation_score_, rtol=0, atol=1e-10)


def test_several_weighted_batches_agree_in_weights():
    """The losses are means of the batches by weight here, by number of samples there: both are stated."""
    ours, other, (X, y) = pair("one output", batch_size=32)
    weight = np.random.default_rng(0).uniform(0.2, 2, len(X))
    ours.fit(X, y, weight)
    other.fit(X, y, weight)
    ours.loss_curve_ = other.loss_curve_ = []
    agree(ours, other)


@pytest.mark.parametrize("name", [name for name in DATA if name != "outputs"])
def test_lbfgs_reaches_the_same_minimum(name):
    iterations = few(60, 5)
    ours, other, (X, y) = pair(name, solver="lbfgs", max_iter=iterations, alpha=1.0, activation="tanh")
    ours.fit(X, y)
    other.fit(X, y)
    assert ours.n_iter_ == other.n_iter_
    assert ours.loss_ == pytest.approx(other.loss_, rel=few(1e-4, 1e-9))
    assert ours.loss_ == pytest.approx(ours.loss_curve_[-1]) and len(ours.loss_curve_) == ours.n_iter_
    assert ours.loss_ < ours.loss_curve_[0]


def test_lbfgs_of_several_outputs_reaches_the_minimum():
    """Of a linear model, whose minimum is known.

    scikit-learn's line search is given the mean of the loss over outputs with the gradient of its sum, so that its path
    is another.
    """
    X, y = several()
    mlp = MLPRegressor("squared_error", (), solver="lbfgs", tol=1e-8, alpha=2.0, max_iter=1000,
                       random_state=0).fit(X, y)
    ridge = Ridge(alpha=2.0).fit(X, y)
    np.testing.assert_allclose(mlp.coefs_[0].T, ridge.coef_, atol=1e-4)
    np.testing.assert_allclose(mlp.intercepts_[0], ridge.intercept_, atol=1e-4)
    penalty = (mlp.coefs_[0] ** 2).sum() / len(X)
    assert mlp.loss_ == pytest.approx(0.5 * ((mlp.predict(X) - y) ** 2).mean() + penalty, rel=1e-9)


@pytest.mark.parametrize("name", ["classes", "one output"])
def test_partial_fit_and_warm_start_agree(name):
    ours, other, (X, y) = pair(name, batch_size=32)
    classes = {"classes": np.unique(y)} if name == "classes" else {}
    for mlp in (ours, other):
        for _ in range(3):
            mlp.partial_fit(X, y, **classes)
    agree(ours, other)
    for mlp in (ours, other):
        mlp.set_params(warm_start=True, learning_rate_init=0.01).fit(X, y)
        mlp.partial_fit(X[:32], y[:32])
    agree(ours, other)


@pytest.mark.parametrize("name", ["classes", "two", "labels", "one output", "outputs"])
def test_predictions_and_attributes_agree(name):
    ours, other, (X, y) = pair(name)
    ours.fit(X, y)
    other.fit(X, y)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(other, method):
            found, expected = getattr(ours, method)(X), getattr(other, method)(X)
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert ours.score(X, y) == pytest.approx(other.score(X, y), abs=1e-9)
    public = {key for key in vars(other) if key.endswith("_") and not key.startswith("_")}
    assert public <= set(vars(ours))
    for key in public - {"coefs_", "intercepts_", "loss_curve_", "loss_", "best_loss_"}:
        np.testing.assert_equal(getattr(ours, key), getattr(other, key))
    methods = {key for key in dir(type(other)) if not key.startswith("_")}
    assert methods <= set(dir(type(ours)))


@pytest.mark.parametrize("kind", OURS)
def test_parameters_and_defaults_are_theirs(kind):
    other = getattr(theirs, kind.__name__)()
    defaults = kind().get_params()
    assert {name: defaults[name] for name in other.get_params()} == other.get_params()
    # A call with positional arguments means the same.
    first = {"MLPClassifier": [(3,), "tanh"], "MLPRegressor": ["poisson", (3,), "tanh"]}[kind.__name__]
    again = type(other)(*first).get_params()
    assert {name: kind(*first).get_params()[name] for name in again} == again


def test_what_is_checked_once_is_refused_as_ever():
    """Plain arrays and defaults pass without scikit-learn's checks, which then must not be needed."""
    X, y = diabetes()
    settings = dict(hidden_layer_sizes=(4,), max_iter=2, random_state=0)
    mlp = MLPRegressor(**settings).fit(X, y)
    assert mlp.predict(np.full_like(X, 1e307)).shape == y.shape, "finite, though the sum is not"
    for wrong, says in ((np.where(X == X[3, 1], np.inf, X), "infinity"), (X[:, 1:], "9 features"), (X[0], "1D array"),
                        (X[:0], "0 sample"), (X.astype(complex), "Complex data")):
        with pytest.raises(ValueError, match=says):
            mlp.predict(wrong)
    named = MLPRegressor(**settings).fit(pd.DataFrame(X).add_prefix("x"), y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(named.predict(X), mlp.predict(X))
    named.fit(X, y)
    assert not hasattr(named, "feature_names_in_") and named.n_features_in_ == X.shape[1]

    class Odd(MLPRegressor):
        def __init__(self, alpha=-1.0):
            super().__init__(alpha=alpha)

    with pytest.raises(ValueError, match="'alpha' parameter of Odd must be"):
        Odd().fit(X, y)


@pytest.mark.parametrize("seed", [7, np.int64(7), "a generator"])
def test_batches_are_shuffled_as_theirs(seed):
    """From a seed in the same way again and again, with a generator as it goes on."""
    X, y = diabetes()
    ours, other = (kind(hidden_layer_sizes=(4,), batch_size=8,
                        random_state=np.random.RandomState(7) if seed == "a generator" else seed)
                   for kind in (MLPRegressor, theirs.MLPRegressor))
    for _ in range(3):
        agree(ours.partial_fit(X, y), other.partial_fit(X, y))


@pytest.mark.parametrize("kind", ["integers", "strings", "floats", "flags", "two", "two strings"])
def test_classes_that_are_known_are_theirs(kind):
    X, y = digits(40, 3)
    names = {"integers": y, "strings": np.array(["c", "a", "b"])[y], "floats": y - 1.0, "flags": y == 1,
             "two": (y == 1) * 1, "two strings": np.array(["no", "yes"])[(y == 1) * 1]}[kind]
    ours, other = (each(hidden_layer_sizes=(4,), random_state=0) for each in (MLPClassifier, theirs.MLPClassifier))
    for mlp in (ours, other):
        for rows in (slice(None), slice(10)):
            mlp.partial_fit(X[rows], names[rows], classes=np.unique(names))
    found, expected = ours.predict(X), other.predict(X)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(ours.predict_proba(X), other.predict_proba(X), atol=1e-10)
    if kind != "flags":
        with pytest.raises(ValueError, match="has classes not in"):
            ours.partial_fit(X[:2], np.array(["z", "a"] if "strings" in kind else [17, 0]).astype(names.dtype))


@pytest.mark.parametrize("name", ["two", "one output"])
def test_verbose_prints_the_same_lines(name, capsys):
    ours, other, (X, y) = pair(name, verbose=True, early_stopping=True, n_iter_no_change=1, tol=10, solver="sgd",
                               learning_rate="adaptive", max_iter=5)
    ours.fit(X, y)
    mine = capsys.readouterr().out
    other.fit(X, y)
    assert mine == capsys.readouterr().out
    assert "Iteration 1, loss = " in mine and "Setting learning rate to" in mine


BAD = [
    dict(alpha=-1), dict(max_iter=0), dict(learning_rate_init=0), dict(momentum=2), dict(shuffle="yes"),
    dict(batch_size=0), dict(validation_fraction=1.0), dict(beta_1=1.0), dict(random_state="a"), dict(tol=-1),
    dict(n_iter_no_change=0.5), dict(hidden_layer_sizes=(3, 0)), dict(hidden_layer_sizes=(-1,)),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=str)
@pytest.mark.parametrize("name", ["two", "one output"])
def test_errors_are_theirs(name, bad):
    ours, other, (X, y) = pair(name, **bad)
    with pytest.raises(ValueError) as expected:
        other.fit(X, y)
    with pytest.raises(type(expected.value), match=re.escape(str(expected.value))):
        ours.fit(X, y)
    assert not hasattr(ours, "coefs_")


@pytest.mark.parametrize("spoil", ["NaN", "short y", "features", "strings", "1d"])
@pytest.mark.parametrize("name", ["two", "one output"])
def test_errors_about_data_are_theirs(name, spoil):
    ours, other, (X, y) = pair(name)
    bad = {"NaN": (np.where(X == X[0, 0], np.nan, X), y), "short y": (X, y[:-1]), "features": (X, y),
           "strings": (np.full(X.shape, "a"), y), "1d": (X[:, 0], y)}[spoil]
    for mlp in (ours, other):
        if spoil == "features":
            mlp.fit(X, y)
    found = []
    for mlp in (ours, other):
        with pytest.raises(ValueError) as raised:
            mlp.predict(X[:, 1:]) if spoil == "features" else mlp.fit(*bad)
        found.append((type(raised.value), str(raised.value)))
    assert found[0] == found[1]


def test_not_fitted():
    for kind in OURS:
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            kind().predict([[0.0]])
        by_hand = kind()
        by_hand.coefs_, by_hand.intercepts_ = [np.ones((1, 1))], [np.ones(1)]
        for mlp in (kind(), by_hand):
            with pytest.raises(NotFittedError, match="is not fitted yet"):
                _ = mlp.network_
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            kind(hidden_layer_sizes=[2.5]).fit([[0.0], [1.0]], [0, 1])


def test_a_warning_points_at_the_users_line():
    with pytest.warns(ConvergenceWarning) as caught:
        MLPRegressor(max_iter=1).fit(*diabetes())
    assert caught[0].filename == __file__


def test_warnings_are_theirs():
    for name in ("two", "one output"):
        ours, other, (X, y) = pair(name, batch_size=10**6, max_iter=2)
        found = []
        for mlp in (ours, other):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                mlp.fit(X, y)
            found.append([(w.category, str(w.message)) for w in caught])
        assert found[0] == found[1] and len(found[0]) == 2


def test_ctrl_c_ends_the_fit_with_a_warning():
    def interrupt(record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Training interrupted by user"):
        mlp = MLPRegressor(callbacks=[interrupt]).fit(*diabetes())
    assert mlp.n_iter_ == 2 and mlp.predict(diabetes()[0]).shape == (len(diabetes()[0]),)


# ------------------------------------------------------------------------------------------- among scikit-learn's tools

@pytest.mark.skipif(not JIT, reason="128 checks of up to 100 epochs take minutes in plain Python")
@pytest.mark.parametrize("kind", OURS)
def test_scikit_learns_checks(kind):
    """Every check of `check_estimator`, with the iterations that it gives its own MLPs. None is expected to fail."""
    names = []
    for estimator, check in estimator_checks_generator(kind(max_iter=100)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(estimator)
        except pytest.skip.Exception as skipped:
            names.append(str(skipped))
        except Exception as error:
            if type(error).__name__ != "SkipTest":
                raise AssertionError(f"{check.func.__name__}: {error}") from error
            names.append(check.func.__name__)
    assert set(names) <= {"check_array_api_input", "check_classifiers_multilabel_output_format_decision_function"}


@pytest.mark.skipif(not JIT, reason="12 s to start two processes, in which nothing would be compiled or shared")
def test_a_search_in_two_processes():
    X, y = load_iris(return_X_y=True)
    mlp = make_pipeline(StandardScaler(), MLPClassifier((5,), max_iter=40, random_state=0))
    grid = {"mlpclassifier__alpha": [1e-4, 1.0]}
    found = [GridSearchCV(mlp, grid, cv=2, n_jobs=jobs).fit(X, y) for jobs in (1, 2)]
    np.testing.assert_array_equal(found[0].cv_results_["mean_test_score"], found[1].cv_results_["mean_test_score"])


def test_joblib_leaves_a_worker_its_share():
    seen = joblib.Parallel(n_jobs=2)(joblib.delayed(fastbp.util.machine.processors)() for _ in range(2))
    assert max(seen) <= max(1, (joblib.cpu_count() + 1) // 2)


def test_threads_at_once():
    """In joblib's threads, where each fit has its own network: no deadlock, the same result."""
    X, y = digits(few(200, 30))
    fits = [MLPClassifier((6,), max_iter=3, random_state=0, n_threads=2) for _ in range(4)]
    done = joblib.Parallel(n_jobs=2, prefer="threads")(joblib.delayed(mlp.fit)(X, y) for mlp in fits)
    for mlp in done:
        np.testing.assert_array_equal(mlp.coefs_[0], done[0].coefs_[0])


def test_ensembles_calibration_and_cross_validation():
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    mlp = MLPClassifier((8,), max_iter=few(60, 2), learning_rate_init=0.05, random_state=0)
    bag = BaggingClassifier(mlp, n_estimators=3, random_state=0).fit(X, y)
    calibrated = CalibratedClassifierCV(mlp, cv=2).fit(X, y)
    scores = cross_val_score(mlp, X, y, cv=3)
    if JIT:
        assert bag.score(X, y) > 0.9 and calibrated.score(X, y) > 0.9 and scores.mean() > 0.9
    assert calibrated.predict_proba(X).shape == (150, 3)


def test_importance_of_permuted_features(rng):
    X = rng.normal(size=(few(300, 60), 3))
    mlp = MLPRegressor("squared_error", (8,), max_iter=few(100, 30), learning_rate_init=0.02, random_state=0)
    done = permutation_importance(mlp.fit(X, 3 * X[:, 1]), X, 3 * X[:, 1], random_state=0, n_repeats=3)
    found = done.importances_mean
    assert found.argmax() == 1 and found[1] > 10 * max(found[0], found[2])


def frames():
    X = np.random.default_rng(0).normal(size=(20, 2))
    yield pd.DataFrame(X, columns=["a", "b"]), pd.DataFrame(X[:, ::-1], columns=["b", "a"])
    polars = pytest.importorskip("polars")
    yield polars.DataFrame(X, schema=["a", "b"]), polars.DataFrame(X[:, ::-1], schema=["b", "a"])


@pytest.mark.parametrize("which", [0, 1], ids=["pandas", "polars"])
def test_frames_keep_the_names_of_features(which):
    made = frames()
    for _ in range(which):
        next(made)
    X, turned = next(made)
    y = np.arange(20) % 2
    mlp = MLPClassifier((3,), max_iter=2, early_stopping=True, random_state=0).fit(X, y)
    assert list(mlp.feature_names_in_) == ["a", "b"]
    with pytest.raises(ValueError, match="feature names should match"):
        mlp.predict(turned)
    scaled = make_pipeline(StandardScaler(), MLPRegressor("squared_error", (3,), max_iter=2))
    scaled.set_output(transform=X.__module__.partition(".")[0] if which else "pandas").fit(X, y)
    assert list(scaled[-1].feature_names_in_) == ["a", "b"]


def test_metadata_is_routed():
    X, y = diabetes()
    with sklearn.config_context(enable_metadata_routing=True):
        mlp = MLPRegressor("squared_error", (3,), max_iter=3, random_state=0).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        routed = make_pipeline(scaler, mlp).fit(X, y, sample_weight=np.arange(len(y)) + 1.0)
        plain = make_pipeline(scaler, clone(mlp)).fit(X, y)
    assert not np.array_equal(routed[-1].coefs_[0], plain[-1].coefs_[0])


@pytest.mark.parametrize("kind", OURS)
def test_files_and_copies(kind, tmp_path):
    """What is loaded predicts the same bits, shares its weights with its own network, and learns on."""
    X, y = digits(few(100, 30), 2)
    mlp = kind(hidden_layer_sizes=(4,), max_iter=3, random_state=0).fit(X, y)
    joblib.dump(mlp, tmp_path / "mlp.joblib")
    loaded = joblib.load(tmp_path / "mlp.joblib")
    for again in (loaded, pickle.loads(pickle.dumps(mlp))):
        np.testing.assert_array_equal(again.predict(X), mlp.predict(X))
        assert np.shares_memory(again.coefs_[0], again.network_.parameters)
    for both in (mlp, loaded):
        both.partial_fit(X, y)
    np.testing.assert_array_equal(loaded.coefs_[1], mlp.coefs_[1])
    fresh = clone(mlp)
    assert not hasattr(fresh, "coefs_") and fresh.get_params() == mlp.get_params()


# ------------------------------------------------------------------------------------------------- weights and networks

def test_weights_are_views_and_may_be_replaced():
    X, y = diabetes()
    mlp = MLPRegressor("squared_error", (4,), max_iter=2, random_state=0).fit(X, y)
    assert [c.shape for c in mlp.coefs_] == [(10, 4), (4, 1)] and mlp.intercepts_[0].shape == (4,)
    assert all(np.shares_memory(c, mlp.network_.parameters) for c in mlp.coefs_ + mlp.intercepts_)
    by_hand = np.maximum(X @ mlp.coefs_[0] + mlp.intercepts_[0], 0) @ mlp.coefs_[1] + mlp.intercepts_[1]
    np.testing.assert_allclose(mlp.predict(X), by_hand[:, 0], atol=1e-12)
    mlp.coefs_[1][:] = 0
    np.testing.assert_array_equal(mlp.predict(X), np.full(len(X), mlp.intercepts_[1][0]))
    given = [np.ones((10, 4)), np.ones((4, 1))]
    mlp.coefs_, mlp.intercepts_[1] = given, np.array([7.0])
    expected = np.maximum(X.sum(1, keepdims=True) + mlp.intercepts_[0], 0).sum(1) + 7
    np.testing.assert_allclose(mlp.predict(X), expected)
    assert mlp.coefs_[0] is not given[0] and (mlp.coefs_[0] == 1).all()
    mlp.partial_fit(X, y)
    assert (given[0] == 1).all()
    mlp.coefs_ = given[:1]
    message = "coefs_ has arrays of shapes [(10, 4)], expected [(10, 4), (4, 1)]"
    with pytest.raises(ValueError, match=re.escape(message)):
        mlp.predict(X)


def test_first_weights_are_given(rng):
    X, y = diabetes()
    coefs, intercepts = [rng.normal(size=(10, 3)), rng.normal(size=(3, 1))], [rng.normal(size=3), rng.normal(size=1)]
    mlp = MLPRegressor("squared_error", (3,), max_iter=1, coefs_init=coefs, intercepts_init=intercepts, solver="sgd",
                       learning_rate_init=1e-12).fit(X, y)
    for found, expected in zip(mlp.coefs_ + mlp.intercepts_, coefs + intercepts, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9)
    with pytest.raises(ValueError, match="coefs_init has arrays of shapes"):
        mlp.set_params(coefs_init=coefs[:1]).fit(X, y)


def test_networks_are_wrapped(rng):
    X, y = diabetes()
    net = Network((10, 4, 1), dtype="float64", seed=0).fit(X, y, epochs=3)
    mlp = MLPRegressor.from_network(net, learning_rate_init=0.01)
    np.testing.assert_array_equal(mlp.predict(X), net.predict(X))
    assert mlp.network_ is net and mlp.score(X, y) == r2_score(y, net.predict(X))
    before = net.parameters.copy()
    mlp.partial_fit(X, y)
    assert mlp.network_ is net and not np.array_equal(net.parameters, before)
    many = Network((10, 4, 3), "silu", cost="cross_entropy", seed=0)
    wrapped = MLPClassifier.from_network(many, classes=["a", "b", "c"])
    assert set(wrapped.predict(X)) <= {"a", "b", "c"} and wrapped.predict_proba(X).shape == (len(X), 3)
    assert list(wrapped.predict(X)) == [wrapped.classes_[i] for i in many.predict(X).argmax(axis=1)]
    both = MLPClassifier.from_network(Network((10, 2), cost="binary_cross_entropy", seed=0))
    assert both.predict(X).shape == (len(X), 2)
    with pytest.raises(ValueError, match="2 logistic outputs are labels of their own, which have no names"):
        MLPClassifier.from_network(both.network_, classes=["a", "b"])
    one = MLPClassifier.from_network(Network((10, 1), cost="binary_cross_entropy", seed=0))
    assert set(one.predict(X)) <= {0, 1}
    with pytest.raises(ValueError, match="3 identity outputs, expected softmax"):
        MLPClassifier.from_network(Network((10, 3)))
    with pytest.raises(ValueError, match="expected 3 sorted names"):
        MLPClassifier.from_network(many, classes=["b", "a", "c"])
    with pytest.raises(ValueError, match="relu outputs, expected identity"):
        MLPRegressor.from_network(Network((10, 1), output="relu"))


@pytest.mark.parametrize("flat", [False, True])
def test_a_wrapped_network_keeps_the_shape_of_its_results(flat):
    X, y = diabetes()
    net = Network((10, 4, 1), seed=0)
    net.flat = flat
    seen = []
    mlp = MLPRegressor.from_network(net, callbacks=[lambda record: seen.append(record.network.flat)])
    mlp.partial_fit(X, y).partial_fit(X, y)
    classifier = MLPClassifier.from_network(both := Network((10, 1), cost="binary_cross_entropy", seed=0))
    both.flat = flat
    classifier.partial_fit(X, y > y.mean())
    assert net.flat is both.flat is flat and seen == [flat] * 2
    np.testing.assert_array_equal(mlp.predict(X), net.predict(X).ravel())


def test_dropout_that_is_set_later_is_drawn_from_random_state():
    X, y = diabetes()
    found = []
    for _ in range(2):
        mlp = MLPRegressor(hidden_layer_sizes=(8,), random_state=0, max_iter=2)
        plain = mlp.partial_fit(X, y).partial_fit(X, y).coefs_[0].copy()
        mlp.dropout = 0.5
        for _ in range(2):
            mlp.partial_fit(X, y)
        found.append(mlp.coefs_[0].copy())
        assert not np.array_equal(plain, found[-1])
        generator = mlp.network_.generator.bit_generator.state
        mlp.partial_fit(X, y)
        assert mlp.network_.generator.bit_generator.state == generator  # seeded once
        warm = MLPRegressor(hidden_layer_sizes=(8,), random_state=0, max_iter=2, warm_start=True).fit(X, y)
        found.append(warm.set_params(dropout=0.5).fit(X, y).coefs_[0])
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[3])


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_settings_are_looked_at_once_and_each_change_acts(solver):
    """What a name stands for is one object as long as nothing changes."""
    mlp = MLPRegressor(solver=solver, dropout=[0.5])
    one, with_list = mlp._make_optimizer(), mlp._regularization()
    assert clone(mlp)._make_optimizer() is one and with_list.dropout == (0.5,)
    mlp.set_params(learning_rate_init=0.5, alpha=0.3, dropout=0.0)
    assert mlp._make_optimizer() != one and mlp._make_optimizer().learning_rate == 0.5
    assert mlp._regularization() is mlp._regularization() and mlp._regularization().l2 == 0.3
    with pytest.raises(ValueError, match="learning_rate"):
        mlp.set_params(learning_rate_init=-1)._make_optimizer()


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 10**30])
def test_whole_numbers_of_any_size_are_limits_or_errors(number):
    X, y = diabetes()
    lbfgs = MLPRegressor(hidden_layer_sizes=(2,), solver="lbfgs", random_state=0, tol=0.05)
    expected = clone(lbfgs).fit(X, y)
    for name in ("max_iter", "max_fun", "batch_size", "n_iter_no_change"):
        np.testing.assert_array_equal(clone(lbfgs).set_params(**{name: number}).fit(X, y).coefs_[0], expected.coefs_[0])
    net = Network((10, 2, 1), seed=0)
    for last in (5, 8):
        net.fit(X, y, epochs=number, optimizer="lbfgs", callbacks=[lambda record, last=last: record.epoch >= last],
                resume=True)
        assert len(net.history) == last
    mlp = MLPRegressor(hidden_layer_sizes=(2,), n_members=number)
    with pytest.raises(ValueError, match=r"n_members is .* this machine has"):
        mlp.fit(X, y)
    assert not hasattr(mlp, "estimators_")


@pytest.mark.parametrize("optimizer", [fastbp.SGD(0.3), "lbfgs"], ids=str)
def test_partial_fit_leaves_the_optimizers_of_others(optimizer):
    """What trained the network before it was wrapped, and what the user trains it with in between."""
    X, y = diabetes()
    net = Network((10, 4, 1), dtype="float64", seed=0).fit(X, y, epochs=2, optimizer=optimizer)
    fresh = MLPRegressor.from_network(Network((10, 4, 1), dtype="float64", seed=0), shuffle=False, batch_size=32)
    fresh.network_.parameters[:] = net.parameters
    mlp = MLPRegressor.from_network(net, shuffle=False, batch_size=32).partial_fit(X, y)
    np.testing.assert_array_equal(mlp.coefs_[0], fresh.partial_fit(X, y).coefs_[0])
    net.fit(X, y, epochs=1, optimizer=optimizer)
    fresh = MLPRegressor.from_network(Network((10, 4, 1), dtype="float64", seed=0), shuffle=False, batch_size=32)
    fresh.network_.parameters[:] = net.parameters
    np.testing.assert_array_equal(mlp.partial_fit(X, y).coefs_[0], fresh.partial_fit(X, y).coefs_[0])


def test_partial_fit_after_a_full_batch_method():
    """It steps with Adam, a batch at a time."""
    X, y = diabetes()
    mlp = MLPRegressor("squared_error", (4,), solver=fastbp.LBFGS(), max_iter=3, random_state=0, shuffle=False)
    mlp.fit(X, y)
    fresh = MLPRegressor.from_network(mlp.network_.copy(), shuffle=False, batch_size=16)
    mlp.set_params(solver="adam", batch_size=16).partial_fit(X, y)
    np.testing.assert_array_equal(mlp.coefs_[0], fresh.partial_fit(X, y).coefs_[0])


def test_a_wrapped_classifier_keeps_its_cost():
    X, y = load_iris(return_X_y=True)
    net = Network((4, 3), output="softmax", cost="binary_cross_entropy", dtype="float64", seed=0)
    mlp = MLPClassifier.from_network(net).partial_fit(X, y)
    assert mlp.network_ is net and net.cost_function.name == "binary_cross_entropy"
    canonical = Network((4, 3), cost="cross_entropy", dtype="float64", seed=0)
    assert MLPClassifier.from_network(canonical).partial_fit(X, y).network_ is canonical


FAILS = [dict(coefs_init=[np.zeros((2, 2))]), dict(intercepts_init=[np.zeros(7)]), dict(dropout=(0.1, 0.2)),
         dict(dropout=0.5, solver="lbfgs"), dict(early_stopping=True, validation_fraction=0.001), dict(loss="poisson")]


@pytest.mark.parametrize("settings", FAILS, ids=str)
def test_a_fit_that_fails_leaves_what_there_was(settings):
    """No random weights that predict, and no half of another network."""
    X, y = diabetes()
    y = y - 2.0
    first = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0).set_params(**settings)
    with pytest.raises(ValueError):
        first.fit(X, y)
    assert not hasattr(first, "coefs_") and not hasattr(first, "n_features_in_")
    with pytest.raises(NotFittedError):
        first.predict(X)
    good = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X, y)
    expected, network = good.predict(X), good.network_
    with pytest.raises(ValueError):
        good.set_params(**{"hidden_layer_sizes": (3,), **settings}).fit(X, y)
    assert good.network_ is network and good.n_iter_ == 2 and (good.predict(X) == expected).all()


# ------------------------------------------------------------------------------------- between calls of partial_fit

SET = [
    (dict(solver="adam"), dict(learning_rate_init=0.01)), (dict(solver="adam"), dict(beta_1=0.5)),
    (dict(solver="adam"), dict(beta_2=0.5)), (dict(solver="adam"), dict(epsilon=1.0)),
    (dict(solver="adam"), dict(solver="sgd")), (dict(solver="adam"), dict(solver="lion")),
    (dict(solver="sgd"), dict(learning_rate_init=0.01)), (dict(solver="sgd"), dict(momentum=0.5)),
    (dict(solver="sgd"), dict(nesterovs_momentum=False)), (dict(solver="sgd"), dict(momentum=0)),
    (dict(solver="sgd", momentum=0), dict(momentum=0.9)), (dict(solver="sgd"), dict(learning_rate="invscaling")),
    (dict(solver="sgd", learning_rate="invscaling"), dict(learning_rate="constant")),
    (dict(solver="sgd", learning_rate="invscaling"), dict(power_t=0.1)),
    (dict(solver="sgd", learning_rate="invscaling"), dict(learning_rate_init=0.01)),
    (dict(solver="rmsprop"), dict(learning_rate_init=0.01)),
    (dict(solver=fastbp.Adam(0.01)), dict(solver=fastbp.Adam(0.02))),
    (dict(solver=fastbp.Adam(0.01)), dict(solver=fastbp.Adagrad())),
]  # fmt: skip


@pytest.mark.parametrize(("before", "change"), SET, ids=str)
def test_settings_between_two_calls_of_partial_fit_act(before, change):
    X, y = diabetes()
    mlp = MLPRegressor("squared_error", (4,), random_state=0, **{"learning_rate_init": 0.003} | before)
    for _ in range(2):
        mlp.partial_fit(X, y)
    changed = pickle.loads(pickle.dumps(mlp)).set_params(**change)
    same = mlp.network_.copy()
    changed.partial_fit(X, y)
    mlp.partial_fit(X, y)
    assert (mlp.network_.parameters != same.parameters).any()
    assert (changed.network_.parameters != mlp.network_.parameters).any()
    assert changed.t_ == mlp.t_ and len(changed.loss_curve_) == 3
    if "solver" not in change and bool(change.get("momentum", 1)) and mlp.momentum:
        anew = MLPRegressor.from_network(same, **{name: value for name, value in changed.get_params().items()
                                                  if name not in ("hidden_layer_sizes", "activation", "dtype", "loss")})
        anew.t_ = mlp.t_ - len(y)
        anew.partial_fit(X, y)
        assert (changed.network_.parameters != anew.network_.parameters).any(), "its state is kept"


@pytest.mark.parametrize(("settings", "change", "rate"), [
    (dict(), dict(learning_rate_init=0.02), lambda t: 0.02),
    (dict(learning_rate="invscaling"), dict(), lambda t: 0.01 / (t + 1) ** 0.5),
    (dict(learning_rate="invscaling"), dict(learning_rate_init=0.02), lambda t: 0.02 / (t + 1) ** 0.5),
    (dict(learning_rate="invscaling"), dict(learning_rate="constant"), lambda t: 0.01),
    (dict(learning_rate="invscaling"), dict(power_t=1000), lambda t: 0.0),
    (dict(), dict(learning_rate="invscaling"), lambda t: 0.01 / (t + 1) ** 0.5),
    (dict(learning_rate="adaptive", tol=10, n_iter_no_change=1), dict(), lambda t: 0.01 / 5),
    (dict(learning_rate="adaptive", tol=10, n_iter_no_change=1), dict(alpha=1), lambda t: 0.01 / 5),
    (dict(learning_rate="adaptive", tol=10, n_iter_no_change=1), dict(learning_rate_init=0.02), lambda t: 0.02),
    (dict(learning_rate="adaptive", tol=10, n_iter_no_change=1), dict(learning_rate="constant"), lambda t: 0.01),
], ids=lambda value: None if callable(value) else str(value))  # fmt: skip
def test_the_rate_that_partial_fit_goes_on_with(settings, change, rate):
    X, y = diabetes()
    seen = []
    mlp = MLPRegressor("squared_error", (4,), solver="sgd", learning_rate_init=0.01, random_state=0,
                       callbacks=[lambda record: seen.append(record.learning_rate)], **settings)
    for _ in range(3):
        mlp.partial_fit(X, y)
    mlp.set_params(**change).partial_fit(X, y)
    assert seen[0] == 0.01 and seen[3] == pytest.approx(rate(3 * len(y)), rel=1e-12)


@pytest.mark.parametrize(("change", "says"), [
    (dict(hidden_layer_sizes=(5,)), r"hidden_layer_sizes is \[5\], but the network that learns on has \[4\]"),
    (dict(dtype="float32"), "dtype is 'float32', but the network that learns on has 'float64'"),
])
def test_what_a_network_that_learns_on_cannot_take_is_a_warning(change, says):
    X, y = diabetes()
    mlp = MLPRegressor("squared_error", 4, random_state=0, warm_start=True).partial_fit(X, y).set_params(**change)
    for fit in (mlp.partial_fit, mlp.set_params(max_iter=2).fit):
        with pytest.warns(UserWarning, match=says) as told:
            fit(X, y)
        assert any(warning.filename == __file__ for warning in told)
    mlp.set_params(warm_start=False).fit(X, y)


@pytest.mark.parametrize("spoil", ["NaN", "class", "labels", "setting", "classes"])
def test_a_first_partial_fit_that_fails_leaves_no_classes(spoil):
    X, y = digits(40, 3)
    bad = X.copy()
    bad[0, 0] = np.nan
    mlp = MLPClassifier((4,), random_state=0, callbacks=[5] if spoil == "setting" else None)
    before = set(vars(mlp))
    with pytest.raises((ValueError, TypeError)):
        if spoil == "NaN":
            mlp.partial_fit(bad, y, classes=["no", "such", "classes"])
        elif spoil == "classes":
            mlp.partial_fit(X, y, classes=[[1, 2], [3]])
        elif spoil == "labels":
            mlp.partial_fit(X, np.eye(4)[y][:7], classes=[0, 1, 2, 3])
        else:
            mlp.partial_fit(X, y, classes=[5, 6, 7] if spoil == "class" else [0, 1, 2])
    assert set(vars(mlp)) == before
    mlp.set_params(callbacks=None).partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_array_equal(mlp.classes_, [0, 1, 2])
    with pytest.raises(ValueError, match="classes=.* is not the same as on last call"):
        mlp.partial_fit(X, y, classes=[5, 6, 7])
    np.testing.assert_array_equal(mlp.classes_, [0, 1, 2])


@pytest.mark.parametrize("classes", [2, 3])
def test_a_batch_may_lack_a_class_with_warm_start_too(classes):
    X, y = digits(60, classes)
    mlps = [MLPClassifier((4,), random_state=0, warm_start=warm) for warm in (False, True)]
    for mlp in mlps:
        for part in (y > 0, y == 0, y >= 0):
            mlp.partial_fit(X[part], y[part], classes=np.arange(classes))
        with pytest.raises(ValueError, match="has classes not in"):
            mlp.partial_fit(X, y + 1)
    assert (mlps[0].network_.parameters == mlps[1].network_.parameters).all()
    with pytest.raises(ValueError, match="warm_start can only be used where"):
        mlps[1].fit(X[y == 0], y[y == 0])


# ------------------------------------------------------------------------------------------------ ways out of a fit


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_best_weights_are_put_back_whatever_a_callback_raises(kind, error):
    X, y = digits(100, 3)
    weights = []

    def fail(record):
        weights.append(record.network.parameters.copy())
        if record.epoch == 9:
            raise error("by the user")

    mlp = kind(hidden_layer_sizes=(4,), random_state=0, early_stopping=True, learning_rate_init=0.5,
               n_iter_no_change=20, callbacks=[fail])
    if error is KeyboardInterrupt:
        with pytest.warns(UserWarning, match="interrupted"):
            mlp.fit(X, y)
    else:
        with pytest.raises(error, match="by the user"):
            mlp.fit(X, y)
    best = int(np.argmax(mlp.validation_scores_))
    assert best < 8 and mlp.n_iter_ == 9
    assert (mlp.network_.parameters == weights[best]).all()


def test_an_error_before_training_leaves_weights_that_were_put_in():
    X, y = diabetes()
    mlp = MLPRegressor("squared_error", (4,), random_state=0, early_stopping=True, warm_start=True, max_iter=3)
    mlp.fit(X, y)
    mlp.coefs_[0][:] = 7
    before = mlp.network_.parameters.copy()
    with pytest.raises(TypeError):
        mlp.set_params(callbacks=[5]).fit(X, y)
    assert (mlp.network_.parameters == before).all()


@pytest.mark.parametrize("settings", [{}, {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.01},
                                      {"n_iter_no_change": np.inf, "max_iter": 20}], ids=str)
def test_epochs_between_which_nothing_is_done_run_together(settings, capsys):
    """To print each loss they come back one by one: weights, losses and the generator's state are the same."""
    X, y = diabetes()
    fits, given = [], {"n_iter_no_change": 3, "max_iter": 60, "tol": 1e-3} | settings
    for verbose in (False, True):
        generator = np.random.RandomState(5)
        mlp = MLPRegressor("squared_error", (4,), random_state=generator, verbose=verbose, batch_size=16, **given)
        mlp.fit(X, y)
        assert mlp.n_iter_ == len(mlp.loss_curve_) == len(mlp.network_.history)
        fits.append((mlp.network_.parameters, mlp.loss_curve_, mlp.best_loss_, mlp.t_, mlp._no_improvement_count,
                     generator.random_sample()))
    for one, other in zip(*fits, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("early", [False, True])
def test_what_is_not_finite_is_no_improvement(early, monkeypatch):
    """Losses and scores that are NaN or infinite: patience runs out, and the best is a number."""
    X, y = diabetes()
    values = iter([1.0, np.nan, -np.inf if not early else np.inf, np.inf, np.nan, *[0.5] * 9])
    monkeypatch.setattr(MLPRegressor, "_loss", lambda *args: 1.0 if early else next(values))
    monkeypatch.setattr(MLPRegressor, "_scorer", lambda mlp, kept: lambda record: next(values))
    mlp = MLPRegressor("squared_error", (4,), random_state=0, early_stopping=early, n_iter_no_change=3).fit(X, y)
    assert mlp.n_iter_ == 5
    assert mlp.best_validation_score_ == 1 if early else mlp.best_loss_ == 1


def test_a_callback_may_change_the_weights_of_lbfgs():
    X, y = diabetes()
    costs = []

    def prune(record):
        if record.epoch in (5, 8):
            record.network.parameters[::2] = 0
        costs.append(record.network.cost(X, y))

    settings = dict(hidden_layer_sizes=(4,), solver="lbfgs", random_state=0, alpha=0, callbacks=[prune])
    mlp = MLPRegressor(max_iter=40, **settings).fit(X, y)
    loss = np.array(mlp.loss_curve_)
    assert mlp.n_iter_ == len(loss) == 40
    assert loss[5] < costs[4] != pytest.approx(loss[4]) and loss[8] < costs[7]
    assert mlp.network_.cost(X, y) == pytest.approx(loss[-1], rel=1e-9) and loss[-1] < costs[7]
    stopped = MLPRegressor(max_iter=8, **settings).fit(X, y)
    assert stopped.n_iter_ == 8 and (stopped.network_.parameters[::2] == 0).all()


def test_lbfgs_trains_by_the_loop_of_all_fits(tmp_path):
    """Its iterations are in the network's history; there is no training to go on from, in memory or in a checkpoint."""
    X, y = diabetes()
    path, records = tmp_path / "net", []
    mlp = MLPRegressor(hidden_layer_sizes=(4,), solver="adam", max_iter=3, random_state=0, warm_start=True).fit(X, y)
    assert mlp.network_._progress is not None
    mlp.set_params(solver="lbfgs", alpha=0, max_iter=6, callbacks=[records.append, fastbp.Checkpoint(path, every=6)])
    mlp.fit(X, y, validation_data=(X[:50], y[:50]))
    history = mlp.network_.history
    assert history.epoch.tolist() == [record.epoch for record in records] == [1, 2, 3, 4, 5, 6]
    assert history.cost.tolist() == mlp.loss_curve_[3:] == [record.cost for record in records]
    assert history.validation_cost.tolist() == mlp.validation_loss_curve_
    assert [record.updates for record in records] == [1, 2, 3, 4, 5, 6]
    assert np.isnan(records[0].learning_rate)
    with pytest.raises(ValueError, match="has no learning rate that a callback could set"):
        records[0].set_learning_rate(0.1)
    loaded = Network.load(path)
    assert mlp.network_._progress is None and loaded._progress is None
    np.testing.assert_array_equal(loaded.parameters, mlp.network_.parameters)
    assert mlp.network_.fit(X, y, epochs=2, resume=True).history.epoch.tolist() == [1, 2]


def test_lbfgs_takes_a_limit_of_any_size():
    X, y = diabetes()
    some, all_of_them = (MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", random_state=0, max_iter=5,
                                      max_fun=limit).fit(X, y) for limit in (15000, 10**400))
    np.testing.assert_array_equal(some.predict(X), all_of_them.predict(X))


def test_lbfgs_that_is_interrupted_is_left_at_an_iterate(monkeypatch):
    """Ctrl-C within an evaluation, in a line search: weights go back to those of the last iteration in the record."""
    X, y = diabetes()
    settings = dict(hidden_layer_sizes=(4,), solver="lbfgs", random_state=0, alpha=0)
    path = []
    listen = [lambda record: path.append(record.network.parameters.copy())]
    MLPRegressor(max_iter=9, callbacks=listen, **settings).fit(X, y)
    for after in range(2, 14):
        mlp, calls, call = MLPRegressor(max_iter=9, **settings), [], LineSearches.call

        def interrupted(self, calls=calls, after=after, call=call):
            calls.append(None)
            if len(calls) > after:
                raise KeyboardInterrupt
            self.blocks = 1
            call(self)

        with monkeypatch.context() as patch:
            patch.setattr(LineSearches, "call", interrupted)
            try:
                mlp.fit(X, y)
            except KeyboardInterrupt:
                pass
        done = mlp.n_iter_ if hasattr(mlp, "coefs_") else 0
        if done:
            assert len(mlp.network_.history) == done
            np.testing.assert_array_equal(mlp.network_.parameters, path[done - 1])
        else:
            assert after < 4, "the first iteration has a few evaluations"


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_estimators_share_no_early_stopping_at_the_same_time(solver):
    X, y = diabetes()
    stopping, errors = fastbp.EarlyStopping(50), []

    def inner(record):
        try:
            MLPRegressor("squared_error", (4,), solver=solver, max_iter=3, callbacks=[stopping]).fit(X, y)
        except RuntimeError as error:
            errors.append(str(error))
        return True

    MLPRegressor("squared_error", (4,), solver=solver, max_iter=3, callbacks=[stopping, inner]).fit(X, y)
    assert len(errors) == 1 and "give each fit one of its own" in errors[0]


def test_a_warm_start_with_other_outputs():
    X, y = several()
    mlp = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0, warm_start=True).fit(X, y)
    expected = mlp.predict(X)
    with pytest.raises(ValueError, match="y needs 1 outputs, but the network that is to learn on has 3"):
        mlp.fit(X, y[:, 0])
    np.testing.assert_array_equal(mlp.predict(X), expected)


# ---------------------------------------------------------------------------------------------- sparse matrices, dtypes

@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix])
@pytest.mark.parametrize("settings", [dict(solver="adam"), dict(solver="lbfgs"), dict(early_stopping=True),
                                      dict(standardize=True)], ids=str)
def test_sparse_gives_what_dense_gives(container, settings):
    X, y = digits(few(150, 30), 3)
    X[X < 0.3] = 0
    fits = [MLPClassifier((5,), max_iter=3, random_state=0, **settings) for _ in range(2)]
    if "standardize" in settings:  # sparse inputs are not centred
        dense = MLPClassifier((5,), max_iter=3, random_state=0).fit(StandardScaler(with_mean=False).fit_transform(X), y)
        np.testing.assert_allclose(fits[1].fit(container(X), y).coefs_[0], dense.coefs_[0], rtol=0, atol=1e-12)
        return
    for mlp, inputs in zip(fits, (X, container(X)), strict=True):
        mlp.fit(inputs, y)
        assert mlp.coefs_[0].dtype == X.dtype
    np.testing.assert_array_equal(fits[1].coefs_[0], fits[0].coefs_[0])
    np.testing.assert_array_equal(fits[1].predict_proba(container(X)), fits[0].predict_proba(X))
    if settings == dict(solver="adam"):
        bits = [mlp.partial_fit(inputs, y).coefs_[0] for mlp, inputs in zip(fits, (X, container(X)), strict=True)]
        np.testing.assert_array_equal(*bits)


@pytest.mark.parametrize("kind", OURS)
def test_dtypes_are_kept_or_chosen(kind):
    X, y = digits(few(100, 30), 2)
    X32, copy = X.astype(np.float32), X.copy()
    narrow = kind(hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X32, y)
    assert narrow.network_.dtype == np.float32 and narrow.intercepts_[0].dtype == np.float32
    chosen = kind(hidden_layer_sizes=(4,), max_iter=2, random_state=0, dtype="float32").fit(X, y)
    assert chosen.network_.dtype == np.float32
    np.testing.assert_array_equal(chosen.coefs_[0], narrow.coefs_[0])
    assert kind(hidden_layer_sizes=(4,), max_iter=2).fit((X * 16).astype(int), y).network_.dtype == np.float64
    assert (X == copy).all()


# ------------------------------------------------------------------------------------------------ beyond scikit-learn's

def test_activations_by_layer_and_by_the_user():
    X, y = digits(few(150, 30), 3)
    mlp = MLPClassifier((6, 5), ("gelu", "sin"), max_iter=3, random_state=0).fit(X, y)
    assert mlp.network_.activations == ("gelu", "sin", "softmax")
    again = clone(mlp).fit(X, y)
    np.testing.assert_array_equal(again.coefs_[0], mlp.coefs_[0])
    with pytest.raises(ValueError, match="activation has 1 names, expected 2"):
        MLPClassifier((6, 5), ("gelu",)).fit(X, y)
    with pytest.raises(ValueError, match="The 'activation' parameter of MLPClassifier must be a str among"):
        MLPClassifier(activation="gellu").fit(X, y)


@pytest.mark.parametrize("solver", [*OPTIMIZERS, fastbp.Rprop(), fastbp.Adam(0.02), fastbp.LBFGS(memory=5),
                                    fastbp.SGD(fastbp.schedules.Cosine(0.02, 30), 0.9)], ids=str)
def test_every_solver_learns(solver):
    X, y = several()
    mlp = MLPRegressor("squared_error", (6,), "tanh", solver=solver, max_iter=few(30, 3), random_state=0,
                       learning_rate_init=0.01, standardize=True, n_iter_no_change=100, alpha=0.3).fit(X, y)
    assert mlp.loss_curve_[-1] < mlp.loss_curve_[0]
    assert mlp.n_iter_ == len(mlp.loss_curve_)
    if not isinstance(mlp._make_optimizer(), fastbp.optimizers.UpdateRule):  # these tell the loss after a step
        alpha = 0 if solver == "bayesianregularization" else 0.3  # it has a penalty of its own
        penalty = 0.5 * alpha * sum((c**2).sum() for c in mlp.coefs_) / len(X)
        errors = mlp.network_.predict(mlp.input_scaler_.transform(X)) - mlp.target_scaler_.transform(y)
        assert mlp.loss_ == pytest.approx(0.5 * (errors**2).mean() + penalty, rel=1e-9)


def test_partial_fit_is_there_for_epochs_only():
    assert hasattr(MLPRegressor(solver="rmsprop"), "partial_fit")
    assert hasattr(MLPRegressor(solver=fastbp.SGD()), "partial_fit")
    for solver in ("lbfgs", "rprop", fastbp.LBFGS()):
        with pytest.raises(AttributeError, match="has no attribute 'partial_fit'"):
            _ = MLPRegressor(solver=solver).partial_fit


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "log_cosh", "quantile", fastbp.huber(0.3)], ids=str)
def test_other_losses_of_a_regressor(loss):
    X, y = diabetes()
    mlp = MLPRegressor(loss, (6,), max_iter=few(30, 5), learning_rate_init=0.02, random_state=0, alpha=0).fit(X, y)
    assert mlp.loss_curve_[-1] < mlp.loss_curve_[0]
    assert mlp.network_.cost_function == fastbp.costs.get(loss)
    assert mlp.predict(X).shape == y.shape


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_a_loss_is_the_same_by_name_and_as_an_object(loss):
    X, y = several()
    fits = [MLPRegressor(kind, (4,), max_iter=2, random_state=0).fit(X, np.abs(y))
            for kind in (loss, fastbp.costs.get(loss))]
    assert fits[0].loss_curve_ == fits[1].loss_curve_


@pytest.mark.parametrize("name", ["classes", "two", "labels"])
@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy"])
def test_other_losses_of_a_classifier(name, loss):
    ours, _, (X, y) = pair(name)
    ours.set_params(loss=loss, max_iter=few(30, 5), learning_rate_init=0.02, early_stopping=True).fit(X, y)
    assert ours.loss_curve_[-1] < ours.loss_curve_[0]
    assert len(ours.validation_loss_curve_) == ours.n_iter_


@pytest.mark.parametrize("name", ["two", "labels", "classes"])
def test_cross_entropy_is_the_log_loss(name):
    """Of logistic outputs too, for which it would be least where all are 1."""
    ours, _, (X, y) = pair(name)
    for loss in ("cross_entropy", fastbp.costs.get("cross_entropy")):
        again = clone(ours).set_params(loss=loss).fit(X, y)
        np.testing.assert_array_equal(again.coefs_[0], clone(ours).fit(X, y).coefs_[0])


@pytest.mark.parametrize("loss", ["gaussian_nll", fastbp.gaussian_nll(0.5)])
@pytest.mark.parametrize("name", ["one output", "outputs", "classes"])
def test_a_loss_with_two_outputs_for_each_target_is_refused(name, loss):
    ours, _, (X, y) = pair(name)
    with pytest.raises(ValueError, match=r"loss is .*gaussian_nll.*expected a cost with one"):
        ours.set_params(loss=loss).fit(X, y)
    assert not hasattr(ours, "coefs_")


def test_losses_of_samples_kept_back_have_no_weights(monkeypatch):
    """Half the mean Poisson deviance of the counts kept back, also where the samples have weights."""
    X, y = DATA["counts"][1]()
    split, kept = _epochs._split, []

    def listen(mlp, data):
        parts = split(mlp, data)
        kept.append(parts[1])
        return parts

    monkeypatch.setattr(_epochs, "_split", listen)
    mlp = MLPRegressor("poisson", (5,), max_iter=1, random_state=0, early_stopping=True)
    mlp.fit(X, y, np.random.default_rng(0).uniform(0.1, 5, len(y)))
    expected = 0.5 * mean_poisson_deviance(kept[0].targets[:, 0], mlp.predict(kept[0].X))
    assert mlp.validation_loss_curve_ == [pytest.approx(expected)]


def test_losses_of_samples_kept_back():
    X, y = diabetes()
    mlp = MLPRegressor("squared_error", (5,), max_iter=4, random_state=0, shuffle=False, alpha=0.5)
    mlp.fit(X[:-20], y[:-20], validation_data=(X[-20:], y[-20:]))
    expected = 0.5 * np.mean((mlp.predict(X[-20:]) - y[-20:]) ** 2)
    assert mlp.validation_loss_curve_[-1] == pytest.approx(expected) and len(mlp.validation_loss_curve_) == 4
    assert mlp.validation_scores_ is None
    early = clone(mlp).set_params(early_stopping=True).fit(X[:-20], y[:-20], validation_data=(X[-20:], y[-20:]))
    assert early.t_ == 4 * (len(X) - 20), "nothing else is kept back"
    best = int(np.argmax(early.validation_scores_))
    assert early.score(X[-20:], y[-20:]) == pytest.approx(early.validation_scores_[best])
    with pytest.raises(ValueError, match="expected a pair"):
        mlp.fit(X, y, validation_data=X)
    other = MLPClassifier((3,), max_iter=2)
    with pytest.raises(ValueError, match="`y` has classes not in"):
        other.fit(X, y > 1.5, validation_data=(X, np.full(len(X), 7)))


def test_samples_kept_back_that_give_no_score():
    X, y = digits(few(100, 40), 2)
    for kind in OURS:
        mlp = kind(hidden_layer_sizes=(3,), max_iter=2, early_stopping=True, random_state=0)
        state = np.random.RandomState(0)  # it draws the first weights, then the samples
        for n_in, n_out in ((64, 3), (3, 1)):
            state.uniform(size=(n_in, n_out)), state.uniform(size=n_out)
        weight = np.zeros(len(y))
        weight[train_test_split(np.arange(len(y)), random_state=state, test_size=0.1,
                                stratify=y if kind is MLPClassifier else None)[0]] = 1
        with pytest.raises(ValueError, match="samples kept back for early stopping have weight 0: give validation_da"):
            mlp.fit(X, y, weight)
    with pytest.raises(ValueError, match="validation_data has 1 row, but early stopping of a regressor needs two"):
        MLPRegressor(early_stopping=True).fit(X, y, validation_data=(X[:1], y[:1]))


@pytest.mark.parametrize("settings", [{}, {"standardize": True}, {"dtype": "float32"}, {"solver": "sgd"}])
def test_scores_of_each_epoch_are_those_of_the_rows_kept_back(settings):
    X, y = diabetes()
    kept, scores = (X[-20:], y[-20:]), []

    def look(record):
        inputs = kept[0] if mlp.input_scaler_ is None else mlp.input_scaler_.transform(kept[0])
        targets = kept[1] if mlp.target_scaler_ is None else mlp.target_scaler_.transform(kept[1][:, None])[:, 0]
        scores.append(r2_score(targets, record.network.predict(inputs)))

    mlp = MLPRegressor("squared_error", (5,), max_iter=4, random_state=0, early_stopping=True, callbacks=[look],
                       **settings)
    mlp.fit(X[:-20], y[:-20], validation_data=kept)
    assert len(scores) == 4
    np.testing.assert_allclose(mlp.validation_scores_, scores, rtol=1e-5 if "dtype" in settings else 1e-11)


def test_rows_without_weight_have_no_part_in_a_score(rng):
    """Whatever they hold, also in the first place: a number that stands for a missing one, say."""
    X, y, weight = rng.normal(size=(30, 2)), rng.normal(size=(30, 1)), np.arange(30.0)
    mlp = MLPRegressor("squared_error", (2,), max_iter=1, random_state=0).fit(X, y[:, 0])
    out = mlp.network_.predict(X).reshape(30, 1)
    y[0] = 1e20
    assert mlp._judge(_Samples(X, y, weight))(out) == pytest.approx(r2_score(y[1:], out[1:], sample_weight=weight[1:]))


def epoch_of(mlp, kept):
    """Return what the record of an epoch tells of samples kept back, at the present weights."""
    return SimpleNamespace(network=mlp.network_, validation_cost=mlp.network_.cost(kept.X, kept.targets))


def test_the_best_scores_are_scikit_learns(rng):
    """The scores that stop a fit are computed from outputs: they are those of accuracy_score and r2_score."""
    for name in ("classes", "two", "labels", "outputs"):
        ours, _, (X, y) = pair(name)
        weight = rng.uniform(0.1, 1, len(X))
        ours.fit(X, y)
        kept = _Samples(X, ours._targets(y), weight)
        metric = r2_score if name == "outputs" else accuracy_score
        expected = metric(y, ours.predict(X), sample_weight=weight)
        assert ours._scorer(kept)(epoch_of(ours, kept)) == pytest.approx(expected)


@pytest.mark.parametrize("y", [np.full((30, 1), 0.1), np.column_stack([np.ones(30), np.arange(30.0)]),
                               np.arange(30.0).reshape(30, 1)])
def test_r2_also_of_a_constant(y, rng):
    X = rng.normal(size=(30, 2))
    mlp = MLPRegressor("squared_error", (2,), max_iter=1, random_state=0).fit(X, y[:, 0] if y.shape[1] == 1 else y)
    kept = _Samples(X, y, None)
    expected = r2_score(y - y[0], mlp.predict(X).reshape(y.shape) - y[0])  # of 0.1 it has no exact mean
    assert mlp._scorer(kept)(epoch_of(mlp, kept)) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["classes", "two", "labels"])
def test_class_weights_are_sample_weights(name):
    ours, _, (X, y) = pair(name)
    several = name == "labels"
    by_class = [{0: 1.0, 1: 3.0}] * y.shape[1] if several else {c: 1.0 + c for c in np.unique(y)}
    weight = np.prod(np.where(y == 1, 3.0, 1.0), axis=1) if several else 1.0 + y
    weighted = clone(ours).set_params(class_weight=by_class).fit(X, y)
    np.testing.assert_allclose(weighted.coefs_[0], clone(ours).fit(X, y, weight).coefs_[0], atol=1e-12)
    both = clone(ours).set_params(class_weight=by_class).fit(X, y, weight)
    np.testing.assert_allclose(both.coefs_[0], clone(ours).fit(X, y, weight**2).coefs_[0], atol=1e-12)
    X, y = X[1:], y[1:]  # an odd number: two classes are not balanced
    balanced = clone(ours).set_params(class_weight="balanced").fit(X, y)
    equal = clone(ours).fit(X, y, compute_sample_weight("balanced", y))
    np.testing.assert_array_equal(balanced.coefs_[0], equal.coefs_[0])
    assert not np.array_equal(balanced.coefs_[0], clone(ours).fit(X, y).coefs_[0])
    with pytest.raises(ValueError, match="class_weight 'balanced' is not supported for partial_fit"):
        clone(ours).set_params(class_weight="balanced").partial_fit(X, y, classes=np.arange(10))


def test_class_weights_of_classes_that_a_batch_has_not():
    X, y = load_iris(return_X_y=True)
    fits = [MLPClassifier((3,), random_state=0, class_weight=weights) for weights in ({2: 5.0}, None)]
    fits[0].partial_fit(X[:100], y[:100], classes=[0, 1, 2])
    fits[1].partial_fit(X[:100], y[:100], classes=[0, 1, 2])
    np.testing.assert_array_equal(fits[0].coefs_[0], fits[1].coefs_[0])
    fits[0].partial_fit(X, y)
    fits[1].partial_fit(X, y, np.where(y == 2, 5.0, 1.0))
    np.testing.assert_array_equal(fits[0].coefs_[0], fits[1].coefs_[0])
    with pytest.raises(ValueError, match=r"class_weight has \[7\], which are not among the classes \[0 1 2\]"):
        fits[0].set_params(class_weight={7: 5.0}).partial_fit(X, y)
    X, y = labels()
    empty = np.zeros_like(y[:20])
    mlp = MLPClassifier((3,), random_state=0, class_weight=[{1: 5.0}] * y.shape[1])
    plain = MLPClassifier((3,), random_state=0).partial_fit(X[:20], empty, classes=np.arange(y.shape[1]))
    mlp.partial_fit(X[:20], empty, classes=np.arange(y.shape[1]))
    np.testing.assert_array_equal(mlp.coefs_[0], plain.coefs_[0])


def test_dropout_is_that_of_the_core():
    """Losses rise, as outputs are missing; predictions miss none."""
    X, y = digits(few(200, 30), 3)
    plain, dropped, by_layer = (MLPClassifier((20, 10), max_iter=few(10, 2), random_state=0, dropout=p)
                                for p in (0.0, 0.5, (0.5, 0.0)))
    for mlp in (plain, dropped, by_layer):
        mlp.fit(X, y)
        np.testing.assert_array_equal(mlp.predict_proba(X), mlp.network_.predict(X))
    assert dropped.loss_ > plain.loss_ and dropped.loss_ != by_layer.loss_
    np.testing.assert_array_equal(clone(dropped).fit(X, y).coefs_[0], dropped.coefs_[0])
    with pytest.raises(ValueError, match="'dropout' parameter of MLPClassifier must be a float in the range"):
        clone(plain).set_params(dropout=1.0).fit(X, y)
    with pytest.raises(ValueError, match="with dropout use solver='adam'"):
        clone(dropped).set_params(solver="lbfgs").fit(X, y)


def test_standardizing_is_that_of_a_pipeline():
    X, y = several()
    X, y = X * 5 + 3, y * 100 - 7
    inside = MLPRegressor("squared_error", (5,), max_iter=5, random_state=0, standardize=True).fit(X, y)
    scaler, targets = StandardScaler().fit(X), StandardScaler().fit(y)
    outside = MLPRegressor("squared_error", (5,), max_iter=5, random_state=0)
    outside.fit(scaler.transform(X), targets.transform(y))
    expected = targets.inverse_transform(outside.predict(scaler.transform(X)))
    np.testing.assert_allclose(inside.predict(X), expected, rtol=1e-10)
    before = inside.input_scaler_.mean_.copy()
    inside.partial_fit(X[:9] * 2, y[:9])
    assert (inside.input_scaler_.mean_ == before).all()
    counts = MLPRegressor("poisson", (5,), max_iter=3, standardize=True).fit(X, np.round(np.abs(y)))
    assert counts.target_scaler_ is None and (counts.predict(X) > 0).all()


def test_standardizing_leaves_targets_that_outputs_cannot_follow(monkeypatch):
    """Outputs of exp are positive, standardised targets are not."""
    monkeypatch.setattr(fastbp.costs, "COSTS", dict(fastbp.costs.COSTS))
    relative = fastbp.register_cost(lambda y, o: 0.5 * (o - y) ** 2, name="exponential_error", output="exp")
    X, y = diabetes()
    mlp = MLPRegressor(relative, (4,), max_iter=2, standardize=True, random_state=0).fit(X, y)
    assert mlp.input_scaler_ is not None and mlp.target_scaler_ is None
    np.testing.assert_array_equal(mlp.predict(X), mlp.network_.predict(mlp.input_scaler_.transform(X))[:, 0])


@pytest.mark.parametrize("kind", OURS)
def test_early_stopping_may_be_switched_between_warm_starts(kind):
    X, y = digits(few(100, 40), 2)
    mlp = kind(hidden_layer_sizes=(4,), max_iter=2, random_state=0, warm_start=True).fit(X, y)
    mlp.set_params(early_stopping=True).fit(X, y)
    assert len(mlp.validation_scores_) == 2 and mlp.best_validation_score_ == max(mlp.validation_scores_)
    assert mlp.best_loss_ is None and len(mlp.loss_curve_) == 4
    mlp.set_params(early_stopping=False).fit(X, y)
    assert mlp.validation_scores_ is None and mlp.best_validation_score_ is None
    assert mlp.best_loss_ == min(mlp.loss_curve_[4:])
    net = Network((64, 1), cost="binary_cross_entropy" if kind is MLPClassifier else "squared_error", seed=0)
    wrapped = kind.from_network(net, warm_start=True, early_stopping=True, max_iter=2, random_state=0).fit(X, y)
    assert wrapped.network_ is net and len(wrapped.validation_scores_) == 2


@pytest.mark.parametrize("name", ["classes", "two", "outputs"])
def test_input_gradients_are_slopes_in_the_users_units(name):
    ours, _, (X, y) = pair(name, activation="tanh")
    if name == "outputs":
        X, y = X * 5 + 3, y * 100
    ours.set_params(standardize=True).fit(X, y)
    predict = ours.predict if name == "outputs" else ours.predict_proba
    found = ours.input_gradient(X[:4])
    assert found.shape == (4, predict(X[:1]).shape[1], X.shape[1])
    step = 1e-6 * np.maximum(X.std(axis=0), 0.1)
    for k in (2, 5):
        ahead, behind = X[:4].copy(), X[:4].copy()
        ahead[:, k] += step[k]
        behind[:, k] -= step[k]
        np.testing.assert_allclose(found[:, :, k], (predict(ahead) - predict(behind)) / (2 * step[k]), rtol=1e-4,
                                   atol=1e-7)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_see_every_epoch_and_may_stop(solver):
    seen = []

    def stop(record):
        seen.append((record.epoch, record.network.layers))
        return np.int64(record.epoch) == 3  # NumPy's True, too

    mlp = MLPRegressor("squared_error", (4,), solver=solver, max_iter=10, callbacks=[stop], random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it has not failed to converge
        mlp.fit(*diabetes())
    assert seen == [(i, (10, 4, 1)) for i in (1, 2, 3)] and mlp.n_iter_ == 3


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_progress_is_shown(solver, capsys):
    MLPRegressor("squared_error", (4,), solver=solver, max_iter=3, progress=True).fit(*diabetes())
    assert "3/3" in capsys.readouterr().err


@pytest.mark.parametrize("threads", [1, 2, None])
def test_threads_change_no_bit(threads):
    X, y = digits()
    first = MLPClassifier((9,), max_iter=2, random_state=0, n_threads=1).fit(X, y)
    other = MLPClassifier((9,), max_iter=2, random_state=0, n_threads=threads).fit(X, y)
    np.testing.assert_array_equal(first.coefs_[0], other.coefs_[0])


def test_divergence_is_scikit_learns_error_or_keeps_the_best():
    X, y = load_iris(return_X_y=True)
    settings = dict(solver="sgd", learning_rate_init=1.0, activation="identity", random_state=0, max_iter=20,
                    hidden_layer_sizes=few(100, 20))
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        MLPRegressor(**settings).fit(X * 10, y)
    with pytest.warns(ConvergenceWarning, match="training diverged"):
        mlp = MLPRegressor(early_stopping=True, **settings).fit(X * 10, y)
    assert np.isnan(mlp.validation_scores_[-1]) and np.isfinite(mlp.predict(X)).all()


def test_both_are_loaded_when_they_are_asked_for(run_python):
    """`import fastbp` leaves scikit-learn alone; without it, the error names the extra."""
    script = """
import sys, fastbp
assert "sklearn" not in sys.modules and "MLPClassifier" in dir(fastbp)
namespace = {}
exec("from fastbp import *", namespace)
assert "sklearn" not in sys.modules and "Network" in namespace
sys.modules["sklearn"] = None
for call in ("fastbp.MLPRegressor", "fastbp.nothing", "from fastbp import MLPClassifier", "from fastbp import nothing"):
    try:
        exec(call)
    except (AttributeError, ImportError) as error:
        print(type(error).__name__, str(error).partition(" (")[0])
"""
    assert run_python(script).splitlines() == [
        "AttributeError sklearn is needed for this: pip install fastbp[sklearn]",
        "AttributeError module 'fastbp' has no attribute 'nothing'",
        "ImportError sklearn is needed for this: pip install fastbp[sklearn]",
        "ImportError cannot import name 'nothing' from 'fastbp'",
    ]


def test_tools_may_ask_for_names_that_need_a_library(run_python):
    script = """
import inspect, pydoc, sys, fastbp
sys.modules["sklearn"] = None
for name in fastbp._LAZY:
    assert not hasattr(fastbp, name) and getattr(fastbp, name, None) is None
assert "Network" in dict(inspect.getmembers(fastbp))
assert "Network" in pydoc.plain(pydoc.render_doc(fastbp))
import doctest, unittest.mock
doctest.DocTestFinder().find(fastbp), unittest.mock.create_autospec(fastbp)
"""
    run_python(script)


def test_bayesian_regularisation_finds_its_own_penalty():
    """Whatever alpha is: scikit-learn's default is no penalty that a user asked for."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (60, 1))
    y = np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=60)
    fits = [MLPRegressor("squared_error", (6,), "tanh", solver="bayesianregularization", alpha=alpha, max_iter=60,
                         tol=0, n_iter_no_change=60, random_state=0).fit(X, y) for alpha in (1e-4, 10.0)]
    assert (fits[0].coefs_[0] == fits[1].coefs_[0]).all()
    assert fits[0].score(X, y) > 0.9
