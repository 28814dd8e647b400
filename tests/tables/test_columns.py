"""Columns of tables: what is made of each, whatever library they come from; by plain Python as the oracle."""

import datetime as dt
import itertools
import math
import statistics
from decimal import Decimal

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="belongs to the table extra")
import fastbp
from fastbp.encoders import Embedding, Identity, OneHot, Periodic, PiecewiseLinear
from fastbp.tables import matrix
from fastbp.tables.columns import MOST_LEVELS
from fastbp.tables.frames import read

LIBRARIES = ["pandas", "polars", "pyarrow"]
DAYS = [dt.datetime(2024, 1, 1), None, dt.datetime(2024, 7, 4), dt.datetime(2025, 3, 5)]
DATA = {
    "number": [1.0, 2.0, None, 4.0],
    "whole": [7, 9, 9, 8],
    "text": ["b", "a", None, "c"],
    "flag": [True, False, None, True],
    "time": DAYS,
    "day": [None if day is None else day.date() for day in DAYS],
    "length": [dt.timedelta(hours=3), dt.timedelta(0), None, dt.timedelta(days=2)],
    "price": [Decimal("1.50"), Decimal("2.25"), None, Decimal("0.00")],
}


def frame_of(library, data):
    module = pytest.importorskip(library, reason="belongs to the test extra")
    pytest.importorskip("narwhals", reason="belongs to the table extra")
    return (module.table if library == "pyarrow" else module.DataFrame)(data)


def learned(X, categorical_features="from_dtype", n_pieces=0):
    frame = read(X)
    table = matrix.Table.learn(frame, categorical_features, n_pieces)
    return table, table.matrix(frame)


def column(values, **options):
    """The table and the inputs of an array of one column."""
    return learned(np.array(values, object)[:, None], **options)


def quantile(values, q):
    """NumPy's linear quantile, by hand."""
    values, place = sorted(values), (len(values) - 1) * q
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def scaled(values):
    """Robust scale and smooth clip, None for missing, by hand."""
    known = [x for x in values if x is not None]
    low, center, high = (quantile(known, q) for q in (0.25, 0.5, 0.75))
    scale = 1 / (high - low) if high > low else 2 / (max(known) - min(known))
    u = [0.0 if x is None else scale * (x - center) for x in values]
    return [x / math.sqrt(1 + (x / 3) ** 2) for x in u]


def seconds(value):
    if value is None:
        return None
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    return (value - dt.datetime(1970, 1, 1)).total_seconds()


@pytest.mark.parametrize("library", LIBRARIES)
def test_frames_of_every_library(library):
    table, found = learned(frame_of(library, DATA))
    inputs = [name for item in table.columns for name in item.inputs]
    values = dict(zip(inputs, found.T, strict=True))
    np.testing.assert_allclose(values["number"], scaled(DATA["number"]), atol=1e-6)
    np.testing.assert_allclose(values["whole"], scaled(DATA["whole"]), atol=1e-6)
    np.testing.assert_allclose(values["length"], scaled([None if x is None else x.total_seconds()
                                                         for x in DATA["length"]]), atol=1e-6)
    np.testing.assert_allclose(values["price"], scaled([x if x is None else float(x) for x in DATA["price"]]),
                               atol=1e-6)
    np.testing.assert_array_equal(values["flag"], [1, -1, 0, 1])
    for name in ("number", "time", "day", "length", "price"):
        np.testing.assert_array_equal(values[f"{name} is missing"], [x is None for x in DATA[name]])
    for name in ("time", "day"):
        np.testing.assert_allclose(values[name], scaled([seconds(x) for x in DATA[name]]), atol=1e-6)
        angles = [2 * math.pi * ((seconds(x) or 0) / (86400 * 7) % 1) for x in DATA[name]]
        sines = [0 if x is None else math.sin(angle) for x, angle in zip(DATA[name], angles, strict=True)]
        np.testing.assert_allclose(values[f"sine of the week of {name}"], sines, atol=1e-5)
        assert f"sine of the day of {name}" not in values
    assert "text is missing" in values and "text" not in values  # each level is in one row


