"""The per-neuron loops against the naive twin, at sizes around every edge of lanes and tiles, amid canaries."""

import numpy as np
import pytest
from helpers import CANARY, DTYPES, Bench, close, few, from_panel, readonly, to_panel

from fastbp.kernels import layout
from fastbp.kernels.ir import WHOLE
from fastbp.kernels.ir.tiles import ROW_STRIPS
from fastbp.kernels.layer import dense, gather
from fastbp.kernels.layout import NO_STRUCTURE

WIDTHS = few([(1, 1), (1, 9), (9, 1), (3, 4), (4, 3), (5, 7), (7, 8), (8, 5), (11, 6), (12, 13), (16, 12), (17, 16),
              (33, 31)],
             [(1, 1), (3, 4), (5, 8), (9, 13)])
"""(n_in, n_out): below, at and above 1, 4, 6 and 8 rows, and vectors of 2, 4, 8 and 16 lanes."""

STRIPS = [(0, 1), (0, 2), (0, 3), (1, 4), (2, 2)]
"""(first, last): one strip, a pair, a pair and a single, a share that begins later, an empty share."""

NOTHING_AHEAD = {dtype: (readonly(np.empty(0, dtype)), np.empty(0, np.int64), 0, 0) for dtype in DTYPES}
"""No rows to ask for ahead: (rows, order, ahead, ahead_end)."""

NOTHING_OWNED = {dtype: (np.empty(0, dtype), -1) for dtype in DTYPES}
"""No weights to ask for: (parameters, owned)."""


def across_size(n, samples, lane):
    """Numbers in a panel with neurons in lanes: vectors of neurons, one sample apart more than there are."""
    return -(-n // lane) * lane * (samples + 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("n_in", "n_out"), WIDTHS)
def test_forward(n_in, n_out, bias, dtype, rng):
    lane = layout.lanes(dtype)
    for first, last in STRIPS:
        samples = last * lane
        W, b = rng.normal(size=(n_out, n_in)).astype(dtype), rng.normal(size=n_out).astype(dtype)
        O = rng.normal(size=(samples, n_in)).astype(dtype)  # noqa: E741
        parameters = np.concatenate([np.full(3, CANARY, dtype), W.ravel(), b])
        before = parameters.copy()
        bench = Bench(dtype, source=n_in * samples, target=n_out * samples)
        bench["source"][:] = to_panel(O)
        dense.forward(parameters, 3, 3 + W.size if bias else -1, bench.array, bench.at("source"), bench.at("target"),
                      n_in, n_out, first, last, -1)
        bench.assert_canaries()
        assert (parameters == before).all() and (bench["source"] == to_panel(O)).all()
        net = np.stack([O.astype(float) @ W[j] + (b[j] if bias else 0) for j in range(n_out)], axis=1)
        found = from_panel(bench["target"], samples, n_out)
        close(found[first * lane :], net[first * lane :], dtype)
        assert (found[: first * lane] == CANARY).all(), "strips of another thread"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
def test_the_strips_of_one_neuron_have_the_bits_of_each_alone(bias, dtype, rng):
    """It has a tile of its own, of many strips, the last one repeated where there are fewer."""
    lane, n_in = layout.lanes(dtype), 11
    for strips in (3, ROW_STRIPS, ROW_STRIPS + 1, 2 * ROW_STRIPS + 3):
        samples = strips * lane
        parameters = rng.normal(size=n_in + 1).astype(dtype)
        bench = Bench(dtype, source=n_in * samples, together=samples, apart=samples)
        bench["source"][:] = rng.normal(size=n_in * samples)
        for target, shares in ("together", [(1, strips)]), ("apart", [(s, s + 1) for s in range(1, strips)]):
            for first, last in shares:
                dense.forward(parameters, 0, n_in if bias else -1, bench.array, bench.at("source"), bench.at(target),
                              n_in, 1, first, last, -1)
        bench.assert_canaries()
        assert (bench["together"] == bench["apart"]).all()
        assert (bench["together"][:lane] == CANARY).all() and not (bench["together"][lane:] == CANARY).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("backward", "packed"), [(dense.backward, False), (dense.backward_packed, False),
                                                  (dense.backward_packed, True)])
