"""fit_many: each network ends with the bits of a fit of its own, whatever its neighbours and the number of threads."""

import signal
import threading
import time

import numpy as np
import pytest
from helpers import few, real_data
from scipy.sparse import csr_array

import fastbp
from fastbp import EarlyStopping, Network, Regularization, fit_many
from fastbp.kernels.compile import JIT
from fastbp.optimizers import OPTIMIZERS
from fastbp.schedules import Cosine, ReduceOnPlateau

N, N_IN, N_OUT = 60, 3, 2
HIDDEN = few([(5,), (4, 6), (), (17,), (5,)], [(2,), (), (2,)])


def networks(cost="squared_error", output=None, **options):
    """Networks that differ in depth, widths and dtype; the first and the last are of one shape."""
    return [Network((N_IN, *hidden, N_OUT), output=output, cost=cost, seed=i,
                    dtype="float64" if i == 1 else "float32", **options) for i, hidden in enumerate(HIDDEN)]


def subsets(rng, count, n=N):
    """Bootstrap resamples of different sizes."""
    return [rng.integers(0, n, n - 7 * i) for i in range(count)]


def same(one, other):
    """Whether two networks have the same parameters and history, to the last bit."""
    table = [net.history.table() for net in (one, other)]
    for rows in table:
        rows[:, 3] = 0  # seconds
    return bool(np.array_equal(one.parameters, other.parameters) and np.array_equal(*table, equal_nan=True))


@pytest.mark.parametrize("threads", few([1, 2, 3, 7], [2]))
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_bits_of_each_optimizer(optimizer, threads, rng):
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")
    together, alone, epochs = networks(), networks(), few(6, 2)
    rows, weights = subsets(rng, len(together)), rng.uniform(0.1, 2, N)
    kept = [picked[:9] for picked in rows[::-1]]
    assert fit_many(together, X, Y, rows=rows, sample_weight=weights, validation_rows=kept, epochs=epochs,
                    optimizer=optimizer, threads=threads) == [None] * len(alone)
    for net, twin, picked, other in zip(together, alone, rows, kept, strict=True):
        twin.fit(X[picked], Y[picked], sample_weight=weights[picked], validation=(X[other], Y[other]), epochs=epochs,
                 optimizer=optimizer)
        assert same(net, twin)
        assert not (net.parameters == Network.copy(twin).reset(1).parameters).all()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("batch", [1, 8, N])
def test_bits_with_all_that_a_fit_takes(batch, sparse, rng):
    """Settings one a network: schedules, dropout and penalties, stopping early, batches, class indices, orders."""
    X = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")[0]
    X[rng.random(X.shape) < 0.4] = 0
    Y = rng.integers(0, N_OUT, N)
    given = csr_array(X) if sparse else X
    together, alone = networks("cross_entropy"), networks("cross_entropy")
    count = len(together)

    def turn(order):
        order[:] = np.roll(order, 3)

    settings = {
        "epochs": [5, 3, 9, 2, 4][:count],
        "batch_size": [batch, None, 7, None, batch][:count],
        "optimizer": [fastbp.Adam(Cosine(0.02, 5)), "lbfgs", fastbp.SGD(ReduceOnPlateau(0.1, patience=1), 0.9),
                      "rprop", None][:count],
        "shuffle": [True, True, turn, False, turn][:count],
        "regularization": [Regularization(dropout=0.3, label_smoothing=0.1), Regularization(l2=1e-3), None,
                           Regularization(l1=1e-3), Regularization(clip_norm=0.1, max_norm=1.0)][:count],
    }
    rows = [*subsets(rng, count - 1), None]
    kept = rng.random(N) < 0.3
    watchers = [EarlyStopping(1) for _ in together]
    twins = [EarlyStopping(1) for _ in together]
    fit_many(together, given, Y, rows=rows, validation_rows=kept, callbacks=lambda i: [watchers[i]], threads=2,
             **settings)
    for i, net in enumerate(alone):
        own = slice(None) if rows[i] is None else rows[i]
        net.fit(given[own], Y[own], validation=(given[kept], Y[kept]), callbacks=[twins[i]],
                **{name: values[i] for name, values in settings.items()})
        assert same(net, together[i])
        assert twins[i].best_epoch == watchers[i].best_epoch > 0


