"""Methods of `Network` that write other formats; what they need is loaded when they are called."""

from __future__ import annotations

from os import PathLike

import numpy.typing as npt

from ..core.model import Model


def to_onnx(self: Model, path: str | PathLike[str] | None = None, *, opset: int = 13,
            dtype: npt.DTypeLike = "float32") -> bytes | None:
    """Write the network as an ONNX model, for runtimes in other languages; the onnx package is not needed.

    The graph has an input X, (N, n_0), and an output Y, (N, n_L), what `predict` returns. Encoders are in it. What
    is left of a training, such as the cost, is not.

    Parameters
    ----------
    path : str or path, optional
        Where to; an existing file is overwritten.
    opset : int, default 13
        Version of the operators, 13 to 28. The file has the lowest version of the format that goes with it (7 for
        13), so by default even old runtimes take it. From 18 on mish and from 20 on gelu is one operator.
    dtype : {"float32", "float64"}, default "float32"
        Of X, Y and all numbers between, whatever the network's own is. In float64 the graph has only operators that
        onnxruntime (1.19 and newer) computes in double; other runtimes often compute none.

    Returns
    -------
    bytes or None
        The content of the file, None where it has been written to ``path``.

    Raises
    ------
    ValueError, TypeError
        If an activation is your own, which has no operators; a number is not finite in this dtype; the file would be
        larger than 2 GiB; or opset or dtype is another.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((2, 8, 1), seed=0)
    >>> model = net.to_onnx()
    >>> fastbp.from_onnx(model)
    Network((2, 8, 1), init='zeros')
    """
    from .onnx import writer

    return writer.written(writer.content(self, opset, dtype), path)
