"""Factors of learning rate and decay by groups of parameters, beside a rule for each group."""

import copy
import dataclasses
import pickle

import naive
import numpy as np
import pytest
from helpers import DTYPES, close, few, laid_out, network, real_data

import fastbp
from fastbp import SGD, Adam, AdamW, Lion, Network, Regularization, fit_many, jit
from fastbp.kernels import layout
from fastbp.optimizers import RULES
from fastbp.schedules import CosLog
from fastbp.training import many, stacked

SIZES, N, EPOCHS = (3, 9, 4, 2), 23, 3

RATES = {"biases": 0.1, "weights[0]": 2.0, "layers[-1]": 0.5}
DECAYS = {"biases": 0.0, "weights[1]": 3.0}


def per_parameter(net, rates=RATES, decays=DECAYS):
    """One factor of each kind a parameter, for RATES and DECAYS."""
    depth, found = len(net.layers) - 1, []
    for factors in (rates, decays):
        parts = []
        for i in range(depth):
            of_layer = factors.get("layers[-1]", 1.0) if i == depth - 1 else 1.0
            for kind, views in (("weights", net.weights), ("biases", net.biases)):
                factor = of_layer * factors.get(kind, 1.0) * factors.get(f"{kind}[{i}]", 1.0)
                parts.append(np.full(views[i].size if views else 0, factor))
        found.append(np.concatenate(parts))
    return found


def data(dtype="float64", n=N, n_in=3, n_out=2):
    return real_data(np.random.default_rng(3), "squared_error", None, n, n_in, n_out, dtype)


def orders(net, n, epochs):
    key = int(net.copy().generator.integers(2**63 - 1))
    return [naive.permutation(n, key, e) for e in range(epochs)]


def grouped(kind, **settings):
    return kind(rate_factors=RATES, decay_factors=DECAYS, **settings)


def with_factors(method):
    return dataclasses.replace(method, rate_factors=RATES, decay_factors=DECAYS)


OTHERS = [SGD(0.05, 0.9), SGD(0.05, 0.9, nesterov=True), AdamW(0.02, weight_decay=0.5), Lion(0.02, weight_decay=0.5)]


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("method", [kind() for kind in RULES.values()] + OTHERS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_rule(dtype, method, batch):
    """Through the training kernels, online too, where small networks are updated as one slice."""
    X, Y = data(dtype)
    net = network(SIZES, dtype=dtype)
    twin = naive.Grouped(lambda: naive.twin_of(method), *per_parameter(net))
    w, curve = naive.train(net.parameters.astype(float), SIZES, True, X.astype(float), Y.astype(float), net.activations,
                           "squared_error", twin, batch, orders(net, N, EPOCHS))
    net.fit(X, Y, epochs=EPOCHS, batch_size=batch, optimizer=with_factors(method))
    close(net.parameters, w, dtype, factor=100)
    close(net.history.cost, curve, dtype, factor=100)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("sizes", [SIZES, few((17, 130, 40, 3), (2, 3, 4, 1))], ids=str)
def test_beneath_penalties(sizes, batch, bias):
    """Decay that Regularization brings has both factors; penalties and constraints have none."""
    rates = {"weights[0]": 2.0, "layers[-1]": 0.5} | ({"biases": 0.1} if bias else {})
    decays = {"weights[1]": 3.0}
    net = network(sizes, dtype="float64", bias=bias)
    X, Y = data(n_in=sizes[0], n_out=sizes[-1])
    of_rate, of_decay = per_parameter(net, rates, decays)

    class Decayed(naive.Regular):
        """Its decay is a parameter's own."""

        def step(self, w, g):
            return super().step(w, g) - 0.01 * 0.7 * of_rate * of_decay * w * self.penalized

    rule = Decayed(naive.Grouped(lambda: naive.Adam(0.01), of_rate, of_decay), sizes, bias)
    rule.rule.rate = 0.0
    rule.penalized = naive.flatten([(np.ones_like(W), np.zeros(len(W))) for W in net.weights], bias)

    def penalty(w, weight):
        return naive.penalty(w, sizes, bias, (0.1,) * (len(sizes) - 1), (0.0,) * (len(sizes) - 1))

    w, curve = naive.train(net.parameters, sizes, bias, X, Y, net.activations, "squared_error", rule, batch,
                           orders(net, N, EPOCHS), penalty=penalty)
    net.fit(X, Y, epochs=EPOCHS, batch_size=batch, regularization=Regularization(l2=0.1, weight_decay=0.7),
            optimizer=Adam(0.01, rate_factors=rates, decay_factors=decays))
    close(net.parameters, w, factor=100)
    close(net.history.cost, curve, factor=100)


def result(net):
    return net.parameters.tobytes(), net.history.cost.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", [None, dict(l2=0.1, weight_decay=lambda t: 0.3 / (1 + t)), dict(clip_norm=0.5)],
                         ids=str)
