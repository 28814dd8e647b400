"""TabularRegressor and TabularClassifier: scikit-learn's contract, members and folds, what they promise."""

import math
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
from helpers import few

pytest.importorskip("sklearn", reason="belongs to the table extra")
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_classification
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator

import fastbp
from fastbp import TabularClassifier, TabularRegressor
from fastbp.encoders import Identity, OneHot, Periodic
from fastbp.kernels.compile import JIT
from fastbp.schedules import Cosine, CosLog
from fastbp.tables import calibration, importance, intervals, recipe, training
from fastbp.tables.targets import Classes, Numbers
from fastbp.training.history import Record

BOTH = [TabularRegressor, TabularClassifier]
SMALL = {"hidden_layer_sizes": (4,), "epochs": 3, "learning_rate": 0.1, "dropout": 0.0, "n_pieces": 0,
         "n_frequencies": 0, "random_state": 0}

EXPECTED_TO_FAIL = {"check_sample_weight_equivalence_on_dense_data": "rows are dealt out to folds and batches, and two "
                    "rows of weight 1 may go to different ones, where one of weight 2 does not"}


def small(kind, **settings):
    return kind(**{**SMALL, **settings})


def data(kind, n=0):
    X, y = (load_diabetes if kind is TabularRegressor else load_iris)(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))[: n or few(120, 40)]
    return X[order], y[order]


def mixed(n=40):
    """A frame with a column of every kind, and targets that two of them tell."""
    pandas = pytest.importorskip("pandas", reason="belongs to the test extra")
    pytest.importorskip("narwhals", reason="belongs to the table extra")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({
        "number": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)), "text": rng.choice(list("abc"), n),
        "flag": rng.random(n) < 0.5, "time": pandas.date_range("2024-01-01", periods=n, freq="37h"),
        "kind": pandas.Categorical(rng.choice(["u", "v"], n)), "constant": 1.0,
    })
    return frame, (frame["text"] == "a") + 0.1 * frame["flag"] + 0.01 * rng.normal(size=n)


@pytest.mark.skipif(not JIT, reason="a hundred fits take minutes in plain Python")
@pytest.mark.parametrize("kind", BOTH)
def test_scikit_learns_checks(kind):
    """Every check of `check_estimator` but those that are said to fail."""
    failed, skipped = set(), set()
    for estimator, check in estimator_checks_generator(kind(epochs=16, hidden_layer_sizes=(32,))):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(estimator)
        except pytest.skip.Exception as error:
            skipped.add(str(error))
        except Exception as error:
            if type(error).__name__ == "SkipTest":
                skipped.add(check.func.__name__)
            elif check.func.__name__ in EXPECTED_TO_FAIL:
                failed.add(check.func.__name__)
            else:
                raise AssertionError(f"{check.func.__name__}: {error}") from error
    assert failed == set(EXPECTED_TO_FAIL)  # one that passes is no longer expected to fail
    assert skipped <= {"check_array_api_input"}


@pytest.mark.parametrize("kind", BOTH)
def test_what_is_learned(kind):
    """The recipe itself, on data that a table of means would not tell."""
    X, y = data(kind, few(150, 60))
    settings = {} if JIT else {"epochs": 20, "hidden_layer_sizes": (8,), "learning_rate": 0.1, "batch_size": 8,
                               "n_pieces": 0, "n_frequencies": 0}
    model = kind(random_state=0, **settings).fit(X, y)
    assert model.score(X, y) > (0.4 if kind is TabularRegressor else 0.85)
    chosen = recipe.choose(len(X), kind is TabularClassifier, **settings)
    assert model.recipe_ in (chosen, replace(chosen, n_pieces=0))


@pytest.mark.parametrize("kind", BOTH)
def test_a_frame_with_columns_of_every_kind(kind):
    X, y = mixed()
    target = y if kind is TabularRegressor else np.where(y > 0.5, "yes", "no")
    before = X.copy(deep=True)
    model = small(kind, epochs=few(60, 25), batch_size=8, hidden_layer_sizes=(16,), n_members=2).fit(X, target)
    assert model.score(X, target) > 0.8
    assert model.feature_names_in_.tolist() == list(X) and model.n_features_in_ == 6
    assert [row.name for row in model.describe_columns()] == list(X)
    assert model.feature_importances_.argmax() == 1 and model.feature_importances_[5] == 0
    assert math.isclose(model.feature_importances_.sum(), 1)
    shuffled = X[["constant", "kind", "time", "flag", "text", "number"]]
    np.testing.assert_array_equal(model.predict(shuffled), model.predict(X))
    assert X.equals(before)
    polars = pytest.importorskip("polars", reason="belongs to the test extra")
    np.testing.assert_array_equal(model.predict(polars.DataFrame(X.to_dict("list"))), model.predict(X))


@pytest.mark.parametrize("kind", BOTH)
def test_the_same_random_state_trains_the_same(kind):
    X, y = data(kind)
    one, two, three = (small(kind, n_members=3, n_threads=threads, random_state=seed).fit(X, y)
                       for threads, seed in ((1, 0), (2, 0), (1, 1)))
    answer = "predict" if kind is TabularRegressor else "predict_proba"
    np.testing.assert_array_equal(getattr(one, answer)(X), getattr(two, answer)(X))
    assert (getattr(one, answer)(X) != getattr(three, answer)(X)).any()


