"""Network: every member, as a user calls it."""

import copy
import pickle

import naive
import numpy as np
import pytest
from helpers import ACTIVATIONS, COSTS, DTYPES, close, few, laid_out, naive_layers, network, real_data

import fastbp
from fastbp import Network, Record, costs
from fastbp.core.request import Request


def data(rng, n=40, n_in=3, n_out=2, dtype="float32"):
    return real_data(rng, "squared_error", None, n, n_in, n_out, dtype)


def test_parameters_are_one_buffer_of_which_weights_and_biases_are_views():
    net = Network((3, 4, 2), seed=0)
    assert net.n_parameters == net.parameters.size == 3 * 4 + 4 + 4 * 2 + 2
    assert [W.shape for W in net.weights] == [(4, 3), (2, 4)] and [b.shape for b in net.biases] == [(4,), (2,)]
    net.parameters[:] = np.arange(net.n_parameters)
    assert (net.weights[0] == np.arange(12).reshape(4, 3)).all() and (net.biases[0] == np.arange(12, 16)).all()
    assert (net.weights[1] == np.arange(16, 24).reshape(2, 4)).all() and (net.biases[1] == [24, 25]).all()
    net.weights[1][0, 0] = -1
    assert net.parameters[16] == -1


def test_assigned_parameters_are_copied_into_the_buffer(rng, tmp_path):
    net = Network((3, 4, 2), seed=0)
    buffer, first = net.parameters, net.weights[0]
    given = rng.normal(size=net.n_parameters)
    net.parameters = given
    assert net.parameters is buffer and buffer.dtype == np.float32 and (buffer == given.astype("float32")).all()
    assert (first.ravel() == buffer[:12]).all()
    net.save(tmp_path / "net")
    assert (Network.load(tmp_path / "net").parameters == buffer).all()
    net.parameters += 1
    assert net.parameters is buffer and (buffer == given.astype("float32") + 1).all()
    before = buffer.copy()
    with pytest.raises(ValueError, match=r"parameters has shape \(25,\), expected \(26,\)"):
        net.parameters = given[1:]
    with pytest.raises(ValueError, match=r"parameters has shape \(\), expected \(26,\)"):
        net.parameters = 0.0
    assert (buffer == before).all()


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_is_written_to_not_replaced(bias):
    net = Network((3, 4, 2), bias=bias, seed=0)
    with pytest.raises(TypeError, match="item assignment"):
        net.weights[0] = np.zeros((4, 3))
    with pytest.raises(TypeError, match="item assignment"):
        net.biases[0] = np.zeros(4)


