"""The catalogue of metrics: what a fit may record of its network beside the cost, by name, in plain NumPy.

Each is computed in float64 once an epoch, from all outputs at once, and weighs the samples by their weights. Of samples
that are read by blocks most are computed from means over the blocks, `Means`; the others from all outputs, which are
held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .util.names import canonical, names
from .util.settings import flag

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]

TRAINING = "training_"
"""Before a name: of the training samples, also where there are others for validation."""


class Compared(NamedTuple):
    """Targets beside the outputs of a network, all of them finite."""

    targets: Array
    """(n, m) float64; where each sample belongs to one class also its index, (n,) int64."""
    outputs: Doubles
    """(n, m): what the network says of the targets."""
    weights: Doubles
    """(n,), not all 0."""
    exclusive: bool
    """Whether the outputs are probabilities of classes of which one is true, and not each a probability of its own."""
    eps: float = float(np.finfo(np.float64).eps)
    """The distance from 1 to the next number of the network's dtype: no probability is told better."""

    def mean(self, values: Array) -> Any:
        """Return the weighted mean over the samples, (n,) or (n, m)."""
        return self.weights @ values / self.weights.sum()

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """The class of each sample, (n,); of a row of probabilities the likeliest."""
        return self.targets if self.targets.ndim == 1 else self.targets.argmax(axis=1)


class Means(NamedTuple):
    """A metric as a function of weighted means over the samples, of which the parts may be read one after the other."""

    of: Callable[[Compared, Doubles], Doubles]
    """Called with some samples and the mean targets of all, (m,); returns the means over those samples."""
    value: Callable[[Doubles], float]
    """Returns the metric, from the means over all."""
    each: int = 0
    """Means for each target; 0 where there is one mean in all."""
    centred: bool = False
    """Whether the mean targets are needed; else none are given."""


def itself(function: Callable[[Compared], float]) -> Means:
    """Return the means of a metric that is a mean over the samples itself."""
    return Means(lambda compared, _: np.array([function(compared)]), lambda found: float(found[0]))


@dataclass(frozen=True)
class Metric:
    """A metric that has a name.

    Attributes
    ----------
    name : str
    function : callable
        Called with a `Compared`; returns a number, NaN where there is none.
    formula : str
        What it is.
    higher_is_better : bool
        Whether more of it is better.
    of_classes : bool
        Whether it judges probabilities, of the costs whose outputs are such; else numbers.
    means : Means or None
        The same of samples that are read by blocks; None where all outputs must be seen at a time.
    by_output : bool
        Whether it is the mean of what it is for each output alone, and so is known where some targets are not.
    """

    name: str
    function: Callable[[Compared], float]
    formula: str
    higher_is_better: bool
    of_classes: bool
    means: Means | None
    by_output: bool = True


def accuracy(compared: Compared) -> float:
    """Return the share of samples that are predicted rightly.

    The largest output names the class; outputs that are each a probability say yes above ½, and all must be right.
    """
    if compared.exclusive:
        return float(compared.mean(compared.outputs.argmax(axis=1) == compared.classes))
    return float(compared.mean(((compared.outputs > 0.5) == (compared.targets > 0.5)).all(axis=1)))


def auc(compared: Compared) -> float:
    """Return the area under the ROC curve: how likely a sample of a class has more of its output than another.

    A tie counts half (Hanley & McNeil 1982, section III). Of two classes it is that of the second one's output, of
    several the mean over each class against the rest, of outputs that are each a probability the mean over them. What
    has samples on one side only is left out of a mean; NaN if nothing remains.
    """
    outputs, weights = compared.outputs, compared.weights
    if compared.exclusive:
        classes = compared.classes
        columns: Iterable[int] = (1,) if outputs.shape[1] == 2 else range(outputs.shape[1])
        areas = np.array([_area(outputs[:, c], classes == c, weights) for c in columns])
    else:
        areas = np.array([_area(outputs[:, c], compared.targets[:, c] > 0.5, weights)
                          for c in range(outputs.shape[1])])
    known = areas[~np.isnan(areas)]
    return float(known.mean()) if known.size else float("nan")