@pytest.mark.parametrize("kind", BOTH)
def test_clones_pickles_and_searches(kind):
    X, y = data(kind, 40)
    model = small(kind).fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    np.testing.assert_array_equal(clone(model).fit(X, y).predict(X), model.predict(X))
    piped = make_pipeline(FunctionTransformer(), small(kind, epochs=1))
    grid = GridSearchCV(piped, {f"{kind.__name__.lower()}__dropout": [0.0, 0.5]}, cv=2).fit(X, y)
    assert len(grid.cv_results_["params"]) == 2
    assert np.isfinite(cross_val_score(small(kind, epochs=1), X, y, cv=2)).all()


@pytest.mark.parametrize("kind", BOTH)
def test_weights_are_routed(kind):
    X, y = data(kind, 40)
    weights = np.linspace(0, 1, 40)
    with sklearn.config_context(enable_metadata_routing=True):
        asked = small(kind).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        grid = GridSearchCV(asked, {"epochs": [2]}, cv=2).fit(X, y, sample_weight=weights)
    expected = small(kind, epochs=2).fit(X, y, weights)
    np.testing.assert_array_equal(grid.best_estimator_.predict(X), expected.predict(X))


# ------------------------------------------------------------------------------------------- rows kept back, weights


def test_folds_are_dealt_out_evenly_by_class():
    classes = np.repeat([0, 1, 2, 3], [1, 20, 33, 2])
    fold = training.fold_of(56, 5, classes, np.random.default_rng(0))
    assert (fold == -1).tolist() == (classes == 0).tolist()  # the only row of its class is never kept back
    for name in (1, 2, 3):
        counts = np.bincount(fold[classes == name], minlength=5)
        assert counts.max() - counts.min() <= 1
    plain = training.fold_of(17, 5, None, np.random.default_rng(0))
    assert sorted(np.bincount(plain)) == [3, 3, 3, 4, 4]


@pytest.mark.parametrize(("members", "folds", "kept", "by"), [(1, "auto", 1 / 6, 1), (3, "auto", 0.5, 1),
                                                              (6, "auto", 1, 1), (8, "auto", 1, 1), (4, 2, 1, 2)])
def test_members_keep_back_a_fold_each(members, folds, kept, by):
    X, y = data(TabularRegressor, 48)
    model = small(TabularRegressor, epochs=1, n_members=members, n_folds=folds).fit(X, y)
    assert np.isfinite(model.oof_predictions_).mean() == kept
    unseen = model._held_out.unseen
    assert (unseen.sum(axis=0) == by).all() and len(model.ensemble_) == members
    assert np.shape(model.best_epoch_) == (() if members == 1 else (members,))


def test_out_of_fold_predictions_are_those_of_members_that_have_not_seen_a_row():
    """By training a network anew on the other rows, from the seeds that a generator of the same state draws."""
    X, y = data(TabularRegressor, 30)
    model = small(TabularRegressor, n_members=2, n_folds=2, clamp=False, n_frequencies=4).fit(X, y)
    generator = np.random.default_rng(int(np.random.RandomState(0).randint(2**31 - 1)))
    fold = training.fold_of(30, 2, None, generator)
    matrix, targets = model._matrix(X), ((y - y.mean()) / y.std()).astype(np.float32)
    settings, encoders = model.recipe_, model._table.encoders(4)
    networks = [settings.network(matrix.shape[1], 1, "squared_error", int(generator.integers(2**63)), encoders)
                for _ in range(2)]
    for i, network in enumerate(networks):
        network.initialize(matrix[fold != i])
        costs, kept = [], []

        def watch(record, costs=costs, kept=kept, rows=fold == i):
            """Judge the average of the parameters: of the first epoch, then 10/11 new, then 10/12."""
            mean, share = kept[-1] if kept else 0.0, len(kept) / (len(kept) + 10)
            own = record.network.parameters.copy()
            kept.append(share * mean + (1 - share) * own)
            record.network.parameters[:] = kept[-1]
            costs.append(record.network.cost(matrix[rows], targets[rows]))
            record.network.parameters[:] = own

        network.fit(matrix[fold != i], targets[fold != i], epochs=3, batch_size=settings.batch_size,
                    optimizer=settings.optimizer(network), regularization=settings.regularization(), callbacks=[watch])
        network.parameters[:] = kept[int(np.argmin(costs))]
        expected = y.mean() + y.std() * network.predict(matrix[fold == i]).astype(float)
        np.testing.assert_allclose(model.oof_predictions_[fold == i], expected, rtol=1e-5)
        assert model.best_epoch_[i] == np.argmin(costs) + 1


def test_training_ends_after_a_wave_without_progress(monkeypatch):
    """Waves end after 1/15, 3/15, 7/15 and all of the epochs; what is best is the average of the parameters."""
    costs = iter([*[5.0] * 4, 4.0, *[4.5] * 60])
    network = fastbp.Network((1, 1), seed=0)
    best = training.BestEpoch((None, None, None), lambda epoch: epoch / 60)
    monkeypatch.setattr(type(network), "cost", lambda self, X, Y, weights: next(costs))
    for epoch in range(1, 61):
        network.parameters[:] = epoch
        stop = best(Record(epoch, 1.0, None, 0.1, network, epoch, 0.1, lambda: 0.0, lambda rate: None))
        np.testing.assert_array_equal(network.parameters, epoch)
        if stop:
            break
    assert epoch == 28 and best.best_epoch == 5  # in the second wave, which ends at 12
    short = training.BestEpoch((None, None, None), lambda epoch: epoch / 4)  # whose waves are too short to tell
    assert not any(short(Record(epoch, 1.0, None, 0.1, network, epoch, 0.1, lambda: 0.0, lambda rate: None))
                   for epoch in range(1, 5))
    mean = 1.0
    for i in range(2, 6):
        mean += (1 - (i - 1) / (i + 9)) * (i - mean)
    np.testing.assert_allclose(best.seen.parameters, mean, rtol=1e-6)


