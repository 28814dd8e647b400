"""Results have the shape of the targets: a network that was fitted on y of shape (n,) predicts (n,)."""

import copy
import pickle

import numpy as np
import pytest
from helpers import close, compiled_only

import fastbp
from fastbp import Network


@pytest.fixture
def data(rng):
    X = rng.uniform(-1, 1, (40, 3))
    return X, X[:, 0] * X[:, 1] + 1


def fitted(X, y, **settings):
    return Network((3, 4, 1), dtype="float64", seed=0, **settings).fit(X, y, epochs=2)


def test_a_difference_from_the_targets_is_one_number_a_row(data):
    X, y = data
    flat, column = fitted(X, y), fitted(X, y[:, None])
    np.testing.assert_array_equal(flat.parameters, column.parameters)
    assert (flat.flat, column.flat) == (True, False)
    assert (flat.predict(X) - y).shape == (40,) and (column.predict(X) - y[:, None]).shape == (40, 1)
    np.testing.assert_array_equal(flat.predict(X), column.predict(X)[:, 0])
    assert flat.predict(X.tolist()).shape == flat(X).shape == (40,) and flat.predict(X[:0]).shape == (0,)
    assert np.ndim(flat.predict(X[0])) == 0 and flat.predict(X[0]) == column.predict(X[0])[0]
    assert flat.layer_outputs(X, -1).shape == (40, 1)


def test_before_a_fit_and_after_another_one(data):
    X, y = data
    net = Network((3, 4, 1), seed=0)
    assert not net.flat and net.predict(X).shape == (40, 1)
    assert net.fit(X, y, epochs=1).flat
    assert net.copy().predict(X).shape == (40,)
    net.train_on_batch(X[:1], y[:1])  # of one row the shape tells nothing
    assert net.flat
    net.train_on_batch(X[:5], y[:5, None])
    assert net.predict(X).shape == (40, 1)
    net.train_on_batch(X[:5], y[:5])
    net.train_on_output_gradients(X[:5], np.ones(5))
    assert net.predict(X).shape == (40,)
    with pytest.raises(ValueError, match="Y has shape"):
        net.fit(X, y[:7, None])
    assert net.flat
    net.flat = False
    assert net.predict(X).shape == (40, 1)
    with pytest.raises(TypeError, match="flat is 'no'"):
        net.flat = "no"
    with pytest.raises(ValueError, match="has 2 targets a sample"):
        Network((3, 2)).flat = True


def test_several_outputs_and_classes_keep_their_axis(data):
    X, y = data
    assert not Network((3, 2), seed=0).fit(X, np.stack([y, y], 1), epochs=1).flat
    net = Network((3, 2), cost="cross_entropy", seed=0).fit(X, y > 1, epochs=1)
    assert not net.flat and net.predict(X).shape == (40, 2)
    normal = Network((3, 2), cost="gaussian_nll", seed=0).fit(X, y, epochs=1)
    assert normal.predict(X).shape == (40, 2)  # mean and logarithm of the variance
    assert fastbp.Ensemble([normal]).predict(X).shape == (40,)


def test_out_may_have_the_axis_or_not(data):
    X, y = data
    net = fitted(X, y)
    for shape in ((40,), (40, 1)):
        out = np.empty(shape)
        assert net.predict(X, out=out) is out and (out.ravel() == net.predict(X)).all()
    one = np.empty(1)
    assert net.predict(X[0], out=one) is one and one[0] == net.predict(X[0])
    none = np.empty(())
    assert net.predict(X[0], out=none) is none and none == one[0]
    with pytest.raises(ValueError, match="out has shape"):
        net.predict(X, out=np.empty((1, 40)))
    net.flat = False
    with pytest.raises(ValueError, match="out has shape"):
        net.predict(X, out=np.empty(40))
    other = Network((1, 3, 1), dtype="float64", seed=0).fit(X[:, :1], y, epochs=1)
    wanted, rows = other.predict(X[:, :1]), X[:, :1].copy()
    np.testing.assert_array_equal(other.predict(rows, out=rows).ravel(), wanted)  # over its own inputs


def test_derivatives_of_one_row_and_of_flat_targets(data, rng):
    X, y = data
    flat, column = fitted(X, y), fitted(X, y[:, None])
    V = rng.normal(size=X.shape)
    for name, more in (("jacobian", ()), ("jvp", (V,)), ("parameter_jacobian", ())):
        kept, dropped = getattr(column, name)(X, *more), getattr(flat, name)(X, *more)
        np.testing.assert_array_equal(dropped, kept[:, 0])
        for i in (0, 7):
            one = [each[i] for each in more]
            close(getattr(column, name)(X[i], *one), kept[i])
            close(getattr(flat, name)(X[i], *one), kept[i, 0])
            assert np.shape(getattr(flat, name)(X[i], *one)) == kept[i, 0].shape
    assert flat.jacobian(X).shape == (40, 3) and flat.jacobian(X[0]).shape == (3,)
    assert column.jacobian(X).shape == (40, 1, 3) and column.jacobian(X[0]).shape == (1, 3)
    for name in ("input_gradient", "per_sample_gradient", "gradient_norms"):
        kept = getattr(column, name)(X, y)
        np.testing.assert_array_equal(getattr(flat, name)(X, y), kept)
        close(getattr(flat, name)(X[3], y[3]), kept[3])
        assert np.shape(getattr(flat, name)(X[3], y[3:4])) == kept[3].shape
    np.testing.assert_array_equal(column.vjp(X, y), column.vjp(X, y[:, None]))
    close(column.vjp(X[3], y[3:4]), column.vjp(X, y)[3])
    np.testing.assert_array_equal(column.parameter_vjp(X, y), column.parameter_vjp(X, y[:, None]))
    wide = Network((3, 2), dtype="float64", seed=0)
    with pytest.raises(ValueError, match=r"U has shape \(40,\), expected \(40, 2\)"):
        wide.vjp(X, y)
    close(wide.jvp(X[1], V[1]), wide.jvp(X, V)[1])


