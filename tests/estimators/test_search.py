"""`fastbp.search`: what GridSearchCV finds, to the bit, with all networks trained in one call."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from helpers import few
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, make_multilabel_classification
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ParameterGrid, ParameterSampler, ShuffleSplit
from sklearn.neural_network import MLPClassifier as Theirs
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import fastbp
from fastbp import MLPClassifier, MLPRegressor, SearchResult, search
from fastbp.kernels.compile import JIT

# Fits of a few epochs end before they converge, and say so; what matters here says so by pytest.warns.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning",
                                        "ignore:.*fits. Stochastic Optimizer", "ignore:.*Got `batch_size`")


def digits(classes=10):
    X, y = load_digits(n_class=classes, return_X_y=True)
    n = few(200, 50)
    return X[:n] / 16, y[:n]


def diabetes():
    X, y = load_diabetes(return_X_y=True)
    n = few(200, 50)
    return X[:n] / X.std(axis=0), y[:n] / 100


def several():
    X, y = diabetes()
    return X, np.column_stack([y, np.sqrt(y)])


def names():
    X, y = digits(3)
    return X, np.array(["no", "one", "two"])[y]


def labels():
    return make_multilabel_classification(few(150, 50), 10, random_state=0)


DATA = {"classes": (MLPClassifier, digits), "two": (MLPClassifier, lambda: digits(2)), "names": (MLPClassifier, names),
        "labels": (MLPClassifier, labels), "one output": (MLPRegressor, diabetes), "outputs": (MLPRegressor, several)}
"""Name -> class, samples."""


def made(name, **parameters):
    """Return an estimator and its samples."""
    kind, data = DATA[name]
    return kind(**dict(hidden_layer_sizes=(4,), max_iter=few(6, 2), random_state=3) | parameters), *data()


def theirs(mlp, settings, X, y, weight=None, **options):
    """Return a fitted GridSearchCV; settings are a grid, or a list of grids."""
    name = f"{mlp.steps[-1][0]}__sample_weight" if isinstance(mlp, Pipeline) else "sample_weight"
    return GridSearchCV(mlp, settings, **options).fit(X, y, **({} if weight is None else {name: weight}))


def agree(ours, other):
    """Assert that all but the times is the same, to the bit."""
    assert list(ours.cv_results_) == list(other.cv_results_)
    for key, column in other.cv_results_.items():
        found = ours.cv_results_[key]
        assert type(found) is type(column), key
        if key == "params":
            assert found == column
        elif isinstance(column, np.ma.MaskedArray):
            assert found.dtype == column.dtype, key
            np.testing.assert_array_equal(found.mask, np.ma.getmaskarray(column))
            assert found.tolist() == column.tolist()
        else:
            assert found.dtype == column.dtype and found.shape == column.shape, key
            if "time" not in key:
                np.testing.assert_array_equal(found, column, err_msg=key)
    for name in ("best_index_", "best_params_", "best_score_", "n_splits_"):
        assert getattr(ours, name) == getattr(other, name), name


GRID = {"hidden_layer_sizes": [(3,), (5,)], "alpha": [1e-4, 1.0]}
GRIDS = {
    "sizes": GRID,
    "grids": [{"hidden_layer_sizes": [(3,), (4, 2)]}, {"alpha": [0.1, 10.0], "activation": ["tanh"]}],
    "solvers": {"solver": ["adam", "lbfgs", "sgd", "rprop", fastbp.RAdam(0.01)]},
    "rates": {"solver": ["sgd"], "learning_rate": ["invscaling", "adaptive"], "batch_size": [1, 7, 500]},
    "standardize": {"standardize": [False, True], "dtype": ["float32", "float64"]},
    "early_stopping": {"early_stopping": [False, True], "shuffle": [True, False]},
    "members": {"n_members": [1, 3], "dropout": [0.0, 0.3]},
    "random_state": {"random_state": [0, np.random.RandomState(5)]},
}


@pytest.mark.parametrize("settings", few(list(GRIDS), ["sizes", "grids", "standardize", "members"]))
@pytest.mark.parametrize("name", few(list(DATA), ["two", "outputs"]))
def test_it_finds_what_grid_search_finds(name, settings):
    mlp, X, y = made(name)
    before = mlp.get_params()
    tried = GRIDS[settings]
    ours = search(mlp, tried if isinstance(tried, dict) else ParameterGrid(tried), X, y, cv=3, return_train_score=True)
    assert isinstance(ours, SearchResult)
    assert mlp.get_params() == before and not hasattr(mlp, "coefs_") and not hasattr(mlp, "classes_")
    other = theirs(mlp, tried, X, y, cv=3, return_train_score=True)
    agree(ours, other)
    for one, two in zip(ours.best_estimator_.networks_, other.best_estimator_.networks_, strict=True):
        np.testing.assert_array_equal(one.parameters, two.parameters)
    np.testing.assert_array_equal(ours.best_estimator_.predict(X), other.predict(X))
    assert ours.scorer_(ours.best_estimator_, X, y) == other.score(X, y) and ours.refit_time_ > 0
    assert (ours.cv_results_["mean_fit_time"] > 0).all() and (ours.cv_results_["mean_score_time"] > 0).all()


@pytest.mark.skipif(not JIT, reason="trains 60 networks for up to 200 epochs")
def test_the_winner_is_scikit_learns():
    """The networks of both are alike to rounding, and so are their scores."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:400], y[:400]
    settings = {"hidden_layer_sizes": [(20,), (10, 10)], "alpha": [1e-4, 1e-2], "learning_rate_init": [1e-3, 1e-2]}
    ours = search(MLPClassifier(random_state=0, max_iter=40), settings, X, y)
    other = GridSearchCV(Theirs(random_state=0, max_iter=40), settings, n_jobs=1).fit(X, y)
    assert ours.best_params_ == other.best_params_
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"], atol=1e-12)


