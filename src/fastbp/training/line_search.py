"""Steps along a line, each to where the cost is low enough: compiled, for a direction of `optimizers.line_search`."""

from __future__ import annotations

from collections.abc import Callable

from ..core.conversion import readonly
from ..core.objective import gradient_norm, norm
from ..kernels import layout, prototypes, tables
from ..kernels.compile import address
from ..kernels.passes import line_search
from ..kernels.passes.predict import all_finite
from ..kernels.tables import ROW_BEFORE, ROW_GRADIENT, ROW_START
from ..kernels.updates import penalties as regular
from ..optimizers.line_search import LineSearch
from .steps import CHUNK_EPOCHS, CompiledSteps, Fit, regularized, steps_of


@steps_of.register(LineSearch)
class LineSearches(CompiledSteps):
    """Steps along a line, whose passes `line_search.next_point` directs."""

    restarts = True

    def __init__(self, optimizer: LineSearch, fit: Fit) -> None:
        request = fit.samples.request(len(fit.samples))
        request.regularization, request.end_epoch = fit.regularization, optimizer.next_point
        super().__init__(fit, request.samples, lambda: request)
        self.borrow(request)
        network, progress, regularization = fit.network, fit.progress, fit.regularization
        numbers, state, penalize = progress.hyper, progress.state, 0
        if regularization is not None:
            numbers, state = regularized(fit)
            penalize = address(regular.update, network.dtype, prototypes.update_rule)
        self.rows = progress.state.reshape(-1, network.n_parameters)
        self.learner = layout.learner(self.rows[ROW_GRADIENT], hyper=numbers, state=state,
                                      search=optimizer.search(network.dtype, penalize),
                                      epochs=min(fit.chunk, CHUNK_EPOCHS))
        self.learner.progress[[tables.PROGRESS_EPOCH, tables.PROGRESS_FIRST_EPOCH]] = progress.epochs
        self.blocks = max(1, min(self.blocks, int(2e6 / network.n_parameters)))  # some fifty vectors are read in a step

    def run(self, last: int, epochs_ended: Callable[[], bool]) -> None:
        """Take some, or go on with one that takes longer than a call."""
        learner, search = self.learner, self.learner.search
        learner.progress[tables.PROGRESS_STATUS] = tables.STATUS_RUNNING
        search[tables.SEARCH_LEFT] = min(len(learner.costs), last - int(learner.progress[tables.PROGRESS_EPOCH]))
        if search[tables.SEARCH_DOING] == tables.DOING_RESTING:
            line_search.set_out(self.plan.cells[tables.CELL_END_EPOCH], self.network._parameters, learner.best,
                                learner.state, learner.hyper, learner.progress, learner.sums, search, learner.costs)
        if learner.progress[tables.PROGRESS_STATUS] == tables.STATUS_RUNNING:
            self.call()
        self.ended = bool(learner.progress[tables.PROGRESS_STATUS] == tables.STATUS_DONE)

    def settle(self) -> None:
        """Go back to where the line begins."""
        if self.learner.search[tables.SEARCH_DOING] in (tables.DOING_SEARCHING, tables.DOING_RETURNING):
            self.network._parameters[:], self.rows[ROW_GRADIENT] = self.rows[ROW_START], self.rows[ROW_BEFORE]

    def restore(self) -> None:
        """Go back to where the line begins, or to where the last ended if a callback has put it where nothing is."""
        self.settle()
        self.learner.search[tables.SEARCH_DOING] = tables.DOING_RESTING
        if self.left is not None and not all_finite(readonly(self.network._parameters)):
            self.network._parameters[:] = self.left

    def restart(self) -> None:
        """Begin anew with the pass that a fit begins with, and go along the gradient then."""
        self.learner.hyper[tables.HYPER_STEPS], self.learner.search[tables.SEARCH_DOING] = 0, tables.DOING_FRESH
        self.ended = False

    def gradient_norm(self) -> float:
        """Return ‖∂E/∂w‖, computed anew where a callback has changed the parameters."""
        if self.changed():
            return gradient_norm(self.network, self.fit.samples, self.fit.threads, self.fit.regularization)
        return norm(self.rows[ROW_GRADIENT])
