"""Many networks trained at once, by fastbp and by its peers: each as its own users would write it, at its best.

A side is a function (workload, X, Y, threads) -> `Trained`. Every side starts from `workloads.first_weights_of_many`,
draws a new order for each network in each epoch, takes every batch of it and adds up each network's costs. Where there
are several ways to write a side, they are timed for an epoch each and the fastest one is measured (`fastest`).
Libraries are imported inside, since a process runs one side only and any of them may be missing.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .suite.workloads import LEARNING_RATE, Array, Many, first_weights_of_many

MLP_COUNT = 4
"""Networks that scikit-learn trains for each process: they go one by one, so their time does not depend on how many."""


class Trained(NamedTuple):
    """A side that is ready to train."""

    train: Callable[[int], Array]
    """train(epochs) goes on from where the last call stopped, and returns each network's mean cost in its last epoch;
    of the first networks, if there are fewer than the workload has."""
    way: str = ""
    """The way that was found to be the fastest."""
    compiling: float = 0.0
    """Seconds that its first epoch has taken, while the ways were compared: a compiler's for the most part."""


class Way(NamedTuple):
    """One way to write a side of stacked networks: the state that it starts with, and an epoch of all networks."""

    begin: Callable[[], Any]
    epoch: Callable[[Any], tuple[Any, Any]]
    """epoch(state) -> state, costs; what it is given may be overwritten."""


def fastest(ways: dict[str, Way]) -> Trained:
    """Time the second epoch of each way, the third too if it was short; return the fastest, at its beginning again."""
    seconds, first = {}, {}
    for name, way in ways.items():
        try:
            start = time.perf_counter()
            state, costs = way.epoch(way.begin())
            np.asarray(costs)
            first[name], taken = time.perf_counter() - start, []
            while len(taken) < 2 and sum(taken) < 1.0:
                start = time.perf_counter()
                state, costs = way.epoch(state)
                np.asarray(costs)
                taken.append(time.perf_counter() - start)
            seconds[name] = min(taken)
        except Exception as error:  # a compiler may be missing, say: the other ways remain
            print(f"{name}: n/a, {error!r:.200}", file=sys.stderr)
    if not seconds:
        raise RuntimeError("none of the ways works")
    name = min(seconds, key=seconds.__getitem__)
    state = ways[name].begin()

    def train(epochs: int) -> Array:
        nonlocal state
        for _ in range(epochs):
            state, costs = ways[name].epoch(state)
        return np.asarray(costs)

    return Trained(train, name, first[name])


def draw_orders(generator: np.random.Generator, workload: Many, kind: Any) -> Array:
    """Draw the order of an epoch for each network, (count, samples): in NumPy, 7 times as fast as JAX's permutation."""
    return generator.permuted(np.tile(np.arange(workload.samples, dtype=kind), (workload.count, 1)), axis=1)


def networks(workload: Many, dtype: Any) -> list[Any]:
    """Make fastbp's networks, at their first weights."""
    import fastbp

    made = [fastbp.Network(workload.layers, workload.activation, cost=workload.cost, dtype=dtype, seed=seed)
            for seed in range(workload.count)]
    for layer, weights in enumerate(first_weights_of_many(workload, dtype)):
        for network, W in zip(made, weights, strict=True):
            network.weights[layer][:] = W
    return made


def fit_each(some: list[Any], X: Array, Y: Array, epochs: int, batch: int, threads: int | None = None) -> list[Any]:
    """Fit networks one after the other."""
    import fastbp

    for network in some:
        network.fit(X, Y, epochs=epochs, batch_size=batch, optimizer=fastbp.Adam(LEARNING_RATE), resume=True,
                    threads=threads)
    return some


def last_costs(some: list[Any]) -> Array:
    """Return the cost of each network's last epoch."""
    return np.array([network.history.cost[-1] for network in some])


def fit_many(workload: Many, X: Array, Y: Array, threads: int) -> Trained:
    """One call of `fastbp.fit_many`."""
    import fastbp

    made = networks(workload, X.dtype)

    def train(epochs: int) -> Array:
        fastbp.fit_many(made, X, Y, epochs=epochs, batch_size=workload.batch, optimizer=fastbp.Adam(LEARNING_RATE),
                        resume=True, threads=threads)
        return last_costs(made)

    return Trained(train)


def loop(workload: Many, X: Array, Y: Array, threads: int) -> Trained:
    """Call `Network.fit` network by network, which picks the number of threads itself, up to that of the cores."""
    made = networks(workload, X.dtype)
    return Trained(lambda epochs: last_costs(fit_each(made, X, Y, epochs, workload.batch)))


