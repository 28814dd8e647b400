"""Small networks of one shape, trained as a stack: one in each lane of a vector, with the bits of a fit of its own."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..core import link, penalties
from ..core.samples import Samples
from ..kernels import layout, prototypes, tables
from ..kernels.compile import address
from ..kernels.compile.interrupts import Held
from ..kernels.layout import Plan
from ..kernels.passes import stacked
from ..kernels.updates import groups
from ..optimizers import UpdateRule
from ..regularization import Regularization
from ..util import machine
from . import ahead
from .ahead import Ahead
from .errors import DivergenceError
from .fit import Training
from .progress import Progress
from .steps import CHUNK_EPOCHS

Array = npt.NDArray[Any]

STACK_BYTES = 640 * 1024
"""Panels and parameters of a stack fit this, or its networks are trained one by one: most of a 1 MB L2 cache.

Times of a step alone ÷ in a full stack, batches of 32: 2-8-1 (72 kB) 2.2, 8-32-1 (306 kB) 1.8, 17-50-1 (586 kB) 1.5,
20-32-32-1 (840 kB) 1.0, 10-64-64-2 (1776 kB) 0.7; batches of 10: 3.0, 2.7, 2.2, 1.8, 1.4."""


def shape_of_stack(training: Training, samples: Samples, validation: Samples | None) -> Hashable | None:
    """Return what networks must have in common to be trained as a stack; None for one that can not be in any.

    Nothing may have to be done between epochs, and a batch is to be one block of more than one sample.
    """
    network, method, progress = training.network, training.method, training.progress
    architecture, n = network._architecture, len(samples)
    batch = min(training.batch_size, n)
    if (not isinstance(method, UpdateRule) or method.has_schedule or training.callbacks or validation is not None
            or training.metrics.columns or training.regularization is not None
            or not isinstance(training.shuffle, bool) or batch == 1 or samples.sparse
            or any(architecture.parametric) or architecture.encoding is not None or samples.kind != tables.KIND_PLAIN
            or architecture.target_columns != architecture.n_targets or samples.cost is not None or training.bfloat16):
        return None
    width = layout.lanes(architecture.dtype) * architecture.dtype.itemsize
    if (batch * (3 * sum(architecture.layers)) + 3 * architecture.n_parameters) * width > STACK_BYTES:
        return None
    if network._workspaces.block(samples.request(batch))[0] < batch:
        return None
    past: Hashable = None
    if progress is not None:
        hyper = progress.hyper.copy()
        hyper[tables.HYPER_BATCH_WEIGHT] = 0  # of the last batch, each network's own; no rule asks for it
        past = progress.optimizer, hyper.tobytes(), progress.epochs
    return (id(network._workspaces), method, past, training.epochs, batch, training.shuffle, n, samples.picked is None,
            *map(id, (samples.inputs, samples.targets, samples.weights)))


class Member(NamedTuple):
    """A fit that has begun."""

    training: Training
    progress: Progress
    samples: Samples
    """Its rows are its own."""


class Stack:
    """Fits with the same `shape_of_stack`, as many as a vector has lanes or fewer, whose networks are locked.

    Parameters
    ----------
    members : list of Member
    pool : dict
        Plans of stacks, to be used again.
    """

    def __init__(self, members: list[Member], pool: dict[Any, list[Plan]]) -> None:
        self.members, self.pool = members, pool

    def run(self, hold: Held) -> list[DivergenceError | None]:
        """Train all of them; return how those ended that diverged."""
        first, before, samples = self.members[0]
        network, n = first.network, len(samples)
        batch = min(first.batch_size, n)
        picks = samples.picked is not None
        place = network._workspaces, batch, picks
        try:
            plan = self.pool.setdefault(place, []).pop()
        except IndexError:
            with network._borrow(samples.request(batch)) as (alone, _):
                plan = link.stacked(network._architecture, alone, batch, picks=picks)
        parameters, learner = self._learner()
        data, start, last = samples.data(), time.perf_counter(), before.epochs + first.epochs
        epoch, updates, used = -(-n // batch), before.epochs * -(-n // batch), plan
        places = ahead.places(first.method, None, network._architecture, learner.hyper)
        coming = Ahead(places, epoch, last * epoch)
        if places:
            coming.write_to(learner.hyper, plan.cost_parameter)
            used = link.following(plan, coming.table, network.dtype)
        task = layout.Task(n, batch, batch, int(samples.labels), int(first.shuffle and batch < n), 0, last, 0, 0)
        blocks = max(1, machine.CHUNK_WORK // (network._architecture.work * batch * layout.lanes(network.dtype)))
        seconds: list[float] = []
        costs: list[Array] = []
        progress = learner.progress

        def settle() -> None:
            done = int(progress[tables.PROGRESS_EPOCH] - progress[tables.PROGRESS_FIRST_EPOCH])
            costs.append(learner.costs.reshape(-1, layout.lanes(network.dtype))[:done].copy())
            seconds.extend([time.perf_counter() - start] * done)
            progress[tables.PROGRESS_FIRST_EPOCH] = progress[tables.PROGRESS_EPOCH]

        try:
            while progress[tables.PROGRESS_EPOCH] < last and not learner.status.all():
                end = min(int(progress[tables.PROGRESS_EPOCH]) + len(learner.costs) // len(learner.keys), last)
                began = time.perf_counter()
                coming.look(updates, min(blocks, end * epoch - updates))
                with hold.open():
                    stacked.run(used, parameters, data, task._replace(epochs=end, blocks=blocks), learner)
                updates += int(progress[tables.PROGRESS_BLOCKS])
                taken = max(time.perf_counter() - began, 1e-9)
                blocks = max(1, int(int(progress[tables.PROGRESS_BLOCKS]) * machine.CHUNK_SECONDS / taken))
                settle()
        finally:
            settle()
            self._write_back(parameters, learner, np.concatenate(costs), np.array(seconds))
            self.pool[place].append(plan)
        return [DivergenceError(int(done) + 1, member.progress.learning_rate) if status else None
                for member, done, status in zip(self.members, learner.done, learner.status, strict=False)]

    def _learner(self) -> tuple[Array, layout.StackedLearner]:
        """Return the parameters of all networks as vectors, and what a pass changes beside them."""
        (first, before, _), members = self.members[0], self.members
        network, method = first.network, first.method
        assert isinstance(method, UpdateRule)
        lane, count, dtype = layout.lanes(network.dtype), network.n_parameters, network.dtype
        filled = [members[v if v < len(members) else 0] for v in range(lane)]  # a lane without one repeats the first

        def vectors(arrays: list[Array]) -> Array:
            found = layout.aligned(lane * arrays[0].size, dtype)
            found.reshape(-1, lane)[:] = np.stack(arrays, axis=-1)
            return found

        parameters = vectors([member.training.network._parameters for member in filled])
        orders = [member.samples.order() for member in filled]
        progress = np.zeros(tables.PROGRESS_COUNT, np.int64)
        progress[[tables.PROGRESS_EPOCH, tables.PROGRESS_FIRST_EPOCH]] = before.epochs
        update, hyper = address(method.rule, dtype, prototypes.update_rule), before.hyper.copy()
        if factors := [row._replace(begin=lane * row.begin, end=lane * row.end)
                       for row in method.stretches(network._architecture)]:
            rule, update = update, address(groups.update, dtype, prototypes.update_rule)
            hyper = penalties.numbers(Regularization(), network._architecture, hyper, factors=factors, ungrouped=rule)
        return parameters, layout.StackedLearner(
            gradient=layout.aligned(lane * count, dtype), state=vectors([member.progress.state for member in filled]),
            best=parameters.copy(), hyper=hyper, update=update,
            order=np.concatenate(orders), apart=orders[0].size,
            keys=np.array([member.progress.key for member in filled], np.int64), progress=progress,
            status=np.zeros(lane, np.int64), done=np.full(lane, before.epochs), totals=np.zeros(lane),
            epoch_costs=np.zeros(lane), weights=np.zeros(lane),
            costs=np.zeros(lane * min(first.epochs, CHUNK_EPOCHS)))

    def _write_back(self, parameters: Array, learner: layout.StackedLearner, costs: Array, seconds: Array) -> None:
        """Write to each network its parameters, its record, and what a later fit resumes."""
        lane = len(learner.keys)
        for v, (training, progress, _) in enumerate(self.members):
            network, done = training.network, int(learner.done[v]) - progress.epochs
            diverged = learner.status[v] == tables.STATUS_DIVERGED
            network._parameters[:] = (learner.best if diverged else parameters)[v::lane]
            network.history.extend(progress.epochs + 1, costs[:done, v], seconds[:done])
            if diverged:
                network._progress = None
                continue
            progress.state[:] = learner.state[v::lane]
            progress.hyper[:] = learner.hyper[: tables.HYPER_COUNT]
            progress.hyper[tables.HYPER_BATCH_WEIGHT] = learner.totals[v]
            progress.epochs += done