def test_rates_and_decays_of_a_network():
    """RealMLP's, of weights that are not divided: an Adam step of μ/√n, and the same share of decay."""
    settings = recipe.choose(500, True, hidden_layer_sizes=(16, 9))
    encoders = [Periodic([0], 3), OneHot(1, 5)]
    network = settings.network(2, 3, "cross_entropy", 0, encoders)
    assert network.activations[:2] == ("parametric(selu)",) * 2 and network.encoded_size == 9
    method = settings.optimizer(network)
    assert method.rate_factors == {"biases": 0.1, "alphas": 0.1, "scaling": 6.0, "encoders[0]": 0.1,
                                   "weights[0]": 1 / 3, "weights[1]": 1 / 4, "weights[2]": 1 / 3}
    assert method.decay_factors == {"biases": 0.0, "alphas": 0.1, "scaling": 6.0, "encoders[0]": 0.1,
                                    "weights[0]": 3, "weights[1]": 4, "weights[2]": 3}
    assert method.learning_rate == CosLog(settings.learning_rate) and method.beta2 == 0.95
    assert method.weight_decay == Cosine(settings.weight_decay, flat=0.5, per="update")
    plain = recipe.choose(500, False, activation="relu", weight_decay=0.0, hidden_layer_sizes=())
    method = plain.optimizer(plain.network(2, 1, "squared_error", 0, [Identity([0, 1])]))
    assert "alphas" not in method.rate_factors and method.weight_decay == 0 and plain.regularization() is None


@pytest.mark.parametrize("kind", BOTH)
def test_rows_that_weigh_nothing_are_left_out(kind):
    """Of everything but what is learned of the columns: wrong targets of theirs change nothing."""
    X, y = data(kind, 40)
    weights = np.where(np.arange(40) % 4 == 0, 0.0, 1.5)
    spoiled = y.copy()
    spoiled[::4] = y.max() if kind is TabularRegressor else y[::4][::-1]
    one, two = (small(kind, clamp=False).fit(X, target, weights) if kind is TabularRegressor
                else small(kind).fit(X, target, weights) for target in (y, spoiled))
    np.testing.assert_array_equal(one.ensemble_.predict(one._matrix(X)), two.ensemble_.predict(two._matrix(X)))
    assert np.isnan(one.oof_predictions_[::4]).all()


@pytest.mark.parametrize("kind", BOTH)
def test_rows_of_the_users_choose_the_best_epoch(kind):
    X, y = data(kind, 60)
    weights = np.linspace(0.5, 2, 20)
    seen = []
    model = small(kind, epochs=8, callbacks=[lambda record: seen.append(record.validation_cost)]).fit(
        X[:40], y[:40], X_val=X[40:], y_val=y[40:], sample_weight_val=weights)
    assert np.isnan(model.oof_predictions_).all() and model._held_out.origin == "calibration"
    assert len(model._held_out.targets) == 20 and len(seen) == 8
    losses = model.evals_result_["validation"][model._loss]
    assert model.best_epoch_ == losses.argmin() + 1
    if kind is TabularRegressor:
        missed = np.average((model.ensemble_.predict(model._matrix(X[40:]))[:, 0] * y[:40].std() + y[:40].mean()
                             - y[40:]) ** 2, weights=weights)
        assert math.isclose(losses.min(), math.sqrt(missed), rel_tol=1e-4)
        assert not math.isclose(losses[0], math.sqrt(2 * seen[0]) * y[:40].std(), rel_tol=1e-4)  # which has no weights


