"""The network inside a user's compiled code: every function of fastbp.jit, called from such code."""

import copy
import os
import pickle

import numba
import numpy as np
import pytest
from helpers import ACTIVATIONS, DTYPES, PAIRS, close, compiled_only, few, network, real_data

from fastbp import LBFGS, SGD, Adam, Network, huber, jit
from fastbp.kernels.compile import JIT
from fastbp.schedules import ReduceOnPlateau, Step

SHAPES = [(1, 1), (3, 2), (2, 5, 3), (4, 7, 5, 2), (3, 9, 1, 17, 6), (70, 33, 4)]
METHODS = [SGD(0.1), SGD(0.1, 0.9), SGD(0.1, 0.9, nesterov=True), Adam(0.01)]


@numba.njit(nogil=True)
def run_forward(model, X, out, work):
    fits = True
    for i in range(len(X)):
        fits = jit.forward(model, X[i], out[i], work) and fits
    return fits


@numba.njit
def run_forward_batch(model, X, out, work):
    return jit.forward_batch(model, X, out, work)


@numba.njit
def run_gradients(model, X, Y, gradients, work):
    total = 0.0
    for i in range(len(X)):
        total += jit.cost_and_gradient(model, X[i], Y[i], gradients[i], work)
    return total / len(X)


@numba.njit
def run_batch(model, X, Y, gradient, work):
    return jit.cost_and_gradient_batch(model, X, Y, gradient, work)


@numba.njit
def run_input(model, X, Y, out, work):
    total = 0.0
    for i in range(len(X)):
        total += jit.input_gradient(model, X[i], Y[i], out[i], work)
    return total / len(X)


@numba.njit
def run_vjp(model, X, U, out, work):
    fits = True
    for i in range(len(X)):
        fits = jit.vjp(model, X[i], U[i], out[i], work) and fits
    return fits


@numba.njit
def run_train_one(model, state, X, Y, work):
    total = 0.0
    for i in range(len(X)):
        total += jit.train_one(model, state, X[i], Y[i], work)
    return total / len(X)


@numba.njit
def run_train_batch(model, state, X, Y, batch, work):
    costs = 0.0
    for start in range(0, len(X), batch):
        part = X[start : start + batch]
        costs += jit.train_batch(model, state, part, Y[start : start + batch], work) * len(part)
    return costs / len(X)


@numba.njit
def run_own_update(model, state, X, Y, work):
    """Sum gradients by itself, as a policy gradient does."""
    mean, one = np.zeros_like(state.gradient), np.empty_like(state.gradient)
    for i in range(len(X)):
        jit.cost_and_gradient(model, X[i], Y[i], one, work)
        mean += one / len(X)
    state.gradient[:] = mean
    return jit.update(model, state)


@numba.njit(parallel=True)
def run_parallel(model, X, out):
    for part in numba.prange(4):
        work = jit.workspace(model)
        for i in range(part, len(X), 4):
            jit.forward(model, X[i], out[i], work)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("output", "cost"), PAIRS)
def test_every_pair(output, cost, dtype, rng):
    net = network((3, 6, 4), "tanh", output, cost, dtype=dtype)
    X, Y = real_data(rng, cost, output, few(21, 5), 3, 4, dtype)
    agrees(net, X, Y, dtype)


@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_every_activation(hidden, rng):
    net = network((2, 5, 4, 3), hidden, dtype="float64")
    net.parameters *= 0.5  # exp of exp
    X, Y = real_data(rng, "squared_error", None, few(21, 5), 2, 3)
    with np.errstate(over="ignore"):  # what lies behind the last neuron goes through exp again and again
        agrees(net, X, Y, "float64")


@pytest.mark.parametrize("batch", [1, 100])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_depth(shape, bias, batch, rng):
    net = network(shape, "tanh", "logistic", huber(0.3), bias=bias, dtype="float64")
    X, Y = real_data(rng, "huber", None, few(53, 5), shape[0], shape[-1])
    agrees(net, X, Y, "float64", batch)