def test_all_libraries_give_the_same_matrix_to_a_model_of_another():
    given = {**DATA, "text": ["b", "a", "a", "b"]}
    frames = {library: frame_of(library, given) for library in LIBRARIES[:2]}
    table = learned(frames["pandas"])[0]
    one, other = (table.matrix(read(frame)) for frame in frames.values())
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["Int64", "Float32", "boolean", "category"])
def test_nullable_dtypes_of_pandas(dtype):
    pandas = pytest.importorskip("pandas", reason="belongs to the test extra")
    values = [1, 0, None, 1, 0] if dtype == "boolean" else [1, 3, None, 7, 7]
    table, found = learned(pandas.DataFrame({"a": pandas.array(values, dtype=dtype)}))
    if dtype == "boolean":
        np.testing.assert_array_equal(found, [[1], [-1], [0], [1], [-1]])
    elif dtype == "category":
        np.testing.assert_array_equal(found[:, 0], [1, 1, -1, 0, 0])
        assert table.columns[0].levels == (7.0,) and table.columns[0].rest
    else:
        np.testing.assert_allclose(found[:, 0], scaled(values), atol=1e-6)
        assert found[:, 1].tolist() == [0, 0, 1, 0, 0]


def test_intervals_of_pandas_are_categories():
    pandas = pytest.importorskip("pandas", reason="belongs to the test extra")
    table, found = learned(pandas.DataFrame({"a": pandas.cut(pandas.Series([0.0, 1.0, 2.0, 3.0]), 2)}))
    np.testing.assert_array_equal(found[:, 0], [-1, -1, 1, 1])
    assert table.columns[0].levels == ("(-0.003, 1.5]", "(1.5, 3.0]")


def test_numbers_are_scaled_by_quartiles_and_clipped_smoothly(rng):
    values = rng.normal(size=60) ** 3 * 100
    found = learned(values[:, None])[1]
    np.testing.assert_allclose(found[:, 0], scaled(values.tolist()), rtol=1e-5, atol=1e-6)
    assert np.abs(found).max() < 3


def test_pieces_of_numbers_by_hand(rng):
    values = [None, *rng.normal(size=99).round(1), math.inf]
    table, found = column(values, n_pieces=5)
    x = scaled([value for value in values if value is not None and value != math.inf])
    edges = [-3.0, *sorted({sorted(x)[math.ceil(len(x) * i / 5) - 1] for i in range(1, 5)}), 3.0]
    np.testing.assert_allclose(table.columns[0].edges, edges, atol=1e-12)
    assert table.columns[0].inputs == ("x0", "x0 is missing") and found.shape == (101, 2)
    encoders = table.encoders(0)
    assert encoders == (PiecewiseLinear([0], [table.columns[0].edges]), Identity([0, 1]))
    network = fastbp.Network((2, 1), encoders=encoders, seed=0)
    for value in (1e9, -1e9, 0.3):  # nothing goes on beyond the ends
        inputs = table.matrix(read(np.array([[value]])))
        inputs[0, 1] = 0
        shares = [min(max((inputs[0, 0] - low) / (high - low), 0), 1) for low, high in itertools.pairwise(edges)]
        expected = network.weights[0] @ np.array([*shares, *inputs[0]]) + network.biases[0]
        np.testing.assert_allclose(network.predict(inputs)[0], expected, rtol=1e-4, atol=1e-5)


def test_pieces_are_as_many_as_pay(rng):
    normal = rng.normal(size=(80, 2))
    assert all(len(item.edges) == 11 for item in learned(normal, n_pieces=24)[0].columns)  # of 8 rows each
    assert learned(normal[:20], n_pieces=24)[0].columns[0].edges == ()
    two = np.where(np.arange(80) < 30, 0.0, 1.0)[:, None]
    assert learned(two, n_pieces=8)[0].columns[0].edges == ()
    close = np.repeat([0.0, 1.0, 1.0 + 1e-9, 2.0, 4.0], 16)[:, None]
    edges = learned(close, n_pieces=10)[0].columns[0].edges
    assert len(edges) == 4 and np.diff(np.array(edges, np.float32)).min() > 0
    assert learned(np.array([[math.inf], [-math.inf]] * 40), n_pieces=8)[0].columns[0].edges == ()


def test_encoders_by_kind_of_column():
    """Every column of the matrix is read; numbers and times as waves, few codes one-hot, many from a table."""
    texts = [f"{i % 70:02}" for i in range(140)]
    X = np.array([[i * 0.5 if i % 7 else None, "abc"[i % 3], text, i % 2 == 0, dt.datetime(2024, 1, 1 + i % 28)]
                  for i, text in enumerate(texts)], object)
    table, found = learned(X, n_pieces=4)
    names = [name for item in table.columns for name in item.inputs]
    assert names[:6] == ["x0", "x0 is missing", "x1", "x2", "x3", "x4"] and table.codes == {2: 3, 3: 70}
    assert found[:4, 2].tolist() == [0, 1, 2, 0] and found[:3, 4].tolist() == [1, -1, 1]
    plain = [1, 4, *range(6, table.width)]
    last = (OneHot(2, 3), Embedding(3, 70, 8))
    pieces = PiecewiseLinear([0], [table.columns[0].edges])
    assert table.encoders(16) == (Periodic([0, 5], 16), pieces, Identity(plain), *last)
    assert table.encoders(0) == (pieces, Identity([0, *plain[:2], 5, *plain[2:]]), *last)
    unseen = table.matrix(read(np.array([[None, "z", None, None, None]], object)))
    assert unseen[0, 2:4].tolist() == [-1, -1] and unseen[0, 4] == 0
    assert learned(np.zeros((3, 1)))[0].encoders(16) == (Identity([0]),)