def test_the_range_of_targets_is_that_of_rows_that_weigh_anything():
    found = Numbers.learn(np.array([1e9, 1.0, 3.0]), np.array([0.0, 1.0, 1.0]))
    assert (found.low[0], found.high[0], found.center[0], found.scale[0]) == (1, 3, 2, 1)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"y_val": [1.0]}, "without X_val"), ({"sample_weight_val": [1.0]}, "without X_val"),
    ({"X_val": [[0.0] * 10]}, "X_val is given without y_val"),
    ({"X_val": [[0.0] * 10], "y_val": [1.0, 2.0]}, "inconsistent numbers"),
    ({"X_val": [[0.0] * 10], "y_val": [[1.0, 2.0]]}, "y_val has 2 outputs, y has 1"),
    ({"X_val": [[0.0] * 9], "y_val": [1.0]}, "X_val has 9 features, .* expecting 10"),
    ({"X_val": [[0.0] * 11], "y_val": [1.0]}, "X_val has 11 features, .* expecting 10"),
    ({"sample_weight": -np.ones(40)}, "no negative weights|negative"), ({"sample_weight": np.zeros(40)}, "zero|0 for"),
    ({"sample_weight": np.arange(40) == 3}, "n_samples=1"),
    ({"y": None}, "requires y to be passed"), ({"y": np.full(40, np.nan)}, "contains NaN"),
    ({"y": np.full(40, np.inf)}, "infinity"), ({"y": np.array([1e300, -1e300] * 20)}, "scale y first"),
    ({"y": np.ones((40, 2, 2))}, "dim 3|shape"), ({"y": np.arange(39.0)}, "inconsistent"),
])
def test_what_a_regressor_refuses(arguments, message):
    """And is then what it was."""
    X, y = data(TabularRegressor, 40)
    model = small(TabularRegressor).fit(X, y)
    before = model.predict(X)
    with pytest.raises(ValueError, match=message):
        model.fit(**{"X": X, "y": y, **arguments})
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize(("y", "message"), [
    ([1] * 6, "one class"), ([0.5, 1.5, 2.5, 0.7, 1.1, 2.2], "Unknown label type"), (["a", None] * 3, "contains NaN"),
    ([1.0, np.nan] * 3, "contains NaN"), ([[1, 2]] * 6, "y should be a 1d array"),
])
def test_what_a_classifier_refuses(y, message):
    target = np.array(y, object) if None in y else np.array(y)
    with pytest.raises(ValueError, match=message):
        small(TabularClassifier).fit(np.arange(12.0).reshape(6, 2), target)


