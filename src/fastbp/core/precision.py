"""The precision of products: in the dtype of the network, or of operands that are rounded to bfloat16."""

from __future__ import annotations

from ..kernels.compile import multiplies_bfloat16
from .architecture import Architecture

NAMES = "float32", "float64", "bfloat16"


def rounds(architecture: Architecture, precision: str | None, *, sparse: bool = False) -> bool:
    """Return whether operands of products are rounded to bfloat16; with None they are of the network's dtype.

    Raises
    ------
    TypeError
        If ``precision`` is no name.
    ValueError
        If there is none of that name, or it does not go with the network, the inputs or the processor.
    """
    if precision is None:
        return False
    if not isinstance(precision, str):
        raise TypeError(f"precision is {precision!r}, expected a name, one of {', '.join(map(repr, NAMES))}, or None")
    dtype = architecture.dtype.name
    if precision not in NAMES:
        raise ValueError(f"precision is {precision!r}, expected one of {', '.join(map(repr, NAMES))}, or None")
    if precision == dtype:
        return False
    if precision != "bfloat16":
        raise ValueError(f"precision is {precision!r}, but the network is of {dtype}: build it with "
                         f"dtype={precision!r}, or leave precision out")
    if dtype != "float32":
        raise ValueError(f"precision is 'bfloat16', whose products are summed in float32, but the network is of "
                         f"{dtype}: build it with dtype='float32', or leave precision out")
    if not multiplies_bfloat16():
        raise ValueError("precision is 'bfloat16', but this processor has no instruction that multiplies it "
                         "(AVX512_BF16: AMD's since Zen 4, Intel's Cooper Lake and Xeons since Sapphire Rapids; bfdot: "
                         "Armv8.6): use precision='float32'")
    if sparse:
        raise ValueError("precision is 'bfloat16', but X is sparse: give X as an array, or use precision='float32'")
    return True
