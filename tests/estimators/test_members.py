"""Estimators with members: each as a fit of its own on its rows, and what they say together."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from helpers import few
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, make_multilabel_classification
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import estimator_checks_generator

import fastbp
from fastbp import MLPClassifier, MLPRegressor
from fastbp.kernels.compile import JIT

OURS = [MLPClassifier, MLPRegressor]
RESAMPLES = [None, "bootstrap", "folds"]
MEMBERS = 4
# A fit of a few epochs ends before it converges, and says so; what matters here says so by pytest.warns.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def digits(classes=10):
    X, y = load_digits(n_class=classes, return_X_y=True)
    n = few(200, 40)
    return X[:n] / 16, y[:n]


def diabetes():
    X, y = load_diabetes(return_X_y=True)
    n = few(200, 40)
    return X[:n] / X.std(axis=0), y[:n] / 100


def several():
    X, y = diabetes()
    return X, np.column_stack([y, np.sqrt(y)])


def labels():
    return make_multilabel_classification(few(150, 40), 10, random_state=0)


DATA = {"classes": (MLPClassifier, digits), "two": (MLPClassifier, lambda: digits(2)),
        "labels": (MLPClassifier, labels), "one output": (MLPRegressor, diabetes), "outputs": (MLPRegressor, several)}
"""Name -> class, samples."""


def made(name, **parameters):
    """Return an estimator with members, and its samples."""
    kind, data = DATA[name]
    settings = dict(hidden_layer_sizes=(5,), max_iter=few(6, 2), random_state=3, n_members=MEMBERS)
    return kind(**settings | parameters), *data()


def rows_of(mlp, n):
    """Return seeds and rows of the members, drawn as the documentation says."""
    generator, seeds, rows = np.random.RandomState(mlp.random_state), [], []
    for _ in range(mlp.n_members):
        seeds.append(generator.randint(2**31 - 1))
        rows.append(generator.randint(n, size=n) if mlp.resample == "bootstrap" else np.arange(n))
    return seeds, rows


@pytest.mark.parametrize("settings", [{}, dict(solver="lbfgs"), dict(solver="rprop"), dict(dtype="float32"),
                                      dict(dropout=0.3), dict(early_stopping=True), dict(batch_size=1)], ids=str)
@pytest.mark.parametrize("resample", RESAMPLES)
@pytest.mark.parametrize("name", few(list(DATA), ["two", "outputs"]))
def test_a_member_is_a_fit_of_its_own(name, resample, settings):
    mlp, X, y = made(name, resample=resample, **settings)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
    mlp.fit(X, y, weight)
    assert len(mlp.estimators_) == len(mlp.networks_) == MEMBERS
    if resample != "folds":
        seeds, rows = rows_of(mlp, len(X))
        assert [member.random_state for member in mlp.estimators_] == seeds
        np.testing.assert_array_equal(mlp.estimators_samples_, rows)
    if resample == "bootstrap" and (mlp.early_stopping or name == "classes"):
        return  # what is kept back is another part of the samples; a resample may lack a class
    for member, picked in zip(mlp.estimators_, mlp.estimators_samples_, strict=True):
        alone = clone(member).fit(X[picked], y[picked], weight[picked])
        np.testing.assert_array_equal(alone.network_.parameters, member.network_.parameters)
        assert alone.loss_curve_ == member.loss_curve_ and alone.validation_scores_ == member.validation_scores_
    assert len({member.coefs_[0].tobytes() for member in mlp.estimators_}) == MEMBERS


@pytest.mark.parametrize("resample", RESAMPLES)
@pytest.mark.parametrize("name", DATA)
def test_predictions_are_means(name, resample):
    mlp, X, y = made(name, resample=resample)
    assert mlp.fit(X, y) is mlp
    if name in ("one output", "outputs"):
        each = np.array([member.predict(X) for member in mlp.estimators_])
        mean, std = mlp.predict(X, return_std=True)
        np.testing.assert_array_equal(mean, mlp.predict(X))
        np.testing.assert_allclose(mean, each.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(std, each.std(axis=0), rtol=1e-9)
        assert mean.shape == std.shape == y.shape and (std > 0).all()
    else:
        each = np.array([member.predict_proba(X) for member in mlp.estimators_])
        np.testing.assert_allclose(mlp.predict_proba(X), each.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(mlp.predict_log_proba(X), np.log(each.mean(axis=0)), rtol=1e-12)
        most = each.mean(axis=0) > 0.5 if name == "labels" else mlp.classes_[each.mean(axis=0).argmax(axis=1)]
        np.testing.assert_array_equal(mlp.predict(X), most)
    slopes = [member.input_gradient(X[:3]) for member in mlp.estimators_]
    np.testing.assert_allclose(mlp.input_gradient(X[:3]), np.mean(slopes, axis=0), rtol=1e-9, atol=1e-12)
    assert mlp.loss_ == pytest.approx(np.mean([member.loss_ for member in mlp.estimators_]))
    assert mlp.n_iter_ == max(member.n_iter_ for member in mlp.estimators_)


@pytest.mark.parametrize("resample", ["bootstrap", "folds"])
@pytest.mark.parametrize("name", DATA)
def test_what_members_predict_of_samples_that_they_have_not_seen(name, resample):
    mlp, X, y = made(name, resample=resample, standardize=True)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
    mlp.fit(X, y, weight)
    ours = mlp.oob_prediction_ if isinstance(mlp, MLPRegressor) else mlp.oob_decision_function_
    expected = np.full(ours.shape, np.nan)
    for i in range(len(X)):
        one = X[[i]]
        unseen = [member for member, rows in zip(mlp.estimators_, mlp.estimators_samples_, strict=True)
                  if i not in rows]
        if unseen:
            said = [(member.predict if isinstance(mlp, MLPRegressor) else member.predict_proba)(one)[0]
                    for member in unseen]
            expected[i] = np.mean(said, axis=0)
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)
    known = ~np.isnan(expected.reshape(len(X), -1)[:, 0])
    if resample == "folds":
        assert known.all()
    else:
        assert 0 < known.sum() < len(X), "with four members some samples are in every resample"
    if isinstance(mlp, MLPRegressor):
        score = r2_score(y[known], expected[known], sample_weight=weight[known])
    else:
        found = expected > 0.5 if name == "labels" else mlp.classes_[expected.argmax(axis=1)]
        score = accuracy_score(y[known], found[known], sample_weight=weight[known])
    assert mlp.oob_score_ == pytest.approx(score)


@pytest.mark.parametrize("resample", RESAMPLES)
def test_members_are_an_ensemble(resample):
    """It is asked as any other, for intervals too, which go by the samples that members have not seen."""
    mlp, X, y = made("one output", resample=resample)
    ensemble = mlp.fit(X, y).ensemble_
    assert isinstance(ensemble, fastbp.Ensemble) and ensemble is mlp.ensemble_
    assert all(one is other for one, other in zip(ensemble, mlp.networks_, strict=True))
    np.testing.assert_array_equal(ensemble.predict(X)[:, 0], mlp.predict(X))
    if resample is None:
        with pytest.raises(AttributeError, match=r"not made by Ensemble\.bootstrap or Ensemble\.folds"):
            _ = ensemble.oob_score
        return
    assert ensemble.oob_score == pytest.approx(mlp.oob_score_)
    for i, rows in enumerate(mlp.estimators_samples_):
        np.testing.assert_array_equal(np.flatnonzero(~ensemble.unseen[i]), np.unique(rows))
    interval = ensemble.predict_interval(X, level=0.9)
    again = pickle.loads(pickle.dumps(mlp)).ensemble_.predict_interval(X, level=0.9), copy.deepcopy(
        mlp).ensemble_.predict_interval(X, level=0.9)
    for other in again:
        np.testing.assert_array_equal(interval, other)
    mlp.oob_prediction_[:] = 0
    np.testing.assert_array_equal(ensemble.predict_interval(X, level=0.9), interval)


def test_an_ensemble_follows_its_members():
    mlp, X, y = made("one output", resample="folds")
    before, member = mlp.fit(X, y).ensemble_, mlp.estimators_[1]
    member.coefs_ = [np.zeros_like(array) for array in member.coefs_]
    assert mlp.ensemble_ is before and not before[1].weights[0].any()
    mean = np.mean([each.predict(X) for each in mlp.estimators_], axis=0)
    np.testing.assert_allclose(mlp.predict(X), mean, rtol=1e-12)
    member.fit(X[::2], y[::2])
    assert mlp.ensemble_ is not before and mlp.ensemble_[1] is member.network_
    mean = np.mean([each.predict(X) for each in mlp.estimators_], axis=0)
    np.testing.assert_allclose(mlp.predict(X), mean, rtol=1e-12)


@pytest.mark.parametrize("name", DATA)
def test_folds_are_dealt_out_evenly(name):
    mlp, X, y = made(name, resample="folds", max_iter=1)
    mlp.fit(X, y)
    kept = [np.setdiff1d(np.arange(len(X)), rows) for rows in mlp.estimators_samples_]
    np.testing.assert_array_equal(np.sort(np.concatenate(kept)), np.arange(len(X)))
    assert np.ptp([len(fold) for fold in kept]) <= 1
    if name in ("classes", "two"):
        counts = np.array([[np.sum(y[fold] == c) for c in mlp.classes_] for fold in kept])
        assert np.ptp(counts, axis=0).max() <= 1
    again = clone(mlp).set_params(random_state=4).fit(X, y)
    assert any(len(a) != len(b) or (a != b).any()
               for a, b in zip(mlp.estimators_samples_, again.estimators_samples_, strict=True))


def test_first_members_do_not_depend_on_how_many_there_are():
    mlp, X, y = made("one output", resample="bootstrap")
    fewer = clone(mlp).set_params(n_members=2).fit(X, y)
    for one, other in zip(fewer.networks_, mlp.fit(X, y).networks_[:2], strict=True):
        np.testing.assert_array_equal(one.parameters, other.parameters)


def test_a_resample_may_lack_a_class(rng):
    """Members know the classes of all samples, also those that their own do not have."""
    X = rng.normal(size=(30, 3))
    y = np.repeat(["a", "b", "c"], [14, 15, 1])
    mlp = MLPClassifier((4,), max_iter=2, random_state=1, n_members=5, resample="bootstrap").fit(X, y)
    assert not all((y[rows] == "c").any() for rows in mlp.estimators_samples_)
    assert mlp.predict_proba(X).shape == (30, 3) and list(mlp.classes_) == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["two", "one output"])
def test_early_stopping_keeps_back_what_a_resample_does_not_train_on(name, monkeypatch):
    """A sample that is drawn several times is in the part to learn from, or in the other, never in both."""
    mlp, X, y = made(name, resample="bootstrap", early_stopping=True)
    parts = []
    many = fastbp.estimators._training.fit_many

    def listen(*given, rows, validation_rows, **settings):
        parts.extend(zip(rows, validation_rows, strict=True))
        return many(*given, rows=rows, validation_rows=validation_rows, **settings)

    monkeypatch.setattr(fastbp.estimators._training, "fit_many", listen)
    mlp.fit(X, y)
    assert len(parts) == MEMBERS
    for (learnt, kept), drawn in zip(parts, mlp.estimators_samples_, strict=True):
        assert not np.intersect1d(learnt, kept).size and len(np.unique(kept)) == len(kept)
        np.testing.assert_array_equal(np.union1d(learnt, kept), np.unique(drawn))
        assert len(learnt) == np.isin(drawn, learnt).sum() and len(learnt) > len(np.unique(learnt))
    assert all(member.best_validation_score_ is not None for member in mlp.estimators_)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("early", [False, True])
def test_validation_data_are_those_of_all(early, container):
    mlp, X, y = made("one output", early_stopping=early)
    weight = np.linspace(0.5, 1, len(X) - 15)
    given = container(X[:-15]), y[:-15], weight
    mlp.fit(*given, validation_data=(container(X[-15:]), y[-15:]))
    for member in mlp.estimators_:
        alone = clone(member).fit(*given, validation_data=(container(X[-15:]), y[-15:]))
        assert alone.validation_loss_curve_ == member.validation_loss_curve_ and alone.t_ == member.t_
        np.testing.assert_array_equal(alone.network_.parameters, member.network_.parameters)


@pytest.mark.parametrize("resample", RESAMPLES)
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix])
def test_sparse_gives_what_dense_gives(container, resample):
    mlp, X, y = made("classes", resample=resample)
    X = np.where(X > 0.5, X, 0)
    dense, thin = clone(mlp).fit(X, y), clone(mlp).fit(container(X), y)
    for one, other in zip(dense.networks_, thin.networks_, strict=True):
        np.testing.assert_array_equal(one.parameters, other.parameters)
    np.testing.assert_array_equal(dense.predict_proba(X), thin.predict_proba(container(X)))


def test_standardizing_is_that_of_all_samples():
    mlp, X, y = made("one output", resample="bootstrap", standardize=True)
    X, y = X * 1e3 + 7, y * 50 + 1e4
    mlp.fit(X, y)
    assert all(member.input_scaler_ is mlp.input_scaler_ for member in mlp.estimators_)
    np.testing.assert_allclose(mlp.input_scaler_.mean_, X.mean(axis=0))
    x, t = mlp.input_scaler_.transform(X), mlp.target_scaler_.transform(y[:, None])[:, 0]
    inside = clone(mlp).set_params(standardize=False).fit(x, t)
    (mean, std), (own, spread) = mlp.predict(X, return_std=True), inside.predict(x, return_std=True)
    np.testing.assert_allclose(mean, own * mlp.target_scaler_.scale_ + mlp.target_scaler_.mean_, rtol=1e-12)
    np.testing.assert_allclose(std, spread * mlp.target_scaler_.scale_, rtol=1e-12)
    np.testing.assert_allclose(mlp.oob_score_, inside.oob_score_, rtol=1e-12)


def test_spread_tells_where_there_are_no_data():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (60, 1))
    mlp = MLPRegressor("squared_error", (few(12, 4),), "tanh", solver="lbfgs", alpha=1e-4, random_state=0, n_members=6,
                       max_iter=few(200, 30)).fit(X, np.sin(3 * X[:, 0]))
    near, far = mlp.predict([[0.2], [6.0]], return_std=True)[1]
    assert far > 10 * near


@pytest.mark.parametrize("threads", [1, 2, None])
def test_threads_change_no_bit(threads):
    mlp, X, y = made("classes", resample="bootstrap")
    fits = [clone(mlp).set_params(n_threads=n).fit(X, y) for n in (1, threads)]
    for one, other in zip(*(fit.networks_ for fit in fits), strict=True):
        np.testing.assert_array_equal(one.parameters, other.parameters)


def test_callbacks_are_copied_for_each_member():
    class Count:
        def __init__(self):
            self.seen = 0

        def __call__(self, record):
            self.seen += 1
            return self.seen == 2

    count = Count()
    mlp, X, y = made("one output", callbacks=[count], max_iter=5)
    mlp.fit(X, y)
    assert count.seen == 0 and [member.n_iter_ for member in mlp.estimators_] == [2] * MEMBERS
    assert [member.callbacks[0].seen for member in mlp.estimators_] == [2] * MEMBERS


def test_a_bar_counts_networks(capsys):
    mlp, X, y = made("one output", progress=True)
    mlp.fit(X, y)
    assert f"{MEMBERS}/{MEMBERS}" in capsys.readouterr().err


@pytest.mark.parametrize("name", DATA)
def test_copies_and_pickles(name):
    mlp, X, y = made(name, resample="bootstrap", standardize=True)
    mlp.fit(X, y)
    again = pickle.loads(pickle.dumps(mlp))
    np.testing.assert_array_equal(again.predict(X), mlp.predict(X))
    assert again.oob_score_ == mlp.oob_score_ and again.estimators_[1].input_scaler_ is again.input_scaler_
    assert clone(mlp).get_params() == mlp.get_params() and not hasattr(clone(mlp), "estimators_")
    with pytest.raises(NotFittedError):
        clone(mlp).predict(X)


@pytest.mark.parametrize("name", ["classes", "one output"])
def test_an_estimator_may_be_fitted_with_members_and_without(name):
    mlp, X, y = made(name, resample="folds")
    single = clone(mlp).set_params(n_members=1, resample=None)
    both = clone(single).fit(X, y)
    assert both.networks_ == [both.network_]
    both.set_params(n_members=MEMBERS, resample="folds").fit(X, y)
    fresh = clone(mlp).fit(X, y)
    assert set(vars(both)) == set(vars(fresh)) and both.oob_score_ == fresh.oob_score_
    both.set_params(n_members=1, resample=None).fit(X, y)
    assert set(vars(both)) == set(vars(single.fit(X, y)))
    np.testing.assert_array_equal(both.network_.parameters, single.network_.parameters)


@pytest.mark.parametrize("name", ["two", "one output"])
def test_what_is_about_one_network(name):
    mlp, X, y = made(name)
    assert not hasattr(mlp, "partial_fit")
    mlp.fit(X, y)
    with pytest.raises(AttributeError, match="has 4 networks: they are networks_"):
        _ = mlp.network_
    assert not hasattr(mlp, "coefs_") and not hasattr(mlp, "oob_score_")
    assert mlp.estimators_[0].set_params(max_iter=1).partial_fit(X, y).t_ > 0, "a member learns on as any other"


def test_spread_of_one_network_is_an_error():
    mlp, X, y = made("one output", n_members=1)
    with pytest.raises(ValueError, match="there is one network: fit with n_members=5 or more"):
        mlp.fit(X, y).predict(X, return_std=True)
    with pytest.raises(AttributeError, match="has one network, network_: fit with n_members=5 or more"):
        _ = mlp.ensemble_
    with pytest.raises(NotFittedError):
        _ = clone(mlp).ensemble_


BAD = [
    (dict(n_members=1, resample="folds"), "n_members is 1: ask for more, or leave resample out"),
    (dict(n_members=0), "The 'n_members' parameter"), (dict(n_members=2.0), "The 'n_members' parameter"),
    (dict(resample="jackknife"), "The 'resample' parameter"),
    (dict(warm_start=True), "warm_start=True begins with the weights of one network, but n_members is 4"),
    (dict(resample="folds", n_members=10**4), "n_members=10000 folds, but there are"),
    (dict(learning_rate_init=1e200, solver="sgd", activation="identity"), "Solver produced non-finite"),
    (dict(solver="lbfgs", dropout=0.5), "cannot follow a loss"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "says"), BAD, ids=str)
@pytest.mark.parametrize("name", ["two", "one output"])
def test_errors_leave_what_there_was(name, settings, says):
    mlp, X, y = made(name)
    with pytest.raises(ValueError, match=says):
        clone(mlp).set_params(**settings).fit(X, y)
    before = mlp.fit(X, y).predict(X)
    with pytest.raises(ValueError, match=says):
        mlp.set_params(**settings).fit(X, y)
    np.testing.assert_array_equal(mlp.set_params(n_members=MEMBERS, resample=None).predict(X), before)


def test_ctrl_c_leaves_what_there_was():
    def interrupt(record):
        raise KeyboardInterrupt

    mlp, X, y = made("one output")
    before = mlp.fit(X, y).predict(X)
    with pytest.raises(KeyboardInterrupt):
        mlp.set_params(callbacks=[interrupt]).fit(X, y)
    np.testing.assert_array_equal(mlp.predict(X), before)


def test_warnings_count_members_and_point_at_the_users_line():
    mlp, X, y = made("one output", batch_size=10**6)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mlp.fit(X, y)
    assert [w.filename for w in caught] == [__file__] * 2
    assert [w.category for w in caught] == [UserWarning, ConvergenceWarning]
    assert all(str(w.message).startswith("4 of 4 members: ") for w in caught)


def test_lbfgs_warns_once_for_members_that_say_the_same():
    mlp, X, y = made("one output", solver="lbfgs", max_iter=3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mlp.fit(X, y)
        mlp.set_params(n_members=1).fit(X, y)
    assert [(w.category, w.filename) for w in caught] == [(ConvergenceWarning, __file__)] * 2
    assert str(caught[0].message).startswith("4 of 4 members: lbfgs failed to converge after 3 iteration(s) (status=1)")
    assert str(caught[1].message).startswith("lbfgs failed to converge after 3 iteration(s) (status=1): STOP")


def test_one_that_diverges_keeps_its_best_weights():
    mlp, X, y = made("one output", solver="sgd", learning_rate_init=5.0, early_stopping=True, max_iter=few(50, 20),
                     activation="identity")
    with pytest.warns(ConvergenceWarning, match=r"\d of 4 members: Stochastic Optimizer: training diverged"):
        mlp.fit(X * 10, y)
    assert np.isfinite(mlp.predict(X)).all()


@pytest.mark.skipif(not JIT, reason="trains for hundreds of epochs")
def test_oob_score_is_what_bagging_finds():
    """To within what seeds do: the resamples are others."""
    X, y = load_diabetes(return_X_y=True)
    mlp = MLPRegressor("squared_error", (8,), "tanh", solver="lbfgs", alpha=5.0, max_iter=60, standardize=True,
                       random_state=0)
    ours = clone(mlp).set_params(n_members=20, resample="bootstrap").fit(X, y)
    bagged = BaggingRegressor(mlp, 20, oob_score=True, random_state=0).fit(X, y)
    assert abs(ours.oob_score_ - bagged.oob_score_) < 0.05 and ours.oob_score_ > 0.35


class Small(MLPRegressor):
    """One with parameters of its own, which are fewer."""

    def __init__(self, size=3, random_state=None, n_members=1):
        super().__init__(hidden_layer_sizes=(size,), max_iter=2, random_state=random_state, n_members=n_members)
        self.size = size

    def _keep(self, arguments):
        vars(self).update({name: arguments[name] for name in MLPRegressor._get_param_names()})


def test_a_subclass_has_parameters_of_its_own():
    assert Small._get_param_names() == ["n_members", "random_state", "size"] != MLPRegressor._get_param_names()
    _, X, y = made("one output")
    mlp = clone(Small(2, 0, 3)).fit(X, y)
    assert [network.layers[1] for network in mlp.networks_] == [2] * 3


def test_members_are_a_setting_like_any_other():
    mlp, X, y = made("one output", n_members=1)
    found = GridSearchCV(mlp, {"n_members": [1, 3]}, cv=2).fit(X, y)
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()


@pytest.mark.skipif(not JIT, reason="128 checks of up to 100 epochs take minutes in plain Python")
@pytest.mark.parametrize("resample", RESAMPLES)
@pytest.mark.parametrize("kind", OURS)
def test_scikit_learns_checks(kind, resample):
    """Every check of `check_estimator`. A resample is drawn of samples, not of their weights, as in a Bagging."""
    # without a seed one run in 300 draws for a member only rows that a check gives no weight, which is an error
    mlp = kind(max_iter=100, n_members=3, resample=resample, random_state=0)
    for estimator, check in estimator_checks_generator(mlp):
        if resample is not None and check.func.__name__.startswith("check_sample_weight_equivalence"):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(estimator)
        except pytest.skip.Exception:
            continue
        except Exception as error:
            if type(error).__name__ != "SkipTest":
                raise AssertionError(f"{check.func.__name__}: {error}") from error
