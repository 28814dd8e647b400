"""All LLVM IR, each function of it beside its twin in plain Python, which has the docstring of both."""

from .calls import call
from .copies import FEW, copy_tile, copy_vector, gather_few, gather_square, mix_vectors, multiply_vector, transpose
from .memory import array_at, array_at_address, lanes, made_of, panel, pointer, pointer_at, row, stack, user_array, view
from .rows import COLUMN_VECTORS, DOT_ROWS, dot_rows, rank_one, sum_columns
from .scalars import from_bits, fused, is_single, least, most, polynomial, to_bits, wrapped
from .stacked import (
    STACKED_COLUMNS,
    STACKED_ROWS,
    STACKED_WIDE,
    stacked_backward,
    stacked_forward,
    stacked_gradient,
    stacked_lanes_sum,
)
from .threads import atomic_add, atomic_load, give_way, lap, prefetch, ticks
from .tiles import LANES_COLUMNS, WHOLE, backward_tile, forward_tile, gradient_tile, lanes_4x1, lanes_4xn

__all__ = [
    "COLUMN_VECTORS",
    "DOT_ROWS",
    "FEW",
    "LANES_COLUMNS",
    "STACKED_COLUMNS",
    "STACKED_ROWS",
    "STACKED_WIDE",
    "WHOLE",
    "array_at",
    "array_at_address",
    "atomic_add",
    "atomic_load",
    "backward_tile",
    "call",
    "copy_tile",
    "copy_vector",
    "dot_rows",
    "forward_tile",
    "from_bits",
    "fused",
    "gather_few",
    "gather_square",
    "give_way",
    "gradient_tile",
    "is_single",
    "lanes",
    "lanes_4x1",
    "lanes_4xn",
    "lap",
    "least",
    "made_of",
    "mix_vectors",
    "most",
    "multiply_vector",
    "panel",
    "pointer",
    "pointer_at",
    "polynomial",
    "prefetch",
    "rank_one",
    "row",
    "stack",
    "stacked_backward",
    "stacked_forward",
    "stacked_gradient",
    "stacked_lanes_sum",
    "sum_columns",
    "ticks",
    "to_bits",
    "transpose",
    "user_array",
    "view",
    "wrapped",
]
