"""Activations and costs of the user's own: plain scalar functions, compiled into the loops that the core calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from . import activations, costs, initializers
from .kernels import _jit

Array = npt.NDArray[np.float64]

GRID = np.linspace(-2.9, 3.1, 41) + 0.0123
"""Where derivatives are checked: off the round numbers, where kinks are."""


def activation(function: Callable[[Any], Any], derivative: Callable[[Any], Any] | None = None, *,
               curvature: Callable[[Any], Any] | None = None, name: str | None = None,
               initializer: str = "glorot_uniform") -> activations.Activation:
    """Register an activation of your own; networks then ask for it by name.

    Parameters
    ----------
    function : callable
        φ(net), a function of one number that Numba can compile: arithmetic, ``math`` or ``numpy`` functions.
    derivative : callable, optional
        φ'(net). Without it the slope is taken by complex step, Im φ(net + ih)/h, exact to rounding where ``function``
        accepts a complex number and is analytic: use ``numpy`` functions in it, not ``math``, and neither ``abs`` nor
        comparisons.
    curvature : callable, optional
        φ''(net), which only Hessians and training on derivatives ask for. Without it, by differences of the slope over
        steps of 1/128, good to about 1e-13 where the function varies over lengths of about 1; give it if the function
        has a kink or is steeper. It is compiled when it is first used.
    name : str, optional
        By default the function's own.
    initializer : str, default "glorot_uniform"
        The initializer that ``init="auto"`` picks for its layers.

    Returns
    -------
    Activation
        Its row in the catalogue.

    Raises
    ------
    ValueError
        If the name is that of a built-in activation, Numba cannot compile the function (the message gives its reason),
        or a derivative differs from central differences (the message gives the point and both values).
    TypeError
        If a function is not callable.

    Notes
    -----
    It is compiled in each process, once for each dtype that is used. Files and pickles hold its name only: register it
    before loading.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> bent = fastbp.activation(lambda x: (np.sqrt(x * x + 1) - 1) / 2 + x, name="bent")
    >>> net = fastbp.Network((2, 8, 1), activation="bent", seed=0)
    """
    name = _name(function, name, activations.ACTIVATIONS, "activation")
    initializers.get(initializer)
    _callable("derivative", derivative)
    _callable("curvature", curvature)
    loop = _jit.user_activation(function, derivative)

    def values(x: Array) -> tuple[Array, Array]:
        out, slope = x.copy(), np.empty_like(x)
        loop(out, slope, 1)
        return out, slope

    _check(name, values, derivative is not None)
    bend = _jit.user_activation_curvature(function, derivative, curvature)

    def slopes(x: Array) -> tuple[Array, Array]:
        (out, slope), net = values(x), x.copy()
        bend(net, out, slope)
        return slope, net

    if curvature is not None:
        _check(f"{name}, curvature", slopes, True)
    row = activations.Activation(name, "your own", "your own" if derivative else "by complex step", initializer, None,
                                 loop, bend)
    activations.ACTIVATIONS[name] = row
    return row


def cost(function: Callable[[Any, Any], Any], derivative: Callable[[Any, Any], Any] | None = None, *,
         curvature: Callable[[Any, Any], Any] | None = None, name: str | None = None,
         output: str = "identity") -> costs.Cost:
    """Register a cost of your own; networks then ask for it by name.

    Parameters
    ----------
    function : callable
        C(y, o) of one output: the target comes first. Summed over outputs, averaged over samples.
    derivative : callable, optional
        ∂C/∂o as a function of (y, o). Without it, by complex step in o, see `activation`.
    curvature : callable, optional
        ∂²C/∂o² as a function of (y, o), for Hessians only. Without it, by differences of ∂C/∂o, see `activation`.
    name : str, optional
        By default the function's own.
    output : str, default "identity"
        The activation of the output layer when none is named.

    Returns
    -------
    Cost
        Its row in the catalogue.

    Raises
    ------
    ValueError, TypeError
        As `activation`.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> cauchy = fastbp.cost(lambda y, o: np.log(1 + (o - y) ** 2), name="cauchy")
    >>> net = fastbp.Network((2, 8, 1), cost="cauchy", seed=0)
    """
    name = _name(function, name, costs.COSTS, "cost")
    activations.get(output)
    _callable("derivative", derivative)
    _callable("curvature", curvature)
    loop = _jit.user_cost(function, derivative)
    bend = _jit.user_cost_curvature(function, derivative, curvature)
    for y in (0.25, 1.0):

        def values(o: Array, y: float = y) -> tuple[Array, Array]:
            target, slope = np.full_like(o, y), np.ones_like(o)
            loop(o, target, slope, 1, np.zeros(1))
            return target, slope

        def slopes(o: Array, y: float = y, values: Callable[[Array], tuple[Array, Array]] = values) -> Any:
            curved = np.ones_like(o)
            bend(o, np.full_like(o, y), curved, np.zeros(1))
            return values(o)[1], curved

        _check(f"{name} at y = {y}", values, derivative is not None)
        if curvature is not None:
            _check(f"{name}, curvature at y = {y}", slopes, True)
    row = costs.Cost(name, loop, "your own", "your own" if derivative else "by complex step", output,
                     curvature=bend)
    costs.COSTS[name] = row
    return row


def _callable(name: str, function: Any) -> None:
    if function is not None and not callable(function):
        raise TypeError(f"{name} is {function!r}, expected a function")


def _name(function: Any, name: str | None, catalogue: dict[str, Any], kind: str) -> str:
    _callable("function", function)
    found = getattr(function, "__name__", "<lambda>") if name is None else name
    if not isinstance(found, str) or not found or found == "<lambda>":
        raise ValueError(f"name is {name!r}: this {kind} needs a name of its own, for instance name='bent'")
    if found in catalogue and catalogue[found].formula != "your own":
        raise ValueError(f"{found!r} is a built-in {kind}: choose another name")
    return found


def _check(name: str, values: Callable[[Array], tuple[Array, Array]], given: bool) -> None:
    """Compile on first use, then compare slopes with central differences wherever all are finite."""
    step = 1e-5
    try:
        with np.errstate(all="ignore"):
            slope, above, below = values(GRID.copy())[1], values(GRID + step)[0], values(GRID - step)[0]
    except Exception as error:
        hint = "" if given else "; without a derivative it must also take complex numbers: give derivative="
        raise ValueError(f"{name}: this function cannot be compiled: {_jit.reason(error)}{hint}") from error
    with np.errstate(all="ignore"):
        expected = (above - below) / (2 * step)
        off = np.abs(slope - expected) / (1 + np.abs(expected))
    if not np.isfinite(off).any():
        raise ValueError(f"{name}: neither value nor derivative is finite anywhere between -3 and 3")
    off[~np.isfinite(off)] = 0
    worst = int(off.argmax())
    if off[worst] > 1e-5:
        whose = "the derivative that was given" if given else "complex step, which needs an analytic function,"
        raise ValueError(f"{name}: at {GRID[worst]:.4g} {whose} gives {slope[worst]:.6g}, central differences "
                         f"{expected[worst]:.6g}")
