"""fastbp and its peers, each doing the same work: the training step as its own users would write it, at its best.

A side is a function (workload, X, Y) -> train, where train(epochs) takes so many epochs, goes on from where the last
call stopped, and gives the mean cost of its last epoch. Every side starts from `workloads.first_weights`, draws a new
order of the samples in each epoch, takes every full batch of it and adds up the costs. Libraries are imported inside,
since a process runs one side only and any of them may be missing.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .suite.workloads import LEARNING_RATE, Array, Workload, first_weights

Train = Callable[[int], float]


def fastbp(workload: Workload, X: Array, Y: Array, precision: str | None = None) -> Train:
    """`Network.fit` without callbacks; it picks the number of threads itself."""
    import fastbp

    network = fastbp.Network(workload.layers, workload.activation, dtype=X.dtype, seed=1)
    for W, first in zip(network.weights, first_weights(workload, X.dtype), strict=True):
        W[:] = first
    method = {"adam": fastbp.Adam, "sgd": fastbp.SGD}[workload.optimizer](LEARNING_RATE)

    def train(epochs: int) -> float:
        network.fit(X, Y, epochs=epochs, batch_size=workload.batch, optimizer=method, resume=True,
                    shuffle=workload.shuffled, **({} if precision is None else {"precision": precision}))
        return float(network.history.cost[-1])

    return train


def jax(workload: Workload, X: Array, Y: Array, precision: str | None = None) -> Train:
    """One jitted scan over the steps of an epoch, optax's update, the permutation drawn inside, buffers donated.

    With precision "bfloat16" operands of products are converted, and their sums are float32.
    """
    import jax
    import jax.numpy as jnp
    import optax

    jax.config.update("jax_enable_x64", X.dtype == np.float64)
    method = {"adam": optax.adam, "sgd": optax.sgd}[workload.optimizer](LEARNING_RATE)
    phi = {"tanh": jnp.tanh, "relu": jax.nn.relu}[workload.activation]
    parameters = [(jnp.asarray(W), jnp.zeros(len(W), W.dtype)) for W in first_weights(workload, X.dtype)]
    state, key = method.init(parameters), jax.random.key(1)
    inputs, targets = jnp.asarray(X), jnp.asarray(Y)

    def product(x: Any, W: Any) -> Any:
        if precision is None:
            return x @ W.T
        return jnp.matmul(x.astype(precision), W.T.astype(precision), preferred_element_type=jnp.float32)

    def cost(parameters: Any, x: Any, y: Any) -> Any:
        for W, b in parameters[:-1]:
            x = phi(product(x, W) + b)
        W, b = parameters[-1]
        return 0.5 * jnp.sum((product(x, W) + b - y) ** 2) / workload.batch

    def epoch(parameters: Any, state: Any, key: Any, inputs: Any, targets: Any) -> Any:
        key, own = jax.random.split(key)
        order = jax.random.permutation(own, workload.samples).reshape(workload.steps, workload.batch)

        def step(carry: Any, rows: Any) -> Any:
            parameters, state = carry
            x, y = (inputs[rows], targets[rows]) if workload.shuffled else (inputs, targets)
            value, gradient = jax.value_and_grad(cost)(parameters, x, y)
            change, state = method.update(gradient, state, parameters)
            return (optax.apply_updates(parameters, change), state), value

        (parameters, state), costs = jax.lax.scan(step, (parameters, state), order)
        return parameters, state, key, costs.mean()

    epoch = jax.jit(epoch, donate_argnums=(0, 1, 2))

    def train(epochs: int) -> float:
        nonlocal parameters, state, key
        for _ in range(epochs):
            parameters, state, key, value = epoch(parameters, state, key, inputs, targets)
        return float(value)

    return train


def pytorch(workload: Workload, X: Array, Y: Array, precision: str | None = None) -> Train:
    """Train a module with its optimizer, eagerly, with the fused update: on a CPU the fastest of torch's three.

    With precision "autocast" as torch.autocast has it in bfloat16; with "bfloat16" all is of that type, the parameters
    and the optimizer's state too.
    """
    import torch

    dtype = {"float32": torch.float32, "float64": torch.float64}[X.dtype.name]
    if precision == "bfloat16":
        dtype = torch.bfloat16
    phi = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[workload.activation]
    parts: list[torch.nn.Module] = []
    for W in first_weights(workload, X.dtype):
        linear = torch.nn.Linear(W.shape[1], W.shape[0], dtype=dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W))
            linear.bias.zero_()
        parts += [linear, phi()]
    module = torch.nn.Sequential(*parts[:-1])
    kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[workload.optimizer]
    method = kind(module.parameters(), lr=LEARNING_RATE, fused=True)
    squares = torch.nn.MSELoss(reduction="sum")
    inputs, targets = torch.from_numpy(X).to(dtype), torch.from_numpy(Y).to(dtype)

    def train(epochs: int) -> float:
        for _ in range(epochs):
            total = torch.zeros((), dtype=dtype)
            order = torch.randperm(workload.samples) if workload.shuffled else torch.arange(workload.samples)
            for rows in order.split(workload.batch):
                x, y = (inputs[rows], targets[rows]) if workload.shuffled else (inputs, targets)
                method.zero_grad()
                with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
                    out = module(x)
                cost = squares(out.to(dtype), y) * (0.5 / workload.batch)
                cost.backward()
                method.step()
                total += cost.detach()
        return float(total) / workload.steps

    return train


def scikit_learn(workload: Workload, X: Array, Y: Array) -> Train:
    """`MLPRegressor.fit` with ``warm_start``, no penalty and no stopping; its solver starts afresh in each call."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    settings = {} if workload.optimizer == "adam" else {"momentum": 0.0, "learning_rate": "constant"}
    model = MLPRegressor(hidden_layer_sizes=workload.layers[1:-1], activation=workload.activation,
                         solver=workload.optimizer, alpha=0.0, batch_size=workload.batch,
                         learning_rate_init=LEARNING_RATE, max_iter=1, tol=0.0,
                         n_iter_no_change=10**9, warm_start=True, random_state=1, shuffle=workload.shuffled, **settings)
    targets = Y.ravel() if Y.shape[1] == 1 else Y
    few = slice(0, max(workload.batch, 2))
    warnings.simplefilter("ignore", ConvergenceWarning)
    model.fit(X[few], targets[few])  # makes the arrays
    for W, b, first in zip(model.coefs_, model.intercepts_, first_weights(workload, X.dtype), strict=True):
        W[:], b[:] = first.T, 0

    def train(epochs: int) -> float:
        model.max_iter = epochs
        before = len(model.loss_curve_)
        model.fit(X, targets)
        if len(model.loss_curve_) - before != epochs:
            raise RuntimeError(f"took {len(model.loss_curve_) - before} epochs, not {epochs}")
        # its cost is a mean over outputs, though its gradient is that of their sum
        return float(model.loss_curve_[-1]) * Y.shape[1]

    return train


