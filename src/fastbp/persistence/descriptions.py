"""What a network, an optimizer or a schedule was built with, as plain values for a header, and built of them again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .. import costs
from ..core.model import Model
from ..encoders import ENCODERS, Encoder
from ..initializers import Constant, Given, Rule
from ..optimizers import OPTIMIZERS, Optimizer
from ..schedules import SCHEDULES
from ..training.progress import Trainable
from ..util.names import lookup
from ..util.settings import fields_of

Array = npt.NDArray[Any]
N = TypeVar("N", bound=Trainable)

DEEPEST = 16
"""Schedules in one another that a file may hold: each is called by the one around it, and Python ends at 1,000."""


def described(self: Model) -> dict[str, Any]:
    """Return what the network was built with, as plain values: what its file says of it.

    Returns
    -------
    dict
        Sizes of the layers, names of activations, output and cost, whether there are biases, dtype, first weights,
        seed; encoders and the scaling layer where there are any.

    Examples
    --------
    >>> import fastbp
    >>> found = fastbp.Network((2, 3, 1), activation="tanh", seed=0).architecture()
    >>> found["layers"], found["activation"], found["cost"], found["dtype"]
    ([2, 3, 1], ['tanh'], 'squared_error', 'float32')
    """
    found = {
        "layers": list(self.layers),
        "activation": list(self.activations[:-1]),
        "output": self.activations[-1],
        "cost": self.cost_function.name,
        "cost_parameter": self.cost_function.parameter,
        "bias": self.bias,
        "dtype": self.dtype.name,
        "init": _described_init(self.init),
        "seed": self.seed,
    }
    if self.encoders:
        found |= {"encoders": [_described_encoder(encoder) for encoder in self.encoders],
                  "scaling": self.scaling}
    return found


def _described_encoder(encoder: Encoder) -> dict[str, Any]:
    """Return an encoder as its name and plain numbers."""
    return {"kind": type(encoder).__name__} | {name: _described_value(value, 0)
                                               for name, value in vars(encoder).items()}


def encoders(architecture: Mapping[str, Any]) -> list[Encoder]:
    """Make the encoders of what `described` says; none where it says nothing of any."""
    found = []
    for description in architecture.get("encoders", ()):
        settings = dict(description)
        found.append(ENCODERS[settings.pop("kind")](**settings))
    return found


def _described_init(init: Rule | tuple[Rule, ...]) -> Any:
    """Return what layers begin with as plain values; given arrays are named only."""
    if isinstance(init, tuple):
        return [_described_init(rule) for rule in init]
    if isinstance(init, Constant):
        return {"constant": init.value}
    if isinstance(init, Given):
        return {"given": "weights" if init.biases is None else "weights and biases"}
    return init


def _made_init(description: Any, arrays: Mapping[str, Array]) -> Any:
    """Make it again."""
    if isinstance(description, list):
        return [_made_rule(rule, i, arrays) for i, rule in enumerate(description)]
    return _made_rule(description, 0, arrays)


def _made_rule(description: Any, layer: int, arrays: Mapping[str, Array]) -> Any:
    """Make what one layer begins with."""
    if isinstance(description, dict) and "constant" in description:
        return Constant(description["constant"])
    if isinstance(description, dict):
        W = arrays[f"init.weights.{layer}"]
        return (W, arrays[f"init.biases.{layer}"]) if description["given"] == "weights and biases" else W
    return description


def network(kind: Callable[..., N], architecture: dict[str, Any], given: Mapping[str, Array]) -> N:
    """Build a network of what `described` says, and of the arrays that its layers begin with."""
    settings = dict(architecture, init=_made_init(architecture["init"], given))
    if "encoders" in settings:
        settings["encoders"] = encoders(architecture)
    settings["cost"] = costs.get(settings["cost"], settings.pop("cost_parameter"))
    built = kind(**settings)
    same_description("architecture", architecture, described(built))
    return built


def fingerprints(network: Trainable) -> dict[str, str]:
    """Return some values of each function of the user's own, by which a file tells it from another of its name."""
    rows = [("activation", row) for row in network._architecture.activations] + [("cost", network.cost_function)]
    return {f"{kind} {row.name}": row.values.hex() for kind, row in rows if row.values}


LATER: dict[str, Any] = {"flat": 0.0} | dict.fromkeys(
    ("per", "metric", "higher_is_better", "rate_factors", "decay_factors"))
"""Settings that older files do not tell, and what they were: left out where they are that."""


def described_settings(owner: Any, depth: int = 0) -> dict[str, Any]:
    """Return an optimizer or schedule as its name and plain numbers."""
    found: dict[str, Any] = {"kind": type(owner).__name__.lower()}
    if (OPTIMIZERS | SCHEDULES).get(found["kind"]) is not type(owner):
        raise ValueError(f"{owner!r} cannot be saved: give the optimizer a schedule of fastbp.schedules")
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} schedules in one another cannot be saved")
    for name, value in fields_of(owner).items():
        if name not in LATER or value != LATER[name]:
            found[name] = _described_value(value, depth)
    return found


def _described_value(value: Any, depth: int) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):  # pairs, since a mapping is the description of a schedule
        return [[name, _described_value(one, depth)] for name, one in value.items()]
    if isinstance(value, tuple):
        return [_described_value(one, depth) for one in value]
    return value if isinstance(value, (bool, int, float, str, NoneType)) else described_settings(value, depth + 1)


def optimizer(description: dict[str, Any]) -> Optimizer:
    """Make an optimizer of what `described_settings` says."""
    made: Optimizer = _made("optimizer", description, OPTIMIZERS)
    same_description("optimizer", description, described_settings(made))
    return made


def _made(kind: str, description: dict[str, Any], known: dict[str, Any]) -> Any:
    settings = dict(description)
    made = lookup(kind, settings.pop("kind"), known)
    return made(**{name: _made_value(value) for name, value in settings.items()})


def _made_value(value: Any) -> Any:
    if isinstance(value, list):
        return [_made_value(one) for one in value]
    return _made("schedule", value, SCHEDULES) if isinstance(value, dict) else value


def same_description(what: str, description: Any, made: Any) -> None:
    """Check that what was made of a description is described by it, to the last name and type."""
    if json.dumps(description, sort_keys=True) != json.dumps(made, sort_keys=True):
        raise ValueError(f"{what} is {description}, which is that of {made}")
