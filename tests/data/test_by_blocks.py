"""Fits of samples that are read by blocks: the bits of fits in memory, in the order that the plain twin writes."""

import tracemalloc

import numpy as np
import pytest
from helpers import few
from naive import blocks as naive

import fastbp
from fastbp import Adam, Network, Regularization, data, schedules
from fastbp.core.streamed import Streamed
from fastbp.data.order import Order, blocks
from fastbp.data.source import source

N = few(1000, 90)
SIZES = few((5, 12, 2), (3, 4, 2))


class Dataset:
    """What h5py and zarr look like."""

    def __init__(self, array, chunks=None):
        self.array, self.chunks, self.shape, self.dtype = array, chunks, array.shape, array.dtype
        self.reads = []

    def __getitem__(self, rows):
        self.reads.append((rows.start, rows.stop))
        return self.array[rows]


@pytest.fixture
def samples(rng):
    X = rng.normal(size=(N, SIZES[0])).astype("float32")
    return X, np.sin(X[:, :2] + 1).astype("float32")


def budget(batch, groups, weighted=False):
    """Bytes for groups of so many batches."""
    row = 4 * (SIZES[0] + SIZES[-1] + weighted)
    return batch * groups * (2 * row + 8) * 4 // 3 + 1


def order_of(net, X, Y, weights, memory, batch, seed):
    """How the fit that follows reads: where blocks begin, rows in a group, and its key."""
    streamed = Streamed(net._architecture, source(X, Y, weights), memory)
    assert not streamed.fits
    group = streamed.group(batch)
    order = streamed.in_order(group, 1)
    return order.starts.tolist(), group, int(Network(SIZES, seed=seed).generator.integers(2**63 - 1))