class _FannData(ctypes.Structure):
    """FANN's ``struct fann_train_data``."""

    _fields_ = [
        ("error", ctypes.c_int),
        ("log", ctypes.c_void_p),
        ("message", ctypes.c_char_p),
        ("samples", ctypes.c_uint),
        ("inputs", ctypes.c_uint),
        ("outputs", ctypes.c_uint),
        ("input", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
    ]


def fann(workload: Workload, X: Array, Y: Array) -> Train:
    """FANN's incremental training, an epoch in one call of the C library.

    The order of the samples is changed by exchanging pointers to them, which is cheaper than FANN's own shuffle, which
    copies the rows.
    """
    if workload.optimizer != "sgd" or workload.batch != 1:
        raise NotImplementedError("FANN trains online by plain gradient descent only")
    found = ctypes.util.find_library({"float32": "floatfann", "float64": "doublefann"}[X.dtype.name])
    if found is None:
        raise ImportError("FANN is not installed (Debian: libfann-dev)")
    library = ctypes.CDLL(found)
    library.fann_create_standard_array.restype = ctypes.c_void_p
    library.fann_create_train.restype = ctypes.POINTER(_FannData)
    library.fann_train_epoch.restype = ctypes.c_float
    library.fann_get_total_connections.restype = ctypes.c_uint
    sizes = (ctypes.c_uint * len(workload.layers))(*workload.layers)
    network = ctypes.c_void_p(library.fann_create_standard_array(len(workload.layers), sizes))
    incremental, linear, symmetric = 0, 0, 5  # FANN_TRAIN_INCREMENTAL, FANN_LINEAR, FANN_SIGMOID_SYMMETRIC: tanh(s·x)
    library.fann_set_training_algorithm(network, incremental)
    library.fann_set_train_error_function(network, 0)  # linear: the error as it is
    real = ctypes.c_float if X.dtype == np.float32 else ctypes.c_double
    for set_steepness in (library.fann_set_activation_steepness_hidden, library.fann_set_activation_steepness_output):
        set_steepness(network, real(1.0))
    library.fann_set_activation_function_hidden(network, symmetric)
    library.fann_set_activation_function_output(network, linear)
    library.fann_set_learning_rate(network, ctypes.c_float(LEARNING_RATE))
    library.fann_set_learning_momentum(network, ctypes.c_float(0.0))
    connections = library.fann_get_total_connections(network)

    class Connection(ctypes.Structure):
        _fields_ = [("source", ctypes.c_uint), ("neuron", ctypes.c_uint), ("weight", real)]

    # a layer's connections are listed neuron by neuron: its weights, then its bias
    rows = [np.column_stack([W, np.zeros(len(W), W.dtype)]).ravel() for W in first_weights(workload, X.dtype)]
    links = (Connection * connections)()
    library.fann_get_connection_array(network, links)
    for link, weight in zip(links, np.concatenate(rows), strict=True):
        link.weight = weight
    library.fann_set_weight_array(network, links, connections)

    data = library.fann_create_train(workload.samples, workload.layers[0], workload.layers[-1])
    pointers = []
    for start, array in ((data.contents.input, X), (data.contents.output, Y)):
        row = np.ctypeslib.as_array((ctypes.c_uint64 * workload.samples).from_address(start))
        ctypes.memmove(int(row[0]), array.ctypes.data, array.nbytes)  # FANN keeps the samples in one allocation
        pointers.append((row, row.copy()))
    generator = np.random.default_rng(3)

    def train(epochs: int) -> float:
        for _ in range(epochs):
            order = generator.permutation(workload.samples)
            for row, first in pointers:
                row[:] = first[order]
            mean = library.fann_train_epoch(network, data)
        return float(mean) * 0.5 * workload.layers[-1]  # FANN's cost is a mean of squares over samples and outputs

    return train


SIDES: dict[str, Callable[[Workload, Array, Array], Train]] = {
    "fastbp": fastbp,
    "JAX": jax,
    "PyTorch": pytorch,
    "scikit-learn": scikit_learn,
    "FANN": fann,
}
