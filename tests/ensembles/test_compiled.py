"""An ensemble inside a user's compiled code."""

import copy
import itertools
import pickle

import numba
import numpy as np
import pytest
from helpers import ACTIVATIONS, DTYPES, few, network

import fastbp
from fastbp import Ensemble, jit
from fastbp.kernels import layout
from fastbp.kernels.compile import JIT


@numba.njit(nogil=True)
def run(model, X, means, stds, work):
    fits = True
    for i in range(len(X)):
        fits = jit.forward_ensemble(model, X[i], means[i], stds[i], work) and fits
    return fits


@numba.njit(parallel=True)
def run_parallel(model, X, means, stds):
    for part in numba.prange(4):
        work = jit.ensemble_workspace(model)
        for i in range(part, len(X), 4):
            jit.forward_ensemble(model, X[i], means[i], stds[i], work)


def regression(dtype="float64", count=6):
    """Networks of several sizes, some of them alike."""
    sizes = [(3, 5, 2), (3, 2), (3, 17, 6, 2)]
    return [network(sizes[i % 3], ("tanh", "relu")[i % 2], seed=i, bias=i % 4 != 3, dtype=dtype) for i in range(count)]


def classes(dtype="float64"):
    return [network((3, 5, 4), cost="cross_entropy", seed=i, dtype=dtype) for i in range(5)]


def agrees(ensemble, X, targets):
    """Assert that each row's mean and spread are those that Python computes, and that nothing else is written."""
    model, guard = ensemble.compiled(), 32
    room = jit.ensemble_workspace(model).size
    held = np.full(room + 2 * guard, 7, X.dtype)
    work = held[guard : guard + room]
    means, stds = np.full((2, len(X) + 2, targets), 7, X.dtype)
    before = X.copy()
    assert run(model, X, means[1:-1], stds[1:-1], work)
    tolerance = dict(rtol=1e-5, atol=1e-6) if X.dtype == np.float32 else dict(rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(means[1:-1], ensemble.predict(X), **tolerance)
    np.testing.assert_allclose(stds[1:-1], ensemble.std(X), **tolerance)
    np.testing.assert_array_equal(X, before)
    for array in (means[[0, -1]], stds[[0, -1]], held[:guard], held[-guard:]):
        assert (array == 7).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("make", "targets"), [(regression, 2), (classes, 4)])
def test_each_row_has_the_mean_and_spread_of_the_ensemble(make, targets, dtype, rng):
    agrees(Ensemble(make(dtype)), rng.normal(size=(few(20, 4), 3)).astype(dtype), targets)


@pytest.mark.parametrize("sizes", [(1, 1), (70, 33, 4), (3, 9, 1, 17, 6), (2, 200, 2)], ids=str)
def test_every_depth(sizes, rng):
    agrees(Ensemble([network(sizes, seed=seed) for seed in range(3)] + [network((sizes[0], 4, sizes[-1]))]),
           rng.normal(size=(few(10, 2), sizes[0])).astype("float32"), sizes[-1])


def test_every_activation(rng):
    networks = [network((2, 5, 3), name, seed=i, dtype="float64") for i, name in enumerate(ACTIVATIONS)]
    agrees(Ensemble(networks), 0.5 * rng.normal(size=(few(10, 2), 2)), 3)


def test_a_mixture(rng):
    for dtype in DTYPES:
        agrees(Ensemble([network((3, 5, 4), cost="gaussian_nll", seed=i, dtype=dtype) for i in range(4)]),
               rng.normal(size=(5, 3)).astype(dtype), 2)


def test_one_network_has_no_spread(rng):
    ensemble, X = Ensemble(regression()[:1]), rng.normal(size=(3, 3))
    agrees(ensemble, X, 2)
    stds = np.ones((3, 2))
    model = ensemble.compiled()
    run(model, X, np.empty((3, 2)), stds, jit.ensemble_workspace(model))
    assert not stds.any()


