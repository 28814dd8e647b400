"""Two threads on two cores of which one is busy: what they lose against one thread.

``python -m bench.busy_core`` pins another process, which only counts, to the second core that this one may use, and
trains with one and with two threads in turn. Target: two threads take at most 1.25 times as long as one. Linux only, as
it pins processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np

import fastbp

WORKLOADS = [((64, 100, 10), 200, 20_000, 200), ((17, 256, 256, 6), 256, 25_600, 20),
             ((784, 512, 512, 10), 256, 8_192, 10)]
"""Layers, batch, samples, epochs of a fit."""

ROUNDS = 3


def main() -> None:
    """Print a line a network: microseconds a step with one and two threads, without and with a busy core."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit("bench.busy_core needs two cores")
    os.sched_setaffinity(0, cores)
    print("| network, batch | busy cores | 1 thread µs | 2 threads µs | 2 ÷ 1 |\n|---|---:|---:|---:|---:|")
    for layers, batch, n, epochs in WORKLOADS:
        rng = np.random.default_rng(0)
        X, Y = rng.standard_normal((n, layers[0]), "float32"), rng.standard_normal((n, layers[-1]), "float32")
        net = fastbp.Network(layers, "relu", seed=0).fit(X, Y, epochs=1, batch_size=batch)
        for busy in (0, 1):
            other = [subprocess.Popen([sys.executable, "-c", f"import os\nos.sched_setaffinity(0, {{{cores[1]}}})\n"
                                                            "while True: pass"]) for _ in range(busy)]
            try:
                best = {1: np.inf, 2: np.inf}
                for _ in range(ROUNDS):
                    for threads in best:
                        start = time.perf_counter()
                        net.fit(X, Y, epochs=epochs, batch_size=batch, threads=threads)
                        best[threads] = min(best[threads], (time.perf_counter() - start) / epochs / (n // batch) * 1e6)
            finally:
                for process in other:
                    process.kill()
                    process.wait()
            print(f"| {'-'.join(map(str, layers))}, {batch} | {busy} | {best[1]:.1f} | {best[2]:.1f} "
                  f"| {best[2] / best[1]:.2f} |")


if __name__ == "__main__":
    main()
