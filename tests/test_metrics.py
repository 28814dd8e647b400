"""The catalogue of metrics beside plain twins and scikit-learn; names, and which way is better."""

import math

import numpy as np
import pytest
from naive import metrics as naive

import fastbp
from fastbp import EarlyStopping
from fastbp.metrics import METRICS, Compared, direction, recorded_as
from fastbp.schedules import ReduceOnPlateau

OF_CLASSES = [name for name, metric in METRICS.items() if metric.of_classes]
OF_NUMBERS = [name for name, metric in METRICS.items() if not metric.of_classes]


def numbers(rng, n, m):
    y = rng.normal(size=(n, m))
    return y, y + 0.5 * rng.normal(size=(n, m)), False


def probabilities(rng, n, m):
    """Outputs with many ties, each a probability."""
    o = rng.integers(1, 9, (n, m)) / 9
    return (rng.random((n, m)) < o).astype(float), o, False


def classes(rng, n, m):
    o = rng.integers(1, 5, (n, m)) + 0.0
    o /= o.sum(axis=1, keepdims=True)
    return rng.integers(0, m, n), o, True


def soft_classes(rng, n, m):
    return rng.dirichlet(np.ones(m), n), classes(rng, n, m)[1], True


SITUATIONS = [(name, data, m) for names, data, widths in (
    (OF_NUMBERS, numbers, (1, 3)), (OF_NUMBERS, probabilities, (2,)), (OF_CLASSES, probabilities, (1, 3)),
    (OF_CLASSES, classes, (2, 4)), (OF_CLASSES, soft_classes, (2, 3))) for name in names for m in widths]


def weighted(rng, n, kind):
    """Weights of samples: none, some of which are 0, whole numbers."""
    return {"none": np.ones(n), "some": rng.uniform(0, 2, n) * (rng.random(n) < 0.8),
            "whole": rng.integers(1, 4, n) + 0.0}[kind]


@pytest.mark.parametrize("weights", ["none", "some", "whole"])
@pytest.mark.parametrize(("name", "data", "m"), SITUATIONS)
def test_like_the_plain_twin(name, data, m, weights, rng):
    for n in (1, 2, 37):
        y, o, exclusive = data(rng, n, m)
        w = weighted(rng, n, weights)
        w[0] = 1.0
        found = METRICS[name].function(Compared(y, o, w, exclusive))
        expected = naive.METRICS[name](y, o, w, exclusive)
        assert type(found) is float
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-14, nan_ok=True)


def test_every_metric_has_a_twin():
    assert list(naive.METRICS) == list(METRICS) and all(name == metric.name for name, metric in METRICS.items())


@pytest.mark.parametrize("weights", ["none", "some"])
def test_like_scikit_learn(weights, rng):
    theirs = pytest.importorskip("sklearn.metrics")
    n = 200
    w = weighted(rng, n, weights)

    def check(name, data, function):
        y, o, exclusive = data
        found = METRICS[name].function(Compared(y, o, w, exclusive))
        assert found == pytest.approx(function(y, o, w), rel=1e-10), (name, o.shape)

    for m in (1, 3):
        data = numbers(rng, n, m)
        for name, function in (("r2", theirs.r2_score), ("mae", theirs.mean_absolute_error),
                               ("mse", theirs.mean_squared_error), ("rmse", theirs.root_mean_squared_error)):
            check(name, data, lambda y, o, w, function=function: function(y, o, sample_weight=w))
        data = probabilities(rng, n, m)
        check("auc", data, lambda y, o, w: theirs.roc_auc_score(y, o, sample_weight=w))
        check("accuracy", data, lambda y, o, w: theirs.accuracy_score(y > 0.5, o > 0.5, sample_weight=w))
    check("cross_entropy", probabilities(rng, n, 1), lambda y, o, w: theirs.log_loss(y[:, 0], o[:, 0], sample_weight=w))
    for m in (2, 5):
        data = classes(rng, n, m)
        check("accuracy", data, lambda y, o, w: theirs.accuracy_score(y, o.argmax(axis=1), sample_weight=w))
        check("cross_entropy", data, lambda y, o, w: theirs.log_loss(y, o, sample_weight=w))
        check("auc", data, lambda y, o, w, m=m: theirs.roc_auc_score(y, o if m > 2 else o[:, 1], sample_weight=w,
                                                                     multi_class="ovr"))


def of(name, y, o, exclusive=False, **more):
    y, o = np.asarray(y), np.asarray(o, float)
    return METRICS[name].function(Compared(y, o, np.ones(len(o)), exclusive, **more))


def test_auc_where_there_is_little_to_rank():
    assert of("auc", [[0.0], [1.0]], [[0.2], [0.2]]) == 0.5, "a tie counts half"
    assert of("auc", [[0.0], [1.0]], [[0.2], [0.3]]) == 1 and of("auc", [[1.0], [0.0]], [[0.2], [0.3]]) == 0
    assert math.isnan(of("auc", [[1.0], [1.0]], [[0.2], [0.3]])) and math.isnan(of("auc", [0], [[1.0]], True))
    outputs = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.2, 0.3]])
    assert of("auc", [0, 1, 0], outputs, True) == 1, "the third class has no sample, and is left out"
    assert of("auc", [0, 0, 0], outputs[:, :2], True) != of("auc", [0, 1, 1], outputs[:, :2], True)


def test_r2_of_constant_targets():
    assert of("r2", [[2.0], [2.0]], [[2.0], [2.0]]) == 1 and of("r2", [[2.0], [2.0]], [[2.0], [2.5]]) == 0
    assert of("r2", [[2.0, 1.0], [2.0, 3.0]], [[2.0, 2.0], [2.0, 2.0]]) == 0.5


