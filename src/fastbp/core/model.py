"""A network as everything below `Network` knows it: architecture, parameters, workspaces, lock."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import initializers
from ..costs import Cost
from ..data.source import in_memory, source
from ..encoders import Encoder
from ..initializers import Rule
from ..kernels import layout
from ..kernels.compile.interrupts import Held
from ..regularization import Regularization
from . import arrays, construction, observed
from .architecture import Architecture
from .conversion import pickled
from .request import Request
from .samples import Samples
from .shards import Team
from .streamed import Streamed
from .workspaces import Borrowed, Workspaces, shared

Array = npt.NDArray[Any]


class Fitting:
    """The lock of a model, and Ctrl-C held, while a block trains its parameters; see `Model._fitting`.

    Ctrl-C right after the lock is taken, or before it is released, would leave it taken.
    """

    def __init__(self, model: Model, held: Held | None) -> None:
        self.model, self.given, self.hold = model, held is not None, Held() if held is None else held

    def __enter__(self) -> Held:
        if self.given:
            self.model._lock_to_fit()
            return self.hold
        self.hold.__enter__()
        try:
            self.model._lock_to_fit()
        except BaseException as error:
            self.hold.__exit__(type(error), error, error.__traceback__)
            raise
        return self.hold

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.model._lock.release()
        if not self.given:
            self.hold.__exit__(kind, error, traceback)


class Model:
    """Architecture and parameters, the workspaces of passes, and the lock of a fit: what `fastbp.Network` is made on.

    Parameters
    ----------
    architecture : Architecture
    init : str, Constant or tuple
        What the layers begin with: one rule for all, or one for each.
    seed : int or None
        Of the generator.

    Attributes
    ----------
    generator : numpy.random.Generator
        What first weights and the key of a fit are drawn from.
    init, seed
        What it was built with.
    """

    _flat = False  # what pickles of before have
    _workspaces: Workspaces
    _architecture: Architecture
    _parameters: Array
    _shown: Array
    _views: tuple[Array, ...]
    _lock: threading.Lock
    generator: np.random.Generator
    init: Rule | tuple[Rule, ...]
    seed: int | None

    def __init__(self, architecture: Architecture, init: Rule | tuple[Rule, ...], seed: int | None) -> None:
        self._share(architecture)
        parameters = layout.aligned(self._architecture.n_parameters, self._architecture.dtype)
        self.__dict__.update(init=init, _parameters=parameters)
        self._prepare()
        self._begin(seed)

    def _begin(self, seed: int | None) -> None:
        """Draw first weights, or put back those that were given."""
        architecture, generator = self._architecture, np.random.default_rng(seed)
        self.__dict__.update(generator=generator, seed=seed)
        self._parameters.fill(0)  # biases stay there unless they are given or drawn
        if architecture.encoding is not None:
            architecture.encoding.draw(self._parameters, generator)
        functions = architecture.activations
        rules = self.init if isinstance(self.init, tuple) else (self.init,) * len(functions)
        for i, (W, row, rule) in enumerate(zip(self._views, functions, rules, strict=True)):
            n_out, n_in = W.shape
            W[:], b = initializers.draw(row.initializer if rule == "auto" else rule, generator, n_out, n_in, W.dtype)
            if b is not None and architecture.bias:
                self.biases[i][:] = b
        if any(architecture.parametric):
            for alphas, row in zip(self.alphas, functions, strict=True):
                if alphas.size:
                    alphas[:] = row.alpha
        n_targets = architecture.n_targets
        if rules[-1] == "auto" and n_targets < architecture.layers[-1]:  # log σ² is 0 at first, whatever x is
            self.weights[-1][n_targets:] = 0
            self.biases[-1][n_targets:] = 0

    def _reset_by(self, rule: Rule) -> None:
        """Have `reset` draw by another rule than the one it was built with: its first weights are the caller's."""
        self.__dict__["init"] = rule

    def _share(self, architecture: Architecture) -> None:
        """Take workspaces, and what is known of an architecture, that networks built alike have together."""
        workspaces = shared(architecture)
        # all at once: `Network.__setattr__` looks at each attribute, a tenth of the time that a small network takes
        self.__dict__.update(_workspaces=workspaces, _architecture=workspaces.architecture)

    def _with_cost(self, cost: Cost) -> Model:
        """Return a model over the same parameters that has another cost."""
        other = object.__new__(Model)
        other._share(replace(self._architecture, cost=cost))
        other._parameters = self._parameters
        other._prepare()
        return other

    def _prepare(self) -> None:
        """Make what is not copied or saved: views, workspaces, C functions, the lock."""
        architecture, parameters = self._architecture, self._parameters
        views = [parameters[start : start + n * m].reshape(m, n)
                 for start, (n, m) in zip(architecture.weights, pairwise(architecture.sizes), strict=True)]
        # what is done to the shape or flags of what is shown leaves the array of the kernels alone
        self.__dict__.update(_shown=parameters[:], _views=tuple(views), _lock=threading.Lock())

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for name in ("_shown", "_views", "_workspaces", "_lock"):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what was pickled, in arrays of our own: a pickle's may be read-only, mapped or another's too."""
        self.__dict__.update(state)
        self._share(self._architecture)
        architecture = self._architecture
        parameters = layout.aligned(architecture.n_parameters, architecture.dtype)
        parameters[:] = pickled("parameters", self._parameters, (architecture.n_parameters,), architecture.dtype)
        self._parameters = parameters
        if isinstance(self.init, tuple):
            self.__dict__["init"] = construction.init(self.init, architecture.sizes, architecture.bias,
                                                      architecture.dtype)
        self._prepare()

    # -------------------------------------------------------------------------------------------------- what it is

    @property
    def layers(self) -> tuple[int, ...]:
        """Neurons of each layer, (n_0, …, n_L)."""
        return self._architecture.layers

    @property
    def activations(self) -> tuple[str, ...]:
        """Name of the activation of each layer 1..L."""
        return self._architecture.names

    @property
    def cost_function(self) -> Cost:
        """The cost, a row of `fastbp.costs.COSTS` or what `fastbp.huber`, `quantile` and `gaussian_nll` give."""
        return self._architecture.cost

    @property
    def bias(self) -> bool:
        """Whether neurons have biases."""
        return self._architecture.bias

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of parameters and of all arithmetic."""
        return self._architecture.dtype

    @property
    def n_parameters(self) -> int:
        """Weights and biases of all layers, parameters of their activations, and what encoders learn."""
        return self._architecture.n_parameters

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """What the columns of X become before the first layer reads them; none if it reads them as they are."""
        return self._architecture.encoders

    @property
    def scaling(self) -> bool:
        """Whether there is a scaling layer before the first layer."""
        return self._architecture.scaling

    @property
    def encoded_size(self) -> int:
        """Numbers that the first layer reads: n_0, or as many as the encoders make of the columns."""
        return self._architecture.sizes[0]

    @property
    def encoder_parameters(self) -> tuple[dict[str, Array], ...]:
        """What each encoder learns, by name, see `fastbp.encoders`: views into `parameters`, where they come first."""
        encoding = self._architecture.encoding
        return () if encoding is None else encoding.views(self._parameters)

    @property
    def scaling_factors(self) -> Array:
        """Factors of the scaling layer, (encoded_size,): a view into `parameters`, empty without."""
        encoding = self._architecture.encoding
        return self._parameters[:0] if encoding is None else encoding.factors(self._parameters)

    @property
    def parameters(self) -> Array:
        """The flat buffer: what encoders learn, then for each layer W^l row by row, b^l, and α^l if it is parametric.

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
        return self._of_neurons(self._architecture.biases)

    @property
    def alphas(self) -> tuple[Array, ...]:
        """α^l of each layer, (n_l,): views into `parameters`; empty where its activation is not `fastbp.parametric`."""
        return self._of_neurons(self._architecture.alphas)

    @property
    def flat(self) -> bool:
        """Whether results have no axis for the outputs: the last fit had one target a sample, given as (n_samples,).

        Then `Network.predict` returns (n_samples,), too, `jacobian` (n_samples, n_0). Each fit and `train_on_batch`
        set it anew; it may be assigned.
        """
        return self._flat

    @flat.setter
    def flat(self, value: bool) -> None:
        value = arrays.flag("flat", value)
        if value and self._architecture.n_targets > 1:
            raise ValueError(f"flat is True, but the network has {self._architecture.n_targets} targets a sample: "
                             "results without an axis for the outputs are those of one target")
        self._flat = value

    def _take_shape(self, samples: Samples | Streamed) -> None:
        """Have results shaped as the targets of these samples are."""
        if samples.flat is not None and samples.flat != self._flat:
            self._flat = samples.flat

    def _without_axes(self, found: Array, single: bool) -> Any:
        """Return results (n_samples, n_L, …) of one row without their first axis, of flat targets without the next."""
        if self._flat and self.layers[-1] == 1:
            found = found[:, 0]
        return found[0] if single else found

    def _of_neurons(self, starts: list[int]) -> tuple[Array, ...]:
        """Return views of what each layer has a number a neuron of, empty where that begins nowhere."""
        return tuple(self._parameters[start : start + n] if start >= 0 else self._parameters[:0]
                     for start, n in zip(starts, self._architecture.layers[1:], strict=True))

    # --------------------------------------------------------------------------------------------- what it works with

    def _borrow(self, request: Request) -> Borrowed:
        """Borrow a workspace: see `Workspaces.borrow`."""
        return self._workspaces.borrow(request)

    def _strips(self, request: Request) -> int:
        """Return the number of vectors of samples in a block of a pass."""
        return layout.strips(self._workspaces.block(request)[0], self.dtype)

    def _fitting(self, held: Held | None = None) -> Fitting:
        """Hold the lock, and Ctrl-C but for the open parts, while parameters are trained; or as a caller holds it."""
        return Fitting(self, held)

    def _lock_to_fit(self) -> None:
        """Take the lock, or raise what forbids to train parameters."""
        if not self._lock.acquire(blocking=False):
            raise self._busy()
        try:
            self._check_trainable()
        except BaseException:
            self._lock.release()
            raise

    def _check_trainable(self) -> None:
        """Raise ValueError if a function of the user's own is missing, or parameters are read-only."""
        self._architecture.resolved()
        self._check_writable()

    def _busy(self) -> RuntimeError:
        """Return what is raised while parameters are trained already."""
        return RuntimeError("this network is being fitted already (by another thread, or by the fit that called this): "
                            "wait for its end, or use a copy()")

    def _samples(self, X: Any, Y: Any, sample_weight: Any = None, target_jacobian: Any = None,
                 jacobian_weight: Any = 1.0, *, sparse: bool = False, empty: bool = False) -> Samples:
        """Return a user's samples, checked; sparse X, or none at all, where those are allowed."""
        return arrays.samples(self._architecture, X, Y, sample_weight, target_jacobian, jacobian_weight, sparse=sparse,
                              empty=empty)

    def _observed(self, X: Any, Y: Any, sample_weight: Any, target_jacobian: Any, jacobian_weight: Any,
                  missing: Any, sparse: bool = True) -> Samples:
        """Return a user's samples where single outputs may have weights, and targets may be missing."""
        if observed.plain(Y, sample_weight, target_jacobian, jacobian_weight, missing):
            return self._samples(X, Y, sample_weight, target_jacobian, jacobian_weight, sparse=sparse)
        return observed.samples(self._architecture, X, Y, sample_weight, target_jacobian, jacobian_weight, missing,
                                sparse=sparse)

    def _by_blocks(self, X: Any, Y: Any, sample_weight: Any = None, target_jacobian: Any = None,
                   jacobian_weight: Any = 1.0, *, memory: Any = None, check_finite: Any = True, missing: Any = None,
                   team: Team | None = None) -> Samples | Streamed:
        """Return a user's samples to be read by blocks, or in memory if they fit and no team shares them."""
        if team is None and in_memory(X, Y, memory, target_jacobian):
            raise ValueError(f"check_finite is {check_finite!r}, but the samples are in memory, where they are looked "
                             "at in any case: leave it out, or give memory='256MB'")
        check = arrays.flag("check_finite", check_finite)
        given = {} if memory is None else {"memory": memory}
        Y = Y if missing is None else observed.with_holes(Y)
        slopes = self._architecture.n_targets, self._architecture.layers[0]
        found = Streamed(self._architecture, source(X, Y, sample_weight, target_jacobian, slopes), check=check,
                         team=team, missing=missing, jacobian_weight=jacobian_weight, **given)
        return found.load() if found.fits and team is None else found

    def _regularization(self, value: Any) -> Regularization | None:
        """Return a regularisation that fits this network, or None where there is nothing to do."""
        if value is None:
            return None
        if not isinstance(value, Regularization):
            raise TypeError(f"regularization is {value!r}, expected a fastbp.Regularization, for instance "
                            "fastbp.Regularization(l2=1e-4)")
        value.check(self.layers, self.n_parameters, self.cost_function)
        if value.is_set("input_noise"):
            self._architecture.refuse_encoders("Regularization: input_noise, which changes codes and numbers alike,")
        return value if value.acts else None
