"""Networks out of other libraries' files and objects, read without their code: `fastbp.from_torch` and its like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import Activation
from .core import arrays
from .core.architecture import Functions
from .costs import Cost
from .formats.chain import Layer, build
from .network import Network
from .util import disk

Array = npt.NDArray[Any]


def _network(layers: Sequence[Layer], cost: str | Cost | None, dtype: npt.DTypeLike | None) -> Network:
    """Return a network of what was read, by default in the least dtype that holds its weights."""
    if dtype is None:
        dtype = np.float64 if any(layer.weights.dtype.itemsize > 4 for layer in layers) else np.float32
    with np.errstate(all="ignore"):  # what is not finite raises
        return build(Network, layers, cost=cost, dtype=arrays.dtype(dtype))


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
    from .formats.onnx.messages import MOST_BYTES

    if dtype is not None:
        dtype = arrays.dtype(dtype)
    if isinstance(path, (bytes, bytearray, memoryview)):
        name, content = "the ONNX model", bytes(path)
    else:
        name = str(path)
        content = disk.read(path, MOST_BYTES + 1)
    try:
        if len(content) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes, expected an ONNX model")
        layers, found = reader.layers(content)
        return build(Network, layers, cost=cost, dtype=found if dtype is None else dtype)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def from_torch(source: Mapping[str, Any] | str | PathLike[str], activation: Functions | None = None,
               output: str | Activation | None = None, cost: str | Cost | None = None, *,
               layers: Sequence[str] | None = None, dtype: npt.DTypeLike | None = None) -> Network:
    """Return the network whose weights are in a state_dict of PyTorch, or in a file that holds one.

    Parameters
    ----------
    source : mapping, str or path
        What ``model.state_dict()`` returns; or a file, of ``torch.save(model.state_dict(), path)``, a checkpoint that
        has one state_dict among its values, or safetensors. Files need neither PyTorch nor trust: nothing in them is
        run, and of a pickle only tensors and plain values are read.
    activation : str, Activation or sequence of these, optional
        Of the hidden layers, one for all or one for each: a state_dict does not say. Behind a layer with the slopes of
        ``nn.PReLU`` it is ``fastbp.parametric("relu")``.
    output : str or Activation, optional
        Of the output layer. By default the one that goes with ``cost``: a model that is trained by
        ``nn.CrossEntropyLoss`` gives logits, and with "cross_entropy" here the softmax of them.
    cost : str or Cost, optional
        By default the one that goes with ``output``, else "squared_error".
    layers : sequence of str, optional
        Names of the linear layers in the order of the computation, as ``["fc1", "fc2"]``; all else is left out. By
        default all matrices whose names end with ``.weight``, in the order of the state_dict; a safetensors file has no
        order but that of the numbers in its names.
    dtype : {"float32", "float64"}, optional
        By default "float64" if a weight is one, else "float32". Half precision and bfloat16 are widened.

    Returns
    -------
    Network

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is in another format, damaged, or larger than it says; if tensors belong to no linear layer, such as those
        of BatchNorm, or the layers do not follow each other; if hidden layers are there, and no ``activation``.
    TypeError
        If ``source`` is neither, of a module give its ``state_dict()``; or a tensor holds no numbers.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> state = {"0.weight": np.eye(2), "0.bias": np.zeros(2), "2.weight": np.ones((1, 2)), "2.bias": np.zeros(1)}
    >>> fastbp.from_torch(state, activation="relu").predict([[1, -5]])
    array([[1.]])
    """
    from .formats import pytorch

    return _network(pytorch.layers(source, activation, output, cost, layers), cost, dtype)


def from_keras(path: str | PathLike[str], *, cost: str | Cost | None = None,
               dtype: npt.DTypeLike | None = None) -> Network:
    """Return the network in a file of Keras: .keras, or an .h5 file of a whole model.

    Sequential models, and Functional ones whose layers are a chain: Dense; activations, by themselves or in a Dense
    layer, with Keras' slopes (the activation leaky_relu 0.2, its layer 0.3) and its hard_sigmoid (x/5 + ½ before
    version 3); BatchNormalization, Normalization and Rescaling, which are folded into weights; Dropout, noise and
    Flatten, which change no prediction: rows of X are flat. Slopes become those of `fastbp.parametric` ("relu"), with
    α = 1 − slope.

    Parameters
    ----------
    path : str or path
        Neither Keras nor HDF5 is needed; no class is made and no code of the file is run.
    cost : str or Cost, optional
        By default the one that goes with the output, see `Network`.
    dtype : {"float32", "float64"}, optional
        By default "float64" if the kernel of a Dense layer is one, else "float32"; what is folded is so in double.

    Returns
    -------
    Network

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged, or no such file; if a layer, an activation or a setting has no counterpart here, which is
        named; if its layers are no chain.

    Examples
    --------
    >>> import fastbp
    >>> net = fastbp.from_keras("model.keras")  # model.save("model.keras") in Keras
    >>> net.layers, net.activations
    ((3, 4, 2), ('gelu', 'identity'))
    >>> try:
    ...     fastbp.from_keras("no such file.keras")
    ... except OSError as error:
    ...     print(type(error).__name__)
    FileNotFoundError
    """
    from .formats import keras

    return _network(keras.layers(path), cost, dtype)


def from_sklearn(mlp: Any, *, cost: str | Cost | None = None, dtype: npt.DTypeLike | None = None) -> Network:
    """Return the network of a fitted MLPClassifier or MLPRegressor of scikit-learn.

    Its outputs are what `predict_proba` or `predict` of scikit-learn are made of: of two classes one, the probability
    of the second.

    Parameters
    ----------
    mlp : MLPClassifier or MLPRegressor
        The fitted object itself: its files are pickles, which run code when they are read.
    cost : str or Cost, optional
        By default the one that goes with the output, see `Network`.
    dtype : {"float32", "float64"}, optional
        By default that of its weights.

    Returns
    -------
    Network

    Raises
    ------
    TypeError
        If it is none, or not fitted, or its arrays hold no numbers. Also for `fastbp.MLPClassifier` and
        `fastbp.MLPRegressor`, which have their network in ``network_``, and what standardises around it.
    ValueError
        If its arrays do not fit each other.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> import fastbp
    >>> mlp = MLPRegressor(hidden_layer_sizes=[3], solver="lbfgs", random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])
    >>> fastbp.from_sklearn(mlp).layers
    (1, 3, 1)
    """
    from .formats import scikit_learn

    return _network(scikit_learn.layers(mlp), cost, dtype)


def from_fann(path: str | PathLike[str], *, cost: str | Cost | None = None, scaling: bool = False,
              stepwise: bool = False, dtype: npt.DTypeLike = "float32") -> Network:
    """Return the network in a .net file of FANN 2.0 to 2.2, float or double, also with decimal commas.

    The steepness of each neuron is folded into its weights, and what lies around an activation, as 2x − 1 around
    GAUSSIAN_SYMMETRIC, into those of the next layer; behind outputs it becomes a linear layer.

    Parameters
    ----------
    path : str or path
    cost : str or Cost, optional
        By default the one that goes with the output, see `Network`.
    scaling : bool, default False
        Fold the scaling of inputs and outputs that the file has into the weights. FANN's own ``fann_run`` leaves it to
        ``fann_scale_input`` and ``fann_descale_output``.
    stepwise : bool, default False
        Read SIGMOID_STEPWISE, FANN's default, as the logistic that its straight pieces approximate, and likewise
        SIGMOID_SYMMETRIC_STEPWISE as tanh: outputs of a neuron differ by up to 0.034, or 0.067.
    dtype : {"float32", "float64"}, default "float32"

    Returns
    -------
    Network

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged or of another version; if it is a shortcut or a sparse network; if a layer has several
        functions, or one without a counterpart here (thresholds, stepwise ones).
    TypeError
        If ``scaling`` or ``stepwise`` is neither True nor False.

    Notes
    -----
    FANN's float builds limit s·x, of steepness s and net input x, to ±150/s before every activation, linear ones too. A
    network here does not: outputs differ where that limit is reached.

    Examples
    --------
    >>> import tempfile, numpy as np, fastbp
    >>> path = tempfile.mkdtemp() + "/xor.net"
    >>> net = fastbp.Network((2, 3, 1), output="tanh", seed=0)
    >>> net.to_fann(path)
    >>> again = fastbp.from_fann(path)
    >>> bool(np.allclose(again.predict([[0, 1]]), net.predict([[0, 1]]), atol=1e-6))
    True
    """
    from .formats import fann

    return _network(fann.layers(path, scaling=scaling, stepwise=stepwise), cost, dtype)


def read_fann_data(path: str | PathLike[str]) -> tuple[Array, Array]:
    r"""Read training data of FANN: a line with the numbers of samples, inputs and outputs, then these in turn.

    Parameters
    ----------
    path : str or path
        A .data or .train file; any white space separates its numbers, whose decimal commas are read too.

    Returns
    -------
    X : ndarray, shape (n_samples, n_inputs), float64
    Y : ndarray, shape (n_samples, n_outputs), float64

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds more or fewer numbers than its first line says, or what is no number.

    Examples
    --------
    >>> import pathlib, tempfile, fastbp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "xor.data")
    ...     _ = path.write_text("2 2 1\n0 1\n1\n1 1\n0\n")
    ...     X, Y = fastbp.read_fann_data(path)
    >>> X.tolist(), Y.tolist()
    ([[0.0, 1.0], [1.0, 1.0]], [[1.0], [0.0]])
    """
    from .formats import fann

    return fann.data(path)


def from_matlab(source: Mapping[str, Any] | str | PathLike[str], *, cost: str | Cost | None = None,
                dtype: npt.DTypeLike = "float64") -> Network:
    """Return a feed-forward network of MATLAB's Deep Learning Toolbox, its processing of inputs and outputs folded in.

    So it takes X and gives outputs as the network does in MATLAB, but samples are rows. mapminmax, mapstd and
    removeconstantrows become parts of the first and last weights; outputs that are scaled behind another activation
    than purelin go through a linear layer more.

    Parameters
    ----------
    source : mapping, str or path
        A file that ``genFunction(net, 'f')`` wrote, with or without ``'MatrixOnly','yes'``, which is read as text. Or a
        struct as `scipy.io.loadmat` returns it, of plain arrays, since a network object cannot be read; see Notes.
    cost : str or Cost, optional
        By default the one that goes with the output, see `Network`.
    dtype : {"float32", "float64"}, default "float64"

    Returns
    -------
    Network

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not such a file or struct; if the network has delays, several inputs or outputs, or layers that are no
        chain; if a transfer function or a processing step has no counterpart here.
    TypeError
        If ``source`` is neither, or an array holds no numbers.

    Notes
    -----
    The struct is made in MATLAB by::

        s.IW = net.IW; s.LW = net.LW; s.b = net.b;
        s.transferFcn = cellfun(@(l) l.transferFcn, net.layers, 'UniformOutput', false);
        s.netInputFcn = cellfun(@(l) l.netInputFcn, net.layers, 'UniformOutput', false);
        s.inputSettings = net.inputs{1}.processSettings;
        s.outputSettings = net.outputs{end}.processSettings;
        save('net.mat', '-struct', 's', '-v7')

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> cell = lambda *parts: np.array([*parts, None], object)[:-1]
    >>> struct = {"IW": cell(np.array([[2.0]])), "LW": cell(np.zeros((0, 0))), "b": cell(np.array([[1.0]])),
    ...           "transferFcn": cell("purelin")}
    >>> fastbp.from_matlab(struct).predict([[3]])
    array([[7.]])
    """
    from .formats import matlab

    return _network(matlab.layers(source), cost, dtype)