@pytest.mark.parametrize("of_targets", [None, 1, 2])
def test_bits_with_missing_targets(of_targets, rng):
    """Rows of which a part is missing, whole ones alone, and none; weights of samples, and of single targets."""
    X, Y = rng.normal(size=(N, N_IN)), rng.normal(size=(N, N_OUT))
    weights = None if of_targets is None else rng.random(N) if of_targets == 1 else rng.random((N, N_OUT))
    Y[:20][rng.random((20, N_OUT)) < 0.5], Y[20:30] = np.nan, np.nan
    rows = [rng.permutation(N), np.arange(20, N), np.arange(N) >= 30]
    kept = [np.arange(N)[picked][::3] for picked in rows]
    nets = [Network((N_IN, 4, N_OUT), seed=i) for i in range(len(rows))]
    twins = [net.copy() for net in nets]
    fit_many(nets, X, Y, rows=rows, validation_rows=kept, sample_weight=weights, epochs=2, missing="ignore")
    for net, twin, picked, other in zip(nets, twins, rows, kept, strict=True):
        twin.fit(X[picked], Y[picked], sample_weight=None if weights is None else weights[picked], epochs=2,
                 validation=(X[other], Y[other]), missing="ignore")
        assert same(net, twin)
    # an array for each network; one array without rows
    forms = [(np.stack([Y, Y[::-1]]), None if weights is None else np.stack([weights, weights[::-1]])),
             ([Y, Y[::-1]], None if weights is None else [weights, weights[::-1]]), (Y, weights)]
    for targets, own in forms[:: few(1, 2)]:
        nets = [Network((N_IN, 4, N_OUT), seed=i) for i in range(2)]
        twins = [net.copy() for net in nets]
        fit_many(nets, X, targets, sample_weight=own, epochs=2, missing="ignore")
        for i, (net, twin) in enumerate(zip(nets, twins, strict=True)):
            mine = [array if array is None or array is Y or array is weights else array[i] for array in (targets, own)]
            assert same(net, twin.fit(X, mine[0], sample_weight=mine[1], epochs=2, missing="ignore"))


def test_small_networks_are_stacked_where_whole_rows_are_missing(rng, monkeypatch):
    monkeypatch.setattr(fastbp.training.many, "STACK_STEPS", 0)
    X, Y = rng.normal(size=(N, N_IN)), rng.normal(size=(N, 1))
    Y[::3] = np.nan
    nets = [Network((N_IN, 4, 1), seed=i) for i in range(16)]
    twins = [net.copy() for net in nets]
    fit_many(nets, X, Y, epochs=2, missing="ignore")
    for net, twin in zip(nets, twins, strict=True):
        assert same(net, twin.fit(X, Y, epochs=2, missing="ignore"))


def test_what_is_wrong_with_missing_targets_is_said_first(rng):
    X, Y = rng.normal(size=(N, N_IN)), np.where(np.arange(N)[:, None] < 9, np.nan, np.zeros((N, N_OUT)))
    nets = networks()
    before = [net.parameters.copy() for net in nets]
    for settings, wrong in (({}, "Y holds nan in row 0"), ({"missing": "drop"}, "missing is 'drop'"),
                            ({"missing": "ignore", "rows": np.arange(9)}, "no target counts"),
                            ({"missing": "ignore", "validation_rows": np.arange(9)}, "no target counts"),
                            ({"sample_weight": np.ones((N, N_OUT + 1)), "missing": "ignore"}, "sample_weight has")):
        with pytest.raises(ValueError, match=wrong):
            fit_many(nets, X, Y, **settings)
    assert all((net.parameters == old).all() for net, old in zip(nets, before, strict=True))


def test_metrics_of_one_network_that_do_not_go_with_its_rows_are_said_before_others_are_trained(rng):
    X, Y = rng.normal(size=(N, N_IN)), rng.normal(size=(N, N_OUT))
    Y[0, 1] = np.nan
    nets = networks()[:2]
    before, whole, part = [net.parameters.copy() for net in nets], np.arange(1, N), np.arange(N)
    own = "own", lambda y_true, y_pred: 0.0
    for settings in ({"rows": [whole, part]}, {"rows": whole, "validation_rows": [whole, part]}):
        with pytest.raises(ValueError, match="metric 'own' compares all targets") as info:
            fit_many(nets, X, Y, **settings, epochs=1, threads=1, missing="ignore", metrics=[own])
        assert info.value.__notes__ == ["This concerns networks[1]."]
    assert all((net.parameters == old).all() for net, old in zip(nets, before, strict=True))
    first, second = fit_many(nets, X, Y, rows=[whole, part], epochs=1, threads=1, missing="ignore", metrics=[own],
                             on_error="keep")
    assert first is None and "compares all targets" in str(second) and len(nets[0].history) == 1