@pytest.mark.parametrize("name", ["classes", "outputs"])
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array, pd.DataFrame])
def test_containers(name, container):
    mlp, X, y = made(name)
    X = np.where(X > X.mean(), X, 0)
    named = {"columns": [f"x{i}" for i in range(X.shape[1])]} if container is pd.DataFrame else {}
    given = container(X, **named)
    settings = {"activation": ["tanh", "relu"]}
    ours = search(mlp, settings, given, y, cv=3)
    agree(ours, theirs(mlp, settings, given, y, cv=3))
    if container is pd.DataFrame:
        assert list(ours.best_estimator_.feature_names_in_) == list(given.columns)


@pytest.mark.parametrize("name", few(list(DATA), ["classes"]))
def test_weights(name):
    mlp, X, y = made(name)
    weight = np.random.default_rng(0).uniform(0.2, 3, len(X))
    settings = {"solver": ["adam", "lbfgs"], "standardize": [False, True]}
    ours = search(mlp, settings, X, y, cv=3, sample_weight=weight)
    agree(ours, theirs(mlp, settings, X, y, weight, cv=3))
    assert (ours.cv_results_["split0_test_score"] != search(mlp, settings, X, y, cv=3, refit=False)
            .cv_results_["split0_test_score"]).any()


@pytest.mark.parametrize("scoring", ["neg_mean_absolute_error", lambda mlp, X, y, sample_weight: sample_weight.sum()])
def test_scores_are_weighted(scoring):
    mlp, X, y = made("one output")
    weight = np.random.default_rng(0).uniform(0.2, 3, len(X))
    agree(search(mlp, GRID, X, y, cv=3, sample_weight=weight, scoring=scoring),
          theirs(mlp, GRID, X, y, weight, cv=3, scoring=scoring))


def test_a_score_without_weights_is_a_warning():
    mlp, X, y = made("one output")
    with pytest.warns(UserWarning, match="max_error.* takes no sample_weight: fits are weighted, scores are n") as told:
        ours = search(mlp, GRID, X, y, cv=3, sample_weight=y, scoring="neg_max_error", refit=False)
    assert all(w.filename == __file__ for w in told)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        agree(ours, theirs(mlp, GRID, X, y, y, cv=3, scoring="neg_max_error", refit=False))


@pytest.mark.parametrize("weighted", [False, True])
def test_weights_of_classes(weighted):
    mlp, X, y = made("classes")
    weight = np.random.default_rng(0).uniform(0.2, 3, len(X)) if weighted else None
    settings = {"class_weight": [None, "balanced", {c: c + 1.0 for c in range(10)}], "standardize": [False, True]}
    agree(search(mlp, settings, X, y, cv=3, sample_weight=weight), theirs(mlp, settings, X, y, weight, cv=3))


