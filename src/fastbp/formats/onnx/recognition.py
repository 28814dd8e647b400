"""Which activation the operators behind a layer are: told by its values, since each exporter writes others.

The operators between two layers are kept as steps from the net inputs z. Where all of them are lines, they are
z ← qz + r, and go into the layer's weights. Else their values f at some points are compared with each φ of the
catalogue: u = qz + r is φ's argument, for a line (q, r) that occurs among the steps, and

    f = c (u + α(φ(u) − u)) + s

with numbers c, α and s of each neuron, found by least squares. With α = 1 it is φ itself; c and s go into the next
layer's weights.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ... import activations
from ...custom import POINTS
from . import functions
from .operators import FUNCTIONS, Arrays

Array = npt.NDArray[Any]
Line = tuple[Array, Array]
"""q and r of qz + r: a number for all neurons, or one for each."""

MOST_STEPS = 64
"""Between two layers. fastbp's own gelu in double has 48."""

MOST_LINES = 8
"""Of those of which one may be an activation's argument."""

FAR = np.concatenate([sign * np.logspace(1.2, 6, 40) for sign in (-1.0, 1.0)])
"""Where a match is looked at once more: what only happens at large numbers, such as a limit, is another function."""

TOLERANCE = 1e-6
"""Constants of files are often roundings to float32."""

NEURONS = 1024
"""That are looked at together."""


@dataclass(frozen=True, eq=False)
class Step:
    """An operator between two layers.

    Attributes
    ----------
    op : str
        Its name, for messages.
    function : str
        What computes it, in `FUNCTIONS`; "" for a line, or for softmax.
    arguments : sequence of int or array
        Numbers of earlier steps, and constants.
    attributes : dict
    line : pair of arrays or None
        q and r where it is a line of z.
    """

    op: str
    function: str
    arguments: Sequence[int | Array]
    attributes: dict[str, Any]
    line: Line | None


@dataclass(frozen=True, eq=False)
class Found:
    """An activation: a row's name, its argument qz + r, α of a parametric one, and c and s as above."""

    name: str
    line: Line
    alphas: Array | None
    factor: Array
    offset: Array

    @property
    def beside(self) -> int:
        """How much there is beside φ: nothing, α, c and s, or all of them."""
        return 2 * bool((self.factor != 1).any() or self.offset.any()) + (self.alphas is not None)


ONE, ZERO = np.array(1.0), np.array(0.0)