def test_threads(settings, dtype):
    """The same bits for any number of threads, wherever their slices begin, and in batches of several blocks."""
    found = set()
    sizes = few((5, 130, 140, 3), (3, 5, 2))
    X, Y = data(dtype, few(150, 20), sizes[0], sizes[-1])
    for threads in (1, 2, 3):
        net = laid_out(network(sizes, dtype=dtype), block=layout.lanes(dtype))
        net.fit(X, Y, epochs=2, batch_size=len(X) // 2 - 1, threads=threads,
                regularization=None if settings is None else Regularization(**settings),
                optimizer=AdamW(CosLog(0.02), weight_decay=CosLog(0.2), rate_factors=RATES, decay_factors=DECAYS))
        found.add(result(net))
    assert len(found) == 1


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("factors", [None, {}, {"biases": 1}, {"layers[0]": 2, "weights[0]": 0.5, "biases[0]": 0.5}],
                         ids=str)
def test_factors_of_one_are_none(factors, batch):
    X, Y = data("float32")
    plain, other = network(SIZES), network(SIZES)
    plain.fit(X, Y, epochs=2, batch_size=batch, optimizer=AdamW(0.02))
    other.fit(X, Y, epochs=2, batch_size=batch, optimizer=AdamW(0.02, rate_factors=factors, decay_factors=factors))
    assert result(plain) == result(other)
    assert AdamW(0.02, rate_factors=factors).stretches(plain._architecture) == []


def test_half_the_rate_everywhere_is_half_the_rate():
    """Powers of two change no digit."""
    X, Y = data("float32")
    for batch in (1, 5):
        plain, other = network(SIZES), network(SIZES)
        plain.fit(X, Y, epochs=2, batch_size=batch, optimizer=SGD(0.02, 0.5))
        other.fit(X, Y, epochs=2, batch_size=batch,
                  optimizer=SGD(0.04, 0.5, rate_factors={"weights": 0.5, "biases": 0.5}))
        assert result(plain) == result(other)


def test_a_factor_of_0_keeps_parameters():
    X, Y = data("float32")
    net = network(SIZES)
    before = net.copy()
    net.fit(X, Y, epochs=2, optimizer=AdamW(0.02, rate_factors={"layers[1]": 0, "biases[-1]": 0}))
    same = [np.array_equal(*pair) for pair in zip([*net.weights, *net.biases], [*before.weights, *before.biases],
                                                  strict=True)]
    assert same == [False, True, False, False, True, True]


def test_ntk_parametrisation_with_adam():
    """W/√n with the step of W: as a network whose first weights are larger, and whose factor is outside of them."""
    X, Y = data()
    net = network((3, 2), dtype="float64", bias=False)
    ntk = {"weights[0]": 3**-0.5}
    outside = naive.Adam(0.05, epsilon=1e-300)
    W, decay = net.weights[0] * 3**0.5, 0.2
    for _ in range(20):
        error = (X / 3**0.5 @ W.T - Y) / len(X)
        W = outside.step(W, error.T @ X / 3**0.5) - 0.05 * decay * W
    net.fit(X, Y, epochs=20, batch_size=N, optimizer=AdamW(0.05, epsilon=1e-300, weight_decay=decay, rate_factors=ntk,
                                                           decay_factors={"weights[0]": 3**0.5}))
    close(net.weights[0], W / 3**0.5, factor=100)


