"""Networks that are copied, pickled, mapped or taken apart: each owns what kernels write to, and stays what it is."""

import copy
import inspect
import pickle

import numpy as np
import pytest
from helpers import few

from fastbp import EarlyStopping, History, Network
from fastbp.initializers import Constant
from fastbp.optimizers import OPTIMIZERS

X = np.random.default_rng(3).normal(size=(30, 3))
Y = np.stack([X[:, 0] * X[:, 1], X.sum(axis=1)], axis=1)


def trained(optimizer, dtype="float32", **settings):
    """A network with all that a fit leaves behind."""
    net = Network((3, 4, 2), init=[(np.full((4, 3), 0.1) + np.eye(4, 3), np.zeros(4)), Constant(0.2)], seed=0,
                  dtype=dtype)
    return net.fit(X, Y, epochs=2, optimizer=optimizer, callbacks=[EarlyStopping(patience=50)], **settings)


def go_on(net):
    return net.fit(X, Y, epochs=2, resume=True, callbacks=[EarlyStopping(patience=50)])


def arrays(thing, found=None):
    """Every array that can be reached from a network."""
    found = {} if found is None else found
    if isinstance(thing, np.ndarray):
        found[id(thing)] = thing
    elif isinstance(thing, (list, tuple)):
        for part in thing:
            arrays(part, found)
    elif hasattr(thing, "__dict__") and type(thing).__module__.startswith("fastbp"):
        for part in vars(thing).values():
            arrays(part, found)
    return list(found.values())


def outside(thing):
    """A pickle of protocol 5 and its buffers, as Dask, Ray and loky send them: immutable here."""
    buffers = []
    data = pickle.dumps(thing, protocol=5, buffer_callback=buffers.append)
    return data, [bytes(buffer.raw()) for buffer in buffers]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_comes_in_buffers_is_not_written_to(optimizer):
    net = trained(optimizer)
    posterior = net.posterior(X, Y)
    data, buffers = outside((net, posterior))
    assert sum(map(len, buffers)) >= net.parameters.nbytes
    before = [bytes(bytearray(buffer)) for buffer in buffers]
    first, second = (pickle.loads(data, buffers=buffers) for _ in range(2))
    for array in arrays(first):
        assert not any(np.may_share_memory(array, np.frombuffer(buffer, np.uint8)) for buffer in buffers if buffer)
    np.testing.assert_array_equal(first[1].predict_interval(X), posterior.predict_interval(X))
    first, second = first[0], second[0]
    for same in (net, first, second):
        go_on(same)
        assert buffers == before
        np.testing.assert_array_equal(same.history.cost, net.history.cost)
        np.testing.assert_array_equal(same.parameters, net.parameters)
    first.reset(5)
    assert buffers == before


def test_mapped_models_train(tmp_path, run_python):
    """What joblib maps is read-only, in the process that loads it and in loky's workers: the kernels crashed there."""
    pytest.importorskip("joblib", reason="comes with scikit-learn, in the test extra")
    script = f"""
import joblib, numpy as np
from fastbp import EarlyStopping, Network
X = np.random.default_rng(0).normal(size=(30, 3)).astype("f")
Y = X[:, :2] * X[:, 1:]
path = {str(tmp_path / "net")!r}
def more(net):
    return net.fit(X, Y, epochs=3, resume=True, callbacks=[EarlyStopping(patience=50)]).parameters.copy()
for optimizer in {few(["adam", "lbfgs", "bayesianregularization"], ["adam"])}:
    net = Network((3, 5, 2), seed=0).fit(X, Y, epochs=3, optimizer=optimizer, callbacks=[EarlyStopping(patience=50)])
    joblib.dump(net, path)
    file = open(path, "rb").read()
    mapped = [joblib.load(path, mmap_mode=mode) for mode in ("r", "r+", "c")]
    found = [more(net) for net in mapped] + joblib.Parallel(2, max_nbytes=16)([joblib.delayed(more)(net)] * 2)
    expected = more(net)
    assert all((one == expected).all() for one in found) and open(path, "rb").read() == file, optimizer
    del mapped
print("done")
"""
    assert "done" in run_python(script)


