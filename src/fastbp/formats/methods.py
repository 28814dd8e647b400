"""Methods of `Network` that write other formats; what they need is loaded when they are called."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

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
    """
    from . import fann

    text = fann.written(self, relu=relu, linear_steepness=linear_steepness)
    Path(path).write_bytes(text.encode("ascii"))


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
