"""Many networks in one call: `fastbp.fit_many` beside a loop over `fit`, JAX vmap, torch.func and joblib.

``python -m bench.many --threads 1 2 --json many.json`` trains the workloads of `suite.workloads.MANY` on every side,
each in a process of its own, pinned to the same cores; the sides take turns round by round, and the best round counts.
A round is a whole call with all that it checks and records: ``--epochs`` of all networks, or less where that takes
long. Then, for fastbp alone: what two threads bring, in turns in one process; what a call takes above its steps, a
network; and the bytes of a network.

Before the rounds every side trains from the same first weights for ``--epochs`` epochs. The script says so on stderr if
a network of any side does not learn, or if the mean of their costs is not fastbp's.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import math
import os
import platform
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .peers import PAUSE_SECONDS, Side, between, number, processor, set_threads, versions
from .suite.workloads import MANY, Many, data_of_many

BEGIN, END = "<!-- many -->", "<!-- /many -->"

LIBRARIES = ("fastbp", "jax", "torch", "joblib", "scikit-learn", "numba", "numpy")

PROCESSES = ("joblib, fit", "joblib, scikit-learn")
"""Sides that start processes of their own."""

ROUND_SECONDS = 2.0
"""A round that would take longer trains fewer epochs, one at least. Such a side loses nothing by it: for JAX and torch
an epoch is a call of its own anyway, and scikit-learn's step takes 100 µs."""

SAME_COST = 0.05
"""By how much the mean costs of a side may differ from fastbp's after the same epochs: the weights are the same, the
orders are not, and scikit-learn trains some of the networks only."""

FEW_ROWS = Many((2, 8, 1), 32, 32, count=200)
"""A single step an epoch: what is left is what a call costs."""

SMALL = Many((2, 8, 1), 32, 32, count=10_000)
"""What the bytes of a network are counted on."""


# ------------------------------------------------------------------------------------------------ in a side's process


def answer(state: dict[str, Any], side: str, dtype: str, request: str, *arguments: Any) -> Any:
    """Answer the requests of the driver: prepare and round of any side, the others of fastbp alone."""
    requests = {"prepare": prepare, "round": one_round, "scaling": scaling, "overhead": overhead, "memory": memory}
    return requests[request](state, side, dtype, *arguments)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def prepare(state: dict[str, Any], side: str, dtype: str, workload: Many, threads: int, epochs: int) -> dict[str, Any]:
    """Make a side ready and train it for the first epoch, and up to ``epochs``; tell what it cost and learned."""
    from . import many_sides

    state.clear()
    X, Y = data_of_many(workload, dtype)
    ready, trained = timed(lambda: many_sides.SIDES[side](workload, X, Y, threads))
    state["train"] = trained.train
    first_call, first = timed(lambda: trained.train(1))
    rest, last = timed(lambda: trained.train(epochs - 1))
    state["epochs"] = max(1, min(epochs, math.floor(ROUND_SECONDS * (epochs - 1) / rest)))
    state["networks"] = len(last)
    return {"first": first, "last": last, "way": trained.way,
            "start_seconds": trained.compiling or ready + first_call}


def one_round(state: dict[str, Any], side: str, dtype: str) -> float:
    """Train for a round, and return seconds a network and epoch."""
    return timed(lambda: state["train"](state["epochs"]))[0] / state["epochs"] / state["networks"]


def best_in_turns(rounds: int, *sides: Callable[[], Any]) -> list[float]:
    """Return the least seconds of each side, which take turns."""
    return np.min([[timed(side)[0] for side in sides] for _ in range(rounds)], axis=0).tolist()


def scaling(state: dict[str, Any], side: str, dtype: str, workload: Many, threads: int, epochs: int,
            rounds: int) -> float:
    """Return the time of `fit_many` on one thread ÷ that on so many."""
    from .many_sides import fit_many

    X, Y = data_of_many(workload, dtype)
    one, several = (fit_many(workload, X, Y, count).train for count in (1, threads))
    one(1), several(1)
    seconds = best_in_turns(rounds, lambda: one(epochs), lambda: several(epochs))
    return seconds[0] / seconds[1]


