"""Sources of rows: whatever has .shape and [a:b], files, Parquet, streams; means and deviations in one pass."""

import importlib
import importlib.util
import pickle

import numpy as np
import pytest
from helpers import compiled_only, few
from naive import blocks as naive

from fastbp import Network, data
from fastbp.data.base import edges
from fastbp.data.files import FileRows


def read(rows, start=0, stop=None, dtype="float32"):
    stop = rows.shape[0] if stop is None else stop
    out = np.full((stop - start, *rows.shape[1:]), np.nan, dtype)
    rows.read_into(start, stop, out)
    return out


@pytest.fixture
def array(rng):
    return rng.integers(-50, 50, (40, 3)).astype("float64")


@pytest.mark.parametrize("kind", ["float64", "float32", ">f4", "int16", "uint8", "bool"])
def test_memory_maps_are_read_from_their_file(kind, array, tmp_path):
    np.save(tmp_path / "a.npy", np.abs(array).astype(kind))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    for view, expected in ((mapped, mapped), (mapped[7:], mapped[7:]), (mapped[7:30][2:], mapped[9:30])):
        rows = data.rows(view)
        assert isinstance(rows, FileRows) and rows.shape == expected.shape
        assert np.array_equal(read(rows, 3, 17), expected[3:17].astype("float32"))
    for view in (mapped[:, :2], mapped[::2]):  # whose rows do not lie together
        rows = data.rows(view)
        assert not isinstance(rows, FileRows)
        assert np.array_equal(read(rows, 3, 17), view[3:17].astype("float32"))
    assert np.array_equal(read(pickle.loads(pickle.dumps(data.rows(mapped)))), mapped.astype("float32"))


def test_a_map_with_changes_of_its_own_is_read_where_it_is(array, tmp_path):
    np.save(tmp_path / "a.npy", array)
    private = np.load(tmp_path / "a.npy", mmap_mode="c")
    private[5] = 1000
    assert np.array_equal(read(data.rows(private)), private)
    np.memmap(tmp_path / "b", np.float32, "w+", 64, (10, 3))[:] = 7
    raw = np.memmap(tmp_path / "b", np.float32, "r+", 64, (10, 3))
    rows = data.rows(raw)
    raw[4] = 9
    assert isinstance(rows, FileRows) and np.array_equal(read(rows), raw)


def test_npy_files_lie_one_behind_the_other(array, tmp_path):
    for i, (first, stop) in enumerate([(0, 0), (0, 11), (11, 12), (12, 40)]):
        np.save(tmp_path / f"part-{i}.npy", array[first:stop].astype(["f8", "f4", "i2", "f8"][i]))
    rows = data.npy(tmp_path)
    assert rows.shape == (40, 3) and rows.dtype == np.float64
    for start, stop in ((0, 40), (10, 13), (11, 12), (12, 40), (39, 40)):
        assert np.array_equal(read(rows, start, stop), array[start:stop])
    np.save(tmp_path / "flat.npy", array[:, 0])
    assert np.array_equal(read(data.npy(tmp_path / "flat.npy"), 5, 9), array[5:9, 0])
    with pytest.raises(ValueError, match=r"flat.npy has shape|part-1.npy has shape"):
        data.npy(tmp_path)  # one has other columns


