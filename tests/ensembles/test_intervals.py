"""Intervals and sets: by the letter of their definition, beside MAPIE, and as often right as they promise."""

import math
from fractions import Fraction

import numpy as np
import pytest
from helpers import few, network

import fastbp
from fastbp import Ensemble, Network
from fastbp.ensembles import intervals, members

SETTINGS = {"epochs": 3, "batch_size": 8, "optimizer": fastbp.Adam(0.01)}
LEVELS = [0.55, 0.8, 0.9, 0.95, 0.99]


def numbers(rng, n=40, outputs=2):
    X = rng.normal(size=(n, 3))
    Y = np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)[:, :outputs] + 0.1 * rng.normal(size=(n, outputs))
    return network((3, 5, outputs), seed=1, dtype="float64"), X, Y


def classes(rng, n=60):
    Y = rng.integers(4, size=n)
    X = rng.normal(size=(n, 3)) + 1.5 * np.eye(4)[Y][:, :3]
    return network((3, 5, 4), cost="cross_entropy", seed=1, dtype="float64"), X, Y


def answers(rng, n=60):
    X = rng.normal(size=(n, 3))
    Y = (X[:, 0] + 0.5 * rng.normal(size=n) > 0).astype(float)
    return network((3, 5, 1), cost="binary_cross_entropy", seed=1, dtype="float64"), X, Y


def ensemble_of(origin, net, X, Y):
    if origin == "folds":
        return Ensemble.folds(net, X, Y, k=4, seed=0, **SETTINGS)
    if origin == "bootstrap":
        return Ensemble.bootstrap(net, X, Y, n=6, seed=0, **SETTINGS)
    ensemble = Ensemble([net.copy().reset(seed).fit(X[:20], Y[:20], **SETTINGS) for seed in range(3)])
    return ensemble.calibrate(X[20:], Y[20:])


def known_rows(ensemble, origin, X, Y):
    """(x, y, which members have not seen it) of all rows that tell something."""
    if origin == "calibration":
        return [(x, y, [True] * len(ensemble)) for x, y in zip(X[20:], Y[20:], strict=True)]
    return [(x, y, unseen) for x, y, unseen in zip(X, Y, ensemble.unseen.T, strict=True) if unseen.any()]


def mean_of(ensemble, x, unseen):
    """The mean of the members that have not seen a row, in NumPy."""
    outputs = [net.predict(x[None])[0].astype(float) for net, new in zip(ensemble, unseen, strict=True) if new]
    return np.mean(outputs, axis=0)


def ceiling_and_floor(level, n):
    """⌈(1−α)(n+1)⌉ and ⌊α(n+1)⌋ of the decimal number."""
    exact = Fraction(str(level))
    return math.ceil(exact * (n + 1)), math.floor((1 - exact) * (n + 1))


# ---------------------------------------------------------------------------------------------------------- intervals

def naive_interval(ensemble, known, x, level):
    """CV+ and jackknife+ after bootstrap as Barber et al. (2021) and Kim et al. (2020) write them."""
    n = len(known)
    high_rank, low_rank = ceiling_and_floor(level, n)
    low, high = [], []
    for x_i, y_i, unseen in known:
        miss = abs(y_i - mean_of(ensemble, x_i, unseen))
        low.append(mean_of(ensemble, x, unseen) - miss)
        high.append(mean_of(ensemble, x, unseen) + miss)
    below = np.sort(low, axis=0)[low_rank - 1] if low_rank >= 1 else np.full(len(y_i), -np.inf)
    above = np.sort(high, axis=0)[high_rank - 1] if high_rank <= n else np.full(len(y_i), np.inf)
    return below, above


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("origin", ["folds", "bootstrap", "calibration"])
def test_intervals_are_those_of_the_papers(origin, level, rng):
    net, X, Y = numbers(rng)
    ensemble = ensemble_of(origin, net, X, Y)
    known, new = known_rows(ensemble, origin, X, Y), rng.normal(size=(3, 3))
    low, high = ensemble.predict_interval(new, level)
    assert low.dtype == high.dtype == np.float64 and low.shape == high.shape == (3, 2) and (low < high).all()
    for x, below, above in zip(new, low, high, strict=True):
        expected = naive_interval(ensemble, known, x, level)
        np.testing.assert_allclose((below, above), expected, rtol=1e-12)
    alone = ensemble.predict_interval(new[0], level)
    assert alone[0].shape == (2,)
    np.testing.assert_allclose(alone, (low[0], high[0]), rtol=1e-9)


