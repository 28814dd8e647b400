"""Dual numbers as a type of Numba's, and every operation of `rules` on it."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic, lower_cast, models, overload, register_model

from ...compile.numba_internals import Conversion, cgutils
from ...compile.options import SCALAR
from .rules import BINARY, COMPARISONS, UNARY, called, times, whole_power


class DualType(types.Type):  # type: ignore[misc]
    """Numba's type of a dual number; a plain number becomes one where the two meet, with slope 0."""

    def __init__(self, real: Any) -> None:
        self.real = real
        super().__init__(f"dual({real})")

    def can_convert_from(self, typing: Any, other: Any) -> Any:
        """Take any number."""
        return Conversion.safe if isinstance(other, (types.Number, types.Boolean)) else None

    def unify(self, typing: Any, other: Any) -> Any:
        """Be the type of a variable that holds now a dual, now a plain number."""
        return self if isinstance(other, (types.Number, types.Boolean)) else None


@register_model(DualType)
class _DualModel(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("value", kind.real), ("slope", kind.real)])


@lower_cast(types.Number, DualType)
@lower_cast(types.Boolean, DualType)
def _from_number(context: Any, builder: Any, source: Any, target: Any, number: Any) -> Any:
    made = cgutils.create_struct_proxy(target)(context, builder)
    made.value = context.cast(builder, number, source, target.real)
    made.slope = context.get_constant(target.real, 0.0)
    return made._getvalue()


@intrinsic
def dual(typing: Any, value: Any, slope: Any) -> Any:
    """Make a dual number."""
    kind = DualType(value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = cgutils.create_struct_proxy(kind)(context, builder)
        made.value, made.slope = arguments
        return made._getvalue()

    return kind(value, value), generate


def _part(name: str) -> Any:
    def take(typing: Any, x: Any, like: Any) -> Any:
        real = getattr(like, "real", like)
        kind = x if isinstance(x, DualType) else DualType(real)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number = context.cast(builder, arguments[0], signature.args[0], kind)
            return getattr(cgutils.create_struct_proxy(kind)(context, builder, number), name)

        return real(x, like), generate

    return intrinsic(take)


value_of, slope_of = _part("value"), _part("slope")


def _mixed(*kinds: Any) -> Any:
    """Return which of the operands of an operation is dual, if all are numbers."""
    numbers = all(isinstance(kind, (DualType, types.Number, types.Boolean)) for kind in kinds)
    places = [place for place, kind in enumerate(kinds) if isinstance(kind, DualType)]
    return places[0] if numbers and places else None


def _unary(rule: Any) -> Any:
    def typed(x: Any) -> Any:
        def run(x: Any) -> Any:
            value, slope = rule(value_of(x, x))
            return dual(value, times(slope, slope_of(x, x)))

        return run if isinstance(x, DualType) else None

    return typed


def _binary(rule: Any) -> Any:
    def typed(x: Any, y: Any) -> Any:
        def first(x: Any, y: Any) -> Any:
            value, slope = rule(value_of(x, x), value_of(y, x), slope_of(x, x), slope_of(y, x))
            return dual(value, slope)

        def second(x: Any, y: Any) -> Any:
            value, slope = rule(value_of(x, y), value_of(y, y), slope_of(x, y), slope_of(y, y))
            return dual(value, slope)

        return {None: None, 0: first, 1: second}[_mixed(x, y)]

    return typed


def _typed_power(x: Any, y: Any) -> Any:
    if isinstance(x, DualType) and isinstance(y, types.IntegerLiteral) and 0 < abs(y.literal_value) <= 16:
        n = y.literal_value

        def whole(x: Any, y: Any) -> Any:
            value, slope = whole_power(value_of(x, x), n)
            return dual(value, times(slope, slope_of(x, x)))

        return whole
    return _binary(BINARY["power"])(x, y)


def _comparison(compare: Any) -> Any:
    def typed(x: Any, y: Any) -> Any:
        def first(x: Any, y: Any) -> Any:
            return compare(value_of(x, x), value_of(y, x))

        def second(x: Any, y: Any) -> Any:
            return compare(value_of(x, y), value_of(y, y))

        return {None: None, 0: first, 1: second}[_mixed(x, y)]

    return typed


def _typed_where(condition: Any, x: Any, y: Any) -> Any:
    def run(condition: Any, x: Any, y: Any) -> Any:
        return x if condition else y

    return run if isinstance(condition, types.Boolean) and _mixed(x, y) is not None else None


def _typed_clip(a: Any, a_min: Any, a_max: Any) -> Any:
    def run(a: Any, a_min: Any, a_max: Any) -> Any:
        return min(max(a, a_min), a_max)

    return run if _mixed(a, a_min, a_max) is not None else None


for _name, _rule in UNARY.items():
    for _function in called(_name):
        overload(_function, jit_options=SCALAR)(_unary(_rule))
IN_PLACE = {"add": operator.iadd, "subtract": operator.isub, "multiply": operator.imul,
            "divide": operator.itruediv, "power": operator.ipow}
for _name, _rule in BINARY.items():
    for _function in {*called(_name), IN_PLACE.get(_name, called(_name)[0])}:
        overload(_function, jit_options=SCALAR, prefer_literal=_name == "power")(
            _typed_power if _name == "power" else _binary(_rule))
for _name in COMPARISONS:
    overload(getattr(operator, _name), jit_options=SCALAR)(_comparison(getattr(operator, _name)))
overload(np.where, jit_options=SCALAR)(_typed_where)
overload(np.clip, jit_options=SCALAR)(_typed_clip)


class RowType(types.Type):  # type: ignore[misc]
    """Numba's type of the numbers of a sample, by index: of the outputs, dual numbers, of which one has slope 1."""

    def __init__(self, real: Any, duals: bool) -> None:
        self.real, self.duals = real, duals
        super().__init__(f"row({'dual' if duals else 'plain'} {real})")


@register_model(RowType)
class _RowModel(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("data", types.CPointer(kind.real)), ("step", types.int64),
                                         ("seed", types.int64), ("size", types.int64)])