def test_files_pickles_and_copies_know_it(data, tmp_path):
    X, y = data
    net = fitted(X, y)
    net.save(tmp_path / "net")
    for other in (Network.load(tmp_path / "net"), copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.flat and other.predict(X).shape == (40,)
    fitted(X, y[:, None]).save(tmp_path / "column")
    assert not Network.load(tmp_path / "column").flat
    text = (tmp_path / "net").read_bytes()
    (tmp_path / "net").write_bytes(text.replace(b'\\"flat\\": true', b'\\"flat\\": 3   '))
    with pytest.raises(ValueError, match="corrupt header"):
        Network.load(tmp_path / "net")
    fastbp.Ensemble([net, fitted(X, y).reset(1).fit(X, y, epochs=1)]).save(tmp_path / "ensemble")
    assert fastbp.Ensemble.load(tmp_path / "ensemble").predict(X).shape == (40,)


def test_many_networks_and_blocks(data):
    X, y = data
    networks = [Network((3, 4, 1), dtype="float64", seed=seed) for seed in range(3)]
    fastbp.fit_many(networks, X, y, rows=[np.arange(30), np.arange(10, 40), np.arange(40)], epochs=2)
    assert all(net.flat for net in networks)
    fastbp.fit_many(networks, X, y[:, None], epochs=1)
    assert not any(net.flat for net in networks)
    read = fitted(X, y).fit(X, y[:, None], epochs=1).fit(X, y, epochs=1, memory="1MB")
    assert read.flat and read.predict(X).shape == (40,)


def test_ensembles(data):
    X, y = data
    net = Network((3, 4, 1), dtype="float64", seed=0)
    flat = fastbp.Ensemble.folds(net, X, y, k=3, seed=0, epochs=2)
    column = fastbp.Ensemble.folds(net, X, y[:, None], k=3, seed=0, epochs=2)
    assert (flat.flat, column.flat) == (True, False)
    for name, more in (("predict", ()), ("std", ()), ("quantiles", ([0.1, 0.9],)), ("quantiles", (0.5,)),
                       ("predict_all", ()), ("uncertainty", ()), ("predict_interval", ())):
        for rows in (X, X[0]):
            kept = np.asarray(getattr(column, name)(rows, *more))
            dropped = np.asarray(getattr(flat, name)(rows, *more))
            assert kept.shape[-1] == 1 and dropped.shape == kept.shape[:-1]
            np.testing.assert_array_equal(dropped, kept[..., 0])
    assert flat.oob_predictions.shape == (40,) and column.oob_predictions.shape == (40, 1)
    assert flat.oob_score == column.oob_score
    flat.networks[0].flat = False
    assert flat.predict(X).shape == (40, 1)


def test_intervals_scores_and_compiled_code(data):
    X, y = data
    net = fitted(X, y).fit(X, y, epochs=20, optimizer="lm")
    low, high = net.posterior(X, y).predict_interval(X)
    assert low.shape == high.shape == (40,) and np.ndim(net.posterior(X, y).predict_interval(X[0])[0]) == 0
    residuals = net.predict(X) - y
    assert net.score(X, y) == pytest.approx(1 - (residuals**2).sum() / ((y - y.mean()) ** 2).sum())
    model = net.compiled()
    fastbp.jit.check(model, X=X, Y=y, out=np.empty(40))  # in compiled code sizes count
    work, out, state = fastbp.jit.workspace(model), np.empty(40), fastbp.jit.state(model)
    assert fastbp.jit.forward_batch(model, X, out, work)
    np.testing.assert_array_equal(out, net.predict(X))
    assert fastbp.jit.train_batch(model, state, X, y, work) == pytest.approx(0.5 * (residuals**2).mean())


@compiled_only
def test_estimators_take_over_a_flat_network(data):
    pytest.importorskip("sklearn")
    X, y = data
    net = fitted(X, y)
    model = fastbp.MLPRegressor.from_network(net)
    np.testing.assert_array_equal(model.predict(X), net.predict(X))
    assert model.input_gradient(X).shape == (40, 1, 3)


def test_a_seed_may_come_from_a_generator():
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    first, second = Network((3, 2), seed=one), Network((3, 2), seed=one)
    seeds = other.integers(2**63, size=1)[0], other.integers(2**63)
    assert (first.seed, second.seed) == seeds and first.seed != second.seed
    np.testing.assert_array_equal(first.parameters, Network((3, 2), seed=int(seeds[0])).parameters)
    assert one.bit_generator.state == other.bit_generator.state
    assert first.reset(one).seed == other.integers(2**63)
    with pytest.raises(TypeError, match="seed is a RandomState .* numpy.random.Generator"):
        Network((3, 2), seed=np.random.RandomState(3))
    with pytest.raises(ValueError, match="layers"):
        Network((3, 0), seed=one)
    assert one.bit_generator.state == other.bit_generator.state
