"""Settings that follow a schedule from update to update, beside plain twins: rates, decays, penalties, noise."""

import naive
import numpy as np
import pytest
from helpers import DTYPES, close, few, laid_out, network, plan_of, real_data

import fastbp
from fastbp import LBFGS, SGD, Adam, AdamW, EarlyStopping, Lion, Network, Regularization, fit_many, jit
from fastbp.kernels import layout, tables
from fastbp.optimizers import RULES
from fastbp.schedules import Chain, Cosine, CosLog, Function, OneCycle, WarmUp
from fastbp.training import many, stacked
from fastbp.util import machine

SIZES, N, EPOCHS = (3, 9, 2), 23, 3


def data(dtype="float64", n=N, n_in=3, n_out=2):
    return real_data(np.random.default_rng(3), "squared_error", None, n, n_in, n_out, dtype)


def orders(net, n, epochs):
    key = int(net.copy().generator.integers(2**63 - 1))
    return [naive.permutation(n, key, e) for e in range(epochs)]


def trained(method, twin, ahead, batch, *, dtype="float64", penalty=None, sizes=SIZES, **options):
    """Compare a fit with a twin, whose settings ``ahead`` changes before each update."""
    X, Y = data(dtype)
    net = network(sizes, dtype=dtype)
    w, curve = naive.train(net.parameters.astype(float), sizes, True, X.astype(float), Y.astype(float), net.activations,
                           "squared_error", twin, batch, orders(net, N, EPOCHS), penalty=penalty, ahead=ahead)
    net.fit(X, Y, epochs=EPOCHS, batch_size=batch, optimizer=method, **options)
    close(net.parameters, w, dtype, factor=100)
    close(net.history.cost, curve, dtype, factor=100)
    return net


