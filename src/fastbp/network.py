"""Network: a feed-forward network that is trained by backpropagation."""

from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from . import activations, costs, initializers, jit, optimizers, persistence
from .cfunctions import CFunction
from .core import arrays, objective
from .core.samples import Samples
from .core.summary import Summary, summary
from .derivatives import first, second, uncertainty
from .derivatives.trace import Trace, forward, mean_abs_delta, trace
from .kernels import layout, prototypes, tables
from .kernels.compile import address
from .kernels.compile.interrupts import Held
from .kernels.derivatives import second as tangents
from .kernels.functions.activations import softmax_backward
from .kernels.passes import backprop, online
from .optimizers.base import Optimizer
from .optimizers.line_search import BatchMethod
from .regularization import Regularization
from .training import loop
from .training.callbacks import EarlyStopping
from .training.history import History
from .util import machine
from .util.names import Missing
from .util.optional import require

Array = npt.NDArray[Any]

FIXED = frozenset({"layers", "activations", "cost_function", "bias", "dtype", "init", "n_parameters", "seed", "weights",
                   "biases"})
"""Attributes that follow from what a network was built with."""

KINDS: dict[str, type] = {"history": History, "generator": np.random.Generator}
"""Attributes that may be assigned, and what they must be."""


class Network:
    """A feed-forward network g(x) = f^L(W^L … f^1(W^1 x + b^1) … + b^L).

    Parameters
    ----------
    layers : sequence of int
        Neurons of each layer, (n_0, …, n_L); n_0 is the number of inputs, n_L of outputs.
    activation : str or sequence of str, default "tanh"
        One name for all hidden layers, or one for each; see `fastbp.activations.ACTIVATIONS`.
    output : str, optional
        Activation of the output layer. By default the cost's partner: identity for squared_error, logistic for
        binary_cross_entropy, softmax for cross_entropy, exp for poisson.
    cost : str or Cost, default "squared_error"
        See `fastbp.costs.COSTS`; `fastbp.huber` and `fastbp.quantile` take a parameter. Summed over outputs, averaged
        over samples: squared_error is ½Σ_j(o_j − y_j)².
    bias : bool, default True
        Whether neurons have biases b_j.
    dtype : {"float32", "float64"}, default "float32"
        Of parameters and of all arithmetic. Data of another dtype are converted once.
    init : str, Constant or list, default "auto"
        What the parameters begin with, also after `reset`: a name of `fastbp.initializers.INITIALIZERS`;
        ``fastbp.initializers.Constant(value)``; or a list with an entry for each layer l = 1..L, which is one of these,
        or W^l of shape (n_l, n_{l-1}), or a tuple (W^l, b^l). "auto" picks by each layer's activation. Biases start at
        0 unless they are given or "nguyen_widrow" draws them.
    seed : int, optional
        Seed of the generator of first weights and shuffles. The same seed gives the same bits, for any number of
        threads, on the same type of CPU: another vector width changes the last digits, and all that dropout and
        input noise draw.

    Attributes
    ----------
    parameters : ndarray, shape (n_parameters,)
        The flat buffer: for each layer W^l row by row, then b^l. Writable; training updates it in place, and what is
        assigned is copied into it.
    history : History
        The record of the last fit.
    generator : numpy.random.Generator
        What the next fit or `reset` draws from.
    layers, activations, cost_function, bias, dtype, init, seed, n_parameters
        What the network was built with, and how many numbers `parameters` holds. Fixed: to assign one is an
        AttributeError.

    Raises
    ------
    ValueError
        If a name is unknown (the message gives the nearest), a layer has no neurons, the number of activations does not
        fit, or the network is larger than the machine's memory.
    TypeError
        If an argument is of the wrong type.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((2, 4, 1), output="logistic", cost="binary_cross_entropy", seed=1)
    >>> X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net.fit(X, Y, epochs=300, batch_size=4, optimizer=fastbp.Adam(0.1)).predict(X).round().ravel()
    array([0., 1., 1., 0.], dtype=float32)
    """

    def __init__(self, layers: Sequence[int], activation: str | Sequence[str] = "tanh", output: str | None = None,
                 cost: str | costs.Cost = "squared_error", *, bias: bool = True, dtype: npt.DTypeLike = "float32",
                 init: str | initializers.Constant | Sequence[Any] = "auto", seed: int | None = None) -> None:
        self.dtype = arrays.dtype(dtype)
        self.bias = bool(bias)
        self.layers = arrays.layers(layers, self.dtype.itemsize, self.bias)
        self.cost_function = costs.get(cost)
        self.activations = self._named_activations(activation, output)
        self.init = arrays.init(init, self.layers, self.bias, self.dtype)
        self.seed: int | None = None
        self._weights, self._biases, self.n_parameters = layout.offsets(self.layers, self.bias)
        self._parameters: Array = layout.aligned(self.n_parameters, self.dtype)
        self._rows = [activations.get(name) for name in self.activations]
        self._prepare()
        self._begin(None if seed is None else arrays.whole("seed", seed, 0))

    def __setattr__(self, name: str, value: Any) -> None:
        """Set what may change; what is fixed can be set once, when the network is built."""
        if name in FIXED and (name in self.__dict__ or hasattr(type(self), name)):
            self._refuse(name)
        if name in KINDS and not isinstance(value, KINDS[name]):
            raise TypeError(f"{name} is {value!r}, expected a {KINDS[name].__name__}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        """Delete what a user has added."""
        if name in FIXED or name in KINDS:
            self._refuse(name)
        super().__delattr__(name)

    def _refuse(self, name: str) -> NoReturn:
        instead = {"history": "fit and reset begin a new one", "generator": "assign another one",
                   "seed": "reset(seed) begins anew with another one, or build a new Network",
                   "weights": "write into its arrays, weights[i][:] = W, or assign to parameters",
                   "biases": "write into its arrays, biases[i][:] = b, or assign to parameters"}
        raise AttributeError(f"{name} of a Network is fixed when it is built: "
                             + instead.get(name, "build a new Network"))

    def _named_activations(self, activation: str | Sequence[str], output: str | None) -> tuple[str, ...]:
        hidden = len(self.layers) - 2
        if not isinstance(activation, (str, Sequence)):
            raise TypeError(f"activation is {activation!r}, expected a name, or one for each hidden layer")
        names = [activation] * hidden if isinstance(activation, str) else list(activation)
        if len(names) != hidden:
            raise ValueError(f"activation has {len(names)} names, expected {hidden}: one for each hidden layer")
        names.append(self.cost_function.output if output is None else output)
        if isinstance(activation, str):
            activations.get(activation)
        names = [activations.get(name).name for name in names]
        if "softmax" in names[:-1]:
            raise ValueError("activation 'softmax' is not element-wise: it is for the output layer only")
        if names[-1] == "softmax" and self.layers[-1] == 1:
            raise ValueError("softmax of one output is 1, whatever the input: use an output for each class, or for two "
                             "classes one output with cost 'binary_cross_entropy'")
        return tuple(names)

    def _prepare(self) -> None:
        """Make what is not copied or saved: views, pools of workspaces, C functions, the lock."""
        self._shown = self._parameters[:]  # what is done to its shape or flags leaves that of the kernels alone
        self._views = tuple(
            self._parameters[start : start + n * m].reshape(m, n)
            for start, n, m in zip(self._weights, self.layers[:-1], self.layers[1:], strict=True)
        )
        self._plans: dict[tuple[int, bool, int, int, bool], list[layout.Plan]] = {}
        self._c_functions: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def _check_functions(self) -> None:
        """Raise if a function of the user's own came with a pickle to a process that does not know it."""
        if not any(isinstance(kernel, Missing) for kernel in self._kernels()):
            return
        self._rows = [row.again() for row in self._rows]
        self.__dict__["cost_function"] = self.cost_function.again()
        for kernel in self._kernels():
            if isinstance(kernel, Missing):
                raise ValueError(kernel.why)

    def _kernels(self) -> list[Any]:
        return [*(row.kernel for row in self._rows), self.cost_function.kernel]

    # ------------------------------------------------------------------------------------------------ parameters

    @property
    def parameters(self) -> Array:
        """The flat buffer: for each layer W^l row by row, then b^l.

        It is the same array throughout the network's life, since views, plans and compiled code hold its address. While
        its ``flags.writeable`` is False, the network does not train.
        """
        return self._shown

    @parameters.setter
    def parameters(self, value: npt.ArrayLike) -> None:
        self._check_writable()
        self._parameters[:] = arrays.all_parameters(value, self.n_parameters, self.dtype)

    def _check_writable(self) -> None:
        if not self._shown.flags.writeable:
            raise ValueError("parameters is read-only, and would be overwritten: set parameters.flags.writeable = "
                             "True, or use a copy()")

    @property
    def weights(self) -> tuple[Array, ...]:
        """W^l of each layer, (n_l, n_{l-1}): views into `parameters`; write to them by ``weights[i][:] = W``."""
        return self._views

    @property
    def biases(self) -> tuple[Array, ...]:
        """b^l of each layer, (n_l,): views into `parameters`; empty arrays if ``bias=False``."""
        if not self.bias:
            return (self._parameters[:0],) * (len(self.layers) - 1)
        return tuple(self._parameters[start : start + n]
                     for start, n in zip(self._biases, self.layers[1:], strict=True))

    @property
    def work(self) -> int:
        """Multiply-adds of a training step for one sample: three a weight."""
        return 3 * sum(n * m for n, m in zip(self.layers[:-1], self.layers[1:], strict=True))

    def reset(self, seed: int | None = None) -> Network:
        """Draw new first weights (or put back those that were given), forget the history and the optimizer's state.

        Parameters
        ----------
        seed : int, optional
            Seed of the generator; None draws one from the operating system.

        Returns
        -------
        Network
            self
        """
        seed = None if seed is None else arrays.whole("seed", seed, 0)
        with self._fitting():
            self._begin(seed)
        return self

    def _begin(self, seed: int | None) -> None:
        self.generator = np.random.default_rng(seed)
        self.__dict__["seed"] = seed
        rules = self.init if isinstance(self.init, tuple) else [self.init] * len(self.activations)
        with np.errstate(under="ignore"):
            for W, b, row, rule in zip(self.weights, self.biases, self._rows, rules, strict=True):
                W[:], first = initializers.draw(row.initializer if rule == "auto" else rule, self.generator, *W.shape)
                if self.bias:
                    b[:] = first
        self.history = History()
        self._progress: loop.Progress | None = None

    # ------------------------------------------------------------------------------------------------- compiled

    def address(self, kernel: Any, prototype: Any = None) -> int:
        """Return the address of a kernel for this network's dtype."""
        return address(kernel, self.dtype, prototype)

    @contextmanager
    def plan(self, samples: int, *, backward: bool, threads: int = 1,
             kind: int = tables.KIND_PLAIN, sparse: bool = False) -> Iterator[tuple[layout.Plan, int]]:
        """Borrow a workspace for passes over batches of so many samples, and the number of samples in a block.

        Workspaces are pooled: several threads may predict with one network, each in a workspace of its own. They are
        kept, so their sizes are powers of two up to the largest: all together take less than three times that one.

        Parameters
        ----------
        samples : int
            Samples in a batch.
        backward : bool
            Whether deltas and gradients will be computed.
        threads : int, default 1
            How many threads will share it.
        kind : int, default tables.KIND_PLAIN
            What a pass computes, one of the kinds in `tables`.
        sparse : bool, default False
            Whether the inputs are the rows of a sparse matrix.

        Yields
        ------
        plan : layout.Plan
        block : int
        """
        block = self._block(samples, backward, kind)
        room = min(layout.room(block, self.dtype), self._block(layout.LARGEST_BLOCK, backward, kind))
        pool = self._plans.setdefault((room, backward, threads, kind, sparse), [])
        try:
            plan = pool.pop()
        except IndexError:
            plan = self.new_plan(room, backward=backward, threads=threads, kind=kind)
            if sparse:
                backprop.gather_sparse(plan, self.dtype)
        try:
            yield plan, block
        finally:
            pool.append(plan)

    def tangents(self, kind: int) -> int:
        """Directions whose tangents go along with each sample in a pass of this kind."""
        return {tables.KIND_PLAIN: 0, tables.KIND_SOBOLEV: self.layers[0]}.get(kind, 1)

    def strips(self, samples: int, kind: int = tables.KIND_PLAIN) -> int:
        """Vectors of samples in a block of a batch of so many samples."""
        return layout.strips(self._block(samples, True, kind), self.dtype)

    def _block(self, samples: int, backward: bool, kind: int) -> int:
        if kind == tables.KIND_PLAIN:
            return layout.block_samples(self.layers, self.dtype, samples, backward=backward)
        return layout.block_with_tangents(self.layers, self.dtype, samples, self.tangents(kind))

    def new_plan(self, block: int, *, backward: bool, threads: int = 1, kind: int = tables.KIND_PLAIN) -> layout.Plan:
        """Allocate a workspace for blocks of so many samples, with the addresses of all that this network calls."""
        self._check_functions()
        plan = layout.plan(self.layers, self.dtype, self.bias, block, backward=backward, threads=threads,
                           tangents=self.tangents(kind))
        cost, output = self.cost_function, self.activations[-1]
        backprop.fill_addresses(plan, self.dtype, backward)
        if backward and cost.targets == costs.CLASSES:
            backprop.fill_address(plan, self.dtype, tables.CELL_GATHER_LABELS)
        used = self._rows  # a pair has its own kernel
        if backward and self._canonical_link and kind == tables.KIND_PLAIN:
            used = used[:-1]
        for row, function in zip(plan.layers, used, strict=False):
            row[tables.LAYER_ACTIVATION] = self.address(function.kernel, prototypes.activation)
        if not backward:
            return plan
        plan.cells[tables.CELL_CANONICAL] = self._canonical_link
        plan.cells[tables.CELL_COST_KERNEL] = self.address(cost.pairs.get(output, cost.kernel), prototypes.cost)
        if output == "softmax" and not self._canonical_link:
            plan.cells[tables.CELL_JACOBIAN] = self.address(softmax_backward)
        plan.cost_parameter[0] = cost.parameter or 0.0
        if kind != tables.KIND_PLAIN:
            self._take_tangents(plan, kind)
        return plan

    def _take_tangents(self, plan: layout.Plan, kind: int) -> None:
        """Write the further addresses of a pass with tangents into its workspace."""
        for row, function in zip(plan.layers, self._rows, strict=True):
            if function.curvature is not None:
                row[tables.LAYER_SECOND] = self.address(function.curvature, prototypes.second_derivative)
        plan.cells[tables.CELL_COST_SECOND] = self.address(self.cost_function.curvature, prototypes.cost_second)
        if self.activations[-1] == "softmax":
            plan.cells[tables.CELL_JACOBIAN] = self.address(softmax_backward)
        tangents.fill_addresses(plan, self.dtype, kind)

    @property
    def _canonical_link(self) -> bool:
        return self.activations[-1] in self.cost_function.pairs

    @contextmanager
    def _fitting(self) -> Iterator[Held]:
        with Held() as hold:  # Ctrl-C right after the lock is taken, or before it is released, would leave it taken
            if not self._lock.acquire(blocking=False):
                raise RuntimeError("this network is being fitted already (by another thread, or by the fit that called "
                                   "this): wait for its end, or use a copy()")
            try:
                self._check_functions()
                self._check_writable()
                yield hold
            finally:
                self._lock.release()

    # --------------------------------------------------------------------------------------------------- its use

    def predict(self, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """Compute the outputs o^L.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_0) or (n_0,)
            Inputs; (n_samples, n_0) may be sparse, as in `fit`, and may have no rows. NaN in a row gives NaN in its
            outputs. What is not of the network's dtype is converted a part at a time.
        out : ndarray, shape (n_samples, n_L) or (n_L,), optional
            Where to write them: of the network's dtype, C-contiguous and writable. It may overlap X.

        Returns
        -------
        ndarray, shape (n_samples, n_L), or (n_L,) for one row of shape (n_0,)

        Raises
        ------
        ValueError, TypeError
            If shape or dtype of X or out do not fit.

        Notes
        -----
        A single row is computed with neurons in lanes, several rows with samples in lanes; the two sum in different
        orders, so they agree to rounding, not bit for bit.
        """
        n_in, n_out = self.layers[0], self.layers[-1]
        inputs: Any
        if type(X) is np.ndarray and X.shape == (n_in,) and X.dtype == self.dtype and X.flags.c_contiguous:
            single, inputs = True, X
        else:
            inputs, single = arrays.dense_or_sparse(X, n_in), np.ndim(X) == 1
        shape = (n_out,) if single else (len(inputs), n_out)
        if out is None:
            out = np.empty(shape, self.dtype)
        else:
            _held = arrays.output(out, shape, self.dtype)
            if not single and arrays.overlap(out, inputs, self._parameters):
                out[...] = self.predict(X)
                return out
        if single:
            self._predict_one(inputs, out)
        else:
            forward(self, inputs, len(self.layers) - 1, out)
        return out

    def _predict_one(self, x: Array, out: Array) -> None:
        row = arrays.own_row(x, self.layers[0], self.dtype)
        pool = self._plans.setdefault((1, False, 1, tables.KIND_PLAIN, False), [])
        plan = pool.pop() if pool else self.new_plan(1, backward=False)
        online.predict(plan.layers, plan.panels, self._parameters, row, out)
        pool.append(plan)

    def _samples(self, X: Any, Y: Any, sample_weight: Any, target_jacobian: Any = None, jacobian_weight: float = 1.0, *,
                 sparse: bool = False, empty: bool = False) -> Samples:
        if target_jacobian is not None and hasattr(X, "tocsr"):
            raise TypeError("X is a sparse matrix, and target_jacobian is given: they do not go together; use "
                            "X.toarray() with it, or leave target_jacobian out")
        n_in, dtype = self.layers[0], self.dtype
        inputs = arrays.rows(X, n_in, dtype) if sparse else arrays.inputs(X, n_in, dtype, empty=empty)
        n = len(inputs)
        targets, labels = arrays.targets(Y, n, self.layers[-1], self.dtype, self.cost_function,
                                             self._canonical_link)
        weights = arrays.sample_weight(sample_weight, n, self.dtype)
        if target_jacobian is None:
            return Samples(inputs, targets, labels, weights)
        return Samples(inputs, targets, labels, weights,
                                arrays.slopes(target_jacobian, n, self.layers, self.dtype),
                                arrays.jacobian_weight(jacobian_weight))

    def fit(self, X: npt.ArrayLike, Y: npt.ArrayLike, *, epochs: int = 100, batch_size: int | None = None,
            optimizer: str | Optimizer | None = None, sample_weight: npt.ArrayLike | None = None,
            validation: tuple[npt.ArrayLike, ...] | float | None = None,
            callbacks: Iterable[loop.Callback] = (), progress: bool = False,
            shuffle: bool | loop.Reorder = True, threads: int | None = None, resume: bool = False,
            profile: bool = False, regularization: Regularization | None = None,
            target_jacobian: npt.ArrayLike | None = None, jacobian_weight: float = 1.0) -> Network:
        """Train by backpropagation, from the present parameters.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_0)
            Inputs. An array of the network's dtype in C order is not copied; a memory map stays on disk. Matrices and
            arrays of scipy.sparse are read as CSR, and made dense a block of samples at a time. In a masked array
            nothing may be masked.
        Y : array_like, shape (n_samples, n_L), or (n_samples,) if n_L is 1
            Targets. For cross_entropy also (n_samples,) class indices.
        epochs : int, default 100
            Passes over the samples.
        batch_size : int, optional
            Samples in an update; the last batch of an epoch may be smaller. 1 is online learning, a number from
            n_samples up is full batch. By default 32, or all samples for a full-batch method (`LBFGS`,
            `ConjugateGradient`, `ScaledConjugateGradient`, `Rprop`, `Quickprop`, `LevenbergMarquardt`,
            `BayesianRegularization`), for which an epoch is a step.
        optimizer : str or Optimizer, optional
            See `fastbp.optimizers`; a name stands for its defaults. By default Adam; in a fit that resumes, the one
            that it goes on with, see ``resume``.
        sample_weight : array_like, shape (n_samples,), optional
            Weights of the samples in the mean cost of their batch.
        validation : pair (X, Y), triple (X, Y, J) or float, optional
            Samples whose cost is computed after each epoch, with J that of ``target_jacobian``; a fraction keeps back
            the *last* rows (shuffle beforehand if they are sorted), and both parts need a positive sample weight.
        callbacks : iterable of callables
            Each is called after each epoch with a `Record` (epoch, cost, validation_cost, seconds, network, updates,
            learning_rate, gradient_norm); if one returns True, training stops. One that is a context manager is entered
            first, and left when the fit ends. Ready-made: `EarlyStopping`, `TargetCost`, `GradientNorm`, `TimeLimit`,
            `MaxUpdates`, `Checkpoint`. One may change ``network.parameters``, with any optimizer: a full-batch method
            then computes cost and gradient there, and begins its direction anew; the history keeps the cost of before.
        progress : bool, default False
            Show a tqdm bar (``pip install fastbp[progress]``).
        shuffle : bool or callable, default True
            Take the samples of each epoch in a new random order. A callable is given the sample indices, (n_samples,)
            int64, before each epoch, and overwrites them with those to take, some more than once if it likes; they are
            read when it returns, and not later. A batch that holds all samples has no order: only a callable changes
            it. A full-batch method takes no callable.
        threads : int, optional
            Number of threads, at most 1024; None decides from the work in a step. It changes the time, never the
            result.
        resume : bool, default False
            Go on where the last fit stopped: optimizer, its state, epoch numbers, random stream, history, and what
            `EarlyStopping` had seen. Two halves then give the bits of the whole, unless the first has ended with the
            best parameters put back, from which the second goes on; a `Checkpoint` holds those of the last epoch.
            An ``optimizer`` of the same kind may have other settings, a learning rate or schedule for instance: they
            act from now on, and the state is kept. A new schedule is called with the number of all epochs so far, a new
            `ReduceOnPlateau` begins with its own rate. A name alone changes nothing. Another kind, or a setting with
            which the state has another size (``memory`` of `LBFGS`, a ``momentum`` of `SGD` from or to 0), is an error.
        profile : bool, default False
            Leave in ``history.profile`` where the time went: gather, forward, activation, cost, backward, gradient,
            update and waiting, per layer, with GFLOP/s and share of the machine's peak. Not for ``batch_size=1``.
        regularization : Regularization, optional
            Penalties, constraints, clipping, dropout, noise; see `fastbp.Regularization`. Like the batch size, it is
            given anew to a fit that resumes.
        target_jacobian : array_like, shape (n_samples, n_L, n_0), or (n_samples, n_0) if n_L is 1, optional
            Targets J of ∂o/∂x, beside those of o. Then what is minimised, and recorded as cost, is the (weighted) mean
            of C(y, o) + λ/2 Σ_ji (∂o_j/∂x_i − J_ji)² (Sobolev training, Czarnecki et al. 2017, equation 1); see Notes.
            Not with a sparse X.
        jacobian_weight : float, default 1.0
            λ, not negative.

        Returns
        -------
        Network
            self

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit; nothing has been changed then.
        DivergenceError
            If the cost or a parameter becomes infinite or NaN; the parameters of the last finite epoch are restored.
        RuntimeError
            If this network is being fitted already, by another thread or by the fit whose callback calls this; another
            fit came between, while the arguments of one that resumes were looked at; or an `EarlyStopping` is watching
            another network's fit.

        Notes
        -----
        Training on derivatives takes one tangent for each input through the network and back: about 1 + n_0 times the
        time of a step. Its gradient is exact; φ'' is 0 at the kinks of relu and its like. Whatever the number of
        samples, the workspace holds at most 2048 samples and tangents together, or a vector of samples with its n_0
        tangents each where that is more: 16 · 785 for 784 inputs, float32 and AVX-512.
        """
        return self._fit(X, Y, sample_weight, validation, optimizer, resume, epochs=epochs, batch_size=batch_size,
                         callbacks=callbacks, bar=progress, shuffle=shuffle, threads=threads, profile=profile,
                         regularization=regularization, slopes=(target_jacobian, jacobian_weight))

    def _fit(self, X: Any, Y: Any, sample_weight: Any, kept: Any, optimizer: str | Optimizer | None, resume: bool, *,
             epochs: int, batch_size: int | None, callbacks: Iterable[loop.Callback], bar: bool,
             shuffle: bool | loop.Reorder, threads: int | None, profile: bool,
             regularization: Regularization | None, slopes: tuple[Any, float]) -> Network:
        epochs = arrays.whole("epochs", epochs)
        batch_size = None if batch_size is None else arrays.whole("batch_size", batch_size)
        threads = None if threads is None else arrays.whole("threads", threads, most=machine.MOST_THREADS)
        shuffle = arrays.shuffle(shuffle)
        progress = self._progress if resume else None
        if progress is not None:
            method = optimizers.resumed(progress.optimizer, optimizer)
        else:
            method = optimizers.get("adam" if optimizer is None else optimizer)
        regularization = self._regularization(regularization)
        listeners = arrays.callbacks(callbacks)
        if bar:
            require("tqdm.auto", "progress")
        samples, other = self._samples(X, Y, sample_weight, *slopes, sparse=True), None
        if samples.slopes is not None and regularization is not None:
            regularization.check_slopes()
        if samples.slopes is not None and profile:
            raise ValueError("profile=True tells apart the phases of training on values: leave out target_jacobian")
        if isinstance(kept, (tuple, list)) and len(kept) == 2:
            other = self._samples(kept[0], kept[1], None, sparse=True)
        elif isinstance(kept, (tuple, list)) and len(kept) == 3:
            other = self._samples(kept[0], kept[1], None, kept[2], slopes[1])
        elif kept is not None:
            first = len(samples) - arrays.validation_split(kept, len(samples))
            samples, other = samples.part(slice(None, first)), samples.part(slice(first, None))
            for part, use in ((samples, "train on"), (other, "validate with")):
                if part.weights.size and part.weights.max() == 0:
                    raise ValueError(f"validation={kept!r} keeps back the last {len(other)} of {first + len(other)} "
                                     f"rows, and sample_weight is 0 for all rows to {use}: shuffle the rows and their "
                                     "weights, or give validation=(X, Y)")
        if isinstance(method, BatchMethod):
            if batch_size is not None and batch_size < len(samples):
                raise ValueError(f"{type(method).__name__} takes all samples in a step, but batch_size is {batch_size} "
                                 f"of {len(samples)}: leave it out, or use 'adam' or another optimizer for "
                                 "mini-batches")
            if profile:
                raise ValueError("profile=True tells the phases of mini-batches apart: use 'adam' or 'sgd'")
            if callable(shuffle):
                raise ValueError(f"shuffle is a function, but {type(method).__name__} takes all samples in a step and "
                                 "knows no order: leave it out, or use 'adam' or another optimizer for mini-batches")
            if regularization is not None:
                regularization.check_full_batch(type(method).__name__)
            method.check(self, samples, regularization, machine.physical_memory() // 2)
            batch_size = len(samples)
        batch_size = 32 if batch_size is None else batch_size
        if profile and min(batch_size, len(samples)) == 1:
            raise ValueError(f"profile=True tells the phases of mini-batches apart, but batch_size is {batch_size} "
                             f"with {len(samples)} samples to train on, one a batch: use batch_size=2 or more, and "
                             "samples for it")
        with self._fitting() as hold:
            if progress is not None and self._progress is not progress:  # whose state may be of another size
                raise RuntimeError("this network has been fitted or reset while its arguments were looked at (by "
                                   "another thread, or by an argument): resume again, or use a copy()")
            for listener in listeners:
                if isinstance(listener, EarlyStopping):
                    listener.watch(self)
            if progress is not None:
                progress.go_on_with(method)
            else:
                progress = self._progress = loop.new_progress(self, method)
                self.history = History()
            try:
                loop.fit(self, samples, other, progress, epochs=epochs, batch_size=batch_size,
                             callbacks=listeners, bar=bar, shuffle=shuffle,
                             threads=threads, profile=bool(profile), regularization=regularization, hold=hold)
            except loop.DivergenceError:
                self._progress = None  # the optimizer's state is not finite either
                raise
        return self

    def _regularization(self, value: Any) -> Regularization | None:
        """Return a regularisation that fits this network, or None where there is nothing to do."""
        if value is None:
            return None
        if not isinstance(value, Regularization):
            raise TypeError(f"regularization is {value!r}, expected a fastbp.Regularization, for instance "
                            "fastbp.Regularization(l2=1e-4)")
        value.check(self.layers, self.n_parameters, self.cost_function)
        return value if value.acts else None

    def cost(self, X: npt.ArrayLike, Y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None, *,
             target_jacobian: npt.ArrayLike | None = None, jacobian_weight: float = 1.0) -> float:
        """Compute the mean cost E (3).

        Parameters
        ----------
        X, Y, sample_weight, target_jacobian, jacobian_weight
            As in `fit`.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            If the arrays do not fit.
        """
        samples = self._samples(X, Y, sample_weight, target_jacobian, jacobian_weight, sparse=True)
        return objective.cost_and_gradient(self, samples, np.empty(0, self.dtype))

    def cost_and_gradient(self, X: npt.ArrayLike, Y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None, *,
                          target_jacobian: npt.ArrayLike | None = None,
                          jacobian_weight: float = 1.0,
                          regularization: Regularization | None = None) -> tuple[float, Array]:
        """Compute the mean cost E (3) and its gradient (4)-(6).

        Parameters
        ----------
        X, Y, sample_weight, target_jacobian, jacobian_weight
            As in `fit`.
        regularization : Regularization, optional
            Its penalty is added to E, targets are smoothed, and fixed parameters have a gradient of 0. What it does to
            steps and samples (clipping, constraints, decay, dropout, noise) is left out.

        Returns
        -------
        cost : float
        gradient : ndarray, shape (n_parameters,)
            ∂E/∂parameters, laid out like `parameters`.

        Raises
        ------
        ValueError, TypeError
            If the arrays do not fit.
        """
        regularization = self._regularization(regularization)
        samples = self._samples(X, Y, sample_weight, target_jacobian, jacobian_weight, sparse=True)
        if samples.slopes is not None and regularization is not None:
            regularization.check_slopes()
        gradient = np.zeros(self.n_parameters, self.dtype)
        return objective.cost_and_gradient(self, samples, gradient, None, regularization), gradient

    def gradient(self, X: npt.ArrayLike, Y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None, *,
                 target_jacobian: npt.ArrayLike | None = None, jacobian_weight: float = 1.0) -> Array:
        """Compute the gradient of the mean cost: the second part of `cost_and_gradient`."""
        return self.cost_and_gradient(X, Y, sample_weight, target_jacobian=target_jacobian,
                                      jacobian_weight=jacobian_weight)[1]

    def trace(self, X: npt.ArrayLike, Y: npt.ArrayLike, *, views: bool = False) -> Trace:
        """Show what each neuron did in one step of backpropagation, for teaching and debugging.

        Parameters
        ----------
        X, Y
            As in `fit`. All samples are one batch, whose panels are all in memory at once.
        views : bool, default False
            Give net, out and delta as the kernels hold them, without a copy: views of shape (strips, lanes, n_l),
            where sample i is at ``[i // lanes, i % lanes]``. Samples past the last one repeat it in net and out; their
            deltas are 0.

        Returns
        -------
        Trace
            Lists with an entry for each layer l = 1..L: net (1), out (2) and delta (4)(5), each (n_samples, n_l), and
            gradient (6). The deltas are those of the mean cost, so each carries a factor 1/n_samples.

        Raises
        ------
        ValueError, TypeError
            If the arrays do not fit.

        Notes
        -----
        A strip holds as many samples as a vector of the CPU has lanes, neuron after neuron. No strides lead through
        several strips sample by sample, so that (n_samples, n_l) is a copy, and views keep the strips apart.
        """
        return trace(self, self._samples(X, Y, None), views)

    def layer_outputs(self, X: npt.ArrayLike, layer: int) -> Array:
        """Compute the outputs o^l of any layer (1)(2).

        Parameters
        ----------
        X : array_like, shape (n_samples, n_0)
            Inputs, or one row of shape (n_0,).
        layer : int
            1 to L, or from the end: -1 is the output layer, whose outputs are those of `predict`.

        Returns
        -------
        ndarray, shape (n_samples, n_l), or (n_l,) for one row

        Raises
        ------
        ValueError, TypeError
            If there is no such layer, or X does not fit.

        Notes
        -----
        Called outputs and not activations: `activations` holds the names of the functions, and what a neuron gives is
        its output o_j in the equations. Only the layers up to this one are computed, block by block.
        """
        number, top = arrays.whole("layer", layer, 1 - len(self.layers)), len(self.layers) - 1
        if number == 0 or number > top:
            raise ValueError(f"layer is {number}, expected 1 to {top}, or {-top} to -1 from the end; layer 0 is X")
        inputs, number = arrays.dense(X, self.layers[0]), number % (top + 1)
        found = np.empty((len(inputs), self.layers[number]), self.dtype)
        forward(self, inputs, number, found)
        return found[0] if np.ndim(X) == 1 else found

    def mean_abs_delta(self, X: npt.ArrayLike, Y: npt.ArrayLike,
                       sample_weight: npt.ArrayLike | None = None) -> list[Array]:
        """Return how much the cost depends on each neuron: the mean of |δ_j| over the samples.

        Parameters
        ----------
        X, Y, sample_weight
            As in `fit`.

        Returns
        -------
        list of ndarray, shape (n_l,), float64
            For each layer l = 1..L: how far, to first order, the cost E of a pair moves when net_j does, per unit, in
            the (weighted) mean over the pairs. δ_j is that of each pair's own cost (4)(5).

        Raises
        ------
        ValueError, TypeError
            If the arrays do not fit.
        """
        return mean_abs_delta(self, self._samples(X, Y, sample_weight))

    def summary(self) -> Summary:
        """Count what the network consists of: parameters, multiply-adds and bytes, layer by layer.

        Returns
        -------
        Summary
            A NamedTuple whose representation is a table.

        Examples
        --------
        >>> import fastbp
        >>> fastbp.Network((784, 128, 10), cost="cross_entropy").summary()
        layer  neurons  activation  parameters  multiply-adds    bytes
        -----  -------  ----------  ----------  -------------  -------
            0      784  (input)
            1      128  tanh           100,480        100,352  401,920
            2       10  softmax          1,290          1,280    5,160
        -----  -------  ----------  ----------  -------------  -------
          sum                          101,770        101,632  407,080
        cost 'cross_entropy', float32
        """
        return summary(self)

    # ----------------------------------------------------------------------------------------------- derivatives

    input_gradient = first.input_gradient
    vjp = first.vjp
    jvp = first.jvp
    jacobian = first.jacobian
    per_sample_gradient = first.per_sample_gradient
    gradient_norms = first.gradient_norms
    parameter_jacobian = first.parameter_jacobian
    hessian_vector_product = second.hessian_vector_product
    gauss_newton_vector_product = second.gauss_newton_vector_product
    hessian = second.hessian
    hessian_diagonal = second.hessian_diagonal

    # ----------------------------------------------------------------------------------------------- uncertainty

    posterior = uncertainty.posterior

    def compiled(self, batch: int = 256) -> jit.Model:
        """Return the network for use inside your own compiled code, see `fastbp.jit`.

        Parameters
        ----------
        batch : int, default 256
            Samples that a workspace takes at once. Larger batches go through it block by block; smaller numbers make
            smaller workspaces.

        Returns
        -------
        fastbp.jit.Model
            A NamedTuple of arrays over the same `parameters`: what compiled code learns, this network knows.

        Raises
        ------
        TypeError, ValueError
            If ``batch`` is not a whole number from 1 up.
        """
        return jit.model(self, arrays.whole("batch", batch))

    def cfunc(self, form: str = "arrays") -> CFunction:
        """Return the network as a C function: a pointer for ctypes, cffi, SciPy's LowLevelCallable and other libraries.

        Parameters
        ----------
        form : {"arrays", "quad", "filter"}, default "arrays"
            What it looks like in C, T being float or double by the network's dtype:

            - ``"arrays"``: ``void f(const T *x, T *out)``, n_0 numbers in, n_L out.
            - ``"quad"``: ``double f(int n, double *x)``, for a network with one output: what ``scipy.integrate``'s
              ``quad``, ``dblquad`` and ``nquad`` take. NaN where n is not n_0.
            - ``"filter"``: ``int f(double *window, npy_intp n, double *value, void *data)``, for a network with one
              output: what ``scipy.ndimage.generic_filter`` takes. NaN where n is not n_0.

        Returns
        -------
        CFunction
            Its ``ctypes`` is callable from Python, its ``address`` is the pointer. It follows the network's present
            parameters, allocates nothing, and may be called by any number of threads at once.

        Raises
        ------
        ValueError
            If there is no such form; the form returns one number and the network has more outputs; or a layer is so
            wide (from about 7,000 neurons in float64) that its workspace is no longer for a stack.

        Examples
        --------
        >>> import ctypes, numpy as np, fastbp
        >>> net = fastbp.Network((2, 1), init="zeros", dtype="float64")
        >>> net.parameters[:] = 3, 4, 5
        >>> f = net.cfunc("quad").ctypes
        >>> f(2, (ctypes.c_double * 2)(1, 10))
        48.0
        """
        return CFunction(self, form)

    # ------------------------------------------------------------------------------------------- copies and files

    def copy(self) -> Network:
        """Return an independent copy: parameters, generator, optimizer's state and history.

        So do `copy.copy` and `copy.deepcopy`. A copy computes the same, whatever the names of its functions stand for
        by now.
        """
        return copy.deepcopy(self)

    __copy__ = copy

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for name in ("_shown", "_views", "_plans", "_c_functions", "_lock"):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what was pickled, in arrays of our own: a pickle's may be read-only, mapped or another's too."""
        self.__dict__.update(state)
        fixed = self.__dict__
        self._weights, self._biases, fixed["n_parameters"] = layout.offsets(self.layers, self.bias)
        parameters = layout.aligned(self.n_parameters, self.dtype)
        parameters[:] = arrays.pickled("parameters", self._parameters, (self.n_parameters,), self.dtype)
        self._parameters = parameters
        if isinstance(self.init, tuple):
            fixed["init"] = arrays.init(self.init, self.layers, self.bias, self.dtype)
        if self._progress is not None:
            self._progress.own(self.n_parameters, self.dtype)
        self._prepare()

    def save(self, path: str | PathLike[str], *, training: bool = False) -> None:
        """Write architecture and parameters to a safetensors file.

        The file is written beside ``path``, synced and renamed, so that ``path`` always holds a whole file.

        Parameters
        ----------
        path : str or path
            Where to. An existing file is replaced: the new one has its mode, while owner and access lists are those of
            any new file, and another hard link to it keeps what it had. A symbolic link stays, and the file that it
            leads to is replaced.
        training : bool, default False
            Write also what ``fit(resume=True)`` goes on from: the optimizer and its state, the place in the random
            stream, the history.

        Raises
        ------
        OSError
            If it cannot be written; it names ``path``, and an existing file is left as it was.
        ValueError
            If the training cannot be written, since its schedule is a function and not one of `fastbp.schedules`, or
            since a parameter is not finite.

        Notes
        -----
        What is being written is called ``.fastbp.`` and 16 hexadecimal digits. A killed save leaves it behind; a later
        one into the same folder removes it after an hour.
        """
        persistence.save(self, path, training)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Network:
        """Read a network that `save` wrote; no code of the file is run.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        Network

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is not a whole file of a known format, or says what no constructor would take; the message says what
            is wrong.
        """
        return persistence.load(cls, path)

    def architecture(self) -> dict[str, Any]:
        """Return what `Network` was built with, as plain values."""
        return {
            "layers": list(self.layers),
            "activation": list(self.activations[:-1]),
            "output": self.activations[-1],
            "cost": self.cost_function.name,
            "cost_parameter": self.cost_function.parameter,
            "bias": self.bias,
            "dtype": self.dtype.name,
            "init": persistence.described_init(self.init),
            "seed": self.seed,
        }

    def __repr__(self) -> str:
        parts = [repr(self.layers)]
        hidden = self.activations[:-1]
        if len(set(hidden)) > 1:
            parts.append(f"activation={hidden!r}")
        elif hidden and hidden[0] != "tanh":
            parts.append(f"activation={hidden[0]!r}")
        if self.activations[-1] != self.cost_function.output:
            parts.append(f"output={self.activations[-1]!r}")
        if self.cost_function != costs.get("squared_error"):
            parts.append(f"cost={self.cost_function}")
        if not self.bias:
            parts.append("bias=False")
        if self.dtype != np.float32:
            parts.append(f"dtype={self.dtype.name!r}")
        if self.init != "auto":
            parts.append(f"init={self.init!r}")
        if self.seed is not None:
            parts.append(f"seed={self.seed!r}")
        built = f"Network({', '.join(parts)})"
        given = isinstance(self.init, tuple) and any(isinstance(rule, initializers.Given) for rule in self.init)
        return f"<{built}>" if given else built  # arrays are not written out, so it cannot be evaluated