def overhead(state: dict[str, Any], side: str, dtype: str, threads: int, rounds: int) -> dict[str, float]:
    """Return the microseconds a network of calls with a single step, new fits each: fit_many, the loop, the step."""
    import fastbp

    from .many_sides import networks

    X, Y = data_of_many(FEW_ROWS, dtype)
    made, alone = networks(FEW_ROWS, dtype), networks(FEW_ROWS, dtype)[0]
    settings: dict[str, Any] = {"batch_size": FEW_ROWS.batch, "optimizer": fastbp.Adam()}
    long = 20_000  # epochs of one step: a call is lost in them

    def in_a_loop() -> None:
        for network in made:
            network.fit(X, Y, epochs=1, **settings)

    def in_one_call() -> None:
        fastbp.fit_many(made, X, Y, epochs=1, threads=threads, **settings)

    def steps_alone() -> None:
        alone.fit(X, Y, epochs=long, **settings)

    in_one_call(), in_a_loop(), alone.fit(X, Y, epochs=1, **settings)
    many, each, steps = best_in_turns(rounds, in_one_call, in_a_loop, steps_alone)
    count = FEW_ROWS.count
    return {"fit_many": 1e6 * many / count, "loop of fit": 1e6 * each / count, "step": 1e6 * steps / long}


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def memory(state: dict[str, Any], side: str, dtype: str, traced: bool, threads: int) -> dict[str, float]:
    """Return the bytes a network of 10,000: built, fitted, and at the peak of the fit.

    ``traced``: as `tracemalloc` counts what Python and NumPy allocate; else the memory of the process, by which the
    peak is that of the whole call, and small where pages from before are used again.
    """
    import fastbp

    X, Y = data_of_many(SMALL, dtype)
    settings: dict[str, Any] = {"epochs": 1, "batch_size": SMALL.batch, "optimizer": fastbp.Adam(), "threads": threads}

    def build(count: int) -> list[Any]:
        return [fastbp.Network(SMALL.layers, dtype=dtype, seed=seed) for seed in range(count)]

    fastbp.fit_many(build(10), X, Y, **settings)  # loads machine code, makes workspaces
    gc.collect()
    if traced:
        tracemalloc.start()
    now = (lambda: tracemalloc.get_traced_memory()[0]) if traced else resident
    before = now()
    made = build(SMALL.count)
    gc.collect()
    built = now()
    if traced:
        tracemalloc.reset_peak()
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak begins anew
    fastbp.fit_many(made, X, Y, **settings)
    peak = tracemalloc.get_traced_memory()[1] if traced else peak_resident()
    gc.collect()
    fitted = now()
    tracemalloc.stop()
    return {name: (value - before) / SMALL.count for name, value in
            (("built", built), ("fitted", fitted), ("peak", peak))}


def peak_resident() -> int:
    """Return the most bytes of this process that were in memory at a time."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


# ------------------------------------------------------------------------------------------------------ in the driver


def measure(workload: Many, sides: dict[str, Side], threads: int, epochs: int, rounds: int) -> dict[str, Any]:
    """Run the sides in turns on a workload; return microseconds a network and step, and what each has learned."""
    found: dict[str, dict[str, Any]] = {}
    for name, side in sides.items():
        try:
            found[name] = side.ask("prepare", workload, threads, epochs)
        except NotImplementedError:
            pass
        except RuntimeError as error:
            print(f"n/a on {workload.name}: {error}", file=sys.stderr)
    if "fit_many" not in found:
        raise SystemExit("fastbp itself cannot be measured")
    check(workload, found)
    best = dict.fromkeys(found, math.inf)
    for _ in range(rounds):
        for name in best:
            time.sleep(PAUSE_SECONDS)
            best[name] = min(best[name], sides[name].ask("round"))
    return {
        "workload": workload.name,
        "microseconds": {name: 1e6 * seconds / workload.steps for name, seconds in best.items()},
        "way": {name: row["way"] for name, row in found.items() if row["way"]},
        "start_seconds": {name: row["start_seconds"] for name, row in found.items()},
        "cost": {name: float(row["last"].mean()) for name, row in found.items()},
    }


def check(workload: Many, found: dict[str, dict[str, Any]]) -> None:
    """Say which side has networks that do not learn, or other costs than fastbp's after as many epochs."""
    for name, row in found.items():
        first, last = row["first"], row["last"]
        ours = found["fit_many"]["last"][: len(last)]
        # nan is no success, so the comparisons ask for what is right
        if len(last) < workload.count and name != "joblib, scikit-learn":
            print(f"{name} trains {len(last)} of {workload.name}", file=sys.stderr)
        if not (last < first).all():
            print(f"{name}: {np.sum(~(last < first))} networks of {workload.name} do not learn", file=sys.stderr)
        if not abs(last.mean() / ours.mean() - 1) <= SAME_COST:
            print(f"{name} does other work on {workload.name}: cost {last.mean():.4g}, that of the same networks "
                  f"with fastbp {ours.mean():.4g}", file=sys.stderr)


