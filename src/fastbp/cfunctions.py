"""A network as a C function: for ctypes, cffi, SciPy's LowLevelCallable, and whatever takes a function pointer."""

from __future__ import annotations

import ctypes
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from .kernels import embedded, layout, prototypes, tables
from .kernels.compile import JIT, place
from .util.names import canonical, names

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

_unused: dict[tuple[Any, ...], list[tuple[Any, Any]]] = {}
"""Machine code, with its slot, of C functions that are no more, by what it was compiled for: Numba never frees any, and
a function takes 0.4 MB, so the next network takes it over."""


class CFunction:
    """A network's forward pass (1)(2) as a C function, from `Network.cfunc`.

    It reads the network's present parameters at each call. Any number of threads may call it, with or without Python's
    lock; it allocates nothing, its workspace lies on the stack. A network has one of each form, as long as that is
    alive. Its machine code, 0.4 MB, is taken over by the next network that asks for such a function after that.

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
        found = network._c_functions.get(form)
        if found is None:
            found = network._c_functions[form] = _entry(network, form)
        self.ctypes: Any = found
        self.address = _address(found)

    def __repr__(self) -> str:
        return f"<{self.network!r}.cfunc({self.form!r}): {self.declaration}>"


def _address(function: Any) -> int:
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)


def _entry(network: Network, form: str) -> Any:
    """Return a C function of a network, as an object of ctypes, by code that no other one uses any more, or new."""
    network._check_functions()
    layers, calls = _tables(network)
    room, most = int(calls[tables.ENTRY_WORK_SIZE]), STACK_BYTES // network.dtype.itemsize
    made_for = form, network.dtype, min(_rounded(room), most), 0 if form == "arrays" else _rounded(network.layers[0])
    unused = _unused.setdefault(made_for, [])
    try:
        code, slot = unused.pop()
    except IndexError:
        slot = np.zeros(embedded.SLOT_CELLS, np.int64 if JIT else object)
        code = embedded.c_forward(form, network.dtype, place(slot), *made_for[2:])
    slot[:] = [calls[tables.ENTRY_FORWARD_ONE], place(layers), place(calls), place(network._parameters),
               network.layers[0]]
    entry = type(code)(_address(code))
    entry.network, entry.tables, entry.code = network, (network._parameters, layers, calls), code  # kept alive
    weakref.finalize(entry, unused.append, (code, slot)).atexit = False
    return entry


def _rounded(size: int) -> int:
    """Return a size of few that is no smaller, and at most a quarter larger: four between two powers of two."""
    step = 1 << max(0, (size - 1).bit_length() - 3)
    return -(-size // step) * step


def _tables(network: Network) -> tuple[layout.Integers, layout.Integers]:
    """Return `embedded.Model.layers` and `calls` for one sample in the least room: layers take turns in two panels."""
    sizes, width = network.layers, layout.lanes(network.dtype)
    weights, biases, n_parameters = layout.offsets(sizes, network.bias)
    panel = layout.strips(max(sizes), network.dtype) * width + 16  # `online.net_input` writes up to 15 numbers more
    room = 3 * panel
    if room * network.dtype.itemsize > STACK_BYTES:
        raise ValueError(f"a layer of {max(sizes)} neurons takes {room * network.dtype.itemsize} bytes of its caller's "
                         f"stack, at most {STACK_BYTES} are taken: use fastbp.jit.forward with a workspace")
    layers = np.zeros((len(sizes) - 1, tables.LAYER_COLUMNS), np.int64)
    for layer, row in enumerate(layers):
        row[[tables.LAYER_N_IN, tables.LAYER_N_OUT, tables.LAYER_WEIGHTS, tables.LAYER_BIASES]] = (
            sizes[layer], sizes[layer + 1], weights[layer], biases[layer])
        row[[tables.LAYER_SOURCE, tables.LAYER_OUT, tables.LAYER_DELTA]] = (
            panel * (layer % 2), panel * (1 - layer % 2), panel * 2)
        row[tables.LAYER_ACTIVATION] = network.address(network._rows[layer].kernel, prototypes.activation)
    calls = np.zeros(tables.ENTRY_COUNT, np.int64)
    calls[[tables.ENTRY_WORK_SIZE, tables.ENTRY_DEPTH, tables.ENTRY_SIZE]] = room, len(layers), n_parameters
    for cell in (tables.ENTRY_FORWARD, tables.ENTRY_FORWARD_ONE):
        calls[cell] = network.address(embedded.KERNELS[cell])
    return layers, calls
