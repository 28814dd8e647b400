"""`fit_many` with samples that do not fit into memory: the bits of a fit of each network by itself, within a budget."""

import signal
import threading
import tracemalloc

import numpy as np
import pytest
from helpers import compiled_only, few

import fastbp
from fastbp import Adam, EarlyStopping, Network, data
from fastbp.core.streamed import Streamed
from fastbp.data import base
from fastbp.data.source import source
from fastbp.training import many

N = few(900, 90)
SIZES = few((5, 12, 2), (3, 4, 2))
MEMORY = few(12_000, 2200)


@pytest.fixture
def samples(rng):
    X = rng.normal(size=(N, SIZES[0])).astype("float32")
    return X, np.sin(X[:, :2] + 1).astype("float32")


def networks(count=3, **settings):
    return [Network(SIZES, seed=i, **settings) for i in range(count)]


def same(found, expected):
    """The same network, and the same record but for the seconds."""
    assert found.parameters.tobytes() == expected.parameters.tobytes()
    for name in ("cost", "validation_cost"):
        np.testing.assert_array_equal(getattr(found.history, name), getattr(expected.history, name))
    for one, other in ((found.history.metrics, expected.history.metrics),
                       (found.history.diagnostics, expected.history.diagnostics)):
        assert list(one) == list(other)
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name])
    assert found.generator.bit_generator.state == expected.generator.bit_generator.state
    assert (found._progress is None) == (expected._progress is None)


def test_each_has_the_bits_that_it_has_alone(samples, rng):
    """By unlike methods, with weights, missing targets, rows, validation, metrics, callbacks, and as they go on."""
    X, Y = samples
    weights = rng.uniform(0.5, 2, N)
    holes = np.where(rng.random(Y.shape) < 0.2, np.nan, Y)
    assert not Streamed(networks()[0]._architecture, source(X, Y, None), MEMORY).fits
    folds = [np.flatnonzero(np.arange(N) % 3 != fold) for fold in range(3)]
    picked = [np.sort(folds[0]), rng.permutation(N), rng.integers(0, N, N + 5)]
    others = [np.flatnonzero(np.arange(N) % 3 == fold) for fold in range(3)]
    optimizers = few(["adam", "lbfgs", "rprop"], ["adam", "rprop", "adam"])
    for case, settings, own in (
            ("weights", {"sample_weight": weights}, lambda i: {"sample_weight": weights}),
            ("missing", {"missing": "ignore"}, lambda i: {"missing": "ignore"}),
            ("rows", {"rows": picked}, lambda i: {}),
            ("validation", {"rows": folds, "validation_rows": others, "metrics": ["r2"],
                            "callbacks": lambda i: [EarlyStopping(1, min_delta=1.0)]},
             lambda i: {"validation": (data.rows(X[others[i]]), data.rows(Y[others[i]])), "metrics": ["r2"],
                        "callbacks": [EarlyStopping(1, min_delta=1.0)]}))[few(0, 3):]:
        targets = holes if case == "missing" else Y
        together, alone = networks(), networks()
        for _ in range(few(2, 1)):
            shared = {"epochs": [2, few(3, 1), 4], "optimizer": optimizers, "resume": True, "memory": MEMORY}
            errors = fastbp.fit_many(together, data.rows(X), data.rows(targets), batch_size=[8, None, few(None, 8)],
                                     **shared, **settings)
            assert errors == [None] * 3
            for i, net in enumerate(alone):
                rows = settings.get("rows", [slice(None)] * 3)[i]
                net.fit(X[rows], targets[rows], epochs=shared["epochs"][i], optimizer=optimizers[i], resume=True,
                        memory=MEMORY, batch_size=8 if optimizers[i] == "adam" else None, **own(i))
                same(together[i], net)
        assert case != "validation" or len(alone[2].history) == few(4, 2)  # two epochs in each fit