def test_read_only_parameters_are_refused_before_others_are_trained(rng):
    X, Y = rng.normal(size=(N, N_IN)), rng.normal(size=(N, N_OUT))
    nets = [Network((N_IN, 3, N_OUT), seed=seed) for seed in range(2)]
    before = nets[0].parameters.copy()
    nets[1].parameters.flags.writeable = False
    with pytest.raises(ValueError, match="parameters is read-only") as caught:
        fit_many(nets, X, Y, epochs=1, threads=1)
    assert caught.value.__notes__ == ["This concerns networks[1]."]
    assert (nets[0].parameters == before).all() and not len(nets[0].history)


def test_neighbours_and_resumed_halves_change_nothing(rng):
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")
    whole, alone, halves = networks(), networks(), networks()
    rows = subsets(rng, len(whole))
    fit_many(whole, X, Y, rows=rows, epochs=4, threads=2)
    fit_many(alone[:1], X, Y, rows=rows[:1], epochs=4, threads=2)
    assert same(whole[0], alone[0])
    for _ in range(2):
        fit_many(halves[::-1], X, Y, rows=rows[::-1], epochs=2, threads=2, resume=True)
    assert all(map(same, whole, halves))


def test_arrays_one_a_network(rng):
    data = [real_data(rng, "squared_error", None, 20 + i, N_IN + i, 1, "float32") for i in range(3)]
    weights = [None, rng.uniform(0, 1, 21), rng.uniform(0, 1, 22)]
    together, alone = ([Network((N_IN + i, 3, 1), seed=i) for i in range(3)] for _ in range(2))
    fit_many(together, [X for X, _ in data], [Y[:, 0] for _, Y in data], sample_weight=weights, epochs=2, threads=2)
    for net, twin, (X, Y), weight in zip(together, alone, data, weights, strict=True):
        assert same(net, twin.fit(X, Y, sample_weight=weight, epochs=2))
    X, Y = data[0]
    columns = rng.normal(size=(3, 20, 1))
    together, alone = ([Network((N_IN, 3, 1), seed=i) for i in range(3)] for _ in range(2))
    fit_many(together, X, columns, epochs=2, rows=np.tile(np.arange(15), (3, 1)))
    for net, twin, column in zip(together, alone, columns, strict=True):
        assert same(net, twin.fit(X[:15], column[:15], epochs=2))


def test_networks_of_one_shape_share_workspaces(rng):
    X, Y = real_data(rng, "squared_error", None, 40, 2, 1, "float32")
    nets = [Network((2, 3, 1), cost=fastbp.huber(0.75), seed=i) for i in range(12)]
    fit_many(nets, X, Y, epochs=few(30, 2), threads=2)
    plans = {id(plan) for net in nets for pool in net._workspaces._pools.values() for plan in pool}
    assert 1 <= len(plans) <= 2


def diverging(i):
    return fastbp.SGD(1e30 if i == 1 else 0.01)


def test_one_that_diverges_leaves_the_others_alone(rng):
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")
    together, alone = networks(), networks()
    optimizer = [diverging(i) for i in range(len(together))]
    errors = fit_many(together, X, Y, epochs=5, optimizer=optimizer, threads=2, on_error="keep")
    assert isinstance(errors[1], fastbp.DivergenceError) and errors.count(None) == len(together) - 1
    for i, (net, twin) in enumerate(zip(together, alone, strict=True)):
        if i == 1:
            with pytest.raises(fastbp.DivergenceError):
                twin.fit(X, Y, epochs=5, optimizer=optimizer[i])
        else:
            twin.fit(X, Y, epochs=5, optimizer=optimizer[i])
        assert same(net, twin)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_is_raised_and_nothing_is_left_half_way(threads, rng):
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")
    nets, twins = ([Network((N_IN, 3, N_OUT), seed=i) for i in range(6)] for _ in range(2))
    with pytest.raises(fastbp.DivergenceError, match=r"networks\[1\]") as caught:
        fit_many(nets, X, Y, epochs=4, optimizer=[diverging(i) for i in range(6)], threads=threads)
    assert caught.value.epoch == 1
    done = [len(net.history) for net in nets]
    assert done == [4, 0, 0, 0, 0, 0] if threads == 1 else done[1] == 0 and set(done) <= {0, 4}
    for net, twin, epochs in zip(nets, twins, done, strict=True):
        if epochs:
            twin.fit(X, Y, epochs=epochs, optimizer=fastbp.SGD(0.01))
        assert np.array_equal(net.parameters, twin.parameters)


