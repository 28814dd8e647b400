"""The metrics of a fit: which are recorded beside the cost, of which samples, and their values after an epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..core.architecture import Architecture
from ..core.forward import outputs_of
from ..core.samples import Samples
from ..core.streamed import Streamed
from ..costs import CLASSES, UNIT, Cost
from ..data.source import in_memory
from ..kernels.compile.cached import cached_property
from ..metrics import METRICS, NAMES, TRAINING, Compared, Means, Metric, recorded_as
from ..util.names import plain
from .progress import Trainable

Array = npt.NDArray[Any]
Function = Callable[..., Any]
"""A metric of the user's own: called with y_true, y_pred, and sample_weight if there is an argument of that name."""

Wanted = Iterable[str | Function | tuple[str, Function]]
"""What a user asks for."""


SORTED_BYTES = 64
"""What "auc" takes for each sample beside outputs, targets and weights: its order, and what is sorted and summed."""


class Column(NamedTuple):
    """A metric that is recorded."""

    name: str
    own: Function | None
    """What the user has written, or None where it is one of the catalogue."""
    weighted: bool
    """Whether the user's function takes the weights of samples."""

    @property
    def training(self) -> bool:
        """Whether it is of the training samples in any case."""
        return self.name.startswith(TRAINING)

    @property
    def metric(self) -> Metric:
        """The row of the catalogue."""
        return METRICS[self.name.removeprefix(TRAINING)]

    @property
    def means(self) -> Means | None:
        """How it is computed of samples that are read by blocks, or None if it cannot be."""
        return None if self.own is not None else self.metric.means


class Metrics:
    """What fits record beside the cost.

    Parameters
    ----------
    wanted : list of str, callable or pair (str, callable)
        What the user asks for, or None.

    Raises
    ------
    ValueError, TypeError
        If there is no such metric, one comes twice, or a function has no name or other arguments.
    """

    def __init__(self, wanted: Any) -> None:
        self.columns: list[Column] = []
        if wanted is None:
            return
        if isinstance(wanted, (str, Mapping, np.ndarray)) or callable(wanted) or not isinstance(wanted, Iterable):
            raise TypeError(f"metrics is {wanted!r}, expected a list of names and functions, for instance "
                            "metrics=['r2', 'mae']")
        for i, item in enumerate(wanted):
            column = _column(f"metrics[{i}]", item)
            if column.name in self.names:
                raise ValueError(f"metrics[{i}] is recorded as {column.name!r}, and so is another one: leave one out, "
                                 "or name a function of your own by a pair (name, function)")
            self.columns.append(column)

    @property
    def names(self) -> list[str]:
        """The names under which they are recorded."""
        return [column.name for column in self.columns]

    def check(self, cost: Cost) -> None:
        """Raise ValueError if one judges what outputs that go with this cost are not."""
        for column in self.columns:
            if column.own is not None:
                continue
            cost.refuse_data(f"metric {column.name!r}", ": give a function of your own, of y_true and y_pred; the cost "
                             "itself is cost(X, Y)")
            if column.metric.of_classes and cost.targets not in (UNIT, CLASSES):
                raise ValueError(f"metric {column.name!r} judges classes, but the cost is {cost}, for numbers: use "
                                 f"{_known(False)}, a network with cost='cross_entropy' or 'binary_cross_entropy', or "
                                 "a function of your own")
            if not column.metric.of_classes and cost.targets == CLASSES:
                raise ValueError(f"metric {column.name!r} judges numbers, but the cost is {cost}, for classes: use "
                                 f"{_known(True)}, or a function of your own")

    def check_blocks(self, samples: Samples | Streamed, validation: Samples | Streamed | None) -> None:
        """Raise ValueError if one asks for all outputs of samples that are read by blocks, and cannot have them."""
        for column in self.columns:
            side = samples if column.training or validation is None else validation
            if not isinstance(side, Streamed) or column.means is not None:
                continue
            asks = f"metric {column.name!r} asks for all outputs at a time"
            others = _known(column.own is None and column.metric.of_classes, blocks=True)
            if side.shared:
                raise ValueError(f"{asks}, but processes share the samples: use {others}, or give validation=(X, Y)")
            if (needed := _bytes_at_once(side)) > side.memory:
                raise ValueError(f"{asks}: of {len(side)} samples these take {needed} bytes, and memory is "
                                 f"{side.memory}: give memory={needed}, use {others}, or fewer samples")

    def check_samples(self, samples: Samples | Streamed, validation: Samples | Streamed | None) -> None:
        """Raise ValueError if one cannot be computed of targets that are missing or have weights of their own."""
        for column in self.columns:
            _check_targets(samples if column.training or validation is None else validation, [column])

    def check_watched(self, owner: object, name: str | None) -> None:
        """Raise ValueError if somebody watches a metric that is not recorded."""
        if name is not None and name not in self.names:
            raise ValueError(f"{type(owner).__name__} watches the metric {name!r}, but metrics is {self.names}: add it")

    def of(self, network: Trainable, samples: Samples | Streamed,
           validation: Samples | Streamed | None) -> Callable[[], dict[str, float]]:
        """Return what computes them at the present parameters: of samples to validate with where there are any."""
        mine = [column for column in self.columns if column.training or validation is None]
        others = [column for column in self.columns if column not in mine]
        sides = [(_side(network, samples, mine), mine)] if mine else []
        if validation is not None and others:
            sides.append((_side(network, validation, others), others))

        def measure() -> dict[str, float]:
            found: dict[str, float] = {}
            for side, columns in sides:
                found |= side.measured(columns)
            return {name: found[name] for name in self.names}

        return measure