class Steps:
    """The operators behind a layer; step 0 is its net input z.

    Parameters
    ----------
    spend : callable
        Called with how many numbers are going to be computed; it raises ValueError where they are too many.
    """

    def __init__(self, spend: Callable[[int], None]) -> None:
        self._spend = spend
        self._steps = [Step("", "", (), {}, (ONE, ZERO))]
        self._lines: list[Line] = [(ONE, ZERO)]

    def __getitem__(self, index: int) -> Step:
        return self._steps[index]

    def straight(self, op: str, start: int, factor: Array, offset: Array) -> int:
        """Add factor · (a step) + offset; return the number of the new step."""
        known = self._steps[start].line
        line = None if known is None else (known[0] * factor, known[1] * factor + offset)
        if line is not None:
            self._suggest(line)
        return self._add(Step(op, "", (start, factor, offset), {}, line))

    def sum(self, first: int, second: int, sign: float) -> int:
        """Add the sum of two steps, or their difference; return the number of the new step."""
        lines, line = [self._steps[first].line, self._steps[second].line], None
        if lines[0] is not None and lines[1] is not None:
            line = lines[0][0] + sign * lines[1][0], lines[0][1] + sign * lines[1][1]
        op = "Add" if sign > 0 else "Sub"
        return self._add(Step(op, op, (first, second), {}, line))

    def apply(self, op: str, arguments: Sequence[int | Array], attributes: dict[str, Any]) -> int:
        """Add an operator of `FUNCTIONS`, or Softmax; return the number of the new step."""
        for i in arguments:
            line = self._steps[i].line if isinstance(i, int) else None
            for candidate in [] if line is None else _kinks(op, line, arguments, attributes):
                self._suggest(candidate)
        return self._add(Step(op, op if op != "Softmax" else "", arguments, attributes, None))

    def _add(self, step: Step) -> int:
        if any(isinstance(i, int) and self._steps[i].op == "Softmax" for i in step.arguments):
            raise ValueError("it works on what a softmax has made, which must be the last")
        if len(self._steps) > MOST_STEPS:
            raise ValueError(f"it is one of more than {MOST_STEPS} operators between two layers")
        self._steps.append(step)
        return len(self._steps) - 1

    def _suggest(self, line: Line) -> None:
        q, r = line
        if len(self._lines) < MOST_LINES and np.isfinite(q).all() and np.isfinite(r).all() and (q != 0).all() and \
                not any(np.array_equal(q, a) and np.array_equal(r, b) for a, b in self._lines):
            self._lines.append(line)

    def values(self, last: int, line: Line, points: Array, neurons: slice) -> Array:
        """Return what a step gives where qz + r has these values, (points, neurons or 1)."""
        def part(value: Array) -> Array:
            return value if value.ndim == 0 else value[neurons]

        found: dict[int, Array] = {}
        for index in self._behind(last):
            step = self._steps[index]
            if step.line is not None:  # of z, so of u, too; most often it is u itself, whatever the neuron
                q = part(step.line[0]) / part(line[0])
                made = _one(q) * points[:, None] + _one(part(step.line[1]) - q * part(line[1]))
            else:
                arguments = [found[i] if isinstance(i, int) else _one(part(i)) for i in step.arguments]
                if step.function:
                    made = np.asarray(FUNCTIONS[step.function](*arguments, **step.attributes))
                else:
                    made = arguments[0] * arguments[1] + arguments[2]
            self._spend(made.size)
            found[index] = made
        return found[last].astype(np.float64)

    def _behind(self, last: int) -> list[int]:
        """Return the steps that lead to one, itself last."""
        found = {last}
        for index in range(last, 0, -1):
            if index in found:
                found.update(i for i in self._steps[index].arguments if isinstance(i, int))
        return sorted(found)

    def parts(self, last: int) -> Iterator[slice]:
        """Yield neurons that are looked at together; one for all where no neuron has constants of its own."""
        constants = [value for index in self._behind(last) for value in self._steps[index].arguments
                     if not isinstance(value, int)]
        size = max(value.size for pair in [*self._lines, constants] for value in pair)
        return (slice(i, min(i + NEURONS, size)) for i in range(0, size, NEURONS))

    def complements(self, first: int, second: int) -> bool:
        """Return whether of two steps one is 1 − the other."""
        if "Softmax" in (self._steps[first].op, self._steps[second].op):
            return False
        return all(np.allclose(self.values(first, (ONE, ZERO), POINTS, part),
                               1 - self.values(second, (ONE, ZERO), POINTS, part), rtol=0, atol=TOLERANCE)
                   for part in (*self.parts(first), *self.parts(second)))

    def recognised(self, last: int) -> Found:
        """Return which activation leads from the net inputs to a step.

        Raises
        ------
        ValueError
            If none does; the message names the operators, and the nearest activation.
        """
        step = self._steps[last]
        if step.op == "Softmax":
            start = step.arguments[0]
            line = self._steps[start].line if isinstance(start, int) else None
            if line is None:
                raise ValueError(f"{self._shown(last)} stand between a layer and its softmax")
            return Found("softmax", line, None, ONE, ZERO)
        if step.line is not None:
            return Found("identity", step.line, None, ONE, ZERO)
        found = [match for line in self._lines[::-1] if (match := self._match(last, line)) is not None]
        if not found:
            raise ValueError(f"{self._shown(last)} are no activation that fastbp has{self._nearest(last)}")
        return min(found, key=lambda match: match.beside)

    def _match(self, last: int, line: Line) -> Found | None:
        """Return the activation whose argument is this line, or None."""
        fits: dict[str, list[Array]] = {name: [] for name in _names()}
        for part in self.parts(last):
            f = self.values(last, line, _all_points(), part)
            for name in list(fits):
                fit = _fit(name, f)
                if fit is None:
                    del fits[name]
                else:
                    fits[name].append(np.broadcast_to(fit, (3, part.stop - part.start)))
            if not fits:
                return None
        found = []
        for name, parts in fits.items():
            p, c, s = map(_one, np.concatenate(parts, axis=1))
            if (p == c).all():
                found.append(Found(name, line, None, c, s))
            elif (c != 0).all():
                found.append(Found(name, line, p / c, c, s))
        return min(found, key=lambda match: match.beside, default=None)

    def _shown(self, last: int) -> str:
        """Return the operators up to a step, as text."""
        return ", ".join(self._steps[index].op for index in self._behind(last)[1:])

    def _nearest(self, last: int) -> str:
        """Return which activation comes nearest, as text."""
        best, name = np.inf, ""
        for line in self._lines:
            near = np.flatnonzero(np.abs(POINTS) < 4)
            f = self.values(last, line, POINTS[near], slice(0, 1))[:, 0]
            for other in _names():
                difference = float(np.max(np.abs(f - _basis(other)[near, 1])))
                if difference < best:
                    best, name = difference, other
        return f"; the nearest is {name!r}, from which they differ by up to {best:.2g}" if best < 1 else ""