def test_losses():
    mlp, X, y = made("classes")
    settings = {"loss": ["log_loss", "squared_error", "cross_entropy"], "activation": ["relu", ("tanh",)]}
    agree(search(mlp, settings, X, y, cv=3), theirs(mlp, settings, X, y, cv=3))
    mlp, X, y = made("one output", standardize=True)
    settings = {"loss": ["squared_error", "poisson", fastbp.huber(0.5), fastbp.huber(1.5)]}
    agree(search(mlp, settings, X, y, cv=3), theirs(mlp, settings, X, y, cv=3))


SPLITS = {"splitter": ShuffleSplit(3, test_size=0.3, random_state=1), "sorted": KFold(4),
          "pairs": [(np.arange(20, 45), np.arange(20)), (np.r_[0:20, 0:5], np.arange(20, 40))],
          "masks": [(np.arange(50) % 2 == 0, np.arange(50) % 2 == 1)] * 2}


@pytest.mark.parametrize("cv", SPLITS)
@pytest.mark.parametrize("name", ["classes", "one output"])
def test_folds(name, cv):
    """Those of KFold lack classes here, in the samples to learn from and in those to score."""
    mlp, X, y = made(name)
    order = np.argsort(y, kind="stable") if cv == "sorted" and name == "classes" else np.arange(50)
    X, y = X[order][:50], y[order][:50]
    agree(search(mlp, GRID, X, y, cv=SPLITS[cv]), theirs(mlp, GRID, X, y, cv=SPLITS[cv]))


def test_groups_are_pairs_of_indices():
    mlp, X, y = made("one output")
    groups = np.arange(len(X)) // 7
    ours = search(mlp, GRID, X, y, cv=GroupKFold(3).split(X, y, groups))
    agree(ours, GridSearchCV(mlp, GRID, cv=GroupKFold(3)).fit(X, y, groups=groups))


@pytest.mark.parametrize(("name", "scoring"), [("classes", "neg_log_loss"), ("two", "roc_auc"), ("labels", "f1_macro"),
                                               ("one output", "neg_mean_absolute_error"), ("outputs", "r2")])
def test_scores(name, scoring):
    mlp, X, y = made(name)
    settings = {"alpha": [0.1, 1.0]}
    agree(search(mlp, settings, X, y, cv=2, scoring=scoring), theirs(mlp, settings, X, y, cv=2, scoring=scoring))


def test_a_score_of_your_own():
    def least(mlp, X, y):
        return -np.abs(mlp.predict(X) - y).max()

    mlp, X, y = made("one output")
    ours = search(mlp, GRID, X, y, cv=3, scoring=least)
    agree(ours, theirs(mlp, GRID, X, y, cv=3, scoring=least))
    assert ours.scorer_ is least


@pytest.mark.parametrize("name", ["names", "one output"])
def test_pipelines(name):
    """Transformers are fitted to each fold, once for each of their settings."""
    mlp, X, y = made(name)
    pipeline = Pipeline([("scale", StandardScaler()), ("pca", PCA(random_state=0)), ("mlp", mlp)])
    settings = {"pca__n_components": [2, 4], "mlp__alpha": [0.1, 1.0], "scale": ["passthrough", StandardScaler()]}
    weight = np.random.default_rng(0).uniform(0.2, 3, len(X))
    for given in (None, weight):
        ours = search(pipeline, settings, X, y, cv=3, sample_weight=given, return_train_score=True)
        other = theirs(pipeline, settings, X, y, given, cv=3, return_train_score=True)
        agree(ours, other)
        np.testing.assert_array_equal(ours.best_estimator_.predict(X), other.predict(X))
    assert not hasattr(pipeline.steps[0][1], "mean_")


def test_a_pipeline_of_the_estimator_alone():
    mlp, X, y = made("classes")
    settings = {"mlpclassifier__alpha": [0.1, 1.0]}
    agree(search(make_pipeline(mlp), settings, X, y, cv=3), theirs(make_pipeline(mlp), settings, X, y, cv=3))