def run(threads: int, cores: list[int], dtype: str, workloads: list[Many], names: list[str], epochs: int,
        rounds: int) -> dict[str, Any]:
    """Measure all workloads with so many threads."""
    set_threads(threads, cores)
    os.environ["XLA_FLAGS"] += f" --xla_force_host_platform_device_count={threads}"
    sides = {name: Side(name, dtype, answer, daemon=name not in PROCESSES) for name in names}
    rows, bytes_each = [], {}
    try:
        for workload in workloads:
            row = measure(workload, sides, threads, epochs, rounds)
            if threads > 1:
                row["scaling"] = sides["fit_many"].ask("scaling", workload, threads, epochs, rounds)
            rows.append(row)
            print(f"{threads} thread{'s' * (threads > 1)}, {workload.name}: " +
                  ", ".join(f"{name} {value:.2f}" for name, value in row["microseconds"].items()) +
                  "".join(f"; {name}: {way}" for name, way in row["way"].items()), flush=True)
        costs = sides["fit_many"].ask("overhead", threads, 5 * rounds)
    finally:
        for side in sides.values():
            side.close()
    for kind, traced in (("tracemalloc", True), ("resident", False)):
        side = Side("fit_many", dtype, answer)
        try:
            bytes_each[kind] = side.ask("memory", traced, threads)
        finally:
            side.close()
    return {"threads": threads, "rows": rows, "overhead": costs, "bytes": bytes_each}


def table(result: dict[str, Any], names: list[str]) -> str:
    """Write the table of one number of threads in Markdown."""
    several = result["threads"] > 1
    peers = [name for name in names if name != "fit_many"]
    shown = [name for name in names if any(name in row["microseconds"] for row in result["rows"])]
    lines = [
        f"| {result['threads']} thread{'s' * several}: µs a network and step | " + " | ".join(shown) +
        " | best peer ÷ fit_many | loop ÷ fit_many |" + f" one thread ÷ {result['threads']} |" * several,
        "|---" + "|---:" * (len(shown) + 2 + several) + "|",
    ]
    for row in result["rows"]:
        times = row["microseconds"]
        ours = times["fit_many"]
        others = [times[name] for name in peers if name in times and name not in ("loop of fit", "joblib, fit")]
        ratios = [f"{min(others) / ours:.1f}" if others else "n/a",
                  f"{times['loop of fit'] / ours:.2f}" if "loop of fit" in times else "n/a"]
        ratios += [f"{row['scaling']:.2f}"] if several else []
        lines.append(f"| {row['workload']} | " + " | ".join(number(times.get(name)) for name in shown) + " | " +
                     " | ".join(ratios) + " |")
    return "\n".join(lines)


def starts(result: dict[str, Any], names: list[str]) -> str:
    """Write how long each side takes to the end of its first epoch, compilers and new processes included.

    Of several ways it is that of the fastest; fastbp's machine code is on disk from the run before.
    """
    shown = [name for name in names if any(name in row["start_seconds"] for row in result["rows"])]
    lines = [f"| {result['threads']} thread{'s' * (result['threads'] > 1)}: seconds to the end of the first epoch | " +
             " | ".join(shown) + " |", "|---" + "|---:" * len(shown) + "|"]
    for row in result["rows"]:
        lines.append(f"| {row['workload']} | " +
                     " | ".join(number(row["start_seconds"].get(name)) for name in shown) + " |")
    return "\n".join(lines)


