"""Methods of `Network` that write other formats; what they need is loaded when they are called."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from ..core import arrays
from ..core.model import Model
from ..util import disk

if TYPE_CHECKING:
    from .c.write import CSource
    from .predictor import Predictor


def to_onnx(self: Model, path: str | PathLike[str] | None = None, *, opset: int = 13,
            dtype: npt.DTypeLike = "float32") -> bytes | None:
    """Write the network as an ONNX model, for runtimes in other languages; the onnx package is not needed.

    The graph has an input X, (N, n_0), and an output Y, (N, n_L), what `predict` returns. Encoders are in it. What
    is left of a training, such as the cost, is not.

    Parameters
    ----------
    path : str or path, optional
        Where to. An existing file is replaced.
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
    from .predictor import of_network

    return written_onnx(of_network(self), path, opset=opset, dtype=dtype)


def to_torch(self: Model) -> dict[str, Any]:
    """Return the state_dict of PyTorch's ``nn.Sequential`` of linear layers and activations in turn.

    Layers are named by their places, "0.weight" and "0.bias", "2.weight" …, since each activation takes one: ReLU,
    LeakyReLU, ELU, SELU, SiLU, GELU, Mish, Softplus, Softsign, Tanh, Sigmoid, Hardtanh and Hardsigmoid compute at their
    defaults what the activations of these names do here. For ``parametric("relu")`` it is ``nn.PReLU(n)``, with slopes
    1 − α. Factors of a scaling layer go into the first weights.

    Returns
    -------
    dict of str to torch.Tensor
        Copies, in the network's dtype.

    Raises
    ------
    ImportError
        If PyTorch is not installed (``pip install fastbp[torch]``).
    ValueError
        If the network has encoders, or another parametric activation.

    Notes
    -----
    With it, ``safetensors.torch.save_file(net.to_torch(), path)`` and ``torch.save(net.to_torch(), path)`` write files.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> net.to_torch()["0.weight"].shape
    torch.Size([3, 2])
    """
    from . import pytorch

    return pytorch.state_dict(self)


def to_fann(self: Model, path: str | PathLike[str], *, relu: bool = False, linear_steepness: float = 1.0) -> None:
    """Write a .net file for FANN 2.2.

    For identity, logistic, tanh, gaussian, softsign, hard_tanh and sin, in any layer. Training parameters are FANN's
    defaults. Biases that the network does not have are written as 0.

    Parameters
    ----------
    path : str or path
        Where to. An existing file is replaced.
    relu : bool, default False
        Write relu and leaky_relu too, which FANN has since the end of 2023. Its releases up to 2.2.0 read such a file
        without complaint, and compute nonsense.
    linear_steepness : float, default 1.0
        Steepness s of identity layers, whose weights are divided by it; above 0, up to 1. FANN limits them to ±150/s:
        where outputs are larger, 2**-10 lets them reach 153,600, and changes how it learns.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If the network has encoders, an activation that FANN lacks, or a parameter that is not finite; nothing is
        written then.
    TypeError
        If ``relu`` is neither True nor False.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> net = fastbp.Network((2, 3, 1), dtype="float64", seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/xor.net"
    >>> net.to_fann(path)
    >>> fastbp.from_fann(path).layers
    (2, 3, 1)
    """
    from . import fann

    text = fann.fann_network(self, relu=relu, linear_steepness=linear_steepness)
    disk.write(path, text.encode("ascii"))


def to_sklearn(self: Model, classes: Sequence[Any] | None = None) -> Any:
    """Return a fitted MLPClassifier or MLPRegressor of scikit-learn that computes what the network does.

    A regressor for linear outputs; a classifier for softmax, for one logistic output, which is the probability of the
    second of two classes, and for several, each of which is a label of its own. It takes part in scikit-learn's
    pipelines and pickles without fastbp.

    Parameters
    ----------
    classes : sequence, optional
        The classes in ascending order, one for each output, or two. By default 0, 1, ….

    Returns
    -------
    sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor

    Raises
    ------
    ImportError
        If scikit-learn is not installed (``pip install fastbp[sklearn]``).
    ValueError
        If the network has encoders, hidden layers that differ in their activation, one that scikit-learn lacks (it has
        identity, logistic, tanh and relu), or classes that do not fit.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((2, 3, 3), "relu", cost="cross_entropy", seed=0)
    >>> net.to_sklearn(["a", "b", "c"]).predict_proba([[1, 2]]).shape
    (1, 3)
    """
    from . import scikit_learn

    return scikit_learn.estimator(self, classes)


