"""How kernels are compiled: Numba's options, addresses, machine code on disk."""

from .addresses import (
    BY_ADDRESS,
    TWINS,
    Kernel,
    address,
    by_address,
    by_element,
    numba_types,
    place,
    rule,
)
from .cfunc import c_function
from .options import EXACT, JIT, allocating, inline, inner, kernel, one_by_one, reason, scalar
from .target import VECTOR_BYTES, VECTOR_REGISTERS, host_pair_product, multiplies_bfloat16, vector_unit
from .typed import Typed

__all__ = [
    "BY_ADDRESS",
    "EXACT",
    "JIT",
    "Kernel",
    "TWINS",
    "Typed",
    "VECTOR_BYTES",
    "VECTOR_REGISTERS",
    "address",
    "allocating",
    "by_address",
    "by_element",
    "c_function",
    "host_pair_product",
    "inline",
    "inner",
    "kernel",
    "multiplies_bfloat16",
    "numba_types",
    "one_by_one",
    "place",
    "reason",
    "rule",
    "scalar",
    "vector_unit",
]
