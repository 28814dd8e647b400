"""Fits on a Dask cluster: `make engines`; by hand: pip install -e '.[dask]' pandas."""

import os
import re
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import compiled_only

import fastbp
import fastbp.dask
from fastbp import Network
from fastbp.core.shards import Team
from fastbp.dask import parts, training, wire
from fastbp.kernels.compile import multiplies_bfloat16
from fastbp.training.fit import fit as fit_alone

pytestmark = [compiled_only, pytest.mark.skipif(find_spec("distributed") is None or find_spec("pandas") is None,
                                                reason="needs pip install fastbp[dask] pandas")]

CHUNKS = (300, 1, 0, 250, 250, 200)  # one is empty, one has a row


@pytest.fixture(scope="module")
def data():
    X = np.random.default_rng(0).normal(size=(1001, 3)).astype("float32")
    return X, np.sin(X[:, :1] * X[:, 1:2])


@pytest.fixture(scope="module", params=[3])
def client(request):
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=request.param, threads_per_worker=1, processes=False, dashboard_address=":0") as found:
        with Client(found) as client:
            yield client


def collections(X, Y, chunks=CHUNKS):
    import dask.array as da

    return da.from_array(X, chunks=(chunks, X.shape[1])), da.from_array(Y, chunks=(chunks, *Y.shape[1:]))


def expected(X, Y, method, weights=None, missing=None, batch_size=None):
    """The same partitions in one process."""
    net, cuts = Network((3, 6, 1), seed=2), np.cumsum([0, *CHUNKS, 0, 0])
    fit_alone(net, X, Y, weights, None, method, False, epochs=4, batch_size=batch_size, callbacks=(), bar=False,
              shuffle=True, threads=1, profile=False, regularization=None, jacobian=(None, 1.0), metrics=None,
              missing=missing, team=Team(count=8, owners=(0,) * 8, cuts=tuple(map(int, cuts))))
    return net


@pytest.mark.parametrize("method, batch_size", [("lbfgs", None), ("levenbergmarquardt", None), ("adam", 100)])
def test_bits_do_not_depend_on_workers(client, data, method, batch_size):
    import dask.array as da

    alone, given = expected(*data, method, batch_size=batch_size), {"optimizer": method, "batch_size": batch_size}
    workers = sorted(client.nthreads())
    for some in (workers[:1], workers[:2], workers):
        x, y = collections(*data)
        x, y = client.persist([x, y], workers=some)
        net = fastbp.dask.fit(Network((3, 6, 1), seed=2), x, y, epochs=4, **given)
        assert net.parameters.tobytes() == alone.parameters.tobytes()
        assert net.history.cost.tobytes() == alone.history.cost.tobytes()
    net = fastbp.dask.fit(Network((3, 6, 1), seed=2), *collections(*data), epochs=2, client=client, **given)
    net = fastbp.dask.fit(net, *collections(*data), epochs=2, resume=True, batch_size=batch_size)
    assert net.parameters.tobytes() == alone.parameters.tobytes() and len(net.history) == 4
    weights = np.linspace(0, 1, 1001)
    weighted = expected(*data, method, weights, batch_size=batch_size)
    net = fastbp.dask.fit(Network((3, 6, 1), seed=2), *collections(*data), epochs=4,
                          sample_weight=da.from_array(weights, chunks=(CHUNKS,)), **given)
    assert net.parameters.tobytes() == weighted.parameters.tobytes() != alone.parameters.tobytes()
    if method == "lbfgs":
        holes = np.where(np.arange(1001)[:, None] % 2 == 0, np.nan, data[1])
        holes[301:551] = np.nan  # a partition
        net = fastbp.dask.fit(Network((3, 6, 1), seed=2), *collections(data[0], holes), epochs=4, missing="ignore")
        assert net.parameters.tobytes() == expected(data[0], holes, method, missing="ignore").parameters.tobytes()


