"""fastbp beside its peers: microseconds a training step, measured in turns, in one run, on the same cores.

``python -m bench.peers --threads 1 2 --json peers.json --png docs/explanation/performance.png --markdown`` makes the
table of docs/explanation/performance.md. Each side runs in a process of its own that stays for the whole run; for each
workload the sides take turns round by round, so that a slow spell of the machine meets all of them, and the best round
counts.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import math
import multiprocessing
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .suite.workloads import ONLINE, WORKLOADS, Workload

SIDES = {"fastbp": "fastbp", "JAX": "jax", "PyTorch": "torch", "scikit-learn": "scikit-learn", "FANN": None}
"""Name -> distribution whose version is reported."""

ROUND_SECONDS = 0.3
"""A round takes at least this long, and at least an epoch."""

PAUSE_SECONDS = 0.05
"""Between rounds: the threads of the side before spin for a while when their work is done."""

SAME_WORK = 0.4
"""By how much the mean costs of the first epoch may differ. The sides start from one point and draw orders of their
own, which changes that cost by up to 30 % (1-32-32-1); a side that does other work differs by a factor."""

ROOT = Path(__file__).resolve().parents[1]


# ------------------------------------------------------------------------------------------------ in a side's process


def serve(connection: Connection, side: str, dtype: str, answer: Callable[..., Any]) -> None:
    """Answer requests by ``answer(state, side, dtype, *request)`` until None comes; an exception is an answer too."""
    state: dict[str, Any] = {}
    while (request := connection.recv()) is not None:
        try:
            connection.send(answer(state, side, dtype, *request))
        except Exception as error:
            connection.send(error if isinstance(error, NotImplementedError) else RuntimeError(f"{side}: {error!r}"))


def _answer(state: dict[str, Any], side: str, dtype: str, request: str, *arguments: Any) -> Any:
    """Answer the requests prepare, round and peak."""
    if request == "peak":
        from .peak import multiply_add_peak

        return multiply_add_peak(dtype)
    if request == "prepare":
        return _prepare(state, side, dtype, *arguments)
    start = time.perf_counter()
    cost = state["train"](state["epochs"])
    return time.perf_counter() - start, state["epochs"], cost


def _prepare(state: dict[str, Any], side: str, dtype: str, workload: Workload) -> float:
    """Compile and warm up, find out how many epochs make a round; give the mean cost of the first epoch."""
    from . import sides
    from .suite import workloads

    state.clear()
    state["train"] = train = sides.SIDES[side](workload, *workloads.data(workload, dtype))
    first, epochs = train(1), 1
    while True:
        start = time.perf_counter()
        train(epochs)
        seconds = time.perf_counter() - start
        if seconds > ROUND_SECONDS / 4:
            break
        epochs *= min(8, math.ceil(ROUND_SECONDS / 3 / seconds))
    state["epochs"] = math.ceil(epochs * ROUND_SECONDS / seconds)
    return first


# ------------------------------------------------------------------------------------------------------ in the driver


class Side:
    """A process that runs one of the sides; one that starts processes of its own is no daemon, and must be closed."""

    def __init__(self, name: str, dtype: str, answer: Callable[..., Any] = _answer, daemon: bool = True) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, name, dtype, answer), daemon=daemon)
        self.process.start()

    def ask(self, *request: Any) -> Any:
        """Send a request and wait for the answer; an exception over there is raised here."""
        self.connection.send(request)
        answer = self.connection.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End the process."""
        self.connection.send(None)
        self.process.join()


