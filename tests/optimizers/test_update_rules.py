"""Every optimizer against the published rule in the naive twin, and against torch and optax where there are any."""

import copy
import pickle

import naive
import numpy as np
import pytest
from helpers import DTYPES, close, network, real_data

import fastbp
from fastbp import SGD, AdaBelief, Adadelta, Adagrad, Adam, AdamW, AMSGrad, Lion, NAdam, RAdam, RMSprop, optimizers
from fastbp.kernels import tables
from fastbp.util.settings import fields_of, flag, fraction, not_negative, positive

OTHER = {fraction: 0.8, positive: 1e-4, not_negative: 0.3, flag: True}
"""A number that each check takes, and no default is."""


def otherwise(kind):
    """Return an optimizer none of whose settings is the default."""
    return kind(0.02, **{name: OTHER[check] for name, (check, _) in kind.settings.items()})


METHODS = [
    *(kind() for kind in optimizers.RULES.values()), *map(otherwise, optimizers.RULES.values()),
    SGD(0.1), SGD(0.1, 0.9), SGD(0.1, 0.9, nesterov=True),
    Adam(0.02, 0.8, 0.99, 1e-4), AdamW(0.02, 0.8, 0.99, 1e-4, 0.3),
    Adam(0.02, epsilon=1e-2, epsilon_hat=True), NAdam(0.02, epsilon=1e-2, epsilon_hat=True),
    AMSGrad(0.02, 0.8, 0.5, 1e-4), NAdam(0.02, 0.8, 0.99, 1e-4),
    RAdam(0.02, 0.8, 0.9, 1e-4), RAdam(0.02, 0.8, 0.6), AdaBelief(0.02, 0.8, 0.99, 1e-6),
    Lion(0.02, 0.8, 0.9, 0.3), RMSprop(0.02, 0.5, 1e-3), Adagrad(0.2, 1e-3), Adadelta(0.5, 0.7, 1e-4),
]  # fmt: skip
"""Each with its defaults and without, and settings that take a rule another way."""

STEPS = 100


def gradients(n, dtype, steps=STEPS):
    """Slopes of very different size, a mean of their own, zeros among them, and some that are 0 for good."""
    rng = np.random.default_rng(n)
    g = (rng.normal(size=(steps, n)) + rng.normal(size=n)) * 10.0 ** rng.uniform(-3, 1, n)
    g[rng.uniform(size=g.shape) < 0.1] = 0
    g[:, 0] = 0
    return g.astype(dtype)


def run(method, w, slopes):
    """Return the parameters after each step of the rule, as the training kernels call it."""
    state, hyper, path = np.zeros(method.slots * w.size, w.dtype), method.hyper(), []
    w = w.copy()
    for g in slopes:
        hyper[tables.HYPER_POWER1] *= hyper[tables.HYPER_BETA1]
        hyper[tables.HYPER_POWER2] *= hyper[tables.HYPER_BETA2]
        method.rule(w, g, state, 0, w.size, 0, hyper)
        path.append(w.copy())
    return np.array(path)


def twin_path(method, w, slopes):
    twin, path = naive.twin_of(method), []
    for g in slopes:
        w = twin.step(w, g)
        path.append(w)
    return np.array(path)


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_every_optimizer_is_public(name):
    kind = optimizers.OPTIMIZERS[name]
    assert getattr(fastbp, kind.__name__, None) is kind, f"fastbp/__init__.py has no {kind.__name__}"
    assert kind.__name__ in fastbp.__all__


def kinds(base):
    return {kind for found in base.__subclasses__() for kind in (found, *kinds(found))}


