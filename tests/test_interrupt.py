"""Ctrl-C during a long fit, in a process of its own."""

import json

import pytest

from fastbp.kernels._jit import JIT

SCRIPT = """
import json, os, signal, sys, threading, time
import numpy as np
from fastbp import Network, SGD
from fastbp.kernels import codes
import fastbp.training as training

sizes, n, batch, threads, after = {sizes}, {n}, {batch}, {threads}, {after}
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(n, sizes[0])).astype("float32"), rng.normal(size=(n, sizes[-1])).astype("float32")
settings = dict(batch_size=batch, optimizer=SGD(1e-3), threads=threads, validation={validation})
Network(sizes, seed=1).fit(X[:batch], Y[:batch], epochs=1, batch_size=batch, optimizer=SGD(1e-3))  # compiles

learners = []
real = training.layout.Learner
def keep(*arguments, **named):
    learners.append(real(*arguments, **named))
    return learners[-1]
training.layout.Learner = keep

net, sent = Network(sizes, seed=1), []
def interrupt():
    time.sleep(after)
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
timer = threading.Thread(target=interrupt)
timer.start()
try:
    net.fit(X, Y, epochs=10**9, **settings)
    raise SystemExit("not interrupted")
except KeyboardInterrupt:
    answered = time.perf_counter() - sent[0]
timer.join()
training.layout.Learner = real
progress = learners[0].progress
updates, history = int(progress[codes.UPDATES]), len(net.history)

# the same number of updates, counted: whole epochs, then the first batches of the next in its own order
again = Network(sizes, seed=1)
kept = n - round(n * settings["validation"]) if settings["validation"] else n
an_epoch = -(-kept // batch)
key = int(again.copy().generator.integers(2**63 - 1))
whole, rest = divmod(updates, an_epoch)
settings["validation"] = None
if whole:
    again.fit(X[:kept], Y[:kept], epochs=whole, **settings)
if rest:
    from fastbp.kernels.random import shuffle
    order = np.empty(kept, np.int64)
    shuffle(order, key, whole)
    rows = order[: rest * batch]
    again.fit(X[rows], Y[rows], epochs=1, shuffle=False, **settings)
print(json.dumps(dict(answered=answered, same=bool((again.parameters == net.parameters).all()), updates=updates,
                      epochs=whole, history=history, finite=bool(np.isfinite(net.history.cost).all()),
                      epoch=net.history.epoch.tolist()[-1:])))
net.fit(X, Y, epochs=1, resume=True, **settings)
assert net.history.epoch[-1] == history + 1
"""

CASES = {
    "small": dict(sizes=(8, 16, 2), n=5_000, batch=32, threads=1, validation=None),
    "online": dict(sizes=(8, 16, 2), n=5_000, batch=1, threads=1, validation=None),
    "two threads": dict(sizes=(64, 256, 256, 6), n=20_000, batch=256, threads=2, validation=None),
    "validation": dict(sizes=(8, 16, 2), n=5_000, batch=32, threads=1, validation=0.2),
    "an epoch of seconds": dict(sizes=(256, 512, 512, 8), n=20_000, batch=512, threads=1, validation=None),
}
if not JIT:
    CASES = {"plain": dict(sizes=(2, 2, 1), n=12, batch=4, threads=1, validation=None)}


@pytest.mark.parametrize("case", CASES)
def test_ctrl_c(case, run_python):
    """Answered within 0.3 s, after a whole number of updates, with the record of all whole epochs.

    The 0.3 s are a promise of the interface, not a measure of speed: calls of the kernel last 0.04 s.
    """
    script = SCRIPT
    settings = dict(after=0.6) | CASES[case]
    for name, value in settings.items():
        script = script.replace("{" + name + "}", repr(value))
    found = json.loads(run_python(script, environment={"PYTHONWARNINGS": None}))
    assert found["same"], found
    assert found["updates"] > 0 and found["finite"]
    assert found["history"] == found["epochs"], found
    assert found["epoch"] == ([found["history"]] if found["history"] else [])
    assert found["answered"] < 0.3 or not JIT, found
