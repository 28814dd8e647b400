"""`Network.train_on_batch`: the steps of a fit, one by one, with the optimizer kept, and nothing lost by an error."""

import copy
import pickle

import numpy as np
import pytest
from helpers import DTYPES, close, network, real_data

import fastbp
from fastbp import DivergenceError, Network
from fastbp.optimizers import RULES


def batches(rng, dtype, size=7, count=5, columns=2):
    X, Y = rng.normal(size=(count * size, 3)).astype(dtype), rng.normal(size=(count * size, columns)).astype(dtype)
    return X, Y, [slice(k, k + size) for k in range(0, count * size, size)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", RULES)
def test_steps_have_the_bits_of_a_fit(rule, dtype, rng):
    X, Y, parts = batches(rng, dtype)
    one, other = network((3, 5, 2), dtype=dtype, seed=1), network((3, 5, 2), dtype=dtype, seed=1)
    costs = [one.train_on_batch(X[part], Y[part], optimizer=rule) for part in parts]
    other.fit(X, Y, epochs=1, batch_size=7, shuffle=False, optimizer=rule)
    np.testing.assert_array_equal(one.parameters, other.parameters)
    close(np.mean(costs), other.history.cost[0], dtype)
    # either way goes on where the other stopped
    one.fit(X[:7], Y[:7], epochs=1, batch_size=7, resume=True)
    other.train_on_batch(X[:7], Y[:7])
    np.testing.assert_array_equal(one.parameters, other.parameters)


@pytest.mark.parametrize("cost", ["cross_entropy", "poisson", "gaussian_nll"])
def test_targets_are_those_of_a_fit(cost, rng):
    if cost == "gaussian_nll":
        net, X, Y = network((3, 4, 4), cost=cost, seed=0), rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    else:
        net = network((3, 4, 2), cost=cost, seed=0)
        X, Y = real_data(rng, cost, None, 9, 3, 2)
    other = net.copy().fit(X, Y, epochs=1, batch_size=9, shuffle=False)
    labels = net.copy()
    net.train_on_batch(X, Y)
    np.testing.assert_array_equal(net.parameters, other.parameters)
    if cost == "cross_entropy":
        classes = rng.integers(2, size=9)
        labels.train_on_batch(X, classes)
        net = other.copy()
        net.parameters[:] = network((3, 4, 2), cost=cost, seed=0).parameters
        net.fit(X, np.eye(2)[classes], epochs=1, batch_size=9, shuffle=False)
        np.testing.assert_array_equal(labels.parameters, net.parameters)


def test_settings_change_and_the_state_is_kept(rng):
    X, Y, parts = batches(rng, "float64")
    one, other = Network((3, 5, 2), dtype="float64", seed=1), Network((3, 5, 2), dtype="float64", seed=1)
    for i, part in enumerate(parts):
        rate = 0.1 / (i + 1)
        one.train_on_batch(X[part], Y[part], optimizer=fastbp.Adam(rate))
        other.fit(X[part], Y[part], epochs=1, batch_size=7, shuffle=False, optimizer=fastbp.Adam(rate), resume=i > 0)
    np.testing.assert_array_equal(one.parameters, other.parameters)
    assert one._progress.learning_rate == rate
    one.train_on_batch(X, Y, optimizer="sgd")
    assert type(one._progress.optimizer) is fastbp.SGD


def test_steps_and_fits_take_turns(rng):
    """Each goes on with the numbers that the other has left: powers of beta, and a rate that was set meanwhile."""
    X, Y, parts = batches(rng, "float64", count=6)
    one, other = Network((3, 5, 2), dtype="float64", seed=1), Network((3, 5, 2), dtype="float64", seed=1)
    for i, part in enumerate(parts):
        settings = {"optimizer": fastbp.Adam(0.1 if i < 2 else 0.01)} if i in (0, 2) else {}
        if i % 2:
            one.fit(X[part], Y[part], epochs=1, batch_size=7, shuffle=False, resume=True, **settings)
        else:
            one.train_on_batch(X[part], Y[part], **settings)
        other.fit(X[part], Y[part], epochs=1, batch_size=7, shuffle=False, resume=i > 0, **settings)
        np.testing.assert_array_equal(one.parameters, other.parameters)
    one.fit(X, Y, epochs=1, batch_size=7, shuffle=False, resume=True, optimizer=fastbp.Adam(0.5))
    one.train_on_batch(X, Y)
    assert one._progress.learning_rate == 0.5
    one.train_on_batch(X, Y, optimizer="adam")  # as in a fit that resumes, a name alone changes no setting
    assert one._progress.learning_rate == 0.5


def test_targets_and_derivatives_take_turns(rng):
    """Where one of the two changes settings, the other one's next step has them."""
    X, Y, parts = batches(rng, "float64")
    one, other = Network((3, 5, 2), dtype="float64", seed=1), Network((3, 5, 2), dtype="float64", seed=1)
    for i, part in enumerate(parts):
        settings = {"optimizer": fastbp.Adam(0.1 / (i + 1))} if i != 2 else {}
        if i % 2:
            one.train_on_output_gradients(X[part], (one.predict(X[part]) - Y[part]) / 7, **settings)
        else:
            one.train_on_batch(X[part], Y[part], **settings)
        other.train_on_batch(X[part], Y[part], **settings)
    close(one.parameters, other.parameters, factor=100)


def test_it_is_kept_by_copies_and_forgotten_by_reset(rng):
    X, Y, _ = batches(rng, "float32")
    net = Network((3, 5, 2), seed=1)
    net.train_on_batch(X, Y)
    others = [net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    net.train_on_batch(X, Y)
    for other in others:
        other.train_on_batch(X, Y)
        np.testing.assert_array_equal(other.parameters, net.parameters)
    net.reset(1).train_on_batch(X, Y)
    np.testing.assert_array_equal(net.parameters, Network((3, 5, 2), seed=1).fit(
        X, Y, epochs=1, batch_size=len(X), shuffle=False).parameters)


def test_a_step_that_diverges_is_taken_back(rng):
    net = Network((3, 5, 2), seed=1)
    X, Y, _ = batches(rng, "float32")
    net.train_on_batch(X, Y)
    before = net.parameters.copy()
    for scale, optimizer in ((1e30, None), (1, fastbp.SGD(1e300))):
        with pytest.raises(DivergenceError):
            net.train_on_batch(scale * X, scale * Y, optimizer=optimizer)
        np.testing.assert_array_equal(net.parameters, before)
    net.train_on_batch(X, Y)
    assert np.isfinite(net.parameters).all()


@pytest.mark.parametrize(("arguments", "options", "words"), [
    ((np.ones((4, 2)), np.ones((4, 2))), {}, "X has"),
    ((np.ones((4, 3)), np.ones((4, 3))), {}, "Y has shape"),
    ((np.full((4, 3), np.nan), np.ones((4, 2))), {}, "nan"),
    ((np.ones((4, 3)), np.ones((4, 2))), {"optimizer": "lbfgs"}, "works on the full batch"),
    ((np.ones((4, 3)), np.ones((4, 2))), {"optimizer": fastbp.Adam(fastbp.schedules.Cosine(0.1, 5))}, "no epochs"),
])
def test_what_does_not_fit_changes_nothing(arguments, options, words):
    net = Network((3, 5, 2), seed=1)
    net.train_on_batch(np.ones((4, 3)), np.ones((4, 2)))
    before, progress = net.parameters.copy(), net._progress
    with pytest.raises(ValueError, match=words):
        net.train_on_batch(*arguments, **options)
    np.testing.assert_array_equal(net.parameters, before)
    assert net._progress is progress


def test_not_during_a_fit():
    net, said = Network((3, 5, 2), seed=1), []

    def callback(record):
        with pytest.raises(RuntimeError, match="being fitted already"):
            net.train_on_batch(np.ones((4, 3)), np.ones((4, 2)))
        said.append(record.epoch)

    net.fit(np.ones((4, 3)), np.ones((4, 2)), epochs=1, callbacks=[callback])
    assert said == [1]


# --------------------------------------------------------------------------------------------- by derivatives of a cost


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("output", "cost"), [("identity", "squared_error"), ("softmax", "cross_entropy"),
                                              ("logistic", "binary_cross_entropy"), ("exp", "squared_error")])
def test_a_vector_times_the_jacobian_of_the_parameters(output, cost, dtype, rng):
    net = network((3, 5, 2), "mish", output, cost, dtype=dtype, seed=1)
    X, U = rng.normal(size=(11, 3)), rng.normal(size=(11, 2))
    found = net.parameter_vjp(X, U)
    close(found, np.einsum("sj,sjp->p", U, net.parameter_jacobian(X)), dtype, 3)
    model = net.compiled(output_gradients=True)
    gradient = np.empty_like(net.parameters)
    total = fastbp.jit.cost_and_gradient_batch(model, X.astype(dtype), U.astype(dtype), gradient,
                                               fastbp.jit.workspace(model))
    close(11 * gradient, found, dtype, 3)
    assert abs(total - (U * net.predict(X)).sum() / 11) <= (1e-5 if dtype == "float32" else 1e-13)
    assert not net.parameter_vjp(X[:0], U[:0]).any()


def test_it_is_the_gradient_of_the_network_s_own_cost(rng):
    """With encoders and parametric activations, too."""
    encoders = [fastbp.encoders.Periodic([0, 2], frequencies=3), fastbp.encoders.Embedding(1, categories=4)]
    net = Network((3, 5, 2), fastbp.parametric("selu"), dtype="float64", seed=0, encoders=encoders, scaling=True)
    X, Y = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    X[:, 1] = rng.integers(-1, 4, 9)
    close(net.parameter_vjp(X, (net.predict(X) - Y) / 9), net.gradient(X, Y), factor=3)


@pytest.mark.parametrize("rule", ["adam", "sgd"])
def test_steps_by_derivatives_are_those_by_targets(rule, rng):
    X, Y, parts = batches(rng, "float64")
    one, other = Network((3, 5, 2), dtype="float64", seed=1), Network((3, 5, 2), dtype="float64", seed=1)
    for i, part in enumerate(parts):
        U = (one.predict(X[part]) - Y[part]) / 7
        if i == 2:  # in the midst of the others, with the same state
            one.train_on_batch(X[part], Y[part], optimizer=rule)
        else:
            one.train_on_output_gradients(X[part], U, optimizer=rule)
        other.train_on_batch(X[part], Y[part], optimizer=rule)
    close(one.parameters, other.parameters, factor=100)


def test_derivatives_that_do_not_fit():
    net = Network((3, 2), seed=0)
    before = net.parameters.copy()
    for U, words in ((np.ones((4, 3)), "U has shape"), (np.full((4, 2), np.inf), "U")):
        for call in (net.parameter_vjp, net.train_on_output_gradients):
            with pytest.raises(ValueError, match=words):
                call(np.ones((4, 3)), U)
    with pytest.raises(ValueError, match="no rows"):
        net.train_on_output_gradients(np.empty((0, 3)), np.empty((0, 2)), np.empty((0, 2, 3)))
    np.testing.assert_array_equal(net.parameters, before)
    assert net.optimizer_state() == {}
    assert not Network((3, 1)).parameter_vjp(np.empty((0, 3)), []).any()  # of no rows, flat as of any other number


def test_derivatives_beyond_the_dtype_raise_no_warning():
    net, X, U = Network((3, 2), seed=0), np.ones((4, 3)), np.full((4, 2), 3e38)
    before = net.parameters.copy()
    assert np.isinf(net.parameter_vjp(X, U)).all()
    with pytest.raises(DivergenceError):
        net.train_on_output_gradients(X, U)
    np.testing.assert_array_equal(net.parameters, before)