def test_a_source_for_each_network(samples, rng):
    """Of which some fit into memory and some do not, beside arrays; weights too, streams, and of unlike widths."""
    X, Y = samples
    weights = [rng.uniform(0.5, 2, n) for n in (N, 20, N)]
    parts = [X, X[:20], X[::-1].copy()]
    targets = [Y, Y[:20], Y]
    for i, memory in list(enumerate((MEMORY, "100MB", None)))[:: few(1, 2)]:  # the last two load all of it
        given = [{"X": [data.rows(x) for x in parts], "Y": [data.rows(y) for y in targets],
                  "sample_weight": [data.rows(w) for w in weights]},
                 {"X": [data.rows(parts[0]), *parts[1:]], "Y": targets, "sample_weight": weights},
                 {"X": [data.Stream(lambda k=k: ((parts[k][j : j + 30], targets[k][j : j + 30], weights[k][j : j + 30])
                                                 for j in range(0, N, 30))) for k in range(3)]}][i]
        together = networks()
        fastbp.fit_many(together, **given, memory=memory, epochs=2, batch_size=8)
        for k, net in enumerate(networks()):
            x, y, w = (list(given[name])[k] for name in given) if "Y" in given else (given["X"][k], None, None)
            same(together[k], net.fit(x, y, sample_weight=w, memory=memory, epochs=2, batch_size=8))
    wide = [Network(SIZES, seed=0), Network((1, *SIZES[1:]), seed=1)]
    fastbp.fit_many(wide, [data.rows(X), data.rows(X[:, :1])], Y, epochs=1, memory=MEMORY)
    same(wide[1], Network((1, *SIZES[1:]), seed=1).fit(X[:, :1], Y, epochs=1, memory=MEMORY))
    stream = data.Stream(lambda: ((X[i : i + 30], Y[i : i + 30]) for i in range(0, N, 30)))
    both = networks(2)
    fastbp.fit_many(both, stream, epochs=2, batch_size=8, memory=MEMORY)
    same(both[1], networks(2)[1].fit(stream, epochs=2, batch_size=8, memory=MEMORY))


class Broken(base.ArrayRows):
    """Rows of which some cannot be read."""

    def read(self, start, stop):
        if stop > N // 2:
            raise OSError("the disk has gone")
        return super().read(start, stop)


def test_what_one_network_raises_leaves_the_others_alone(samples):
    X, Y = samples
    holed = X.copy()
    holed[N - 1, 0] = np.nan
    sources = [data.rows(X), data.rows(holed), Broken(X, "X"), data.rows(X)]
    given = {"epochs": 2, "batch_size": 8, "memory": MEMORY}
    nets, before = networks(4), networks(4)
    errors = fastbp.fit_many(nets, sources, Y, on_error="keep", **given)
    assert [type(error) for error in errors] == [type(None), ValueError, OSError, type(None)]
    assert f"X holds nan in row {N - 1}" in str(errors[1])
    assert errors[1].__notes__ == ["This concerns networks[1]."]
    for i in (1, 2):
        same(nets[i], before[i])
    for i in (0, 3):
        same(nets[i], before[i].fit(X, Y, **given))
    nets = networks(4)
    with pytest.raises(ValueError, match="X holds nan"):
        fastbp.fit_many(nets, sources, Y, **given)
    assert [len(net.history) for net in nets] == [2, 0, 0, 0]
    diverging = networks(2)
    errors = fastbp.fit_many(diverging, data.rows(X), Y, optimizer=[fastbp.SGD(1e30), Adam()], on_error="keep", **given)
    assert isinstance(errors[0], fastbp.DivergenceError)
    same(diverging[1], networks(2)[1].fit(X, Y, **given))


def test_what_cannot_be_combined_is_refused_before_anything_is_trained(samples):
    X, Y = samples
    stream = data.Stream(lambda: [(X, Y)])
    for settings, message in (
            ({"shuffle": [True, lambda order: None]}, "shuffle is a function"),
            ({"batch_size": [8, N]}, "give at least .* or a smaller batch_size"),
            ({"metrics": [("own", lambda y, o: 0.0)]}, "asks for all outputs"),
            ({"rows": [[0, 1, 2] * N, [0, N]]}, f"rows holds {N}, expected indices from 0 to {N - 1}"),
            ({"memory": "much"}, "memory is 'much'"),
            ({"X": [data.rows(X)] * 3}, "X has 3 values"),
            ({"X": data.rows(X[:, :1])}, "X has shape"),
            ({"Y": data.rows(Y[:-1])}, "expected as many rows"),
            ({"X": stream}, "leave Y and sample_weight out"),
            ({"X": stream, "Y": None, "rows": np.arange(9)}, "rows is given, but X is a Stream"),
            ({"X": stream, "Y": None, "validation_rows": np.arange(9)}, "validation_rows is given, but X is a Stream")):
        nets = networks(2)
        with pytest.raises((ValueError, TypeError), match=message):
            fastbp.fit_many(nets, **{"X": data.rows(X), "Y": Y, "batch_size": 8, "memory": MEMORY} | settings)
        for net, before in zip(nets, networks(2), strict=True):
            same(net, before)