def _area(scores: Doubles, positive: npt.NDArray[np.bool_], weights: Doubles) -> float:
    """Return Σ w_i w_j ([s_i > s_j] + ½[s_i = s_j]) ÷ Σ w_i w_j over positive i and other j; NaN without a pair."""
    order = np.argsort(scores, kind="stable")
    scores, weights, positive = scores[order], weights[order], positive[order]
    first = np.flatnonzero(np.concatenate(([True], scores[1:] != scores[:-1])))  # of each value
    won = np.add.reduceat(np.where(positive, weights, 0.0), first)
    lost = np.add.reduceat(np.where(positive, 0.0, weights), first)
    pairs = won.sum() * lost.sum()
    return float(won @ (np.cumsum(lost) - 0.5 * lost) / pairs) if pairs > 0 else float("nan")


def cross_entropy(compared: Compared) -> float:
    """Return the mean of −Σ y log o, or over outputs that are each a probability that of −y log o − (1−y) log(1−o).

    Outputs are limited to [ε, 1 − ε] first, with the ε of the network's dtype, so that one that is 0 costs about 16 in
    float32 and 36 in float64.
    """
    y, o = compared.targets, np.clip(compared.outputs, compared.eps, 1 - compared.eps)
    if not compared.exclusive:
        return float(compared.mean(-(y * np.log(o) + (1 - y) * np.log1p(-o))).mean())
    if y.ndim == 1:
        return float(compared.mean(-np.log(o[np.arange(len(y)), y])))
    return float(compared.mean(-(y * np.log(o)).sum(axis=1)))


def r2(compared: Compared) -> float:
    """Return 1 − Σ(y − o)² ÷ Σ(y − ȳ)², the mean over outputs; of constant targets 1 if they are met, else 0."""
    return explained(_around(compared, compared.mean(compared.targets)))


def explained(found: Doubles) -> float:
    """Return R² from the mean of (y − o)² for each target, and behind these that of (y − ȳ)²."""
    missed, around = np.split(found, 2)
    varied = around > 0
    return float(np.where(varied, 1 - missed / np.where(varied, around, 1), missed == 0).mean())


def _around(compared: Compared, centre: Doubles) -> Doubles:
    return np.concatenate((_missed(compared, centre), compared.mean(np.square(compared.targets - centre))))


def _missed(compared: Compared, _: Doubles) -> Doubles:
    found: Doubles = compared.mean(np.square(compared.targets - compared.outputs))
    return found


def mae(compared: Compared) -> float:
    """Return the mean of |y − o|, over outputs too."""
    return float(compared.mean(np.abs(compared.targets - compared.outputs)).mean())


def mse(compared: Compared) -> float:
    """Return the mean of (y − o)², over outputs too: without the ½ of squared_error."""
    return float(compared.mean(np.square(compared.targets - compared.outputs)).mean())


def rmse(compared: Compared) -> float:
    """Return the root of the mean of (y − o)², the mean of the roots of several outputs."""
    return root(compared.mean(np.square(compared.targets - compared.outputs)))


def root(found: Doubles) -> float:
    """Return the mean of the roots of the mean of (y − o)² for each target."""
    return float(np.sqrt(found).mean())


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", accuracy, "share of samples whose class is right, or all of whose answers are", True, True,
               itself(accuracy), by_output=False),
        Metric("auc", auc, "area under the ROC curve, the mean over each class against the rest", True, True,
               None),
        Metric("cross_entropy", cross_entropy, "mean of −Σ y log o, or of −y log o − (1−y) log(1−o)", False, True,
               itself(cross_entropy)),
        Metric("r2", r2, "1 − Σ(y − o)² ÷ Σ(y − ȳ)²", True, False, Means(_around, explained, 2, centred=True)),
        Metric("mae", mae, "mean of |y − o|", False, False, itself(mae)),
        Metric("mse", mse, "mean of (y − o)², without the ½ of squared_error", False, False, itself(mse)),
        Metric("rmse", rmse, "root of the mean of (y − o)²", False, False, Means(_missed, root, 1)),
    )
}
"""Name -> metric."""