def set_threads(threads: int, cores: list[int]) -> None:
    """Pin this process to the last cores and set what libraries read on import: processes started later inherit it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores[-threads:])
    for name in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
        os.environ[f"{name}_NUM_THREADS"] = str(threads)
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    os.environ["JAX_PLATFORMS"] = "cpu"


def measure(workload: Workload, sides: dict[str, Side], rounds: int) -> dict[str, Any]:
    """Run the sides in turns on a workload; return microseconds a step, costs and epochs of each."""
    first, best, last, epochs = {}, {}, {}, {}
    for name, side in sides.items():
        try:
            first[name] = side.ask("prepare", workload)
            best[name], epochs[name] = math.inf, 0
        except NotImplementedError:
            pass
        except RuntimeError as error:
            print(f"n/a on {workload.name}: {error}", file=sys.stderr)
    if "fastbp" not in best:
        raise SystemExit("fastbp itself cannot be measured")
    for _ in range(rounds):
        for name in best:
            time.sleep(PAUSE_SECONDS)
            seconds, count, last[name] = sides[name].ask("round")
            best[name] = min(best[name], seconds / count / workload.steps)
            epochs[name] += count
    for name in best:
        if not last[name] < first[name]:
            print(f"{name} does not learn {workload.name}: cost {first[name]:g} -> {last[name]:g}", file=sys.stderr)
        if abs(first[name] / first["fastbp"] - 1) > SAME_WORK:
            print(f"{name} does other work on {workload.name}: cost of the first epoch {first[name]:g}, "
                  f"fastbp's {first['fastbp']:g}", file=sys.stderr)
    return {"workload": workload.name, "microseconds": {name: 1e6 * seconds for name, seconds in best.items()},
            "first_cost": first, "last_cost": last, "epochs": epochs}


def run(threads: int, cores: list[int], dtype: str, workloads: list[Workload], rounds: int) -> dict[str, Any]:
    """Measure all workloads with so many threads."""
    set_threads(threads, cores)
    sides = {name: Side(name, dtype) for name in SIDES}
    peaks = [sides["fastbp"].ask("peak")]
    rows = []
    try:
        for workload in workloads:
            row = measure(workload, sides, rounds)
            peaks.append(sides["fastbp"].ask("peak"))
            rows.append(row)
            print(f"{threads} thread{'s' * (threads > 1)}, {workload.name}: " +
                  ", ".join(f"{name} {value:.2f}" for name, value in row["microseconds"].items()), flush=True)
    finally:
        for side in sides.values():
            side.close()
    # the best of the run: a busy machine lowers a peak, nothing raises it
    peak = max(peaks)
    for row, workload in zip(rows, workloads, strict=True):
        times = row["microseconds"]
        peers = {name: value for name, value in times.items() if name != "fastbp"}
        row["ratio"] = min(peers.values()) / times["fastbp"] if peers else None
        row["gflops"] = workload.step_flop / times["fastbp"] / 1e3
        row["peak_share"] = row["gflops"] / (peak * threads)
    return {"threads": threads, "peak_gflops_per_core": peak, "rows": rows}


# ---------------------------------------------------------------------------------------------------------- the record


def processor() -> str:
    """Name the processor."""
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def versions(libraries: Iterable[str] = (*filter(None, SIDES.values()), "numba", "numpy")) -> dict[str, str]:
    """Return the versions of Python and of all libraries that take part; those that are not installed are left out."""
    found = {"Python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name == "fastbp":  # run from the source tree
                import fastbp

                found[name] = fastbp.__version__
    return found


def conditions(module: str, libraries: Iterable[str]) -> str:
    """Return what a table is measured with: processor, versions, day, command and system."""
    used = ", ".join(f"{name} {version}" for name, version in versions(libraries).items())
    limit = f"OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']} " if "OMP_NUM_THREADS" in os.environ else ""
    command = " ".join([f"{limit}python -m {module}", *sys.argv[1:]])
    return (f"{processor()}; {used}. {datetime.date.today().isoformat()}, `{command}`, "
            f"{platform.platform(aliased=True, terse=True)}.")


def table(result: dict[str, Any]) -> str:
    """Write the table of one number of threads in Markdown."""
    names = [name for name in SIDES if any(name in row["microseconds"] for row in result["rows"])]
    lines = [
        f"| {result['threads']} thread{'s' * (result['threads'] > 1)}: µs a step | " + " | ".join(names) +
        " | best peer ÷ fastbp | GFLOP/s | share of peak |",
        "|---" + "|---:" * (len(names) + 3) + "|",
    ]
    for row in result["rows"]:
        times = [number(row["microseconds"].get(name)) for name in names]
        ratio = "n/a" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append(f"| {row['workload']} | " + " | ".join(times) +
                     f" | {ratio} | {row['gflops']:.1f} | {100 * row['peak_share']:.0f} % |")
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Write a time with three figures."""
    if value is None:
        return "n/a"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def markdown(record: dict[str, Any], chart: str | None) -> str:
    """Write what stands between the markers: chart, tables, machine, versions, date."""
    parts = []
    if chart is not None:
        parts.append(f"![Microseconds a training step, fastbp beside its peers]({chart})")
    parts += [table(result) for result in record["results"]]
    peaks = ", ".join(f"{result['peak_gflops_per_core']:.0f}" for result in record["results"])
    used = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    parts.append(
        f"Adam (workloads marked sgd: plain gradient descent), squared error, {record['dtype']}, shuffling and "
        "gathering included, except in order; in a batch of all samples `Network.fit` leaves the shuffle out by "
        f"itself, the others do not. Best of {record['rounds']} rounds, the sides taking turns. GFLOP/s and share of "
        f"peak are fastbp's; the multiply-add peak of a core, as the vector tile reaches it on data in L1, is {peaks} "
        f"GFLOP/s. {record['machine']}, {record['cores']} cores, {record['system']}; {used}. {record['date']}, "
        f"`{record['command']}`."
    )
    return "\n\n".join(parts)


IN_README = "1-32-32-1 batch 32", "64-100-10 batch 200", "784-512-512-10 batch 256"
"""A small, a middling and a large workload."""