@pytest.mark.parametrize("case", ["plain", "chunks", "online", "weights", "regularized", "schedule", "three threads"])
def test_bits_are_those_of_memory_in_the_order_of_the_twin(case, samples, rng):
    X, Y = samples
    batch = 1 if case == "online" else 8
    settings = {"batch_size": batch, "epochs": 2}
    if case == "weights":
        settings["sample_weight"] = rng.uniform(0, 2, N).astype("float32").round()
    if case == "regularized":
        settings["regularization"] = Regularization(l2=1e-3, max_norm=2, clip_norm=1)
    if case == "schedule":
        settings["optimizer"] = Adam(schedules.OneCycle(0.02, per="update"))
    memory = budget(batch, few(30, 3) * 8 // batch, "sample_weight" in settings)
    given = Dataset(X, (7, SIZES[0])) if case == "chunks" else X
    net = Network(SIZES, seed=4)
    starts, group, key = order_of(net, given, Y, settings.get("sample_weight"), memory, batch, 4)
    assert group % batch == 0 and 3 <= -(-N // group) and len(starts) > few(30, 12)
    if case == "chunks":
        assert all(start % 7 == 0 for start in starts[:-1])
    epochs = iter([naive.epoch_order(starts, group, key, epoch) for epoch in range(2)])

    def shuffle(order):
        order[:] = next(epochs)

    expected = Network(SIZES, seed=4).fit(X, Y, shuffle=shuffle, **settings)
    threads = 3 if case == "three threads" else 1
    net.fit(given, Y, memory=memory, threads=threads, **settings)
    assert net.parameters.tobytes() == expected.parameters.tobytes()
    np.testing.assert_allclose(net.history.cost, expected.history.cost, rtol=1e-12)


@pytest.mark.parametrize("cost, of_targets", [("squared_error", None), ("binary_cross_entropy", 1),
                                              ("squared_error", 2), ("cross_entropy", 1), ("one output", 2)])
def test_missing_targets_and_weights_of_single_ones_are_as_in_memory(cost, of_targets, rng):
    """Also where an epoch has many groups, in their order; and pairs to validate with, cost and gradient."""
    n, wide = few(200, 70), 1 if cost == "one output" else 2
    cost = "squared_error" if cost == "one output" else cost
    sizes, X, Y = (*SIZES[:-1], wide), rng.normal(size=(n, SIZES[0])), rng.random((n, wide))
    if cost == "cross_entropy":
        Y = rng.integers(wide, size=n).astype(float)
    Y[rng.random(Y.shape) < 0.4] = np.nan
    Y[8:16] = np.nan  # a batch of which nothing is known
    weights = None if of_targets is None else rng.random(n) if of_targets == 1 else rng.random((n, wide))
    given = {"sample_weight": weights, "missing": "ignore"}
    memory, rows = budget(8, 3), slice(20, 60)
    streamed = Streamed(Network(sizes, cost=cost)._architecture, source(X, Y, weights), memory, missing="ignore")
    assert not streamed.fits and -(-n // streamed.group(8)) > 2
    for settings in ({"batch_size": 8}, {"optimizer": "lbfgs"}, {"batch_size": 1}):
        settings |= {**given, "epochs": 2, "shuffle": False, "validation": (X[rows], Y[rows])}
        one, other = Network(sizes, cost=cost, seed=4), Network(sizes, cost=cost, seed=4)
        one.fit(X, Y, memory=memory, **settings)
        other.fit(X, Y, **settings)
        if "batch_size" in settings:
            assert one.parameters.tobytes() == other.parameters.tobytes()
        np.testing.assert_allclose(one.parameters, other.parameters, atol=1e-6)
        np.testing.assert_allclose(one.history.cost, other.history.cost, rtol=1e-6)
        np.testing.assert_allclose(one.history.validation_cost, other.history.validation_cost, rtol=1e-6)
    for found, expected in zip(one.cost_and_gradient(X, Y, memory=memory, **given),
                               one.cost_and_gradient(X, Y, **given), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    at_once = [Network(sizes, cost=cost, seed=4).fit(X, Y, epochs=2, validation=0.2, **where, **given)
               for where in ({}, {"memory": "100MB"})]
    assert at_once[0].parameters.tobytes() == at_once[1].parameters.tobytes()
    stream = data.Stream(lambda: ((X[i : i + 30], Y[i : i + 30], *([] if weights is None else [weights[i : i + 30]]))
                                  for i in range(0, n, 30)))
    np.testing.assert_allclose(one.cost(stream, missing="ignore", memory=memory), one.cost(X, Y, **given), rtol=1e-6)


@pytest.mark.parametrize("change, wrong", [
    (lambda Y, w: (Y * np.nan, w), "no target counts"),
    (lambda Y, w: (Y, 0 * w), "no target counts"),
    (lambda Y, w: (np.where(np.arange(len(Y))[:, None] == 61, np.inf, Y), w), "Y holds inf in row 61"),
    (lambda Y, w: (Y, np.where(np.arange(len(Y))[:, None] == 61, -1, w)), "sample_weight holds -1 in row 61"),
    (lambda Y, w: (Y, w[:, :1]), r"sample_weight has shape \(70, 1\), expected \(70,\), .* or \(70, 2\)"),
])
def test_what_does_not_fit_of_targets_that_may_be_missing(change, wrong, rng):
    X, (Y, weights) = rng.normal(size=(70, SIZES[0])), change(np.ones((70, 2)), np.ones((70, 2)))
    net = Network(SIZES, seed=4)
    before = net.parameters.copy()
    with pytest.raises(ValueError, match=wrong):
        net.fit(X, Y, sample_weight=weights, missing="ignore", batch_size=8, memory=budget(8, 3))
    with pytest.raises(ValueError, match="compares all classes of a row"):
        Network(SIZES, cost="cross_entropy", seed=4).fit(X, np.where([True, False], np.nan, np.ones((70, 2))),
                                                         missing="ignore", batch_size=8, memory=budget(8, 3))
    assert net.parameters.tobytes() == before.tobytes() and len(net.history) == 0


def test_without_shuffle_and_in_one_group_the_bits_are_those_of_memory(samples):
    X, Y = samples
    memory = budget(8, 3)
    for settings in ({"shuffle": False, "memory": memory}, {"memory": "100MB"}, {"memory": 100_000_000}):
        net = Network(SIZES, seed=1).fit(X, Y, epochs=2, batch_size=8, **settings)
        settings.pop("memory")
        expected = Network(SIZES, seed=1).fit(X, Y, epochs=2, batch_size=8, **settings)
        assert net.parameters.tobytes() == expected.parameters.tobytes()
        np.testing.assert_allclose(net.history.cost, expected.history.cost, rtol=0 if not settings else 1e-12)


def test_one_group_is_the_shuffle_of_memory(samples):
    """Also where it is read anew in each epoch."""
    X, Y = samples
    starts = blocks(N, 10, 1)
    order = Order(starts, N, 12345)
    assert order.count == 1 and [group.rows for group in order.groups(3)] == [N]
    assert [row for piece in order.groups(3)[0].pieces for row in range(*piece)] == list(range(N))
    streamed = Streamed(Network(SIZES)._architecture, source(X, Y, None), "100MB")
    assert streamed.fits and len(streamed.load()) == N


def test_each_row_comes_once_an_epoch_and_no_block_is_cut_but_at_groups():
    starts = blocks(1003, 10, np.array([0, 4, 30, 31, 32, 39, 500, 1003]))
    assert starts.tolist() == [0, 4, 30, 39, 500, 1003]  # as many units as fit into 10 rows, or one
    assert blocks(25, 10, 4).tolist() == [0, 8, 16, 24, 25]
    order = Order(starts, 64, 7)
    for epoch in (0, 1):
        groups = order.groups(epoch)
        assert [group.rows for group in groups[:-1]] == [64] * (len(groups) - 1) and len(groups) == order.count
        rows = [row for group in groups for piece in group.pieces for row in range(*piece)]
        assert sorted(rows) == list(range(1003))
    assert order.groups(0)[0].pieces != order.groups(1)[0].pieces


def test_resuming_and_early_stopping_are_as_in_memory(samples, tmp_path):
    X, Y = samples
    memory = budget(8, few(30, 3))
    whole = Network(SIZES, seed=2).fit(X, Y, epochs=4, batch_size=8, memory=memory)
    half = Network(SIZES, seed=2).fit(X, Y, epochs=2, batch_size=8, memory=memory,
                                      callbacks=[fastbp.Checkpoint(tmp_path / "net")])
    half = Network.load(tmp_path / "net")
    half.fit(X, Y, epochs=2, batch_size=8, memory=memory, resume=True)
    assert half.parameters.tobytes() == whole.parameters.tobytes()
    assert np.array_equal(half.history.cost, whole.history.cost)
    best = []
    stopped = Network(SIZES, seed=2).fit(
        X, Y, epochs=50, batch_size=8, memory=memory, validation=(X[:40], -Y[:40]), metrics=["mse"],
        callbacks=[fastbp.EarlyStopping(1), lambda record: best.append(record.network.parameters.copy())])
    assert len(stopped.history) < 50 and list(stopped.history.metrics) == ["mse"]
    least = int(np.argmin(stopped.history.validation_cost))
    assert stopped.parameters.tobytes() == best[least].tobytes()


def test_validation_by_blocks_costs_what_it_does_in_memory(samples):
    X, Y = samples
    memory, kept = budget(8, few(30, 3)), N // 4
    seen = []
    net = Network(SIZES, seed=2).fit(X, Y, epochs=1, batch_size=8, memory=memory, validation=0.25,
                                     callbacks=[lambda record: seen.append(record.gradient_norm())])
    expected = net.cost(X[-kept:], Y[-kept:])
    assert net.history.validation_cost[0] == pytest.approx(expected, rel=1e-6)
    assert seen[0] == pytest.approx(np.linalg.norm(net.gradient(X[:-kept], Y[:-kept])), rel=1e-5)
    net.fit(X, Y, epochs=1, batch_size=8, memory=memory, validation=(Dataset(X), Dataset(Y)))
    assert net.history.validation_cost[0] == pytest.approx(net.cost(X, Y), rel=1e-6)


def test_codes_for_encoders_are_read_and_looked_at(rng):
    encoders = [fastbp.encoders.Identity([0]), fastbp.encoders.Embedding(1, categories=5, size=2)]
    X = np.column_stack([rng.normal(size=N), rng.integers(-1, 5, N)])
    X[3, 1], Y = np.nan, rng.normal(size=N)

    def fitted(**settings):
        net = Network((2, 4, 1), encoders=encoders, seed=1)
        return net.fit(X, Y, epochs=1, batch_size=8, shuffle=False, **settings)

    assert fitted(memory=8 * 3 * 32 * 4 // 3 + 1).parameters.tobytes() == fitted().parameters.tobytes()
    net = fitted()
    assert np.array_equal(net.predict(data.rows(X)), net.predict(X))
    X[N - 2, 1] = 2.5
    for call in (lambda: fitted(memory=1200), lambda: net.predict(data.rows(X)), lambda: net.cost(X, Y, memory=1200)):
        with pytest.raises(ValueError, match=f"X holds 2.5 in row {N - 2} of column 1, whose encoder reads codes"):
            call()


@pytest.mark.skipif(few(False, True), reason="there is no clock in plain Python")
def test_a_profile_counts_the_samples_of_all_groups(samples):
    net = Network(SIZES, seed=1).fit(*samples, epochs=3, batch_size=8, memory=budget(8, 30), profile=True)
    assert net.history.profile.samples == 3 * N


@pytest.mark.parametrize("labels", [True, False], ids=["class indices", "one-hot"])
def test_cost_gradient_and_outputs_by_blocks(labels, rng):
    X, classes = rng.normal(size=(N, 4)), rng.integers(0, 3, N)
    Y, w = classes if labels else np.eye(3)[classes], rng.uniform(0, 1, N).round()
    net = Network((4, 6, 3), cost="cross_entropy", dtype="float64", seed=1)
    regularization = Regularization(l2=0.1, label_smoothing=0.1)
    given = {"sample_weight": w, "regularization": regularization}
    cost, gradient = net.cost_and_gradient(X, Y, **given)
    found, sums = net.cost_and_gradient(data.rows(X), Y, memory=9000, **given)
    assert found == pytest.approx(cost, rel=1e-13)
    np.testing.assert_allclose(sums, gradient, rtol=1e-9, atol=1e-13)
    assert net.cost(X, Y, memory=9000) == pytest.approx(net.cost(X, Y), rel=1e-13)
    np.testing.assert_allclose(net.gradient(X, Y, memory=9000), net.gradient(X, Y), rtol=1e-9, atol=1e-13)
    out = np.empty((N, 3))
    assert net.predict(data.rows(X), out) is out
    assert np.array_equal(out, net.predict(X))


def test_many_fits_have_the_bits_of_their_own_on_sources_that_are_loaded(samples, rng):
    X, Y = samples
    X, w, some = X.astype("float64"), rng.uniform(0, 2, N), [rng.integers(0, N, 30) for _ in range(3)]

    def trained(X, Y=None, sample_weight=None, **settings):
        nets = [Network(SIZES, seed=i, dtype=kind) for i, kind in enumerate(("float32", "float64", "float32"))]
        fastbp.fit_many(nets, X, Y, sample_weight=sample_weight, rows=some, epochs=2, **settings)
        return [net.parameters.tobytes() for net in nets]

    expected = trained(X, Y, w)
    blocks = data.Stream(lambda: ((X[i : i + 70], Y[i : i + 70], w[i : i + 70]) for i in range(0, N, 70)))
    assert trained(data.rows(X), data.rows(Y), data.rows(w)) == trained(data.rows(X), Y, w) == expected
    assert trained(blocks) == trained(Dataset(X), Dataset(Y), Dataset(w), memory="1MB") == expected
    assert trained([X, X, X], Y, w, memory="1MB") == expected  # one for each, as ever


def test_many_fits_of_a_stream_do_not_take_the_dtype_of_its_first_block_for_that_of_all(rng):
    X, Y = np.round(3 * rng.normal(size=(40, SIZES[0]))), np.ones((40, 2))
    X[20:] += 0.5
    Y[30:] = np.nan
    stream = data.Stream(lambda: [(X[:20].astype("int32"), Y[:20].astype(bool)), (X[20:], Y[20:])])
    many, one = Network(SIZES, seed=0), Network(SIZES, seed=0).fit(X, Y, epochs=1, missing="ignore")
    fastbp.fit_many([many], stream, epochs=1, missing="ignore")
    assert np.array_equal(many.parameters, one.parameters)


METHODS = ["lbfgs", "conjugategradient", "scaledconjugategradient", "rprop", "levenbergmarquardt",
           "bayesianregularization"]


@pytest.mark.parametrize("method", METHODS)
def test_full_batch_methods_take_the_steps_of_memory(method, samples, rng):
    X, Y = samples[0].astype("float64")[: N // 3], samples[1].astype("float64")[: N // 3]
    given = {"optimizer": method, "epochs": few(6, 2), "sample_weight": rng.uniform(0, 2, len(X)).round(),
             "callbacks": [lambda record: None]}  # so that each epoch's diagnostics are its own
    if method not in ("bayesianregularization", "rprop"):
        given["regularization"] = Regularization(l2=1e-3)
    expected = Network(SIZES, dtype="float64", seed=3).fit(X, Y, **given)
    net = Network(SIZES, dtype="float64", seed=3).fit(X, Y, memory=4000, **given)
    np.testing.assert_allclose(net.history.cost, expected.history.cost, rtol=1e-7)
    np.testing.assert_allclose(net.parameters, expected.parameters, rtol=1e-5, atol=1e-7)
    for name, values in expected.history.diagnostics.items():
        np.testing.assert_allclose(net.history.diagnostics[name], values, rtol=1e-5)


@pytest.mark.skipif(few(False, True), reason="learns for seconds in plain Python")
def test_rows_sorted_by_class_are_learned_as_shuffled_ones(rng):
    """And those of a plain buffer, which goes through the rows as they come, are not."""
    n, classes = 4000, 8
    Y = np.sort(rng.integers(0, classes, n))
    X = (rng.normal(size=(classes, 6))[Y] + 0.5 * rng.normal(size=(n, 6))).astype("float32")
    row = 2 * 4 * 7 + 8
    memory = n // 20 * row * 4 // 3  # a twentieth of the rows is in a group

    def accuracy(X, Y, **settings):
        net = Network((6, 16, classes), cost="cross_entropy", seed=5)
        net.fit(X, Y, epochs=2, batch_size=16, optimizer=Adam(0.02), **settings)
        return float((net.predict(rows).argmax(axis=1) == wanted).mean())

    rows, wanted = X, Y
    full, by_blocks = accuracy(X, Y), accuracy(X, Y, memory=memory)
    buffered = accuracy(data.Stream(lambda: ((X[i : i + 50], Y[i : i + 50]) for i in range(0, n, 50)), n), None,
                        memory=memory)
    assert full > 0.8 and by_blocks > full - 0.03
    assert buffered < full - 0.3


@pytest.mark.skipif(few(False, True), reason="allocations are those of plain Python")
def test_memory_is_bounded(tmp_path, rng):
    np.save(tmp_path / "X.npy", rng.normal(size=(50_000, 100)).astype("float32"))
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    Y = rng.normal(size=(50_000, 1)).astype("float32")
    net = Network((100, 4, 1), seed=0)
    settings = {"batch_size": 256, "epochs": 1, "memory": "4MB"}

    def fit():
        net.fit(X, Y, **settings)
        for method in ("lbfgs", "rprop"):
            net.fit(X, Y, epochs=1, optimizer=method, memory="4MB")

    net.predict(data.rows(X))
    fit()  # compiles, and leaves workspaces in the pool
    tracemalloc.start()
    try:
        fit()
        fits = tracemalloc.get_traced_memory()[1]
        net.predict(data.rows(X))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert fits < 4e6
    assert peak < 10e6  # two buffers of 4 MB; the rows have 20 MB


def test_what_does_not_go_with_blocks_is_refused_at_once(samples):
    X, Y = samples
    net = Network(SIZES, seed=1)
    before = net.parameters.copy()
    memory = budget(8, 3)
    for settings, message in (
            ({"shuffle": lambda order: None}, "shuffle is a function"),
            ({"target_jacobian": np.zeros((N, 2, SIZES[0] + 1))}, "target_jacobian has"),
            ({"batch_size": N}, "give at least"),
            ({"memory": 100}, "give at least"),
            ({"memory": "much"}, "memory is 'much'"),
            ({"memory": -3}, "memory is -3"),
            ({"check_finite": 3}, "check_finite is 3")):
        with pytest.raises((ValueError, TypeError), match=message):
            net.fit(X, Y, epochs=1, **{"memory": memory} | settings)
    with pytest.raises(ValueError, match="check_finite is False, but"):
        net.fit(X, Y, check_finite=False)
    with pytest.raises(TypeError, match="Y is missing"):
        net.fit(X, memory=memory)
    with pytest.raises(ValueError, match="Y is None: there are no targets"):
        net.fit(X)
    with pytest.raises(TypeError, match="X is read by blocks"):
        net.hessian_diagonal(data.rows(X), Y)
    for given in ((data.rows(X), Y), (data.Stream(lambda: [(X, Y)]), None), (Dataset(X), Y)):
        with pytest.raises(ValueError, match="memory is 900 bytes, .* give at least"):
            fastbp.fit_many([net], *given, memory=900)
    with pytest.raises(TypeError, match="leave Y and sample_weight out"):
        fastbp.fit_many([net], data.Stream(lambda: [(X, Y)]), Y)
    with pytest.raises(ValueError, match="Y has shape"):
        fastbp.fit_many([net], data.rows(X), data.rows(Y[:-1]))
    with pytest.raises(ValueError, match="X has shape"):
        net.fit(data.rows(X[:, :1]), Y)
    with pytest.raises(ValueError, match="Y has shape"):
        net.fit(data.rows(X), np.zeros((N, 7)))
    with pytest.raises(ValueError, match="expected as many rows"):
        net.fit(data.rows(X), Y[:-1])
    assert net.parameters.tobytes() == before.tobytes() and not len(net.history)
