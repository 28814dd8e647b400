"""The forward pass (1)(2) over a user's rows: methods of `Network`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..activations import get
from ..data.reader import Reader
from ..data.source import MEMORY, SOURCES, rows
from ..data.stream import Pass, Stream
from ..kernels import layout
from ..kernels.compile import Kernel
from ..kernels.layout import NOT_SHUFFLED
from ..kernels.passes import encoded, online, sparse
from ..kernels.passes import predict as kernels
from ..util import machine
from ..util.settings import memory as memory_of
from . import arrays, link, thread_team
from .encoding import check_codes
from .model import Model
from .precision import rounds
from .request import Request
from .samples import Samples, SparseRows, flattened
from .streamed import READ_BYTES

Array = npt.NDArray[Any]

PART = 2**19
"""Inputs that are converted at a time: so few that little memory is needed, and enough that a call weighs nothing."""


def predict(self: Model, X: Any, out: Array | None = None, *, precision: str | None = None,
            memory: int | str | None = None) -> Array:
    """Compute the outputs o^L.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0) or (n_0,)
        Inputs; (n_samples, n_0) may be sparse, as in `fit`, and may have no rows. NaN in a row gives NaN in its
        outputs; of sparse rows with few numbers a weight that is not finite counts where there is a number. What is not
        of the network's dtype is converted a part at a time. Also a source of `fastbp.data`, and with ``memory``
        anything (n_samples, n_0) that has ``.shape`` and ``[a:b]``, or a list of such: these are read by blocks. Of a
        `fastbp.data.Stream` it is the X of its blocks.
    out : ndarray, shape (n_samples, n_L) or (n_L,), optional
        Where to write them: of the network's dtype, C-contiguous and writable. It may overlap X, also the file of a
        memory map; no outputs are written then before all are known.
    precision : {"float32", "float64", "bfloat16"}, optional
        Of the products, as in `fit`. By default that of the network's dtype, whatever it was trained in.
    memory : int or str, optional
        Bytes that buffers of rows may take, as in `fit`; no more than 8 MB are taken. Outputs are no part of it: give
        ``out``, a memory map for instance, where they are too many.

    Returns
    -------
    ndarray, shape (n_samples, n_L), or (n_L,) for one row of shape (n_0,)
        As the targets were: of a network with one output that was fitted on Y of shape (n_samples,), `Network.flat`,
        (n_samples,), or a number for one row. ``out`` is returned as it is.

    Raises
    ------
    ValueError, TypeError
        If shape or dtype of X or out do not fit, or ``precision`` does not fit the network, X or the processor.

    Notes
    -----
    A single row is computed with neurons in lanes, several rows with samples in lanes; the two sum in different
    orders, so they agree to rounding, not bit for bit. With encoders, or in bfloat16, a single row goes like several.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> net.predict(X).shape, net.predict(X[0]).shape
    ((2, 1), (1,))
    """
    architecture = self._architecture
    n_in, n_out, dtype = architecture.layers[0], architecture.layers[-1], architecture.dtype
    encoding = architecture.encoding
    inputs: Any
    if (encoding is None and precision is None and memory is None and type(X) is np.ndarray and X.shape == (n_in,)
            and X.dtype == dtype and X.flags.c_contiguous):
        if out is None:  # of one row at a time, all else that is asked for here would be a tenth
            row = np.empty(n_out, dtype)
            _one(self, X, row)
            return row[0] if self._flat and n_out == 1 else row
        single, inputs = True, X
    elif memory is not None or isinstance(X, SOURCES):
        return _by_blocks(self, X, out, MEMORY if memory is None else memory, bfloat16=rounds(architecture, precision))
    else:
        inputs, single = arrays.dense_or_sparse(X, n_in, encoding), np.ndim(X) == 1
    bfloat16 = precision is not None and rounds(architecture, precision, sparse=isinstance(inputs, SparseRows))
    shape: tuple[int, ...] = (n_out,) if single else (len(inputs), n_out)
    flat = self._flat and n_out == 1
    if out is None:
        out = np.empty(shape[:-1] if flat else shape, dtype)
    else:
        if flat and isinstance(out, np.ndarray) and out.ndim == len(shape) - 1:
            shape = shape[:-1]
        _held = arrays.output(out, shape, dtype)  # while this lives, nobody resizes it
        if not single and arrays.overlap(out, inputs, self._parameters):
            out[...] = predict(self, X, precision=precision).reshape(shape)
            return out
        flat = False
    if single and encoding is None and not bfloat16:
        _one(self, inputs, out if out.ndim else out.reshape(-1))
    else:
        outputs(self, inputs, len(architecture.layers) - 1, out, bfloat16=bfloat16)
    return out[()] if flat else out  # of one row a number


def _one(model: Model, x: Array, out: Array) -> None:
    row = arrays.own_row(x, model._architecture.layers[0], model._architecture.dtype)
    single = model._workspaces.single
    try:
        plan = single.pop()
    except IndexError:
        plan = link.prepared(model._architecture, Request(1, backward=False), 1)
    online.predict(plan.layers, plan.panels, model._parameters, row, out)
    single.append(plan)


def layer_outputs(self: Model, X: npt.ArrayLike, layer: int) -> Array:
    """Compute the outputs o^l of any layer (1)(2).

    Parameters
    ----------
    X : array_like, shape (n_samples, n_0)
        Inputs, or one row of shape (n_0,).
    layer : int
        1 to L, or from the end: -1 is the output layer, whose outputs are those of `predict`.

    Returns
    -------
    ndarray, shape (n_samples, n_l), or (n_l,) for one row
        Of any network, `Network.flat` or not.

    Raises
    ------
    ValueError, TypeError
        If there is no such layer, or X does not fit.

    Notes
    -----
    Called outputs and not activations: `activations` holds the names of the functions, and what a neuron gives is
    its output o_j in the equations. Only the layers up to this one are computed, block by block.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> net.layer_outputs(X, 1).shape  # of the hidden layer
    (2, 3)
    """
    number, top = arrays.whole("layer", layer, 1 - len(self.layers)), len(self.layers) - 1
    if number == 0 or number > top:
        raise ValueError(f"layer is {number}, expected 1 to {top}, or {-top} to -1 from the end; layer 0 is X")
    inputs, number = arrays.dense(X, self.layers[0]), number % (top + 1)
    if self._architecture.encoding is not None:
        check_codes(inputs, self._architecture.encoding.codes)
    found = np.empty((len(inputs), self.layers[number]), self.dtype)
    outputs(self, inputs, number, found)
    return found[0] if np.ndim(X) == 1 else found


def outputs(model: Model, inputs: Array | SparseRows, layer: int, out: Array, *, bfloat16: bool = False) -> None:
    """Go forward through the first layers only (1)(2); overwrites ``out``, (samples, n_l).

    Inputs of another dtype are converted a part at a time; with ``bfloat16`` operands of products are rounded.
    """
    architecture, flat = model._architecture, out.reshape(-1)
    n, width = len(inputs), architecture.layers[layer]
    few = isinstance(inputs, SparseRows) and inputs.few
    request = Request(max(n, 1), backward=False, sparse=isinstance(inputs, SparseRows), few_nonzeros=few,
                      bfloat16=bfloat16)
    some = layout.LARGEST_BLOCK if few else PART // architecture.layers[0]
    with model._borrow(request) as (plan, block):
        for rows in thread_team.chunks(n, block, architecture.work, some):
            part, structure = flattened(inputs[rows], architecture.dtype)
            _pass(model, request)(plan.layers[:layer], plan.cells, plan.panels, model._parameters, part, structure,
                         NOT_SHUFFLED, rows.stop - rows.start, block, flat[rows.start * width : rows.stop * width])


def _by_blocks(model: Model, X: Any, out: Array | None, memory: int | str, *, bfloat16: bool) -> Array:
    """Return the outputs for rows that a thread reads ahead."""
    architecture, most = model._architecture, min(READ_BYTES, memory_of("memory", memory) // 2)
    n_in, n_out, dtype = architecture.layers[0], architecture.layers[-1], architecture.dtype
    source = X if isinstance(X, Stream) else rows(X, "X")
    width = source.first[0].shape[1:] if isinstance(source, Stream) else source.shape[1:]
    n = source.rows if isinstance(source, Stream) else source.shape[0]
    if width != (n_in,):
        raise ValueError(f"X has shape {(n, *width)}, expected (n_samples, {n_in}): the network has {n_in} inputs")
    if out is None and (needed := n * n_out * dtype.itemsize) > (there := machine.physical_memory()):
        raise ValueError(f"the outputs of {n} rows need {needed:.3g} bytes, this machine has {there:.3g}: give out=, "
                         "a memory map for instance")
    shape: tuple[int, ...] = (n, n_out)
    if model._flat and n_out == 1 and (out is None or np.ndim(out) == 1):
        shape = (n,)
    if out is None:
        out = np.empty(shape, dtype)
    _held = arrays.output(out, shape, dtype)
    if np.may_share_memory(out, model._parameters) or not isinstance(source, Stream) and source.overlaps(out):
        out[...] = _by_blocks(model, source, None, memory, bfloat16=bfloat16).reshape(shape)
        return out
    some = max(1, most // (dtype.itemsize * n_in))
    read = _inputs_of(source) if isinstance(source, Stream) else source.read_into

    def fill(buffer: Array, stretch: tuple[int, int], look: Callable[[], None]) -> Array:
        first, stop = stretch
        read(first, stop, part := buffer[: stop - first])
        if architecture.encoding is not None:
            check_codes(part, architecture.encoding.codes, first)
        return part

    parts = ((first, min(first + some, n)) for first in range(0, n, some))
    buffers = [np.empty((min(some, n), n_in), dtype) for _ in range(2)]
    reader = Reader(parts, fill, buffers)

    def forward() -> None:
        while (found := reader.next()) is not None:
            (first, stop), part = found
            outputs(model, part, len(architecture.layers) - 1, out[first:stop], bfloat16=bfloat16)

    reader.during(forward)
    return out


def _inputs_of(stream: Stream) -> Callable[[int, int, Array], None]:
    """Return what reads the X of a new pass over a stream, from its first row on."""
    blocks, others = Pass(stream), [None] * (len(stream.first) - 1)

    def read(start: int, stop: int, out: Array) -> None:
        blocks.read(start, stop, (out, *others))

    return read


def _pass(model: Model, request: Request) -> Kernel:
    """Return the kernel that goes forward through the layers, or what stands around it."""
    if request.of_nonzeros:
        return sparse.predict_many
    return kernels.predict if model._architecture.encoding is None else encoded.predict_many


def encoded_inputs(model: Model, inputs: Array) -> Array:
    """Return what the first layer reads of inputs, (samples, encoded_size): by a layer that gives it as it is."""
    architecture, encoding = model._architecture, model._architecture.encoding
    if encoding is None:
        return inputs
    width = encoding.width
    shown = Model(replace(architecture, layers=(encoding.n_in, width), activations=(get("identity"),), bias=False),
                  "zeros", 0)
    shown._parameters[: encoding.n_parameters] = model._parameters[: encoding.n_parameters]
    np.fill_diagonal(shown.weights[0], 1)
    found = np.empty((len(inputs), width), model.dtype)
    outputs(shown, inputs, 1, found)
    return found


def outputs_of(model: Model, samples: Samples) -> Array:
    """Return the outputs for samples, (samples, n_L); rows that are picked are read where they lie."""
    architecture, n = model._architecture, len(samples)
    width = architecture.layers[-1]
    out = np.empty((n, width), architecture.dtype)
    if samples.picked is None:
        outputs(model, samples.inputs, len(architecture.layers) - 1, out)
        return out
    data, flat = samples.data(), out.reshape(-1)
    request = Request(n, backward=False, sparse=samples.sparse, few_nonzeros=samples.few_nonzeros)
    with model._borrow(request) as (plan, block):
        for rows in thread_team.chunks(n, block, architecture.work):
            _pass(model, request)(plan.layers, plan.cells, plan.panels, model._parameters, data.inputs, data.structure,
                         data.order[rows], rows.stop - rows.start, block,
                         flat[rows.start * width : rows.stop * width])
    return out