@pytest.mark.parametrize(("settings", "message"), [
    ({"n_members": 0}, "n_members"), ({"n_folds": 1}, "n_folds"), ({"epochs": 0}, "epochs"),
    ({"dropout": 1}, "dropout"), ({"activation": "nope"}, "activation"), ({"time_limit": 0}, "time_limit"),
    ({"learning_rate": "low"}, "learning_rate"), ({"hidden_layer_sizes": (0,)}, "layers|hidden"),
    ({"hidden_layer_sizes": (2.5,)}, "integer"),
    ({"categorical_features": ["a"]}, "have no names"),
])
def test_parameters_out_of_range(settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        small(TabularRegressor, **settings).fit(*data(TabularRegressor, 20))


@pytest.mark.parametrize("kind", BOTH)
def test_before_a_fit(kind):
    model = kind()
    for call in (model.predict, lambda X: model.describe_columns(), lambda X: model.save("x")):
        with pytest.raises(NotFittedError):
            call([[1.0]])


# ------------------------------------------------------------------------------------------------------ of numbers


def test_targets_in_any_units_and_several_of_them():
    X, y = data(TabularRegressor, 40)
    several = np.column_stack([1e6 * y, y - 1e6])
    model = small(TabularRegressor, n_members=2).fit(X, several)
    assert model.predict(X).shape == (40, 2) and model.oof_predictions_.shape == (40, 2)
    assert model.predict_quantiles(X, [0.2, 0.8]).shape == (2, 40, 2)
    assert model.predict_quantiles(X, 0.2).shape == (40, 2)
    assert all(bound.shape == (40, 2) for bound in model.predict_interval(X, 0.6))
    low, high = several.min(axis=0), several.max(axis=0)
    assert ((model.predict(X) >= low) & (model.predict(X) <= high)).all()
    single, column = (small(TabularRegressor).fit(X, target) for target in (y, y[:, None]))
    np.testing.assert_array_equal(column.predict(X), single.predict(X)[:, None])


def test_constant_targets():
    X, y = data(TabularRegressor, 20)
    model = small(TabularRegressor).fit(X, np.full(20, 7.0))
    np.testing.assert_array_equal(model.predict(X), 7.0)
    assert Numbers.learn(np.full(3, 7.0), None).scale == 1


def test_clamping_is_a_choice():
    X = np.linspace(-1, 1, 40)[:, None]
    settings = {"epochs": 30, "batch_size": 8, "hidden_layer_sizes": (8,), "activation": "relu"}
    free, held = (small(TabularRegressor, clamp=clamp, **settings).fit(X, X[:, 0]) for clamp in (False, True))
    beyond = np.array([[3.0], [-3.0]])
    assert np.abs(held.predict(beyond)).max() == 1
    np.testing.assert_array_equal(held.predict(beyond), np.clip(free.predict(beyond), -1, 1))


@pytest.mark.parametrize(("members", "folds"), [(1, "auto"), (3, 3), (2, 3), (4, 2)])
def test_quantiles_by_the_plain_rule(members, folds):
    X, y = data(TabularRegressor, 40)
    model = small(TabularRegressor, n_members=members, n_folds=folds, clamp=False).fit(X, y)
    new = X[:5] + 0.01
    held, scale = model._held_out, y.std()
    unseen = np.broadcast_to(held.unseen, (members, len(held.targets)))
    single = [network.predict(model._matrix(new))[:, 0].astype(float) for network in model.ensemble_.networks]
    for q in (0.1, 0.25, 0.5, 0.8, 0.999):
        found = model.predict_quantiles(new, q)
        for row in range(5):
            values = sorted(np.mean([single[b][row] for b in range(members) if unseen[b, i]])
                            + float(held.targets[i, 0] - held.predictions[i, 0]) for i in range(len(held.targets)))
            n = len(values)
            k = math.ceil(round(q * (n + 1), 9)) if q >= 0.5 else math.floor(round(q * (n + 1), 9))
            expected = -np.inf if k < 1 else np.inf if k > n else y.mean() + scale * values[k - 1]
            assert found[row] == pytest.approx(expected, rel=1e-6)


def test_ranks_of_quantiles():
    assert intervals.rank(0.9, 9) == 9 and intervals.rank(0.1, 9) == 1  # exact, where 0.1·10 is a bit more or less
    assert intervals.rank(0.5, 4) == 3 and intervals.rank(0.05, 9) == 0 and intervals.rank(0.95, 9) == 10


@pytest.mark.skipif(not JIT, reason="some hundred epochs")
@pytest.mark.parametrize("members", [1, 6])
def test_intervals_hold_as_often_as_they_say(members):
    rng = np.random.default_rng(1)
    X = rng.uniform(-2, 2, (1600, 2))
    y = np.sin(X[:, 0]) + X[:, 1] + rng.standard_exponential(1600)
    model = TabularRegressor(n_members=members, n_folds=6, epochs=20, hidden_layer_sizes=(16,), random_state=0)
    model.fit(X[:600], y[:600])
    X, y, known = X[600:], y[600:], len(model._held_out.targets)

    def error(q):
        """Four standard errors of a share: of rows not seen, and of new ones."""
        return 4 * math.sqrt(q * (1 - q) * (1 / known + 1 / 1000))

    low, high = model.predict_interval(X, 0.9)
    assert abs(((low <= y) & (y <= high)).mean() - 0.9) < error(0.9)
    for q in (0.1, 0.5, 0.9):
        assert abs((y <= model.predict_quantiles(X, q)).mean() - q) < error(q)
    predicted, deviation = model.predict(X, return_std=True)
    of_squares = 4 * math.sqrt(8 * (1 / known + 1 / 1000))  # whose variance is 8 for this noise
    assert abs(np.mean(deviation**2) / np.mean((y - predicted) ** 2) - 1) < of_squares
    with pytest.raises(ValueError, match="level is 1.5"):
        model.predict_interval(X, 1.5)
    for wrong in (0, [0.5, 1.0], "half"):
        with pytest.raises((ValueError, TypeError)):
            model.predict_quantiles(X, wrong)


def test_standard_deviations():
    X, y = data(TabularRegressor, 40)
    model = small(TabularRegressor, n_members=3, n_folds=3).fit(X, y)
    held = model._held_out
    noise = np.mean((held.targets - held.predictions) ** 2)
    members = np.var([network.predict(model._matrix(X))[:, 0] for network in model.ensemble_.networks], axis=0)
    np.testing.assert_allclose(model.predict(X, return_std=True)[1], y.std() * np.sqrt(noise + members), rtol=1e-5)


# ------------------------------------------------------------------------------------------------------ of classes


@pytest.mark.parametrize("names", [["no", "yes"], [False, True], [-3, 8], [0.0, 2.0], ["a", "b", "c"]])
def test_classes_of_any_names(names):
    rng = np.random.default_rng(0)
    codes = rng.integers(len(names), size=60)
    y = np.array(names)[codes]
    model = small(TabularClassifier, epochs=few(40, 20), hidden_layer_sizes=(8,)).fit(np.eye(len(names))[codes], y)
    assert model.classes_.tolist() == sorted(names) and model.classes_.dtype == y.dtype
    assert model.score(np.eye(len(names)), np.array(names)) == 1
    np.testing.assert_allclose(model.predict_proba(np.eye(len(names))).sum(axis=1), 1)
    objects = small(TabularClassifier).fit(np.eye(len(names))[codes], y.astype(object))
    assert objects.classes_.tolist() == sorted(names)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_targets_of_frames(library):
    module = pytest.importorskip(library, reason="belongs to the test extra")
    X = np.arange(24.0)[:, None]
    codes = [0, 1, 1] * 8
    make = module.array if library == "pyarrow" else module.Series
    wanted = small(TabularClassifier).fit(X, np.array(["a", "b"])[codes]).predict(X)
    found = small(TabularClassifier).fit(X, make([("a", "b")[i] for i in codes])).predict(X)
    np.testing.assert_array_equal(found, wanted)
    assert small(TabularClassifier).fit(X, make(codes)).classes_.tolist() == [0, 1]
    numbers = small(TabularRegressor).fit(X, np.arange(24.0)).predict(X)
    np.testing.assert_array_equal(small(TabularRegressor).fit(X, make(list(range(24)))).predict(X), numbers)
    with pytest.raises(ValueError, match="NaN"):
        small(TabularRegressor).fit(X, make([None, *np.arange(23.0)]))
    with pytest.raises(ValueError, match="NaN"):
        small(TabularClassifier).fit(X, make([None, *[("a", "b")[i] for i in codes[1:]]]))
    if library == "pandas":
        for dtype in ("category", "string", "Int64", "boolean"):
            values = [("a", "b")[i] for i in codes] if dtype in ("category", "string") else codes
            y = module.Series(values).astype(dtype)
            assert len(small(TabularClassifier).fit(X, y).classes_) == 2
            y[0] = None
            with pytest.raises(ValueError, match="NaN"):
                small(TabularClassifier).fit(X, y)
        y = module.Series(range(24), dtype="Int64")
        np.testing.assert_array_equal(small(TabularRegressor).fit(X, y).predict(X), numbers)
        y[0] = None
        with pytest.raises(ValueError, match="NaN"):
            small(TabularRegressor).fit(X, y)


def test_a_class_of_one_row():
    X, y = data(TabularClassifier, 40)
    y = np.where(np.arange(40) == 7, 9, y)
    model = small(TabularClassifier, n_members=3).fit(X, y)
    assert model.predict_proba(X).shape == (40, 4) and not model._held_out.unseen[:, model._held_out.targets == 3].any()
    every = small(TabularClassifier).fit(X[:5], np.arange(5))  # each row a class of its own
    assert every.predict_proba(X).shape == (40, 5)


@pytest.mark.parametrize("validation", [{}, {"X_val": [[0.0] * 4], "y_val": [0]}])
def test_class_weights_that_leave_no_rows(validation):
    X, y = data(TabularClassifier, 40)
    with pytest.raises(ValueError, match="X has 0 samples .* whose weight is not 0"):
        small(TabularClassifier, class_weight={0: 0, 1: 0, 2: 0}).fit(X, y, **validation)


def test_class_weights_are_weights_of_rows():
    X, y = data(TabularClassifier, 45)
    by_class = {0: 1.0, 1: 0.5, 2: 4.0}
    one = small(TabularClassifier, class_weight=by_class).fit(X, y)
    two = small(TabularClassifier).fit(X, y, [by_class[name] for name in y])
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    balanced = small(TabularClassifier, class_weight="balanced").fit(X, y, X_val=X[:9], y_val=y[:9])
    factors = 45 / (3 * np.bincount(y))
    same = small(TabularClassifier).fit(X, y, factors[y], X_val=X[:9], y_val=y[:9], sample_weight_val=factors[y[:9]])
    np.testing.assert_array_equal(balanced.predict_proba(X), same.predict_proba(X))
    with pytest.raises(ValueError, match="y_val has the class 9, which y has not"):
        small(TabularClassifier).fit(X, y, X_val=X[:1], y_val=[9])


def test_probabilities_are_those_of_the_mean_logits_at_a_temperature():
    X, y = data(TabularClassifier, 60)
    model = small(TabularClassifier, n_members=3, n_folds=3, epochs=10).fit(X, y)
    logits = np.mean([np.log(network.predict(model._matrix(X)).astype(float)) for network in model.ensemble_.networks],
                     axis=0)
    powers = np.exp(logits / model.temperature_)
    expected = powers / powers.sum(axis=1, keepdims=True) * 60 / 61 + 1 / 61 / 3
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)))
    found = model.oof_predictions_
    for i, own in enumerate(model._held_out.unseen):
        logits = np.log(model.ensemble_.networks[i].predict(model._matrix(X)).astype(float)) / model.temperature_
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        expected = powers / powers.sum(axis=1, keepdims=True) * 60 / 61 + 1 / 61 / 3
        np.testing.assert_allclose(found[own], expected[own], rtol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_temperature_has_the_lowest_log_loss(rng, weighted):
    """Of the rows and of those that say 1, by trying many."""
    logits = 3 * rng.normal(size=(80, 3))
    classes = np.array([rng.choice(3, p=p) for p in calibration.softmax(logits / 2.5)])
    weights = rng.random(80) if weighted else None
    found = calibration.temperature(logits, classes, weights)
    share = calibration.PRIOR_ROWS / (calibration.PRIOR_ROWS + 80)

    def loss(heat):
        p = np.log(calibration.softmax(logits / heat))
        own = np.average(p[np.arange(80), classes], weights=weights)
        prior = np.average((calibration.softmax(logits) * p).sum(axis=1), weights=weights)
        return -(1 - share) * own - share * prior

    tried = np.geomspace(0.2, 20, 4001)
    assert found == pytest.approx(tried[np.argmin([loss(heat) for heat in tried])], rel=2e-3)
    assert found > 1.2


def test_a_temperature_of_rows_that_are_all_told_rightly():
    logits = np.log([[0.9, 0.1], [0.2, 0.8]])
    assert 0.1 < calibration.temperature(logits, np.array([0, 1]), None) < 1


@pytest.mark.skipif(not JIT, reason="some hundred epochs")
def test_calibration_mends_networks_that_are_too_sure():
    X, y = make_classification(700, 10, n_informative=4, flip_y=0.3, random_state=0)
    model = TabularClassifier(n_members=6, random_state=0, epochs=60, dropout=0.0, weight_decay=0.0)
    model.fit(X[:350], y[:350])
    plain = log_loss(y[350:], calibration.softmax(calibration.mean_logits(model.ensemble_, model._matrix(X[350:]))))
    assert model.temperature_ > 1 and log_loss(y[350:], model.predict_proba(X[350:])) < plain


# ------------------------------------------------------------------------------------------- time, callbacks, records


@pytest.mark.parametrize("kind", BOTH)
def test_what_is_recorded(kind):
    X, y = data(kind, 40)
    several = small(kind, epochs=4, n_members=2).fit(X, y)
    assert all(several.evals_result_[part][several._loss].shape == (4,) for part in ("training", "validation"))
    model = small(kind, epochs=4).fit(X, y)
    kept = np.isfinite(model.oof_predictions_.reshape(40, -1)).all(axis=1)
    if kind is TabularRegressor:
        best = np.sqrt(np.mean((y[kept] - model.oof_predictions_[kept]) ** 2))
    else:
        p = model.ensemble_.predict(model._matrix(X[kept]))
        best = -np.mean(np.log(p[np.arange(kept.sum()), y[kept]]))
    losses = model.evals_result_["validation"][model._loss]
    assert losses[model.best_epoch_ - 1] == pytest.approx(best, rel=1e-4) and losses.argmin() + 1 == model.best_epoch_


def test_a_time_limit_ends_the_fit(monkeypatch):
    monkeypatch.setattr(recipe, "WAVE_ENDS", ())  # so that nothing else ends it
    X, y = data(TabularRegressor, 40)
    seen = []
    note = [lambda record: seen.append((record.seconds, record.learning_rate))]
    model = small(TabularRegressor, epochs=10**6, time_limit=0.3, callbacks=note).fit(X, y)
    seconds, rates = np.array(seen).T
    assert seconds[-1] > 0.25 and len(seen) < 10**6 and model.best_epoch_ <= len(seen)
    assert 0 <= rates.min() and rates.max() <= 0.1 + 1e-9


@pytest.mark.parametrize("seconds", [1e6, 5.0])
def test_the_learning_rate_falls_with_the_epochs_or_the_time(seconds, monkeypatch):
    """Whichever is further, by a clock that goes a second an epoch."""
    now = [100.0]
    monkeypatch.setattr(training.time, "perf_counter", lambda: now[0])
    settings, network = recipe.choose(100, False, epochs=10, learning_rate=0.1), fastbp.Network((1, 2, 1), seed=0)
    rates, decays, drops, stops = [], [], [], []
    with training.Deadline(seconds, settings.epochs) as deadline:
        method = recipe.choose(100, False, epochs=10, learning_rate=0.1).optimizer(network, deadline.part)
        dropout = settings.regularization(deadline.part).dropout
        for epoch in range(10):
            rates.append(method.learning_rate(epoch))
            decays.append(method.weight_decay(epoch))
            drops.append(dropout(epoch))
            now[0] += 1
            stops.append(deadline(None))
    length = min(10, seconds)
    parts = [max(min(epoch / length, 1), (math.sqrt(2) - 1) / 15) for epoch in range(10)]  # from the first peak on
    expected = [0.05 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * part))) for part in parts]
    np.testing.assert_allclose(rates, expected, atol=1e-12)
    fading = [0.5 + 0.5 * math.cos(math.pi * max(2 * part - 1, 0)) for part in parts]
    np.testing.assert_allclose(decays, settings.weight_decay * np.array(fading), atol=1e-12)
    np.testing.assert_allclose(drops, settings.dropout * np.array(fading), atol=1e-12)
    assert stops == [epoch + 1 >= seconds for epoch in range(10)]