NAMES = names(
    METRICS,
    {
        "accuracy": "acc accuracy_score binary_accuracy categorical_accuracy sparse_categorical_accuracy",
        "auc": "roc_auc auroc roc_auc_score roc_auc_ovr",
        "cross_entropy": "log_loss logloss nll negative_log_likelihood bce binary_cross_entropy binary_crossentropy "
                         "categorical_crossentropy sparse_categorical_crossentropy",
        "r2": "r2_score r_squared r_2",
        "mae": "mean_absolute_error absolute_error l1",
        "mse": "mean_squared_error l2",
        "rmse": "root_mean_squared_error",
    },
    {
        "'accuracy', of which it is what is left to 1": "error classification_error error_rate zero_one_loss",
        "'mse' of two classes": "brier brier_score brier_score_loss",
        "the cost, which is recorded and watched in any case": "cost loss val_loss validation_cost validation_loss",
        "the name alone, which is of the validation samples where there are any":
            "val_accuracy val_acc val_auc val_mae val_mse val_rmse val_r2 validation_accuracy validation_auc "
            "validation_cross_entropy validation_r2 validation_mae validation_mse validation_rmse",
        "a function of your own, for instance sklearn.metrics.f1_score of outputs > 0.5":
            "f1 f1_score fbeta fbeta_score precision precision_score recall recall_score balanced_accuracy mcc kappa "
            "matthews_corrcoef cohen_kappa_score average_precision average_precision_score top_k top_k_accuracy",
        "a function of your own, for instance one of sklearn.metrics":
            "mape mean_absolute_percentage_error smape medae median_absolute_error max_error explained_variance msle "
            "pearson spearman pinball mean_pinball_loss",
    },
)
"""What other libraries call them."""


def recorded_as(name: Any) -> str:
    """Return the name under which a metric of the catalogue is recorded.

    Raises
    ------
    ValueError
        If there is none of that name; the message gives the nearest.
    TypeError
        If it is not a string.
    """
    training = isinstance(name, str) and name.startswith(TRAINING)
    found = canonical("metric", name[len(TRAINING):] if training else name, METRICS, NAMES)
    return TRAINING + found if training else found


def direction(owner: object, metric: Any, higher_is_better: Any) -> tuple[str | None, float]:
    """Return the name under which a metric is recorded that somebody watches, and its sign where less is to be better.

    Without a metric it is the cost that is watched.

    Raises
    ------
    ValueError
        If there is no such metric and it is not said whether more of one of the user's own is better; or if it is said
        otherwise than it is.
    """
    kind = type(owner).__name__
    if higher_is_better is not None:
        flag(owner, "higher_is_better", higher_is_better)
    if metric is None:
        if higher_is_better is not None:
            raise ValueError(f"{kind}: higher_is_better is {higher_is_better!r}, but there is no metric: it watches "
                             "the cost, of which less is better")
        return None, 1.0
    if not isinstance(metric, str):
        raise ValueError(f"{kind}: metric is {metric!r}, expected the name under which it is recorded")
    try:
        found = recorded_as(metric)
    except ValueError as error:
        if higher_is_better is None:
            raise ValueError(f"{kind}: {error}. Of a metric of your own say whether more is better: "
                             "higher_is_better=True or False") from None
        return str.__str__(metric), -1.0 if higher_is_better else 1.0
    better = METRICS[found.removeprefix(TRAINING)].higher_is_better
    if higher_is_better is not None and bool(higher_is_better) is not better:
        raise ValueError(f"{kind}: higher_is_better is {higher_is_better!r}, but of {found!r} "
                         f"{'more' if better else 'less'} is better: leave it out")
    return found, -1.0 if better else 1.0