def agrees(net, X, Y, dtype, batch=256):
    """Assert that every function gives what the methods of Network give, and leaves its inputs alone."""
    model = net.compiled(batch)
    before = X.copy(), Y.copy(), net.parameters.copy()
    work = jit.workspace(model)
    outputs, gradients = np.empty_like(Y), np.empty((len(X), net.n_parameters), dtype)
    assert run_forward(model, X, outputs, work)
    close(outputs, net.predict(X), dtype, 5)
    outputs[:] = 0
    assert run_forward_batch(model, X, outputs, work)
    np.testing.assert_array_equal(outputs, net.predict(X))
    E, gradient = net.cost_and_gradient(X, Y)
    close(run_gradients(model, X, Y, gradients, work), E, dtype, 5)
    close(gradients, net.per_sample_gradient(X, Y), dtype, 5)
    found, slopes = np.empty_like(gradient), np.empty_like(X)
    close(run_batch(model, X, Y, found, work), E, dtype, 5)
    close(found, gradient, dtype, 5)
    assert run_batch(model, X, Y, found[:0], work) == run_batch(model, X, Y, found, work)
    close(run_input(model, X, Y, slopes, work), E, dtype, 5)
    close(slopes, net.input_gradient(X, Y), dtype, 5)
    assert run_vjp(model, X, Y, slopes, work)
    close(slopes, net.vjp(X, Y), dtype, 5)
    for now, then in zip((X, Y, net.parameters), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_online_learning_is_that_of_fit(method, dtype, rng):
    net = network((3, 8, 2), dtype=dtype)
    X, Y = real_data(rng, "squared_error", None, few(40, 6), 3, 2, dtype)
    twin = net.copy()
    twin.fit(X, Y, epochs=1, batch_size=1, optimizer=method, shuffle=False)
    model = net.compiled()
    cost = run_train_one(model, jit.state(model, method), X, Y, jit.workspace(model))
    close(net.parameters, twin.parameters, dtype, 20)
    close(cost, twin.history.cost[0], dtype, 20)


@pytest.mark.parametrize("batch", [1, 16, 100])
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_batches_are_those_of_fit(method, batch, rng):
    """Whatever the workspace takes at once: it goes through a batch block by block."""
    net = network((3, 8, 2), cost="huber", dtype="float64")
    X, Y = real_data(rng, "huber", None, few(83, 21), 3, 2)
    twin = net.copy()
    twin.fit(X, Y, epochs=1, batch_size=32, optimizer=method, shuffle=False)
    model = net.compiled(batch)
    cost = run_train_batch(model, jit.state(model, method), X, Y, 32, jit.workspace(model))
    close(net.parameters, twin.parameters, "float64", 20)
    close(cost, twin.history.cost[0], "float64", 20)


def test_an_update_from_a_gradient_of_ones_own(rng):
    net = network((3, 8, 4), cost="cross_entropy", dtype="float64")
    X, Y = real_data(rng, "cross_entropy", None, 10, 3, 4)
    twin = net.copy()
    twin.fit(X, Y, epochs=1, batch_size=10, optimizer="adam", shuffle=False)
    model = net.compiled()
    assert run_own_update(model, jit.state(model), X, Y, jit.workspace(model))
    close(net.parameters, twin.parameters, "float64", 20)


def test_the_model_sees_the_networks_parameters(rng):
    net = network((3, 4, 2), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 30, 3, 2)
    model, out = net.compiled(), np.empty_like(Y)
    work = jit.workspace(model)
    net.fit(X, Y, epochs=2)
    run_forward(model, X, out, work)
    close(out, net.predict(X))


def test_other_parameters_for_the_same_model(rng):
    """As a target network is made: the addresses in a model belong to the layers, not to the parameters."""
    net = network((3, 4, 2), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 5, 3, 2)
    model, before = net.compiled(), net.predict(X)
    frozen, out, work = model._replace(parameters=net.parameters.copy()), np.empty_like(Y), jit.workspace(model)
    run_train_one(model, jit.state(model, SGD(0.1)), X, Y, work)
    run_forward(frozen, X, out, work)
    close(out, before)
    assert np.abs(net.predict(X) - before).max() > 1e-3


def test_the_learning_rate_is_the_callers(rng):
    net = network((3, 2), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 5, 3, 2)
    model = net.compiled()
    state, before = jit.state(model, SGD(0.5)), net.parameters.copy()
    gradient = net.gradient(X, Y)
    state.hyper[0] = 0.25
    run_train_batch(model, state, X, Y, 5, jit.workspace(model))
    close(net.parameters, before - 0.25 * gradient)


@pytest.mark.skipif(not JIT, reason="prange is plain range without the JIT")
@pytest.mark.filterwarnings("ignore:The TBB threading layer")
def test_in_parallel_with_a_workspace_for_each_thread(rng):
    net = network((5, 40, 3), dtype="float64")
    X = rng.normal(size=(1000, 5))
    out = np.empty((1000, 3))
    run_parallel(net.compiled(), X, out)
    close(out, net.predict(X))


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_read_only_inputs_are_taken(rng):
    net = network((3, 4, 2))
    X, Y = real_data(rng, "squared_error", None, 6, 3, 2, "float32")
    X.flags.writeable = False
    out, model = np.empty_like(Y), net.compiled()
    assert run_forward(model, X, out, jit.workspace(model))
    close(out, net.predict(X), "float32", 5)


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
@pytest.mark.parametrize(("name", "arrays"), [("forward", "xyw"), ("cost_and_gradient", "xyxw"), ("train_one", "sxyw"),
                                              ("input_gradient", "xyxw"), ("vjp", "xyxw")])
def test_no_references_are_counted(name, arrays):
    """A locked instruction for each array of a model took longer than a small network."""
    model = Network((4, 8, 2), dtype="float64").compiled()
    values = {"x": np.zeros(4), "y": np.zeros(2), "w": jit.workspace(model), "s": jit.state(model)}
    signature = tuple(map(numba.typeof, (model, *(values[letter] for letter in arrays))))
    function = numba.njit(getattr(jit, name).py_func)
    function.compile(signature)
    code = function.inspect_llvm(signature)
    own = code[code.index("define") : code.index("\n}")]
    assert "call" in own and "@NRT_incref" not in own


def test_padding_and_outside_are_left_alone(rng):
    """NaN all over the workspace but for the ones never reaches a result; nothing is written outside of anything."""
    net = network((3, 5, 2), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 11, 3, 2)
    model = net.compiled()
    room = jit.workspace(model)
    guarded = np.full(room.size + 64, 777.0)
    work = guarded[32:-32]
    work[:] = np.where(room == 1, 1.0, np.nan)
    guarded_gradient = np.full(net.n_parameters + 64, 777.0)
    gradient = guarded_gradient[32:-32]
    E, expected = net.cost_and_gradient(X[:1], Y[:1])
    close(jit.cost_and_gradient(model, X[0], Y[0], gradient, work), E)
    close(gradient, expected)
    close(jit.cost_and_gradient_batch(model, X, Y, gradient, work), net.cost(X, Y))
    close(gradient, net.gradient(X, Y))
    for array in (guarded, guarded_gradient):
        assert (array[:32] == 777).all() and (array[-32:] == 777).all()


@numba.njit
def all_with_sizes(model, state, x, y, out, gradient, work):
    X, Y = x.reshape(1, -1), y.reshape(1, -1)
    return (jit.forward(model, x, out, work), jit.forward_batch(model, X, out, work),
            jit.cost_and_gradient(model, x, y, gradient, work), jit.train_one(model, state, x, y, work),
            jit.cost_and_gradient_batch(model, X, Y, gradient, work), jit.train_batch(model, state, X, Y, work))


@pytest.mark.parametrize(("sizes", "fits"), [
    ((3, 2, 2, 26, 0), (1, 1, 1, 1, 1, 1)),
    ((4, 2, 2, 26, 0), (0, 0, 0, 0, 0, 0)),
    ((3, 1, 2, 26, 0), (1, 1, 0, 0, 0, 0)),
    ((3, 2, 3, 26, 0), (0, 0, 1, 1, 1, 1)),
    ((3, 2, 2, 25, 0), (1, 1, 0, 1, 0, 1)),
    ((3, 2, 2, 26, -1), (0, 0, 0, 0, 0, 0)),
])
def test_sizes_that_do_not_fit_write_nothing(sizes, fits):
    net = network((3, 4, 2), dtype="float64")
    model = net.compiled()
    x, y, out, gradient = (np.full(n, 0.5) for n in sizes[:4])
    work = jit.workspace(model)[: None if sizes[4] == 0 else -1]
    before = net.parameters.copy()
    found = all_with_sizes(model, jit.state(model, "sgd"), x, y, out, gradient, work)
    assert tuple(bool(value) and not np.isnan(value) for value in found) == tuple(map(bool, fits))
    if not any(fits):
        assert (net.parameters == before).all() and (out == 0.5).all() and (gradient == 0.5).all()


def test_a_state_of_another_network_writes_nothing():
    net, other = Network((3, 2), dtype="float64", seed=0), Network((3, 3), dtype="float64", seed=0)
    model, before = net.compiled(), net.parameters.copy()
    state = jit.state(other.compiled())
    x, y, work = np.ones(3), np.ones(2), jit.workspace(model)
    assert np.isnan(jit.functions.train_one(model, state, x, y, work))  # as compiled code calls them
    assert np.isnan(jit.functions.train_batch(model, state, x[None], y[None], work))
    assert not jit.functions.update(model, state)
    assert (net.parameters == before).all()


def test_a_method_for_the_full_batch_has_no_state():
    with pytest.raises(ValueError, match="LBFGS works on the full batch"):
        jit.state(Network((2, 1)).compiled(), LBFGS())


@pytest.mark.parametrize("rate", [Step(0.1, 5), ReduceOnPlateau(0.1), lambda epoch: 0.1 / (1 + epoch)])
def test_a_schedule_has_no_state(rate):
    with pytest.raises(ValueError, match=r"learning_rate is .*give a number; in compiled code change hyper\[0\]"):
        jit.state(Network((2, 1)).compiled(), SGD(rate))


def test_kinds_that_do_not_fit_do_not_compile():
    model = Network((3, 2), seed=0).compiled()
    work, out, x = jit.workspace(model), np.empty(2, "f"), np.zeros(3, "f")
    frozen = out.copy()
    frozen.flags.writeable = False
    error = numba.TypingError if JIT else TypeError
    with pytest.raises(error, match="x .*float32, the dtype of the network"):
        jit.forward(model, np.zeros(3), out, work)
    with pytest.raises(error, match="x .*C-contiguous"):
        jit.forward(model, np.zeros(6, "f")[::2], out, work)
    with pytest.raises(error, match="out"):
        jit.forward(model, x, frozen, work)
    with pytest.raises(error, match="work .*float32"):
        jit.forward(model, x, out, work.astype("d"))


@pytest.mark.parametrize(("dtype", "other"), [("float64", "float32"), ("float32", "float64")])
def test_a_state_of_another_dtype_does_not_compile(dtype, other):
    """Of the same size in numbers, it holds half the bytes that the rule would write, or twice."""
    net = Network((3, 2), dtype=dtype, seed=0)
    model, before = net.compiled(), net.parameters.copy()
    state = jit.state(Network((3, 2), dtype=other, seed=0).compiled())
    hyper = state.hyper.copy()
    x, y, work = np.ones(3, dtype), np.ones(2, dtype), jit.workspace(model)
    error, message = (numba.TypingError, f"the state is .*{other}.*{dtype}, the dtype of the network") if JIT else (
        TypeError, f"the state .*{dtype}, the dtype of the network")
    with pytest.raises(error, match=message):
        jit.train_one(model, state, x, y, work)
    with pytest.raises(error, match=message):
        jit.train_batch(model, state, x[None], y[None], work)
    with pytest.raises(error, match=message):
        jit.update(model, state)
    assert (net.parameters == before).all() and (state.hyper == hyper).all()


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
def test_addresses_do_not_leave_the_process(protocol):
    model = Network((3, 2)).compiled()
    for given, again in ((model, r"compiled\(\)"), (jit.state(model), r"compiled\(\) and fastbp.jit.state\(\)")):
        with pytest.raises(TypeError, match=f"{type(given).__name__} .* send the Network, and call {again} there"):
            pickle.dumps(given, protocol)


def test_copies_of_a_model_and_a_state_learn_alone(rng):
    net = network((3, 8, 2), dtype="float64")
    X, Y = real_data(rng, "squared_error", None, 5, 3, 2)
    model, work, before = net.compiled(), jit.workspace(net.compiled()), net.parameters.copy()
    state = jit.state(model)
    twin, alone = copy.deepcopy((model, state))
    assert type(twin) is jit.Model and type(alone) is jit.State and copy.copy(model) is model
    run_train_one(twin, alone, X, Y, work)
    assert (net.parameters == before).all() and not state.slots.any()
    run_train_one(copy.copy(model), copy.copy(state), X, Y, work)
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    np.testing.assert_array_equal(state.slots, alone.slots)


def test_check_explains():
    model = Network((3, 4, 2)).compiled()
    good = {"x": np.zeros(3, "f"), "X": np.zeros((7, 3), "f"), "y": np.zeros(2, "f"), "Y": np.zeros((7, 2), "f"),
            "u": np.zeros(2, "f"), "gradient": np.zeros(26, "f"), "work": jit.workspace(model)}
    jit.check(model, **good)
    for out in (np.zeros(2, "f"), np.zeros(3, "f"), np.zeros((5, 2), "f")):
        jit.check(model, out=out)
    frozen = np.zeros(2, "f")
    frozen.flags.writeable = False
    for error, message, name, value in [
        (TypeError, "float64, expected an array of float32", "x", np.zeros(3)),
        (TypeError, "type list", "x", [1, 2, 3]),
        (TypeError, "strided", "x", np.zeros(6, "f")[::2]),
        (TypeError, "read-only", "out", frozen),
        (TypeError, "no argument 'z'", "z", frozen),
        (ValueError, r"x has shape \(4,\), expected \(3,\)", "x", np.zeros(4, "f")),
        (ValueError, r"Y has shape \(7, 3\), expected \(7, 2\)", "Y", np.zeros((7, 3), "f")),
        (ValueError, r"X has shape \(\), expected \(1, 3\)", "X", np.array(1, "f")),
        (ValueError, r"out has shape \(\), expected \(2,\) or \(3,\) or \(1, 2\)", "out", np.array(1, "f")),
        (ValueError, r"expected \(26,\) or \(0,\)", "gradient", np.zeros(3, "f")),
        (ValueError, "use workspace", "work", np.zeros(3, "f")),
    ]:
        with pytest.raises(error, match=message):
            jit.check(model, **{name: value})


@pytest.mark.parametrize("batch", [0, -1, 2.5])
def test_a_batch_that_is_none(batch):
    with pytest.raises((ValueError, TypeError), match="batch"):
        Network((2, 1)).compiled(batch)


@pytest.mark.skipif(not JIT, reason="nothing is cached")
def test_a_cached_caller_is_read_back(tmp_path, run_python):
    """What it calls lies behind addresses in the model, so its machine code holds in another process."""
    (tmp_path / "caller.py").write_text("""
import numba
from fastbp import jit

@numba.njit(cache=True, nogil=True)
def outputs(model, x, out, work):
    return jit.forward(model, x, out, work)
""")
    script = """
import numpy as np, fastbp, caller
net = fastbp.Network((2, 3, 1), dtype="float64", seed=3)
model = net.compiled()
out = np.empty(1)
assert caller.outputs(model, np.ones(2), out, fastbp.jit.workspace(model))
assert abs(out - net.predict([1.0, 1.0])) < 1e-15
print(sum(caller.outputs.stats.cache_hits.values()))
"""
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    hits = [run_python(script, environment={"PYTHONPATH": path}).strip() for _ in range(2)]
    assert hits == ["0", "1"]


FOREIGN = """
import itertools
import numpy as np
from fastbp import SGD, Network, jit
from fastbp.jit import functions  # as compiled code calls them

def guarded(array):
    # a copy with numbers around it that nothing may change
    room = np.full(array.size + 128, 777, array.dtype)
    copy = room[64:-64].reshape(array.shape)
    copy[:] = array
    rooms.append((room, room.copy(), array.size))
    return copy

def guarded_all(given):
    return given._replace(**{name: guarded(part) for name, part in given._asdict().items()
                             if isinstance(part, np.ndarray) and part.size})

def unharmed():
    # outside of every array nothing has changed, and inside neither
    return all(np.array_equal(room, before) for room, before, _ in rooms)

rooms = []
net = Network((3, 4, 2), dtype="float64", seed=0)
nets = [Network((30, 40, 20), dtype="float64", seed=0), Network((3, 2), dtype="float64", seed=0),
        Network((2, 3, 4), dtype="float64", bias=False, seed=0)]
model, state = guarded_all(net.compiled()), guarded_all(jit.state(net.compiled()))
others = [guarded_all(other.compiled()) for other in nets]
models, states = [], []
for name in model._fields:
    part = getattr(model, name)
    found = [getattr(other, name) for other in others] + [part[:0], part[:1]]
    found += [part[:-1], np.concatenate([part, part])] if part.size else [np.full(3, 10**6).astype(part.dtype)]
    found += [part[:, :3].copy()] if part.ndim == 2 else []
    same = {"cost_parameter": others} if part.size else {}
    for array in found:
        given = getattr(model, name)
        if array.shape != given.shape or name in ("layers", "cells", "calls"):
            models.append((name, model._replace(**{name: guarded(array) if array.size else array})))
adam, sgd, amsgrad = (jit.state(net.compiled(), kind) for kind in ("adam", SGD(0.1), "amsgrad"))
single = jit.state(Network((3, 4, 2), seed=0).compiled())
for name in ("gradient", "slots", "hyper"):
    part = getattr(state, name)
    for array in [part[:0], part[:1], part[:-1], np.concatenate([part, part])]:
        states.append((name, state._replace(**{name: guarded(array) if array.size else array})))
    for other in nets:
        if name != "hyper":
            states.append((name, state._replace(**{name: getattr(jit.state(other.compiled()), name)})))
for other in nets:
    states.append(("whole", jit.state(other.compiled())))
states += [("rule", guarded_all(sgd)._replace(rule=adam.rule)), ("rule", guarded_all(adam)._replace(rule=amsgrad.rule)),
           ("rule", state._replace(rule=single.rule)), ("rule", state._replace(rule=0)),
           ("slots", guarded_all(adam)._replace(slots=sgd.slots))]
rooms = [(room, room.copy(), size) for room, _, size in rooms]
x, y, out, gradient = (guarded(np.full(n, 0.5)) for n in (3, 2, 2, net.n_parameters))
work = jit.workspace(model)
X, Y, outs, slopes = x[None], y[None], out[None], guarded(np.full(3, 0.5))

def calls(model):
    return (functions.forward(model, x, out, work), functions.forward_batch(model, X, outs, work),
            functions.cost_and_gradient(model, x, y, gradient, work),
            functions.cost_and_gradient_batch(model, X, Y, gradient, work),
            functions.input_gradient(model, x, y, slopes, work), functions.vjp(model, x, y, slopes, work))

def trains(model, state):
    return (functions.train_one(model, state, x, y, work), functions.train_batch(model, state, X, Y, work),
            functions.update(model, state))

def refused(found):
    return all(value is False or value is np.False_ or np.isnan(value) or value == 0 for value in found)

def explained(*given, **more):
    try:
        jit.check(*given, **more)
    except ValueError as error:
        return str(error)

for name, wrong in models:
    assert refused(calls(wrong) + trains(wrong, state)), name
    assert unharmed() and explained(wrong), name
    assert jit.workspace(wrong).size == 0, name
    try:
        jit.state(wrong)
    except ValueError:
        pass
    else:
        raise AssertionError(name)
for name, wrong in states:
    assert refused(trains(model, wrong)), name
    assert unharmed() and explained(model, state=wrong), name
jit.check(model, state=state)
assert not refused(calls(model)) and not unharmed()
print(len(models), len(states))
"""


def test_arrays_that_do_not_belong_together_write_nothing(run_python):
    """Every array of a model and of a state: another's, none, too short, too long, each with guards around it."""
    models, states = map(int, run_python(FOREIGN, timeout=300).split())
    assert models > 30 and states > 20


def strange(array):
    """Arrays of the same numbers that compiled code would misread, or must not write to."""
    frozen = array.copy()
    frozen.flags.writeable = False
    twice = np.repeat(array, 2, axis=-1)[..., ::2]
    return {"strided": twice, "of another type": array.astype("f" if array.dtype == "d" else "i4"),
            "read-only": frozen}


def test_kinds_of_a_model_that_do_not_fit_do_not_compile():
    net = Network((3, 2), dtype="float64", seed=0)
    model, before = net.compiled(), net.parameters.copy()
    state, work, x, y, out = jit.state(model), jit.workspace(model), np.ones(3), np.ones(2), np.ones(2)
    error = numba.TypingError if JIT else TypeError
    for name in ("parameters", "layers", "cells", "cost_parameter", "calls"):
        for kind, array in strange(getattr(model, name)).items():
            wrong = model._replace(**{name: array})
            if kind == "read-only":  # what is only read may be
                assert jit.forward(wrong, x, out, work)
                continue
            for call in (lambda m: jit.forward(m, x, out, work), lambda m: jit.train_one(m, state, x, y, work),
                         lambda m: jit.update(m, state), jit.workspace):
                with pytest.raises(error, match=f"{name} of the model"):
                    call(wrong)
            with pytest.raises(TypeError, match=f"{name} of the model"):
                jit.check(wrong)
    for name in ("gradient", "slots", "hyper"):
        for array in strange(getattr(state, name)).values():
            with pytest.raises(error, match="of the state|the state"):
                jit.train_batch(model, state._replace(**{name: array}), x[None], y[None], work)
            with pytest.raises(TypeError, match=f"{name} of the state"):
                jit.check(model, state=state._replace(**{name: array}))
    assert (net.parameters == before).all()


def test_a_network_that_is_read_only_computes_and_does_not_train():
    net = network((3, 4, 2), dtype="float64")
    net.parameters.flags.writeable = False
    before, x, y, out = net.parameters.copy(), np.ones(3), np.ones(2), np.empty(2)
    model = net.compiled()
    state, work = jit.state(model), jit.workspace(model)
    assert jit.forward(model, x, out, work)
    close(out, net.predict(x))
    gradient = np.empty(net.n_parameters)
    close(jit.cost_and_gradient(model, x, y, gradient, work), net.cost(x, y))
    close(gradient, net.gradient(x, y))
    jit.check(model, x=x, out=out)
    with pytest.raises(TypeError, match="parameters of the model is read-only, and would be overwritten"):
        jit.check(model, state=state)
    error = numba.TypingError if JIT else TypeError
    for call in (lambda: jit.train_one(model, state, x, y, work), lambda: jit.update(model, state),
                 lambda: jit.train_batch(model, state, x[None], y[None], work)):
        with pytest.raises(error, match="parameters of the model is .*writable"):
            call()
    assert (net.parameters == before).all()


@pytest.mark.parametrize(("given", "message"), [
    (lambda model: jit.check(None), "model is of type NoneType, expected a Model"),
    (lambda model: jit.check(model, state=()), "state is of type tuple, expected a State"),
])
def test_check_of_what_is_none(given, message):
    with pytest.raises(TypeError, match=message):
        given(Network((3, 2), dtype="float64").compiled())


@compiled_only
def test_from_python_a_size_that_does_not_fit_is_an_error():
    """What compiled code gets as False or NaN; NaN that has been computed comes back."""
    net = network((3, 4, 2), dtype="float64")
    model, other = net.compiled(), Network((3, 3), dtype="float64", seed=0)
    state, work, before = jit.state(model), jit.workspace(model), net.parameters.copy()
    X, Y, x, y, gradient = np.ones((4, 3)), np.ones((4, 2)), np.ones(3), np.ones(2), np.empty(net.n_parameters)
    for call, wrong in (
        (lambda: jit.forward(model, y, y, work), r"x has shape \(2,\), expected \(3,\)"),
        (lambda: jit.forward_batch(model, X, np.empty((3, 2)), work), "sizes do not fit"),
        (lambda: jit.train_batch(model, state, X, Y[:3], work), "X has 4 rows, Y has 3 rows: expected as many"),
        (lambda: jit.train_batch(model, state, X=X, Y=Y[:, :1].copy(), work=work), r"Y has shape \(4, 1\)"),
        (lambda: jit.train_batch(model, state, X[:0], Y[:0], work), "X has no rows"),
        (lambda: jit.cost_and_gradient(model, x, y, gradient[1:], work), "gradient has shape"),
        (lambda: jit.input_gradient(model, x, y, y.copy(), work), "out has 2 numbers, expected 3"),
        (lambda: jit.vjp(model, x, y, y.copy(), work), "out has 2 numbers, expected 3"),
        (lambda: jit.train_one(model, state, x, y, work[:-1]), "work has"),
        (lambda: jit.update(model, jit.state(other.compiled())), "gradient of the state has"),
    ):
        with pytest.raises(ValueError, match=wrong):
            call()
    np.testing.assert_array_equal(net.parameters, before)
    assert np.isnan(jit.cost_and_gradient(model, x * np.nan, y, gradient, work))
    assert pickle.loads(pickle.dumps(jit.forward)) is jit.forward and jit.forward.__name__ == "forward"
