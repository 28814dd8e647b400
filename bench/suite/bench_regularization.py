"""What regularisation adds to a step: target, at most 15 % of it.

``python -m bench.suite.bench_regularization`` prints the table of all settings and workloads.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastbp

from .common import best_in_turns, needs, network, trainer
from .workloads import WORKLOADS, Workload

KINDS: dict[str, dict[str, Any]] = {
    "l2": dict(l2=1e-4),
    "l1 and l2": dict(l2=1e-4, l1=1e-5),
    "weight_decay": dict(weight_decay=1e-2),
    "max_norm": dict(max_norm=3.0),
    "non_negative": dict(non_negative=True),
    "clip_value": dict(clip_value=1.0),
    "clip_norm": dict(clip_norm=0.1),
    "dropout": dict(dropout=0.5),
    "input_noise": dict(input_noise=0.1),
    "frozen weights": dict(trainable="half"),
}
NAMES = ["2-8-1 batch 32", "4-120-84-2 batch 32", "64-100-10 batch 200", "784-128-10 batch 64",
         "17-256-256-6 batch 256"]


def settings(kind: str, workload: Workload) -> Any:
    """Make the regularisation; of the weights that are frozen, every second one."""
    given = dict(KINDS[kind])
    if "trainable" in given:
        given["trainable"] = np.arange(network(workload).n_parameters) % 2 == 0
    return fastbp.Regularization(**given)


def processor_time(train: Callable[[int], None], epochs: int) -> float:
    """Return the processor seconds of one thread for so many epochs: waiting for others does not count."""
    start = time.process_time()
    train(epochs)
    return time.process_time() - start


def ratio(workload: Workload, kind: str, rounds: int = 5) -> float:
    """Divide the time of a step with this regularisation by that of a plain one, on one thread and in turns."""
    plain, other = trainer(workload), trainer(workload, regularization=settings(kind, workload))
    epochs = max(1, int(0.05 / processor_time(plain, 1)))
    seconds = best_in_turns(lambda: processor_time(plain, epochs), lambda: processor_time(other, epochs), rounds=rounds,
                            enough=1e9)
    return seconds[1] / seconds[0]


class Regularised:
    """A step with regularisation, in plain steps."""

    version = "1"
    params = [list(KINDS), NAMES]
    param_names = ["kind", "workload"]

    def setup(self, kind: str, name: str) -> None:
        """Skip commits without it."""
        needs("Network.fit(regularization)", *(f"Regularization({setting})" for setting in KINDS[kind]))

    def track_step(self, kind: str, name: str) -> float:
        """Divide the time of a step with it by that of a plain one."""
        return ratio(WORKLOADS[name], kind)

    track_step.unit = "plain steps"  # type: ignore[attr-defined]


def main() -> None:
    """Print the table; names of kinds may be given."""
    kinds = sys.argv[1:] or list(KINDS)
    print(f"{'a step, in plain steps':24s}" + "".join(f"{name.replace(' batch ', ' b'):>20s}" for name in NAMES))
    for kind in kinds:
        print(f"{kind:24s}", *(f"{ratio(WORKLOADS[name], kind, 15):19.2f}" for name in NAMES), flush=True)


if __name__ == "__main__":
    main()