@pytest.mark.parametrize("level", [0.3, 0.5, *LEVELS])
def test_split_is_a_quantile_of_misses(level, rng):
    """ŷ ± the ⌈(n+1)(1−α)⌉-th smallest |y − ŷ|."""
    net, X, Y = numbers(rng)
    ensemble = ensemble_of("calibration", net, X, Y)
    misses = np.sort(abs(Y[20:] - ensemble.predict(X[20:])), axis=0)
    rank = ceiling_and_floor(level, 20)[0]
    width = misses[rank - 1] if rank <= 20 else np.inf
    low, high = ensemble.predict_interval(X, level, "split")
    np.testing.assert_allclose(low, ensemble.predict(X) - width, rtol=1e-12)
    np.testing.assert_allclose(high, ensemble.predict(X) + width, rtol=1e-12)


def test_ranks_are_those_of_the_decimal_number():
    """(1 − 0.9)·100 is 9.999999999999998 in doubles."""
    assert intervals.tail(0.9, 99) == 10 and intervals.tail(0.9, 98) == 9
    assert intervals.tail(np.float64(0.7), 9) == 3 and intervals.tail(0.95, 19) == 1 and intervals.tail(0.95, 18) == 0


@pytest.mark.parametrize("n", [8, 9])
def test_too_few_rows_for_the_level(n, rng):
    """Nine tell of 90 %, eight of nothing."""
    net, X, Y = numbers(rng, n=n)
    ensemble = Ensemble.folds(net, X, Y, k=2, seed=0, **SETTINGS)
    low, high = ensemble.predict_interval(X, 0.9)
    assert np.isfinite(low).all() == np.isfinite(high).all() == (n == 9)
    if n == 8:
        assert (low == -np.inf).all() and (high == np.inf).all()


def test_rows_with_nan_and_no_rows(rng):
    net, X, Y = numbers(rng)
    ensemble = ensemble_of("folds", net, X, Y)
    new = np.zeros((3, 3))
    new[1, 2] = np.nan
    for bound in ensemble.predict_interval(new):
        assert np.isnan(bound[1]).all() and np.isfinite(bound[[0, 2]]).all()
    assert [bound.shape for bound in ensemble.predict_interval(new[:0])] == [(0, 2)] * 2


@pytest.mark.parametrize("origin", ["folds", "bootstrap", "calibration"])
def test_new_rows_go_through_in_parts(origin, rng, monkeypatch):
    net, X, Y = numbers(rng)
    ensemble = ensemble_of(origin, net, X, Y)
    whole = ensemble.predict_interval(X)
    monkeypatch.setattr(members, "PART", 300)
    np.testing.assert_array_equal(ensemble.predict_interval(X), whole)
    again = ensemble_of(origin, net, X, Y)
    np.testing.assert_array_equal(again.predict_interval(X), whole)


def test_which_rows_are_taken(rng):
    net, X, Y = numbers(rng)
    ensemble = ensemble_of("folds", net, X, Y)
    of_folds = ensemble.predict_interval(X)
    ensemble.calibrate(X[:10], Y[:10])
    of_rows = ensemble.predict_interval(X)
    np.testing.assert_array_equal(of_rows, ensemble.predict_interval(X, method="split"))
    np.testing.assert_array_equal(of_folds, ensemble.predict_interval(X, method="cv+"))
    assert (of_folds[0] != of_rows[0]).any()
    assert ensemble.calibrate(X, Y) is ensemble
    assert (ensemble.predict_interval(X)[0] != of_rows[0]).any()


def test_intervals_about_the_mean_of_a_mixture(rng):
    _, X, Y = numbers(rng, outputs=2)
    ensemble = Ensemble([network((3, 5, 2), cost="gaussian_nll", seed=i, dtype="float64") for i in (1, 3)])
    ensemble.calibrate(X, Y[:, :1])
    low, high = ensemble.predict_interval(X)
    misses = np.sort(abs(Y[:, :1] - ensemble.predict(X)), axis=0)
    np.testing.assert_allclose(high - low, np.broadcast_to(2 * misses[36], (40, 1)), rtol=1e-9)


def scattered(rng, n):
    """Noise that grows with x, and no normal distribution."""
    X = rng.uniform(-1, 1, (n, 1))
    return X, X**2 + (0.1 + 0.3 * abs(X)) * rng.laplace(size=(n, 1))


