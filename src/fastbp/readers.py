"""Networks out of other libraries' files and objects, read without their code: `fastbp.from_torch` and its like."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy.typing as npt

from .core import arrays
from .costs import Cost
from .formats.chain import build
from .network import Network

MOST_BYTES = 2**31 - 1
"""Of a file that is read: those of ONNX are no larger."""


def from_onnx(path: str | PathLike[str] | bytes, *, cost: str | Cost | None = None,
              dtype: npt.DTypeLike | None = None) -> Network:
    """Read a chain of dense layers out of an ONNX model; the onnx package is not needed.

    Parameters
    ----------
    path : str, path or bytes
        The file, or its content.
    cost : str or Cost, optional
        What a fit of the network would minimise, which such files do not say. By default binary_cross_entropy for
        logistic outputs, cross_entropy for softmax, else squared_error.
    dtype : {"float32", "float64"}, optional
        By default that of the weights, of float16 float32.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If it is no whole ONNX model, or something in it is no part of a chain of dense layers; the message names the
        node. Also if tensors lie in other files, which are not opened.
    OSError
        If the file cannot be read.

    Notes
    -----
    What comes from torch.onnx, skl2onnx, tf2onnx, Keras and `Network.to_onnx` is read. Layers are Gemm or MatMul and
    Add. Scalings of inputs and BatchNormalization go into the weights of a layer beside them; Dropout, Identity, Cast
    and Flatten are passed over. Activations are recognised by their values, to 1e-6, however an exporter has written
    them; those with a slope or a scale of their own, such as PReLU, leaky_relu with another slope than 1/100, or
    ReLU6, are another one, parametric or scaled. Where outputs are scaled behind their activation, a layer with
    diagonal weights is put behind. The end of a classifier, which finds labels, is cut off: with logistic outputs the
    network tells p of the second class.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((4, 16, 3), "gelu", "softmax", "cross_entropy", seed=0)
    >>> again = fastbp.from_onnx(net.to_onnx())
    >>> again
    Network((4, 16, 3), activation='gelu', cost='cross_entropy', init='zeros')
    >>> X = [[0.1, 0.2, 0.3, 0.4]]
    >>> bool((again.predict(X) == net.predict(X)).all())
    True
    """
    from .formats.onnx import reader  # on use: it takes a moment

    if dtype is not None:
        dtype = arrays.dtype(dtype)
    if isinstance(path, (bytes, bytearray, memoryview)):
        name, content = "the ONNX model", bytes(path)
    else:
        name = str(path)
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    try:
        if len(content) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes, expected an ONNX model")
        layers, found = reader.layers(content)
        return build(Network, layers, cost=cost, dtype=found if dtype is None else dtype)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
