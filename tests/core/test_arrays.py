"""What a user may pass: every kind of array gives the same result, and none is changed or needlessly copied."""

import tracemalloc

import numpy as np
import pytest

from fastbp import Network
from fastbp.kernels.compile import JIT

BASE_X = np.random.default_rng(3).integers(-4, 5, (30, 3))
BASE_Y = np.random.default_rng(4).integers(0, 2, (30, 2))


def strided(a):
    wide = np.zeros((60, a.shape[1] * 3))
    wide[::2, ::3] = a
    return wide[::2, ::3]


def readonly(a):
    a = a.astype("float32")
    a.flags.writeable = False
    return a


def misaligned(a):
    raw = np.zeros(a.size * 8 + 1, np.uint8)[1:]
    view = raw.view("float64").reshape(a.shape)
    view[:] = a
    assert not view.flags.aligned
    return view


KINDS = {
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(map(tuple, a.tolist())),
    "float32": lambda a: a.astype("float32"),
    "float64": lambda a: a.astype("float64"),
    "float16": lambda a: a.astype("float16"),
    "longdouble": lambda a: a.astype("longdouble"),
    "int64": lambda a: a.astype("int64"),
    "int8": lambda a: a.astype("int8"),
    "big-endian": lambda a: a.astype(">f8"),
    "big-endian float32": lambda a: a.astype(">f4"),
    "F-ordered": lambda a: np.asfortranarray(a, "float32"),
    "strided": strided,
    "reversed": lambda a: a[::-1].astype("float32")[::-1],
    "read-only": readonly,
    "misaligned": misaligned,
    "objects": lambda a: a.astype(object),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_result_and_unchanged(kind, dtype):
    X, Y, w = KINDS[kind](BASE_X), KINDS[kind](BASE_Y), KINDS[kind](BASE_Y + 1)
    w = [row[0] for row in w] if isinstance(w, (list, tuple)) else w[:, 0]
    before = repr(X), repr(Y), repr(w)
    net, reference = (Network((3, 5, 2), dtype=dtype, seed=1) for _ in range(2))
    plain = [a.astype(dtype) for a in (BASE_X, BASE_Y, BASE_Y[:, 0] + 1)]
    reference.fit(plain[0], plain[1], epochs=2, batch_size=7, sample_weight=plain[2])
    net.fit(X, Y, epochs=2, batch_size=7, sample_weight=w)
    assert (net.parameters == reference.parameters).all()
    assert (net.predict(X) == reference.predict(plain[0])).all()
    assert (net.predict(X[3]) == reference.predict(plain[0][3])).all()
    assert net.cost(X, Y, w) == reference.cost(*plain)
    assert (repr(X), repr(Y), repr(w)) == before


def test_bool():
    X, Y = BASE_X > 0, BASE_Y > 0
    net = Network((3, 5, 2), cost="binary_cross_entropy", seed=1).fit(X, Y, epochs=2)
    assert (net.parameters == Network((3, 5, 2), cost="binary_cross_entropy", seed=1)
            .fit(X * 1.0, Y * 1.0, epochs=2).parameters).all()


def test_pandas():
    pandas = pytest.importorskip("pandas")
    X, Y = pandas.DataFrame(BASE_X, columns=list("abc")), pandas.DataFrame(BASE_Y)
    X["b"] = X["b"].astype("float32")
    before = X.copy(), Y.copy()
    weights = pandas.Series(np.arange(1, 31), index=range(100, 130))
    net = Network((3, 5, 2), seed=1).fit(X, Y, epochs=2, sample_weight=weights)
    same = Network((3, 5, 2), seed=1).fit(BASE_X, BASE_Y, epochs=2, sample_weight=np.arange(1, 31))
    assert (net.parameters == same.parameters).all()
    assert (net.predict(X) == net.predict(BASE_X)).all()
    assert X.equals(before[0]) and Y.equals(before[1])
    column = Network((3, 1), seed=1).fit(X, Y[0], epochs=1)
    assert (column.parameters == Network((3, 1), seed=1).fit(BASE_X, BASE_Y[:, 0], epochs=1).parameters).all()


@pytest.mark.parametrize("given", [BASE_X.astype("float32"), BASE_X.astype("float64")])
def test_writable_inputs_stay_writable_and_unchanged(given):
    X, Y = given.copy(), BASE_Y.astype(given.dtype)
    Network((3, 2), dtype=given.dtype).fit(X, Y, epochs=2)
    assert X.flags.writeable and (X == BASE_X).all() and (Y == BASE_Y).all()


def test_memmap(tmp_path):
    X = np.memmap(tmp_path / "x", "float32", "w+", shape=(30, 3))
    X[:] = BASE_X
    X.flush()
    for mode in ("r", "r+", "c"):
        mapped = np.memmap(tmp_path / "x", "float32", mode, shape=(30, 3))
        net = Network((3, 2), seed=1).fit(mapped, BASE_Y, epochs=2, batch_size=4)
        assert (net.parameters == Network((3, 2), seed=1).fit(BASE_X, BASE_Y, epochs=2, batch_size=4).parameters).all()
        assert (mapped == BASE_X).all()


@pytest.mark.skipif(not JIT, reason="plain kernels allocate, and are too slow for rows that would show")
@pytest.mark.parametrize("make", [lambda path: np.memmap(path, "float32", "r", shape=(300_000, 8)),
                                  lambda path: np.fromfile(path, "float32").reshape(300_000, 8)],
                         ids=["memmap", "array"])
def test_arrays_of_the_right_kind_are_not_copied(make, tmp_path):
    """Nothing of the size of X is allocated: a gather by index per mini-batch, not a copy."""
    rows, path = 300_000, tmp_path / "x"
    np.zeros((rows, 8), "float32").tofile(path)
    X, Y = make(path), np.zeros(rows, "float32")
    net = Network((8, 1))
    net.fit(X[:64], Y[:64], epochs=1)
    tracemalloc.start()
    net.fit(X, Y, epochs=1, batch_size=1000, shuffle=False)
    net.cost(X, Y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 4, peak


@pytest.mark.parametrize("shape", [(1, 3), (3,)])
def test_a_single_sample(shape):
    net = Network((3, 2), seed=1)
    X = np.ones(shape)
    net.fit(X, [1.0, 2.0], epochs=3, batch_size=100)
    other = Network((3, 2), seed=1).fit(np.ones((1, 3)), [[1.0, 2.0]], epochs=3, batch_size=1)
    assert (net.parameters == other.parameters).all()
    assert Network((1, 1)).fit([1.0], 2.0, epochs=1).predict([1.0]).shape == (1,)


def test_batch_size_beyond_the_set_is_the_whole_set():
    nets = [Network((3, 2), seed=1).fit(BASE_X, BASE_Y, epochs=3, batch_size=b) for b in (30, 31, 10**12)]
    assert (nets[0].parameters == nets[1].parameters).all() and (nets[0].parameters == nets[2].parameters).all()


def test_targets_of_one_output_may_be_flat():
    flat = Network((3, 1), seed=1).fit(BASE_X, BASE_Y[:, 0], epochs=2)
    column = Network((3, 1), seed=1).fit(BASE_X, BASE_Y[:, :1], epochs=2)
    assert (flat.parameters == column.parameters).all()