def test_files_that_will_not_do_say_why(array, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no files"):
        data.npy(tmp_path / "empty")
    with pytest.raises(FileNotFoundError):
        data.npy(tmp_path / "none.npy")
    path = tmp_path / "a.npy"
    np.save(path, np.asfortranarray(array))
    with pytest.raises(ValueError, match="Fortran order"):
        data.npy(path)
    np.save(path, np.array(["a", "b"]))
    with pytest.raises(TypeError, match="expected numbers"):
        data.npy(path)
    np.save(path, np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match=r"expected \(n,\) or \(n, m\)"):
        data.npy(path)
    np.save(path, array)
    whole = path.read_bytes()
    for size in (3, 60, 127, 500, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="no whole .npy file|cut short"):
            data.npy(path)
    path.write_bytes(whole.replace(b"(40, 3)", b"(9**9,)"))
    with pytest.raises(ValueError, match="no whole .npy file"):
        data.npy(path)
    path.write_bytes(whole.replace(b"(40, 3)", b"(-4, 3)"))
    with pytest.raises(ValueError, match=r"shape \(-4, 3\), expected"):
        data.npy(path)


def test_a_dtype_that_numpy_does_not_know(array):
    """As a tensor of PyTorch's has it."""
    class Tensor:
        def __init__(self, values):
            self.values, self.shape, self.dtype = values, values.shape, object.__new__(type("float64", (), {}))

        def __getitem__(self, rows):
            return Tensor(self.values[rows])

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self.values, dtype)

    found = data.rows(Tensor(array), "X")
    np.testing.assert_array_equal(read(found, 3, 9), array[3:9])
    assert found.dtype == np.float64


def test_what_is_no_source_says_so(array):
    class Cube:
        shape = 2, 2, 2

        def __getitem__(self, rows):
            raise NotImplementedError

    for value, error, message in ((3, TypeError, r"expected something with .shape and \[a:b\]"),
                                  (data.Stream(lambda: [(array, array)]), TypeError, "X is a Stream"),
                                  (Cube(), ValueError, r"has shape \(2, 2, 2\)"),
                                  ([array, array[:, :2]], ValueError, "expected as many columns"),
                                  (np.float64(3), ValueError, "has shape"), (np.zeros((2, 2, 2)), ValueError, "shape")):
        with pytest.raises(error, match=message):
            data.rows(value, "X")
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="sparse"):
        data.rows(sparse.eye_array(3), "X")
    pandas = pytest.importorskip("pandas")
    with pytest.raises(TypeError, match="to_numpy"):
        data.rows(pandas.DataFrame({"a": [1.0]}), "X")
    masked = np.ma.masked_array([[1.0], [2.0]], [[0], [1]])
    with pytest.raises(ValueError, match="masked entries in rows 0 to 1"):
        read(data.rows(masked, "X"))
    with pytest.raises(TypeError, match="dtype object"):
        read(data.rows(np.array([[object()]]), "X"))


@pytest.mark.parametrize("library", ["h5py", "zarr"])
def test_chunked_files_are_read_by_whole_chunks(library, array, tmp_path):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is optional")
    if library == "h5py":
        import h5py
        file = h5py.File(tmp_path / "a.h5", "w")
        found = file.create_dataset("X", data=array, chunks=(7, 3), compression="gzip")
    else:
        import zarr
        found = zarr.create_array(store=str(tmp_path / "a.zarr"), shape=array.shape, chunks=(7, 3), dtype="f8")
        found[:] = array
    rows = data.rows(found)
    assert rows.units == 7 and np.array_equal(read(rows, 5, 23), array[5:23])
    net = Network((3, 4, 1), seed=1).fit(found, array[:, 0], epochs=1, batch_size=2, memory=2000)
    expected = Network((3, 4, 1), seed=1).fit(array, array[:, 0], epochs=1, batch_size=2, memory=2000)
    assert len(net.history) == 1 and np.isfinite(expected.history.cost).all()
    if library == "h5py":
        file.close()