def test_seconds_are_shared_by_members_that_wait_for_each_other():
    assert [training._share(60, members, 2) for members in (1, 2, 3, 4, 5)] == [60, 60, 30, 30, 20]
    assert training._share(60, 2, 8) == 60


@pytest.mark.parametrize("kind", BOTH)
def test_callbacks_prune_and_stop(kind):
    """As Optuna's pruning does: the callback hears the validation cost, and what it raises comes out."""
    class PrunedTrial(Exception):
        pass

    X, y = data(kind, 40)
    reports = []

    def prune(record):
        reports.append((record.epoch, record.validation_cost))
        if record.epoch == 2:
            raise PrunedTrial

    model = small(kind, epochs=5, callbacks=[prune])
    with pytest.raises(PrunedTrial):
        model.fit(X, y)
    assert [epoch for epoch, _ in reports] == [1, 2] and all(cost > 0 for _, cost in reports)
    with pytest.raises(NotFittedError):
        model.predict(X)
    stopped = small(kind, epochs=5, n_members=2, callbacks=lambda i: [fastbp.MaxUpdates(1 + i)]).fit(X, y)
    assert (stopped.best_epoch_ <= 3).all()


def test_one_callback_without_a_list_is_told_how_it_is_given():
    X, y = data(TabularRegressor, 40)
    with pytest.raises(TypeError, match=r"callbacks\(0\) returns None, .* callbacks=\[function\]"):
        small(TabularRegressor, callbacks=lambda record: None).fit(X, y)


