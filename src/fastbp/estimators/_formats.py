"""Methods of `MLPClassifier` and `MLPRegressor` that write other formats, with scalers and classes inside."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy.typing as npt


def to_onnx(self: Any, path: str | PathLike[str] | None = None, *, opset: int = 13,
            dtype: npt.DTypeLike = "float32") -> bytes | None:
    """Write the estimator as an ONNX model, for runtimes in other languages; the onnx package is not needed.

    The graph has an input X, (N, n_features). Scalers and classes are in it, and all members, whose mean it takes.
    A classifier has two outputs, both plain tensors: ``label``, what `predict` returns, (N,) or (N, n_labels),
    texts or int64, and ``probabilities``, what `predict_proba` returns, (N, n_classes). A regressor has one,
    ``variable``, what `predict` returns, (N,) or (N, n_outputs).

    Parameters
    ----------
    path : str or path, optional
        Where to; an existing file is overwritten.
    opset : int, default 13
        Version of the operators, 13 to 28; see `Network.to_onnx`.
    dtype : {"float32", "float64"}, default "float32"
        Of X and all numbers of the graph.

    Returns
    -------
    bytes or None
        The content of the file, None where it has been written to ``path``.

    Raises
    ------
    NotFittedError
        Before a fit.
    ValueError, TypeError
        If an activation is your own, which has no operators; classes are neither texts nor whole numbers; a number
        is not finite in this dtype; the file would be larger than 2 GiB; or opset or dtype is another.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import fastbp
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"]
    >>> model = fastbp.MLPClassifier(4, solver="lbfgs", standardize=True, random_state=0).fit(X, y)
    >>> fastbp.from_onnx(model.to_onnx()).predict(X).round(1).ravel().tolist()
    [1.0, 1.0, 0.0, 0.0]
    """
    from ..formats.onnx import writer
    from . import _onnx

    return writer.written(_onnx.content(self, opset, dtype), path)