def test_outputs_of_0_and_1_cost_a_finite_entropy():
    eps = float(np.finfo("float32").eps)
    assert of("cross_entropy", [0, 1], [[1.0, 0.0], [1.0, 0.0]], True, eps=eps) == pytest.approx(-math.log(eps) / 2)
    assert of("cross_entropy", [[0.0], [1.0]], [[1.0], [1.0]], eps=eps) == pytest.approx(-math.log(eps) / 2, rel=1e-6)
    assert of("cross_entropy", [0], [[0.0, 1.0]], True) == pytest.approx(36.04, abs=0.01)


def test_a_probability_of_one_half_says_no():
    assert of("accuracy", [[0.0], [1.0]], [[0.5], [0.6]]) == 1
    assert of("accuracy", [[0.0, 1.0], [1.0, 1.0]], [[0.1, 0.9], [0.9, 0.1]]) == 0.5, "all must be right"


# ---------------------------------------------------------------------------------------------------------------- names

@pytest.mark.parametrize(("name", "found"), [
    ("r2", "r2"), ("R2 score", "r2"), ("r-squared", "r2"), ("log_loss", "cross_entropy"), ("roc_auc", "auc"),
    ("Accuracy", "accuracy"), ("mean_absolute_error", "mae"), ("RMSE", "rmse"), ("training_mse", "training_mse"),
    ("training_log_loss", "training_cross_entropy"), (np.str_("auc"), "auc"),
])
def test_synonyms(name, found):
    assert recorded_as(name) == found and type(recorded_as(name)) is str


@pytest.mark.parametrize(("name", "hint"), [
    ("acuracy", "did you mean 'accuracy'"), ("val_r2", "did you mean the name alone, which is of the validation"),
    ("f1", "did you mean a function of your own"), ("training_f3", "unknown metric 'f3'"), ("", "unknown metric ''"),
    ("brier", "did you mean 'mse' of two classes"),
])
def test_unknown_names_have_near_ones(name, hint):
    with pytest.raises(ValueError, match=hint):
        recorded_as(name)


@pytest.mark.parametrize("name", METRICS)
def test_which_way_is_better(name):
    """Outputs that meet the targets are better than those that do not."""
    metric = METRICS[name]
    if metric.of_classes:
        y, good, bad = np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.1, 0.9], [0.8, 0.2]])
    else:
        y, good, bad = np.array([[0.0], [1.0]]), np.array([[0.1], [0.9]]), np.array([[3.0], [2.0]])
    best, worst = (of(name, y, o, metric.of_classes) for o in (good, bad))
    sign = direction(None, name, None)[1]
    assert sign * best < sign * worst and (sign < 0) is metric.higher_is_better
    assert direction(None, f"training_{name}", metric.higher_is_better) == (f"training_{name}", sign)


@pytest.mark.parametrize("make", [EarlyStopping, lambda **settings: ReduceOnPlateau(0.1, **settings)],
                         ids=["EarlyStopping", "ReduceOnPlateau"])
@pytest.mark.parametrize(("settings", "says"), [
    (dict(metric="r2_scor"), "unknown metric 'r2_scor': did you mean 'r2'.*higher_is_better=True or False"),
    (dict(metric=3), "metric is 3, expected the name under which it is recorded"),
    (dict(metric=len), "metric is <built-in function len>, expected the name"),
    (dict(metric="mine"), "Of a metric of your own say whether more is better"),
    (dict(metric="r2", higher_is_better=False), "but of 'r2' more is better: leave it out"),
    (dict(metric="log_loss", higher_is_better=True), "but of 'cross_entropy' less is better"),
    (dict(metric="mine", higher_is_better="yes"), "higher_is_better is 'yes', expected True or False"),
    (dict(higher_is_better=True), "higher_is_better is True, but there is no metric"),
])
def test_what_cannot_be_watched(make, settings, says):
    with pytest.raises(ValueError, match=says):
        make(**settings)


def test_what_is_watched_goes_by_the_name_that_is_recorded():
    assert EarlyStopping(metric="log loss").metric == "cross_entropy" == ReduceOnPlateau(0.1, metric="nll").metric
    assert EarlyStopping(metric="Mine", higher_is_better=np.True_).metric == "Mine"


def test_a_network_says_how_good_it_is(rng):
    from sklearn.metrics import accuracy_score, f1_score, r2_score

    X, weights = rng.normal(size=(40, 3)), rng.uniform(0, 2, 40)
    numbers, classes = fastbp.Network((3, 4, 2), seed=0), fastbp.Network((3, 4, 3), cost="cross_entropy", seed=0)
    answers = fastbp.Network((3, 4, 1), cost="binary_cross_entropy", seed=0)
    Y, labels = rng.normal(size=(40, 2)), rng.integers(3, size=40)
    np.testing.assert_array_equal(numbers(X), numbers.predict(X))
    assert np.isclose(numbers.score(X, Y, weights), r2_score(Y, numbers(X), sample_weight=weights))
    assert np.isclose(classes.score(X, labels), accuracy_score(labels, classes(X).argmax(axis=1)))
    assert np.isclose(answers.score(X, labels > 1), accuracy_score(labels > 1, answers(X)[:, 0] > 0.5))
    assert np.isclose(numbers.score(X, Y, metric="mse"), np.mean((numbers(X) - Y) ** 2))

    def f1(y_true, y_pred):
        return f1_score(y_true, y_pred > 0.5)

    assert np.isclose(answers.score(X, labels > 1, metric=f1), f1_score(labels > 1, answers(X)[:, 0] > 0.5))
    with pytest.raises(ValueError, match="judges classes"):
        numbers.score(X, Y, metric="accuracy")