def test_mostly_one_value_takes_the_range():
    values = [0.0] * 20 + [5.0, 10.0]
    np.testing.assert_allclose(column(values)[1][:, 0], scaled(values), atol=1e-6)


def test_infinite_values_are_at_the_ends():
    table, found = column([1.0, 2.0, math.inf, 3.0, -math.inf])
    one, two, three = scaled([1.0, 2.0, 3.0])
    np.testing.assert_allclose(found[:, 0], [one, two, 3, three, -3], rtol=1e-6)
    assert table.columns[0].infinite == 2
    assert column([math.inf, 1.0, 1.0])[1][:, 0].tolist() == [3, 0, 0]
    assert column([math.inf, -math.inf, math.inf])[1][:, 0].tolist() == [3, -3, 3]


@pytest.mark.parametrize(("middle", "told"), [(2.0, "− 2"), (-2.0, "+ 2"), (0.0, "− 0")])
def test_what_was_done_with_numbers_is_told_with_one_sign(middle, told):
    table, _ = column([middle - 1, middle, middle + 1])
    assert table.columns[0].encoding == f"(x0 {told}) × 1, clipped smoothly at ±3"


@pytest.mark.parametrize(("values", "why"), [
    ([5, 5, 5], "constant"), ([math.inf] * 3, "constant"), (["a", "a", "a"], "constant"), ([True] * 3, "constant"),
    ([None, math.nan, None], "all missing"), (["x", "y", "z"], "a level of its own in each row"),
    ([0.1 + 0.2, 0.3, 0.3], "constant"),  # they differ in rounding
])
def test_columns_that_tell_nothing_are_left_out(values, why):
    table, found = column(values)
    assert table.columns[0].inputs == () and table.columns[0].encoding == f"left out: {why}"
    np.testing.assert_array_equal(found, np.zeros((3, 1)))


def test_numbers_that_nearly_agree_are_told_apart_if_it_is_no_rounding():
    values = [1 + 1e-9, 1.0, 1 + 2e-9]
    np.testing.assert_allclose(column(values)[1][:, 0], scaled(values), rtol=1e-4, atol=1e-4)
    single = np.array([[1.0], [1.0000001], [1.0]], np.float32)
    assert learned(single)[0].columns[0].encoding == "left out: constant"


@pytest.mark.parametrize("values", [[5, None, 5], ["a", None, "a"]])
def test_a_constant_that_is_missing_somewhere_tells_where(values):
    table, found = column(values)
    assert table.columns[0].encoding == "whether it is missing; else constant"
    np.testing.assert_array_equal(found, [[0], [1], [0]])


def test_missing_at_predict_only_and_unseen_levels():
    table = learned(np.array([[1.0, "a"], [2.0, "b"], [4.0, "a"], [5.0, "b"], [1.0, "c"], [1.0, "c"]], object))[0]
    found = table.matrix(read(np.array([[None, "d"], [2.0, None], [1.5, "c"]], object)))
    np.testing.assert_array_equal(found[:, 1], [-1, -1, 2])
    assert found[0, 0] == 0  # the median


def test_rare_levels_share_a_code_with_unseen_ones():
    table, found = column(["a", "a", "b", "b", "c", "d", None])
    assert table.columns[0].inputs == ("x0",) and table.codes == {0: 3}
    assert found[:, 0].tolist() == [0, 0, 1, 1, 2, 2, -1]
    assert table.matrix(read(np.array([["z"]], object))).tolist() == [[2]]


def test_no_more_levels_than_there_is_room_for():
    values = [f"{i:04}" for i in range(MOST_LEVELS + 40) for _ in range(2 + (i >= 40))]
    table = column(values)[0]
    assert len(table.columns[0].levels) == MOST_LEVELS and table.columns[0].rest
    assert table.columns[0].levels[0] == "0040"  # the others are rarer


