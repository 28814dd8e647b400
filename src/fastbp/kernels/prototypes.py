"""What several kernels have in common that one call chooses from by address: their arguments, and what they promise.

None of them is ever compiled; `ir.call` checks calls against them, `compile.address` the kernels that stand in for
them.
"""

from .compile import by_address
from .compile.arguments import DoublePointer, Doubles, Floats, IntegerPointer, Integers, ReadOnly, Table
from .tables import (
    CELL_COST_KERNEL,
    CELL_COST_SECOND,
    CELL_FISHER,
    CELL_JACOBIAN,
    ENCODER_ENCODE,
    ENCODER_GRADIENT,
    ENCODER_SLOPE,
    LAYER_ACTIVATION,
    LAYER_SECOND,
)


@by_address(LAYER_ACTIVATION)
def activation(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrites a panel of net inputs with φ(net), and ``slope`` with φ'(net)."""


@by_address(LAYER_SECOND)
def second_derivative(net: Floats, out: Floats, slope: Floats) -> None:
    """Overwrites net inputs with φ''(net)."""


@by_address(CELL_COST_KERNEL)
def cost(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """Overwrites ``target`` with each element's C(y, o), and multiplies ``delta`` by ∂C/∂o; see `costs`."""


@by_address(CELL_COST_SECOND)
def cost_second(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """Multiplies ``delta`` by ∂²C/∂o²."""


@by_address(CELL_FISHER)
def fisher(out: Floats, delta: Floats, neurons: int) -> None:
    """Multiplies ``delta`` by Fisher's information of the outputs: the mean of ∂²C/∂o² over targets as C has them."""


@by_address(CELL_JACOBIAN)
def jacobian_product(out: Floats, delta: Floats, neurons: int) -> None:
    """Multiplies ``delta`` by the Jacobian of an output that is not element-wise."""


@by_address(ENCODER_ENCODE)
def encoder(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats, first: int,
            last: int) -> None:
    """Overwrites the encoded numbers of an encoder, whose row is ``here``, for strips first..last of a block."""


@by_address(ENCODER_SLOPE)
def encoder_slope(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats, first: int,
                  last: int) -> None:
    """Adds Σ δ_k ∂e_k/∂x to the panel of derivatives by the columns, for strips first..last."""


@by_address(ENCODER_GRADIENT)
def encoder_gradient(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats, gradient: Floats,
                     strips: int, accumulate: int, begin: int, end: int) -> None:
    """Overwrites the gradient of units begin..end of an encoder's parameters, or adds to it."""


@by_address()
def update_rule(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
                hyper: Doubles) -> None:
    """(7) for parameters start..stop, whose gradient lies ``shift`` places before; overwrites parameters and state."""


@by_address()
def total_penalty(hyper: Doubles, sums: DoublePointer) -> None:
    """The penalty of a regularised fit, into ``sums``."""


@by_address()
def direction(parameters: Floats, state: Floats, numbers: Doubles, search: Doubles) -> None:
    """A direction of `line_search`, or what it remembers of a step."""


@by_address()
def block(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
          inputs: ReadOnly, given: ReadOnly, weights: ReadOnly, total: float, order: Integers, begin: int, end: int,
          strips: int, labels: int, rows: Floats, out: Floats) -> None:
    """A derivative of samples begin..end, in so many strips: overwrites their rows of ``out``, which is flat.

    ``given`` has a row for each sample: its target (or class index, with ``labels`` = 1), tangent or cotangent.
    ``rows`` has room for outputs and deltas of a block, as rows, of the widest pair of layers; or none.
    """