def test_a_chunk_is_decoded_once_whatever_is_read_of_it_at_a_time(array, rng):
    class Dataset:
        shape, dtype, chunks = array.shape, array.dtype, (7, 3)

        def __init__(self):
            self.decoded = []

        def __getitem__(self, rows):
            self.decoded += range(rows.start // 7, -(-rows.stop // 7))
            return array[rows]

    n, every = len(array), range(-(-len(array) // 7))
    source = Dataset()
    for some in (1, 3, 7, 10, 21):
        source.decoded.clear()
        rows = data.rows(source)
        assert np.array_equal(np.concatenate([read(rows, at, min(at + some, n)) for at in range(0, n, some)]), array)
        assert source.decoded == list(every)
    for start, stop in np.sort(rng.integers(0, n + 1, (50, 2))).tolist():
        assert np.array_equal(read(rows, start, stop), array[start:stop])
    source.decoded.clear()
    net = Network((3, 4, 1), seed=1)
    assert net.cost(source, array[:, 0], memory=1000) == net.cost(array, array[:, 0], memory=1000)
    assert source.decoded == list(every)


@pytest.mark.parametrize("memory", [None, 300])
def test_outputs_of_all_that_fit_reads(memory, array, tmp_path):
    np.save(tmp_path / "X.npy", array)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    net = Network((3, 4, 2), dtype="float64", seed=1)
    expected = net.predict(array)
    sources = [data.rows(array), data.npy(tmp_path / "X.npy"), data.Stream(lambda: [(array, array), (array, array)]),
               data.Stream(lambda: ((part, part, part[:, 0]) for part in (array, array[:0], array)))]
    if memory is not None:  # with which nobody has to wrap them
        sources += [mapped, [mapped, array], array.tolist()]
    for source in sources:
        found = net.predict(source, memory=memory)
        assert np.array_equal(found[: len(array)], expected) and np.array_equal(found[-len(array) :], expected)
    with pytest.raises(ValueError, match=r"X has shape \(.*, 3\), expected \(n_samples, 4\)"):
        Network((4, 1)).predict(sources[2], memory=memory)
    for row in (array[0], array[0].astype("float32")) if memory else ():  # whatever its dtype
        with pytest.raises(ValueError, match=r"X has shape \(3,\), expected \(n_samples, 3\)"):
            net.predict(row, memory=memory)
    ended = iter([[(array, array)], [(array, array)], [(array[:3], array[:3])]])
    with pytest.raises(ValueError, match="this pass ended after 3 rows"):
        net.predict(data.Stream(lambda: next(ended)), memory=memory)


def test_outputs_may_overlap_what_is_read_by_blocks(array, tmp_path):
    """They begin further on, where inputs lie that are not yet read."""
    net, memory = Network((3, 4, 2), dtype="float64", seed=1), 2 * 3 * 8
    n, expected = len(array), net.predict(array)
    np.save(tmp_path / "X.npy", array)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r+")
    for form in ("array", "rows", "parts", "map", "file"):
        mapped[:] = array
        there = mapped if form in ("map", "file") else array.copy()
        inputs = {"array": there, "rows": data.rows(there), "parts": [there[:2], there[2:]], "map": there,
                  "file": data.npy(tmp_path / "X.npy")}[form]
        assert np.array_equal(net.predict(inputs, there.reshape(-1)[n:].reshape(n, 2), memory=memory), expected), form
    there, scaler = array.copy(), data.standardizer(array)
    expected = net.predict(scaler.transform(data.rows(array)))
    found = net.predict(scaler.transform(data.rows(there)), there.reshape(-1)[n:].reshape(n, 2), memory=memory)
    assert np.array_equal(found, expected)
    own = Network((3, 3), dtype="float64", seed=1)
    expected = own.predict(array[:4])
    assert np.array_equal(own.predict(array[:4], own.parameters.reshape(4, 3), memory=memory), expected)


def test_what_has_an_adapter_is_told_of_it(tmp_path):
    class Dataset:  # of Arrow
        schema = to_batches = None

    net, Y = Network((3, 1)), np.zeros(3)
    for value, said in (("X.npy", r"give fastbp.data.npy\(path\)"), (tmp_path, "fastbp.data.parquet"),
                        (Dataset(), r"fastbp.data.parquet\(dataset, columns\)"),
                        (lambda: iter(()), r"fastbp.data.Stream\(function\)")):
        with pytest.raises(TypeError, match=said.removeprefix("give ")):
            net.fit(value, Y)
        with pytest.raises(TypeError, match=said):
            net.fit(value, Y, memory="1MB")
        with pytest.raises(TypeError, match=said):
            net.predict(value, memory="1MB")


def test_parquet_columns_by_name(array, tmp_path):
    if importlib.util.find_spec("pyarrow") is None:
        pytest.skip("pyarrow is optional")
    import pyarrow as pa
    import pyarrow.parquet as pq
    table = pa.table({"a": array[:, 0], "b": array[:, 1].astype("i4"), "c": array[:, 2].astype("f4"),
                      "name": ["x"] * 40, "gap": [None, *array[1:, 0]]})
    pq.write_table(table[:25], tmp_path / "1.parquet", row_group_size=9)
    pq.write_table(table[25:], tmp_path / "2.parquet", row_group_size=9)
    rows = data.parquet(tmp_path, ["c", "a"])
    assert rows.shape == (40, 2) and edges(rows).tolist() == [0, 9, 18, 25, 34, 40]
    for start, stop in ((0, 40), (8, 26), (39, 40)):
        assert np.array_equal(read(rows, start, stop), array[start:stop][:, [2, 0]])
    flat = data.parquet(tmp_path, "b")
    assert flat.shape == (40,) and flat.dtype == np.int32 and np.array_equal(read(flat), array[:, 1])
    assert np.array_equal(read(pickle.loads(pickle.dumps(flat))), array[:, 1])
    assert np.isnan(read(data.parquet(tmp_path, "gap"))[0])
    net = Network((2, 4, 1), seed=1)
    net.fit(rows, flat, epochs=2, batch_size=4, memory=2000)
    with pytest.raises(ValueError, match="holds nan in row 0"):
        net.fit(data.parquet(tmp_path, ["gap", "a"]), flat, epochs=2, batch_size=4, memory=2000)
    for columns, error, message in (("d", ValueError, "no column 'd'; its columns are a, b"),
                                    ("name", TypeError, "expected numbers"), ([], TypeError, "columns is")):
        with pytest.raises(error, match=message):
            data.parquet(tmp_path, columns)
    (tmp_path / "2.parquet").write_bytes((tmp_path / "2.parquet").read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"2.parquet has changed"):
        read(rows)
    with pytest.raises(ValueError, match="no whole Parquet file"):
        data.parquet(tmp_path, "a")


def test_parquet_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r"fastbp\[parquet\]"):
        data.parquet(tmp_path / "a.parquet", "a")


def stream(X, Y, size, *weights):
    return lambda: ((X[i : i + size], Y[i : i + size], *(w[i : i + size] for w in weights))
                    for i in range(0, len(X), size))


def test_streams_give_the_bits_of_blocks_that_are_not_shuffled(rng):
    n = few(600, 60)
    X, Y, w = rng.normal(size=(n, 3)).astype("f"), rng.normal(size=(n, 1)).astype("f"), rng.uniform(size=n).astype("f")
    memory = 8 * 3 * (2 * 20 + 8) * 4 // 3 + 1
    for rows in (None, n):
        given = data.Stream(stream(X, Y, 7, w), rows)
        assert given.rows == n
        net = Network((3, 4, 1), seed=1).fit(given, epochs=2, batch_size=8, shuffle=False, memory=memory)
        expected = Network((3, 4, 1), seed=1).fit(X, Y, epochs=2, batch_size=8, shuffle=False, sample_weight=w)
        assert net.parameters.tobytes() == expected.parameters.tobytes()
    assert net.cost(given, memory=memory) == pytest.approx(net.cost(X, Y, w), rel=1e-6)
    assert Network((3, 4, 1), seed=1).fit(given, epochs=1).parameters.tobytes() == \
        Network((3, 4, 1), seed=1).fit(X, Y, sample_weight=w, epochs=1).parameters.tobytes()  # fits into 256 MB
    net.fit(given, epochs=1, batch_size=8, memory=memory, validation=(given, None))
    assert net.history.validation_cost[0] == pytest.approx(net.cost(X, Y, w), rel=1e-6)
    with pytest.raises(ValueError, match="validation is a fraction"):
        net.fit(given, epochs=1, memory=memory, batch_size=8, validation=0.2)
    with pytest.raises(TypeError, match="leave Y and sample_weight out"):
        net.fit(given, Y, epochs=1)


def test_streams_that_will_not_do_say_why(rng):
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    for factory, message in ((iter([]), "expected a function"), (lambda: [], "no rows"),
                             (lambda: [(X[:0], Y[:0])], "no rows"), (lambda: [X], "expected a pair"),
                             (lambda: [(X, Y[:3])], "block 0 has shapes"), (lambda: [(X[:, 0], Y)], "block 0 has")):
        with pytest.raises((TypeError, ValueError), match=message):
            data.Stream(factory)
    with pytest.raises(ValueError, match="rows is 0"):
        data.Stream(stream(X, Y, 7), 0)
    net = Network((3, 4, 1))
    before = net.parameters.copy()
    for rows, message in ((19, "more than 19 rows"), (21, "ended after 20 rows, expected 21")):
        with pytest.raises(ValueError, match=message):
            net.fit(data.Stream(stream(X, Y, 7), rows), epochs=1, batch_size=2, memory=800)
    mixed = data.Stream(lambda: [(X, Y), (X, Y, Y[:, 0])], 40)
    with pytest.raises(ValueError, match="block 1 has 3 arrays, but the first one 2"):
        net.fit(mixed, epochs=1, batch_size=2, memory=800)
    with pytest.raises(ValueError, match="gave shape"):
        net.fit(data.Stream(lambda: [(X, Y), (X[:, :2], Y)], 40), epochs=1, batch_size=2, memory=800)
    assert net.parameters.tobytes() == before.tobytes()


def test_standardisation_in_one_pass(rng, monkeypatch):
    n = 1000
    X = np.column_stack([1e9 + rng.normal(size=n), rng.normal(size=n) * 1e-3, np.full(n, 0.1), rng.exponential(size=n)])
    monkeypatch.setattr("fastbp.data.standardize.PART_BYTES", 8 * 4 * 37)  # 37 rows at a time
    for given in (X, data.rows(X), data.Stream(stream(X, X, 13))):
        scaler = data.standardizer(given)
        np.testing.assert_allclose(scaler.mean, X.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(scaler.scale[[0, 1, 3]], X.std(axis=0)[[0, 1, 3]], rtol=1e-10)
        assert scaler.scale[2] == 1 and scaler.count == n
    parts = [(len(p), p.mean(), p.var() * len(p)) for p in np.array_split(X[:, 3], 7)]
    _, mean, squares = naive.merged(parts)
    assert scaler.mean[3] == pytest.approx(mean) and scaler.scale[3] == pytest.approx((squares / n) ** 0.5)
    rows = scaler.transform(data.rows(X))
    expected = (X - scaler.mean) / scaler.scale
    assert np.array_equal(read(rows, 5, 90, "float64"), expected[5:90])
    assert np.array_equal(scaler.transform(X), expected)
    blocks = list(scaler.transform(data.Stream(stream(X, X, 500))).blocks())
    assert np.array_equal(blocks[1][0], expected[500:]) and np.array_equal(blocks[1][1], X[500:])
    X[713, 1] = np.nan
    for given in (X, data.Stream(stream(X, X, 500))):
        with pytest.raises(ValueError, match="X holds nan in row 713"):
            data.standardizer(given)
    with pytest.raises(ValueError, match="no rows"):
        data.standardizer(X[:0])
    with pytest.raises(ValueError, match="X has shape"):
        scaler.transform(X[:, :2])


@compiled_only
def test_standardisation_is_that_of_scikit_learn(rng):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    X = rng.normal(size=(500, 3)) * [1, 100, 1e-4] + [0, 1e4, 3]
    found, expected = data.standardizer(X), preprocessing.StandardScaler().fit(X)
    np.testing.assert_allclose(found.mean, expected.mean_, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.scale, expected.scale_, rtol=1e-10)