def sentences(result: dict[str, Any]) -> str:
    """Write overhead and bytes."""
    costs, size = result["overhead"], result["bytes"]
    above = costs["fit_many"] - costs["step"]
    return (f"{result['threads']} thread{'s' * (result['threads'] > 1)}: a call of `fit_many` on {FEW_ROWS.count} "
            f"networks with {FEW_ROWS.samples} rows takes {costs['fit_many']:.1f} µs a network, {above:.1f} above its "
            f"single step, and a loop of `fit` {costs['loop of fit']:.1f} µs. {SMALL.count:,} networks of 2-8-1 take, "
            "in bytes each: " + "; ".join(f"{kind} " + ", ".join(f"{name} {value:,.0f}" for name, value in row.items())
                                          for kind, row in size.items()) + ".")


def markdown(record: dict[str, Any]) -> str:
    """Write tables, ways, machine, versions, date."""
    parts = [table(result, record["sides"]) for result in record["results"]]
    parts += [starts(result, record["sides"]) for result in record["results"]]
    parts += [sentences(result) for result in record["results"]]
    ways = [f"{row['workload']} on {result['threads']}: " +
            ", ".join(f"{side} {way}" for side, way in row["way"].items())
            for result in record["results"] for row in result["rows"] if row["way"]]
    if ways:
        parts.append("The fastest ways, by workload and number of threads: " + "; ".join(ways) + ".")
    used = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    parts.append(f"Adam, tanh, {record['dtype']}, a new order for each network in each epoch, {record['epochs']} "
                 f"epochs a call. Best of {record['rounds']} rounds, the sides taking turns; best peer: of those that "
                 f"do not run fastbp. {record['machine']}, {record['cores']} cores, {record['system']}; {used}. "
                 f"{record['date']}, `{record['command']}`.")
    return "\n\n".join(parts)


def main() -> None:
    """Read the options, measure, write."""
    from .many_sides import SIDES

    parser = argparse.ArgumentParser(prog="python -m bench.many", description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="one run for each number (default: 1 2)")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--select", nargs="+", metavar="TEXT", help="only workloads whose name contains one of these")
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES), metavar="SIDE",
                        help="beside fit_many: " + ", ".join(name for name in SIDES if name != "fit_many"))
    parser.add_argument("--epochs", type=int, default=10, help="of a call (default: 10)")
    parser.add_argument("--rounds", type=int, default=5, help="the best of so many (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--markdown", nargs="+", type=Path, default=[], metavar="FILE",
                        help=f"write the tables between {BEGIN} and {END} of these files")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    if not 1 <= min(options.threads) <= max(options.threads) <= len(cores):
        parser.error(f"--threads must be from 1 to {len(cores)}, the cores that this process may use")
    if options.epochs < 2 or options.rounds < 1:
        parser.error("--epochs must be at least 2, so that costs can fall, and --rounds at least 1")
    chosen = [w for w in MANY.values() if not options.select or any(text in w.name for text in options.select)]
    if not chosen:
        parser.error("no such workload; there are: " + "; ".join(MANY))
    names = [name for name in SIDES if name == "fit_many" or name in options.sides]
    record = {
        "date": datetime.date.today().isoformat(),
        "command": " ".join(["python -m bench.many", *sys.argv[1:]]),
        "machine": processor(),
        "cores": len(cores),
        "system": platform.platform(aliased=True, terse=True),
        "versions": versions(LIBRARIES),
        "dtype": options.dtype,
        "epochs": options.epochs,
        "rounds": options.rounds,
        "sides": names,
        "results": [run(threads, cores, options.dtype, chosen, names, options.epochs, options.rounds)
                    for threads in options.threads],
    }
    written = markdown(record)
    print(f"\n{written}")
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for path in options.markdown:
        between(path, BEGIN, END, written)


if __name__ == "__main__":
    main()
