"""Activations and costs of the user's own: plain scalar functions, compiled into the loops that the core calls."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from . import activations, costs, initializers
from .kernels.compile import options
from .util.names import Names, plain

Array = npt.NDArray[np.float64]

GRID = np.linspace(-2.9, 3.1, 41) + 0.0123
"""Where derivatives are checked: off the round numbers, where kinks are."""

STEP = 1e-5
"""Of the central differences that they are checked by."""

POINTS = np.concatenate([GRID, 4 * GRID])
"""Where a function's values tell it from another one of its name."""

_compiled: dict[Any, tuple[Any, ...]] = {}
"""What was made of functions, by their code and all that they refer to. Numba never frees machine code, 1 MB and more
for a function and a dtype: what is registered once more, as in a notebook, takes none."""


def register_activation(function: Callable[[Any], Any], derivative: Callable[[Any], Any] | None = None, *,
                        second_derivative: Callable[[Any], Any] | None = None, name: str | None = None,
                        initializer: str = "glorot_uniform") -> activations.Activation:
    """Register an activation of your own; networks then ask for it by name.

    Parameters
    ----------
    function : callable
        φ(net), a function of one number that Numba can compile: arithmetic, comparisons, branches, loops, ``math`` or
        ``numpy`` functions. exp, log, tanh, sin and their like are computed by fastbp's own functions, which run in
        vectors as the built-in activations do.
    derivative : callable, optional
        φ'(net). Without it the slope is computed by dual numbers: the chain rule at each operation, exact to rounding,
        also through ``abs``, ``max``, comparisons and branches. Where an intermediate result overflows the slope is
        NaN, as infinity over infinity is.
    second_derivative : callable, optional
        φ''(net), which only Hessians and training on derivatives ask for. Without it, a ``derivative`` is carried on by
        dual numbers, exactly; without either, φ'' is taken by differences of the slope over steps of 1/128, good to
        about 1e-13 where the function varies over lengths of about 1, and over smaller ones, to fewer digits, where two
        formulas disagree, as near a singularity or a kink; it is 0 where they never agree, as at a kink. It is compiled
        when it is first used.
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
        If the name is one of a built-in activation's, Numba cannot compile the function (the message gives its reason),
        or a derivative differs from central differences (the message gives the point and both values).
    TypeError
        If a function is not callable.

    Warns
    -----
    UserWarning
        If the compiled loop takes one number at a time; the message says why.

    Notes
    -----
    It is compiled in each process, once for each dtype that is used, with the values that it refers to now: closures,
    globals and arrays may change later. Files and pickles hold its name, and some of its values, by which they tell it
    from another function of that name: register it before loading; a pickle's network says what is missing when it is
    used. A name may be registered again; networks made before keep the function that it stood for. Machine code is
    never freed, about 1 MB for a function and a dtype, but the same function takes it once, whatever it is called.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> bent = fastbp.register_activation(lambda x: (np.sqrt(x * x + 1) - 1) / 2 + x, name="bent")
    >>> net = fastbp.Network((2, 8, 1), activation="bent", seed=0)
    """
    name = _name(function, name, activations.ACTIVATIONS, activations.NAMES, "activation")
    initializer = initializers.named(initializer)
    _callable("derivative", derivative)
    _callable("second_derivative", second_derivative)
    from .kernels.functions import dual  # on use: it teaches Numba a type, which takes a moment

    def values(loop: Any, x: Array) -> tuple[Array, Array]:
        out, slope = x.copy(), np.empty_like(x)
        loop(out, slope, 1)
        return out, slope

    def compiled(function: Any, derivative: Any, second_derivative: Any) -> tuple[Any, ...]:
        loop, plain = _checked(name, dual.activation, dual.plain_activation, function, derivative, [values])
        second = dual.activation_second_derivative(function, derivative, second_derivative, plain)
        if second_derivative is not None:
            given = GRID.copy()
            second(given, given, given)
            _check_second_derivative(name, partial(values, loop), given)
        return loop, second, _fingerprint(loop, [values])

    loop, second, found = _once(compiled, "activation", function, derivative, second_derivative)
    _warn_if_slow(name, loop)
    row = activations.Activation(name, "your own", "your own" if derivative else "by dual numbers", initializer, None,
                                 loop, second, found)
    activations.ACTIVATIONS[name] = row
    return row


