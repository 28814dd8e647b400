"""Rounding to pairs of bfloat16, and their products, against plain twins bit by bit."""

import llvmlite.binding as llvm
import naive
import numpy as np
import pytest
from helpers import compiled_only, few, needs_bfloat16

from fastbp.kernels import ir
from fastbp.kernels.compile import JIT, VECTOR_BYTES, kernel
from fastbp.kernels.compile.target import pair_product, vector_unit

LANES = VECTOR_BYTES // 4
CANARY = np.float32(77.0)
HARD = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 3e-39, -1.17549421e-38, 1.17549435e-38, 3.4028235e38,
                 3.3961775e38, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-23, 1 + 2**-8 - 2**-23, -1 - 2**-8],
                np.float32)
"""Zeros, what is no number, the edge of what is taken for 0, the largest, ties to even both ways and beside them."""


@kernel
def rows_joined(source, first, second, valid, target):
    ir.join_rows(source, first, second, valid, target, 3)


@kernel
def columns_joined(source, valid, target):
    ir.join_columns(source, 2, valid, target, 3)


@kernel
def lanes_joined(source, target):
    ir.join_lanes(source, 2, target, 3)


@kernel
def pairs_transposed(source, target):
    ir.transpose_pairs(source, 2, target, 3)


@kernel
def multiplied(pairs, W, A, out, biases):
    ir.forward_pairs(W, 0, pairs, 1, A, 0, pairs * 16, 0, 0, pairs, biases, 0, 1, 1)
    for i in range(out.size):
        out[i] = A[i]


def numbers(rng, size):
    """Numbers of all sizes, with hard ones among them."""
    found = (rng.normal(size=size) * 2.0 ** rng.integers(-20, 20, size)).astype(np.float32)
    some = rng.choice(size, min(size, HARD.size), replace=False)
    found[some] = rng.permutation(HARD)[: some.size]
    return found


def pairs_of(words):
    """The numbers of pairs, (n, 2)."""
    bits = words.view(np.uint16).astype(np.uint32) << np.uint32(16)
    return bits.view(np.float32).reshape(-1, 2)


def same(found, expected):
    assert np.array_equal(found, expected, equal_nan=True), (found[found != expected], expected[found != expected])
    assert (np.signbit(found) == np.signbit(expected))[~np.isnan(expected)].all()


@needs_bfloat16
def test_pairs_are_rounded_to_the_nearest(rng):
    n = LANES
    for valid in (n, n + 3, 1, 0, -2, n - 1):
        source, target = numbers(rng, 3 * n + 5), np.full(2 * n, CANARY)
        some = max(0, min(n, valid))
        for second in (n + 3, -1):
            rows_joined(source, 1, second, valid, target)
            expected = np.zeros((n, 2))
            expected[:some, 0] = naive.rounded(source[1 : 1 + some])
            if second >= 0:
                expected[:some, 1] = naive.rounded(source[second : second + some])
            same(pairs_of(target[3 : 3 + n]), expected)
        for more in (valid, valid + n):
            columns_joined(source, more, target)
            expected, some = np.zeros(2 * n), max(0, min(2 * n, more))
            expected[:some] = naive.rounded(source[2 : 2 + some])
            same(pairs_of(target[3 : 3 + n]), expected.reshape(-1, 2))
        assert (target[:3] == CANARY).all() and (target[3 + n :] == CANARY).all()
    target = np.full(2 * n, CANARY)
    lanes_joined(source, target)
    same(pairs_of(target[3 : 3 + n // 2]), naive.rounded(source[2 : 2 + n]).reshape(-1, 2))
    assert (target[:3] == CANARY).all() and (target[3 + n // 2 :] == CANARY).all()


@needs_bfloat16
def test_a_square_is_transposed_to_pairs_of_samples(rng):
    n = LANES
    source, target = numbers(rng, n * n + 2), np.full(n * n // 2 + 6, CANARY)
    pairs_transposed(source, target)
    square = naive.rounded(source[2:]).reshape(n, n)
    same(pairs_of(target[3:-3]).reshape(n // 2, n, 2), square.T.reshape(n // 2, 2, n).transpose(0, 2, 1))
    assert (target[:3] == CANARY).all() and (target[-3:] == CANARY).all()


@needs_bfloat16
def test_each_product_of_a_pair_is_added_and_rounded_by_itself(rng):
    for pairs in few((1, 2, 7, 40), (1, 5)):
        W = rng.normal(size=2 * pairs).astype(np.float32)
        O = rng.normal(size=(2 * pairs, LANES)).astype(np.float32)  # noqa: E741
        words, panel = np.zeros(pairs + LANES, np.float32), np.zeros((pairs + 1) * LANES, np.float32)
        for k in range(0, 2 * pairs, 2 * LANES):
            part = np.zeros(2 * LANES + 2, np.float32)
            part[2 : 2 + W[k : k + 2 * LANES].size] = W[k : k + 2 * LANES]
            target = np.zeros(LANES + 3, np.float32)
            columns_joined(part, 2 * LANES, target)
            words[k // 2 : k // 2 + LANES] = target[3:]
        for i in range(pairs):
            source, target = np.concatenate((CANARY[None], O[2 * i], O[2 * i + 1])), np.zeros(LANES + 3, np.float32)
            rows_joined(source, 1, 1 + LANES, LANES, target)
            panel[i * LANES : (i + 1) * LANES] = target[3:]
        bias, out = np.float32(rng.normal()), np.zeros(LANES, np.float32)
        multiplied(pairs, words, panel, out, bias[None])
        for v in range(LANES):
            expected = naive.pair_sum(bias, naive.rounded(W).reshape(-1, 2), naive.rounded(O[:, v]).reshape(-1, 2))
            # NEON's instruction adds the two products of a pair before it rounds
            assert out[v] == expected or VECTOR_BYTES == 16 and JIT and abs(out[v] - expected) < 1e-5


@compiled_only
@pytest.mark.parametrize(("triple", "cpu", "instruction"), [
    ("x86_64-unknown-linux-gnu", "znver4", "dpbf16ps"), ("x86_64-unknown-linux-gnu", "sapphirerapids", "dpbf16ps"),
    ("x86_64-unknown-linux-gnu", "skylake-avx512", None), ("x86_64-unknown-linux-gnu", "haswell", None),
    ("x86_64-unknown-linux-gnu", "sierraforest", None),  # converts to bfloat16, but does not multiply it
    ("aarch64-unknown-linux-gnu", "neoverse-v1", "bfdot"), ("aarch64-unknown-linux-gnu", "neoverse-n1", None)])
def test_which_processors_multiply_bfloat16(triple, cpu, instruction):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features="", opt=2)
    found = pair_product(machine, vector_unit(machine)[0])
    assert (found is None) is (instruction is None) and (found is None or instruction in found)