def test_ctrl_c_leaves_whole_epochs_and_no_thread(samples):
    X, Y = samples
    nets, given = networks(), {"batch_size": 8, "memory": MEMORY}

    def stop(record):
        if record.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fastbp.fit_many(nets, data.rows(X), Y, epochs=4, callbacks=lambda i: [stop] if i == 1 else [], **given)
    assert [len(net.history) for net in nets] == [4, 2, 0]
    for net, alone, epochs in zip(nets, networks(), (4, 2), strict=False):
        assert net.parameters.tobytes() == alone.fit(X, Y, epochs=epochs, **given).parameters.tobytes()
    assert not [thread for thread in threading.enumerate() if "reader" in thread.name]


@pytest.mark.skipif(few(False, True), reason="allocations are those of plain Python")
def test_memory_is_bounded_whatever_the_number_of_networks(tmp_path, rng):
    np.save(tmp_path / "X.npy", rng.normal(size=(20_000, 100)).astype("float32"))
    X, Y = data.npy(tmp_path / "X.npy"), rng.normal(size=(20_000, 1)).astype("float32")
    rows = [np.flatnonzero(np.arange(20_000) % 10 != fold) for fold in range(3)]

    def fit():
        nets = [Network((100, 4, 1), seed=i) for i in range(3)]
        fastbp.fit_many(nets, X, Y, rows=rows, batch_size=[256, None, None], epochs=1, memory="2MB",
                        optimizer=["adam", "lbfgs", "rprop"])

    fit()  # compiles, and leaves workspaces in the pool
    tracemalloc.start()
    try:
        fit()
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


@compiled_only
def test_a_stack_is_made_only_where_its_orders_fit(samples, monkeypatch):
    X, Y = samples
    stacks = []
    stacked = many._Stacked

    def noted(jobs, pool):
        stacks.append(len(jobs))
        return stacked(jobs, pool)

    monkeypatch.setattr(many, "_Stacked", noted)
    monkeypatch.setattr(many, "STACK_STEPS", 0)
    found = []
    for memory in ("100MB", (N * 4 * (SIZES[0] + 2) + 20 * N) * 4 // 3):  # room for two orders, and not for 4 or 16
        nets = networks(16)
        fastbp.fit_many(nets, data.rows(X), data.rows(Y), epochs=1, threads=1, memory=memory)
        found.append((len(stacks), [net.parameters.tobytes() for net in nets]))
    assert found[0][0] == found[1][0] >= 1 and found[0][1] == found[1][1]


def test_rows_are_picked_as_numpy_picks_them(rng, monkeypatch):
    monkeypatch.setattr(base, "WINDOW_BYTES", 100)
    array = rng.normal(size=(50, 3)).astype("float32")

    class Dataset:
        shape, dtype, chunks, reads = array.shape, array.dtype, (7, 3), 0

        def __getitem__(self, rows):
            type(self).reads += 1
            return array[rows]

    for rows in (np.arange(3, 40, 2), rng.permutation(50), rng.integers(0, 50, 90).astype("uint8"), np.array([], int)):
        for found in (base.Picked(data.rows(array), rows), base.Picked(data.rows(Dataset()), rows),
                      base.Picked(data.rows(array[:, 0]), rows)):
            expected = array[rows] if len(found.shape) == 2 else array[rows, 0]
            assert found.shape == expected.shape
            for start, stop in ((0, len(rows)), (2, min(9, len(rows))), (0, 0)):
                assert np.array_equal(found.read(start, max(start, stop)), expected[start:stop])
    Dataset.reads = 0
    base.Picked(data.rows(Dataset()), np.arange(50)).read(0, 50)
    assert Dataset.reads <= 13  # each of 8 chunks once or twice, and not 50 rows
    changed = np.arange(5)
    found = base.Picked(data.rows(array), changed)
    changed[3] = 50
    with pytest.raises(ValueError, match="rows holds 0 to 50, expected 0 to 49: it has changed meanwhile"):
        found.read(0, 5)