def joblib_fit(workload: Many, X: Array, Y: Array, threads: int) -> Trained:
    """Send each process of joblib's (loky) its share of the networks in one piece; it sends them back."""
    if threads == 1:
        raise NotImplementedError("with one process joblib is a loop")
    import joblib

    shares = [networks(workload, X.dtype)[i::threads] for i in range(threads)]

    def train(epochs: int) -> Array:
        shares[:] = joblib.Parallel(n_jobs=threads)(
            joblib.delayed(fit_each)(share, X, Y, epochs, workload.batch, 1) for share in shares)
        costs = np.empty(workload.count)
        for i, share in enumerate(shares):
            costs[i::threads] = last_costs(share)
        return costs

    return Trained(train)


def fit_mlp(model: Any, X: Array, Y: Array, epochs: int, first: bool) -> Any:
    """Fit one of scikit-learn's; return it, since it may have been sent to another process.

    `fit` begins with Adam's moments at 0, `partial_fit` keeps them: an epoch each.
    """
    from sklearn.exceptions import ConvergenceWarning

    warnings.simplefilter("ignore", ConvergenceWarning)
    for epoch in range(epochs):
        (model.fit if first and epoch == 0 else model.partial_fit)(X, Y)
    return model


def joblib_mlp(workload: Many, X: Array, Y: Array, threads: int) -> Trained:
    """Fit scikit-learn's MLPs in joblib's processes: some of the workload's networks."""
    import joblib
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPClassifier if workload.cost == "cross_entropy" else MLPRegressor
    targets = Y.ravel() if workload.layers[-1] == 1 else Y
    models = []
    for seed in range(min(MLP_COUNT * threads, workload.count)):
        model = kind(hidden_layer_sizes=workload.layers[1:-1], activation=workload.activation, alpha=0.0,
                     batch_size=workload.batch, learning_rate_init=LEARNING_RATE, max_iter=1, tol=0.0,
                     n_iter_no_change=10**9, warm_start=True, random_state=seed)
        fit_mlp(model, X, targets, 1, first=True)  # makes the arrays
        for W, b, first in zip(model.coefs_, model.intercepts_, first_weights_of_many(workload, X.dtype), strict=True):
            W[:], b[:] = first[seed].T, 0
        models.append(model)
    begun = False

    def train(epochs: int) -> Array:
        nonlocal begun
        models[:] = joblib.Parallel(n_jobs=threads)(
            joblib.delayed(fit_mlp)(model, X, targets, epochs, not begun) for model in models)
        begun = True
        return np.array([model.loss_curve_[-1] for model in models])

    return Trained(train)