def test_transformers_are_fitted_once_a_fold():
    fitted = []

    class Counted(StandardScaler):
        def fit(self, X, y=None, sample_weight=None):
            fitted.append(len(X))
            return super().fit(X, y, sample_weight)

    mlp, X, y = made("one output")
    search(make_pipeline(Counted(), mlp), {"mlpregressor__alpha": [0.1, 1.0, 10.0]}, X, y, cv=2, refit=False)
    assert len(fitted) == 2


def test_settings_may_be_a_list():
    mlp, X, y = made("one output")
    tried = [{"alpha": 1.0}, {"activation": "tanh", "alpha": 0.1}, {}]
    ours = search(mlp, tried, X, y, cv=3)
    agree(ours, theirs(mlp, [{name: [value] for name, value in one.items()} for one in tried], X, y, cv=3))
    drawn = list(ParameterSampler({"alpha": np.logspace(-3, 0, 50)}, 4, random_state=0))
    assert search(mlp, iter(drawn), X, y, cv=3).cv_results_["params"] == drawn


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_no_bit(threads):
    mlp, X, y = made("classes")
    agree(search(mlp, GRID, X, y, cv=3, threads=threads), search(mlp, GRID, X, y, cv=3))


def test_without_the_last_fit():
    mlp, X, y = made("classes")
    found = search(mlp, GRID, X, y, cv=3, refit=False)
    assert found.best_estimator_ is None and found.refit_time_ is None
    agree(found, theirs(mlp, GRID, X, y, cv=3, refit=False))


def test_the_result_is_a_table_and_a_sentence():
    mlp, X, y = made("one output")
    found = search(mlp, GRID, X, y, cv=3)
    assert len(pd.DataFrame(found.cv_results_)) == 4
    assert repr(found).startswith("<SearchResult: the best of 4 settings is {'alpha': ") and "3 folds" in repr(found)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.best_estimator_.predict(X), found.best_estimator_.predict(X))
    agree(again, found)


def test_callbacks_are_those_of_each_fit():
    class Twice:
        seen = 0

        def __call__(self, record):
            self.seen += 1
            return self.seen == 2

    mlp, X, y = made("one output", max_iter=5, callbacks=[Twice()])
    found = search(mlp, GRID, X, y, cv=3)
    agree(found, theirs(mlp, GRID, X, y, cv=3))
    assert found.best_estimator_.n_iter_ == 2 and mlp.callbacks[0].seen == 0


def test_a_bar_counts_networks(capsys):
    mlp, X, y = made("one output")
    search(mlp, GRID, X, y, cv=3, refit=False, progress=True)
    assert "12/12" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------- what does not go well

FAILING = {"alpha": [0.1, -1.0, 10.0]}
"""The second is out of range."""