def test_results_may_overwrite_the_input(rng):
    ensemble = Ensemble([network((2, 4, 2), seed=i, dtype="float64") for i in range(3)])
    model, x = ensemble.compiled(), rng.normal(size=2)
    expected, std = ensemble.predict(x), np.empty(2)
    assert run(model, x[None], x[None], std[None], jit.ensemble_workspace(model))
    np.testing.assert_allclose(x, expected, rtol=1e-12)


def test_in_parallel_with_a_workspace_for_each_thread(rng):
    ensemble, X = Ensemble(regression()), rng.normal(size=(few(200, 8), 3))
    means, stds = np.empty((2, len(X), 2))
    run_parallel(ensemble.compiled(), X, means, stds)
    np.testing.assert_allclose(means, ensemble.predict(X), rtol=1e-12, atol=1e-14)


def test_read_only_inputs_are_taken(rng):
    ensemble, X = Ensemble(regression()), rng.normal(size=(2, 3))
    X.flags.writeable = False
    agrees(ensemble, X, 2)


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_one_machine_code_for_any_number_of_networks(rng):
    @numba.njit
    def one(model, x, mean, std, work):
        return jit.forward_ensemble(model, x, mean, std, work)

    for count in (1, 2, 40):
        model = Ensemble(regression(count=count)).compiled()
        assert one(model, np.zeros(3), np.empty(2), np.empty(2), jit.ensemble_workspace(model))
    assert len(one.signatures) == 1


def test_networks_of_one_architecture_share_its_tables():
    """What a model takes is the parameters of its networks and a row each."""
    net = network((2, 8, 1))
    networks = [net, *(net.copy() for _ in range(9))]
    model = Ensemble(networks).compiled()
    assert len(model.members) == 10 and len(model.layers) == 2 and len(model.calls) == 1
    assert model.parameters.size == 10 * layout.strips(net.n_parameters, net.dtype) * layout.lanes(net.dtype)


def test_it_is_a_copy_of_the_present_parameters(rng):
    ensemble, x = Ensemble(regression()), rng.normal(size=(1, 3))
    model = ensemble.compiled()
    before, found = ensemble.predict(x), np.empty((1, 2))
    ensemble[0].parameters += 1
    run(model, x, found, np.empty((1, 2)), jit.ensemble_workspace(model))
    np.testing.assert_allclose(found, before, rtol=1e-12)
    agrees(ensemble, x, 2)


# ------------------------------------------------------------------------------------------------- what does not fit

@pytest.mark.parametrize(("name", "size"), [("x", 2), ("x", 4), ("mean", 1), ("mean", 3), ("std", 1), ("std", 3),
                                            ("work", -1), ("work", 0)])
def test_sizes_that_do_not_fit_write_nothing(name, size):
    model = Ensemble(regression()).compiled()
    room = jit.ensemble_workspace(model).size
    sizes = {"x": 3, "mean": 2, "std": 2, "work": room} | {name: room - 1 if size < 0 else size}
    arrays = {key: np.full(count, 7.0) for key, count in sizes.items()}
    assert not run(model, *(arrays[key][None] for key in ("x", "mean", "std")), arrays["work"])
    assert all((array == 7).all() for array in arrays.values())
    with pytest.raises(ValueError, match=f"{name} has"):
        jit.check(model, **arrays)
    if JIT:
        with pytest.raises(ValueError, match=f"{name} has"):
            jit.forward_ensemble(model, *arrays.values())
        assert all((array == 7).all() for array in arrays.values())


def test_arrays_that_do_not_belong_together_write_nothing():
    """Every mixture of the arrays of two models, whatever their sizes."""
    ensembles = [Ensemble(regression()), Ensemble(regression(count=5)), Ensemble(regression())]
    models = [ensemble.compiled() for ensemble in ensembles]
    names = [name for name in models[0]._fields if name not in ("none", "parameters")]
    x, mean, std = np.zeros((1, 3)), np.full((1, 2), 7.0), np.full((1, 2), 7.0)
    for one, other in itertools.permutations(models, 2):
        work = np.full(max(jit.ensemble_workspace(model).size for model in models), 7.0)
        for name in names:
            mixed = one._replace(**{name: getattr(other, name)})
            assert not run(mixed, x, mean, std, work) and not jit.ensemble_workspace(mixed).size
            with pytest.raises(ValueError, match="are of different models"):
                jit.check(mixed)
    fewer = models[0]._replace(parameters=models[0].parameters[:-1])
    assert not run(fewer, x, mean, std, work) and (mean == 7).all() and (std == 7).all() and (work == 7).all()
    with pytest.raises(ValueError, match="parameters of the model has shape"):
        jit.check(fewer)
    same = models[0]._replace(parameters=models[2].parameters)  # of the same sizes: other parameters
    assert run(same, x, mean, std, work)


