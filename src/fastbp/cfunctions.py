"""A network as a C function: for ctypes, cffi, SciPy's LowLevelCallable, and whatever takes a function pointer."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import numpy as np

from .core.link_compiled import STACK_BYTES, c_tables
from .core.model import Model
from .kernels import embedded, tables
from .kernels.compile import JIT, place
from .util.names import canonical, names

FORMS = {
    "arrays": "void (*)(const {real} *x, {real} *out)",
    "quad": "double (*)(int n, double *x)",
    "filter": "int (*)(double *window, npy_intp n, double *value, void *data)",
}
"""What a network can look like to a caller in C."""

NAMES = names(FORMS, {"arrays": "pointers", "quad": "nquad quadpack", "filter": "generic_filter"}, {})
"""After what calls them."""

_made: weakref.WeakKeyDictionary[Model, weakref.WeakValueDictionary[str, Any]] = weakref.WeakKeyDictionary()
"""The C functions of a network that are alive, by form."""

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

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> function = net.cfunc("quad")  # double (int, double *)
    >>> x = np.array([0.5, -1.0])
    >>> import ctypes
    >>> pointer = x.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
    >>> bool(np.isclose(function.ctypes(2, pointer), net.predict(x)[0]))
    True
    """

    def __init__(self, network: Model, form: str) -> None:
        self.network = network
        self.form = form = canonical("form", form, FORMS, NAMES)
        self.declaration = FORMS[form].format(real="float" if network.dtype == np.float32 else "double")
        if form != "arrays" and network.layers[-1] != 1:
            raise ValueError(f"form={form!r} returns one number, the network has {network.layers[-1]} outputs: use "
                             "form='arrays'")
        made = _made.setdefault(network, weakref.WeakValueDictionary())
        found = made.get(form)
        if found is None:
            found = made[form] = _entry(network, form)
        self.ctypes: Any = found
        self.address = _address(found)

    def __repr__(self) -> str:
        return f"<{self.network!r}.cfunc({self.form!r}): {self.declaration}>"


def _address(function: Any) -> int:
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)


def _entry(network: Model, form: str) -> Any:
    """Return a C function of a network, as an object of ctypes, by code that no other one uses any more, or new."""
    layers, calls = c_tables(network._architecture)
    room, most = int(calls[tables.ENTRY_WORK_SIZE]), STACK_BYTES // network.dtype.itemsize
    made_for = form, network.dtype, min(_rounded(room), most), 0 if form == "arrays" else _rounded(network.layers[0])
    unused = _unused.setdefault(made_for, [])
    try:
        code, slot = unused.pop()
    except IndexError:
        slot = np.zeros(tables.SLOT_COUNT, np.int64 if JIT else object)
        code = embedded.c_forward(form, network.dtype, place(slot), *made_for[2:])
    slot[tables.SLOT_FORWARD_ONE], slot[tables.SLOT_N_IN] = calls[tables.ENTRY_FORWARD_ONE], network.layers[0]
    slot[tables.SLOT_LAYERS], slot[tables.SLOT_CALLS] = place(layers), place(calls)
    slot[tables.SLOT_PARAMETERS] = place(network._parameters)
    entry = type(code)(_address(code))
    entry.network, entry.tables, entry.code = network, (network._parameters, layers, calls), code  # kept alive
    weakref.finalize(entry, unused.append, (code, slot)).atexit = False
    return entry


def _rounded(size: int) -> int:
    """Return a size of few that is no smaller, and at most a quarter larger: four between two powers of two."""
    step = 1 << max(0, (size - 1).bit_length() - 3)
    return -(-size // step) * step


def cfunc(self: Model, form: str = "arrays") -> CFunction:
    """Return the network as a C function: a pointer for ctypes, cffi, SciPy's LowLevelCallable and other libraries.

    Parameters
    ----------
    form : {"arrays", "quad", "filter"}, default "arrays"
        What it looks like in C, T being float or double by the network's dtype:

        - ``"arrays"``: ``void f(const T *x, T *out)``, n_0 numbers in, n_L out.
        - ``"quad"``: ``double f(int n, double *x)``, for a network with one output: what ``scipy.integrate``'s
          ``quad``, ``dblquad`` and ``nquad`` take. NaN where n is not n_0.
        - ``"filter"``: ``int f(double *window, npy_intp n, double *value, void *data)``, for a network with one
          output: what ``scipy.ndimage.generic_filter`` takes. NaN where n is not n_0.

    Returns
    -------
    CFunction
        Its ``ctypes`` is callable from Python, its ``address`` is the pointer. It follows the network's present
        parameters, allocates nothing, and may be called by any number of threads at once.

    Raises
    ------
    ValueError
        If there is no such form; the form returns one number and the network has more outputs; or a layer is so
        wide (from about 7,000 neurons in float64) that its workspace is no longer for a stack.

    Examples
    --------
    >>> import ctypes, numpy as np, fastbp
    >>> net = fastbp.Network((2, 1), init="zeros", dtype="float64")
    >>> net.parameters[:] = 3, 4, 5
    >>> f = net.cfunc("quad").ctypes
    >>> f(2, (ctypes.c_double * 2)(1, 10))
    48.0
    """
    return CFunction(self, form)