def excerpt(record: dict[str, Any]) -> str:
    """Write the three rows of the README, without figures that ask for an explanation."""
    result = record["results"][0]
    names = [name for name in SIDES if name != "FANN" and name in result["rows"][0]["microseconds"]]
    used = ", ".join(f"{name} {version}" for name, version in record["versions"].items()
                     if name not in ("Python", "numba", "numpy"))
    lines = [f"| {result['threads']} thread{'s' * (result['threads'] > 1)}: µs a step | " + " | ".join(names) +
             " | best peer ÷ fastbp |", "|---" + "|---:" * (len(names) + 1) + "|"]
    lines += [f"| {row['workload']} | " + " | ".join(number(row["microseconds"].get(name)) for name in names) +
              f" | {row['ratio']:.2f} |" for row in result["rows"] if row["workload"] in IN_README]
    return "\n".join(lines) + (f"\n\nAdam, {record['dtype']}. {record['machine']}; {used}. {record['date']}, "
                              "`make peers`.")


BEGIN, END = "<!-- performance -->", "<!-- /performance -->"


def between(path: Path, begin: str, end: str, content: str) -> None:
    """Replace what stands between two markers in a Markdown file."""
    text = path.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise SystemExit(f"{path}: needs one {begin} and one {end}")
    before, rest = text.split(begin)
    path.write_text(f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}", encoding="utf-8")


def insert(path: Path, record: dict[str, Any], chart: Path | None) -> None:
    """Write a record between the markers of a Markdown file."""
    link = None if chart is None else Path(os.path.relpath(chart, path.resolve().parent)).as_posix()
    between(path, BEGIN, END, markdown(record, link))


COLOURS = {"fastbp": "#d1495b", "JAX": "#30638e", "PyTorch": "#edae49", "scikit-learn": "#66a182", "FANN": "#8d96a3"}


def draw(record: dict[str, Any], path: Path) -> None:
    """Draw horizontal bars on a logarithmic scale, a panel for each number of threads."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    results = record["results"]
    height = 1.6 + 0.7 * max(len(result["rows"]) for result in results)
    figure, axes = plt.subplots(1, len(results), figsize=(1.5 + 6.5 * len(results), height), sharex=True, sharey=True,
                                squeeze=False, layout="constrained")
    for result, ax in zip(results, axes[0], strict=True):
        for i, row in enumerate(result["rows"]):
            times = row["microseconds"]
            bar = 0.84 / len(times)
            for k, (name, value) in enumerate(times.items()):
                y = i + bar * (k - (len(times) - 1) / 2)
                ax.barh(y, value, 0.92 * bar, color=COLOURS[name], zorder=2)
                ax.annotate(number(value), (value, y), (3, 0), textcoords="offset points", va="center", fontsize=7)
        ax.set_yticks(range(len(result["rows"])), [row["workload"] for row in result["rows"]])
        ax.set_xscale("log")
        ax.margins(x=0.12, y=0.01)
        ax.grid(axis="x", color="0.88", zorder=0)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel("µs a training step (shorter is faster)")
        ax.set_title(f"{result['threads']} thread{'s' * (result['threads'] > 1)}", loc="left")
    axes[0][0].invert_yaxis()
    shown = [name for name in SIDES if any(name in row["microseconds"] for result in results for row in result["rows"])]
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[name]) for name in shown]
    figure.legend(handles, shown, loc="outside upper right", ncols=len(shown), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="one run for each number (default: 1)")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--select", nargs="+", metavar="TEXT", help="only workloads whose name contains one of these")
    parser.add_argument("--rounds", type=int, default=5, help="the best of so many (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw the chart")
    parser.add_argument("--markdown", nargs="*", type=Path, metavar="FILE",
                        help=f"write the tables between {BEGIN} and {END} of these files (default: "
                             "docs/measured/performance.md, and three rows of README.md)")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    if not 1 <= min(options.threads) <= max(options.threads) <= len(cores):
        parser.error(f"--threads must be from 1 to {len(cores)}, the cores that this process may use")
    every = [*WORKLOADS.values(), *ONLINE.values()]
    chosen = [w for w in every if not options.select or any(text in w.name for text in options.select)]
    if not chosen:
        parser.error("no such workload; there are: " + "; ".join(w.name for w in every))
    record = {
        "date": datetime.date.today().isoformat(),
        "command": " ".join(["python -m bench.peers", *sys.argv[1:]]),
        "machine": processor(),
        "cores": len(cores),
        "system": platform.platform(aliased=True, terse=True),
        "versions": versions(),
        "dtype": options.dtype,
        "rounds": options.rounds,
        "results": [run(threads, cores, options.dtype, chosen, options.rounds) for threads in options.threads],
    }
    for result in record["results"]:
        print(f"\n{table(result)}")
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if options.png is not None:
        draw(record, options.png)
    if options.markdown is not None:
        for path in options.markdown or [ROOT / "docs" / "measured" / "performance.md"]:
            insert(path, record, options.png)
        if not options.markdown:
            between(ROOT / "README.md", BEGIN, END, excerpt(record))


if __name__ == "__main__":
    main()