@pytest.mark.parametrize("name", ["sizes", "members", "layers", "calls"])
def test_tables_of_other_shapes_write_nothing(name):
    model = Ensemble(regression()).compiled()
    table = getattr(model, name)
    for other in (table[:0], np.zeros((*table.shape[:-1], table.shape[-1] + 1), np.int64)):
        mixed = model._replace(**{name: other})
        assert not run(mixed, np.zeros((1, 3)), np.empty((1, 2)), np.empty((1, 2)), np.empty(10_000))
        with pytest.raises(ValueError, match="it is none of a model"):
            jit.check(mixed)


def test_kinds_that_do_not_fit_do_not_compile():
    model = Ensemble(regression()).compiled()
    x, mean, std, work = np.zeros((1, 3)), np.zeros((1, 2)), np.zeros((1, 2)), jit.ensemble_workspace(model)
    frozen = mean.copy()
    frozen.flags.writeable = False
    error = numba.TypingError if JIT else TypeError
    for wrong, message in [
        ((model, x.astype("f"), mean, std, work), "x is"),
        ((model, x, mean.astype("f"), std, work), "mean is"),
        ((model, x, mean, std.astype("f"), work), "std is"),
        ((model, x, frozen, std, work), "mean is"),
        ((model, x, mean, std, np.zeros(2 * work.size)[::2]), "work is"),
        ((model._replace(members=model.members.reshape(-1)), x, mean, std, work), "members of the ensemble's model is"),
        ((model._replace(parameters=model.parameters.astype("f")), x, mean, std, work), "parameters of the ensemble"),
    ]:
        with pytest.raises(error, match=f"fastbp.jit: {message}"):
            run(*wrong)


def test_check_explains():
    model = Ensemble(regression()).compiled()
    jit.check(model, x=np.zeros(3), mean=np.zeros(2), std=np.zeros(2), work=jit.ensemble_workspace(model))
    for error, message, arrays in [
        (TypeError, "no argument 'out' for an ensemble: x, mean, std, work", {"out": np.zeros(2)}),
        (TypeError, "dtype float32, expected an array of float64", {"x": np.zeros(3, "f")}),
        (TypeError, "type list", {"mean": [1, 2]}),
        (ValueError, r"std has shape \(3,\), expected \(2,\)", {"std": np.zeros(3)}),
        (ValueError, "use ensemble_workspace", {"work": np.zeros(3)}),
    ]:
        with pytest.raises(error, match=message):
            jit.check(model, **arrays)
    with pytest.raises(TypeError, match="sizes of the model has dtype int32"):
        jit.check(model._replace(sizes=model.sizes.astype(np.int32)))


def test_addresses_do_not_leave_the_process():
    model = Ensemble(regression()).compiled()
    with pytest.raises(TypeError, match=r"EnsembleModel holds addresses of this process and cannot be pickled"):
        pickle.dumps(model)
    assert copy.copy(model) is model
    twin = copy.deepcopy(model)
    assert type(twin) is jit.EnsembleModel and not np.shares_memory(twin.parameters, model.parameters)


def test_a_function_of_the_users_own(rng):
    fastbp.register_activation(lambda x: x / (1 + x * x), name="ensembles_bump")
    try:
        agrees(Ensemble([network((3, 4, 2), "ensembles_bump", dtype="float64")]), rng.normal(size=(3, 3)), 2)
    finally:
        del fastbp.activations.ACTIVATIONS["ensembles_bump"]