@pytest.mark.parametrize("origin", ["folds", "bootstrap", "calibration"])
def test_intervals_hold_what_they_promise(origin, rng):
    """Over many draws of 30 rows: 80 % within four standard deviations; jackknife+ and CV+ never fall below 60 %."""
    inside, draws, per_draw = 0, few(60, 4), 100
    for draw in range(draws):
        X, Y = scattered(rng, 30 + per_draw)
        net = Network((1, 4, 1), dtype="float64")
        settings = dict(epochs=few(30, 3), optimizer="lbfgs")
        if origin == "folds":
            ensemble = Ensemble.folds(net, X[:30], Y[:30], k=5, seed=draw, **settings)
        elif origin == "bootstrap":
            ensemble = Ensemble.bootstrap(net, X[:30], Y[:30], n=10, seed=draw, **settings)
        else:
            ensemble = Ensemble([net.fit(X[30:60], Y[30:60], **settings)]).calibrate(X[:30], Y[:30])
        low, high = ensemble.predict_interval(X[60:], 0.8)
        inside += np.mean((low <= Y[60:]) & (Y[60:] <= high))
    # the share of a draw is Beta(25, 6) distributed at best, of standard deviation 0.07
    deviation = 4 * math.sqrt((0.07**2 + 0.16 / 70) / draws)
    least = 0.8 if origin == "calibration" else 0.6
    assert inside / draws > least - deviation
    assert inside / draws < (25 / 31 if origin == "calibration" else 0.93) + deviation


# --------------------------------------------------------------------------------------------------------------- sets

def naive_scores(method, p):
    """Of each class of a row."""
    if method == "lac":
        return [1 - share for share in p]
    order = sorted(range(len(p)), key=lambda j: (-p[j], j))
    return [sum(p[j] for j in order[: order.index(j) + 1]) for j in range(len(p))]


def naive_set(ensemble, known, x, level, method, both):
    n = len(known)

    def scores(row, unseen):
        p = np.atleast_1d(mean_of(ensemble, row, unseen)).tolist()
        return naive_scores(method, [1 - p[0], p[0]] if both else p)

    own = [scores(x_i, unseen)[int(y_i)] for x_i, y_i, unseen in known]
    new = [scores(x, unseen) for _, _, unseen in known]
    found = []
    for j in range(len(new[0])):
        count = sum(miss < row[j] for miss, row in zip(own, new, strict=True))
        found.append(count < Fraction(str(level)) * (n + 1))
    if method == "aps":
        p = np.atleast_1d(mean_of(ensemble, x, [True] * len(ensemble)))
        found[int(p[0] > 0.5) if both else int(np.argmax(p))] = True
    return found


@pytest.mark.parametrize("level", [0.55, 0.8, 0.95])
@pytest.mark.parametrize("method", ["lac", "aps"])
@pytest.mark.parametrize("origin", ["folds", "bootstrap", "calibration"])
@pytest.mark.parametrize("kind", [classes, answers])
def test_sets_are_those_of_the_papers(kind, origin, method, level, rng):
    net, X, Y = kind(rng)
    ensemble = ensemble_of(origin, net, X, Y)
    known, new = known_rows(ensemble, origin, X, Y), 2 * rng.normal(size=(6, 3))
    found = ensemble.predict_set(new, level, method)
    assert found.dtype == np.bool_ and found.shape == (6, 2 if kind is answers else 4)
    for x, classes_of_x in zip(new, found, strict=True):
        assert naive_set(ensemble, known, x, level, method, kind is answers) == classes_of_x.tolist()
    np.testing.assert_array_equal(ensemble.predict_set(new[0], level, method), found[0])


@pytest.mark.parametrize("method", ["lac", "aps"])
def test_sets_of_one_hot_rows_and_of_parts(method, rng, monkeypatch):
    net, X, Y = classes(rng)
    one, other = ensemble_of("bootstrap", net, X, Y), ensemble_of("bootstrap", net, X, np.eye(4)[Y])
    whole = one.predict_set(X, 0.8, method)
    np.testing.assert_array_equal(whole, other.predict_set(X, 0.8, method))
    monkeypatch.setattr(members, "PART", 500)
    np.testing.assert_array_equal(whole, one.predict_set(X, 0.8, method))
    assert one.predict_set(X[:0], 0.8, method).shape == (0, 4)


def test_sets_of_aps_are_never_empty_and_hold_all_for_few_rows(rng):
    net, X, Y = classes(rng)
    ensemble = ensemble_of("folds", net, X, Y)
    assert ensemble.predict_set(10 * X, 0.55, "aps").any(axis=1).all()
    few_rows = Ensemble([net]).calibrate(X[:3], Y[:3])
    assert few_rows.predict_set(X).all()