def test_resumed_halves_and_files(tmp_path):
    X, Y = data("float32")
    method, file = grouped(AdamW, learning_rate=0.02), tmp_path / "net.safetensors"
    whole, halves = network(SIZES), network(SIZES)
    whole.fit(X, Y, epochs=6, batch_size=5, optimizer=method)
    halves.fit(X, Y, epochs=2, batch_size=5, optimizer=method)
    halves.save(file, training=True)
    found = Network.load(file)
    assert found._progress.optimizer == method and found._progress.optimizer.rate_factors == RATES
    found = pickle.loads(pickle.dumps(found))
    found.fit(X, Y, epochs=4, batch_size=5, resume=True)
    assert result(whole) == result(found)
    found.fit(X, Y, epochs=1, resume=True, optimizer=AdamW(0.02, rate_factors={"biases": 0.5}))
    assert found._progress.optimizer.rate_factors == {"biases": 0.5}


def test_a_file_names_what_the_network_has(tmp_path):
    X, Y = data("float32")
    file = tmp_path / "net.safetensors"
    net = network(SIZES).fit(X, Y, epochs=1, optimizer=Adam(rate_factors={"biases[2]": 0.5}))
    object.__setattr__(net._progress.optimizer, "rate_factors", Adam(rate_factors={"biases[3]": 0.5}).rate_factors)
    net.save(file, training=True)
    with pytest.raises(ValueError, match=r"corrupt .*rate_factors names 'biases\[3\]', which the network does not"):
        Network.load(file)


@pytest.mark.parametrize("rows", [False, True])
def test_many_networks(rows, monkeypatch):
    """Alone and in stacks: the bits of fits of their own."""
    X, Y = data("float32", 30)
    found, run = [], stacked.Stack.run
    monkeypatch.setattr(many, "STACK_STEPS", 0)
    monkeypatch.setattr(many, "STACK_LANES", 0)
    monkeypatch.setattr(stacked.Stack, "run", lambda self, hold: found.append(len(self.members)) or run(self, hold))
    picked = [np.random.default_rng(i).integers(0, 30, 21) for i in range(5)] if rows else None
    together, alone = ([Network(SIZES, seed=i) for i in range(5)] for _ in range(2))
    for method in (grouped(AdamW, learning_rate=CosLog(0.02)), grouped(AdamW, learning_rate=0.02)):
        fit_many(together, X, Y, epochs=3, batch_size=8, optimizer=method, resume=True, rows=picked)
        for i, net in enumerate(alone):
            own = picked[i] if rows else slice(None)
            net.fit(X[own], Y[own], epochs=3, batch_size=8, optimizer=method, resume=True)
            assert result(net) == result(together[i])
            assert (net._progress.state == together[i]._progress.state).all()
    assert sum(found) == 2 * min(5, layout.lanes("float32"))


def test_named_ranges_are_the_whole_buffer():
    for bias in (True, False):
        net = Network(SIZES, bias=bias)
        ranges, flat = net._architecture.named_ranges, np.arange(net.n_parameters)
        assert [i for part in ranges.values() for i in flat[part]] == list(flat)
        for i in range(3):
            assert (net.parameters[ranges[f"weights[{i}]"]] == net.weights[i].ravel()).all()
            assert not bias or (net.parameters[ranges[f"biases[{i}]"]] == net.biases[i]).all()
    net = Network(SIZES, fastbp.parametric("mish"))
    ranges, flat = net._architecture.named_ranges, np.arange(net.n_parameters)
    assert [i for part in ranges.values() for i in flat[part]] == list(flat)
    assert list(ranges)[2] == "alphas[0]" and flat[ranges["alphas[1]"]].size == net.alphas[1].size == SIZES[2]


@pytest.mark.parametrize("batch", [1, N])
@pytest.mark.parametrize("regularization", [None, Regularization(l2=0.1)], ids=["plain", "penalised"])
def test_parameters_of_activations_have_factors(regularization, batch):
    X, Y = data()
    plain, slow, none = (Network(SIZES, fastbp.parametric("tanh"), dtype="float64", seed=1) for _ in range(3))
    before = plain.alphas[0].copy()
    for net, factors in ((plain, None), (slow, {"alphas": 0.25}), (none, {"alphas": 0.0, "biases[0]": 2.0})):
        net.fit(X[:batch], Y[:batch], epochs=1, batch_size=batch, optimizer=SGD(0.5, rate_factors=factors),
                regularization=regularization)
    for layer in range(2):
        close(slow.alphas[layer] - 1, 0.25 * (plain.alphas[layer] - 1), "float64")
        assert (none.alphas[layer] == 1).all() and (before == 1).all() and (plain.alphas[layer] != 1).any()
    close(slow.weights[0], plain.weights[0], "float64")
    close(none.weights[0], plain.weights[0], "float64")
    close(none.biases[0], 2 * plain.biases[0], "float64")


