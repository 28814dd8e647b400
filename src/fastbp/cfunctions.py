"""A network as a C function: for ctypes, cffi, SciPy's LowLevelCallable, and whatever takes a function pointer."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from .kernels import codes, embedded, layout
from .kernels._jit import place
from .naming import canonical, names

if TYPE_CHECKING:
    from .network import Network

FORMS = {
    "arrays": "void (*)(const {real} *x, {real} *out)",
    "quad": "double (*)(int n, double *x)",
    "filter": "int (*)(double *window, npy_intp n, double *value, void *data)",
}
"""What a network can look like to a caller in C."""

NAMES = names(FORMS, {"arrays": "pointers", "quad": "nquad quadpack", "filter": "generic_filter"}, {})
"""After what calls them."""

STACK_BYTES = 256 * 1024
"""A call may take this much of its caller's stack: threads have 512 KB and more on all common systems but musl's."""


class CFunction:
    """A network's forward pass (1)(2) as a C function, from `Network.cfunc`.

    It reads the network's present parameters at each call. Any number of threads may call it, with or without Python's
    lock; it allocates nothing, its workspace lies on the stack.

    Attributes
    ----------
    network : Network
        The network; it is kept alive by this object and by ``ctypes``.
    form : str
        ``"arrays"``, ``"quad"`` or ``"filter"``.
    declaration : str
        Its type in C, to which cffi can cast the address.
    ctypes : ctypes function
        To be called from Python, or handed to ``scipy.LowLevelCallable``.
    address : int
        The function pointer. It holds as long as this object or ``ctypes`` is alive.
    """

    def __init__(self, network: Network, form: str) -> None:
        self.network = network
        self.form = form = canonical("form", form, FORMS, NAMES)
        self.declaration = FORMS[form].format(real="float" if network.dtype == np.float32 else "double")
        if form != "arrays" and network.layers[-1] != 1:
            raise ValueError(f"form={form!r} returns one number, the network has {network.layers[-1]} outputs: use "
                             "form='arrays'")
        layers, calls = _tables(network)
        self.ctypes: Any = embedded.c_forward(form, network.dtype, int(calls[codes.FORWARD_ONE]), place(layers),
                                              place(calls), place(network.parameters), int(calls[codes.WORK_SIZE]),
                                              network.layers[0])
        self.ctypes.network, self.ctypes.tables = network, (network.parameters, layers, calls)  # kept alive
        self.address = int(ctypes.cast(self.ctypes, ctypes.c_void_p).value or 0)

    def __repr__(self) -> str:
        return f"<{self.network!r}.cfunc({self.form!r}): {self.declaration}>"


def _tables(network: Network) -> tuple[layout.Integers, layout.Integers]:
    """Give `embedded.Model.layers` and `calls` for one sample in the least room: layers take turns in two panels."""
    sizes, width = network.layers, layout.lanes(network.dtype)
    weights, biases, n_parameters = layout.offsets(sizes, network.bias)
    panel = layout.strips(max(sizes), network.dtype) * width + 16  # `online.net_input` writes up to 15 numbers more
    room = 3 * panel
    if room * network.dtype.itemsize > STACK_BYTES:
        raise ValueError(f"a layer of {max(sizes)} neurons takes {room * network.dtype.itemsize} bytes of its caller's "
                         f"stack, at most {STACK_BYTES} are taken: use fastbp.jit.forward with a workspace")
    layers = np.zeros((len(sizes) - 1, codes.COLUMNS), np.int64)
    for layer, row in enumerate(layers):
        row[[codes.N_IN, codes.N_OUT, codes.WEIGHTS, codes.BIASES]] = (
            sizes[layer], sizes[layer + 1], weights[layer], biases[layer])
        row[[codes.SOURCE, codes.OUT, codes.DELTA]] = panel * (layer % 2), panel * (1 - layer % 2), panel * 2
        row[codes.ACTIVATION] = network.address(network._rows[layer].kernel, codes.ACTIVATION_ARGUMENTS)
    calls = np.zeros(codes.CALLS, np.int64)
    calls[[codes.WORK_SIZE, codes.DEPTH, codes.SIZE]] = room, len(layers), n_parameters
    for cell in (codes.THROUGH, codes.FORWARD_ONE):
        calls[cell] = network.address(*embedded.KERNELS[cell])
    return layers, calls