@pytest.mark.parametrize("chosen", [["b"], [1], [-1], [False, True], np.array([False, True])])
def test_numbers_that_the_user_calls_categories(chosen):
    X = frame_of("pandas", {"a": [1.0, 2, 3, 4], "b": [3, 1, 2, 3]})
    table, found = learned(X, categorical_features=chosen)
    assert [item.kind for item in table.columns] == ["number", "category"]
    assert found[:, 1].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(("chosen", "message"), [
    ("b", "'from_dtype', or a list of names"), (["c"], "names of columns of X: c"), ([2], r"\[2\] are none, X has 2"),
    ([True], "2 booleans"), ([0.5], "all of one kind"), ([0, "a"], "all of one kind"), (7, "list of names"),
])
def test_categories_that_are_none(chosen, message):
    with pytest.raises(ValueError, match=message):
        learned(frame_of("pandas", {"a": [1.0, 2], "b": [3, 1]}), categorical_features=chosen)
    with pytest.raises(ValueError, match="have no names"):
        learned(np.eye(2), categorical_features=["a"])


def test_columns_come_in_any_order_by_name():
    X = frame_of("pandas", {"a": [1.0, 2, 3, 4], "b": list("xyyx")})
    table, found = learned(X)
    np.testing.assert_array_equal(table.matrix(read(X[["b", "a"]])), found)
    with pytest.raises(ValueError, match="seen at fit time, yet now missing:\n- b"):
        table.matrix(read(X[["a"]]))
    with pytest.raises(ValueError, match="unseen at fit time:\n- c"):
        table.matrix(read(X.assign(c=1)))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(table.matrix(read(X.to_numpy(object))), found)
    with pytest.warns(UserWarning, match="fitted without feature names"):
        learned(X.to_numpy(object))[0].matrix(read(X))


@pytest.mark.parametrize(("values", "now"), [([1.0, 2, 3], ["a", "b", "c"]), (["a", "b", "a"], [1.0, 2, 3])])
def test_a_column_that_holds_something_else_now(values, now):
    table = column(values)[0]
    with pytest.raises(ValueError, match="column 'x0' held .* when the model was fitted, and holds"):
        table.matrix(read(np.array(now, object)[:, None]))
    table.matrix(read(np.array([[None]], object)))


def test_rows_of_numbers_of_a_column_that_is_mixed():
    """Numbers among texts are texts, and so are they in rows where there are no texts."""
    values = ["x", 1, True, "x", 1, True, 2.5, 2.5, None]
    table, found = column(values)
    assert table.columns[0].holds == "mixed" and found[:, 0].tolist() == [3, 0, 2, 3, 0, 2, 1, 1, -1]
    one_by_one = [table.matrix(read(np.array([[value]], object)))[0, 0] for value in values]
    np.testing.assert_array_equal(one_by_one, found[:, 0])
    assert table.matrix(read(np.array([[1.0], [2.5], [np.nan]])))[:, 0].tolist() == [0, 1, -1]
    with pytest.raises(ValueError, match="held numbers and texts when"):
        table.matrix(read(np.array([["2020-01-01"]], "M8[D]")))


def test_numbers_beyond_float64_are_infinite():
    assert column([10**400, 1, 2, -10**400])[1][:, 0].tolist()[::3] == [3, -3]


def test_whole_numbers_beyond_doubles_are_no_categories():
    ids = np.array([[2**53 + 1], [2**53 + 2], [2**53 + 3]])
    with pytest.raises(ValueError, match="column 'x0' is a category and has whole numbers beyond 2.53"):
        learned(ids, [0])
    assert learned(ids - 3, [0])[0].columns[0].kind == "unused" and learned(ids)[0].columns[0].kind == "number"
    assert learned(ids.astype(str), [0])[0].columns[0].holds == "text"


def test_arrays_of_every_dtype():
    texts = np.array([["a"], ["b"], ["a"], ["b"]])
    np.testing.assert_array_equal(learned(texts)[1][:, 0], [-1, 1, -1, 1])
    np.testing.assert_array_equal(learned(texts == "b")[1][:, 0], [-1, 1, -1, 1])
    moments = np.array([["2020-01-01"], ["NaT"], ["2020-02-05"], ["2020-06-01"]], "M8[D]")
    assert learned(moments)[0].columns[0].holds == "date" and learned(moments)[1][:, -1].tolist() == [0, 1, 0, 0]
    lengths = np.array([[1], [5], [7]], "m8[h]")
    np.testing.assert_allclose(learned(lengths)[1][:, 0], scaled([1, 5, 7]), atol=1e-6)
    masked = np.ma.array([[1.0], [9.0], [3.0], [4.0]], mask=[[0], [1], [0], [0]])
    np.testing.assert_allclose(learned(masked)[1], np.column_stack([scaled([1.0, None, 3.0, 4.0]), [0, 1, 0, 0]]),
                               atol=1e-6)
    np.testing.assert_array_equal(learned([["a", 1.0], ["b", 2.0], ["a", 2.0]])[1][:, 0], [-1, 1, -1])


