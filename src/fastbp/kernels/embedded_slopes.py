"""A network for cotangents of its outputs and slopes inside the caller's own compiled code: a batch, see `embedded`."""

import math

from .compile import by_address
from .compile.arguments import Doubles, Floats, Integers, ReadOnly, Table
from .embedded import many
from .ir import address_of, array_at, call, stack
from .tables import (
    CELL_COST,
    CELL_COUNT,
    CELL_GIVEN_JACOBIAN,
    ENTRY_BLOCK,
    ENTRY_GRADIENT_MANY,
    ENTRY_MANY,
    ENTRY_PARAMETER_VJP,
)


@by_address(ENTRY_GRADIENT_MANY)
def refuse(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
           inputs: ReadOnly, targets: ReadOnly, none: ReadOnly, order: Integers, samples: int, block: int,
           gradient: Floats, slots: Floats, hyper: Doubles, rule: int) -> None:
    """In the place of `many` where that reads cotangents of slopes, which are not there: the cost is NaN."""
    panels[cells[CELL_COST]] = math.nan


@by_address(ENTRY_PARAMETER_VJP)
def parameter_vjp(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
                  inputs: ReadOnly, outputs: ReadOnly, slopes: ReadOnly, none: ReadOnly, order: Integers,
                  samples: int, calls: Integers, gradient: Floats) -> None:
    """The gradient of Σ_s (Σ_j u_sj o_sj + Σ_ji u_sji ∂o_sj/∂x_i), cotangents given; overwrites ``gradient``."""
    own = array_at(stack(cells[0], CELL_COUNT), CELL_COUNT)
    for i in range(CELL_COUNT):
        own[i] = cells[i]
    own[CELL_GIVEN_JACOBIAN] = address_of(slopes)
    call(many, calls[ENTRY_MANY], layers, own, cost_parameter, panels, parameters, inputs, outputs, none, order,
         samples, calls[ENTRY_BLOCK], gradient, gradient, cost_parameter, 0)
    total = type(gradient[0])(samples)
    for i in range(gradient.size):
        gradient[i] *= total


KERNELS = refuse, parameter_vjp
"""What a model for cotangents of slopes calls beside those of any model."""
