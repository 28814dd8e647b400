"""What an ensemble says of new rows, against NumPy over what its networks say."""

import copy
import math
import pickle
import tracemalloc

import numpy as np
import pytest
from helpers import DTYPES, few, network

import fastbp
from fastbp import Ensemble, Network
from fastbp.ensembles import members as checks
from fastbp.ensembles.mixture import mixture_quantiles


def regression(dtype="float64", count=4):
    """Members of different sizes, activations and costs."""
    sizes = [(3, 5, 2), (3, 2), (3, 4, 6, 2), (3, 9, 2)]
    costs = ["squared_error", "absolute_error", "huber", "log_cosh"]
    return [network(sizes[i % 4], ("tanh", "relu")[i % 2], cost=costs[i % 4], seed=i, dtype=dtype)
            for i in range(count)]


def classes(dtype="float64", count=4):
    return [network((3, 5, 4), cost="cross_entropy", seed=i, dtype=dtype) for i in range(count)]


def labels(dtype="float64", count=4):
    return [network((3, 5, 2), cost="binary_cross_entropy", seed=i, dtype=dtype) for i in range(count)]


KINDS = {"regression": regression, "classes": classes, "labels": labels}


@pytest.fixture(params=KINDS)
def networks(request):
    return KINDS[request.param]()


def surprise(p):
    """−p log p, number by number."""
    return np.vectorize(lambda x: -x * math.log(x) if x > 0 else 0.0)(p)


def entropy(p):
    """Of rows of classes."""
    return surprise(p).sum(axis=-1)


# ------------------------------------------------------------------------------------------------------- predictions

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_predict_is_the_mean_of_what_the_networks_say(kind, dtype, rng):
    networks = KINDS[kind](dtype)
    ensemble = Ensemble(networks)
    X = rng.normal(size=(few(2500, 30), 3)).astype(dtype)
    every = np.stack([net.predict(X) for net in networks])
    found = ensemble.predict_all(X)
    assert found.dtype == ensemble.predict(X).dtype == ensemble.dtype == dtype and found.flags.c_contiguous
    np.testing.assert_array_equal(found, every)
    np.testing.assert_array_equal(ensemble.predict(X), every.mean(axis=0, dtype=np.float64).astype(dtype))
    alone = np.stack([net.predict(X[0]) for net in networks])
    np.testing.assert_array_equal(ensemble.predict_all(X[0]), alone)
    np.testing.assert_array_equal(ensemble.predict(X[0]), alone.mean(axis=0, dtype=np.float64).astype(dtype))