def _kinks(op: str, line: Line, arguments: Sequence[int | Array], attributes: dict[str, Any]) -> Iterator[Line]:
    """Yield lines with which an operator that has its kinks, or its scale, elsewhere is an activation."""
    q, r = line
    constants = [value for value in arguments if not isinstance(value, int)]
    if op == "Clip":
        low, high = [attributes.get("low", -np.inf), attributes.get("high", np.inf)]
        if np.isfinite(low) and np.isfinite(high) and low < high:
            middle, half = (low + high) / 2, (high - low) / 2
            yield q / half, (r - middle) / half
        elif np.isfinite(low):
            yield q, r - low
        elif np.isfinite(high):
            yield -q, high - r
    elif op == "Max" and constants:
        yield q, r - constants[0]
    elif op == "Min" and constants:
        yield -q, constants[0] - r
    elif op == "HardSigmoid":
        alpha, beta = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
        yield 6 * alpha * q, 6 * alpha * r + 6 * beta - 3
    elif op == "Celu":
        alpha = attributes.get("alpha", 1.0)
        if alpha:
            yield q / alpha, r / alpha
    elif op == "Swish":
        alpha = attributes.get("alpha", 1.0)
        yield alpha * q, alpha * r


def _names() -> list[str]:
    """Return the activations that a layer may have behind it."""
    return [name for name in activations.ACTIVATIONS
            if name in functions.NAMES and name not in ("identity", "softmax")]


def _all_points() -> Array:
    return np.concatenate([POINTS, FAR])


@functools.cache
def _basis(name: str) -> Array:
    """Return 1, φ(u) and u at all points, a column each."""
    u = _all_points()
    phi = functions.activated(Arrays(), name, u, double=True, opset=13)
    return np.stack([np.ones_like(u), phi, u], axis=1)


@functools.cache
def _inverse(name: str) -> Array:
    """Return the pseudo-inverse of this, of the near points."""
    found: Array = np.linalg.pinv(_basis(name)[: len(POINTS)])
    return found


def _fit(name: str, f: Array) -> Array | None:
    """Return p, c and s of each neuron, (3, neurons), with f = p φ(u) + (c − p) u + s; None where there are none."""
    near = f[: len(POINTS)]
    if not np.isfinite(near).all():
        return None
    s, p, t = _inverse(name) @ near
    size = np.abs(p) + np.abs(t)
    p, t, s = (np.where(np.abs(value) <= TOLERANCE * size, 0.0, value) for value in (p, t, s))
    if not p.any():
        return None
    _, phi, u = (column[:, None] for column in _basis(name).T)
    fitted = np.where(p == 0, 0.0, p * phi) + t * u + s
    allowed = TOLERANCE * (np.abs(p) * (1 + np.abs(phi)) + np.abs(t * u) + np.abs(s))
    same = (np.abs(f - fitted) <= allowed) & np.isfinite(fitted)
    if not (same | ~np.isfinite(f)).all():
        return None
    c = np.where(np.abs(p + t - 1) <= TOLERANCE, 1.0, p + t)
    return np.stack([np.where(t == 0, c, p), c, s])


def _one(values: Array) -> Array:
    """Return a number where it is the same for all neurons."""
    return np.asarray(values if values.ndim == 0 or (values != values[0]).any() else values[0])