def test_what_is_printed(capsys):
    X, y = data(TabularRegressor, 30)
    small(TabularRegressor, epochs=4, verbose=2).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 2", "epoch 4"]
    small(TabularRegressor, epochs=1, verbose=True, n_members=2).fit(X, y)
    assert {line.split(",")[0] for line in capsys.readouterr().out.splitlines()} == {"member 0", "member 1"}


@pytest.mark.parametrize("members", [1, 2])
def test_progress(members, capsys):
    pytest.importorskip("tqdm", reason="belongs to the test extra")
    small(TabularRegressor, n_members=members, progress=True).fit(*data(TabularRegressor, 30))
    assert ("epoch" if members == 1 else "network") in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------- the recipe, shares


@pytest.mark.parametrize(("rows", "batch", "epochs"), [(30, 30, 256), (900, 64, 256), (4000, 128, 256),
                                                       (16_000, 256, 128), (90_000, 512, 54), (10**7, 1024, 24)])
def test_settings_by_rows(rows, batch, epochs):
    chosen = recipe.choose(rows, False)
    assert (chosen.batch_size, chosen.epochs) == (batch, epochs)
    own = recipe.choose(rows, True, epochs=3, batch_size=7, hidden_layer_sizes=(5,), dropout="auto")
    assert (own.batch_size, own.epochs, own.hidden_layer_sizes, own.dropout) == (7, 3, (5,), chosen.dropout)
    assert recipe.choose(50, False, dropout=0.0, weight_decay=0.0).regularization() is None
    assert recipe.choose(50, True, dropout=0.0, label_smoothing=0.0).regularization() is None


