"""Methods of `MLPClassifier` and `MLPRegressor` that write other formats, with scalers and classes inside."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier

from ..core import arrays

if TYPE_CHECKING:
    from ..formats.c.write import CSource
    from ..formats.predictor import Predictor


def predictor(self: Any) -> Predictor:
    """Return what predictions are made of.

    Raises
    ------
    NotFittedError
        Before a fit.
    """
    from ..formats import predictor as formats

    first, *others = (formats.of_network(network).chain for network in self.networks_)
    members = tuple(others)
    before, behind = (None if scaler is None else formats.Standardization(
        scaler.mean_ if scaler.with_mean else np.zeros_like(scaler.scale_), scaler.scale_)
        for scaler in (self.input_scaler_, self.target_scaler_))
    if not is_classifier(self):
        return formats.Predictor(first, members, before, behind, flat=True)
    if self._label_binarizer.y_type_.startswith("multilabel"):
        return formats.Predictor(first, members, before, labels=True)
    names = formats.class_names(self.classes_)
    if len(names) == 1:  # which is the answer, whatever its probability
        names *= 2
    return formats.Predictor(first, members, before, classes=names)


def to_c(self: Any, path: str | PathLike[str] | None = None, *, prefix: str = "net",
         dtype: npt.DTypeLike | None = None, workspace: str = "static", libm: bool = True,
         selftest: int | npt.ArrayLike = 8) -> CSource:
    """Return the estimator as C source: its network or networks, and what standardises inputs and outputs.

    Parameters
    ----------
    path, prefix, dtype, workspace, libm, selftest
        As in `Network.to_c`; rows of ``selftest`` are in the units of X.

    Returns
    -------
    CSource
        The texts ``source`` and ``header``, in ASCII.

    Raises
    ------
    NotFittedError
        Before a fit.
    ValueError, OSError
        As `Network.to_c`.

    Notes
    -----
    ``<prefix>_predict`` writes what `predict` of a regressor gives, in the units of y, and the probabilities of a
    classifier; of two classes that is one number, the probability of the second. ``<prefix>_classify`` gives the place
    in ``<prefix>_classes``, the names in `classes_`.

    Examples
    --------
    >>> import fastbp
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"]
    >>> model = fastbp.MLPClassifier(4, solver="lbfgs", standardize=True, random_state=0).fit(X, y)
    >>> "net_classes[2]" in model.to_c().header
    True
    """
    from ..formats.methods import written_c

    return written_c(predictor(self), path, dtype=self.networks_[0].dtype if dtype is None else arrays.dtype(dtype),
                     prefix=prefix, workspace=workspace, libm=libm, selftest=selftest)


def to_numpy(self: Any, path: str | PathLike[str] | None = None, *, dtype: npt.DTypeLike | None = None) -> str:
    """Return the estimator as a Python module that needs NumPy alone.

    Parameters
    ----------
    path, dtype
        As in `Network.to_numpy`.

    Returns
    -------
    str
        The text, in ASCII. Its ``predict`` gives what `predict` does, and of a classifier ``predict_proba``, too.

    Raises
    ------
    NotFittedError
        Before a fit.
    ValueError, OSError
        As `Network.to_numpy`.

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.MLPRegressor(hidden_layer_sizes=4, solver="lbfgs").fit([[0.0], [1.0], [2.0]], [1.0, 2.0, 4.0])
    >>> module = {}
    >>> exec(model.to_numpy(), module)
    >>> bool(abs(module["predict"]([[1.5]]) - model.predict([[1.5]])).max() < 1e-6)
    True
    """
    from ..formats.methods import written_numpy

    return written_numpy(predictor(self), path, self.networks_[0].dtype if dtype is None else arrays.dtype(dtype))


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
        Where to. An existing file is replaced.
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
    from ..formats.methods import written_onnx

    return written_onnx(predictor(self), path, opset=opset, dtype=dtype)