@pytest.mark.parametrize(("n_in", "n_out"), WIDTHS)
def test_backward(n_in, n_out, backward, packed, dtype, rng):
    lane = layout.lanes(dtype)
    for first, last in STRIPS:
        samples = last * lane
        W = rng.normal(size=(n_out, n_in)).astype(dtype)
        delta, slope = (rng.normal(size=(samples, n)).astype(dtype) for n in (n_out, n_in))
        parameters = np.concatenate([np.full(3, CANARY, dtype), W.ravel()])
        bench = Bench(dtype, source=n_out * samples, target=n_in * samples, scratch=-(-n_in // WHOLE) * WHOLE * n_out)
        bench["source"][:], bench["target"][:] = to_panel(delta), to_panel(slope)
        backward(parameters, 3, bench.array, bench.at("source"), bench.at("target"), n_in, n_out, first, last,
                 bench.at("scratch") if packed else -1)
        bench.assert_canaries()
        assert (bench["source"] == to_panel(delta)).all()
        expected = slope.astype(float)
        for k in range(n_in):
            expected[first * lane :, k] *= delta[first * lane :].astype(float) @ W[:, k]
        close(from_panel(bench["target"], samples, n_in), expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("path", ["broadcast", "packed", "by lanes"])
@pytest.mark.parametrize(("n_in", "n_out"), WIDTHS)
def test_gradient(n_in, n_out, path, dtype, rng):
    lane = layout.lanes(dtype)
    for strips in (1, 2, 3):
        samples = strips * lane
        delta, O = (rng.normal(size=(samples, n)).astype(dtype) for n in (n_out, n_in))  # noqa: E741
        bench = Bench(dtype, delta=n_out * samples, out=n_in * samples, across=across_size(n_in, samples, lane),
                      scratch=-(-n_out // WHOLE) * WHOLE * samples)
        bench["delta"][:], bench["out"][:] = to_panel(delta), to_panel(O)
        if path != "by lanes":
            dense.transpose_panel(bench.array, bench.at("out"), bench.at("across"), n_in, strips, 0, strips)
        expected = np.stack([delta[:, j].astype(float) @ O for j in range(n_out)])
        for j0, j1, accumulate in ((0, n_out, 0), (0, n_out, 1), (n_out // 2, n_out, 0), (n_out // 3, n_out // 2, 1)):
            slopes = rng.normal(size=4 + n_out * (n_in + 1) + 4).astype(dtype)
            bias = 4 + n_out * n_in if path == "by lanes" else -1
            before = slopes.copy()
            if path != "by lanes":
                dense.gradient(bench.array, bench.at("delta"), bench.at("across"), n_in, n_out, strips, j0, j1, slopes,
                               4, accumulate, bench.at("scratch") if path == "packed" else -1, *NOTHING_AHEAD[dtype],
                               strips, *NOTHING_OWNED[dtype])
            else:
                dense.gradient_by_lanes(bench.array, bench.at("delta"), bench.at("out"), n_in * lane, n_in, n_out,
                                        strips, j0, j1, slopes, 4, bias, accumulate)
            bench.assert_canaries()
            rows = slice(4 + j0 * n_in, 4 + j1 * n_in)
            close(slopes[rows], expected[j0:j1].ravel() + accumulate * before[rows], dtype)
            slopes[rows] = before[rows]
            if bias >= 0:
                rows = slice(bias + j0, bias + j1)
                close(slopes[rows], delta[:, j0:j1].sum(axis=0, dtype=float) + accumulate * before[rows], dtype)
                slopes[rows] = before[rows]
            assert (slopes == before).all(), "rows of other neurons"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_out", [1, 4, 15, 16, 17, 33])
def test_bias_gradient(n_out, dtype, rng):
    """Alone, and beside the weights' gradient, where each sum has the same bits."""
    strips, lane = 3, layout.lanes(dtype)
    bench = Bench(dtype, delta=n_out * strips * lane, out=2 * strips * lane)
    delta = rng.normal(size=(strips * lane, n_out)).astype(dtype)
    bench["delta"][:], bench["out"][:] = to_panel(delta), 1
    for j0, j1, accumulate in ((0, n_out, 0), (0, n_out, 1), (n_out // 3, n_out, 0), (n_out // 3, n_out // 2, 1)):
        alone = rng.normal(size=4 + n_out + 4).astype(dtype)
        before, beside = alone.copy(), np.concatenate((alone, np.zeros(2 * n_out, dtype)))
        dense.bias_gradient(bench.array, bench.at("delta"), n_out, strips, j0, j1, alone, 4, accumulate)
        close(alone[4 + j0 : 4 + j1], delta[:, j0:j1].sum(axis=0, dtype=float) + accumulate * before[4 + j0 : 4 + j1],
              dtype)
        dense.gradient_by_lanes(bench.array, bench.at("delta"), bench.at("out"), 2 * lane, 2, n_out, strips, j0, j1,
                                beside, alone.size, 4, accumulate)
        assert (alone == beside[: alone.size]).all()
        bench.assert_canaries()
        alone[4 + j0 : 4 + j1] = before[4 + j0 : 4 + j1]
        assert (alone == before).all(), "sums of other neurons"


@pytest.mark.parametrize("dtype", DTYPES)
def test_shares_of_neurons_and_strips_have_the_bits_of_the_whole(dtype, rng):
    n_in, n_out, strips, lane = 13, 21, 5, layout.lanes(dtype)
    samples = strips * lane
    bench = Bench(dtype, delta=n_out * samples, out=n_in * samples, across=across_size(n_in, samples, lane),
                  whole=n_out * samples, parts=n_out * samples, scratch=24 * samples)
    bench["delta"][:] = rng.normal(size=n_out * samples)
    bench["out"][:] = rng.normal(size=n_in * samples)
    dense.transpose_panel(bench.array, bench.at("out"), bench.at("across"), n_in, strips, 0, strips)
    parameters = rng.normal(size=n_out * n_in).astype(dtype)
    dense.forward(parameters, 0, -1, bench.array, bench.at("out"), bench.at("whole"), n_in, n_out, 0, strips, -1)
    for first, last in ((0, 1), (1, 2), (2, 5)):
        dense.forward(parameters, 0, -1, bench.array, bench.at("out"), bench.at("parts"), n_in, n_out, first, last, -1)
    assert (bench["whole"] == bench["parts"]).all()
    bench["parts"][:] = 0
    for begin, end in ((0, 11), (11, 12), (12, 21)):
        dense.forward_some(parameters, 0, -1, bench.array, bench.at("out"), bench.at("parts"), n_in, n_out, begin, end,
                           strips)
    assert (bench["whole"] == bench["parts"]).all()
    none = *NOTHING_AHEAD[dtype], strips, *NOTHING_OWNED[dtype]

    def by_lanes(*arguments):
        dense.gradient_by_lanes(*arguments[:-1], -1, arguments[-1])

    for kernel, source, scratches in ((dense.gradient, [bench.at("across")],
                                       [[-1, *none], [bench.at("scratch"), *none]]),
                                      (by_lanes, [bench.at("out"), n_in * lane], [[]])):
        whole = np.zeros(n_out * n_in, dtype)
        kernel(bench.array, bench.at("delta"), *source, n_in, n_out, strips, 0, n_out, whole, 0, 0, *scratches[0])
        for scratch in scratches:
            parts = np.zeros(n_out * n_in, dtype)
            for j0, j1 in ((0, 1), (1, 3), (3, 10), (10, 21)):
                kernel(bench.array, bench.at("delta"), *source, n_in, n_out, strips, j0, j1, parts, 0, 0, *scratch)
            assert (whole == parts).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 15, 16, 17, 33])
def test_gather_and_turn(n, dtype, rng):
    lane = layout.lanes(dtype)
    for begin, end, ordered in ((0, 1, False), (2, 2 + lane, True), (3, 3 + 2 * lane + 1, True), (1, 2 * lane, False)):
        rows = rng.normal(size=(3 * lane + 9, n)).astype(dtype)
        order = rng.permutation(len(rows)) if ordered else np.empty(0, np.int64)
        flat = readonly(rows.reshape(-1))
        samples = end - begin
        strips = -(-samples // lane)
        wide = -(-n // lane) * lane
        bench = Bench(dtype, panel=n * strips * lane, across=across_size(n, strips * lane, lane),
                      turned=across_size(n, strips * lane, lane))
        gather.gather_transposed(flat, NO_STRUCTURE, order, begin, end, n, bench.array, bench.at("panel"),
                                 bench.at("across"), strips, 0, strips)
        bench.assert_canaries()
        chosen = rows[order[begin:end]] if ordered else rows[begin:end]
        padded = np.concatenate([chosen, np.repeat(chosen[-1:], strips * lane - samples, axis=0)])
        assert (from_panel(bench["panel"], strips * lane, n) == padded).all(), "padding repeats the last sample"
        dense.transpose_panel(bench.array, bench.at("panel"), bench.at("turned"), n, strips, 0, strips)
        bench.assert_canaries()
        for copy in (bench["across"], bench["turned"]):  # [vector of neurons][sample][lane]
            by_vector = copy.reshape(wide // lane, strips * lane + 1, lane)[:, : strips * lane]
            by_sample = by_vector.transpose(1, 0, 2).reshape(strips * lane, wide)
            assert (by_sample[:, :n] == padded).all()
        without = Bench(dtype, panel=n * strips * lane)
        gather.gather(flat, NO_STRUCTURE, order, begin, end, n, without.array, without.at("panel"), -1, strips, 0,
                      strips)
        without.assert_canaries()
        assert (without["panel"] == bench["panel"]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_gather_labels(dtype, rng):
    lane, classes = layout.lanes(dtype), 5
    labels = rng.integers(0, classes, 40).astype(dtype)
    for order in (np.empty(0, np.int64), rng.permutation(40)):
        bench = Bench(dtype, panel=classes * 2 * lane)
        gather.gather_labels(readonly(labels), order, 3, 3 + lane + 1, classes, bench.array, bench.at("panel"), 0, 2)
        bench.assert_canaries()
        chosen = (labels[order] if order.size else labels)[3 : 4 + lane].astype(int)
        assert (from_panel(bench["panel"], lane + 1, classes) == np.eye(classes)[chosen]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_gather_weights(dtype, rng):
    lane = layout.lanes(dtype)
    weights = rng.uniform(size=40).astype(dtype)
    none = np.empty(0, dtype)
    weights, none = readonly(weights), readonly(none)
    as_they_come = np.empty(0, np.int64)
    for given, order in ((weights, rng.permutation(40)), (weights, as_they_come), (none, as_they_come)):
        bench = Bench(dtype, row=3 * lane)
        chosen = np.ones(lane + 1) if not given.size else (given[order] if order.size else given)[5 : 6 + lane]
        total = float(chosen.sum(dtype=float))
        gather.gather_weights(given, order, 5, 6 + lane, total, bench.array, bench.at("row"), 0, 3)
        bench.assert_canaries()
        close(bench["row"][: lane + 1], chosen / chosen.sum(dtype=float), dtype)
        assert (bench["row"][lane + 1 :] == 0).all(), "padding weighs nothing"
        gather.gather_weights(given, order, 5, 6 + lane, 0.0, bench.array, bench.at("row"), 0, 3)
        assert (bench["row"] == 0).all(), "no weight at all, no division by 0"


@pytest.mark.parametrize("dtype", DTYPES)
def test_scatter(dtype, rng):
    lane, n = layout.lanes(dtype), 3
    values = rng.normal(size=(lane + 2, n)).astype(dtype)
    rows = np.full(100 * n, CANARY, dtype)
    gather.scatter(to_panel(values), 0, n, 10, 10 + len(values), rows)
    assert (rows.reshape(-1, n)[10 : 10 + len(values)] == values).all()
    rows.reshape(-1, n)[10 : 10 + len(values)] = CANARY
    assert (rows == CANARY).all()


@pytest.mark.parametrize("packed", [False, True])
def test_large_layers_are_swept_in_parts(packed, rng):
    """More weights, and more deltas, than a scratch holds: several sweeps over the strips, or over the neurons."""
    n_in, n_out, lane = few(1024, 40), few(75, 33), layout.lanes("float64")
    strips = few(64, 2)
    samples = strips * lane
    room = max(layout.SCRATCH_BYTES // 8, 8 * max(n_in, n_out, samples))
    W = rng.normal(size=(n_out, n_in))
    O, delta = rng.normal(size=(samples, n_in)), rng.normal(size=(samples, n_out))  # noqa: E741
    bench = Bench("float64", out=n_in * samples, net=n_out * samples, delta=n_out * samples, below=n_in * samples,
                  across=across_size(n_in, samples, lane), scratch=room)
    bench["out"][:], bench["delta"][:], bench["below"][:] = to_panel(O), to_panel(delta), 1
    scratch = bench.at("scratch") if packed else -1
    dense.forward(W.reshape(-1), 0, -1, bench.array, bench.at("out"), bench.at("net"), n_in, n_out, 0, strips, -1)
    backward = dense.backward_packed if packed else dense.backward
    backward(W.reshape(-1), 0, bench.array, bench.at("delta"), bench.at("below"), n_in, n_out, 0, strips, scratch)
    dense.transpose_panel(bench.array, bench.at("out"), bench.at("across"), n_in, strips, 0, strips)
    slopes = np.empty(n_in * n_out)
    dense.gradient(bench.array, bench.at("delta"), bench.at("across"), n_in, n_out, strips, 0, n_out, slopes, 0, 0,
                   scratch, *NOTHING_AHEAD["float64"], strips, *NOTHING_OWNED["float64"])
    bench.assert_canaries()
    close(from_panel(bench["net"], samples, n_out), O @ W.T)
    close(from_panel(bench["below"], samples, n_in), delta @ W)
    close(slopes.reshape(n_out, n_in), delta.T @ O)


def test_what_is_asked_for_ahead_changes_nothing(rng):
    """The last arguments are hints to the processor: any rows and weights will do."""
    n_in, n_out, lane = 9, 17, layout.lanes("float64")
    bench = Bench("float64", delta=n_out * lane, out=n_in * lane, across=across_size(n_in, lane, lane))
    bench["delta"][:], bench["out"][:] = rng.normal(size=n_out * lane), rng.normal(size=n_in * lane)
    dense.transpose_panel(bench.array, bench.at("out"), bench.at("across"), n_in, 1, 0, 1)
    found = []
    for ahead in (NOTHING_AHEAD["float64"], (readonly(rng.normal(size=20 * n_in)), rng.permutation(20), 3, 20),
                  (readonly(rng.normal(size=20 * n_in)), np.empty(0, np.int64), 0, 20)):
        for owned in (-1, 0):
            slopes, weights = np.empty(n_in * n_out), rng.normal(size=n_in * n_out)
            kept = weights.copy()
            dense.gradient(bench.array, bench.at("delta"), bench.at("across"), n_in, n_out, 1, 0, n_out, slopes, 0, 0,
                           -1, *ahead, 1, weights, owned)
            found.append(slopes.tobytes())
            assert (weights == kept).all()
    assert len(set(found)) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n_in", "n_out"), WIDTHS)
def test_sums_handed_on_have_the_bits_of_one_sum(n_in, n_out, dtype, rng):
    lane, strips = layout.lanes(dtype), 3
    samples = strips * lane
    bench = Bench(dtype, delta=n_out * samples, out=n_in * samples, across=across_size(n_in, samples, lane),
                  handed=n_out * n_in + 2 * lane)
    bench["delta"][:], bench["out"][:] = rng.normal(size=n_out * samples), rng.normal(size=n_in * samples)
    bench["handed"][:] = np.nan
    dense.transpose_panel(bench.array, bench.at("out"), bench.at("across"), n_in, strips, 0, strips)
    panels, handed = (bench.array, bench.at("delta"), bench.at("across"), n_in, n_out, strips), bench.at("handed")
    for accumulate in (0, 1):
        expected = rng.normal(size=n_out * n_in).astype(dtype)
        found = expected.copy()
        dense.gradient(*panels, 0, n_out, expected, 0, accumulate, -1, *NOTHING_AHEAD[dtype], strips,
                       *NOTHING_OWNED[dtype])
        for first in (1, 2):
            slopes = found.copy()
            for j0, j1 in ((0, n_out // 2), (n_out // 2, n_out)):
                dense.gradient(*panels, j0, j1, bench.array, handed, 0, -1, *NOTHING_AHEAD[dtype], first,
                               *NOTHING_OWNED[dtype])
                dense.gradient_on(*panels, j0, j1, slopes, 0, accumulate, *NOTHING_AHEAD[dtype], first, handed,
                                  slopes, 0)
            bench.assert_canaries()
            assert (slopes == expected).all()
