"""Backpropagation straight from the equations: the plain twin that every kernel is compared with.

A network is a list of ``(W, b)`` pairs, W of shape (n_l, n_{l-1}) and b of shape (n_l,); a batch has a row a sample.
Everything is NumPy, one neuron at a time, in the dtype of its arguments, and accepts complex numbers, so that the
derivatives can themselves be checked by complex step.
"""

from dataclasses import fields

from . import bfloat16, full_batch, update_rules
from .activations import ACTIVATIONS, distribution
from .bfloat16 import pair_sum, rounded
from .costs import COSTS, PARAMETERS
from .derivatives import DERIVATIVES, input_gradient, jacobian, layers_of, per_sample_gradient
from .full_batch import Quickprop, Rprop, bfgs_direction, two_loops
from .groups import Grouped
from .network import (
    complex_step_gradient,
    deltas,
    flatten,
    forward,
    gauss_newton,
    gradient,
    mean_cost,
    shares,
    unflatten,
)
from .noise import hashed, mask, normal, permutation, streams
from .schedules import chain, cosine, coslog, flat_cosine, one_cycle, warm_up
from .sobolev import sobolev_cost, target_jacobian
from .training import penalty, train
from .update_rules import SGD, Adam, Regular


def twin(name):
    """Return the class that stands here for an optimizer's."""
    for module in (update_rules, full_batch):
        if hasattr(module, name):
            return getattr(module, name)
    raise LookupError(f"{name} has no twin: write a class of this name into tests/naive/update_rules.py or "
                      "tests/naive/full_batch.py")


def twin_of(method):
    """Return the twin of an optimizer, with its settings but for factors of groups."""
    names = [field.name for field in fields(method) if not field.name.endswith("_factors")]
    return twin(type(method).__name__)(**{name: getattr(method, name) for name in names})


__all__ = [
    "ACTIVATIONS", "Adam", "COSTS", "DERIVATIVES", "Grouped", "PARAMETERS", "Quickprop", "Regular", "Rprop",
    "SGD", "bfgs_direction", "bfloat16", "chain", "complex_step_gradient", "cosine", "coslog", "deltas",
    "distribution", "flat_cosine", "flatten", "forward", "gauss_newton", "gradient", "hashed", "input_gradient",
    "jacobian", "layers_of", "mask", "mean_cost", "normal", "one_cycle", "pair_sum", "penalty",
    "per_sample_gradient", "permutation", "rounded", "shares", "sobolev_cost", "streams", "target_jacobian",
    "train", "twin", "twin_of", "two_loops", "unflatten", "warm_up",
]
