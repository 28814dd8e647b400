"""Dual numbers of plain Python, for NUMBA_DISABLE_JIT=1."""

from __future__ import annotations

import builtins
import math
import operator
import types as python
from typing import Any

import numpy as np

from .rules import BINARY, COMPARISONS, OTHER_NAMES, UNARY, times, whole_power


class dual:
    """A dual number of plain Python, for NUMBA_DISABLE_JIT=1."""

    def __init__(self, value: Any, slope: Any) -> None:
        self.value, self.slope = value, slope

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any) -> Any:
        name = {"greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "equal": "eq",
                "not_equal": "ne"}.get(ufunc.__name__, ufunc.__name__)
        if name in COMPARISONS:
            return getattr(operator, name)(*(value_of(x, self.value) for x in inputs))
        return _apply(name, inputs)

    def __array_function__(self, function: Any, kinds: Any, arguments: Any, options: Any) -> Any:
        if function is np.where:
            return arguments[1] if arguments[0] else arguments[2]
        if function is np.clip:
            return _apply("minimum", (_apply("maximum", arguments[:2]), arguments[2]))
        return NotImplemented


def value_of(x: Any, like: Any) -> Any:
    """Return the value of a dual or plain number, of the type of ``like``."""
    return x.value if isinstance(x, dual) else type(like)(x)


def slope_of(x: Any, like: Any) -> Any:
    """Return the slope of a dual number; 0 for a plain one."""
    return x.slope if isinstance(x, dual) else type(like)(0)


def _apply(name: str, inputs: Any) -> Any:
    like = next(x for x in inputs if isinstance(x, dual)).value
    values, slopes = [value_of(x, like) for x in inputs], [slope_of(x, like) for x in inputs]
    if name in UNARY:
        value, slope = UNARY[name](*values)
        return dual(value, times(slope, slopes[0]))
    if name == "power" and isinstance(inputs[1], int) and 0 < abs(inputs[1]) <= 16:
        value, slope = whole_power(values[0], inputs[1])
        return dual(value, times(slope, slopes[0]))
    if name not in BINARY:
        raise TypeError(f"No implementation of {name} for dual numbers")
    return dual(*BINARY[name](*values, *slopes))


def _method(name: str, reflected: bool) -> Any:
    def method(*inputs: Any) -> Any:
        return _apply(name, inputs[::-1] if reflected else inputs)

    return method


def _compared(compare: Any) -> Any:
    return lambda x, y: compare(x.value, value_of(y, x.value))


for _name in (*UNARY, *BINARY):
    for _function in OTHER_NAMES.get(_name, ()):
        if _function.__module__ == "_operator" or _function is builtins.abs:
            _operator = _function.__name__.strip("_")
            setattr(dual, f"__{_operator}__", _method(_name, reflected=False))
            setattr(dual, f"__r{_operator}__", _method(_name, reflected=True))
for _name in COMPARISONS:
    setattr(dual, f"__{_name}__", _compared(getattr(operator, _name)))


_IN_MATH = {id(getattr(math, name)): name for name in (*UNARY, *BINARY) if hasattr(math, name)} | {
    id(function): name for name, functions in OTHER_NAMES.items() for function in functions
    if function.__module__ == "math"}


def with_duals(thing: Any) -> Any:
    """Return the module `math`, or a function of it, as one that takes dual numbers too."""
    if thing is math:
        return python.SimpleNamespace(**{name: with_duals(member) for name, member in vars(math).items()})
    if id(thing) in _IN_MATH:
        return lambda *inputs: (_apply(_IN_MATH[id(thing)], inputs)
                                if any(isinstance(x, dual) for x in inputs) else thing(*inputs))
    return thing


class Row:
    """The numbers of a sample, by index; a number that is not there is NaN, as it is where this is compiled."""

    def __init__(self, data: Any, step: int, seed: int, size: int, duals: bool) -> None:
        self.data, self.step, self.seed, self.size, self.duals = data, step, seed, size, duals

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Any:
        raise TypeError("outputs and targets are taken by index: for j in range(len(o))")

    def __getitem__(self, i: int) -> Any:
        k = i + self.size if i < 0 else i
        number = self.data[k * self.step] if 0 <= k < self.size else type(self.data[0])(np.nan)
        return dual(number, type(number)(k == self.seed)) if self.duals else number


def dual_row(data: Any, step: int, seed: int, size: int) -> Row:
    """Return the outputs of a sample, of which one has slope 1."""
    return Row(data, step, seed, size, True)


def plain_row(data: Any, step: int, seed: int, size: int) -> Row:
    """Return what is known of a sample."""
    return Row(data, step, seed, size, False)
