"""Targets of ∂o/∂x that are read by blocks beside X and Y: the bits of memory, in the order of the twin."""

import numpy as np
import pytest
from helpers import compiled_only, few
from naive import blocks as naive

from fastbp import Adam, Network, Regularization, data, schedules
from fastbp.core.streamed import Streamed
from fastbp.data.source import source

N = few(300, 50)
SIZES = (3, 5, 2)
ROW = 4 * (3 + 2 + 6)
MEMORY = 16 * (2 * ROW + 8) * 4 // 3 + 1
"""Groups of two batches."""


class Dataset:
    """What h5py and zarr look like."""

    def __init__(self, array, chunks=None):
        self.array, self.chunks, self.shape, self.dtype = array, chunks, array.shape, array.dtype

    def __getitem__(self, rows):
        return self.array[rows]


@pytest.fixture
def samples(rng):
    X = rng.normal(size=(N, 3)).astype("float32")
    J = rng.normal(size=(N, 2, 3)).astype("float32")
    return X, np.sin(X[:, :2]).astype("float32"), J


@pytest.mark.parametrize("case", few(["plain", "weights", "regularized", "schedule", "two threads"], ["weights"]))
def test_bits_are_those_of_memory_in_the_order_of_the_twin(case, samples, rng):
    X, Y, J = samples
    settings = {"batch_size": 8, "epochs": 2, "jacobian_weight": 0.5}
    if case == "weights":
        settings["sample_weight"] = rng.uniform(0, 2, N).astype("float32").round()
    if case == "regularized":
        settings["regularization"] = Regularization(l2=1e-3, max_norm=2)
    if case == "schedule":
        settings["optimizer"] = Adam(schedules.OneCycle(0.02, per="update"))
    weights = settings.get("sample_weight")
    memory = MEMORY + (0 if weights is None else 16 * 8 * 4 // 3)
    streamed = Streamed(Network(SIZES)._architecture, source(X, Y, weights, J), memory)
    assert not streamed.fits and streamed.group(8) == 16
    starts, key = streamed.in_order(16, 1).starts.tolist(), int(Network(SIZES, seed=4).generator.integers(2**63 - 1))
    epochs = iter([naive.epoch_order(starts, 16, key, epoch) for epoch in range(2)])

    def shuffle(order):
        order[:] = next(epochs)

    expected = Network(SIZES, seed=4).fit(X, Y, target_jacobian=J, shuffle=shuffle, **settings)
    net = Network(SIZES, seed=4).fit(data.rows(X), Y, target_jacobian=J.reshape(N, 6), memory=memory,
                                     threads=2 if case == "two threads" else 1, **settings)
    assert net.parameters.tobytes() == expected.parameters.tobytes()
    np.testing.assert_allclose(net.history.cost, expected.history.cost, rtol=1e-12)


@compiled_only
def test_sources_of_any_kind_and_shape(samples, tmp_path):
    """Of (n, n_L, n_0), of rows, in lists and files; validation too, what fits, and full-batch methods."""
    X, Y, J = samples
    np.save(tmp_path / "J.npy", J)
    mapped = np.load(tmp_path / "J.npy", mmap_mode="r")
    given = {"epochs": 1, "batch_size": 8, "memory": MEMORY}
    flat = J.reshape(N, 6)
    whole = [Network(SIZES, seed=1).fit(X, Y, target_jacobian=each, validation=(X[:20], Y[:20], J[:20]), **given)
             for each in (J, mapped, Dataset(J), Dataset(flat), [J[:15], J[15:]], data.rows(flat))]
    assert len({net.parameters.tobytes() for net in whole}) == 1
    assert len({net.history.validation_cost.tobytes() for net in whole}) == 1
    sources = Network(SIZES, seed=1).fit(X, Y, target_jacobian=data.rows(flat), epochs=1, batch_size=8,
                                         validation=(data.rows(X), data.rows(Y), Dataset(J)))  # all is loaded
    expected = Network(SIZES, seed=1).fit(X, Y, target_jacobian=J, epochs=1, batch_size=8, validation=(X, Y, J))
    assert sources.parameters.tobytes() == expected.parameters.tobytes()
    assert sources.history.validation_cost[0] == expected.history.validation_cost[0]
    ends = [Network(SIZES, seed=1).fit(X, Y, target_jacobian=J, validation=0.2, **more)
            for more in ({"memory": MEMORY, "epochs": 2, "shuffle": False, "batch_size": 8},
                         {"epochs": 2, "shuffle": False, "batch_size": 8})]
    assert ends[0].parameters.tobytes() == ends[1].parameters.tobytes()
    np.testing.assert_allclose(ends[0].history.validation_cost, ends[1].history.validation_cost, rtol=1e-5)
    double = Network(SIZES, dtype="float64", seed=1)
    slopes = {"target_jacobian": J, "jacobian_weight": 2.0}
    for found, cost in zip(double.cost_and_gradient(X, Y, memory=3 * MEMORY, **slopes),
                           double.cost_and_gradient(X, Y, **slopes), strict=True):
        np.testing.assert_allclose(found, cost, rtol=1e-10, atol=1e-13)
    for method in ("lbfgs", "rprop"):
        nets = [double.copy().fit(X, Y, optimizer=method, epochs=3, **slopes, **more)
                for more in ({"memory": 3 * MEMORY}, {})]
        np.testing.assert_allclose(nets[0].parameters, nets[1].parameters, rtol=1e-6, atol=1e-9)


def test_what_does_not_fit_is_said_and_changes_nothing(samples):
    X, Y, J = samples
    net = Network(SIZES, seed=1)
    before, bad = net.parameters.copy(), J.copy()
    bad[41, 1, 2] = np.nan
    stream = data.Stream(lambda: [(X, Y)])
    for inputs, targets, settings, said in (
            (X, Y, {"target_jacobian": bad}, "target_jacobian holds nan in row 41"),
            (X, Y, {"target_jacobian": J[:-1]}, "target_jacobian has shape .* expected as many rows"),
            (X, Y, {"target_jacobian": J.swapaxes(1, 2).copy()}, "target_jacobian has shape .*3, 2.* expected .*2, 3"),
            (X, Y, {"target_jacobian": [Dataset(J.swapaxes(1, 2))]}, "target_jacobian has shape .* expected .*2, 3"),
            (X, Y, {"target_jacobian": data.rows(J[:, 0])}, "target_jacobian has 3 numbers a row, expected 2 · 3"),
            (X, Y, {"target_jacobian": J, "missing": "ignore"}, "leave out missing"),
            (X, Y, {"target_jacobian": J, "sample_weight": np.ones((N, 2))}, "one weight a sample"),
            (X, Y, {"target_jacobian": J, "jacobian_weight": np.ones((2, 3))}, "a jacobian_weight that is a number"),
            (X, Y, {"target_jacobian": J, "jacobian_weight": -1.0}, "jacobian_weight is"),
            (X, Y, {"target_jacobian": J, "optimizer": "lm", "batch_size": None}, "target_jacobian"),
            (X, None, {"target_jacobian": J}, "Y is missing.* slopes alone are learned of arrays in memory"),
            (stream, None, {"target_jacobian": J}, "target_jacobian is given, but X is a Stream")):
        with pytest.raises((ValueError, TypeError), match=said):
            net.fit(inputs, targets, **{"epochs": 1, "batch_size": 8, "memory": MEMORY} | settings)
    assert net.parameters.tobytes() == before.tobytes() and not net.history
