"""A fit by SciPy's L-BFGS-B."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize
from sklearn.utils.optimize import _check_optimize_result

from ..core.objective import cost_and_gradient, evaluation
from ..network import Network
from ..training.callbacks import EarlyStopping, ProgressBar, asks_to_stop
from ..training.history import Record
from ._base import _MLP, NOT_FINITE, _Samples

Array = npt.NDArray[Any]


def fit(mlp: _MLP, data: _Samples, kept: _Samples | None) -> None:
    """Minimise with SciPy's L-BFGS-B, as scikit-learn does: the same stopping rule, limits and messages."""
    if np.any(mlp.dropout):
        raise ValueError("solver='lbfgs' cannot follow a loss that is drawn anew each time: with dropout use "
                         "solver='adam' or another one for mini-batches")
    network: Network = mlp._network
    samples = network._samples(data.X, data.targets, data.weight, sparse=True)
    others = None if kept is None else network._samples(kept.X, kept.targets, None, sparse=True)
    gradient, nothing = np.empty_like(network.parameters), np.empty(0, network.dtype)
    offset, regularization = mlp._offset(data.targets, data.weight), mlp._regularization()
    other_offset, began = 0 if kept is None else mlp._offset(kept.targets, None), time.perf_counter()
    mlp.n_iter_, evaluations, stopped, changed = 0, 0, False, False

    def evaluate(parameters: Array) -> tuple[float, Array]:
        network.parameters[:] = parameters
        cost = loss(gradient)
        return cost, gradient.astype(np.float64)

    def listen(intermediate_result: Any) -> None:  # SciPy looks at the name of the argument
        nonlocal stopped, changed
        mlp.n_iter_ += 1
        network.parameters[:] = intermediate_result.x
        cost = float(intermediate_result.fun)
        other = None if others is None else cost_and_gradient(network, others, nothing, mlp.n_threads)
        part = 0.0 if loss.penalize is None else loss.penalize(nothing)
        mlp._record(mlp._loss(cost, part, offset),
                     None if other is None else mlp._loss(other, 0.0, other_offset))
        record = Record(mlp.n_iter_, cost, other, time.perf_counter() - began, network, mlp.n_iter_, math.nan,
                        lambda: float(np.linalg.norm(gradient)), lambda rate: None, part)
        left = network.parameters.copy()
        stopped = any([asks_to_stop(callback(record)) for callback in listeners])
        changed = not np.array_equal(left, network.parameters)
        if stopped or changed:
            raise StopIteration

    with ExitStack() as stack:
        loss = stack.enter_context(evaluation(network, samples, mlp.n_threads, regularization))
        listeners = list(mlp.callbacks or ())
        if mlp.progress:
            listeners.append(ProgressBar(mlp.max_iter, data.X.shape[0]))
        stack.enter_context(network._fitting())
        for listener in listeners:
            if isinstance(listener, EarlyStopping):
                listener.watch(network)
            if isinstance(listener, AbstractContextManager):
                stack.enter_context(listener)
        while True:
            changed = False
            found = scipy.optimize.minimize(
                evaluate, network.parameters.astype(np.float64), method="L-BFGS-B", jac=True, callback=listen,
                options={"maxfun": mlp.max_fun - evaluations, "maxiter": mlp.max_iter - mlp.n_iter_,
                         "gtol": mlp.tol})
            evaluations += found.nfev
            if not changed:
                network.parameters[:] = found.x
            if not changed or stopped or mlp.n_iter_ >= mlp.max_iter or evaluations >= mlp.max_fun:
                break
        found.nit = mlp.n_iter_
        part = 0.0 if loss.penalize is None else loss.penalize(nothing)
    if not np.isfinite(network.parameters).all():
        raise ValueError(NOT_FINITE)
    if not stopped:  # which SciPy takes for a failure
        mlp.n_iter_ = _check_optimize_result("lbfgs", found, mlp.max_iter)
    mlp.loss_ = mlp.best_loss_ = mlp._loss(float(found.fun), part, offset)