def test_frames_and_predictions(client, data):
    import dask.dataframe as dd
    import pandas as pd

    X, Y = data
    x, y = collections(X, Y)
    frame = pd.DataFrame(X, columns=list("abc")).assign(y=Y[:, 0])
    parts = [frame[:300], frame[300:300], frame[300:]]
    net = Network((3, 6, 1), seed=2)
    both = dd.concat([dd.from_pandas(part, npartitions=1) for part in parts])
    fastbp.dask.fit(net, both[list("abc")], both["y"], epochs=3, optimizer="rprop")
    assert len(net.history) == 3 and net.history.cost[-1] < net.history.cost[0]
    assert np.array_equal(fastbp.dask.predict(net, x).compute(), net.predict(X))
    assert np.array_equal(fastbp.dask.predict(net, both[list("abc")]).compute(), net.predict(X))
    turned = dd.from_map(lambda i: parts[0][list("abc" if i == 0 else "bac")], [0, 1], meta=parts[0][list("abc")])
    with pytest.raises(ValueError, match="partition 1 of X has columns"):
        fastbp.dask.fit(net, turned, dd.from_map(lambda i: parts[0]["y"], [0, 1], meta=parts[0]["y"]))


def test_what_does_not_fit_is_said_and_changes_nothing(client, data):
    import dask.array as da

    X, Y = data
    x, y = collections(X, Y)
    net = Network((3, 6, 1), seed=2)
    before = net.parameters.copy()
    bad = X.copy()
    bad[-1] = np.nan

    def raises(record):
        raise ZeroDivisionError("mine")

    unknown = y[da.from_array(np.arange(1001) > 0, chunks=(CHUNKS,))]
    cases = [(X, y, {}, TypeError, "X is of type ndarray, expected a Dask"),
             (x, da.from_array(Y, chunks=(500, 1))[:900], {}, ValueError, "y has 2 partitions, but X has 6"),
             (x, unknown, {}, ValueError, "has 299 rows, but that of X has 300"),
             (x.astype(str), y, {}, TypeError, "partition 0 of X has dtype"),
             (x[:, :2], y, {}, ValueError, "X has shape"),
             (x[:0], y[:0], {}, ValueError, "X has no rows"),
             (collections(bad, Y)[0], y, {}, ValueError, "X holds nan in row 1000"),
             (x, y, {"batch_size": 100}, ValueError, "batch_size is 100, but a full-batch method"),
             (x, y, {"optimizer": "adam", "memory": 1000}, ValueError, "memory is 1000 bytes, but an optimizer"),
             (x, y, {"callbacks": [raises]}, ZeroDivisionError, "mine"),
             (x, y, {"validation": 0.1}, ValueError, "validation is 0.1"),
             (x, y, {"client": 3}, TypeError, "client is of type int")]
    for one, other, settings, kind, said in cases:
        with pytest.raises(kind, match=said):
            fastbp.dask.fit(net, one, other, **{"epochs": 3} | settings)
        assert np.array_equal(net.parameters, before) and not net.history
    with pytest.raises(ValueError, match="X has shape"):
        fastbp.dask.predict(net, x[:, :2])
    with pytest.raises(TypeError, match="X is of type ndarray"):
        fastbp.dask.predict(net, X)
    mixed = da.concatenate([x[:500].astype("float64"), x[500:].astype("float32")])
    fastbp.dask.fit(net, mixed, y, epochs=1, validation=(X, Y), callbacks=[fastbp.EarlyStopping(3)],
                    metrics=["r2", "training_r2"])
    assert len(net.history.validation_cost) == 1
    for values in net.history.metrics.values():  # those of the training rows are means that all workers share
        assert values[0] == pytest.approx(net.score(X, Y), rel=1e-12)