@pytest.mark.parametrize("method", ["lac", "aps"])
@pytest.mark.parametrize("origin", ["folds", "calibration"])
def test_sets_hold_what_they_promise(origin, method, rng):
    inside, draws = 0, few(40, 3)
    for draw in range(draws):
        net, X, Y = classes(rng, 200)
        settings = dict(epochs=few(30, 2), optimizer=fastbp.Adam(0.02), batch_size=10)
        if origin == "folds":
            ensemble = Ensemble.folds(net, X[:60], Y[:60], k=5, seed=draw, **settings)
        else:
            ensemble = Ensemble([net.fit(X[60:120], Y[60:120], **settings)]).calibrate(X[:60], Y[:60])
        inside += ensemble.predict_set(X[120:], 0.8, method)[np.arange(80), Y[120:]].mean()
    deviation = 4 * math.sqrt((0.052**2 + 0.16 / 80) / draws)
    assert inside / draws > (0.8 if origin == "calibration" else 0.6) - deviation
    assert inside / draws < (49 / 61 + 0.05 * (method == "aps") if origin == "calibration" else 0.95) + deviation


# ----------------------------------------------------------------------------------------------------- what is refused

def refusals(rng):
    net, X, Y = numbers(rng)
    labels_net, labels_X, labels = classes(rng)
    several = network((3, 2), cost="binary_cross_entropy", dtype="float64")
    soft = Ensemble([labels_net]).calibrate(labels_X, np.full((60, 4), 0.25))
    both = Ensemble([several]).calibrate(X, (Y > 0).astype(float))
    half = network((3, 1), cost="binary_cross_entropy", dtype="float64")
    folds, plain = ensemble_of("folds", net, X, Y), Ensemble([net])
    return [
        (plain.predict_interval, {}, "knows no rows that its networks have not seen: make it with Ensemble.folds"),
        (plain.predict_interval, {"method": "cv+"}, "method 'cv\\+' needs Ensemble.folds$"),
        (folds.predict_interval, {"method": "jackknife+ab"}, "Ensemble.bootstrap; this ensemble has rows of folds"),
        (folds.predict_interval, {"method": "split"}, r"needs calibrate\(X, Y\) with rows that no network has seen"),
        (folds.predict_interval, {"method": "naive"}, "method is 'naive', expected one of 'split', 'cv\\+'"),
        (folds.predict_interval, {"method": 3}, "method is 3"),
        (folds[:2].predict_interval, {}, "knows no rows"),
        *((folds.predict_interval, {"level": level}, "expected a probability between 0 and 1")
          for level in (0, 1, 90, np.nan, "0.9", True)),
        (folds.predict_interval, {"level": 0.5}, "what rows of folds promise is 2 level − 1"),
        (folds.predict_set, {}, "predict_set is for classes, and these networks are for numbers"),
        (folds.predict_interval, {"X": np.zeros((2, 2))}, "the network has 3 inputs"),
        (soft.predict_interval, {}, "is for numbers, and these networks are for classes: use predict_set"),
        (soft.predict_set, {}, "targets that are probabilities: give class indices"),
        (soft.predict_set, {"method": "raps"}, "method is 'raps', expected one of 'lac', 'aps'"),
        (soft.predict_set, {"method": None}, "method is None"),
        (both.predict_set, {}, "2 outputs that are each a probability by itself"),
        (Ensemble([half]).calibrate(X, np.full(40, 0.5)).predict_set, {}, "targets that are probabilities"),
        (Ensemble([half]).predict_set, {}, "knows no rows"),
        (Ensemble([network((3, 4), output="exp", cost="cross_entropy")]).predict_set, {}, "has the output 'exp'"),
    ]


def test_what_makes_no_interval_or_set(rng):
    for call, changed, message in refusals(rng):
        with pytest.raises(ValueError, match=message):
            call(**{"X": np.zeros((2, 3))} | changed)


@pytest.mark.parametrize("origin", ["folds", "bootstrap", "calibration"])
def test_networks_that_have_learned_since(origin, rng):
    net, X, Y = numbers(rng)
    ensemble = ensemble_of(origin, net, X, Y)
    before = ensemble[1].parameters.copy()
    ensemble[1].parameters[0] += 1e-12
    with pytest.raises(ValueError, match="parameters of the networks have changed since .*use .* again"):
        ensemble.predict_interval(X)
    ensemble[1].parameters = before
    assert np.isfinite(ensemble.predict_interval(X, 0.8)).all()


@pytest.mark.parametrize(("X", "Y", "message"), [(np.zeros((0, 3)), np.zeros((0, 2)), "no rows"),
                                                 (np.zeros((3, 2)), np.zeros((3, 2)), "3 inputs"),
                                                 (np.zeros((3, 3)), np.zeros((3, 3)), "Y has shape"),
                                                 (np.full((3, 3), np.nan), np.zeros((3, 2)), "X holds nan")])
def test_rows_that_calibrate_nothing(X, Y, message, rng):
    ensemble = ensemble_of("folds", *numbers(rng))
    with pytest.raises(ValueError, match=message):
        ensemble.calibrate(X, Y)
    assert ensemble._calibration is None
