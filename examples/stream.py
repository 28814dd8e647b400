"""A drifting stream inside compiled code
======================================

An online learner, where stream, learner and record are one compiled function.
"""

import time

import matplotlib.pyplot as plt
import numba
import numpy as np

import fastbp
from fastbp import jit

STEPS = 200_000


@numba.njit(nogil=True)
def follow(model, optimizer, steps, stop, seed):
    """Predict each value, then learn from it; give the mean squared error of eight stretches. Learn until ``stop``."""
    np.random.seed(seed)
    work = jit.workspace(model)
    x, y, out = np.empty(2), np.empty(1), np.empty(1)
    errors = np.zeros(8)
    for t in range(steps):
        x[0], x[1] = np.random.uniform(-1, 1), np.random.uniform(-1, 1)
        y[0] = np.cos(np.pi * t / steps) * x[0] * x[1]  # turns slowly into its opposite
        jit.forward(model, x, out, work)
        errors[t * 8 // steps] += (out[0] - y[0]) ** 2 * 8 / steps
        if t < stop:
            jit.train_one(model, optimizer, x, y, work)
    return errors


def main():
    """Show a learner that goes on beside one that stops after a quarter."""
    errors = []
    for stop in (STEPS, STEPS // 4):
        model = fastbp.Network((2, 16, 1), dtype="float64", seed=1).compiled(batch=1)
        optimizer = jit.state(model, fastbp.SGD(0.1))
        follow(model, optimizer, 8, 8, 0)  # compiles
        start = time.perf_counter()
        errors.append(follow(model, optimizer, STEPS, stop, 0))
        print(f"{STEPS:,} pairs in {time.perf_counter() - start:.2f} s, learning from the first {stop:,}")
    for part, (learning, frozen) in enumerate(zip(*errors, strict=True), 1):
        print(f"part {part} of 8: squared error: learning {learning:.5f}, stopped {frozen:.5f}")
    print(f"at the end: learning {learning:.5f}, stopped {frozen:.5f}")

    _, ax = plt.subplots()
    ax.semilogy(range(1, 9), np.transpose(errors), "o-", label=["goes on learning", "stops after a quarter"])
    ax.set(xlabel="eighth of the stream", ylabel="mean squared error", title=f"{STEPS:,} pairs, an update each")
    ax.legend()
    plt.show()


if __name__ == "__main__":
    main()