def test_without_biases():
    net = Network((3, 4, 2), bias=False, seed=0, dtype="float64")
    assert net.n_parameters == 20 and all(b.size == 0 for b in net.biases)
    assert (net.predict(np.zeros((5, 3))) == 0).all()
    x = np.array([0.3, -2.0, 1.1])
    close(net.predict(x), net.weights[1] @ np.tanh(net.weights[0] @ x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("output", [*ACTIVATIONS, "softmax"])
def test_predict(output, dtype, rng):
    net = network((3, 5, 4), output=output, dtype=dtype)
    X = rng.normal(size=(few(70, 7), 3)).astype(dtype)
    expected = naive.forward(naive_layers(net), X.astype(float), net.activations).out[-1]
    close(net.predict(X), expected, dtype)
    close(net.predict(X[0]), expected[0], dtype)
    assert net.predict(X).dtype == dtype and net.predict(X[0]).shape == (4,)
    assert net.predict(X[:1]).shape == (1, 4)


@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_one_row_agrees_with_many(hidden, rng):
    net = network((3, 18, 5, 2), hidden, dtype="float64", bias=hidden != "tanh")
    X = rng.normal(size=(5, 3))
    close(np.stack([net.predict(x) for x in X]), net.predict(X))


def test_predict_into(rng):
    net = network((3, 5, 2))
    X = rng.normal(size=(10, 3)).astype("float32")
    out = np.empty((10, 2), "float32")
    assert net.predict(X, out=out) is out and (out == net.predict(X)).all()
    one = np.empty(2, "float32")
    assert net.predict(X[0], out=one) is one and (one == net.predict(X[0])).all()
    for wrong in (np.empty((10, 2)), np.empty((2, 10), "float32").T, np.empty((9, 2), "float32"), [[0.0]]):
        with pytest.raises(ValueError, match="^out "):
            net.predict(X, out=wrong)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        net.predict(X, out=out)


def test_nan_stays_in_its_row(rng):
    net = network((3, 5, 2), "relu")
    X = rng.normal(size=(20, 3)).astype("float32")
    expected = net.predict(X)
    for row in (0, 7, 19):
        spoilt = X.copy()
        spoilt[row, 1] = np.nan
        found = net.predict(spoilt)
        assert np.isnan(found[row]).all() and np.isnan(net.predict(spoilt[row])).all()
        assert (np.delete(found, row, 0) == np.delete(expected, row, 0)).all()


def test_cost_and_gradient(rng):
    net = network((3, 5, 2))
    X, Y = data(rng)
    E, gradient = net.cost_and_gradient(X, Y)
    assert isinstance(E, float) and net.cost(X, Y) == E
    assert gradient.shape == (net.n_parameters,) and gradient.dtype == net.dtype
    assert (net.gradient(X, Y) == gradient).all()


def test_sample_weights_mean_copies(rng):
    net = network((3, 5, 2), dtype="float64")
    X, Y = data(rng, dtype="float64")
    weights = rng.integers(0, 4, len(X))
    copies = np.repeat(np.arange(len(X)), weights)
    close(net.cost(X, Y, weights), net.cost(X[copies], Y[copies]))
    close(net.gradient(X, Y, weights), net.gradient(X[copies], Y[copies]))
    close(net.gradient(X, Y, 1e-30 * weights), net.gradient(X, Y, weights))


def test_tiny_weights_in_float32(rng):
    """1/sum of the weights exceeds float32."""
    net = network((3, 5, 2))
    X, Y = data(rng)
    close(net.gradient(X, Y, np.full(40, 1e-41)), net.gradient(X, Y), "float32")


@pytest.mark.parametrize("kind", ["indices", "one-hot", "column", "floats"])
def test_forms_of_classes(kind, rng):
    net = network((3, 5, 4), cost="cross_entropy", dtype="float64")
    X, classes = rng.normal(size=(30, 3)), rng.integers(0, 4, 30)
    Y = {"indices": classes, "one-hot": np.eye(4)[classes], "column": classes[:, None], "floats": classes * 1.0}[kind]
    close(net.cost(X, Y), net.cost(X, np.eye(4)[classes]))
    close(net.gradient(X, Y), net.gradient(X, np.eye(4)[classes]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
def test_trace(bias, dtype, rng):
    net = network((3, 5, 4, 2), ("tanh", "relu"), dtype=dtype, bias=bias)
    X, Y = data(rng, few(40, 7), dtype=dtype)
    found = net.trace(X, Y)
    layers = naive_layers(net)
    passed = naive.forward(layers, X.astype(float), net.activations)
    deltas = naive.deltas(layers, passed, Y.astype(float), net.activations, "squared_error")
    for part, expected in ((found.net, passed.net), (found.out, passed.out[1:]), (found.delta, deltas)):
        assert len(part) == 3
        for a, b in zip(part, expected, strict=True):
            close(a, b, dtype)
    flat = np.concatenate([np.concatenate([g.weights.ravel(), g.biases]) for g in found.gradient])
    close(flat, net.gradient(X, Y), dtype)
    assert all(g.biases.size == (b.size if bias else 0) for g, b in zip(found.gradient, net.biases, strict=True))


@pytest.mark.parametrize(("output", "cost"), [("softmax", "cross_entropy"), ("logistic", "binary_cross_entropy")])
def test_trace_of_a_matched_pair(output, cost, rng):
    net = network((2, 3, 3), cost=cost, dtype="float64")
    X, Y = real_data(rng, cost, output, 9, 2, 3)
    found = net.trace(X, Y)
    passed = naive.forward(naive_layers(net), X, net.activations)
    close(found.net[-1], passed.net[-1])
    close(found.out[-1], passed.out[-1])
    close(found.delta[-1], (passed.out[-1] - Y) / 9)


def test_defaults_follow_the_cost():
    outputs = {cost: Network((2, 2), cost=cost).activations[-1] for cost in COSTS}
    assert outputs == {cost: costs.get(cost).output for cost in COSTS}
    assert outputs.items() >= (dict.fromkeys(["squared_error", "absolute_error", "huber", "log_cosh", "quantile"],
                                             "identity")
                               | {"binary_cross_entropy": "logistic", "cross_entropy": "softmax", "poisson": "exp"}
                               ).items()


def test_seed_and_reset():
    first, second = Network((3, 4, 1), seed=5), Network((3, 4, 1), seed=5)
    assert (first.parameters == second.parameters).all()
    assert (first.parameters != Network((3, 4, 1), seed=6).parameters).any()
    X, Y = np.ones((8, 3)), np.zeros(8)
    first.fit(X, Y, epochs=2)
    assert first.reset(5) is first
    assert (first.parameters == second.parameters).all() and len(first.history) == 0
    assert (first.fit(X, Y, epochs=2).parameters == second.fit(X, Y, epochs=2).parameters).all()
    assert (Network((3, 4, 1)).parameters != Network((3, 4, 1)).parameters).any()


@pytest.mark.parametrize("clone", [copy.deepcopy, Network.copy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_are_independent_and_go_on_alike(clone, rng):
    X, Y = data(rng)
    net = network((3, 6, 2), ("relu",), seed=3).fit(X, Y, epochs=3)
    other = clone(net)
    assert other is not net and repr(other) == repr(net)
    assert (other.parameters == net.parameters).all() and not np.shares_memory(other.parameters, net.parameters)
    assert all(np.shares_memory(W, other.parameters) for W in other.weights)
    assert (other.history.cost == net.history.cost).all()
    before = net.parameters.copy()
    other.fit(X, Y, epochs=2, resume=True)
    assert (net.parameters == before).all()
    net.fit(X, Y, epochs=2, resume=True)
    assert (net.parameters == other.parameters).all()


REPRS = [
    Network((2, 1)),
    Network((2, 4, 1), seed=3),
    Network((2, 4, 5, 1), ("relu", "tanh"), seed=0),
    Network((2, 4, 1), "gelu", "logistic", bias=False, dtype="float64", init="he_normal"),
    Network((2, 4, 3), cost="cross_entropy"),
    Network((2, 4, 3), cost="cross_entropy", output="logistic", seed=np.int64(4)),
    Network((2, 1), cost=fastbp.huber(0.5)),
    Network((2, 1), cost=fastbp.quantile(0.9)),
    Network((2, 1), cost="huber"),
]


@pytest.mark.parametrize("net", REPRS, ids=repr)
def test_repr_rebuilds(net):
    again = eval(repr(net), {"Network": Network, "fastbp": fastbp})
    assert again.architecture() == net.architecture()
    assert repr(again) == repr(net)
    if net.seed is not None:
        assert (again.parameters == net.parameters).all()


def test_repr_is_plain():
    assert repr(Network((2, 4, 1), seed=3)) == "Network((2, 4, 1), seed=3)"
    assert repr(REPRS[6]) == "Network((2, 1), cost=fastbp.huber(delta=0.5))"


def test_history(rng):
    X, Y = data(rng)
    net = Network((3, 4, 2), seed=0)
    assert repr(net.history) == "<History: no epochs>" and net.history.cost.shape == (0,)
    net.fit(X, Y, epochs=4, validation=(X[:9], Y[:9]))
    h = net.history
    assert len(h) == 4 and (h.epoch == [1, 2, 3, 4]).all() and h.epoch.dtype == np.int64
    assert h.cost.shape == h.validation_cost.shape == h.seconds.shape == (4,)
    assert (np.diff(h.seconds) >= 0).all() and np.isfinite(h.validation_cost).all()
    assert h.validation_cost[-1] == net.cost(X[:9], Y[:9])
    assert repr(h).startswith("<History: 4 epochs, cost ")
    net.fit(X, Y, epochs=2)
    assert (net.history.epoch == [1, 2]).all() and np.isnan(net.history.validation_cost).all()


def test_history_plot(rng):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    X, Y = data(rng)
    net = Network((3, 4, 2), seed=0).fit(X, Y, epochs=3, validation=0.2)
    axes = net.history.plot()
    training, validation = axes.get_lines()
    assert (training.get_ydata() == net.history.cost).all()
    assert (validation.get_ydata() == net.history.validation_cost).all()
    assert axes.get_xlabel() == "epoch" and axes.get_ylabel() == "cost"
    assert len(net.fit(X, Y, epochs=2).history.plot(plt.subplots()[1]).get_lines()) == 1
    plt.close("all")


def test_callbacks(rng):
    X, Y = data(rng)
    net, seen = Network((3, 4, 2), seed=0), []

    def stop_at_3(record):
        seen.append((record, record.network.parameters.copy()))
        return record.epoch == 3

    assert net.fit(X, Y, epochs=10, callbacks=[stop_at_3], validation=(X, Y)) is net
    assert [record.epoch for record, _ in seen] == [1, 2, 3] and len(net.history) == 3
    for i, (record, parameters) in enumerate(seen):
        assert isinstance(record, Record) and record.network is net
        assert record.cost == net.history.cost[i] and record.validation_cost == net.history.validation_cost[i]
        assert record.seconds == net.history.seconds[i]
        then = net.copy()
        then.parameters[:] = parameters
        assert then.cost(X, Y) == record.validation_cost
    whole = Network((3, 4, 2), seed=0).fit(X, Y, epochs=3)
    assert (whole.parameters == net.parameters).all(), "callbacks change nothing"


def test_only_true_stops_and_every_callback_hears(rng):
    X, Y = data(rng)
    heard = []
    callbacks = [lambda r: "yes", lambda r: 1, lambda r: r.epoch == 2, lambda r: heard.append(r.epoch)]
    net = Network((3, 2)).fit(X, Y, epochs=5, callbacks=callbacks)
    assert heard == [1, 2] and len(net.history) == 2


def test_a_failing_callback_leaves_the_network_usable(rng):
    X, Y = data(rng)
    net = Network((3, 2), seed=0)

    def fail(record):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        net.fit(X, Y, callbacks=[fail])
    assert len(net.history) == 1
    net.fit(X, Y, epochs=2)


def test_progress_bar(rng, capsys):
    pytest.importorskip("tqdm")
    X, Y = data(rng)
    Network((3, 2)).fit(X, Y, epochs=7, progress=True, validation=0.2)
    shown = capsys.readouterr().err
    assert "7/7" in shown and "cost=" in shown and "validation=" in shown and "samples/s=" in shown


def test_progress_without_tqdm(rng, monkeypatch):
    X, Y = data(rng)
    net = Network((3, 2), seed=0).fit(X, Y, epochs=2)
    before = net.parameters.copy()
    monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"pip install fastbp\[progress\]"):
        net.fit(X, Y, progress=True)
    assert (net.parameters == before).all() and len(net.history) == 2


def test_workspaces_of_all_batches_take_less_than_three_times_the_largest():
    """However many numbers of rows a network has seen; if each were kept, it would be five to ten times as much."""
    rows, sizes = few((600, (20, 200, 5)), (160, (2, 30, 1)))
    X, Y = np.ones((rows, sizes[0]), np.float32), np.ones((rows, sizes[-1]), np.float32)
    nets = [laid_out(network(sizes)), laid_out(network(sizes))]  # which have workspaces of their own
    for net, counts in zip(nets, ([rows], range(8, rows + 1, 16)), strict=True):
        for n in counts:
            with net._borrow(Request(n, backward=False)), net._borrow(Request(n)):
                pass
    one, all_of_them = (sum(plan.panels.nbytes for pool in net._workspaces._pools.values() for plan in pool)
                        for net in nets)
    assert one < all_of_them < 3 * one
    assert np.array_equal(nets[0].predict(X[:9]), nets[1].predict(X[:9]))
    assert nets[0].cost(X[:9], Y[:9]) == nets[1].cost(X[:9], Y[:9])