def jax(workload: Many, X: Array, Y: Array, threads: int, shuffled_inside: bool = False) -> Trained:
    """`vmap` over networks of a scan over an epoch's steps: one compiled call an epoch, buffers donated, optax.adam.

    Ways: the scan as it is, unrolled by 4, with the epoch's samples gathered before it; `lax.map` in place of `vmap`;
    and for several threads the networks shared out between as many devices, which XLA makes of the processor if
    ``--xla_force_host_platform_device_count`` says so. The orders are handed to it, or drawn inside by
    `jax.random.permutation` from a key for each network, as `bench.peers` has it.
    """
    import jax
    import jax.numpy as jnp
    import optax

    jax.config.update("jax_enable_x64", X.dtype == np.float64)
    method, generator = optax.adam(LEARNING_RATE), np.random.default_rng(1)
    classes = workload.cost == "cross_entropy"
    inputs, targets = jnp.asarray(X), jnp.asarray(np.eye(workload.layers[-1], dtype=X.dtype)[Y] if classes else Y)

    def cost(parameters: Any, x: Any, y: Any) -> Any:
        for W, b in parameters[:-1]:
            x = jnp.tanh(x @ W.T + b)
        W, b = parameters[-1]
        out = x @ W.T + b
        total = -jnp.sum(y * jax.nn.log_softmax(out)) if classes else 0.5 * jnp.sum((out - y) ** 2)
        return total / workload.batch

    def one_epoch(parameters: Any, state: Any, order: Any, inputs: Any, targets: Any, unroll: int, early: bool) -> Any:
        order = jax.random.permutation(order, workload.samples) if shuffled_inside else order
        rows = order.reshape(workload.steps, workload.batch)

        def step(carry: Any, batch: Any) -> Any:
            parameters, state = carry
            x, y = batch if early else (inputs[batch], targets[batch])
            value, gradient = jax.value_and_grad(cost)(parameters, x, y)
            change, state = method.update(gradient, state, parameters)
            return (optax.apply_updates(parameters, change), state), value

        batches = (inputs[rows], targets[rows]) if early else rows
        (parameters, state), costs = jax.lax.scan(step, (parameters, state), batches, unroll=unroll)
        return parameters, state, costs.mean()

    def way(unroll: int = 1, early: bool = False, mapped: bool = False, devices: int = 1) -> Way:
        mesh = jax.sharding.Mesh(jax.devices()[:devices], "networks")
        each, shared = jax.sharding.PartitionSpec("networks"), jax.sharding.PartitionSpec()
        placed = jax.sharding.NamedSharding(mesh, each)
        x, y = jax.device_put((inputs, targets), jax.sharding.NamedSharding(mesh, shared))

        def all_networks(parameters: Any, state: Any, orders: Any, x: Any, y: Any) -> Any:
            def one(parameters: Any, state: Any, order: Any) -> Any:
                return one_epoch(parameters, state, order, x, y, unroll, early)

            if mapped:
                return jax.lax.map(lambda mine: one(*mine), (parameters, state, orders))
            return jax.vmap(one)(parameters, state, orders)

        by_device = jax.shard_map(all_networks, mesh=mesh, in_specs=(each, each, each, shared, shared),
                                   out_specs=each, check_vma=False)
        compiled = jax.jit(by_device if devices > 1 else all_networks, donate_argnums=(0, 1))

        def begin() -> Any:
            parameters = [(jnp.asarray(W), jnp.zeros(W.shape[:2], W.dtype))
                          for W in first_weights_of_many(workload, X.dtype)]
            return jax.device_put((parameters, jax.vmap(method.init)(parameters)), placed)

        def epoch(state: Any) -> Any:
            if shuffled_inside:
                orders = jax.random.split(jax.random.key(generator.integers(2**31)), workload.count)
            else:
                orders = draw_orders(generator, workload, np.int32)
            *state, costs = compiled(*state, jax.device_put(orders, placed), x, y)
            return state, costs

        return Way(begin, epoch)

    ways = {"vmap": way(), "vmap, unrolled": way(unroll=4), "vmap, gathered before": way(early=True),
            "lax.map": way(mapped=True)}
    if 1 < threads <= len(jax.devices()) and workload.count % threads == 0:
        ways |= {f"vmap on {threads} devices": way(devices=threads),
                 f"vmap on {threads} devices, unrolled": way(unroll=4, devices=threads),
                 f"lax.map on {threads} devices": way(mapped=True, devices=threads)}
    if shuffled_inside:  # XLA takes a minute to compile the sort in each of the others
        ways = {name: one for name, one in ways.items() if "unrolled" not in name and name.startswith("vmap")}
    return fastest(ways)


def jax_shuffled_inside(workload: Many, X: Array, Y: Array, threads: int) -> Trained:
    """Run the same with the orders drawn in the compiled call."""
    return jax(workload, X, Y, threads, shuffled_inside=True)