def to_c(self: Model, path: str | PathLike[str] | None = None, *, prefix: str = "net",
         dtype: npt.DTypeLike | None = None, workspace: str = "static", libm: bool = True,
         classes: npt.ArrayLike | None = None, selftest: int | npt.ArrayLike = 8) -> CSource:
    """Return the network as C source, for wherever a compiler leads: C99, and C++11 alike.

    Parameters
    ----------
    path : str or path, optional
        A file that ends in .c; it is written, and the header beside it. Existing files are replaced. By default nothing
        is written.
    prefix : str, default "net"
        What all names begin with, so that several networks go into one program: letters and digits, a letter first,
        with single underscores between them.
    dtype : {"float32", "float64"}, optional
        float or double, by default what the network has.
    workspace : {"static", "caller"}, default "static"
        Where the outputs of hidden layers go: to an array of the source's own, so that one thread at a time may call,
        or to one of ``<prefix>_workspace`` numbers that the caller gives, so that any number may.
    libm : bool, default True
        Whether functions of math.h are called. Without it the source needs no library, and brings exp, tanh, sin and
        what else it needs: right to 2 ulp in float, the tail of the normal distribution, for gelu, to 3.5 ulp.
    classes : array_like, optional
        A name for each class, in the order of the outputs; two names where a single output tells two classes apart.
    selftest : int or array_like, shape (n_samples, n_0), default 8
        By how many drawn rows the source can test itself, or by which rows; 0 for none.

    Returns
    -------
    CSource
        The texts ``source`` and ``header``, in ASCII.

    Raises
    ------
    ValueError
        If an argument does not fit, an activation is a function of your own, or a number is not finite in ``dtype``.
    OSError
        If a file cannot be written.

    Notes
    -----
    The source has ``void <prefix>_predict(const T x[], T y[])``, which computes what `predict` does for one row, and
    where the outputs are a softmax or a single logistic one, or there are names of classes, ``int
    <prefix>_classify(const T x[])``: the index of the most likely class, −1 where the outputs are NaN; with
    ``workspace="caller"`` both take ``T workspace[]`` behind. ``<prefix>_classes`` are names of classes. ``#define
    <PREFIX>_SELFTEST`` adds ``int <prefix>_selftest(void)``, 0 where all is right. Nothing is allocated; all else is
    static, all numbers are constants, the shortest decimals that are exactly those of the network, and W^l is read row
    by row. In categories a code that is no whole number is cut off; there is no one to raise an error.

    See docs/how-to/formats.md for what it was compiled with, its speed, and the accuracy without math.h.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((2, 1), init=[[[1.5, -0.1]]], bias=False)
    >>> print(net.to_c(selftest=0).source.partition("};")[0].partition("static ")[2])
    net_const float net_weights1[] = {
        1.5f, -0.1f
    <BLANKLINE>
    """
    from .predictor import of_network

    return written_c(of_network(self).with_classes(classes), path, prefix=prefix, workspace=workspace, libm=libm,
                     dtype=self._architecture.dtype if dtype is None else arrays.dtype(dtype), selftest=selftest)


def to_numpy(self: Model, path: str | PathLike[str] | None = None, *, dtype: npt.DTypeLike | None = None,
             classes: npt.ArrayLike | None = None) -> str:
    """Return the network as a Python module that needs NumPy alone.

    Parameters
    ----------
    path : str or path, optional
        A file that ends in .py, to which the text is written; an existing one is replaced. By default nothing is
        written.
    dtype : {"float32", "float64"}, optional
        Of its parameters and arithmetic, by default what the network has.
    classes : array_like, optional
        A name for each class, in the order of the outputs; two names where a single output tells two classes apart.

    Returns
    -------
    str
        The text, in ASCII.

    Raises
    ------
    ValueError
        If an argument does not fit, an activation is a function of your own, or a number is not finite in ``dtype``.
    OSError
        If the file cannot be written.

    Notes
    -----
    Its ``predict(X)`` computes what `predict` does, to rounding: sums have another order. With names of classes
    ``predict`` gives these, and ``predict_proba`` the outputs, a column for each class. Parameters are exact: base64 of
    their little-endian bytes, 5.3 characters for a float32, where decimals take 10.9; of a million of them a module is
    imported in 0.06 s and not in 6.5. In categories a code that is no whole number is cut off, and is no error.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.Network((2, 3, 1), seed=0)
    >>> module = {}
    >>> exec(net.to_numpy(), module)
    >>> bool(abs(module["predict"]([[0.5, -1.0]]) - net.predict([[0.5, -1.0]])).max() < 1e-6)
    True
    """
    from .predictor import of_network

    return written_numpy(of_network(self).with_classes(classes), path,
                         self._architecture.dtype if dtype is None else arrays.dtype(dtype))


def written_onnx(predictor: Predictor, path: str | PathLike[str] | None, *, opset: int,
                 dtype: npt.DTypeLike) -> bytes | None:
    """Write a file of ONNX; return its content where there is no path."""
    from .onnx.writer import onnx_model

    found = onnx_model(predictor, opset, dtype)
    if path is None:
        return found
    disk.write(path, found)
    return None


def written_c(predictor: Predictor, path: str | PathLike[str] | None, *, dtype: npt.DTypeLike, prefix: str,
              workspace: str, libm: bool, selftest: Any) -> CSource:
    """Return C source, written to its two files where there is a path."""
    from .c.write import c_source

    file = None if path is None else _file(path, ".c")
    found = c_source(predictor, dtype, prefix=prefix, workspace=workspace, libm=libm, selftest=selftest,
                     stem=prefix if file is None else file.stem)
    if file is not None:
        disk.write(file, found.source.encode("ascii"))
        disk.write(file.with_suffix(".h"), found.header.encode("ascii"))
    return found


def written_numpy(predictor: Predictor, path: str | PathLike[str] | None, dtype: npt.DTypeLike) -> str:
    """Return a module of plain NumPy, written to its file where there is a path."""
    from .numpy_source import numpy_source

    file = None if path is None else _file(path, ".py")
    found = numpy_source(predictor, dtype)
    if file is not None:
        disk.write(file, found.encode("ascii"))
    return found


def _file(path: str | PathLike[str], suffix: str) -> Path:
    """Return a path, whose name must end in this suffix."""
    found = Path(path)
    if found.suffix != suffix:
        raise ValueError(f"path is {os.fspath(path)!r}, expected a file whose name ends in {suffix}")
    return found