@pytest.mark.parametrize(("rows", "members", "folds"), [(50, 1, 6), (480, 1, 8), (10**5, 1, 10), (50, 8, 8),
                                                        (900, 3, 10), (10**5, 8, 8)])
def test_folds_by_rows(rows, members, folds):
    assert recipe.folds(rows, members) == folds


def test_settings_of_any_types_of_numbers(tmp_path):
    X, y = data(TabularRegressor, 20)
    model = small(TabularRegressor, epochs=np.int64(2), dropout=0, learning_rate=np.float32(0.01),
                  hidden_layer_sizes=[np.int64(3)], weight_decay=1).fit(X, y)
    assert model.recipe_.hidden_layer_sizes == (3,) and type(model.recipe_.dropout) is float
    model.save(tmp_path / "model")
    assert TabularRegressor.load(tmp_path / "model").recipe_ == model.recipe_
    linear = small(TabularRegressor, hidden_layer_sizes=()).fit(X, y)
    assert linear.ensemble_[0].layers == (10, 1)


def test_a_trial_tells_whether_numbers_have_pieces(monkeypatch):
    """They help with a step; where a network without them does as well or better, they are left out."""
    X = np.linspace(-1, 1, 120)[:, None]
    y = np.where(np.sin(9 * X[:, 0]) > 0.3, 1.0, 0.0)
    settings = {"epochs": 24, "n_pieces": "auto", "batch_size": 8}
    trials = []
    fit = training._fit
    monkeypatch.setattr(training, "_fit", lambda *given: trials.append((given, found := fit(*given))) or found)
    model = small(TabularRegressor, **settings).fit(X, y)
    (networks, _, short, unseen, *_), best = trials[0]
    assert len(trials) == 2 and short.epochs == settings["epochs"] // 4 and (unseen[0] == unseen[1]).all()
    pieces, none = (found.best_value for found in best)
    assert [network.encoded_size for network in networks] == [16, 1]
    assert model.recipe_.n_pieces == (24 if pieces <= none else 0) and pieces < none
    assert "pieces" in model.describe_columns()[0].encoding
    monkeypatch.setattr(training, "better_encoders", lambda *given, **more: 1)
    model = small(TabularRegressor, **settings).fit(X, y)
    assert model.recipe_.n_pieces == 0 and "pieces" not in model.describe_columns()[0].encoding
    assert model.ensemble_[0].encoded_size == 1
    assert small(TabularRegressor, epochs=1, n_pieces=5).fit(X, y).recipe_.n_pieces == 5  # asked for, not tried


def test_importances_by_hand():
    """One column tells all, one nothing, one makes no input."""
    X = np.column_stack([np.linspace(-1, 1, 40), np.zeros(40)]).astype(np.float32)
    network = fastbp.Network((2, 1), seed=0)
    network.parameters[:] = [1.0, 0.0, 0.0]
    found = importance.permutation_importances(
        fastbp.Ensemble([network]), X, X[:, :1], None, np.ones((1, 40), np.bool_),
        [slice(0, 1), slice(1, 2), slice(2, 2)], np.random.default_rng(0))
    assert found.tolist() == [1, 0, 0]


def test_classes_by_name():
    classes = Classes.learn(np.array(["b", "a", "b"]))
    assert classes.encoded(np.array(["a", "b"])).tolist() == [0, 1]
    for wrong in (np.array(["a"]), np.array([["a", "b"]]), np.array(["a", "a"])):
        with pytest.raises(ValueError, match="no names of classes"):
            Classes(wrong)


def test_missing_narwhals_is_told_by_its_extra(run_python):
    pytest.importorskip("pandas", reason="belongs to the test extra")
    run_python("""
import sys
import pandas
import fastbp.tables
sys.modules["narwhals.stable.v2"] = None  # newer releases of scikit-learn need it themselves, older ones do not
try:
    fastbp.TabularRegressor(epochs=1).fit(pandas.DataFrame({"a": [1.0, 2.0]}), [1.0, 2.0])
except ImportError as error:
    assert str(error) == "narwhals is needed for this: pip install fastbp[table]", error
else:
    raise AssertionError
""")


def test_missing_scikit_learn_is_told_by_its_extra(run_python):
    run_python("""
import sys
sys.modules["sklearn"] = None
try:
    from fastbp import TabularClassifier
except ImportError as error:
    assert str(error) == "sklearn is needed for this: pip install fastbp[table]", error
else:
    raise AssertionError
""")


def test_what_a_bundle_of_networks_keeps_of_the_users(tmp_path):
    """Nothing: neither X nor the matrix made of it, but targets and predictions of rows that were kept back."""
    X, y = data(TabularRegressor, 40)
    small_pickle = len(pickle.dumps(small(TabularRegressor).fit(X, y)))
    large_pickle = len(pickle.dumps(small(TabularRegressor).fit(np.tile(X, (20, 1)), np.tile(y, 20))))
    assert large_pickle - small_pickle < 800 * 8 * 4  # a row takes four numbers at most, and X has ten