def test_mapped_estimators_learn_on(tmp_path, run_python):
    pytest.importorskip("sklearn", reason="in the test extra")
    script = f"""
import copy, joblib, numpy as np, pickle
from fastbp import MLPClassifier, MLPRegressor
X = np.random.default_rng(0).normal(size=(60, 3))
for kind, y in ((MLPClassifier, (X[:, 0] > 0) + (X[:, 1] > 0)), (MLPRegressor, X[:, 0])):
    classes = dict(classes=range(3)) if kind is MLPClassifier else dict()
    mlp = kind(hidden_layer_sizes=(5,), random_state=0).partial_fit(X, y, **classes)
    path = {str(tmp_path / "mlp")!r}
    joblib.dump(mlp, path)
    buffers = []
    data = pickle.dumps(mlp, protocol=5, buffer_callback=buffers.append)
    raw = [bytes(buffer.raw()) for buffer in buffers]
    before = [bytes(bytearray(part)) for part in raw]
    others = [joblib.load(path, mmap_mode="r"), pickle.loads(data, buffers=raw), copy.deepcopy(mlp), copy.copy(mlp)]
    for other in others[:3]:
        other.partial_fit(X, y).partial_fit(X, y)
    assert raw == before
    mlp.partial_fit(X, y).partial_fit(X, y)
    for other in others[:3]:
        assert all((one == two).all() for one, two in zip(mlp.coefs_, other.coefs_))
print("done")
"""
    assert "done" in run_python(script)


@pytest.mark.parametrize("change", [
    lambda state: state.update(_parameters=state["_parameters"][:-1]),
    lambda state: state.update(_parameters=state["_parameters"][:1]),
    lambda state: state.update(_parameters=state["_parameters"].astype("d")),
    lambda state: state.update(_parameters=[1.0]),
    lambda state: setattr(state["_progress"], "state", state["_progress"].state[:-1]),
    lambda state: setattr(state["_progress"], "state", state["_progress"].state.astype("d")),
    lambda state: setattr(state["_progress"], "hyper", state["_progress"].hyper[:3]),
    lambda state: setattr(state["_progress"].stopping[0], "parameters", np.zeros(3, "f")),
])
def test_a_pickle_whose_arrays_do_not_fit(change):
    net = trained("adam")
    state = copy.deepcopy(net).__getstate__()
    change(state)
    with pytest.raises(ValueError, match="this pickle is corrupt: .* is .*, expected"):
        Network.__new__(Network).__setstate__(state)


def test_the_sizes_of_a_pickle_are_those_of_its_layers():
    net = trained("adam")
    state = net.copy().__getstate__() | {"n_parameters": 10**9, "_weights": [10**9, 0], "_biases": [-7, 0]}
    again = Network.__new__(Network)
    again.__setstate__(state)
    assert again.n_parameters == net.n_parameters
    np.testing.assert_array_equal(again.predict(X), net.predict(X))


def test_arrays_of_another_byte_order_are_taken():
    net = trained("adam")
    state = net.copy().__getstate__()
    state["_parameters"] = state["_parameters"].astype(">f4")
    state["_progress"].state = state["_progress"].state.astype(">f4")
    again = Network.__new__(Network)
    again.__setstate__(state)
    assert again._progress.state.dtype.isnative
    np.testing.assert_array_equal(go_on(again).parameters, go_on(net).parameters)


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, Network.copy, lambda net: pickle.loads(pickle.dumps(net))],
                         ids=["copy.copy", "copy.deepcopy", "copy", "pickle"])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_every_copy_is_independent(make, optimizer):
    net = trained(optimizer)
    net.note = ["mine"]
    twin, whole = make(net), go_on(trained(optimizer))
    own = [array for array in arrays(net) if array.size]
    assert not any(np.may_share_memory(one, two) for one in own for two in arrays(twin))
    go_on(net).fit(X, Y, epochs=1)
    assert len(twin.history) == 2 and twin.note == ["mine"] and twin.note is not net.note
    np.testing.assert_array_equal(go_on(twin).parameters, whole.parameters)
    assert twin.generator.bit_generator.state == whole.generator.bit_generator.state


FIXED = {"layers": (3, 9, 2), "dtype": "float64", "activations": ("relu", "relu"), "cost_function": "poisson",
         "n_parameters": 5, "bias": False, "init": "zeros", "seed": 1, "weights": (), "biases": (), "alphas": (),
         "encoders": (), "scaling": True, "encoded_size": 4, "encoder_parameters": (), "scaling_factors": ()}


@pytest.mark.parametrize("name", FIXED)
def test_what_is_fixed_cannot_be_assigned(name):
    net = trained("adam")
    before, value = net.predict(X), getattr(net, name)
    for change in (lambda: setattr(net, name, FIXED[name]), lambda: setattr(net, name, value),
                   lambda: delattr(net, name)):
        with pytest.raises(AttributeError, match=f"{name} of a Network is fixed when it is built: "):
            change()
    assert getattr(net, name) is value or name in ("biases", "alphas", "scaling_factors")
    np.testing.assert_array_equal(net.predict(X), before)
    with pytest.raises(AttributeError, match="build a new Network"):
        net.layers = (2, 1)


