"""Files that end early or change, rows that are wrong, reads that fail or hang: an error that says why, and no more."""

import _thread
import os
import threading
import time

import numpy as np
import pytest
from helpers import few

from fastbp import Adam, DivergenceError, Network, data
from fastbp.data import reader

N = few(800, 80)
SETTINGS = {"epochs": 3, "batch_size": 8, "memory": 8 * 3 * (2 * 16 + 8) * 4 // 3 + 1}


class Dataset:
    """What h5py and zarr look like, with something to happen before a read."""

    def __init__(self, array, before=lambda start: None):
        self.array, self.before, self.dtype = array, before, array.dtype

    @property
    def shape(self):
        return self.array.shape

    def __getitem__(self, rows):
        self.before(rows.start)
        return self.array[rows]


@pytest.fixture
def samples(rng):
    return rng.normal(size=(N, 3)).astype("float32"), rng.normal(size=(N, 1)).astype("float32")


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def state(net):
    progress = net._progress
    return (net.parameters.tobytes(), len(net.history), net.generator.bit_generator.state["state"]["state"],
            None if progress is None else (progress.state.tobytes(), progress.hyper.tobytes(), progress.epochs))


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("where", ["X", "Y", "sample_weight"])
def test_a_wrong_row_is_named_and_the_network_as_before(where, resume, samples):
    arrays = {"X": samples[0].copy(), "Y": samples[1].copy(), "sample_weight": np.ones(N, "f")}
    net = Network((3, 4, 1), seed=1).fit(*samples, epochs=2)
    before, history = state(net), net.history
    wrong = arrays[where].reshape(N, -1)
    wrong[N - 3, -1] = np.nan
    with pytest.raises(ValueError, match=f"{where} holds nan in row {N - 3}"):
        net.fit(**arrays, resume=resume, **SETTINGS)
    assert state(net) == before and net.history is history
    expected = Network((3, 4, 1), seed=1).fit(*samples, epochs=2).fit(*samples, epochs=1, resume=resume)
    assert net.fit(*samples, epochs=1, resume=resume).parameters.tobytes() == expected.parameters.tobytes()
    with pytest.raises(ValueError, match=f"{where} holds nan"):
        net.fit(**arrays, optimizer="rprop", epochs=1, memory=SETTINGS["memory"])


@pytest.mark.parametrize("resume", [False, True])
def test_a_wrong_row_to_validate_with_leaves_the_network_as_before(resume, samples):
    """They are read first when an epoch has ended, which is forgotten."""
    (X, Y), wrong = samples, samples[1].copy()
    wrong[N - 3] = np.nan
    net = Network((3, 4, 1), seed=1).fit(X, Y, epochs=2, metrics=["mse"])
    before, history, table = state(net), net.history, net.history.table()
    for inputs, targets in ((X, Y), (data.rows(X), data.rows(Y))):
        with pytest.raises(ValueError, match=f"Y holds nan in row {N - 3}"):
            net.fit(inputs, targets, resume=resume, epochs=3, validation=(data.rows(X), data.rows(wrong)), batch_size=8,
                    memory=SETTINGS["memory"], metrics=["mse", "training_mse"])
        assert state(net) == before and net.history is history
        assert np.array_equal(history.table(), table, equal_nan=True)
    with pytest.raises(ValueError, match=f"Y holds nan in row {N - 3}"):
        net.fit(X, wrong, resume=resume, validation=0.2, **SETTINGS)
    assert state(net) == before and net.history is history


def test_what_is_not_looked_at_diverges(samples):
    X, Y = samples[0].copy(), samples[1]
    X[N - 3] = np.inf
    net = Network((3, 4, 1), seed=1)
    before = net.parameters.copy()
    with pytest.raises(DivergenceError):
        net.fit(X, Y, check_finite=False, **SETTINGS)
    assert np.array_equal(net.parameters, before)


def test_class_indices_are_looked_at_in_every_epoch(samples):
    """Kernels go where they say, also where nobody looks for NaN."""
    classes = np.zeros(N)

    def spoil(record):
        classes[N // 2] = 7

    net = Network((3, 4, 3), cost="cross_entropy", seed=1)
    with pytest.raises(ValueError, match=f"class index 7 in row {N // 2}, expected whole numbers from 0 to 2"):
        net.fit(samples[0], Dataset(classes), check_finite=False, callbacks=[spoil], **SETTINGS)
    assert 1 <= len(net.history) <= 2  # a group that was read ahead is trained on
    for wrong in (-1, 0.5, np.nan, 1e300):
        classes[:] = 0
        classes[5] = wrong
        with pytest.raises(ValueError, match="in row 5, expected whole numbers"):
            net.fit(samples[0], classes, check_finite=False, **SETTINGS)


def test_targets_out_of_range_are_named(samples):
    Y = np.zeros((N, 1))
    Y[N - 1] = 1.5
    net = Network((3, 4, 1), cost="binary_cross_entropy", seed=1)
    with pytest.raises(ValueError, match=r"Y holds 1.5, expected probabilities"):
        net.fit(samples[0], Y, **SETTINGS)
    for row in (0, N - 1):
        with pytest.raises(ValueError, match=f"holds -{row + 2} in row {row}, expected no negative weight"):
            net.fit(samples[0], np.zeros(N), sample_weight=np.where(np.arange(N) == row, -row - 2, 1), **SETTINGS)
    with pytest.raises(ValueError, match="sample_weight is 0 for every sample"):
        net.fit(samples[0], np.zeros(N), sample_weight=np.zeros(N), **SETTINGS)
    assert len(net.history) == 0


def test_a_file_that_is_cut_short_or_replaced(samples, tmp_path):
    X, Y = samples
    for opened in ("npy", "map"):
        path = tmp_path / f"{opened}.npy"
        np.save(path, X)

        def cut(record, path=path):
            os.truncate(path, 128 + 12 * (N - 9) + 5)

        given = data.npy(path) if opened == "npy" else np.load(path, mmap_mode="r")
        net = Network((3, 4, 1), seed=1)
        with pytest.raises(ValueError, match="has changed since it was opened|ends in the middle of rows"):
            net.fit(given, Y, callbacks=[cut], **SETTINGS)
        assert 1 <= len(net.history) <= 2 and np.isfinite(net.parameters).all()
    np.save(path, X)
    given = data.npy(path)
    np.save(path, X.reshape(-1, 6))  # the same size, another shape
    os.utime(path, (1, 1))
    with pytest.raises(ValueError, match="has changed since it was opened"):
        net.fit(given, Y, **SETTINGS)


def test_a_dataset_that_changes_its_shape(samples):
    X, Y = Dataset(samples[0]), samples[1]

    def shrink(record):
        X.array = X.array[: N // 2]

    net = Network((3, 4, 1), seed=1)
    with pytest.raises(ValueError, match=rf"X has shape \({N // 2}, 3\), but had \({N}, 3\)"):
        net.fit(X, Y, callbacks=[shrink], **SETTINGS)
    X = Dataset(samples[0])
    X.__class__ = type("Short", (Dataset,), {"__getitem__": lambda self, rows: self.array[rows][:-1]})
    with pytest.raises(ValueError, match="the data end early, or have changed"):
        net.fit(X, Y, **SETTINGS)


def test_parts_of_other_kinds(samples):
    X, Y = samples
    parts = [X[:100].astype("float64"), (X[100:] * 4).round().astype("int8")]
    expected = Network((3, 4, 1), seed=1).fit(np.concatenate(parts).astype("float32"), Y, **SETTINGS)
    net = Network((3, 4, 1), seed=1).fit(parts, Y, **SETTINGS)
    assert net.parameters.tobytes() == expected.parameters.tobytes()
    with pytest.raises(TypeError, match="dtype object"):
        net.fit([X[:10], X[10:].astype(object)], Y, **SETTINGS)


def test_one_row_and_none(samples):
    X, Y = samples
    one = Network((3, 4, 1), seed=1).fit(X[:1], Y[:1], epochs=2, memory="1MB")
    assert one.parameters.tobytes() == Network((3, 4, 1), seed=1).fit(X[:1], Y[:1], epochs=2).parameters.tobytes()
    assert np.isfinite(one.fit(X[:1], Y[:1], epochs=2, optimizer="lbfgs", memory=200).history.cost).all()
    with pytest.raises(ValueError, match="no rows"):
        one.fit(X[:0], Y[:0], memory="1MB")
    assert one.predict(data.rows(X[:0])).shape == (0, 1)


def test_sizes_that_no_machine_has(samples):
    """Nothing is allocated for them."""
    class Vast:
        dtype = np.dtype("f4")

        def __init__(self, *shape):
            self.shape = shape

        def __getitem__(self, rows):
            return np.zeros((rows.stop - rows.start, *self.shape[1:]))

    net = Network((3, 4, 1), seed=1)
    with pytest.raises(ValueError, match="the outputs of .* give out="):
        net.predict(data.rows(Vast(2**45, 3)))
    with pytest.raises(ValueError, match="too many blocks"):
        net.fit(Vast(2**45, 3), Vast(2**45), epochs=1, batch_size=8, memory=SETTINGS["memory"])
    for shape in ((-1, 3), ("a", 3), (2.0, 3), 7):
        vast = Vast(*shape) if isinstance(shape, tuple) else Vast()
        with pytest.raises(ValueError, match="has shape"):
            net.fit(vast, samples[1], epochs=1, memory="1MB")
    assert len(net.history) == 0


def test_what_a_read_raises_comes_out_of_the_fit(samples):
    X, Y = samples

    def fail(start):
        if start > N // 2:
            raise OSError("the disk is gone")

    net = Network((3, 4, 1), seed=1)
    before = state(net)
    for settings in (SETTINGS, {"optimizer": "lbfgs", "epochs": 2, "memory": SETTINGS["memory"]}):
        with pytest.raises(OSError, match="the disk is gone"):
            net.fit(Dataset(X, fail), Y, **settings)
        assert state(net) == before
    with pytest.raises(OSError, match="the disk is gone"):
        net.cost(Dataset(X, fail), Y, memory=SETTINGS["memory"])


@pytest.mark.parametrize("method", ["adam", "lbfgs"])
def test_ctrl_c_is_answered_while_a_read_hangs(method, samples, monkeypatch):
    """The thread that hangs is left behind, with a warning, once the end has waited; it ends with its read."""
    X, Y = samples
    go_on, hangs = threading.Event(), threading.Event()
    monkeypatch.setattr(reader, "END_SECONDS", 0.05)

    def hang(start):
        if start > N // 2:
            hangs.set()
            go_on.wait(20)

    def interrupt():
        hangs.wait(20)
        time.sleep(0.05)
        _thread.interrupt_main()

    net, helper = Network((3, 4, 1), seed=1), threading.Thread(target=interrupt)
    helper.start()
    try:
        with pytest.raises(KeyboardInterrupt), pytest.warns(RuntimeWarning, match="a read has not come back"):
            net.fit(Dataset(X, hang), Y, optimizer=method, epochs=5, memory=SETTINGS["memory"],
                    **({"batch_size": 8} if method == "adam" else {}))
    finally:
        go_on.set()
        helper.join()
    for _ in range(100):
        if not [thread for thread in threading.enumerate() if thread.name == "fastbp reader"]:
            break
        time.sleep(0.01)
    assert np.isfinite(net.parameters).all()
    net.fit(X, Y, epochs=1, optimizer=Adam())  # the network is free again


def test_the_reader_ends_with_the_fit_and_reads_ahead(samples):
    X, Y = samples
    read = []
    given, seen = Dataset(X, read.append), []
    net = Network((3, 4, 1), seed=1)
    net.fit(given, Y, callbacks=[lambda record: seen.append(threading.active_count())], **SETTINGS)
    assert min(seen) >= threading.active_count()
    count = len(read)
    time.sleep(0.05)
    assert len(read) == count
    with pytest.raises(ZeroDivisionError):
        net.fit(given, Y, callbacks=[lambda record: 1 // 0], **SETTINGS)
    assert len(net.history) == 1
