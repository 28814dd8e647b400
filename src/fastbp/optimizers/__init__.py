"""How parameters change: update rules for mini-batches, and methods that take all samples in a step."""

from __future__ import annotations

import functools

from ..util import keywords
from ..util.names import canonical, names
from . import bayesian, levenberg_marquardt, line_search, scaled_conjugate_gradient, sign_steps, update_rules
from .base import BatchMethod, Optimizer, UpdateRule
from .line_search import LineSearch

__all__ = ["BATCH_METHODS", "BatchMethod", "DEFAULT", "LineSearch", "OPTIMIZERS", "Optimizer", "RULES", "UpdateRule",
           "get", "resumed"]

RULES: dict[str, type[UpdateRule]] = {kind.__name__.lower(): kind for kind in update_rules.RULES}
"""Lower-case name -> class, of those for mini-batches."""

BATCH_METHODS: dict[str, type[BatchMethod]] = {
    kind.__name__.lower(): kind
    for module in (line_search, scaled_conjugate_gradient, sign_steps, levenberg_marquardt, bayesian)
    for kind in module.METHODS
}
"""Lower-case name -> class, of those that take all samples in a step."""

OPTIMIZERS: dict[str, type[Optimizer]] = {**RULES, **BATCH_METHODS}
"""Lower-case name -> class; the name stands for the defaults."""

for _kind in OPTIMIZERS.values():
    keywords.answers(keywords.OPTIMIZER)(_kind)

NAMES = names(
    OPTIMIZERS,
    {
        "sgd": "gd gradient_descent stochastic_gradient_descent",
        "lbfgs": "bfgs l_bfgs_b trainbfg",
        "conjugategradient": "cg conjugate_gradients nonlinear_cg traincgp polak_ribiere",
        "scaledconjugategradient": "scg scaled_conjugate_gradients trainscg moller",
        "rprop": "irprop irprop+ irprop_plus resilient_backpropagation trainrp",
        "quickprop": "quick_propagation",
        "levenbergmarquardt": "lm marquardt trainlm",
        "bayesianregularization": "br trainbr",
    },
    {
        "fastbp.SGD(momentum=0.9)": "momentum sgdm traingdm heavy_ball traingdx",
        "fastbp.SGD(momentum=0.9, nesterov=True)": "nesterov nag sgd_nesterov",
        "'sgd'": "backprop backpropagation traingd traingda asgd lars sag saga noisy_sgd",
        "'adam'": "adamax adafactor ftrl trainadam sparse_adam yogi novograd",
        "'adamw'": "lamb muon shampoo",
        "'conjugategradient'": "traincgf traincgb fletcher_reeves",
        "'lbfgs'": "trainoss quasi_newton tnc slsqp powell",
        "'levenbergmarquardt' or 'lbfgs'":
            "newton newton_cg trust_region trust_ncg trust_constr gauss_newton dogbox trf",
        'fastbp.Rprop(variant="irprop-")': "irprop- irprop_minus",
        'fastbp.Rprop(variant="rprop+")': "rprop+ rprop_plus",
        'fastbp.Rprop(variant="rprop-")': "rprop- rprop_minus",
    },
)
"""What other libraries call them."""


@functools.cache
def _with_defaults(name: str) -> Optimizer:
    """Return an optimizer with its defaults: one for all fits, since its settings cannot change."""
    return OPTIMIZERS[name]()


DEFAULT = _with_defaults("adam")
"""What trains where nothing else is asked for."""


def get(optimizer: str | Optimizer) -> Optimizer:
    """Look up an optimizer by name; an instance is given back as it is.

    Raises
    ------
    ValueError
        If there is none of that name; the message gives the nearest.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    return _with_defaults(canonical("optimizer", optimizer, OPTIMIZERS, NAMES))


def resumed(former: Optimizer, optimizer: str | Optimizer | None) -> Optimizer:
    """Return the optimizer that a resumed fit goes on with: the former one, or one that takes its state over.

    None, and the name of the former one, go on with its settings.

    Raises
    ------
    ValueError
        If it is of another kind, or keeps a state of another size.
    """
    given = former if optimizer is None else get(optimizer)
    if isinstance(optimizer, str) and type(given) is type(former):
        return former
    if not given.takes_over(former):
        raise ValueError(f"resume=True goes on with the state of {former!r}, which {given!r} cannot take over: leave "
                         "optimizer out to go on as it is, give one of the same kind with other settings, or begin "
                         "anew with resume=False")
    return given
