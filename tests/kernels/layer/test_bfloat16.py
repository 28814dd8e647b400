"""Products with operands in bfloat16 against the naive twin, at sizes around every edge of lanes, pairs and tiles."""

import numpy as np
import pytest
from helpers import CANARY, Bench, close, few, from_panel, needs_bfloat16, readonly, to_panel
from naive import rounded

from fastbp.kernels import layout
from fastbp.kernels.layer import bfloat16
from fastbp.kernels.layout import NO_STRUCTURE

pytestmark = needs_bfloat16

LANE = layout.lanes("float32")
WIDTHS = few([(1, 1), (1, 9), (9, 1), (3, 4), (8, 5), (12, 13), (17, 16), (33, 31), (65, 70)],
             [(1, 1), (3, 4), (5, 8), (9, 13)])
"""(n_in, n_out)."""

SHARES = [(0, 1), (0, 3), (1, 4), (2, 2)]
"""(first, last) strips."""


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def scratch(n_in, n_out, strips):
    return bfloat16.scratch_size(max(n_in, n_out), strips)


def transposed_size(n, strips):
    """Vectors of neurons, one vector apart more than there are pairs of samples."""
    return -(-n // LANE) * (strips * (LANE // 2) + 1) * LANE


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("n_in", "n_out"), WIDTHS)
def test_forward(n_in, n_out, bias, rng):
    for first, last in SHARES:
        samples = last * LANE
        W, b, out = normal(rng, n_out, n_in), normal(rng, n_out), normal(rng, samples, n_in)
        parameters = np.concatenate([np.full(3, CANARY, np.float32), W.ravel(), b])
        bench = Bench("float32", source=n_in * samples, target=n_out * samples, scratch=scratch(n_in, n_out, last))
        bench["source"][:] = to_panel(out)
        bfloat16.forward(parameters, 3, 3 + W.size if bias else -1, bench.array, bench.at("source"), bench.at("target"),
                         n_in, n_out, first, last, bench.at("scratch"))
        bench.assert_canaries()
        assert (bench["source"] == to_panel(out)).all()
        found = from_panel(bench["target"], samples, n_out)
        net = rounded(out) @ rounded(W).T + (b if bias else 0)
        close(found[first * LANE :], net[first * LANE :], "float32")
        assert (found[: first * LANE] == CANARY).all(), "strips of another thread"


@pytest.mark.parametrize(("n_in", "n_out"), WIDTHS)
def test_backward(n_in, n_out, rng):
    for first, last in SHARES:
        samples = last * LANE
        W, delta, slope = normal(rng, n_out, n_in), normal(rng, samples, n_out), normal(rng, samples, n_in)
        parameters = np.concatenate([np.full(3, CANARY, np.float32), W.ravel()])
        bench = Bench("float32", source=n_out * samples, target=n_in * samples, scratch=scratch(n_in, n_out, last))
        bench["source"][:], bench["target"][:] = to_panel(delta), to_panel(slope)
        bfloat16.backward(parameters, 3, bench.array, bench.at("source"), bench.at("target"), n_in, n_out, first, last,
                          bench.at("scratch"))
        bench.assert_canaries()
        assert (bench["source"] == to_panel(delta)).all(), "δ of biases is not rounded"
        expected = slope.astype(float)
        expected[first * LANE :] *= (rounded(delta) @ rounded(W))[first * LANE :]
        close(from_panel(bench["target"], samples, n_in), expected, "float32")


