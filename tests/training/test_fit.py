"""fit: cost curves against the naive loop, resuming, validation, shuffling, weights, the record."""

import dataclasses

import naive
import numpy as np
import pytest
from helpers import DTYPES, close, few, laid_out, naive_cost, network, real_data

from fastbp import (
    LBFGS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    BayesianRegularization,
    ConjugateGradient,
    LevenbergMarquardt,
    Lion,
    Network,
    Optimizer,
    Quickprop,
    RMSprop,
    Rprop,
)
from fastbp.kernels import layout, tables
from fastbp.schedules import Cosine, ReduceOnPlateau, Step
from fastbp.training.steps import Steps, steps_of

METHODS = [
    (SGD(0.05), lambda: naive.SGD(0.05)),
    (SGD(0.005, 0.9), lambda: naive.SGD(0.005, 0.9)),
    (SGD(0.005, 0.9, nesterov=True), lambda: naive.SGD(0.005, 0.9, True)),
    (Adam(0.02), lambda: naive.Adam(0.02)),
    ("adam", naive.Adam),
    ("sgd", naive.SGD),
]
BATCHES = [1, 2, 7, 16, 30, 100]


def orders(net, n, epochs, shuffle=True, first=0):
    """The permutations that the next fit will take, from the naive twin of the shuffle."""
    if not shuffle:
        return [np.arange(n)] * epochs
    key = int(net.copy().generator.integers(2**63 - 1))
    return [naive.permutation(n, key, first + epoch) for epoch in range(epochs)]


def naive_fit(net, X, Y, twin, batch, permutations, weights=None):
    return naive.train(net.parameters.astype(float), net.layers, net.bias, X.astype(float), Y.astype(float),
                       net.activations, net.cost_function.name, twin, batch, permutations, weights,
                       net.cost_function.parameter)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("method", "twin"), METHODS, ids=[str(row[0]) for row in METHODS])
def test_ten_step_cost_curve(method, twin, batch, dtype, rng):
    net = network((3, 8, 2), dtype=dtype, seed=4)
    X, Y = real_data(rng, "squared_error", None, 30, 3, 2, dtype)
    w, curve = naive_fit(net, X, Y, twin(), batch, orders(net, 30, 10))
    net.fit(X, Y, epochs=10, batch_size=batch, optimizer=method)
    # Rounding grows with the number of updates; rates are small enough that it does not grow exponentially.
    factor = {1: 50, 2: 20}.get(batch, 5)
    close(net.history.cost, curve, dtype, factor)
    close(net.parameters, w, dtype, 10 * factor)


@pytest.mark.parametrize(("output", "cost"), [("softmax", "cross_entropy"), ("logistic", "binary_cross_entropy"),
                                              ("exp", "poisson"), ("softmax", "squared_error"), ("tanh", "log_cosh")])
@pytest.mark.parametrize("batch", [1, 8])
def test_curve_of_other_outputs(output, cost, batch, rng):
    net = network((3, 6, 4), ("gelu",), output, cost, dtype="float64", seed=4)
    X, Y = real_data(rng, cost, output, 21, 3, 4)
    weights = rng.uniform(0, 2, 21)
    _, curve = naive_fit(net, X, Y, naive.SGD(0.02), batch, orders(net, 21, 10), weights)
    net.fit(X, Y, epochs=10, batch_size=batch, optimizer=SGD(0.02), sample_weight=weights)
    close(net.history.cost, curve, factor=5)


@pytest.mark.parametrize("batch", [1, 5, 8])
@pytest.mark.parametrize("bias", [True, False])
def test_no_hidden_layer(bias, batch, rng):
    net = network((4, 3), dtype="float64", bias=bias)
    X, Y = real_data(rng, "squared_error", None, 20, 4, 3)
    w, curve = naive_fit(net, X, Y, naive.SGD(0.05), batch, orders(net, 20, 5))
    net.fit(X, Y, epochs=5, batch_size=batch, optimizer=SGD(0.05))
    close(net.history.cost, curve)
    close(net.parameters, w)


