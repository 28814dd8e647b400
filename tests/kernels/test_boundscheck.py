"""Every array index of the kernels is checked once: NUMBA_BOUNDSCHECK=1, in a process of its own.

Reads and writes of the vector tiles go by pointers, which this does not see: `test_backprop` puts canaries around them.
All of it is compiled anew, which takes longer than it runs: in float32 alone. Of the dtype an index knows no more than
how many lanes it has, and NumPy checks those of 2 and 4 in the run with the JIT off.
"""

import pytest

from fastbp.kernels.compile import JIT

SCRIPT = """
import numpy as np
from numba import config, njit
from fastbp import SGD, Adam, Network, Regularization
from fastbp.kernels import layout
assert config.BOUNDSCHECK == 1

@njit
def beyond(array, i):
    return array[i]
try:
    beyond(np.zeros(3), 3)
except IndexError:
    pass
else:
    raise SystemExit("nothing is checked")

rng = np.random.default_rng(0)
dtype = "float32"
def data(n, n_in, n_out):
    return rng.normal(size=(n, n_in)), rng.dirichlet(np.ones(n_out) + (n_out == 1), n)

for sizes, hidden, output, cost in (((1, 1), "tanh", None, "squared_error"),
                                    ((3, 17, 5), "gelu", None, "cross_entropy"),
                                    ((3, 9, 4), "relu", "softmax", "huber")):
    for bias in (True, False):
        net = Network(sizes, hidden, output, cost, bias=bias, dtype=dtype, seed=0)
        for n, batch, threads, method in ((1, 1, 1, SGD(0.01)), (7, 1, 1, Adam()), (40, 7, 3, Adam()),
                                          (50, 50, 2, SGD(0.01, 0.9)), (33, 16, 1, SGD(0.01, 0.9, True))):
            X, Y = data(n, sizes[0], sizes[-1])
            net.fit(X, Y, epochs=2, batch_size=batch, threads=threads, optimizer=method, sample_weight=np.ones(n))
            net.predict(X), net.predict(X[0]), net.gradient(X, Y), net.trace(X, Y)
        if cost == "cross_entropy":
            net.fit(X, rng.integers(0, sizes[-1], n), epochs=2)

block = layout.block_samples
layout.block_samples = lambda sizes, dtype, *a, **k: 2 * layout.lanes(dtype)
for by_lanes in (True, False):
    for packed in (True, False):
        layout.sums_lanes, layout.packs = lambda *a: by_lanes, lambda *a: packed
        net = Network((5, 19, 3), dtype=dtype, seed=0)
        X, Y = data(101, 5, 3)
        net.fit(X, Y, epochs=2, batch_size=60, threads=2)
        net.gradient(X, Y)
net.fit(X, Y, epochs=2, batch_size=60, threads=2, regularization=Regularization(
    l2=0.1, max_norm=1.0, weight_decay=0.1, clip_norm=1.0, dropout=0.5, input_noise=0.1,
    trainable=np.arange(net.n_parameters) > 9))

from fastbp.encoders import Embedding, Identity, OneHot, Periodic, PiecewiseLinear
net = Network((3, 9, 2), dtype=dtype, seed=0, scaling=True, encoders=[
    Identity(0), Embedding(1, 4, 9), OneHot(1, 3), Periodic((0, 2), 5, 3), PiecewiseLinear(2, [-1, 0, 1])])
X, Y = data(45, 3, 2)
X[:, 1] = rng.integers(-1, 6, 45)
net.fit(X, Y, epochs=2, batch_size=20, threads=2)
net.fit(X, Y, epochs=1, batch_size=1, regularization=Regularization(clip_norm=1.0))
net.predict(X), net.predict(X[0]), net.jacobian(X), net.input_gradient(X, Y)
print("passed")
"""


@pytest.mark.skipif(not JIT, reason="NumPy checks every index when nothing is compiled")
def test_every_index_is_inside(run_python):
    assert "passed" in run_python(SCRIPT, environment={"NUMBA_BOUNDSCHECK": "1"}, timeout=200)
