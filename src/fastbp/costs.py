"""The catalogue of costs: names, formulas, canonical links, and what their targets must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from .kernels.functions import costs as kernels
from .util.names import Missing, lookup, names, same
from .util.settings import is_number

ANY, UNIT, COUNT, CLASSES = "any number", "in [0, 1]", "not negative", "class indices, one-hot rows or probabilities"


@dataclass(frozen=True)
class Cost:
    """A cost C(y, o), summed over outputs and averaged over samples.

    Attributes
    ----------
    name : str
    kernel
        Its loop over a panel (`fastbp.kernels.functions.costs`).
    formula, derivative : str
        C and ∂C/∂o of one output, with e = o − y; of gaussian_nll those of the two outputs μ and s, e = μ − y.
    output : str
        The activation that goes with it when none is named.
    targets : str
        What targets may be.
    pairs : mapping
        Activation name -> kernel that starts from net inputs: the canonical links, where δ = o − y.
    parameter : float or None
        The number that it depends on, if any; ``parameter_name`` names it.
    second_derivative
        The loop that multiplies a panel by ∂²C/∂o².
    values : bytes
        As of `fastbp.activations.Activation`.
    least_squares : bool
        Whether C is ½e²: its minimum is the mean of y given x, what is left there tells the variance of the noise, and
        its second derivative is 1.
    outputs_per_target : int
        1, or 2 where a target is described by two outputs: the first half of the outputs belongs to the targets in
        order, and so does the second half.
    fisher
        The loop that multiplies a panel by Fisher's information of the outputs, which stands in for ∂²C/∂o² in
        Gauss–Newton matrices; None where ∂²C/∂o² will do.
    reweighted : bool
        Whether δ is ∂C/∂o times a number that is held constant, so that it is the derivative of no cost.
    extra : int
        Numbers that a sample has beside its targets, behind them in Y: what a function of the user's own asks for.
    whole : int
        Numbers of a sample in Y where the cost is a function of all outputs at once; -1: as many as outputs; else 0.
    inner : Cost or None
        The cost of which this one weighs single outputs.

    Examples
    --------
    >>> import fastbp
    >>> cost = fastbp.Network((1, 1), cost="huber").cost_function
    >>> cost, cost.name, cost.output, cost.targets
    (Cost(name='huber', parameter=1.0), 'huber', 'identity', 'any number')
    """

    name: str
    kernel: Any = field(repr=False)
    formula: str = field(repr=False)
    derivative: str = field(repr=False)
    output: str = field(default="identity", repr=False)
    targets: str = field(default=ANY, repr=False)
    pairs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)
    parameter: float | None = None
    parameter_name: str | None = field(default=None, repr=False)
    second_derivative: Any = field(default=None, repr=False, compare=False)
    values: bytes = field(default=b"", repr=False)
    least_squares: bool = field(default=False, repr=False, compare=False)
    outputs_per_target: int = field(default=1, repr=False, compare=False)
    fisher: Any = field(default=None, repr=False, compare=False)
    reweighted: bool = field(default=False, repr=False, compare=False)
    extra: int = field(default=0, repr=False)
    whole: int = field(default=0, repr=False)
    inner: Cost | None = field(default=None, repr=False)

    def columns(self, n_outputs: int) -> int:
        """Return how many numbers of a sample kernels read of the array of targets."""
        targets = n_outputs // self.outputs_per_target
        if self.inner is not None:
            return max(n_outputs, self.inner.columns(n_outputs)) + targets
        return (n_outputs if self.whole < 0 else self.whole) if self.whole else targets + self.extra

    @property
    def by_rows(self) -> bool:
        """Whether it compares a row as a whole, so that targets are missing, and weigh, together."""
        return self.targets == CLASSES or bool(self.extra or self.whole)

    def refuse_data(self, what: str, instead: str = "") -> None:
        """Raise ValueError if it reads more than a target for each output, for what knows none of that."""
        if self.extra or self.whole:
            raise ValueError(f"{what} is for costs of one output and its target at a time, but {self} "
                             + ("is one of all outputs" if self.whole else "reads further columns of Y") + instead)

    def __str__(self) -> str:
        if self.parameter is None:
            return repr(self.name)
        return f"fastbp.{self.name}({self.parameter_name}={self.parameter!r})"

    def __copy__(self) -> Cost:
        return self

    def __deepcopy__(self, memo: Any) -> Cost:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.name, self.parameter, self.output, self.targets, self.values, self.extra, self.whole)

    def check_gradient(self, method: str) -> None:
        """Raise ValueError if δ is not the derivative of C, for a method that needs both to agree."""
        if self.reweighted:
            raise ValueError(f"{method} needs a cost and its gradient, but that of {self} is weighted, and belongs to "
                             f"no cost: use it with cost={self.name!r}, or train with 'adam' or another optimizer that "
                             "compares no costs")

    def again(self) -> Cost:
        """Return what its name stands for, if it was missing in this process and has been registered since."""
        if not isinstance(self.kernel, Missing):
            return self
        return _restored(self.name, self.parameter, self.output, self.targets, self.values, self.extra, self.whole)


def huber(delta: float = 1.0) -> Cost:
    """Quadratic up to an error of ``delta``, linear beyond (Huber 1964, section 1).

    Parameters
    ----------
    delta : float, default 1.0
        Where the cost turns linear; positive, in units of the targets.

    Raises
    ------
    ValueError
        If ``delta`` is not a positive number.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((1, 1), init="zeros", cost=fastbp.huber(delta=0.5), dtype="float64")
    >>> net.cost([[0.0], [0.0]], [[0.25], [2.0]])  # mean of ½·0.25² and 0.5·(2 − 0.25)
    0.453125
    """
    if not (is_number(delta) and delta > 0):
        raise ValueError(f"huber(delta={delta!r}): delta must be a positive number")
    return Cost("huber", kernels.huber, "½e² if |e| ≤ d else d(|e| − ½d)", "clip(e, −d, d)", parameter=float(delta),
                parameter_name="delta", second_derivative=kernels.huber_second)


def quantile(q: float = 0.5) -> Cost:
    """Pinball cost: its minimum is the q-quantile of y given x (Koenker & Bassett 1978).

    Parameters
    ----------
    q : float, default 0.5
        Between 0 and 1, exclusive. 0.5 is half the absolute error.

    Raises
    ------
    ValueError
        If ``q`` is not strictly between 0 and 1.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> y = np.random.default_rng(0).exponential(size=(1000, 1))
    >>> net = fastbp.Network((1, 1), cost=fastbp.quantile(0.9), seed=0)
    >>> net = net.fit(np.zeros_like(y), y, epochs=100, optimizer=fastbp.Adam(fastbp.schedules.Cosine(0.03)))
    >>> bool(0.88 < (y < net.predict([0.0])).mean() < 0.92)
    True
    """
    if not (is_number(q) and 0 < q < 1):
        raise ValueError(f"quantile(q={q!r}): q must lie between 0 and 1, exclusive")
    return Cost("quantile", kernels.quantile, "max(−qe, (1−q)e)", "−q if e < 0, 1−q if e > 0, 0 at 0",
                parameter=float(q), parameter_name="q", second_derivative=kernels.straight)


def gaussian_nll(beta: float = 0.5) -> Cost:
    """Negative log-likelihood of normal targets of which the network tells mean and variance (Nix & Weigend 1994).

    A network with 2m outputs describes m targets: the outputs are μ_1 … μ_m, then s_1 … s_m with s = log σ², so that
    every real number is a variance. Of one target

        C = ½(s + (y − μ)² e⁻ˢ),  ∂C/∂μ = (μ − y) e⁻ˢ,  ∂C/∂s = ½(1 − (y − μ)² e⁻ˢ).

    The constant ½ log 2π = 0.9189… is left out: −log of the density is C with as much more for each target.

    Where σ is large the slope of μ is small, so a mean that is far off is first called noise and then hardly learned.
    β-NLL (Seitzer, Tavakoli, Antić & Martius 2022, "On the pitfalls of heteroscedastic uncertainty estimation with
    probabilistic neural networks", ICLR) multiplies both slopes of each target by σ^{2β} = e^{βs}, which is
    not differentiated: with β = 1 the mean is learned as by squared_error.

    Parameters
    ----------
    beta : float, default 0.5
        β from 0 to 1. The paper recommends ½. The *name* ``"gaussian_nll"`` stands for β = 0, the plain likelihood.

    Returns
    -------
    Cost
        For `Network`, with the output identity.

    Raises
    ------
    ValueError
        If ``beta`` is not a number from 0 to 1; in `Network`, if the number of outputs is odd, or their activation is
        another than identity.

    Notes
    -----
    With ``init="auto"`` all weights and biases of the outputs s are 0 at first, so σ = 1 whatever x is: standardise the
    targets. Y has a column for each target, (n, m), or is (n,) for one; `Network.predict` gives all 2m outputs. Targets
    of slopes (``target_jacobian``) are those of ∂μ/∂x, (n, m, n_0).

    The cost has no lower bound: where the network can meet a target exactly, s falls and falls. Nothing is clipped,
    since that would break the gradient; e⁻ˢ is finite in float32 for s > −88, in float64 for s > −709. Beyond, a fit
    ends in `DivergenceError`, with the last finite parameters. Stop early, or take fewer weights than targets.

    With β > 0 the cost that is recorded is C itself, and all first derivatives (`Network.gradient`, `input_gradient`,
    `trace`, those of `fastbp.jit`) are the weighted slopes, by which training goes. They are the gradient of no cost.
    What compares costs along the way or asks for second derivatives refuses them: L-BFGS, conjugate gradients,
    Levenberg–Marquardt, Bayesian regularisation, Rprop's "irprop+", Hessians, posterior. With β = 0 all of these work.
    ∂²C/∂(μ, s)² has a negative eigenvalue wherever y is not μ, so Gauss–Newton matrices are made of its mean over y,
    Fisher's information diag(e⁻ˢ, ½).

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (2000, 1))
    >>> Y = X + np.where(X > 0, 0.5, 0.1) * rng.normal(size=X.shape)
    >>> net = fastbp.Network((1, 16, 2), cost=fastbp.gaussian_nll(), seed=0)
    >>> mean, log_variance = net.fit(X, Y, epochs=100, optimizer=fastbp.Adam(0.01)).predict([[-0.5], [0.5]]).T
    >>> bool(np.allclose(mean, [-0.5, 0.5], atol=0.1))
    True
    >>> bool(np.allclose(np.exp(log_variance / 2), [0.1, 0.5], rtol=0.2))
    True
    """
    if not (is_number(beta) and 0 <= beta <= 1):
        raise ValueError(f"gaussian_nll(beta={beta!r}): beta must be a number from 0 to 1")
    return Cost("gaussian_nll", kernels.gaussian_nll, "½(s + e²exp(−s)) of outputs μ and s = log σ², e = μ − y",
                "e exp(−s) and ½(1 − e²exp(−s))", parameter=float(beta), parameter_name="beta",
                second_derivative=kernels.gaussian_nll_second, outputs_per_target=2, fisher=kernels.gaussian_nll_fisher,
                reweighted=beta > 0)


COSTS: dict[str, Cost] = {
    cost.name: cost
    for cost in (
        Cost("squared_error", kernels.squared_error, "½e²", "e", second_derivative=kernels.squared_error_second,
             least_squares=True),
        Cost("mean_squared_error", kernels.mean_squared_error, "e²/n of n outputs, so that their sum is a mean", "2e/n",
             second_derivative=kernels.mean_squared_error_second),
        Cost("absolute_error", kernels.absolute_error, "|e|", "sign(e), 0 at 0", second_derivative=kernels.straight),
        huber(),
        Cost("log_cosh", kernels.log_cosh, "log cosh e", "tanh e", second_derivative=kernels.log_cosh_second),
        quantile(),
        Cost("binary_cross_entropy", kernels.binary_cross_entropy, "−y log o − (1−y) log(1−o)", "(o−y)/(o(1−o))",
             "logistic", UNIT, MappingProxyType({"logistic": kernels.logistic_binary_cross_entropy}),
             second_derivative=kernels.binary_cross_entropy_second),
        Cost("cross_entropy", kernels.cross_entropy, "−y log o", "−y/o", "softmax", CLASSES,
             MappingProxyType({"softmax": kernels.softmax_cross_entropy}),
             second_derivative=kernels.logarithm_second),
        Cost("poisson", kernels.poisson, "o − y log o", "1 − y/o", "exp", COUNT,
             MappingProxyType({"exp": kernels.exp_poisson}), second_derivative=kernels.logarithm_second),
        gaussian_nll(0.0),
    )
}
"""Name -> cost, with default parameters; gaussian_nll is that without weights, β = 0."""


def by_output(cost: Cost) -> Cost:
    """Return a cost with a weight for each target of a sample, in columns behind what it reads of Y."""
    return replace(cost, kernel=kernels.by_output, pairs=MappingProxyType(dict.fromkeys(cost.pairs, kernels.by_output)),
                   inner=cost)


LINEAR = Cost("linear", kernels.linear, "yo", "y", second_derivative=kernels.straight)
"""Its targets are ∂C/∂o, from outside: in no catalogue, since it has no minimum."""

NAMES = names(
    COSTS,
    {
        "squared_error": "l2 l2_loss squared_loss half_mse quadratic least_squares",
        "mean_squared_error": "mse mse_loss",
        "absolute_error": "mae mean_absolute_error mae_loss l1 l1_loss absolute_loss",
        "huber": "huber_loss smooth_l1 smooth_l1_loss",
        "log_cosh": "log_cosh_loss",
        "quantile": "pinball pinball_loss quantile_loss mean_pinball_loss",
        "binary_cross_entropy": "bce bce_loss bce_with_logits bce_with_logits_loss binary_crossentropy logistic_loss "
                                "binary_log_loss sigmoid_cross_entropy sigmoid_binary_cross_entropy",
        "cross_entropy": "log_loss nll nll_loss negative_log_likelihood categorical_crossentropy "
                         "sparse_categorical_crossentropy cross_entropy_loss softmax_cross_entropy "
                         "softmax_cross_entropy_with_integer_labels softmax_cross_entropy_with_logits",
        "poisson": "poisson_nll poisson_nll_loss poisson_loss",
        "gaussian_nll": "gaussian_nll_loss gaussian_negative_log_likelihood normal_nll heteroscedastic_loss",
    },
    {
        "'squared_error', which is least at the same weights":
            "rmse root_mean_squared_error sse sum_squared_error r2 r_squared mean_squared_logarithmic_error msle rmsle "
            "friedman_mse brier brier_score",
        "fastbp.gaussian_nll(beta=0.5)": "beta_nll beta_nll_loss",
        "'gaussian_nll', one component": "mdn mixture_density mixture_nll crps",
        "'squared_error' with fastbp.Regularization(l2=...)": "msereg ridge",
        "'absolute_error'": "mape mean_absolute_percentage_error sae smape median_absolute_error",
        "'cross_entropy', whose gradient is the same": "kl kl_div kl_div_loss kld kl_divergence kullback_leibler",
        "'poisson', whose gradient is half as long": "poisson_deviance mean_poisson_deviance",
        "'binary_cross_entropy'":
            "multi_label_soft_margin_loss multilabel_soft_margin binomial deviance logistic",
        "'cross_entropy'": "multinomial softmax_loss ctc ctc_loss",
        "'cross_entropy' or 'binary_cross_entropy'":
            "hinge hinge_loss squared_hinge categorical_hinge multi_margin_loss focal focal_loss binary_focal "
            "binary_focal_crossentropy sigmoid_focal_loss accuracy perceptron modified_huber",
    },
)
"""What other libraries call them. All here are summed over outputs and averaged over samples: mae of PyTorch and Keras
is averaged over outputs too, 1/n_L times this one, as mean_squared_error is here, with no ½. Where
those take logits, the output activation belongs to the network here. docs/from/names.md has all that differs.
"""


def _restored(name: str, parameter: float | None, output: str, targets: str, values: bytes, extra: int = 0,
              whole: int = 0) -> Cost:
    """Return what was pickled: the cost of that name, if it is the same function, or one that is missing."""
    found = COSTS.get(name)
    if found is not None and same(found.values, values) and (found.extra, found.whole) == (extra, whole):
        return get(name, parameter)
    missing = Missing("cost", name, known=found is not None)
    return Cost(name, missing, "your own", "your own", output, targets, second_derivative=missing, values=values,
                extra=extra, whole=whole)


def get(cost: str | Cost, parameter: float | None = None) -> Cost:
    """Look up a cost by name; a `Cost` is given back as it is.

    Raises
    ------
    ValueError
        If there is none of that name; the message gives the nearest.
    """
    if isinstance(cost, Cost):
        return cost
    found = lookup("cost", cost, COSTS, NAMES)
    if parameter is None or found.parameter is None:
        return found
    return {"huber": huber, "quantile": quantile, "gaussian_nll": gaussian_nll}[found.name](parameter)