def test_an_interrupt_closes_what_listens(client, data, monkeypatch):
    submit, listening = type(client).submit, []

    def interrupted(self, function, *given, **settings):
        if function is training.train:
            listening.append(len(wire._open))
            raise KeyboardInterrupt
        return submit(self, function, *given, **settings)

    monkeypatch.setattr(type(client), "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fastbp.dask.fit(Network((3, 6, 1), seed=2), *collections(*data), epochs=1)
    assert listening == [1] and not wire._open


def test_a_scheduler_that_is_lost_is_said_whatever_dask_raises(client):
    from concurrent.futures import CancelledError

    lost = SimpleNamespace(status="connecting", nthreads=dict)
    smaller = SimpleNamespace(status="running", nthreads=iter([["tcp://a", "tcp://b"], ["tcp://b"]]).__next__)
    with pytest.raises(RuntimeError, match="worker tcp://a has died or left the cluster, and what it alone had"):
        with parts.connection(smaller):
            raise CancelledError
    for error in (CancelledError("2 futures"), OSError("closed"), TimeoutError()):
        with pytest.raises(RuntimeError, match="scheduler is lost; the network is as before"):
            with parts.connection(lost):
                raise error
    with pytest.raises(RuntimeError, match=r"tasks have been cancelled.*2 futures"):
        with parts.connection(client):
            raise CancelledError("2 futures")
    with pytest.raises(FileNotFoundError):  # of a callback
        with parts.connection(client):
            raise FileNotFoundError


def test_local_training_learns(client, data):
    x, y = collections(*data)
    net = Network((3, 16, 1), seed=2)
    before = net.cost(*data)
    fastbp.dask.fit(net, x, y, epochs=30, optimizer=fastbp.Adam(0.02), average_every=2, batch_size=20)
    assert len(net.history) == 30 and net.cost(*data) < 0.2 * before
    fastbp.dask.fit(net, x, y, epochs=2, average_every=2, resume=True)
    assert len(net.history) == 32
    kept = net.parameters.copy()
    for settings, said in [({"optimizer": "lbfgs"}, "LBFGS takes all samples"), ({"metrics": ["r2"]}, "average_every"),
                           ({"missing": "ignore"}, "average_every"), ({"missing": "drop"}, "missing is 'drop'"),
                           ({"average_every": 0}, "average_every"), ({"average_every": None}, "batch_size is 20")]:
        with pytest.raises(ValueError, match=said):
            fastbp.dask.fit(net, x, y, **{"average_every": 1, "batch_size": 20} | settings)
    assert np.array_equal(net.parameters, kept) and len(net.history) == 32


def test_two_fits_at_once_wait_for_each_other(client, data):
    found, nets = [], [Network((3, 6, 1), seed=2) for _ in range(3)]
    threads = [threading.Thread(target=lambda net=net: found.append(fastbp.dask.fit(
        net, *collections(*data), epochs=4, client=client)), daemon=True) for net in nets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 3 and len({net.parameters.tobytes() for net in nets}) == 1


def test_many_fits_have_the_bits_of_their_own(client, data):
    X, Y = data
    rng = np.random.default_rng(1)
    rows, epochs = [rng.integers(0, 1001, 60) for _ in range(50)], [1 + i % 3 for i in range(50)]
    here, there = [[Network((3, 4, 1), seed=i) for i in range(50)] for _ in range(2)]
    fastbp.fit_many(here, X, Y, rows=rows, epochs=epochs)
    assert fastbp.dask.fit_many(there, X, Y, rows=rows, epochs=epochs) == [None] * 50
    for one, other in zip(here, there, strict=True):
        assert one.parameters.tobytes() == other.parameters.tobytes() and len(one.history) == len(other.history)
    rows[41] = [5000]
    errors = fastbp.dask.fit_many(there, X, Y, rows=rows, epochs=1, on_error="keep")
    assert [i for i, error in enumerate(errors) if error is not None] == [41]
    assert errors[41].__notes__ == ["This concerns networks[41]."]
    with pytest.raises(ValueError, match="rows holds 5000"):
        fastbp.dask.fit_many(there, X, Y, rows=rows, epochs=1)
    for wrong, said in [({"X": collections(X, Y)[0]}, "X is a Dask collection"),
                        ({"networks": []}, "networks is empty"), ({"on_error": "ask"}, "on_error is 'ask'"),
                        ({"epochs": [1, 2]}, "epochs has 2 values"),
                        ({"rows": [rows[0]]}, "rows has 1 values")]:
        with pytest.raises((TypeError, ValueError), match=said):
            fastbp.dask.fit_many(**{"networks": there, "X": X, "Y": Y} | wrong)


def test_settings_of_each_network_reach_it(client, data):
    X, rng = data[0], np.random.default_rng(1)
    Y = np.where(rng.random((len(X), 2)) < 0.2, np.nan, rng.normal(size=(len(X), 2)))
    here, there = [[Network((3, 4, 2), seed=i) for i in range(3)] for _ in range(2)]
    settings = {"epochs": 2, "missing": "ignore", "precision": [None, "float32", "float32"],
                "sample_weight": [None, rng.random(len(X)), rng.random(Y.shape)]}
    if multiplies_bfloat16():
        settings["precision"][0] = "bfloat16"
    fastbp.fit_many(here, X, Y, **settings)
    fastbp.dask.fit_many(there, X, Y, **settings)
    assert all(one.parameters.tobytes() == other.parameters.tobytes() for one, other in zip(here, there, strict=True))
    with pytest.raises(ValueError, match="precision is 'float64', but the network is of float32"):
        fastbp.dask.fit_many(there, X, Y, missing="ignore", precision="float64")


def test_an_array_or_a_file_for_each_network(client, data, tmp_path):
    """And one file for all that is read by blocks, a stream, and what is no sequence of as many."""
    X, Y = data
    parts = [(X[: 40 + i], Y[: 40 + i]) for i in range(20)]
    for i, (x, _) in enumerate(parts):
        np.save(tmp_path / f"{i:02}.npy", x)
    np.save(tmp_path / "all.npy", X)
    of_each = [fastbp.data.npy(tmp_path / f"{i:02}.npy") for i in range(20)]
    whole = fastbp.data.npy(tmp_path / "all.npy")
    stream = fastbp.data.Stream(lambda: [(X[:500], Y[:500]), (X[500:], Y[500:])])
    targets = [y for _, y in parts]
    for inputs, outputs, memory in (([x for x, _ in parts], targets, None), (of_each, targets, None),
                                    (whole, Y, "9kB"), (stream, None, None), (X, [Y + i for i in range(20)], None)):
        here, there = [[Network((3, 4, 1), seed=i) for i in range(20)] for _ in range(2)]
        fastbp.fit_many(here, inputs, outputs, epochs=2, memory=memory)
        assert fastbp.dask.fit_many(there, inputs, outputs, epochs=2, memory=memory) == [None] * 20
        for one, other in zip(here, there, strict=True):
            assert one.parameters.tobytes() == other.parameters.tobytes() and len(other.history) == 2
    with pytest.raises(ValueError, match="X has 3 values"):
        fastbp.dask.fit_many(there, [X] * 3, Y)


def test_functions_that_workers_lack_are_refused_before_anything_is_sent(client, data, monkeypatch):
    def steep(y, o):
        return (o - y) ** 4

    net = Network((3, 4, 1), cost=steep, seed=0)
    with monkeypatch.context() as patched:
        patched.setattr(type(client), "scatter", None)
        with pytest.raises(ValueError, match="cost <steep> was given to the network as a function, which"):
            fastbp.dask.fit_many([net, Network((3, 4, 1))], *data, on_error="keep")
        patched.setattr(training, "placed", None)
        with pytest.raises(ValueError, match="cost <steep> was given to the network as a function, which"):
            fastbp.dask.fit(net, *collections(*data))
    fastbp.register_cost(steep, name="steep")
    known = Network((3, 4, 1), cost="steep", seed=0)
    fastbp.dask.fit_many([known], *data, epochs=2)  # these workers are threads of this process
    net.fit(*data, epochs=2)
    assert known.parameters.tobytes() == net.parameters.tobytes()
    monkeypatch.setattr(parts, "_missing", lacks)
    with pytest.raises(ValueError, match="worker inproc://.*: there is no cost 'steep'"):
        fastbp.dask.fit_many([known], *data, epochs=2)


def lacks(given):
    """What a worker in another process says."""
    return "there is no cost 'steep' in this process"


KILLED = """
import os, signal, sys
import dask, numpy as np, dask.array as da
from distributed import Client, LocalCluster
import fastbp, fastbp.dask

if __name__ == "__main__":
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1 day"})  # a machine that is slow restarts them later
    X = np.random.default_rng(0).normal(size=(4000, 3)).astype("float32")
    x, y = da.from_array(X, chunks=(1000, 3)), da.from_array(np.sin(X[:, :1]), chunks=(1000, 1))
    with LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        net = fastbp.dask.fit(fastbp.Network((3, 6, 1), seed=0), x, y, epochs=2)
        for rank in map(int, sys.argv[1:]):  # nobody waits for new workers: Dask gives them up on a busy machine
            workers = sorted(client.nthreads())
            pid = client.run(os.getpid, workers=[workers[rank]])[workers[rank]]
            before = net.copy()
            def kill(record, pid=pid):
                if record.epoch == 20:
                    os.kill(pid, signal.SIGKILL)
            try:
                fastbp.dask.fit(net, x, y, epochs=10**9, optimizer="rprop", callbacks=[kill])
            except RuntimeError as error:
                done = len(net.history)
                fastbp.dask.fit(before, x, y, epochs=done, optimizer="rprop")  # by those that are left
                same = np.array_equal(net.parameters, before.parameters)
                same &= f"as after epoch {done}:" in str(error) and net.history.cost[-1] == before.history.cost[-1]
                fastbp.dask.fit(net, x, y, epochs=1, resume=True)
                same &= len(net.history) == done + 1
                print(same, error, flush=True)
        print(len(fastbp.dask.fit(net, x, y, epochs=2).history), flush=True)
        submit, killed = Client.submit, []
        def submit_and_kill(self, *given, **settings):
            if not killed:  # the one that has the arrays, before another one has fetched them
                killed.append(min(self.nthreads()))
                os.kill(self.run(os.getpid, workers=killed)[killed[0]], signal.SIGKILL)
            return submit(self, *given, **settings)
        Client.submit = submit_and_kill
        here, there = [[fastbp.Network((3, 6, 1), seed=i) for i in range(20)] for _ in range(2)]
        errors = fastbp.dask.fit_many(there, X, X[:, :1], epochs=1)
        fastbp.fit_many(here, X, X[:, :1], epochs=1)
        print(set(errors), all(np.array_equal(a.parameters, b.parameters) for a, b in zip(here, there)), flush=True)
"""


def run(arguments, folder):
    environment = os.environ | {"PYTHONPATH": str(Path(fastbp.__file__).parents[1])}
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, env=environment,
                          timeout=600)  # a hang, not a busy machine


def test_a_worker_that_is_killed_ends_the_fit_and_many_go_on(tmp_path):
    (tmp_path / "script.py").write_text(KILLED)
    done = run(["script.py", "0", "1"], tmp_path)
    *killed, again, many = done.stdout.splitlines()
    assert len(killed) == 2 and again == "2" and many == "{None} True", done.stderr
    for line in killed:
        kept, said = line.split(maxsplit=1)
        assert kept == "True"
        assert re.match(r"worker tcp://\S+ has died.* the network is as after epoch 20: fit again", said), said


def test_the_example_runs(tmp_path):
    done = run([Path(__file__).resolve().parents[1] / "examples/cluster.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert float(re.search(r"mean error of predictions: (\S+)", done.stdout)[1]) < 0.3
