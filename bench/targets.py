"""fastbp compiled for this processor and for lesser ones: what a training step takes with narrower vectors.

``python -m bench.targets --markdown`` writes docs/measured/targets.md (two minutes). Each build
runs in a
process of its own on one core; on each workload they take turns, and the best round counts. The multiply-add peak is
that of each build's own tile, so a share tells how well its lanes and registers are used.
"""

from __future__ import annotations

import argparse
import datetime
import math
import os

from .peers import ROOT, Side, between, number, processor, set_threads, versions
from .suite.workloads import ONLINE, WORKLOADS, Workload

BEGIN, END = "<!-- targets -->", "<!-- /targets -->"
HOST = "this processor"
SETTINGS = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")


def start(target: str, dtype: str) -> Side:
    """Start a process that compiles for a target, by LLVM's name for it with just its own features."""
    for setting, value in zip(SETTINGS, (target, ""), strict=True):
        os.environ.pop(setting, None)
        if target != HOST:
            os.environ[setting] = value
    return Side("fastbp", dtype)


Figures = dict[str, float]
"""Build -> a figure of it."""


def measure(workloads: list[Workload], builds: dict[str, Side], rounds: int) -> tuple[Figures, list[Figures]]:
    """Return the multiply-add peak of each build in GFLOP/s, and for each workload the seconds a step of each."""
    peaks, rows = dict.fromkeys(builds, 0.0), []
    for workload in workloads:
        best = dict.fromkeys(builds, math.inf)
        for build in builds.values():
            build.ask("prepare", workload)
        for _ in range(rounds):
            for name, build in builds.items():
                peaks[name] = max(peaks[name], build.ask("peak"))
                seconds, epochs, _ = build.ask("round")
                best[name] = min(best[name], seconds / epochs / workload.steps)
        rows.append(best)
    return peaks, rows


def table(workloads: list[Workload], peaks: Figures, rows: list[Figures], dtype: str) -> str:
    """Write the table in Markdown, and under it what was measured where."""
    lines = ["| 1 thread: µs a step, share of the build's peak | " + " | ".join(peaks) + " |",
             "|---" + "|---:" * len(peaks) + "|",
             "| multiply-add peak, GFLOP/s | " + " | ".join(f"{peak:.0f}" for peak in peaks.values()) + " |"]
    for workload, best in zip(workloads, rows, strict=True):
        cells = (f"{number(1e6 * seconds)}, {workload.step_flop / seconds / peaks[name] / 1e7:.0f} %"
                 for name, seconds in best.items())
        lines.append(f"| {workload.name} | " + " | ".join(cells) + " |")
    used = ", ".join(f"{name} {version}" for name, version in versions(("fastbp", "numba", "numpy")).items())
    return "\n".join(lines) + f"\n\n{dtype}; {processor()}; {used}; {datetime.date.today().isoformat()}."


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.targets", description=__doc__)
    parser.add_argument("--targets", nargs="+", default=["haswell", "nehalem"], metavar="CPU",
                        help="beside this processor (default: haswell, AVX2, and nehalem, SSE 4)")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--select", nargs="+", metavar="TEXT", help="only workloads whose name contains one of these")
    parser.add_argument("--rounds", type=int, default=5, help="the best of so many (default: 5)")
    parser.add_argument("--markdown", action="store_true", help="write the table to docs/measured/targets.md")
    options = parser.parse_args()
    every = [*WORKLOADS.values(), *ONLINE.values()]
    chosen = [w for w in every if not options.select or any(text in w.name for text in options.select)]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    set_threads(1, cores)
    builds = {target: start(target, options.dtype) for target in (HOST, *options.targets)}
    try:
        peaks, rows = measure(chosen, builds, options.rounds)
    finally:
        for build in builds.values():
            build.close()
    text = table(chosen, peaks, rows, options.dtype)
    print(text)
    if options.markdown:
        between(ROOT / "docs" / "measured" / "targets.md", BEGIN, END, text)


if __name__ == "__main__":
    main()
