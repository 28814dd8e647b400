"""Network: a feed-forward network that is trained by backpropagation."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import Any, Never, NoReturn

import numpy as np
import numpy.typing as npt

from . import activations, cfunctions, costs, custom, initializers, persistence
from .core import arrays, construction, evaluation, forward, initialization, summary
from .core.architecture import Architecture, Functions, named_activations
from .derivatives.methods import Derivatives
from .encoders import Encoder
from .formats import methods as formats
from .jit import learning_rates, make, on_batch
from .optimizers import Optimizer
from .regularization import Regularization
from .training import beginning, state
from .training import fit as training
from .training import metrics as measures
from .training.callbacks import Callback
from .training.history import History
from .training.metrics import Wanted
from .training.progress import Trainable
from .training.steps import Reorder
from .util import keywords

Array = npt.NDArray[Any]

FIXED = frozenset({"layers", "activations", "cost_function", "bias", "dtype", "init", "n_parameters", "seed", "weights",
                   "biases", "alphas", "encoders", "scaling", "encoded_size", "encoder_parameters", "scaling_factors"})
"""Attributes that follow from what a network was built with."""

KINDS: dict[str, type] = {"history": History, "generator": np.random.Generator}
"""Attributes that may be assigned, and what they must be."""


ACTIVATIONS, COSTS = frozenset(activations.ACTIVATIONS), dict(costs.COSTS)
"""Those that are built in, whose names nobody can register anew."""


def _described(layers: Sequence[int], activation: Functions, output: custom.Output | None,
               cost: str | costs.Cost | Callable[..., Any], bias: bool, kind: np.dtype[Any],
               encoders: Sequence[Encoder] | None = None, scaling: bool = False) -> Architecture:
    """Return what these describe, checked."""
    sizes = construction.layers(layers, kind.itemsize, bias)
    scaling = arrays.flag("scaling", scaling)
    coded = construction.encoders(encoders, sizes[0], kind, scaling=scaling)
    function = custom.given_cost(cost) if callable(cost) else costs.get(cost)
    rows = named_activations(sizes, custom.given(activation), custom.given_output(output, sizes[-1]), function)
    architecture = Architecture(sizes, rows, function, bias, kind, coded, scaling)
    if coded:
        construction.check_memory(architecture)
    return architecture


_remembered = functools.lru_cache(64)(_described)
"""The same of numbers and names: to check them again took a fifth of the time of a small network."""


def _is_plain(layers: Any, activation: Any, output: Any, cost: Any) -> bool:
    """Return whether these are numbers, names and built-in costs, which always describe the same."""
    known = cost in COSTS if type(cost) is str else type(cost) is costs.Cost and COSTS.get(cost.name) is cost
    return (known and type(layers) is tuple and all(type(n) is int for n in layers)
            and type(activation) is str and activation in ACTIVATIONS
            and (output is None or type(output) is str and output in ACTIVATIONS))


class Network(Trainable, Derivatives):
    """A feed-forward network g(x) = f^L(W^L … f^1(W^1 x + b^1) … + b^L).

    Parameters
    ----------
    layers : sequence of int
        Neurons of each layer, (n_0, …, n_L); n_0 is the number of inputs, n_L of outputs.
    activation : str, Activation, function or sequence of these, default "tanh"
        One for all hidden layers, or one for each: a name of `fastbp.activations.ACTIVATIONS`, what
        `fastbp.parametric` gives, or a function φ(net) of your own, see `fastbp.register_activation`. A network with
        functions that are in no catalogue cannot be saved, nor used once it is unpickled: register those.
    output : str, Activation, function or sequence of these, optional
        Activation of the output layer, or one for each output: ``["identity", "softplus"]``. By default the one that
        goes with the cost, `fastbp.costs.Cost.output`:
        logistic for binary_cross_entropy, softmax for cross_entropy, identity for squared_error.
    cost : str, Cost or function, default "squared_error"
        See `fastbp.costs.COSTS`, for a function C(y, o) of your own `fastbp.register_cost`; `fastbp.huber`,
        `fastbp.quantile` and `fastbp.gaussian_nll` take a parameter, `fastbp.whole_cost` a function of all outputs.
        Summed over outputs, averaged over samples: squared_error is ½Σ_j(o_j − y_j)². gaussian_nll has two outputs for
        each target, its mean and the logarithm of its variance: all means before all logarithms.
    bias : bool, default True
        Whether neurons have biases b_j.
    dtype : {"float32", "float64"}, default "float32"
        Of parameters and of all arithmetic. Data of another dtype are converted once.
    init : str, Constant or list, default "auto"
        What the parameters begin with, also after `reset`: a name of `fastbp.initializers.INITIALIZERS`;
        ``fastbp.initializers.Constant(value)``; or a list with an entry for each layer l = 1..L, which is one of these,
        or W^l of shape (n_l, n_{l-1}), or a tuple (W^l, b^l). "auto" picks by each layer's activation, and begins with
        0 for the outputs log σ² of gaussian_nll. Biases start at 0 unless they are given or the rule draws them.
    seed : int or numpy.random.Generator, optional
        Seed of the generator of first weights and shuffles. The same seed gives the same bits, for any number of
        threads, on the same type of CPU: another vector width changes the last digits, and all that dropout and
        input noise draw. A Generator is asked for one, ``integers(2**63)``: networks that are built one after the
        other have different ones.
    encoders : list of Encoder, optional
        What the columns of X become before the first layer reads them, see `fastbp.encoders`: numbers as they are,
        one-hot codes, embeddings of categories and of numbers. Each column is read by at least one; layers begin with
        the number of columns, n_0, and W^1 has as many columns as there are encoded numbers, ``encoded_size``.
    scaling : bool, default False
        Multiply each encoded number by a factor of its own, which is learned and begins at 1.

    Attributes
    ----------
    parameters : ndarray, shape (n_parameters,)
        The flat buffer: what encoders learn, then for each layer W^l row by row, b^l, and α^l if it is parametric.
        Writable; training updates it in place, and what is assigned is copied into it.
    history : History
        The record of the last fit.
    generator : numpy.random.Generator
        What the next fit or `reset` draws from.
    flat : bool
        Whether results have no axis for the outputs, since the targets of the last fit had none: after Y of shape
        (n_samples,) `predict` returns (n_samples,), too. May be assigned.
    encoded_size : int
        Numbers that the first layer reads: n_0 without encoders.
    encoder_parameters : tuple of dict
        What each encoder learns, by name: views into `parameters`.
    scaling_factors : ndarray, shape (encoded_size,)
        Factors of the scaling layer, a view; empty without.
    layers, activations, cost_function, bias, dtype, init, seed, n_parameters, encoders, scaling
        What the network was built with, and how many numbers `parameters` holds. Fixed: to assign one is an
        AttributeError.

    Raises
    ------
    ValueError
        If a name is unknown (the message gives the nearest), a layer has no neurons, the number of activations does not
        fit, outputs do not go with the cost, or the network is larger than the machine's memory.
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

    def __init__(self, layers: Sequence[int], activation: Functions = "tanh",
                 output: custom.Output | None = None, cost: str | costs.Cost | Callable[..., Any] = "squared_error", *,
                 bias: bool = True, dtype: npt.DTypeLike = "float32",
                 init: str | initializers.Constant | Sequence[Any] = "auto",
                 seed: int | np.random.Generator | None = None, encoders: Sequence[Encoder] | None = None,
                 scaling: bool = False, **unknown: Never) -> None:
        keywords.check(Network, "Network", (), unknown, keywords.NETWORK)
        kind, bias = arrays.dtype(dtype), bool(bias)
        given = layers, activation, output, cost, bias, kind
        if encoders is None and scaling is False and _is_plain(*given[:4]):
            architecture = _remembered(*given)
        else:
            architecture = _described(*given, encoders, scaling)
        rules = construction.init(init, architecture.sizes, bias, kind)
        super().__init__(architecture, rules, initialization.seed(seed))

    def __setattr__(self, name: str, value: Any) -> None:
        """Set what may change; what is fixed can be set once, when the network is built."""
        if name[:1] == "_":
            object.__setattr__(self, name, value)
            return
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
                   "biases": "write into its arrays, biases[i][:] = b, or assign to parameters",
                   "alphas": "write into its arrays, alphas[i][:] = a, or assign to parameters"}
        raise AttributeError(f"{name} of a Network is fixed when it is built: "
                             + instead.get(name, "build a new Network"))

    reset = beginning.reset
    initialize = beginning.initialize

    def fit(self, X: Any, Y: Any = None, *others: Never, epochs: int = 100, batch_size: int | None = None,
            optimizer: str | Optimizer | None = None, sample_weight: npt.ArrayLike | None = None,
            validation: tuple[npt.ArrayLike, ...] | float | None = None,
            callbacks: Iterable[Callback] = (), progress: bool = False,
            shuffle: bool | Reorder = True, threads: int | None = None, resume: bool = False,
            profile: bool = False, regularization: Regularization | None = None,
            target_jacobian: npt.ArrayLike | None = None, jacobian_weight: npt.ArrayLike = 1.0,
            missing: str | None = None, signed_weights: bool = False, metrics: Wanted | None = None,
            memory: int | str | None = None, check_finite: bool = True, precision: str | None = None,
            **unknown: Never) -> Network:
        """Train by backpropagation, from the present parameters.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_0)
            Inputs. An array of the network's dtype in C order is not copied; a memory map stays on disk. Matrices and
            arrays of scipy.sparse are read as CSR; where fewer than a tenth of the numbers are not 0, the first layer's
            products are of these alone, else a block of samples at a time is made dense. In a masked array nothing
            may be masked. Where encoders read codes, NaN and -1 are a missing category. Also a source of
            `fastbp.data`, and with ``memory`` anything that has ``.shape`` and ``[a:b]``, or a list of such: these are
            read by blocks, see Notes.
        Y : array_like, shape (n_samples, n_L), or (n_samples,) if n_L is 1
            Targets, or a source of them; left out where X is a `fastbp.data.Stream`. For cross_entropy also
            (n_samples,) class indices; for gaussian_nll n_L/2 columns. `predict` returns the shape that Y has here.
        epochs : int, default 100
            Passes over the samples.
        batch_size : int, optional
            Samples in an update; the last batch of an epoch may be smaller. 1 is online learning, a number from
            n_samples up is full batch. By default 32, or all samples for a full-batch method, such as `LBFGS` or
            `LevenbergMarquardt`, for which an epoch is a step.
        optimizer : str or Optimizer, optional
            See `fastbp.optimizers`; a name stands for its defaults. By default Adam; in a fit that resumes, the one
            that it goes on with, see ``resume``.
        sample_weight : array_like, shape (n_samples,) or (n_samples, n_L), optional
            Weights of the samples in the mean cost of their batch, or w_sj of their single targets: then the cost is
            n_L Σ_sj w_sj C_sj / Σ_sj w_sj, in which the same weight for all targets of a sample is that of the sample.
        validation : pair (X, Y), triple (X, Y, J) or float, optional
            Samples whose cost is computed after each epoch, with J that of ``target_jacobian``; a fraction keeps back
            the *last* rows (shuffle beforehand if they are sorted), and both parts need a positive sample weight.
        callbacks : iterable of callables
            Each is called after each epoch with a `Record` (epoch, cost, validation_cost, seconds, network, updates,
            learning_rate, gradient_norm, set_learning_rate, penalty, diagnostics, metrics); if one returns True,
            training stops. One that is a context manager is entered first, and left when the fit ends. Ready-made:
            `EarlyStopping`, `TargetCost`, `GradientNorm`, `TimeLimit`, `MaxUpdates`, `Checkpoint`. One may change
            ``network.parameters``, with any optimizer: a full-batch method then computes cost and gradient there, and
            begins its direction anew; the history keeps the cost of before. ``record.set_learning_rate(rate)`` acts
            from the next epoch on.
        progress : bool, default False
            Show a tqdm bar (``pip install fastbp[progress]``).
        shuffle : bool or callable, default True
            Take the samples of each epoch in a new random order. A callable is given the sample indices, (n_samples,)
            int64, before each epoch, and overwrites them with those to take, some more than once if it likes; they are
            read when it returns, and not later. A batch that holds all samples has no order: only a callable changes
            it. A full-batch method takes no callable.
        threads : int, optional
            How many there may be at most, up to 1024; None allows one for each processor. The work in a step decides
            how many there are, and small networks are trained by one. It changes the time, never the result.
        resume : bool, default False
            Go on where the last fit stopped: optimizer, its state, epoch numbers, random stream, history, and what
            `EarlyStopping` had seen. Two halves then give the bits of the whole, unless the first has ended with the
            best parameters put back, from which the second goes on; a `Checkpoint` holds those of the last epoch.
            An ``optimizer`` of the same kind may have other settings, a learning rate or schedule for instance: they
            act from now on, and the state is kept. A new schedule is called with the number of all epochs so far, a new
            `ReduceOnPlateau` begins with its own rate. One that is as long as the fit is as long as all epochs up to
            the last of this one: what a `Checkpoint` has kept goes on to the same end. A name alone changes nothing.
            Another kind, or a setting with which the state has another size (``memory`` of `LBFGS`, a ``momentum`` of
            `SGD` from or to 0), is an error.
        profile : bool, default False
            Leave in ``history.profile`` where the time went: gather, forward, activation, cost, backward, gradient,
            update and waiting, per layer, with GFLOP/s and share of the machine's peak. Not for ``batch_size=1``.
        regularization : Regularization, optional
            Penalties, constraints, clipping, dropout, noise; see `fastbp.Regularization`. Like the batch size, it is
            given anew to a fit that resumes.
        target_jacobian : array_like, shape (n_samples, n_L, n_0), or (n_samples, n_0) if n_L is 1, optional
            Targets J of ∂o/∂x, beside those of o. Then what is minimised, and recorded as cost, is the (weighted) mean
            of C(y, o) + λ/2 Σ_ji (∂o_j/∂x_i − J_ji)² (Sobolev training, Czarnecki et al. 2017, equation 1); see Notes.
            For gaussian_nll those of ∂μ/∂x, n_L/2 rows a sample. Not with a sparse X. With ``Y=None`` slopes alone are
            learned.
        jacobian_weight : float or array_like, shape (n_L, n_0), default 1.0
            λ, not negative; or λ_ji, one for each ∂o_j/∂x_i, (n_0,) will do if n_L is 1.
        missing : {None, "ignore"}, default None
            "ignore": what is NaN or masked in Y or ``target_jacobian`` has not been observed, also in ``validation``. A
            missing target has weight 0, see ``sample_weight``; a row of which nothing is known is left out. A missing
            slope adds nothing to the sum over j and i, whose mean is over all rows as they are; where there are targets
            of slopes, rows that lack values count as well.
        signed_weights : bool, default False
            Take ``sample_weight`` as it is, (n_samples,), of either sign, as the advantages of a policy gradient: then
            the cost is the plain mean of w_s C_s over the samples, and may have no lower bound. Metrics are those of
            validation samples, then.
        metrics : list of str, callable or pair (str, callable), optional
            What is recorded after each epoch beside the cost, in ``history.metrics`` and ``record.metrics``, and can be
            watched (`EarlyStopping`, `fastbp.schedules.ReduceOnPlateau`): "accuracy", "auc", "cross_entropy" for costs
            of classes or probabilities; "r2", "mae", "mse", "rmse" for all others, and probabilities; functions, which
            are recorded under their name, or under the one given in a pair. Where single targets are missing or have
            weights, all but "accuracy" and functions compare each output for itself, see `score`. See Notes.
        memory : int or str, optional
            Bytes that buffers of samples may take, or text like "256MB": then samples are read by blocks if they do not
            fit. Sources of `fastbp.data` take "256MB" where none is given.
        check_finite : bool, default True
            Look for NaN and infinity in blocks when they are read first. False leaves it to a `DivergenceError`.
        precision : {"float32", "float64", "bfloat16"}, optional
            Of the products: with "bfloat16" what the three products of a step multiply is rounded to 8 significant
            bits, which takes a little more than half of the time in wide networks of float32; all else is float32, see
            Notes. By default that of the network's dtype.

        Returns
        -------
        Network
            self

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit, or there is none of that name; nothing has been changed then.
        DivergenceError
            If the cost or a parameter becomes infinite or NaN; the parameters of the last finite epoch are restored.
        TypeError
            If a function among the metrics returns no number. That epoch is recorded without metrics, and the network
            is as after it; so it is whatever such a function raises.
        RuntimeError
            If this network is being fitted already, by another thread or by the fit whose callback calls this; another
            fit came between, while the arguments of one that resumes were looked at; or an `EarlyStopping` is watching
            another network's fit.

        Notes
        -----
        Training on derivatives takes one tangent for each input through the network and back: about 1 + n_0 times the
        time of a step. Its gradient is exact; φ'' is 0 at the kinks of relu and its like. The workspace holds at most
        2048 samples and tangents, or one vector of samples with n_0 tangents each: 16 · 785 for 784 inputs.

        Of samples that are read by blocks, several blocks in a random order make a group, whose rows are shuffled (Xu
        et al. 2022): a function of seed and epoch, by which the bits depend on ``memory``, and not on threads. A thread
        reads the next group meanwhile. What fits into memory at once is trained on as if it had been given so, bit for
        bit. What is wrong with a row is an error of the first epoch, and the network as before. ``target_jacobian`` may
        be a source too, with one λ; ``shuffle`` is no function; "auc" and metrics that are functions hold all outputs,
        which may take as many bytes as ``memory`` once more. docs/how-to/scaling.md says more.

        Metrics are of the validation samples where there are any, else of the training samples, weighted by their
        weights. A name that begins with ``training_``, "training_accuracy", is of the training samples in any case.
        They change no bit of the fit, and take an epoch the time of a `predict` of those samples and of the metric in
        NumPy. "accuracy" counts the largest output of cross_entropy, and where outputs are each a probability those
        samples of which all are on the right side of ½; "auc" is the area under the ROC curve, ties counting half, the
        mean over each class against the rest; the others are means over the outputs, as in scikit-learn, "mse" without
        ½. A value is NaN where an output is not finite or it is not defined.

        In bfloat16 outputs and weights of (1), deltas and weights of (5), deltas and outputs of (6) are rounded to the
        nearest, ties to even, each time that they are multiplied; sums, biases, parameters, the optimizer's state,
        activations and the cost are float32, and so are validation, metrics and what else the fit asks of the network.
        The bits do not depend on the number of threads. It is for networks of float32, dense X and mini-batches, on
        processors that multiply bfloat16 (AVX512_BF16, or bfdot of arm64). A fit that resumes is given it anew.
        docs/explanation/performance.md says where it pays, and what is learned.

        A function of your own is called with y_true, the targets as the network learns them, (n, m), or class indices
        (n,) int64, and y_pred, the outputs as `predict` has them, (n, n_L); both flat, (n,), where there is one column,
        and read-only; and with ``sample_weight``, (n,) or None, if it has an argument of that name. With ``missing`` it
        does not see samples of weight 0. It returns a number.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
        >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
        >>> net = net.fit(X, Y, epochs=200, batch_size=2, optimizer=fastbp.Adam(0.05))
        >>> bool(net.history.cost[-1] < 1e-4), len(net.history)
        (True, 200)
        """
        keywords.check(Network.fit, "fit", others, unknown, keywords.FIT)
        training.fit(self, X, Y, sample_weight, validation, optimizer, resume, epochs=epochs, batch_size=batch_size,
                     callbacks=callbacks, bar=progress, shuffle=shuffle, threads=threads, profile=profile,
                     regularization=regularization, jacobian=(target_jacobian, jacobian_weight), metrics=metrics,
                     memory=memory, check_finite=check_finite, missing=missing, signed_weights=signed_weights,
                     precision=precision)
        return self

    train_on_batch = on_batch.train_on_batch
    train_on_output_gradients = on_batch.train_on_output_gradients
    learning_rate_range = learning_rates.learning_rate_range
    optimizer_state = state.optimizer_state
    set_optimizer_state = state.set_optimizer_state
    move_to = state.move_to
    predict = __call__ = forward.predict
    layer_outputs = forward.layer_outputs
    score = measures.score

    cost = evaluation.cost
    cost_and_gradient = evaluation.cost_and_gradient
    gradient = evaluation.gradient

    __repr__ = summary.written
    summary = summary.summary
    compiled = make.compiled
    cfunc = cfunctions.cfunc
    to_onnx = formats.to_onnx
    to_torch = formats.to_torch
    to_fann = formats.to_fann
    to_sklearn = formats.to_sklearn
    to_c = formats.to_c
    to_numpy = formats.to_numpy

    def copy(self) -> Network:
        """Return an independent copy: parameters, generator, optimizer's state and history.

        So do `copy.copy` and `copy.deepcopy`. A copy computes the same, whatever the names of its functions stand for
        by now.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
        >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
        >>> other = net.copy()
        >>> other.parameters[:] = 0
        >>> bool(net.parameters.any())
        True
        """
        return copy.deepcopy(self)

    __copy__ = copy

    save = persistence.save

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

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
        >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/net.safetensors"
        >>> net.save(path)
        >>> bool((fastbp.Network.load(path).parameters == net.parameters).all())
        True
        """
        return persistence.load(cls, path)

    architecture = persistence.described