def torch_func(workload: Many, X: Array, Y: Array, threads: int) -> Trained:
    """`stack_module_state`, and `vmap` of `grad_and_value` of a `functional_call`; Adam on the stacked tensors.

    Ways: eagerly with torch's fused Adam; with the gradient compiled; with gradient and a written-out Adam compiled as
    one; and, without torch.func, batched products by `torch.baddbmm`, eagerly and compiled.
    """
    import os

    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # a daemon may have no children
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # or the first epoch of a second run would take less
    import torch
    from torch.func import functional_call, grad_and_value, stack_module_state, vmap

    warnings.filterwarnings("ignore", "dynamo_pgo force disabled")
    torch.set_num_threads(threads)
    torch.compiler.reset()  # what it has learned about the sizes of the workload before
    generator, kind = np.random.default_rng(1), torch.from_numpy(X).dtype
    classes = workload.cost == "cross_entropy"
    inputs, targets = torch.from_numpy(X), torch.from_numpy(Y)

    def batches() -> Any:
        return torch.from_numpy(draw_orders(generator, workload, np.int64)).split(workload.batch, dim=1)

    def total(out: Any, y: Any) -> Any:
        if classes:
            return torch.nn.functional.cross_entropy(out, y, reduction="sum")
        return 0.5 * ((out - y) ** 2).sum()

    def module() -> Any:
        parts: list[Any] = []
        for n_out, n_in in workload.shapes:
            parts += [torch.nn.Linear(n_in, n_out, dtype=kind), torch.nn.Tanh()]
        return torch.nn.Sequential(*parts[:-1])

    skeleton = module().to("meta")

    def stacked() -> dict[str, Any]:
        parameters, _ = stack_module_state([module() for _ in range(workload.count)])
        for layer, W in enumerate(first_weights_of_many(workload, X.dtype)):
            parameters[f"{2 * layer}.weight"].data.copy_(torch.from_numpy(W))
            parameters[f"{2 * layer}.bias"].data.zero_()
        return parameters

    def cost(parameters: Any, x: Any, y: Any) -> Any:
        return total(functional_call(skeleton, parameters, (x,)), y) / workload.batch

    gradients = vmap(grad_and_value(cost))

    def by_func(gradients: Any) -> Way:
        def begin() -> Any:
            parameters = stacked()
            return parameters, torch.optim.Adam(parameters.values(), lr=LEARNING_RATE, fused=True)

        def epoch(state: Any) -> Any:
            parameters, method = state
            values = {name: tensor.detach() for name, tensor in parameters.items()}
            costs = torch.zeros(workload.count, dtype=kind)
            for rows in batches():
                found, value = gradients(values, inputs[rows], targets[rows])
                for name, tensor in parameters.items():
                    tensor.grad = found[name]
                method.step()
                costs += value
            return state, costs / workload.steps

        return Way(begin, epoch)

    def adam_step(values: Any, means: Any, squares: Any, rows: Any, rate: Any, correction: Any) -> Any:
        found, value = gradients(values, inputs[rows], targets[rows])
        for name, w in values.items():
            g, m, v = found[name], means[name], squares[name]
            m.lerp_(g, 0.1)
            v.mul_(0.999).addcmul_(g, g, value=0.001)
            w.sub_(rate * m / ((v * correction).sqrt() + 1e-8))
        return value

    def whole_step() -> Way:
        compiled = torch.compile(adam_step, dynamic=False)

        def begin() -> Any:
            values = {name: tensor.detach() for name, tensor in stacked().items()}
            return values, *({name: torch.zeros_like(w) for name, w in values.items()} for _ in range(2)), 0

        def epoch(state: Any) -> Any:
            values, means, squares, t = state
            costs = torch.zeros(workload.count, dtype=kind)
            for rows in batches():
                t += 1
                rate = torch.tensor(LEARNING_RATE / (1 - 0.9**t), dtype=kind)
                correction = torch.tensor(1 / (1 - 0.999**t), dtype=kind)
                with torch.no_grad():
                    costs += compiled(values, means, squares, rows, rate, correction)
            return (values, means, squares, t), costs / workload.steps

        return Way(begin, epoch)

    def batched_costs(parameters: Any, x: Any, y: Any) -> Any:
        for W, b in parameters[:-1]:
            x = torch.tanh(torch.baddbmm(b, x, W))
        W, b = parameters[-1]
        out = torch.baddbmm(b, x, W)
        if classes:
            each = torch.nn.functional.cross_entropy(out.transpose(1, 2), y, reduction="none")
            return each.sum(dim=1) / workload.batch
        return 0.5 * ((out - y) ** 2).sum(dim=(1, 2)) / workload.batch

    def by_products(costs_of: Any) -> Way:
        def begin() -> Any:
            parameters = [(torch.from_numpy(W).transpose(1, 2).contiguous().requires_grad_(),
                           torch.zeros(len(W), 1, W.shape[1], dtype=kind, requires_grad=True))
                          for W in first_weights_of_many(workload, X.dtype)]
            flat = [tensor for pair in parameters for tensor in pair]
            return parameters, torch.optim.Adam(flat, lr=LEARNING_RATE, fused=True)

        def epoch(state: Any) -> Any:
            parameters, method = state
            costs = torch.zeros(workload.count, dtype=kind)
            for rows in batches():
                method.zero_grad()
                value = costs_of(parameters, inputs[rows], targets[rows])
                value.sum().backward()
                method.step()
                costs += value.detach()
            return state, costs / workload.steps

        return Way(begin, epoch)

    return fastest({"eager": by_func(gradients), "gradient compiled": by_func(torch.compile(gradients, dynamic=False)),
                    "step compiled": whole_step(), "baddbmm": by_products(batched_costs),
                    "baddbmm compiled": by_products(torch.compile(batched_costs, dynamic=False))})


SIDES: dict[str, Callable[[Many, Array, Array, int], Trained]] = {
    "fit_many": fit_many,
    "loop of fit": loop,
    "joblib, fit": joblib_fit,
    "JAX": jax,
    "JAX, shuffled inside": jax_shuffled_inside,
    "torch.func": torch_func,
    "joblib, scikit-learn": joblib_mlp,
}