def test_every_optimizer_is_in_the_list_of_its_file():
    public = {kind for kind in kinds(optimizers.Optimizer) if kind.__module__.startswith("fastbp.optimizers.")}
    assert public - {optimizers.UpdateRule, optimizers.BatchMethod, optimizers.LineSearch} == set(
        optimizers.OPTIMIZERS.values())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_one_step_and_a_hundred(method, dtype, rng):
    w, slopes = rng.normal(size=37).astype(dtype), gradients(37, dtype)
    found, expected = run(method, w, slopes), twin_path(method, w.astype(float), slopes.astype(float))
    close(found[0], expected[0], dtype)
    close(found[-1], expected[-1], dtype)
    moved = np.abs(expected[-1] - w)[1:]
    assert (moved > 0).all(), "a rule that does nothing would pass"
    nothing = np.zeros_like(w)  # where a step does not drown in the parameter's digits
    close(run(method, nothing, slopes[1:2])[0], twin_path(method, nothing.astype(float), slopes[1:2].astype(float))[0],
          dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize(("start", "stop"), [(13, 50), (9, 12)])
def test_slices_and_shift_change_no_bit(start, stop, method, dtype, rng):
    """Take a slice of parameters and state, its gradient lying elsewhere, and nothing beside it touched."""
    n, shift = 61, 9
    w, g = rng.normal(size=n).astype(dtype), rng.normal(size=n).astype(dtype)
    state, hyper = rng.uniform(size=method.slots * n).astype(dtype), method.hyper()
    hyper[[tables.HYPER_POWER1, tables.HYPER_POWER2]] = hyper[[tables.HYPER_BETA1, tables.HYPER_BETA2]] ** 3
    whole, whole_state = w.copy(), state.copy()
    method.rule(whole, g, whole_state, 0, n, 0, hyper)
    moved, part, part_state = np.zeros(n, dtype), w.copy(), state.copy()
    moved[start - shift : stop - shift] = g[start:stop]
    method.rule(part, moved, part_state, start, stop, shift, hyper)
    inside = np.zeros(n, bool)
    inside[start:stop] = True
    assert (part == np.where(inside, whole, w)).all()
    expected = np.where(inside, whole_state.reshape(-1, n), state.reshape(-1, n))
    assert (part_state.reshape(-1, n) == expected).all()


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_nan_is_not_hidden(method):
    slopes = np.ones((2, 5))
    slopes[0, 2] = np.nan
    assert (np.isnan(run(method, np.ones(5), slopes))[-1] == [False, False, True, False, False]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", optimizers.RULES)
def test_training_curve(name, dtype, rng):
    """Train ten epochs of mini-batches through the training kernels, online too, beside the naive loop."""
    X, Y = real_data(rng, "squared_error", None, 30, 2, 1, dtype)
    for batch in (8, 1):
        net = network((2, 5, 1), dtype=dtype)
        first, method = net.parameters.astype(float), optimizers.get(name)
        net.fit(X, Y, epochs=10, batch_size=batch, optimizer=name, shuffle=False)
        twin = naive.twin_of(method)
        w, curve = naive.train(first, net.layers, True, X.astype(float), Y.astype(float), net.activations,
                               "squared_error", twin, batch, [np.arange(30)] * 10)
        close(net.parameters, w, dtype, factor=20)
        close(net.history.cost, curve, dtype, factor=20)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_descends(method):
    """Go from the side of a bowl with axes of different length, to below a tenth of its cost, or in Lion's steps."""
    scales, w = np.array([1.0, 10.0]), np.array([1.0, -1.0])
    state, costs = np.zeros(method.slots * 2), []
    hyper = method.hyper()
    hyper[tables.HYPER_RATE] = {Adadelta: 1.0, Adagrad: 0.5}.get(type(method), 0.02)
    for _ in range(2000):
        hyper[tables.HYPER_POWER1] *= hyper[tables.HYPER_BETA1]
        hyper[tables.HYPER_POWER2] *= hyper[tables.HYPER_BETA2]
        costs.append(0.5 * scales @ (w * w))
        method.rule(w, scales * w, state, 0, 2, 0, hyper)
    assert costs[-1] < 0.1 * costs[0]


@pytest.mark.parametrize(("kind", "settings", "says"), [
    (AdamW, {"weight_decay": -0.1}, "weight_decay is -0.1, expected a number that is not negative"),
    (Lion, {"weight_decay": float("nan")}, "weight_decay is nan"),
    (NAdam, {"beta1": 1.0}, "beta1 is 1.0, expected a number from 0"),
    (RAdam, {"beta2": -0.1}, "beta2 is -0.1"),
    (Adam, {"epsilon_hat": 1}, "epsilon_hat is 1, expected True or False"),
    (AdaBelief, {"epsilon": 0}, "epsilon is 0, expected a positive number"),
    (RMSprop, {"decay": 1}, "decay is 1"),
    (Adagrad, {"learning_rate": float("inf")}, "learning_rate is inf"),
    (Adadelta, {"decay": "0.9"}, "decay is '0.9'"),
    (SGD, {"momentum": 1.0}, "momentum is 1.0"),
    (SGD, {"nesterov": True}, "needs a momentum"),
])  # fmt: skip
def test_bad_settings(kind, settings, says):
    with pytest.raises(ValueError, match=f"{kind.__name__}: .*{says}"):
        kind(**settings)


def test_unknown_name():
    with pytest.raises(ValueError, match="did you mean 'adamw'"):
        optimizers.get("admaw")


# ----------------------------------------------------------------------------------------------------- torch and optax


@pytest.mark.parametrize(("method", "peer", "settings"), [
    (SGD(0.1, 0.9), "SGD", {"lr": 0.1, "momentum": 0.9}),
    (SGD(0.1, 0.9, nesterov=True), "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (Adam(0.02), "Adam", {"lr": 0.02}),
    (AdamW(0.02, weight_decay=0.3), "AdamW", {"lr": 0.02, "weight_decay": 0.3}),
    (AMSGrad(0.02), "Adam", {"lr": 0.02, "amsgrad": True}),
    # torch adds epsilon to the root before the bias correction: only one that vanishes can agree
    (RAdam(0.02, epsilon=1e-20), "RAdam", {"lr": 0.02, "eps": 1e-20}),
    (RMSprop(0.02), "RMSprop", {"lr": 0.02, "alpha": 0.9}),
    (Adagrad(0.2), "Adagrad", {"lr": 0.2}),
    (Adadelta(0.5), "Adadelta", {"lr": 0.5}),
], ids=str)  # fmt: skip
def test_torch(method, peer, settings, rng):
    torch = pytest.importorskip("torch")
    w, slopes = rng.normal(size=37), gradients(37, "float64")
    parameter = torch.nn.Parameter(torch.tensor(w))
    theirs = getattr(torch.optim, peer)([parameter], **settings)
    for g in slopes:
        parameter.grad = torch.tensor(g)
        theirs.step()
    close(run(method, w, slopes)[-1], parameter.detach().numpy())


@pytest.mark.parametrize(("method", "peer", "settings"), [
    (NAdam(0.02), "nadam", {"learning_rate": 0.02}),
    (RAdam(0.02), "radam", {"learning_rate": 0.02, "threshold": 5.0}),
    (AdamW(0.02, weight_decay=0.3), "adamw", {"learning_rate": 0.02, "weight_decay": 0.3}),
    (Lion(0.02, weight_decay=0.3), "lion", {"learning_rate": 0.02, "weight_decay": 0.3}),
], ids=str)  # fmt: skip
def test_optax(method, peer, settings, rng):
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    w, slopes = rng.normal(size=37), gradients(37, "float64")
    theirs, parameters = getattr(optax, peer)(**settings), jax.numpy.array(w)
    state = theirs.init(parameters)
    for g in slopes:
        update, state = theirs.update(jax.numpy.array(g), state, parameters)
        parameters = optax.apply_updates(parameters, update)
    close(run(method, w, slopes)[-1], np.asarray(parameters))


def test_numbers_of_numpy_are_kept_as_pythons():
    """Sums stay double, and what is shown is what one would write."""
    for made in (Adam(np.float32(0.5), beta1=np.float64(0.25)), fastbp.LBFGS(np.int8(3)),
                 fastbp.schedules.Cosine(np.float32(0.5), np.int64(3)),
                 fastbp.Regularization(l2=np.array([0.5, 0.25]), dropout=np.float32(0.5))):
        assert "np." not in repr(made) and "array" not in repr(made)
        assert fields_of(type(made)(**fields_of(made))) == fields_of(made)


class Own(Adam):
    """A user's class, which sets more than fields."""

    def __init__(self, rate):
        super().__init__(rate)
        object.__setattr__(self, "name", "own")


def test_copies_have_all_but_what_follows_from_the_settings():
    method = Own(0.1)
    method.hyper()
    assert not method.followed and not method.has_schedule and {"followed", "_constants"} < vars(method).keys()
    for other in (copy.copy(method), copy.deepcopy(method), pickle.loads(pickle.dumps(method))):
        assert vars(other) == fields_of(method) | {"name": "own"}
        assert other == method and (other.hyper() == method.hyper()).all()