def test_aware_times_are_universal_time():
    pandas = pytest.importorskip("pandas", reason="belongs to the test extra")
    paris = pandas.date_range("2024-06-01", periods=5, freq="7h", tz="Europe/Paris")
    one = learned(pandas.DataFrame({"t": paris}))[1]
    np.testing.assert_array_equal(one, learned(pandas.DataFrame({"t": paris.tz_convert("UTC").tz_localize(None)}))[1])
    np.testing.assert_array_equal(one, learned(np.array([[t.to_pydatetime()] for t in paris], object))[1])


@pytest.mark.parametrize(("X", "error", "message"), [
    (np.ones(3), ValueError, "Reshape your data"), (np.ones((3, 0)), ValueError, "0 feature"),
    (np.ones((2, 2), complex), ValueError, "Complex data not supported"), (np.ones((1, 2, 3)), ValueError, "dim 3"),
    (np.zeros((2, 2), "i4,i4"), TypeError, "dtype"), ("text", ValueError, "2D array"),
    ([[5e-324], [0.0], [0.0]], ValueError, "cannot be scaled"),
])
def test_what_is_no_table(X, error, message):
    with pytest.raises(error, match=message):
        learned(X)


def test_frames_that_are_no_tables():
    pandas = pytest.importorskip("pandas", reason="belongs to the test extra")
    with pytest.raises(ValueError, match="unique column names"):
        read(pandas.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(TypeError, match="all input features have string names"):
        read(pandas.DataFrame([[1, 2]], columns=["a", 1]))
    with pytest.raises(ValueError, match="0 feature"):
        read(pandas.DataFrame(index=[1, 2]))
    with pytest.raises(ValueError, match="0 sample"):
        read(pandas.DataFrame({"a": []}))
    with pytest.raises(TypeError, match="X is a Series, expected a frame .* X.to_frame"):
        read(pandas.Series([1, 2]))
    assert read(pandas.DataFrame([[1, 2]])).names is None
    with pytest.raises(TypeError, match="column 'a' holds List"):
        read(frame_of("polars", {"a": [[1], [2]]})).column(0)


def test_nothing_of_the_users_is_changed():
    X = frame_of("pandas", DATA)
    before = X.copy(deep=True)
    learned(X)
    assert X.equals(before)
    array = np.array([[1.0, math.nan], [math.inf, 2.0]])
    kept = array.copy()
    learned(array)
    np.testing.assert_array_equal(array, kept)


def test_a_report_of_every_column():
    table = learned(np.array([[1.0, "a", None], [2.0, "b", None], [4.0, "a", None]], object))[0]
    report = table.describe()
    assert [row.kind for row in report] == ["number", "category", "unused"]
    assert repr(report).splitlines()[2].split("  ")[0] == "x1" and "left out: all missing" in repr(report)
    assert statistics.median([1.0, 2.0, 4.0]) == table.columns[0].center


def test_where_columns_are_in_the_matrix():
    X = np.array([["a", 1.0, None], ["b", None, 5.0], ["c", 3.0, 4.0], ["a", 3.0, 4.0], ["b", 1, 2.0], ["c", 2, 1.0]],
                 object)
    table = learned(X)[0]
    assert table.width == 5
    assert table.places == [slice(0, 1), slice(1, 3), slice(3, 5)]


def test_plain_values_for_files():
    table = learned(np.array([[1.0, "a", None, DAYS[0]], [2.0, "b", None, DAYS[2]], [4.0, "a", None, DAYS[3]]],
                             object))[0]
    assert table.columns[0].edges == ()
    again = matrix.made(table.described())
    assert again.columns == table.columns and again.names == table.names
    for told, name, wrong in ((0, "scale", -1.0), (0, "center", "x"), (0, "edges", [1.0, 2.0]),
                              (0, "edges", [1.0, 3.0, 2.0]), (0, "edges", [1.0, 2.0, math.inf]),
                              (0, "edges", [1, 2, 3]), (0, "edges", [float(i) for i in range(999)]),
                              (1, "levels", ["a"]), (1, "levels", ["a", 1.0]), (1, "rest", 2), (2, "why", "?"),
                              (3, "cycles", ["month"]), (0, "rows", 1.5), (0, "holds", "?"), (0, "name", 3),
                              (0, "missing", 9)):
        description = table.described()
        description["columns"][told][name] = wrong
        with pytest.raises(ValueError):
            matrix.made(description)