def test_what_a_callback_raises_names_its_network(rng):
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")

    def fail(record):
        raise LookupError("mine")

    nets = networks()
    with pytest.raises(LookupError, match=r"mine\nThis concerns networks\[2\]"):
        fit_many(nets, X, Y, epochs=2, callbacks=lambda i: [fail] if i == 2 else [], threads=1)
    errors = fit_many(nets, X, Y, epochs=2, callbacks=lambda i: [fail] if i == 2 else [], threads=2, on_error="keep")
    assert [type(error) for error in errors] == [LookupError if i == 2 else type(None) for i in range(len(nets))]
    assert all(not net._lock.locked() for net in nets)


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_leaves_whole_epochs(threads, rng):
    """An interrupt that comes while callbacks run, in whichever thread: Python raises it in the main one.

    Plain kernels are interrupted anywhere, compiled ones are not: without the JIT it comes in the main one.
    """
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")
    nets, twins = networks(), networks()
    count, seen, lock = 0, set(), threading.Lock()

    def interrupt(record):
        nonlocal count
        with lock:
            here = JIT or threading.current_thread() is threading.main_thread()
            count, before = count + (here and len(seen) == threads), count
            seen.add(threading.get_ident())
            if count == 40 > before:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit_many(nets, X, Y, epochs=10**9, callbacks=lambda i: [interrupt], threads=threads)
    assert sum(len(net.history) > 0 for net in nets) == threads
    for net, twin in zip(nets, twins, strict=True):
        assert not net._lock.locked()
        if len(net.history):
            twin.fit(X, Y, epochs=len(net.history))
        assert same(net, twin)
        net.fit(X, Y, epochs=1, resume=True)


def test_ctrl_c_where_another_thread_trains_alone(rng):
    """The main thread has nothing left to train, and waits for the other one: it answers nevertheless."""
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")
    nets, twins = ([Network((N_IN, 2, N_OUT), seed=i) for i in range(2)] for _ in range(2))
    main, helping, left = threading.main_thread(), threading.Event(), threading.Event()
    late = []

    def interrupt(record):
        if threading.current_thread() is main:
            if helping.wait(60):
                left.set()
            return True
        helping.set()
        if left.is_set():
            if not late:
                late.append(record.epoch)
                threading.Timer(0.1, signal.pthread_kill, (main.ident, signal.SIGINT)).start()
                late.append(time.monotonic() + 60)
            return time.monotonic() > late[1]
        return False

    with pytest.raises(KeyboardInterrupt):
        fit_many(nets, X, Y, epochs=10**9, callbacks=lambda i: [interrupt], threads=2)
    assert time.monotonic() < late[1]
    for net, twin in zip(nets, twins, strict=True):
        assert not net._lock.locked()
        if len(net.history) < 10**4:
            assert same(net, twin.fit(X, Y, epochs=len(net.history)))


def test_an_exit_in_another_thread_ends_all(rng):
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")
    main = threading.get_ident()

    def leave(record):
        if threading.get_ident() != main:
            raise SystemExit("enough")
        return left.is_set()

    left = threading.Event()

    def leave_and_tell(record):
        try:
            return leave(record)
        except SystemExit:
            left.set()
            raise

    with pytest.raises(SystemExit, match="enough"):
        fit_many(networks()[:2], X, Y, epochs=10**9, callbacks=lambda i: [leave_and_tell], threads=2)


def test_the_bar_counts_networks(rng, monkeypatch):
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")
    shown = []

    class Bar:
        def __init__(self, total, unit, **others):
            shown.append(self)
            self.total, self.unit, self.n, self.closed = total, unit, 0, False

        def update(self, count=1):
            self.n += count

        def close(self):
            self.closed = True

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    nets = networks()
    fit_many(nets, X, Y, epochs=1, progress=True, threads=2)
    assert [(bar.total, bar.n, bar.unit, bar.closed) for bar in shown] == [(len(nets), len(nets), "network", True)]