@pytest.mark.parametrize(("n_in", "n_out"), WIDTHS)
def test_gradient(n_in, n_out, rng):
    for strips in (1, 2, 3):
        samples = strips * LANE
        delta, out = normal(rng, samples, n_out), normal(rng, samples, n_in)
        bench = Bench("float32", delta=n_out * samples, out=n_in * samples, transposed=transposed_size(n_in, strips),
                      scratch=scratch(n_in, n_out, strips))
        bench["delta"][:], bench["out"][:] = to_panel(delta), to_panel(out)
        for first, last in ((0, 1), (1, strips)):
            bfloat16.transpose_panel(bench.array, bench.at("out"), bench.at("transposed"), n_in, strips, first, last)
        expected = rounded(delta).T @ rounded(out)
        for j0, j1, accumulate in ((0, n_out, 0), (0, n_out, 1), (n_out // 3, n_out // 2, 1)):
            before = normal(rng, 4 + n_out * n_in + 4)
            found = before.copy()
            bfloat16.gradient(bench.array, bench.at("delta"), bench.at("transposed"), n_in, n_out, strips, j0, j1,
                              found, 4, accumulate, bench.at("scratch"), readonly(np.empty(0, np.float32)),
                              np.empty(0, np.int64), 0, 0, strips, np.empty(0, np.float32), -1)
            bench.assert_canaries()
            rows = slice(4 + j0 * n_in, 4 + j1 * n_in)
            close(found[rows], expected[j0:j1].ravel() + accumulate * before[rows], "float32")
            found[rows] = before[rows]
            assert (found == before).all(), "rows of other neurons"


def test_samples_are_gathered_with_their_copy(rng):
    for n in (1, 8, 9, 17, 2 * LANE + 1):
        rows, order, end = readonly(normal(rng, 50, n).reshape(-1)), rng.permutation(50), 2 * LANE - 3
        bench = Bench("float32", target=2 * n * LANE, transposed=transposed_size(n, 2), wanted=transposed_size(n, 2))
        bench["transposed"][:] = bench["wanted"][:] = 0
        bfloat16.gather(rows, NO_STRUCTURE, order, 0, end, n, bench.array, bench.at("target"), bench.at("transposed"),
                        2, 0, 2)
        bench.assert_canaries()
        picked = rows.reshape(50, n)[order[[*range(end), *[end - 1] * 3]]]
        assert (from_panel(bench["target"], 2 * LANE, n) == picked).all()
        bfloat16.transpose_panel(bench.array, bench.at("target"), bench.at("wanted"), n, 2, 0, 2)
        pairs = bench["transposed"].view(np.uint16).astype(np.uint32) << np.uint32(16)
        vectors = pairs.view(np.float32).reshape(-(-n // LANE), -1, LANE, 2)[:, :LANE]  # the last of each is free
        found = vectors.transpose(1, 3, 0, 2).reshape(2 * LANE, -1)[:, :n]
        assert (found == rounded(picked)).all()


def test_shares_of_neurons_and_strips_have_the_bits_of_the_whole(rng):
    n_in, n_out, strips = 13, 21, 5
    samples = strips * LANE
    bench = Bench("float32", delta=n_out * samples, out=n_in * samples, transposed=transposed_size(n_in, strips),
                  whole=n_out * samples, parts=n_out * samples, back=n_in * samples, backs=n_in * samples,
                  scratch=scratch(n_in, n_out, strips))
    for name in ("delta", "out", "back"):
        bench[name][:] = rng.normal(size=bench[name].size)
    bench["backs"][:] = bench["back"]
    parameters, at, gradients = normal(rng, n_out * n_in), bench.at, []
    for parts in ([(0, strips)], [(0, 1), (1, 2), (2, strips)]):
        name, back = ("whole", "back") if len(parts) == 1 else ("parts", "backs")
        for first, last in parts:
            bfloat16.forward(parameters, 0, -1, bench.array, at("out"), at(name), n_in, n_out, first, last,
                             at("scratch"))
            bfloat16.backward(parameters, 0, bench.array, at("delta"), at(back), n_in, n_out, first, last,
                              at("scratch"))
            bfloat16.transpose_panel(bench.array, at("out"), at("transposed"), n_in, strips, first, last)
        gradients.append(np.zeros(n_out * n_in, np.float32))
        for j0, j1 in [(0, n_out)] if len(parts) == 1 else [(0, 5), (5, 6), (6, n_out)]:
            bfloat16.gradient(bench.array, at("delta"), at("transposed"), n_in, n_out, strips, j0, j1, gradients[-1], 0,
                              0, at("scratch"), readonly(np.empty(0, np.float32)), np.empty(0, np.int64), 0, 0, strips,
                              np.empty(0, np.float32), -1)
    assert (bench["whole"] == bench["parts"]).all() and (bench["back"] == bench["backs"]).all()
    assert (gradients[0] == gradients[1]).all()