@pytest.mark.parametrize("batch", [1, 4])
def test_batches_without_weight_change_nothing_but_time(batch, rng):
    """All samples of a batch may weigh 0: no division by 0; momentum goes on."""
    net = network((3, 5, 2), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 12, 3, 2)
    weights = np.r_[np.zeros(8), np.ones(4)]
    w, curve = naive_fit(net, X, Y, naive.Adam(0.01), batch, orders(net, 12, 4, shuffle=False), weights)
    net.fit(X, Y, epochs=4, batch_size=batch, optimizer=Adam(0.01), sample_weight=weights, shuffle=False)
    close(net.history.cost, curve, factor=5)
    close(net.parameters, w, factor=5)


def test_several_blocks_a_batch(rng):
    net = laid_out(network((3, 5, 2), dtype="float64"), block=2 * layout.lanes("float64"))
    n = few(150, 31)
    X, Y = real_data(rng, "squared_error", None, n, 3, 2)
    w, curve = naive_fit(net, X, Y, naive.Adam(0.01), n // 2, orders(net, n, 5))
    net.fit(X, Y, epochs=5, batch_size=n // 2, optimizer=Adam(0.01))
    close(net.history.cost, curve)
    close(net.parameters, w, factor=5)


def test_shuffle(rng):
    X, Y = real_data(rng, "squared_error", None, 30, 3, 2, "float32")
    full = {shuffle: Network((3, 4, 2), seed=1, dtype="float64").fit(X, Y, epochs=2, batch_size=30, shuffle=shuffle)
            for shuffle in (True, False)}
    close(full[True].parameters, full[False].parameters)
    small = [Network((3, 4, 2), seed=1).fit(X, Y, epochs=2, batch_size=4, shuffle=s).parameters for s in (True, False)]
    assert (small[0] != small[1]).any()


def test_fits_go_on_from_the_present_parameters(rng):
    X, Y = real_data(rng, "squared_error", None, 30, 3, 2, "float32")
    net = Network((3, 4, 2), seed=1).fit(X, Y, epochs=3, optimizer=SGD(0.01), shuffle=False)
    before = net.cost(X, Y)
    net.fit(X, Y, epochs=3, optimizer=SGD(0.01), shuffle=False)
    whole = Network((3, 4, 2), seed=1).fit(X, Y, epochs=6, optimizer=SGD(0.01), shuffle=False)
    assert (net.parameters == whole.parameters).all(), "plain gradient descent has no other state"
    assert net.cost(X, Y) < before


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", [SGD(0.05), SGD(0.05, 0.9, nesterov=True), Adam(0.01)], ids=str)
@pytest.mark.parametrize("batch", [1, 7, 30])
def test_two_resumed_halves_are_the_whole(batch, method, dtype, rng):
    X, Y = real_data(rng, "squared_error", None, 30, 3, 2, dtype)
    settings = dict(batch_size=batch, optimizer=method, validation=0.2)
    whole = Network((3, 6, 2), seed=2, dtype=dtype).fit(X, Y, epochs=7, **settings)
    halves = Network((3, 6, 2), seed=2, dtype=dtype).fit(X, Y, epochs=3, **settings)
    halves.fit(X, Y, epochs=4, resume=True, **settings)
    assert (halves.parameters == whole.parameters).all()
    assert (halves.history.epoch == np.arange(1, 8)).all()
    assert (halves.history.cost == whole.history.cost).all()
    assert (halves.history.validation_cost == whole.history.validation_cost).all()
    apart = Network((3, 6, 2), seed=2, dtype=dtype).fit(X, Y, epochs=3, **settings).fit(X, Y, epochs=4, **settings)
    nothing_to_keep = batch == 30 and method == SGD(0.05)  # neither an order of samples nor a state
    assert (apart.parameters != whole.parameters).any() != nothing_to_keep, "resume makes a difference"


def test_resume_after_a_callback_stopped(rng):
    X, Y = real_data(rng, "squared_error", None, 30, 3, 2, "float32")
    whole = Network((3, 6, 2), seed=2).fit(X, Y, epochs=6)
    stopped = Network((3, 6, 2), seed=2).fit(X, Y, epochs=6, callbacks=[lambda record: record.epoch == 2])
    stopped.fit(X, Y, epochs=4, resume=True)
    assert (stopped.parameters == whole.parameters).all() and (stopped.history.cost == whole.history.cost).all()


def test_resume_without_a_fit_begins(rng):
    X, Y = real_data(rng, "squared_error", None, 30, 3, 2, "float32")
    resumed, begun = (Network((3, 6, 2), seed=2).fit(X, Y, epochs=2, resume=r) for r in (True, False))
    assert (resumed.parameters == begun.parameters).all()


def begun(method, rng):
    X, Y = real_data(rng, "squared_error", None, 30, 2, 1, "float64")
    return network((2, 3, 1), dtype="float64").fit(X, Y, epochs=3, batch_size=100, optimizer=method), X, Y


CHANGES = [
    (SGD(0.1), SGD(0.02)), (SGD(0.1, 0.9), SGD(0.1, 0.5)), (SGD(0.1, 0.9), SGD(0.1, 0.9, nesterov=True)),
    (Adam(0.1), Adam(0.02)), (Adam(0.1), Adam(0.1, 0.5)), (Adam(0.1), Adam(0.1, beta2=0.9)),
    (Adam(0.1), Adam(0.1, epsilon=1.0)), (Adam(0.1), Adam(0.1, epsilon=1e-2, epsilon_hat=True)),
    (AdamW(0.1), AdamW(0.1, weight_decay=0.5)), (Lion(0.1), Lion(0.1, weight_decay=0.5)),
    (RMSprop(0.1), RMSprop(0.1, 0.5)), (Adagrad(0.1), Adagrad(0.1, 1.0)), (Adadelta(), Adadelta(decay=0.5)),
    (Adam(Cosine(0.1, 10)), Adam(Cosine(0.1, 5))), (Adam(Cosine(0.1, 10)), Adam(0.1)),
    (Adam(ReduceOnPlateau(0.1)), Adam(ReduceOnPlateau(0.2))),
    (Quickprop(), Quickprop(0.02)), (Quickprop(), Quickprop(growth=1.2)),
    (Rprop(), Rprop(increase=1.5)), (Rprop(), Rprop(first_step=0.02)),
    (LevenbergMarquardt(), LevenbergMarquardt(1.0)),
    (LevenbergMarquardt(), LevenbergMarquardt(geodesic_acceleration=False)),
    (BayesianRegularization(), BayesianRegularization(1.0)),
]  # fmt: skip


@pytest.mark.parametrize(("former", "given"), CHANGES, ids=str)
def test_other_settings_of_the_same_optimizer_act_with_its_state_kept(former, given, rng):
    net, X, Y = begun(former, rng)
    found = [net.copy().fit(X, Y, epochs=2, batch_size=100, optimizer=optimizer, resume=True)
             for optimizer in (None, former, type(former).__name__.lower(), given)]
    for same in found[1:3]:
        assert (same.parameters == found[0].parameters).all(), "equal settings, and a name, go on as it is"
    acted = found[3]
    assert (acted.parameters != found[0].parameters).any()
    assert list(acted.history.epoch) == [1, 2, 3, 4, 5]
    assert acted._progress.optimizer == given
    if not isinstance(former, LevenbergMarquardt) and former != SGD(0.1):  # which keep a number or nothing
        anew = net.copy().fit(X, Y, epochs=2, batch_size=100, optimizer=given)
        assert (acted.parameters != anew.parameters).any()


@pytest.mark.parametrize("method", [SGD, lambda rate: SGD(rate, 0.9), Adam], ids=["sgd", "momentum", "adam"])
def test_another_rate_on_resumption_is_a_step_of_a_schedule(method, rng):
    X, Y = real_data(rng, "squared_error", None, 30, 2, 1, "float32")
    whole = network((2, 3, 1)).fit(X, Y, epochs=6, batch_size=7, optimizer=method(Step(0.1, 3, 0.25)))
    halves = network((2, 3, 1)).fit(X, Y, epochs=3, batch_size=7, optimizer=method(0.1))
    seen = []
    halves.fit(X, Y, epochs=3, batch_size=7, optimizer=method(0.025), resume=True,
               callbacks=[lambda record: seen.append(record.learning_rate)])
    assert seen == [0.025] * 3
    assert (halves.parameters == whole.parameters).all()


def test_a_schedule_on_resumption_counts_all_epochs(rng):
    net, X, Y = begun(Adam(0.1), rng)
    seen = []
    net.fit(X, Y, epochs=3, optimizer=Adam(lambda t: t / 100), resume=True,
            callbacks=[lambda record: seen.append(record.learning_rate)])
    assert seen == [0.03, 0.04, 0.05]


def negative_later(epochs):
    return -1.0 if epochs else 0.1


@pytest.mark.parametrize(("former", "given"), [
    (Adam(0.1), SGD(0.1)), (Adam(0.1), "sgd"), (Adam(0.1), AdamW(0.1)), (AdamW(0.1), "adam"), (Adam(0.1), LBFGS()),
    (SGD(0.1), SGD(0.1, 0.9)), (SGD(0.1, 0.9), SGD(0.1)), (SGD(0.1), SGD(negative_later)),
    (LBFGS(), LBFGS(5)), (LBFGS(), ConjugateGradient()), (LevenbergMarquardt(), BayesianRegularization()),
], ids=lambda value: value if isinstance(value, str) else type(value).__name__)  # fmt: skip
def test_another_optimizer_on_resumption_is_an_error(former, given, rng):
    net, X, Y = begun(former, rng)
    alone = net.copy().fit(X, Y, epochs=2, batch_size=100, resume=True)
    before = net.parameters.copy()
    bad_schedule = isinstance(given, SGD) and callable(given.learning_rate)
    says = "after 3 epochs" if bad_schedule else "leave optimizer out .* resume=False"
    with pytest.raises(ValueError, match=says):
        net.fit(X, Y, epochs=2, batch_size=100, optimizer=given, resume=True)
    assert (net.parameters == before).all() and len(net.history) == 3
    net.fit(X, Y, epochs=2, batch_size=100, resume=True)
    assert (net.parameters == alone.parameters).all(), "nothing was changed"


def test_validation_fraction_keeps_back_the_last_rows(rng):
    X, Y = real_data(rng, "squared_error", None, 30, 3, 2, "float32")
    weights = rng.uniform(0.5, 2, 30).astype("float32")
    split = Network((3, 4, 2), seed=1).fit(X, Y, epochs=3, validation=0.2, sample_weight=weights)
    pair = Network((3, 4, 2), seed=1).fit(X[:24], Y[:24], epochs=3, sample_weight=weights[:24])
    assert (split.parameters == pair.parameters).all() and (split.history.cost == pair.history.cost).all()
    close(split.history.validation_cost[-1], split.cost(X[24:], Y[24:], weights[24:]), "float32")


def test_validation_changes_nothing(rng):
    X, Y = real_data(rng, "squared_error", None, 30, 3, 2, "float32")
    with_it = Network((3, 4, 2), seed=1).fit(X, Y, epochs=3, validation=(X[:7].tolist(), Y[:7].tolist()))
    without = Network((3, 4, 2), seed=1).fit(X, Y, epochs=3)
    assert (with_it.parameters == without.parameters).all()
    assert np.isfinite(with_it.history.validation_cost).all()


def test_validation_with_class_indices(rng):
    X, classes = rng.normal(size=(40, 3)), rng.integers(0, 4, 40)
    net = network((3, 5, 4), cost="cross_entropy", dtype="float64")
    net.fit(X, classes, epochs=2, validation=0.25)
    expected = naive_cost(net, X[30:], np.eye(4)[classes[30:]])
    close(net.history.validation_cost[-1], expected)


def test_an_infinite_validation_cost_is_recorded_as_such(rng):
    X, Y = real_data(rng, "squared_error", None, 10, 3, 2, "float32")
    net = Network((3, 2), seed=1).fit(X, Y, epochs=1, validation=(X * 1e30, Y))
    assert np.isinf(net.history.validation_cost[0]) and np.isfinite(net.parameters).all()


def test_the_example_of_the_docstring_learns():
    net = Network((2, 4, 1), output="logistic", cost="binary_cross_entropy", seed=1)
    X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    net.fit(X, Y, epochs=300, batch_size=4, optimizer=Adam(0.1))
    assert (net.predict(X).round().ravel() == Y).all()


def test_many_epochs_in_chunks(rng):
    """More epochs than a call takes: the record has no gap."""
    X, Y = real_data(rng, "squared_error", None, 4, 1, 1, "float64")
    epochs = few(3000, 1100)
    net = Network((1, 1), seed=1, dtype="float64")
    permutations = [np.arange(4)] * epochs
    _, curve = naive_fit(net, X, Y, naive.SGD(0.01), 4, permutations)
    net.fit(X, Y, epochs=epochs, batch_size=4, optimizer=SGD(0.01), shuffle=False)
    assert (net.history.epoch == np.arange(1, epochs + 1)).all()
    close(net.history.cost, curve, factor=10)


def test_the_order_is_the_users_where_he_gives_it(rng):
    """Batches of 4 of the user's choice, once with repetition, the first one as it comes."""
    X, Y = rng.normal(size=(10, 3)), rng.normal(size=(10, 2))
    orders = [np.arange(10), rng.permutation(10), rng.integers(0, 10, 10)]
    net, twin = (Network((3, 4, 2), dtype="float64", seed=1) for _ in range(2))
    left = iter(orders)

    def shuffle(order):
        assert order.dtype == np.int64 and order.shape == (10,)
        order[:] = next(left)

    net.fit(X, Y, epochs=3, batch_size=4, optimizer="sgd", shuffle=shuffle)
    for order in orders:
        twin.fit(X[order], Y[order], epochs=1, batch_size=4, optimizer="sgd", shuffle=False)
    assert (net.parameters == twin.parameters).all()


@pytest.mark.parametrize("bad", [-1, 10])
def test_an_order_that_names_no_sample(bad):
    net = Network((3, 1), seed=0)
    before = net.parameters.copy()

    def shuffle(order):
        order[3] = bad

    with pytest.raises(ValueError, match="shuffle wrote sample indices"):
        net.fit(np.ones((10, 3)), np.ones(10), shuffle=shuffle)
    assert (net.parameters == before).all()
    assert len(net.fit(np.ones((10, 3)), np.ones(10), epochs=1).history) == 1


def test_an_optimizer_may_bring_steps_of_its_own():
    """Registered with its class, also where they do not come back between epochs."""
    @dataclasses.dataclass(frozen=True)
    class Halving(Optimizer):
        resumes = False

    X, Y = np.eye(3), np.ones(3)
    with pytest.raises(TypeError, match="there are no steps for .*Halving"):
        Network((3, 1), seed=0).fit(X, Y, epochs=5, optimizer=Halving())

    @steps_of.register(Halving)
    class Halves(Steps):
        def __init__(self, optimizer, fit):
            super().__init__(fit)
            self.learner = layout.learner(np.zeros_like(fit.network.parameters))

        def run(self, last, epochs_ended):
            progress, self.ended = self.learner.progress, False
            while progress[tables.PROGRESS_EPOCH] < last and not self.ended:
                with self.fit.hold.shut():
                    self.network.parameters[:] /= 2
                    progress[[tables.PROGRESS_EPOCH, tables.PROGRESS_UPDATES]] += 1
                    self.learner.costs[0] = progress[tables.PROGRESS_EPOCH]
                    self.ended = epochs_ended()

    for stop, epochs in ((10, 5), (3, 3)):
        seen, net, first = [], Network((3, 1), seed=0), Network((3, 1), seed=0)
        net.fit(X, Y, epochs=5, optimizer=Halving(), validation=(X, Y),
                callbacks=[seen.append, lambda record, stop=stop: record.epoch == stop])
        assert net.history.cost.tolist() == [record.updates for record in seen] == list(range(1, epochs + 1))
        assert (net.parameters == first.parameters / 2**epochs).all()
        assert net.history.validation_cost[-1] == net.cost(X, Y)
