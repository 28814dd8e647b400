"""The tile on data that lie in the L1 cache: what the machine can do at best; and the machine's clock."""

from ..compile import kernel
from . import WHOLE, forward_pairs, forward_tile, lanes, ticks


@kernel
def single_tiles(weights, panels, bias, n_in, repetitions):
    """Compute net_j (1) of WHOLE neurons for two strips, over and over; overwrites the end of ``panels``."""
    lane = lanes(panels)
    for _ in range(repetitions):
        forward_tile(weights, 0, n_in, 1, panels, 0, n_in * lane, 2 * n_in * lane, WHOLE * lane, n_in, bias, 0, WHOLE,
                     2)


@kernel
def pair_tiles(weights, panels, bias, n_in, repetitions):
    """Do the same with pairs of bfloat16, of which n_in are multiplied."""
    lane = lanes(panels)
    for _ in range(repetitions):
        forward_pairs(weights, 0, n_in, 1, panels, 0, n_in * lane, 2 * n_in * lane, WHOLE * lane, n_in, bias, 0, WHOLE,
                      2)


@kernel
def reading():
    """Read the processor's clock."""
    return ticks()