def total(batch):
    return EPOCHS * -(-N // batch)


@pytest.mark.parametrize("batch", [1, 5, N])
@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_the_rate_of_each_update(name, batch):
    """Online, in batches the last of which is smaller, and with one batch an epoch."""
    twin = naive.twin_of(RULES[name]())

    def ahead(update):
        twin.rate = naive.coslog(update, total(batch), 1) / 10

    net = trained(RULES[name](CosLog(0.03)), twin, ahead, batch)
    assert net._progress.learning_rate == CosLog(0.03)(total(batch) - 1, total(batch))


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("kind", [AdamW, Lion])
def test_decay_of_a_rule(kind, batch):
    """By update, and by a function from epoch to epoch."""
    epoch = -(-N // batch)
    for schedule, value in ((Cosine(0.3, lowest=0.1, flat=0.5, per="update"), naive.flat_cosine),
                            (lambda t: 2 / (1 + t), lambda update, total, epoch: 2 / (1 + update // epoch))):
        twin = naive.twin(kind.__name__)(0.02)

        def ahead(update, twin=twin, value=value):
            twin.decay = value(update, total(batch), epoch)

        trained(kind(0.02, weight_decay=schedule), twin, ahead, batch)


PULLS = {
    "l2": dict(l2=CosLog(0.3)),
    "l1": dict(l1=WarmUp(Cosine(0.3), 2)),
    "weight_decay": dict(weight_decay=Cosine(0.3, per="update")),
    "by layer": dict(l2=(CosLog(0.3), 0.1), l1=(0.0, Cosine(0.3)), weight_decay=(OneCycle(0.3, per="update"), 0.2)),
    "biases": dict(l2=CosLog(0.3), weight_decay=(0.1, CosLog(0.3)), penalize_biases=True),
    "clipped": dict(l2=CosLog(0.3), clip_norm=0.5),
    "per_sample": dict(l2=(CosLog(0.3), 0.0), per_sample=True),
}


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("name", PULLS)
@pytest.mark.parametrize("sizes", [SIZES, few((17, 33, 21, 3), (2, 3, 4, 1))], ids=str)
def test_penalties_and_decay(sizes, name, batch):
    """Short rows, which stand in one row of the table where nothing changes, and long ones."""
    if name == "clipped" and batch == 1:
        batch = 7
    given, layers, epoch = PULLS[name], len(sizes) - 1, -(-N // batch)
    biases = given.get("penalize_biases", False)
    rule = naive.Regular(naive.Adam(0.01), sizes, True, biases=biases, clip_norm=given.get("clip_norm", np.inf))
    now = {}

    def of_layers(value, update):
        values = [value] * layers if not isinstance(value, tuple) else [*value, *value][:layers]
        return [v(update, EPOCHS * epoch, epoch) if getattr(v, "unit", "") == "update"
                else v(update // epoch, EPOCHS) if callable(v) else v for v in values]

    def ahead(update):
        now.update({key: of_layers(given.get(key, 0.0), update) for key in ("l2", "l1", "weight_decay")})
        rule.decay = now["weight_decay"]

    def penalty(w, weight):
        value, slopes = naive.penalty(w, sizes, True, now["l2"], now["l1"], biases)
        return (value / weight, slopes / weight) if given.get("per_sample") else (value, slopes)

    net = network(sizes, dtype="float64")
    X, Y = data(n_in=sizes[0], n_out=sizes[-1])
    w, curve = naive.train(net.parameters, sizes, True, X, Y, net.activations, "squared_error", rule, batch,
                           orders(net, N, EPOCHS), penalty=penalty, ahead=ahead)
    own = {key: tuple([*value, *value][:layers]) if isinstance(value, tuple) else value for key, value in given.items()}
    net.fit(X, Y, epochs=EPOCHS, batch_size=batch, optimizer=Adam(0.01), regularization=Regularization(**own))
    close(net.parameters, w, factor=100)
    close(net.history.cost, curve, factor=100)


@pytest.mark.parametrize("batch", [5, N])
def test_noise(batch):
    """With the very masks and numbers that the plain generator gives."""
    X, Y = data()
    net = network((3, 5, 4, 2), dtype="float64")
    key, lanes, epoch = int(net.copy().generator.integers(2**63 - 1)), layout.lanes("float64"), -(-N // batch)
    rates, deviation = (Cosine(0.6, flat=0.5, per="update"), lambda t: 0.3 * t), CosLog(0.4)
    w, twin, update = net.parameters.copy(), naive.Adam(0.01), 0
    for e in range(EPOCHS):
        order = naive.permutation(N, key, e) if batch < N else np.arange(N)
        for begin in range(0, N, batch):
            rows = order[begin : begin + batch]
            n = len(rows)
            now = rates[0](update, EPOCHS * epoch, epoch), rates[1](e)
            masks = [naive.mask(rate, key, e, i + 1, begin, n, size, lanes)
                     for i, (rate, size) in enumerate(zip(now, (5, 4), strict=True))] + [1]
            noise = CosLog(0.4)(update, EPOCHS * epoch) * naive.normal(key, e, begin, n, 3, lanes)
            w = twin.step(w, naive.complex_step_gradient(w, net.layers, True, X[rows] + noise, Y[rows], net.activations,
                                                         "squared_error", masks=masks))
            update += 1
    net.fit(X, Y, epochs=EPOCHS, batch_size=batch, optimizer=Adam(0.01),
            regularization=Regularization(dropout=rates, input_noise=deviation))
    close(net.parameters, w, factor=100)


EVERYTHING = Regularization(dropout=Cosine(0.5, flat=0.5, per="update"), l2=CosLog(0.1),
                            weight_decay=lambda t: 0.1 / (t + 1))


def result(net):
    return net.parameters.tobytes(), net.history.cost.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads(dtype):
    """The same bits for any number of threads, batches of several blocks too."""
    found = set()
    X, Y = data(dtype, few(150, 40))
    for threads in (1, 2, 3):
        net = laid_out(network((3, few(40, 5), 2), dtype=dtype), block=layout.lanes(dtype))
        net.fit(X, Y, epochs=3, batch_size=len(X) // 2 - 1, threads=threads, regularization=EVERYTHING,
                optimizer=AdamW(CosLog(0.02), weight_decay=Cosine(0.1, per="update")))
        found.add(result(net))
    assert len(found) == 1


@pytest.mark.parametrize("batch", [1, 9, 20])
def test_where_calls_end_changes_nothing(batch, monkeypatch):
    """One block a call, or an epoch where there is a callback, beside all at once; blocks end within batches, too."""
    X, Y = data("float32", 40)
    found = set()
    for seconds, callbacks in ((1e-9, ()), (0.04, ()), (0.04, [lambda record: None])):
        monkeypatch.setattr(machine, "CHUNK_SECONDS", seconds)
        monkeypatch.setattr(machine, "CHUNK_WORK", 1 if seconds < 1e-3 else 10**7)
        net = laid_out(network((3, 5, 2)), block=layout.lanes("float32") // 2 if batch == 20 else None)
        net.fit(X, Y, epochs=4, batch_size=batch, callbacks=callbacks, regularization=EVERYTHING,
                optimizer=Adam(WarmUp(Cosine(0.03), 1.5, per="update")))
        found.add(result(net))
    assert len(found) == 1


def test_what_a_function_is_told():
    told = []
    X, Y = data(n=10)
    net = network(SIZES)
    rate = Function(lambda done, total: told.append((done, total)) or 0.01)
    net.fit(X, Y, epochs=2, batch_size=4, optimizer=SGD(rate))
    net.fit(X, Y, epochs=1, batch_size=5, resume=True)
    steps = [(i, 6) for i in range(6)] + [(4 + i, 6) for i in range(2)]  # an epoch is now two updates
    assert sorted(set(told)) == sorted(set(steps))


def test_constant_curves_are_numbers(rng):
    """The same bits as with numbers, which no kernel looks for."""
    X, Y = data("float32")
    plain, other = network(SIZES), network(SIZES)
    plain.fit(X, Y, epochs=3, batch_size=5, optimizer=AdamW(0.03, weight_decay=0.2),
              regularization=Regularization(l2=0.1, dropout=0.2))
    method = AdamW(Chain([0.03], [], per="update"), weight_decay=lambda t: 0.2)
    other.fit(X, Y, epochs=3, batch_size=5, optimizer=method,
              regularization=Regularization(l2=Chain([0.1], []), dropout=Function(lambda done, total: 0.2)))
    assert result(plain) == result(other)
    for settings in (None, Regularization(l2=0.1, dropout=0.2)):
        assert plan_of(plain, 5, regularization=settings).cells[tables.CELL_FOLLOW] == 0


@pytest.mark.parametrize("rate", [CosLog(0.05, 12), OneCycle(0.05, 12, per="update"), Cosine(0.05, 4, per="update")],
                         ids=str)
def test_resumed_halves(rate, rng):
    """Two halves of a length that is given are the whole."""
    X, Y = data("float32")
    whole, halves = network(SIZES), network(SIZES)
    whole.fit(X, Y, epochs=12, batch_size=5, optimizer=Adam(rate))
    halves.fit(X, Y, epochs=5, batch_size=5, optimizer=Adam(rate))
    halves.fit(X, Y, epochs=7, batch_size=5, resume=True)
    assert result(whole) == result(halves)


@pytest.mark.parametrize("rate", [CosLog(0.05), WarmUp(OneCycle(0.05), 2, per="update"),
                                  Chain([0.01, Cosine(0.05, flat=0.25)], [2.5], per="update"), Cosine(0.05)], ids=str)
def test_a_checkpoint_goes_on_to_the_same_end(rate, tmp_path):
    """A curve as long as the fit ends where the fit was to end, of which the file knows nothing."""
    X, Y = data("float32")
    whole, part, file = network(SIZES), network(SIZES), tmp_path / "net.safetensors"
    whole.fit(X, Y, epochs=12, batch_size=5, optimizer=AdamW(rate, weight_decay=CosLog(0.1)))

    def stop(record):
        if record.epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        part.fit(X, Y, epochs=12, batch_size=5, optimizer=AdamW(rate, weight_decay=CosLog(0.1)), callbacks=[stop])
    part.save(file, training=True)
    found = Network.load(file)
    assert found._progress.optimizer == AdamW(rate, weight_decay=CosLog(0.1))
    found.fit(X, Y, epochs=12 - found.history.last, batch_size=5, resume=True)
    assert result(whole) == result(found)


def test_files_tell_what_is_new_where_it_is_used(tmp_path):
    """A schedule that older versions know is written as they write it."""
    from fastbp.persistence.descriptions import described_settings

    assert described_settings(Adam(WarmUp(Cosine(0.1, 4), 2)))["learning_rate"] == {
        "kind": "warmup", "epochs": 2, "learning_rate": {"kind": "cosine", "learning_rate": 0.1, "epochs": 4,
                                                         "lowest": 0.0, "lengthen": 1}}
    for rate in (lambda t: 0.1, Function(lambda done, total: 0.1), Chain([lambda t: 0.1], [])):
        with pytest.raises(ValueError, match="cannot be saved: give the optimizer a schedule of fastbp.schedules"):
            described_settings(Adam(rate))


def test_records_have_the_last_rate_of_the_epoch():
    X, Y = data("float32", 20)
    found, net = [], network(SIZES)
    net.fit(X, Y, epochs=3, batch_size=5, optimizer=SGD(CosLog(0.1)),
            callbacks=[lambda record: found.append((record.learning_rate, record.updates)), EarlyStopping(99)])
    assert found == [(CosLog(0.1)(4 * e + 3, 12), 4 * e + 4) for e in range(3)]


def test_the_gradient_norm_has_the_penalties_of_the_last_update():
    X, Y = data("float64", 20)
    found, net = [], network(SIZES, dtype="float64")

    def look(record):
        l2 = CosLog(0.5)(4 * record.epoch - 1, 12)
        g = record.network.cost_and_gradient(X, Y, regularization=Regularization(l2=l2))[1]
        found.append((record.gradient_norm(), np.linalg.norm(g)))

    net.fit(X, Y, epochs=3, batch_size=5, regularization=Regularization(l2=CosLog(0.5)), callbacks=[look])
    close(*np.transpose(found))


@pytest.mark.parametrize("rows", [False, True])
def test_many_networks(rows, monkeypatch):
    """Alone and in stacks: the bits of fits of their own."""
    X, Y = data("float32", 30)
    method = AdamW(CosLog(0.05), weight_decay=lambda t: 0.1 * t)
    found, run = [], stacked.Stack.run
    monkeypatch.setattr(many, "STACK_STEPS", 0)
    monkeypatch.setattr(many, "STACK_LANES", 0)
    monkeypatch.setattr(stacked.Stack, "run", lambda self, hold: found.append(len(self.members)) or run(self, hold))
    monkeypatch.setattr(machine, "CHUNK_SECONDS", 1e-6)
    picked = [np.random.default_rng(i).integers(0, 30, 21) for i in range(5)] if rows else None
    together, alone = ([Network(SIZES, seed=i) for i in range(5)] for _ in range(2))
    for resume in (False, True):
        fit_many(together, X, Y, epochs=3, batch_size=8, optimizer=method, resume=resume, rows=picked)
        for i, net in enumerate(alone):
            own = picked[i] if rows else slice(None)
            net.fit(X[own], Y[own], epochs=3, batch_size=8, optimizer=method, resume=resume)
            assert result(net) == result(together[i])
            assert (net._progress.hyper == together[i]._progress.hyper).all()
    assert sum(found) == 2 * min(5, layout.lanes("float32"))


def test_a_bad_value_keeps_whole_updates():
    X, Y = data("float32", 20)
    net = network(SIZES)
    rate = Function(lambda done, total: 0.1 if done < 6 else -1)
    with pytest.raises(ValueError, match="SGD: the schedule Function.* gave the learning rate -1 after 6 updates, "
                                         "expected a number that is not negative"):
        net.fit(X, Y, epochs=5, batch_size=5, optimizer=SGD(rate), callbacks=[lambda record: None])
    assert len(net.history) == 1 and np.isfinite(net.parameters).all()


def falling(done, total):
    return 1.5 - done / total


@pytest.mark.parametrize(("call", "says"), [
    (lambda net, X, Y: net.fit(X, Y, optimizer=SGD(Function(lambda done, total: np.nan))),
     "SGD: the schedule .* gave the learning rate nan after 0 updates"),
    (lambda net, X, Y: net.fit(X, Y, regularization=Regularization(dropout=Function(falling))),
     "Regularization: the schedule .* gave the dropout 1.5 after 0 updates, expected a number from 0 up to"),
    (lambda net, X, Y: net.fit(X, Y, optimizer=LBFGS(), regularization=Regularization(l2=CosLog(0.1))),
     "Regularization: l2 is a schedule, .* and LBFGS has none"),
    (lambda net, X, Y: net.fit(X, Y, optimizer="rprop", regularization=Regularization(dropout=Cosine(0.1))),
     "Regularization: dropout changes the cost"),
    (lambda net, X, Y: net.cost_and_gradient(X, Y, regularization=Regularization(l1=CosLog(0.1))),
     "Regularization: l1 is a schedule, .* and cost_and_gradient has none"),
    (lambda net, X, Y: net.posterior(X, Y, regularization=Regularization(l2=CosLog(0.1))), "posterior has none"),
    (lambda net, X, Y: jit.state(net.compiled(), Adam(CosLog(0.1))), r"learning_rate is CosLog.*change hyper\[0\]"),
    (lambda net, X, Y: jit.state(net.compiled(), AdamW(weight_decay=CosLog(0.1))),
     r"weight_decay is CosLog.*change hyper\[9\]"),
])  # fmt: skip
def test_errors_change_nothing(call, says):
    X, Y = data("float32")
    net = network(SIZES)
    before = net.parameters.copy(), net._progress
    with pytest.raises(ValueError, match=says):
        call(net, X, Y)
    assert (net.parameters == before[0]).all() and net._progress is before[1]


def test_a_callback_does_not_set_what_a_schedule_gives():
    with pytest.raises(ValueError, match="Adam: the schedule CosLog.* gives each update its learning rate"):
        network(SIZES).fit(*data("float32"), epochs=1, optimizer=Adam(CosLog(0.1)),
                           callbacks=[lambda record: record.set_learning_rate(0.1)])


def test_divergence_names_the_rate():
    X, Y = data("float32", 20)
    with pytest.raises(fastbp.DivergenceError) as caught, np.errstate(all="ignore"):
        network(SIZES).fit(X, Y, epochs=4, batch_size=5,
                           optimizer=SGD(Function(lambda done, total: 0.01 if done < 9 else 1e30)))
    assert caught.value.learning_rate == 1e30 and caught.value.epoch == 3