def test_spread(networks, rng):
    ensemble, X = Ensemble(networks), rng.normal(size=(20, 3))
    every = ensemble.predict_all(X)
    for given, of in ((X, every), (X[3], ensemble.predict_all(X[3])), (X[:0], every[:, :0])):
        np.testing.assert_allclose(ensemble.std(given), of.std(axis=0), rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(ensemble.quantiles(given, 0.3), np.quantile(of, 0.3, axis=0))
        np.testing.assert_array_equal(ensemble.quantiles(given, [0, 0.9]), np.quantile(of, [0, 0.9], axis=0))
        assert ensemble.quantiles(given, []).shape == (0, *of.shape[1:])
        assert ensemble.predict(given).shape == of.shape[1:]
    assert ensemble.std(X).dtype == ensemble.quantiles(X, 0.5).dtype == np.float64


def test_spread_of_numbers_that_are_far_from_0():
    """In float64, and not from the mean of squares."""
    networks = [Network((1, 1), init=[(np.zeros((1, 1)), [1e6 + i])], dtype="float64") for i in range(3)]
    assert Ensemble(networks).std([0.0])[0] == pytest.approx(math.sqrt(2 / 3), rel=1e-9)


def test_uncertainty_of_numbers(rng):
    networks, X = regression(), rng.normal(size=(20, 3))
    found = Ensemble(networks).uncertainty(X)
    np.testing.assert_allclose(found.total, Ensemble(networks).predict_all(X).var(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(found.knowledge, found.total)
    assert found.data.shape == (20, 2) and not found.data.any()
    assert isinstance(found, fastbp.Uncertainty)


def test_uncertainty_of_classes(rng):
    networks, X = classes(), 5 * rng.normal(size=(20, 3))
    ensemble = Ensemble(networks)
    every = ensemble.predict_all(X)
    found = ensemble.uncertainty(X)
    np.testing.assert_allclose(found.total, entropy(every.mean(axis=0)), rtol=1e-12)
    np.testing.assert_allclose(found.data, entropy(every).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.knowledge, entropy(every.mean(axis=0)) - entropy(every).mean(axis=0), atol=1e-12)
    assert found.total.shape == found.data.shape == (20,) and (found.knowledge > 0).all()
    assert [np.shape(part) for part in ensemble.uncertainty(X[0])] == [()] * 3
    same = Ensemble([networks[0], networks[0].copy()]).uncertainty(X)
    assert abs(same.knowledge).max() < 1e-12 and (same.knowledge >= 0).all()


def test_uncertainty_of_outputs_that_are_probabilities(rng):
    networks, X = labels(), 5 * rng.normal(size=(20, 3))
    every = Ensemble(networks).predict_all(X)
    found = Ensemble(networks).uncertainty(X)

    def of_two(p):
        return surprise(p) + surprise(1 - p)

    np.testing.assert_allclose(found.total, of_two(every.mean(axis=0)), rtol=1e-12)
    np.testing.assert_allclose(found.data, of_two(every).mean(axis=0), rtol=1e-12)
    assert found.knowledge.shape == (20, 2)


def test_probabilities_of_0_and_1_have_no_entropy():
    certain = [Network((1, 2), cost="cross_entropy", init=[(np.array([[sign], [-sign]]), [0, 0])], dtype="float64")
               for sign in (2000.0, 1000.0)]
    found = Ensemble(certain).uncertainty([[1.0]])
    assert [part.tolist() for part in found] == [[0.0]] * 3
    certain[1].parameters *= -1  # certain of the other one
    found = Ensemble(certain).uncertainty([[1.0]])
    assert found.total == found.knowledge == pytest.approx(math.log(2)) and found.data == 0


@pytest.mark.parametrize(("cost", "output", "wanted"), [("cross_entropy", "exp", "softmax"),
                                                        ("binary_cross_entropy", "softplus", "logistic")])
def test_outputs_that_are_no_probabilities(cost, output, wanted):
    ensemble = Ensemble([network((2, 3), cost=cost, output=output)])
    assert ensemble.predict(np.zeros((2, 2))).shape == (2, 3)
    with pytest.raises(ValueError, match=rf"networks\[0\] has the output '{output}': use '{wanted}'"):
        ensemble.uncertainty(np.zeros((2, 2)))


def mixture():
    """Members that tell μ and log σ² of two targets."""
    return [network((3, 5, 4), cost="gaussian_nll", seed=i, dtype="float64") for i in range(4)]


def test_a_mixture_has_the_variances_of_its_members_too(rng):
    ensemble, X = Ensemble(mixture()), rng.normal(size=(20, 3))
    every = ensemble.predict_all(X)
    means, variances = every[..., :2], np.exp(every[..., 2:])
    total = (variances + means**2).mean(axis=0) - means.mean(axis=0) ** 2
    np.testing.assert_array_equal(ensemble.predict(X), means.mean(axis=0))
    np.testing.assert_allclose(ensemble.std(X), np.sqrt(total), rtol=1e-12)
    found = ensemble.uncertainty(X)
    np.testing.assert_allclose(found.total, total, rtol=1e-12)
    np.testing.assert_allclose(found.data, variances.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.knowledge, means.var(axis=0), rtol=1e-12)
    assert ensemble.predict(X[0]).shape == ensemble.std(X[0]).shape == (2,)


def test_quantiles_of_a_mixture(rng):
    ensemble, X = Ensemble(mixture()), rng.normal(size=(3, 3))
    every = ensemble.predict_all(X)
    means, widths = every[..., :2], np.exp(every[..., 2:] / 2)
    q = [0.001, 0.5, 0.9]
    for probability, roots in zip(q, ensemble.quantiles(X, q), strict=True):
        below = [[np.mean([0.5 * math.erfc((m - root) / s / math.sqrt(2)) for m, s in zip(ms, ss, strict=True)])
                  for root, ms, ss in zip(row, row_means.T, row_widths.T, strict=True)]
                 for row, row_means, row_widths in zip(roots, means.transpose(1, 0, 2), widths.transpose(1, 0, 2),
                                                       strict=True)]
        np.testing.assert_allclose(below, probability, rtol=1e-9)
    assert (ensemble.quantiles(X, [0, 1])[0] == -np.inf).all() and (ensemble.quantiles(X, 1) == np.inf).all()


def test_quantiles_of_one_normal_distribution_and_of_none():
    outputs = np.array([[[3.0, 0.0]], [[3.0, 0.0]]])
    assert mixture_quantiles(outputs, np.array([0.975]))[0, 0, 0] == pytest.approx(3 + 1.959963984540054)
    assert np.isnan(mixture_quantiles(np.full((2, 1, 2), np.nan), np.array([0.2]))).all()


# ------------------------------------------------------------------------------------------------------ kinds of rows

def test_rows_go_through_in_parts(networks, rng, monkeypatch):
    """What a row gives depends on no other row."""
    ensemble, X = Ensemble(networks), rng.normal(size=(50, 3))
    whole = [ensemble.predict(X), ensemble.std(X), ensemble.quantiles(X, [0.2, 0.7]), *ensemble.uncertainty(X),
             ensemble.predict_all(X)]
    monkeypatch.setattr(checks, "PART", 40)
    parts = [ensemble.predict(X), ensemble.std(X), ensemble.quantiles(X, [0.2, 0.7]), *ensemble.uncertainty(X),
             ensemble.predict_all(X)]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_sparse_rows_and_rows_of_another_dtype(networks, rng):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    ensemble = Ensemble(networks)
    X = rng.normal(size=(20, 3)) * (rng.random((20, 3)) < 0.5)
    for given in (scipy_sparse.csr_matrix(X), scipy_sparse.coo_array(X), np.asfortranarray(X), X.tolist()):
        np.testing.assert_array_equal(ensemble.predict(given), ensemble.predict(X))
        np.testing.assert_array_equal(ensemble.predict_all(given), ensemble.predict_all(X))
    whole = rng.integers(-3, 4, (20, 3))
    np.testing.assert_array_equal(ensemble.std(whole), ensemble.std(whole.astype(float)))


def test_rows_with_nan_give_nan(networks):
    ensemble, X = Ensemble(networks), np.zeros((3, 3))
    X[1, 0] = np.nan
    for found in (ensemble.predict(X), ensemble.std(X), ensemble.quantiles(X, 0.5), *ensemble.uncertainty(X)[::2]):
        assert np.isnan(found[1]).all() and np.isfinite(found[[0, 2]]).all()


@pytest.mark.parametrize("name", ["predict", "predict_all", "std", "uncertainty"])
@pytest.mark.parametrize(("X", "error", "message"), [(np.zeros((2, 4)), ValueError, "the network has 3 inputs"),
                                                     ([["a", "b", "c"]], TypeError, "expected numbers"),
                                                     (np.zeros((2, 2, 3)), ValueError, "X has shape")])
def test_rows_that_do_not_fit(name, X, error, message):
    with pytest.raises(error, match=message):
        getattr(Ensemble(regression()), name)(X)


@pytest.mark.parametrize("q", [1.5, -0.1, [0.5, 2], np.nan, [[0.5]]])
def test_what_is_no_probability(q):
    with pytest.raises(ValueError, match="expected probabilities from 0 to 1"):
        Ensemble(regression()).quantiles(np.zeros((1, 3)), q)


def test_predict_makes_no_array_of_all_members():
    networks = [network((2, 2, 8), seed=i) for i in range(30)]
    ensemble, X = Ensemble(networks), np.zeros((few(100_000, 100), 2), np.float32)
    ensemble.predict(X)  # now the networks have their workspaces
    size = 4 * 8 * len(X)
    tracemalloc.start()
    try:
        ensemble.predict(X)
        assert tracemalloc.get_traced_memory()[1] < size + 32 * checks.PART
    finally:
        tracemalloc.stop()


# --------------------------------------------------------------------------------------------------------- a sequence

def test_it_is_a_sequence(networks):
    ensemble = Ensemble(iter(networks))
    assert len(ensemble) == 4 and list(ensemble) == networks and ensemble.networks == tuple(networks)
    assert ensemble[1] is networks[1] and ensemble[-1] is networks[3] and ensemble[np.int64(2)] is networks[2]
    some = ensemble[1:3]
    assert type(some) is Ensemble and list(some) == networks[1:3] and list(ensemble[::-2]) == networks[::-2]
    with pytest.raises(IndexError, match="index is 4, this ensemble has 4 networks"):
        ensemble[4]
    with pytest.raises(IndexError, match="index is -5"):
        ensemble[-5]
    with pytest.raises(TypeError, match="index is 'a', expected a whole number or a slice"):
        ensemble["a"]
    with pytest.raises(ValueError, match="networks is empty"):
        ensemble[4:]


def test_it_shows_the_networks_as_they_are(rng):
    networks, X = regression(), rng.normal(size=(5, 3))
    ensemble, other = Ensemble(networks), Ensemble(networks).copy()
    before = ensemble.predict(X)
    networks[0].parameters += 1
    assert (ensemble.predict(X) != before).all()
    np.testing.assert_array_equal(other.predict(X), before)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it)), Ensemble.copy])