SAME = Network((N_IN, 2, N_OUT), seed=0)
STOPPER = EarlyStopping()
WRONG = {
    "no networks": ({"networks": []}, ValueError, "networks is empty"),
    "one network": ({"networks": SAME}, TypeError, "expected a list"),
    "one in an array": ({"networks": np.array(SAME, object)}, TypeError, "expected a list"),
    "the same twice": ({"networks": [SAME, Network((N_IN, N_OUT)), SAME]}, ValueError,
                       r"networks\[2\] is networks\[0\]"),
    "not a network": ({"networks": [SAME, 3]}, TypeError, r"networks\[1\] is 3, expected a fastbp.Network"),
    "other inputs": ({"networks": [SAME, Network((N_IN + 1, N_OUT))]}, ValueError,
                     r"networks\[1\] has 4 inputs and networks\[0\] has 3"),
    "other outputs": ({"networks": [SAME, Network((N_IN, N_OUT + 1))]}, ValueError,
                      r"networks\[1\] has 3 outputs and networks\[0\] has 2"),
    "rows out of range": ({"rows": [np.arange(5), np.arange(-1, 5), np.arange(5)]}, ValueError,
                          r"rows holds -1, expected indices from 0 to 59(.|\n)*networks\[1\]"),
    "rows beyond": ({"rows": [[0], [60], [1]]}, ValueError, "rows holds 60"),
    "rows for others": ({"rows": [np.arange(5)] * 2}, ValueError, "rows has 2 values, expected one .* or 3"),
    "an empty fold": ({"rows": [np.arange(5), np.arange(0), np.arange(5)]}, ValueError,
                      r"rows names no row(.|\n)*networks\[1\]"),
    "an empty mask": ({"validation_rows": np.zeros(N, bool)}, ValueError, "validation_rows names no row"),
    "a short mask": ({"rows": np.ones(N - 1, bool)}, ValueError, "rows is a mask of 59 rows, but X has 60"),
    "fractions": ({"rows": [0.5, 1.0]}, TypeError, "rows has dtype float64"),
    "a table of rows": ({"rows": np.zeros((1, 3, 2), int)}, ValueError, "rows has 1 values"),
    "too few epochs": ({"epochs": [1, 2]}, ValueError, "epochs has 2 values, expected one .* or 3"),
    "epochs": ({"epochs": [1, 2, 0]}, ValueError, r"epochs is 0(.|\n)*networks\[2\]"),
    "optimizer": ({"optimizer": ["adam", "adam", "nothing"]}, ValueError, r"nothing(.|\n)*networks\[2\]"),
    "batches": ({"batch_size": 5, "optimizer": "lbfgs"}, ValueError, "takes all samples in a step"),
    "callbacks": ({"callbacks": [EarlyStopping()]}, TypeError, "lambda index"),
    "no callbacks": ({"callbacks": 3}, TypeError, "callbacks is 3, expected a function"),
    "the same watcher": ({"callbacks": lambda i: [STOPPER]}, ValueError,
                         r"the same EarlyStopping for networks\[0\] and networks\[1\]"),
    "resume": ({"resume": [True, False, False]}, TypeError, r"resume is \[True, .*, expected True or False for all"),
    "no list": ({"callbacks": lambda i: EarlyStopping()}, TypeError, "expected a list of callables"),
    "on_error": ({"on_error": "ignore"}, ValueError, "on_error is 'ignore', expected 'raise' or 'keep'"),
    "threads": ({"threads": 0}, ValueError, "threads is 0"),
    "weights": ({"sample_weight": [None, np.zeros(N), None]}, ValueError, r"every sample(.|\n)*networks\[1\]"),
    "weights of a fold": ({"sample_weight": np.arange(N) < 30, "rows": [[1], [2], [40, 41]]}, ValueError,
                          r"0 for each of the 2 rows(.|\n)*networks\[2\]"),
    "no inputs": ({"X": 3, "Y": [np.zeros(N)] * 3}, ValueError, r"X has shape \(\)"),
    "sparse targets": ({"Y": [csr_array(np.zeros((N, N_OUT)))] * 3}, TypeError,
                       r"Y has dtype object(.|\n)*networks\[0\]"),
    "targets": ({"Y": np.zeros((N, 3))}, ValueError, "Y has shape"),
    "infinite": ({"X": np.full((N, N_IN), np.inf)}, ValueError, "X holds inf in row 0"),
    "inputs of one array": ({"networks": [SAME, Network((N_IN + 1, 2, N_OUT))], "X": [np.zeros((N, N_IN))] * 2},
                            ValueError, rf"X has shape \({N}, 3\)(.|\n)*networks\[1\]"),
    "outputs of one array": ({"networks": [SAME, Network((N_IN, 2, N_OUT + 1))], "Y": [np.zeros((N, N_OUT))] * 2},
                             ValueError, rf"Y has shape \({N}, 2\)(.|\n)*networks\[1\]"),
    "arrays": ({"X": [np.zeros((N, N_IN))] * 2}, ValueError, "X has 2 values, expected one for all networks, or 3"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_changes_nothing(case, rng):
    given, kind, message = WRONG[case]
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")
    nets = [Network((N_IN, 2, N_OUT), seed=i) for i in range(3)]
    given = {"networks": nets, "X": X, "Y": Y, "epochs": 2, **given}
    before = [net.parameters.copy() for net in nets]
    with pytest.raises(kind, match=message):
        fit_many(**given)
    assert all(map(np.array_equal, before, (net.parameters for net in nets)))
    assert not any(len(net.history) for net in nets)


def test_keeping_errors_of_arguments(rng):
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")
    nets, twins = ([Network((N_IN, 2, N_OUT), seed=i) for i in range(3)] for _ in range(2))
    errors = fit_many(nets, X, Y, epochs=2, rows=[[3], [99], [5]], on_error="keep")
    assert errors[0] is errors[2] is None and "rows holds 99" in str(errors[1]) and not len(nets[1].history)
    assert same(nets[2], twins[2].fit(X[[5]], Y[[5]], epochs=2))


def test_an_array_that_one_network_refuses(rng):
    """Targets that its cost does not take concern that network, whichever comes first."""
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")
    for place in (0, 1):
        nets = [Network((N_IN, 2, N_OUT), cost="poisson" if i == place else "squared_error") for i in range(2)]
        errors = fit_many(nets, X, -abs(Y), epochs=1, on_error="keep")
        assert "not negative for poisson" in str(errors[place]) and errors[1 - place] is None
        with pytest.raises(ValueError, match=rf"poisson\nThis concerns networks\[{place}\]"):
            fit_many(nets, X, -abs(Y), epochs=1)


def test_rows_of_every_kind(rng):
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")
    mask = np.arange(N) % 3 == 0
    for rows in ([range(7)] * 3, np.tile(mask, (3, 1)), [[1, 2], np.array([3], np.uint8), None], range(4),
                 mask.tolist()):
        nets, twins = ([Network((N_IN, 2, N_OUT), seed=i) for i in range(3)] for _ in range(2))
        fit_many(nets, X, Y, rows=rows, epochs=1)
        for i, (net, twin) in enumerate(zip(nets, twins, strict=True)):
            own = rows if np.ndim(rows[0]) == 0 and not isinstance(rows[0], range) else rows[i]
            own = slice(None) if own is None else np.array(own)
            assert same(net, twin.fit(X[own], Y[own], epochs=1))


def test_rows_that_change_while_others_train(rng):
    """Kernels go by copies of the indices: what a callback writes to them leads nowhere else."""
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")
    nets, twin = [Network((N_IN, 2, N_OUT), seed=i) for i in range(2)], Network((N_IN, 2, N_OUT), seed=0)
    rows = [np.arange(10), np.arange(10)]
    twin.fit(X[:10], Y[:10], epochs=3)

    def spoil(record):
        for some in rows:
            some[:] = 2**40

    errors = fit_many(nets, X, Y, rows=rows, epochs=3, callbacks=lambda i: [spoil], threads=1, on_error="keep")
    assert same(nets[0], twin) and "rows holds 1099511627776" in str(errors[1])


def test_a_network_that_is_fitted_elsewhere(rng):
    X, Y = real_data(rng, "squared_error", None, N, N_IN, N_OUT, "float32")
    nets = [Network((N_IN, 2, N_OUT), seed=i) for i in range(3)]
    with nets[1]._fitting():
        errors = fit_many(nets, X, Y, epochs=2, threads=2, on_error="keep")
    assert [type(error) for error in errors] == [type(None), RuntimeError, type(None)]


@pytest.mark.skipif(not JIT, reason="a team of threads runs one after the other in plain Python, for minutes")
def test_fewer_networks_than_threads_share_them(rng):
    X, Y = real_data(rng, "squared_error", None, 300, 20, 2, "float32")
    nets, twins = ([Network((20, 64, 2), seed=i) for i in range(2)] for _ in range(2))
    fit_many(nets, X, Y, epochs=3, batch_size=128, threads=5)
    for net, twin in zip(nets, twins, strict=True):
        assert same(net, twin.fit(X, Y, epochs=3, batch_size=128))