def score(self: Trainable, X: Any, Y: Any = None, sample_weight: Any = None, *,
          metric: str | Function | None = None, missing: str | None = None,
          memory: int | str | None = None) -> float:
    """Compute how good the outputs are: the accuracy of classes and probabilities, R² of numbers, or another metric.

    Parameters
    ----------
    X, Y, sample_weight, missing, memory
        As in `fit`. Where single targets are missing or have weights, each output is compared for itself, and the mean
        is taken over those of which something is known; "accuracy" and functions take all targets or none of a sample.
    metric : str or callable, optional
        As one of the ``metrics`` of `fit`. By default "accuracy" where the cost is cross_entropy or
        binary_cross_entropy, else "r2", as of scikit-learn's classifiers and regressors.

    Returns
    -------
    float
        NaN where an output is not finite, or the metric is not defined.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit, or the metric does not go with the cost.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> net = fastbp.Network((1, 8, 1), seed=0).fit(X, X**2, epochs=200, optimizer="lbfgs")
    >>> net.score(X, X**2) > 0.99
    True
    """
    cost = self.cost_function
    metrics = Metrics([("accuracy" if cost.targets in (UNIT, CLASSES) else "r2") if metric is None else metric])
    metrics.check(cost)
    samples: Samples | Streamed
    if in_memory(X, Y, memory):
        samples = self._observed(X, Y, sample_weight, None, 1.0, missing)
    else:
        samples = self._by_blocks(X, Y, sample_weight, memory=memory, missing=missing)
        metrics.check_blocks(samples, None)
    (value,) = metrics.of(self, samples, None)().values()
    return value


def _known(of_classes: bool, *, blocks: bool = False) -> str:
    return ", ".join(repr(name) for name, metric in METRICS.items()
                     if metric.of_classes is of_classes and not (blocks and metric.means is None))


def _column(place: str, item: Any) -> Column:
    """Return what is asked for."""
    if isinstance(item, str):
        return Column(recorded_as(item), None, True)
    name, function = item if isinstance(item, tuple) and len(item) == 2 else (getattr(item, "__name__", None), item)
    if not callable(function):
        raise TypeError(f"{place} is {item!r}, expected a name, a function of (y_true, y_pred) or (y_true, y_pred, "
                        "sample_weight), or a pair (name, function)")
    if not isinstance(name, str) or name in ("", "<lambda>"):
        raise TypeError(f"{place} is {item!r}, which has no name to be recorded under: give a pair (name, function)")
    name = str.__str__(name)
    if (known := NAMES.accepted.get(plain(name.removeprefix(TRAINING)))) is not None:
        raise ValueError(f"{place} is a function called {name!r}, which is a name of fastbp's own {known!r}: use that "
                         f"one, metrics=[{known!r}], or give a pair with another name, ('my_{known}', function)")
    return Column(name, function, _takes_weights(place, name, function))