def _row(duals: bool) -> Any:
    def make(typing: Any, data: Any, step: Any, seed: Any, size: Any) -> Any:
        kind = RowType(data.dtype, duals)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            made = cgutils.create_struct_proxy(kind)(context, builder)
            made.data, made.step, made.seed, made.size = arguments
            return made._getvalue()

        return kind(data, types.int64, types.int64, types.int64), generate

    return intrinsic(make)


dual_row, plain_row = _row(True), _row(False)


def _row_part(name: str) -> Any:
    def take(typing: Any, row: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(cgutils.create_struct_proxy(row)(context, builder, arguments[0]), name)

        return (types.CPointer(row.real) if name == "data" else types.int64)(row), generate

    return intrinsic(take)


_data, _step, _seed, _size = map(_row_part, ("data", "step", "seed", "size"))


def _typed_item(row: Any, i: Any) -> Any:
    def of_duals(row: Any, i: Any) -> Any:
        k = i + _size(row) if i < 0 else i
        data = _data(row)
        real = type(data[0])
        if k < 0 or k >= _size(row):
            return dual(real(np.nan), real(np.nan))
        return dual(data[k * _step(row)], real(1) if k == _seed(row) else real(0))

    def of_numbers(row: Any, i: Any) -> Any:
        k = i + _size(row) if i < 0 else i
        data = _data(row)
        return data[k * _step(row)] if 0 <= k < _size(row) else type(data[0])(np.nan)

    if not isinstance(row, RowType) or not isinstance(i, types.Integer):
        return None
    return of_duals if row.duals else of_numbers


overload(operator.getitem, jit_options=SCALAR)(_typed_item)


@overload(len, jit_options=SCALAR)
def _typed_length(row: Any) -> Any:
    def length(row: Any) -> Any:
        return _size(row)

    return length if isinstance(row, RowType) else None
