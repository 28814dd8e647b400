"""Ensembles made of one network by bootstrap and folds, and what they know of rows that members have not seen."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from helpers import network

import fastbp
from fastbp import Ensemble, Network

SETTINGS = {"epochs": 3, "batch_size": 8, "optimizer": fastbp.Adam(0.01)}


def numbers(rng, n=40, outputs=2, dtype="float64"):
    X = rng.normal(size=(n, 3)).astype(dtype)
    Y = np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)[:, :outputs] + 0.1 * rng.normal(size=(n, outputs))
    return network((3, 5, outputs), seed=1, dtype=dtype), X, Y.astype(dtype)


def classes(rng, n=40, dtype="float64"):
    X = rng.normal(size=(n, 3)).astype(dtype)
    return network((3, 5, 4), cost="cross_entropy", seed=1, dtype=dtype), X, rng.integers(4, size=n)


def fitted(net, X, Y, seed, rows, weights=None):
    """A copy with first weights of a seed, trained by a fit of its own."""
    again = net.copy().reset(seed)
    return again.fit(X[rows], Y[rows], sample_weight=None if weights is None else weights[rows], **SETTINGS)


def same_bits(ensemble, networks):
    assert len(ensemble) == len(networks)
    for one, other in zip(ensemble, networks, strict=True):
        np.testing.assert_array_equal(one.parameters, other.parameters)
        assert one.seed == other.seed


@pytest.mark.parametrize("weighted", [False, True])
def test_bootstrap_draws_as_it_says(weighted, rng):
    """First weights and rows follow from the seed; each network has the bits of a fit of its own."""
    net, X, Y = numbers(rng)
    before, weights = net.parameters.copy(), rng.uniform(0.5, 2, len(X)) if weighted else None
    ensemble = Ensemble.bootstrap(net, X, Y, n=4, seed=7, sample_weight=weights, **SETTINGS)
    generator, expected, seen = np.random.default_rng(7), [], []
    for _ in range(4):
        seed = int(generator.integers(2**63))
        seen.append(generator.integers(len(X), size=len(X)))
        expected.append(fitted(net, X, Y, seed, seen[-1], weights))
    same_bits(ensemble, expected)
    for of_network, rows in zip(ensemble.unseen, seen, strict=True):
        assert set(np.flatnonzero(of_network)) == set(range(len(X))) - set(rows.tolist())
    np.testing.assert_array_equal(net.parameters, before)
    same_bits(Ensemble.bootstrap(net, X, Y, n=2, seed=7, sample_weight=weights, **SETTINGS), expected[:2])


@pytest.mark.parametrize("k", [2, 3, 40])
def test_folds_are_dealt_out_as_it_says(k, rng):
    net, X, Y = numbers(rng)
    ensemble = Ensemble.folds(net, X, Y, k=k, seed=7, **SETTINGS)
    generator = np.random.default_rng(7)
    fold = np.empty(len(X), int)
    fold[generator.permutation(len(X))] = np.arange(len(X)) % k
    same_bits(ensemble, [fitted(net, X, Y, int(generator.integers(2**63)), np.flatnonzero(fold != i))
                         for i in range(k)])
    np.testing.assert_array_equal(ensemble.unseen, fold == np.arange(k)[:, None])
    sizes = ensemble.unseen.sum(axis=1)
    assert sizes.max() - sizes.min() <= 1 and (np.diff(sizes) <= 0).all() and (ensemble.unseen.sum(axis=0) == 1).all()


def test_without_a_seed_each_is_another(rng):
    net, X, Y = numbers(rng)
    one, other = (Ensemble.bootstrap(net, X, Y, n=1, **SETTINGS) for _ in range(2))
    assert (one[0].parameters != other[0].parameters).any() and (one.unseen != other.unseen).any()


def targets_of_classes(form, Y, classes):
    rows = np.eye(classes)[Y]
    return {"indices": Y, "one-hot": rows, "probabilities": 0.9 * rows + 0.1 / classes}[form]


@pytest.mark.parametrize("form", ["indices", "one-hot", "probabilities"])
def test_stratified_folds(form, rng):
    net, X, _ = classes(rng)
    Y = rng.permutation(np.repeat([0, 1, 2, 3], [20, 13, 5, 2]))
    ensemble = Ensemble.folds(net, X, targets_of_classes(form, Y, 4), k=3, stratify=True, seed=0, **SETTINGS)
    for number in range(4):
        of_class = ensemble.unseen[:, Y == number].sum(axis=1)
        assert of_class.max() - of_class.min() <= 1
    sizes = ensemble.unseen.sum(axis=1)
    assert sizes.max() - sizes.min() <= 1


def test_stratified_folds_of_answers(rng):
    X = rng.normal(size=(48, 3))
    Y = np.array([[0, 0]] * 30 + [[0, 1]] * 12 + [[1, 1]] * 6)
    net = network((3, 2), cost="binary_cross_entropy", dtype="float64")
    unseen = Ensemble.folds(net, X, Y, k=6, stratify=True, seed=0, **SETTINGS).unseen
    assert [unseen[:, part].sum(axis=1).tolist() for part in (slice(30), slice(30, 42), slice(42, 48))] == [
        [5] * 6, [2] * 6, [1] * 6]


# ----------------------------------------------------------------------------------------------------- unseen rows

def naive_predictions(ensemble, X):
    """Row by row."""
    every = ensemble.predict_all(X)
    return np.array([[np.mean([out[row] for out, unseen in zip(every, ensemble.unseen, strict=True) if unseen[row]],
                              axis=0) if ensemble.unseen[:, row].any() else np.full(every.shape[2], np.nan)]
                     for row in range(len(X))])[:, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_out_of_bag(n, dtype, rng):
    net, X, Y = numbers(rng, dtype=dtype)
    ensemble = Ensemble.bootstrap(net, X, Y, n=n, seed=3, **SETTINGS)
    found, expected = ensemble.oob_predictions, naive_predictions(ensemble, X)
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "float32" else 1e-12)
    known = np.isfinite(expected).all(axis=1)
    assert (n == 9) == known.all() and 0.2 < known.mean() <= 1
    Y, found = Y[known].astype(float), found[known]
    r2 = 1 - ((Y - found) ** 2).sum(axis=0) / ((Y - Y.mean(axis=0)) ** 2).sum(axis=0)
    assert ensemble.oob_score == pytest.approx(r2.mean(), rel=1e-9)


def test_out_of_fold(rng):
    net, X, Y = numbers(rng)
    ensemble = Ensemble.folds(net, X, Y, k=4, seed=3, **SETTINGS)
    np.testing.assert_array_equal(ensemble.oob_predictions, naive_predictions(ensemble, X))
    assert ensemble.oob_score < 1


def test_scores_by_weights(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    net, X, Y = numbers(rng)
    weights = rng.integers(0, 3, len(X)).astype(float)
    ensemble = Ensemble.bootstrap(net, X, Y, n=12, seed=3, sample_weight=weights, **SETTINGS)
    expected = metrics.r2_score(Y, ensemble.oob_predictions, sample_weight=weights)
    assert ensemble.oob_score == pytest.approx(expected, rel=1e-12)
    net, X, Y = classes(rng)
    ensemble = Ensemble.folds(net, X, Y, k=4, seed=3, sample_weight=weights, **SETTINGS)
    expected = metrics.accuracy_score(Y, ensemble.oob_predictions.argmax(axis=1), sample_weight=weights)
    assert ensemble.oob_score == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("form", ["indices", "one-hot", "probabilities"])
def test_accuracy_of_classes(form, rng):
    net, X, Y = classes(rng)
    ensemble = Ensemble.folds(net, X, targets_of_classes(form, Y, 4), k=4, seed=3, **SETTINGS)
    assert ensemble.oob_score == np.mean(naive_predictions(ensemble, X).argmax(axis=1) == Y)


@pytest.mark.parametrize("outputs", [1, 2])
def test_accuracy_of_answers(outputs, rng):
    X = rng.normal(size=(40, 3))
    Y = (X[:, :outputs] > 0).astype(float)
    net = network((3, outputs), cost="binary_cross_entropy", dtype="float64")
    ensemble = Ensemble.folds(net, X, Y, k=4, seed=3, **SETTINGS)
    right = [all((p > 0.5) == (y > 0.5) for p, y in zip(row, wanted, strict=True))
             for row, wanted in zip(naive_predictions(ensemble, X), Y, strict=True)]
    assert ensemble.oob_score == np.mean(right) and 0 < np.mean(right)


def test_constant_targets_and_no_rows(rng):
    """As in scikit-learn: 1 if they are met, else 0."""
    X = rng.normal(size=(20, 2))
    net = Network((2, 2), init="zeros", dtype="float64")
    for wanted, score in ((0.0, 1.0), (3.0, 0.0)):
        ensemble = Ensemble.folds(net, X, np.full((20, 2), wanted), seed=0, epochs=1, optimizer=fastbp.SGD(1e-9))
        assert ensemble.oob_score == score
    alone = Ensemble.bootstrap(net, X[:1], np.zeros((1, 2)), n=3, seed=0, epochs=1)
    assert np.isnan(alone.oob_predictions).all() and np.isnan(alone.oob_score) and not alone.unseen.any()


def test_sparse_rows(rng):
    sparse = pytest.importorskip("scipy.sparse")
    net, X, Y = numbers(rng)
    X *= rng.random(X.shape) < 0.5
    one = Ensemble.bootstrap(net, sparse.csr_array(X), Y, n=3, seed=3, **SETTINGS)
    other = Ensemble.bootstrap(net, X, Y, n=3, seed=3, **SETTINGS)
    np.testing.assert_allclose(one.oob_predictions, other.oob_predictions, rtol=1e-9)


def test_settings_reach_the_fits(rng):
    net, X, Y = numbers(rng)
    ensemble = Ensemble.folds(net, X, Y, k=3, seed=3, epochs=5, shuffle=False, threads=2, batch_size=4,
                              callbacks=lambda index: [lambda record: record.epoch == 2 + index])
    assert [len(member.history) for member in ensemble] == [2, 3, 4]


def test_networks_of_a_subclass(rng):
    class Mine(Network):
        pass

    class Ours(Ensemble):
        pass

    _, X, Y = numbers(rng)
    ensemble = Ours.bootstrap(Mine((3, 2)), X, Y, n=2, **SETTINGS)
    assert type(ensemble) is type(ensemble[:1]) is Ours and type(ensemble[0]) is Mine


def test_what_an_ensemble_does_not_know(rng):
    net, X, Y = numbers(rng)
    ensemble = Ensemble.folds(net, X, Y, k=3, **SETTINGS)
    for other in (Ensemble([net]), ensemble[:2], ensemble[:]):
        for name in ("unseen", "oob_predictions", "oob_score"):
            with pytest.raises(AttributeError, match="was not made by Ensemble.bootstrap or Ensemble.folds, or is a"):
                getattr(other, name)


def test_what_it_knows_is_its_own(rng):
    """What is handed out are copies; copies and pickles know it too."""
    net, X, Y = numbers(rng)
    ensemble = Ensemble.folds(net, X, Y, k=3, seed=0, **SETTINGS).calibrate(X, Y)
    before, score = ensemble.oob_predictions, ensemble.oob_score
    ensemble.oob_predictions[:] = 0
    ensemble.unseen[:] = False
    X[:], Y[:] = 0, 0
    for again in (ensemble, copy.copy(ensemble), pickle.loads(pickle.dumps(ensemble))):
        np.testing.assert_array_equal(again.oob_predictions, before)
        assert again.oob_score == score and again.unseen.any()
        for method in ("split", "cv+"):
            np.testing.assert_array_equal(again.predict_interval(X, method=method),
                                          ensemble.predict_interval(X, method=method))


WRONG = [
    (dict(network=3), TypeError, "network is 3, expected a Network"),
    (dict(seed=-1), ValueError, "seed is -1, expected at least 0"),
    (dict(seed="x"), TypeError, "seed is 'x'"),
    (dict(rows=[[1]]), TypeError, "rows is no argument here, expected epochs, batch_size"),
    (dict(resume=True), TypeError, "resume is no argument here"),
    (dict(epochs=0), ValueError, "epochs is 0"),
    (dict(epochs=[1, 2, 3, 4, 5, 6, 7]), ValueError, "epochs has 7 values"),
    (dict(callbacks=[fastbp.EarlyStopping(3)]), TypeError, r"callbacks is \[EarlyStopping.*, expected a function"),
    (dict(X=np.zeros((40, 2))), ValueError, "the network has 3 inputs"),
    (dict(X=np.zeros((0, 3)), Y=np.zeros((0, 2))), ValueError, "no rows"),
    (dict(Y=np.zeros((39, 2))), ValueError, "Y has shape"),
    (dict(sample_weight=np.zeros(40)), ValueError, "sample_weight is 0 for every sample"),
]


@pytest.mark.parametrize(("changed", "error", "message"), WRONG, ids=[row[2][:25] for row in WRONG])
@pytest.mark.parametrize("make", [Ensemble.bootstrap, Ensemble.folds], ids=["bootstrap", "folds"])
def test_arguments_that_do_not_fit(make, changed, error, message, rng):
    net, X, Y = numbers(rng)
    with pytest.raises(error, match=message):
        make(**({"network": net, "X": X, "Y": Y} | changed))


@pytest.mark.parametrize(("make", "changed", "error", "message"), [
    (Ensemble.bootstrap, {"n": 0}, ValueError, "n is 0, expected at least 1"),
    (Ensemble.bootstrap, {"n": 2.5}, TypeError, "n is 2.5, expected a whole number"),
    (Ensemble.bootstrap, {"n": 2**62}, ValueError, "n is 4611686018427387904: so many networks and the indices of"),
    (Ensemble.folds, {"k": 1}, ValueError, "k is 1, expected at least 2"),
    (Ensemble.folds, {"k": 41}, ValueError, "k is 41, but X has 40 rows"),
    (Ensemble.folds, {"k": None}, TypeError, "k is None"),
    (Ensemble.folds, {"stratify": "yes"}, TypeError, "stratify is 'yes', expected True or False"),
    (Ensemble.folds, {"stratify": True}, ValueError, "stratify=True deals out classes evenly, but the network is for"),
])
def test_numbers_of_networks_that_do_not_fit(make, changed, error, message, rng):
    net, X, Y = numbers(rng)
    with pytest.raises(error, match=message):
        make(net, X, Y, **changed)


def test_a_network_that_diverges(rng):
    net, X, Y = numbers(rng)
    with pytest.raises(fastbp.DivergenceError):
        Ensemble.folds(net, X, Y, epochs=50, optimizer=fastbp.SGD(1e9))


def test_scikit_learn_is_not_imported():
    script = """
import sys, numpy as np, fastbp
X = np.linspace(-1, 1, 30)[:, None]
ensemble = fastbp.Ensemble.folds(fastbp.Network((1, 3, 1)), X, X**2, k=3, epochs=2)
ensemble.predict_interval(X), ensemble.oob_score
print([name for name in ("sklearn", "pandas", "mapie") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