def _takes_weights(place: str, name: str, function: Function) -> bool:
    """Return whether a function has an argument sample_weight; raise TypeError if it cannot be called with two."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some that are written in C have none
        return False
    weighted = "sample_weight" in signature.parameters
    try:
        signature.bind(None, None, **({"sample_weight": None} if weighted else {}))
    except TypeError as error:
        raise TypeError(f"{place}, the function {name!r}, takes {signature}, expected (y_true, y_pred) or (y_true, "
                        f"y_pred, sample_weight): {error}") from None
    return weighted


def _check_targets(samples: Samples | Streamed, columns: list[Column]) -> None:
    if samples.cost is None:
        return
    said = "all targets of a sample, but some are missing or have weights of their own"
    if isinstance(samples, Streamed):
        raise ValueError(f"metrics compare {said}, and are read by blocks: leave metrics out, or validate with samples "
                         "without NaN")
    for column in columns:
        if column.own is not None or not column.metric.by_output:
            others = ", ".join(repr(name) for name, metric in METRICS.items() if metric.by_output)
            raise ValueError(f"metric {column.name!r} compares {said}: use {others}, or validate with samples without "
                             "NaN")


def _side(network: Trainable, samples: Samples | Streamed, columns: list[Column]) -> _Side | _Outputs | _Blocks:
    _check_targets(samples, columns)
    if isinstance(samples, Streamed):
        return _Blocks(network, samples)
    return _Side(network, samples) if samples.cost is None else _Outputs(network, samples)


class _Judged:
    """Targets of samples and their weights, beside which outputs are held.

    Parameters
    ----------
    architecture : Architecture
    targets : ndarray
    labels : bool
        Whether they are class indices.
    weights : ndarray
        One for each sample, or none.
    holes : bool
        Whether samples of weight 0 have no targets: functions of the user's, which may not ask for weights, do not see
        them.
    """

    def __init__(self, architecture: Architecture, targets: Array, labels: bool, weights: Array, holes: bool) -> None:
        self.architecture, self.seen = architecture, weights > 0 if holes and weights.size else slice(None)
        self.targets = targets.astype(np.int64 if labels else np.float64)
        self.shown = _shown((self.targets if labels else targets)[self.seen])
        self.shown_weights = _shown(weights[self.seen]) if weights.size else None
        self.weights = _weights(weights, len(targets))

    def measured(self, outputs: Array, columns: list[Column]) -> dict[str, float]:
        """Return values by name, of these outputs; NaN where one is not finite."""
        shown, found = _shown(outputs[self.seen]), {}
        compared = _compared(self.architecture, self.targets, outputs, self.weights) \
            if any(column.own is None for column in columns) else None
        for column in columns:
            if column.own is not None:
                more = {"sample_weight": self.shown_weights} if column.weighted else {}
                found[column.name] = _number(column.name, column.own(self.shown, shown, **more))
            elif compared is None:
                found[column.name] = float("nan")
            else:
                with np.errstate(all="ignore"):
                    found[column.name] = column.metric.function(compared)
        return found


class _Side:
    """Samples, and what the network says of them."""

    def __init__(self, network: Trainable, samples: Samples) -> None:
        self.network, self.samples = network, samples
        if samples.signed:
            raise ValueError("metrics are means by weights, of which signed_weights may have negative ones: leave them "
                             "out, or give validation=(X, Y)")
        self.judged = _Judged(network._architecture, samples.own_targets, samples.labels, samples.own_weights,
                              samples.holes)

    def measured(self, columns: list[Column]) -> dict[str, float]:
        """Return their values by name."""
        return self.judged.measured(outputs_of(self.network, self.samples), columns)


class _Outputs:
    """Samples of which each target has a weight, 0 where it is missing: each output is compared for itself."""

    def __init__(self, network: Trainable, samples: Samples) -> None:
        self.network, self.samples, self.architecture = network, samples, network._architecture
        m, targets = self.architecture.n_targets, samples.own_targets
        self.targets = targets[:, :m].astype(np.float64)
        self.weights = targets[:, -m:].astype(np.float64) * samples.own_weights[:, None]
        if not self.weights.any():
            raise ValueError("metrics compare targets with outputs, but none is known: leave metrics out")

    def measured(self, columns: list[Column]) -> dict[str, float]:
        """Return their values by name: the mean over outputs of which something is known, and that have a value."""
        outputs = outputs_of(self.network, self.samples)
        return {column.name: self._mean(column.metric, outputs) for column in columns}

    def _mean(self, metric: Metric, outputs: Array) -> float:
        found = []
        for j, weights in enumerate(self.weights.T):
            known = weights > 0
            if known.any():
                compared = Compared(self.targets[known, j : j + 1], outputs[known, j : j + 1].astype(np.float64),
                                    weights[known], False, float(np.finfo(self.architecture.dtype).eps))
                if not np.isfinite(compared.outputs).all():
                    return float("nan")
                with np.errstate(all="ignore"):
                    found.append(metric.function(compared))
        values = [value for value in found if not np.isnan(value)]
        return float(np.mean(values)) if values else float("nan")


class _Blocks:
    """Samples that are read by blocks, and what the network says of them: means over the blocks, or all of it."""

    def __init__(self, network: Trainable, samples: Streamed) -> None:
        self.network, self.samples, self.architecture = network, samples, network._architecture

    @cached_property
    def centre(self) -> Array:
        """Mean targets, (m,): from a pass of their own, since squares of deviations from them are to be summed."""
        def mean(part: Samples) -> Array:
            weights = _weights(part.weights, len(part))
            found: Array = weights @ part.targets.astype(np.float64) / weights.sum()
            return found

        return self.samples.sums(self.samples.width, mean).mean

    def measured(self, columns: list[Column]) -> dict[str, float]:
        """Return their values by name; NaN where an output is not finite."""
        by_means = [column for column in columns if column.means is not None]
        others = [column for column in columns if column.means is None]
        return self.by_means(by_means) | (self.at_once(others) if others else {})

    def by_means(self, columns: list[Column]) -> dict[str, float]:
        """Return the values of those that are functions of means."""
        means = [each for column in columns if (each := column.means) is not None]
        if not means:
            return {}
        m = self.samples.width
        counts = [max(each.each * m, 1) for each in means]
        centre = self.centre if any(each.centred for each in means) else np.empty(0)

        def of(part: Samples) -> Array:
            targets = part.targets.astype(np.int64 if part.labels else np.float64)
            compared = _compared(self.architecture, targets, outputs_of(self.network, part),
                                 _weights(part.weights, len(part)))
            if compared is None:
                return np.full(sum(counts), np.nan)
            with np.errstate(all="ignore"):
                return np.concatenate([each.of(compared, centre) for each in means])

        found = np.split(self.samples.sums(sum(counts), of).mean, np.cumsum(counts)[:-1])
        return {column.name: float("nan") if np.isnan(mine).any() else each.value(mine)
                for column, each, mine in zip(columns, means, found, strict=True)}

    def at_once(self, columns: list[Column]) -> dict[str, float]:
        """Return the values of those that ask for all outputs, which are held as long as this takes."""
        samples, n, kind = self.samples, len(self.samples), self.architecture.dtype
        outputs = np.empty((n, self.architecture.layers[-1]), kind)
        targets = np.empty(n if samples.labels else (n, samples.width), kind)
        weights = np.empty(n if samples.weighted else 0, kind)

        def hold(first: int, part: Samples) -> None:
            rows = slice(first, first + len(part))
            outputs[rows], targets[rows] = outputs_of(self.network, part), part.targets
            if samples.weighted:
                weights[rows] = part.weights

        samples.in_pieces(hold)
        if samples.weighted and weights.max() == 0:
            raise samples.no_weight()
        judged = _Judged(self.architecture, targets, samples.labels, weights, samples.missing)
        return judged.measured(outputs, columns)


def _bytes_at_once(samples: Streamed) -> int:
    """Return the budget of metrics that ask for all outputs: these, targets and weights, in double too, and sorted.

    An eighth is for the pieces that are read.
    """
    width, kind = samples.architecture.layers[-1], samples.architecture.dtype
    row = kind.itemsize * (width + samples.width + samples.weighted) + 8 * (width + samples.width + 1) + SORTED_BYTES
    return 8 * len(samples) * row // 7


def _weights(weights: Array, n: int) -> Array:
    """Return the weight of each of n samples, also where they have none."""
    return weights.astype(np.float64) if weights.size else np.ones(n)


def _compared(architecture: Architecture, targets: Array, outputs: Array, weights: Array) -> Compared | None:
    """Return what metrics of the catalogue take, or None if an output is not finite."""
    if not np.isfinite(outputs).all():
        return None
    return Compared(targets, outputs[:, : architecture.n_targets].astype(np.float64), weights,
                    architecture.cost.targets == CLASSES, float(np.finfo(architecture.dtype).eps))


def _shown(array: Array) -> Array:
    """Return what a user's function is given: read-only, and flat where there is one column."""
    view = array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array.view()
    view.flags.writeable = False
    return view


def _number(name: str, value: Any) -> float:
    """Return what a user's function has returned, if it is one number."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise TypeError(f"metric {name!r} returned {value!r:.80}, expected a number")