def test_neighbours_with_the_same_factors_are_one():
    architecture = Network((2, 3, 4, 1))._architecture
    assert Adam(rate_factors={"layers[0]": 2, "weights[1]": 2.0}).stretches(architecture) == [
        (0, 21, 2.0, 1.0), (21, 30, 1.0, 1.0)]


def test_settings_are_shown_compared_and_kept():
    method = Adam(0.01, rate_factors={"biases": np.float32(0.5)})
    assert repr(method) == ("Adam(learning_rate=0.01, beta1=0.9, beta2=0.999, epsilon=1e-08, epsilon_hat=False, "
                            "rate_factors={'biases': 0.5})")
    assert repr(Adam(0.01)) == "Adam(learning_rate=0.01, beta1=0.9, beta2=0.999, epsilon=1e-08, epsilon_hat=False)"
    for other in (eval(repr(method), {"Adam": Adam}), pickle.loads(pickle.dumps(method)), copy.deepcopy(method)):
        assert other == method and hash(other) == hash(method)
    assert method != Adam(0.01) and method != Adam(0.01, rate_factors={"biases": 0.25})
    given = {"biases": 0.5}
    method = Adam(rate_factors=given)
    given["biases"] = 2
    assert dict(method.rate_factors) == {"biases": 0.5}


@pytest.mark.parametrize(("settings", "says"), [
    (dict(rate_factors=0.1), "Adam: rate_factors is 0.1, expected factors by name"),
    (dict(rate_factors={"biases": -1}), r"Adam: rate_factors\['biases'\] is -1, expected a number that is not neg"),
    (dict(decay_factors={"biases": "x"}), r"Adam: decay_factors\['biases'\] is 'x'"),
    (dict(rate_factors={"biases[x]": 1}), r"Adam: rate_factors has the name 'biases\[x\]'"),
    (dict(rate_factors={3: 1}), "Adam: rate_factors has the name 3"),
    (dict(rate_factors=["biases"]), r"Adam: rate_factors is \['biases'\]"),
])  # fmt: skip
def test_bad_settings(settings, says):
    with pytest.raises(ValueError, match=says):
        Adam(**settings)


@pytest.mark.parametrize("name", ["bias", "weights[3]", "biases[-4]", "layers[7]", "scaling", "alphas"])
def test_names_that_the_network_does_not_have(name):
    X, Y = data("float32")
    net = network(SIZES)
    before = net.parameters.copy()
    with pytest.raises(ValueError) as caught:
        net.fit(X, Y, epochs=1, optimizer=Adam(decay_factors={name: 2}))
    assert (f"Adam: decay_factors names {name!r}, which the network does not have: it has weights, biases"
            in str(caught.value))
    assert (net.parameters == before).all() and net._progress is None
    with pytest.raises(ValueError, match="factors of biases.* multiply to"):
        net.fit(X, Y, epochs=1, optimizer=Adam(rate_factors={"biases": 1e300, "biases[0]": 1e300}))


def test_without_biases_there_are_none_to_name():
    with pytest.raises(ValueError, match="names 'biases'.* it has weights, each"):
        network(SIZES, bias=False).fit(*data("float32"), epochs=1, optimizer=Adam(rate_factors={"biases": 2}))


def test_where_they_do_not_apply():
    with pytest.raises(ValueError, match="rate_factors is .* in single steps all parameters have the same"):
        jit.state(network(SIZES).compiled(), grouped(Adam))
    for kind in (fastbp.LBFGS, fastbp.Quickprop, fastbp.Rprop, fastbp.LevenbergMarquardt):
        with pytest.raises(TypeError, match="rate_factors"):
            kind(rate_factors={"biases": 0.1})