def register_cost(function: Callable[[Any, Any], Any], derivative: Callable[[Any, Any], Any] | None = None, *,
                  second_derivative: Callable[[Any, Any], Any] | None = None, name: str | None = None,
                  output: str = "identity") -> costs.Cost:
    """Register a cost of your own; networks then ask for it by name.

    Parameters
    ----------
    function : callable
        C(y, o) of one output: the target comes first. Summed over outputs, averaged over samples.
    derivative : callable, optional
        ∂C/∂o as a function of (y, o). Without it, by dual numbers in o, see `register_activation`.
    second_derivative : callable, optional
        ∂²C/∂o² as a function of (y, o), for Hessians only. Without it as in `register_activation`.
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
        As `register_activation`.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> cauchy = fastbp.register_cost(lambda y, o: np.log(1 + (o - y) ** 2), name="cauchy")
    >>> net = fastbp.Network((2, 8, 1), cost="cauchy", seed=0)
    """
    name = _name(function, name, costs.COSTS, costs.NAMES, "cost")
    output = activations.get(output).name
    _callable("derivative", derivative)
    _callable("second_derivative", second_derivative)
    from .kernels.functions import dual  # on use: it teaches Numba a type, which takes a moment

    def values(loop: Any, o: Array, y: float = 0.25) -> tuple[Array, Array]:
        target, slope = np.full_like(o, y), np.ones_like(o)
        loop(o.copy(), target, slope, 1, np.zeros(1))
        return target, slope

    tables = [values, partial(values, y=1.0)]

    def compiled(function: Any, derivative: Any, second_derivative: Any) -> tuple[Any, ...]:
        loop, plain = _checked(name, dual.cost, dual.plain_cost, function, derivative, tables)
        second = dual.cost_second_derivative(function, derivative, second_derivative, plain)
        if second_derivative is not None:
            for y in (0.25, 1.0):
                given = np.ones_like(GRID)
                second(GRID.copy(), np.full_like(GRID, y), given, 1, np.zeros(1))
                _check_second_derivative(f"{name} at y = {y}", partial(values, loop, y=y), given)
        return loop, second, _fingerprint(loop, tables)

    loop, second, found = _once(compiled, "cost", function, derivative, second_derivative)
    _warn_if_slow(name, loop)
    row = costs.Cost(name, loop, "your own", "your own" if derivative else "by dual numbers", output,
                     second_derivative=second, values=found)
    costs.COSTS[name] = row
    return row


def _once(make: Callable[..., tuple[Any, ...]], kind: str, *functions: Any) -> tuple[Any, ...]:
    """Compile functions as they are now, unless the same ones have been before."""
    from .kernels.functions import dual

    fixed = dual.Fixed()
    now, keys = zip(*map(fixed.of, functions), strict=True)
    if (kind, keys) not in _compiled:
        _compiled[kind, keys] = make(*now)
    return _compiled[kind, keys]


def _fingerprint(loop: Any, tables: list[Any]) -> bytes:
    """Return values that tell a function from another one."""
    with np.errstate(all="ignore"):
        return b"".join(table(loop, POINTS)[0].tobytes() for table in tables)


def _warn_if_slow(name: str, loop: Any) -> None:
    if why := options.one_by_one(loop):
        warnings.warn(f"{name} is computed one number at a time, several times slower than a built-in function: {why}",
                      stacklevel=3)


def _callable(name: str, function: Any) -> None:
    if function is not None and not callable(function):
        raise TypeError(f"{name} is {function!r}, expected a function")


def _name(function: Any, name: str | None, catalogue: dict[str, Any], names: Names, kind: str) -> str:
    _callable("function", function)
    found = getattr(function, "__name__", "<lambda>") if name is None else name
    if not isinstance(found, str) or not found or found == "<lambda>":
        raise ValueError(f"name is {name!r}: this {kind} needs a name of its own, for instance name='bent'")
    if activations.is_parametric(found):
        raise ValueError(f"{found!r} is the name of a parametric activation: choose another name")
    if found in catalogue and catalogue[found].formula != "your own":
        raise ValueError(f"{found!r} is a built-in {kind}: choose another name")
    if (other := names.accepted.get(plain(found))) is not None:
        raise ValueError(f"{found!r} is another name of the built-in {kind} {other!r}: choose another name")
    return found


def _checked(name: str, make: Any, make_plain: Any, function: Any, derivative: Any,
             tables: list[Any]) -> tuple[Any, bool]:
    """Compile functions into a loop on dual numbers, or, if they come with a derivative, else on plain ones; check it.

    ``tables`` compute values and slopes by a loop on a grid. Returns the loop, and whether it is one on plain numbers.
    """
    loop, plain = make(function, derivative), False
    try:
        found = _values(loop, tables)
    except Exception as error:
        if derivative is None:
            raise ValueError(f"{name}: this function cannot be differentiated: {options.reason(error)}; give "
                             "derivative=") from error
        loop, plain = make_plain(function, derivative), True
        try:
            found = _values(loop, tables)
        except Exception as second:
            raise ValueError(f"{name}: this function cannot be compiled: {options.reason(second)}") from second
    for slope, above, below in found:
        _check(name, slope, (above - below) / (2 * STEP), derivative is not None)
    return loop, plain


def _values(loop: Any, tables: list[Any]) -> list[tuple[Array, Array, Array]]:
    """Return for each table the slopes on the grid, and the values STEP above and below; this compiles the loop."""
    with np.errstate(all="ignore"):
        return [(table(loop, GRID)[1], table(loop, GRID + STEP)[0], table(loop, GRID - STEP)[0]) for table in tables]


def _check_second_derivative(name: str, values: Callable[[Array], tuple[Array, Array]], given: Array) -> None:
    """Compare the second derivative that was given, on the grid, with central differences of the first."""
    with np.errstate(all="ignore"):
        expected = (values(GRID + STEP)[1] - values(GRID - STEP)[1]) / (2 * STEP)
    _check(name, given, expected, True, "second derivative")


def _check(name: str, slope: Array, expected: Array, given: bool, what: str = "derivative") -> None:
    """Compare slopes with central differences wherever both are finite."""
    with np.errstate(all="ignore"):
        off = np.abs(slope - expected) / (1 + np.abs(expected))
    if not np.isfinite(off).any():
        raise ValueError(f"{name}: neither value nor derivative is finite anywhere between -3 and 3")
    off[~np.isfinite(off)] = 0
    worst = int(off.argmax())
    if off[worst] > 1e-5:
        whose = f"the {what} that was given is" if given else "the slope is"
        raise ValueError(f"{name}: at {GRID[worst]:.4g} {whose} {slope[worst]:.6g}, but central differences give "
                         f"{expected[worst]:.6g}")