def test_failures_have_the_error_score():
    mlp, X, y = made("one output")
    with pytest.warns(FitFailedWarning, match=r"3 of 9 fits failed(.|\n)*3 of them: InvalidParameterError"):
        ours = search(mlp, FAILING, X, y, cv=3, return_train_score=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        agree(ours, theirs(mlp, FAILING, X, y, cv=3, return_train_score=True))
    assert np.isnan(ours.cv_results_["mean_test_score"][1]) and ours.best_index_ != 1
    with pytest.warns(FitFailedWarning):
        ours = search(mlp, FAILING, X, y, cv=3, error_score=-7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        agree(ours, theirs(mlp, FAILING, X, y, cv=3, error_score=-7))


def test_what_diverges_fails_alone():
    mlp, X, y = made("one output", solver="sgd", activation="identity")
    settings = {"learning_rate_init": [1e-3, 1e200]}
    with pytest.warns(FitFailedWarning, match=r"3 of 6 fits failed(.|\n)*Solver produced non-finite"):
        ours = search(mlp, settings, X, y, cv=3)
    assert np.isfinite(ours.cv_results_["mean_test_score"]).tolist() == [True, False]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        agree(ours, theirs(mlp, settings, X, y, cv=3))


@pytest.mark.parametrize(("settings", "message"), [
    (FAILING, "The 'alpha' parameter"),
    ({"solver": ["sgd"], "activation": ["identity"], "learning_rate_init": [1e200]}, "Solver produced non-finite")])
def test_failures_may_be_raised(settings, message):
    mlp, X, y = made("one output")
    with pytest.raises(ValueError, match=message) as raised:
        search(mlp, settings, X, y, cv=3, error_score="raise")
    assert raised.value.__notes__[-1].endswith("on fold 0.") and "This concerns the settings {" in str(
        raised.value.__notes__)


def test_all_fail():
    mlp, X, y = made("one output")
    with pytest.raises(ValueError, match=r"all 6 fits failed: error_score='raise' raises(.|\n)*3 of them: Inval"):
        search(mlp, {"alpha": [-1.0, -2.0]}, X, y, cv=3)


def test_scores_that_fail():
    def score(mlp, X, y):
        if mlp.alpha == 1.0:
            raise RuntimeError("not this one")
        return mlp.score(X, y)

    mlp, X, y = made("one output")
    with pytest.warns(UserWarning, match="3 of 6 scores failed and are set to -1000000000.0: not this one"):
        ours = search(mlp, {"alpha": [0.1, 1.0]}, X, y, cv=3, scoring=score, error_score=-1e9)
    assert ours.cv_results_["mean_test_score"][1] == -1e9 and ours.best_params_ == {"alpha": 0.1}
    with pytest.raises(RuntimeError, match="not this one"):
        search(mlp, {"alpha": [0.1, 1.0]}, X, y, cv=3, scoring=score, error_score="raise")
    with pytest.raises(ValueError, match="the score is 'much', expected a number"):
        search(mlp, {"alpha": [0.1]}, X, y, cv=3, scoring=lambda *_: "much", error_score="raise")


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
def test_warnings_count_fits_and_point_at_the_users_line():
    mlp, X, y = made("one output")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search(mlp, GRID, X, y, cv=3, refit=False)
    assert [(w.category, w.filename) for w in caught] == [(ConvergenceWarning, __file__)]
    assert str(caught[0].message).startswith("12 of 12 fits: Stochastic Optimizer: Maximum iterations")


def test_ctrl_c_ends_it():
    def interrupt(record):
        raise KeyboardInterrupt

    mlp, X, y = made("one output", callbacks=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        search(mlp, GRID, X, y, cv=3, threads=1)


BAD = [
    (dict(settings=[]), ValueError, "settings is empty"),
    (dict(settings=["alpha"]), TypeError, "settings has 'alpha', expected a dict of parameters and their values"),
    (dict(settings={"alfa": [1.0]}), ValueError, "Invalid parameter 'alfa' for estimator"),
    (dict(settings=[{"alpha": 1.0}, {"alfa": 1.0}]), ValueError, "Invalid parameter 'alfa' for estimator"),
    (dict(settings={"alpha": 1.0}), TypeError, "alpha"),
    (dict(scoring=["r2", "max_error"]), ValueError, "expected one score: for several use sklearn"),
    (dict(scoring="r3"), ValueError, "r3"),
    (dict(error_score="nan"), ValueError, "error_score is 'nan', expected a number or 'raise'"),
    (dict(cv=1), ValueError, "k-fold"),
    (dict(y=[1.0, 2.0]), ValueError, "inconsistent numbers of samples"),
    (dict(X=np.full((50, 3), np.nan), y=np.zeros(50)), ValueError, "NaN"),
    (dict(threads=0), ValueError, "threads is 0"),
    (dict(sample_weight=[1.0]), ValueError, "inconsistent numbers of samples"),
    (dict(estimator=LogisticRegression()), TypeError, "expected fastbp's MLPClassifier or MLPRegressor, or a Pipeline"),
    (dict(estimator=make_pipeline(StandardScaler(), LogisticRegression())), TypeError, "use sklearn.model_selection"),
    (dict(estimator=MLPRegressor), TypeError, "expected fastbp's"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "error", "message"), BAD, ids=lambda given: str(given)[:40])
def test_errors(given, error, message):
    mlp, X, y = made("one output")
    with pytest.raises(error, match=message):
        search(**dict(estimator=mlp, settings=GRID, X=X, y=y, cv=3) | given)


def test_a_last_step_that_is_another_is_a_failure():
    mlp, X, y = made("one output")
    pipeline = Pipeline([("mlp", mlp)])
    with pytest.warns(FitFailedWarning, match="the last step is LogisticRegression"):
        search(pipeline, {"mlp": [mlp, LogisticRegression()]}, X, y, cv=3)
    assert isinstance(clone(pipeline).steps[0][1], MLPRegressor)