def test_every_public_attribute_is_fixed_or_takes_effect():
    """None may be assigned that does nothing: those that are not fixed are named here, and tested below."""
    net = trained("adam")
    public = {name for name in vars(net) if not name.startswith("_")}
    public |= {name for name, _ in inspect.getmembers(Network, lambda member: isinstance(member, property))
               if not name.startswith("_")}
    assert public - FIXED.keys() == {"history", "generator", "parameters", "flat"}


def test_what_may_change_takes_effect():
    net, twin = trained("adam"), trained("adam")
    net.generator = np.random.default_rng(77)
    twin.generator = np.random.default_rng(77)
    np.testing.assert_array_equal(net.fit(X, Y, epochs=2, batch_size=4).parameters,
                                  twin.fit(X, Y, epochs=2, batch_size=4).parameters)
    net.history = history = History([(1, 2.0, 3.0, 0.1)])
    assert net.history is history
    for name, kind in (("history", "History"), ("generator", "Generator")):
        with pytest.raises(TypeError, match=f"{name} is 3, expected a {kind}"):
            setattr(net, name, 3)
        with pytest.raises(AttributeError, match=name):
            delattr(net, name)
    for flat in (True, False):
        one = Network((3, 1), seed=0)
        one.flat = flat
        assert one.predict(X).ndim == 2 - flat
    net.note = 3
    del net.note
    assert not hasattr(net, "note")


def test_what_is_done_to_the_buffers_form_is_not_done_to_the_kernels(run_python):
    """As ``p.shape = ...`` of the array that kernels were given crashed the process."""
    script = """
import warnings
import numpy as np
from fastbp import Network
warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(20, 3)).astype("f")
Y = X[:, :2].copy()
def uses(net):
    yield from (net.predict(X), net.predict(X[0]), net.jacobian(X), net.gradient(X, Y), *net.trace(X, Y).net)
    for more in (dict(), dict(batch_size=1), dict(optimizer="lbfgs"), dict(optimizer="rprop"), dict(resume=True)):
        yield net.fit(X, Y, epochs=2, **more).predict(X)
    yield net.copy().predict(X)
for change in (dict(shape=(2, -1)), dict(dtype=np.float64), dict(dtype=np.uint8), dict(shape=(-1, 1))):
    nets = [Network((3, 5, 2), seed=0) for _ in range(2)]
    p = nets[0].parameters
    for name, value in change.items():
        setattr(p, name, value)
    for one, two in zip(*map(uses, nets), strict=True):
        assert (one == two).all(), change
print("done")
"""
    assert "done" in run_python(script)


def test_a_network_that_is_read_only_does_not_train():
    net = trained("adam")
    net.parameters.flags.writeable = False
    before, drawn = net.parameters.copy(), net.generator.bit_generator.state
    for change in (lambda: net.fit(X, Y), lambda: net.fit(X, Y, batch_size=1), lambda: net.reset(3),
                   lambda: net.fit(X, Y, optimizer="lbfgs"), lambda: setattr(net, "parameters", before)):
        with pytest.raises(ValueError, match="parameters is read-only.*copy()"):
            change()
    assert (net.parameters == before).all() and net.generator.bit_generator.state == drawn and net.seed == 0
    assert len(net.history) == 2
    assert not (net.copy().fit(X, Y, epochs=1).parameters == before).all()
    net.parameters.flags.writeable = True
    go_on(net)


def test_a_model_outlives_the_file_that_it_was_mapped_from(tmp_path, run_python):
    pytest.importorskip("joblib", reason="comes with scikit-learn, in the test extra")
    script = f"""
import joblib, os, numpy as np
from fastbp import EarlyStopping, Network
X = np.random.default_rng(0).normal(size=(30, 3)).astype("f")
net = Network((3, 2), init=[np.ones((2, 3))], seed=0).fit(X, X[:, :2], epochs=2, callbacks=[EarlyStopping(50)])
path = {str(tmp_path / "net")!r}
joblib.dump(net, path)
again = joblib.load(path, mmap_mode="r")
os.truncate(path, 0)  # what is still mapped ends the process
for same in (again, net):
    same.fit(X, X[:, :2], epochs=2, resume=True, callbacks=[EarlyStopping(50)])
assert (again.parameters == net.parameters).all() and (again.reset(3).parameters == net.reset(3).parameters).all()
print("done")
"""
    assert "done" in run_python(script)
