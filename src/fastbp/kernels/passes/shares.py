"""Which strips and which neurons are a thread's: the same in every kernel that one of a team calls.

One that is alone divides nothing: the divisions for a team were a quarter of a step of 2-8-1 with 32 samples.
"""

from ..compile import scalar
from ..ir import least
from ..layout import TILE


@scalar
def first_strip(strips, part, parts):
    """Return where a part of the strips begins, and the one before it ends."""
    return strips * part if parts == 1 else strips * part // parts


@scalar
def first_neuron(n, tile, thread, threads):
    """Return where a thread's share of a layer's n neurons begins, and that of the one before it ends.

    Tiles are dealt to the threads in turn, on across layers: ``tile`` is the number of the layer's first one. So no
    thread has an odd tile in each layer; a thread's own lie together.
    """
    if threads == 1:
        return n * thread
    after = tile + (n + TILE - 1) // TILE
    mine = after // threads * thread + least(after % threads, thread)
    before = tile // threads * thread + least(tile % threads, thread)
    return least(TILE * (mine - before), n)