def test_copies(copied, networks, rng):
    ensemble, X = Ensemble(networks), rng.normal(size=(5, 3))
    again = copied(ensemble)
    assert type(again) is Ensemble and not set(map(id, again)) & set(map(id, ensemble))
    np.testing.assert_array_equal(again.predict_all(X), ensemble.predict_all(X))


def test_how_it_shows():
    assert repr(Ensemble([network((2, 3, 1), seed=i) for i in range(2)])) == "Ensemble of 2 networks: " \
        "Network((2, 3, 1))"
    assert repr(Ensemble([network((2, 1))])) == "Ensemble of 1 network: Network((2, 1))"
    assert repr(Ensemble(regression())) == "Ensemble of 4 networks of 4 sizes, the first Network((3, 5, 2), " \
        "dtype='float64')"


def test_it_cannot_be_given_other_networks():
    with pytest.raises(AttributeError):
        Ensemble(regression()).networks = ()


NOT_TOGETHER = [
    ([], ValueError, "networks is empty"),
    (network((2, 1)), TypeError, "expected a list of Networks"),
    (3, TypeError, "networks is 3, expected a list"),
    (np.array(1), TypeError, r"networks is array\(1\), expected a list"),
    ("ab", TypeError, r"networks\[0\] is 'a', expected a Network"),
    ([network((2, 1)), 3], TypeError, r"networks\[1\] is 3, expected a Network"),
    ([network((2, 1)), network((3, 1))], ValueError, r"networks\[1\] differs from networks\[0\] in inputs: 3, not 2"),
    ([network((2, 1)), network((2, 3))], ValueError, "in outputs: 3, not 1"),
    ([network((2, 1)), network((2, 1), dtype="float64")], ValueError, "in dtype: float64, not float32"),
    ([network((2, 3)), network((2, 3), cost="cross_entropy")], ValueError, "outputs are: the probabilities of"),
    ([network((2, 3), cost="binary_cross_entropy"), network((2, 3), cost="cross_entropy")], ValueError, "outputs are:"),
]


@pytest.mark.parametrize(("networks", "error", "message"), NOT_TOGETHER, ids=[row[2][:30] for row in NOT_TOGETHER])
def test_networks_that_make_no_ensemble(networks, error, message):
    with pytest.raises(error, match=message):
        Ensemble(networks)


def test_the_same_network_twice():
    net = network((2, 1))
    with pytest.raises(ValueError, match=r"networks\[2\] and networks\[0\] are the same network"):
        Ensemble([net, net.copy(), net])
