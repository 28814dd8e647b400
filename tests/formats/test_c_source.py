"""Networks as C source: compiled by every compiler here, run, and compared with `predict`."""

import ctypes
import dataclasses
import math
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import DTYPES, compiled_only

import fastbp
from fastbp import encoders
from fastbp.formats import predictor
from fastbp.formats.c import functions, text

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wdouble-promotion", "-Werror"]
COMPILERS = {
    "gcc": ["-std=c99", *WARNINGS],
    "clang": ["-std=c99", *WARNINGS],
    "tcc": ["-std=c99", "-Wall", "-Werror"],
    "g++": ["-std=c++11", "-x", "c++", *WARNINGS],
}
RELATIVE = {"float32": 1e-6, "float64": 1e-14}
NAMES = [name for name, row in fastbp.activations.ACTIVATIONS.items() if row.elementwise and name in functions.KNOWN]
ENCODERS = [encoders.Periodic([0, 1], frequencies=5, size=3), encoders.Identity([1, 2, 0]),
            encoders.OneHot(3, categories=4), encoders.Embedding(4, categories=5, size=3),
            encoders.PiecewiseLinear([2, 0], edges=[[-1, 0, 0.5, 2], [-1, 1]])]
SPECIES = ["Épée", 'quote"', "what??/"]


class Case:
    """A network or estimator, its rows, and what C should make of them."""

    def __init__(self, name, model, X, expected, **settings):
        network = getattr(model, "networks_", [model])[0]
        self.name, self.dtype, self.settings = name, network.dtype.name, settings
        self.X, self.expected = np.ascontiguousarray(X, self.dtype), np.atleast_2d(expected)
        self.caller = settings.get("workspace") == "caller"
        self.found = model.to_c(prefix=name, selftest=3, **settings)


def plain_cases():
    """Every activation in both types, with libm and without, the workspace the source's own or the caller's."""
    rng = np.random.default_rng(0)
    for dtype in DTYPES:
        for libm in (True, False):
            for i in range(0, len(NAMES), 2):
                net = fastbp.Network((3, 6, 5, 2), [NAMES[i], NAMES[(i + 1) % len(NAMES)]], seed=i, dtype=dtype)
                net.parameters += (0.1 * rng.normal(size=net.n_parameters)).astype(dtype)
                X = rng.normal(0, 2, (12, 3)).astype(dtype)
                yield Case(f"{NAMES[i]}_{dtype}_{libm}", net, X, net.predict(X), libm=libm,
                           workspace=("static", "caller")[i // 2 % 2])


def special_cases():
    """Outputs, encoders, layers and estimators of every kind."""
    rng = np.random.default_rng(1)
    for dtype in DTYPES:
        for libm in (True, False):
            net = fastbp.Network((5, 9, 4), fastbp.parametric("mish"), cost="gaussian_nll", encoders=ENCODERS,
                                 scaling=True, seed=0, dtype=dtype)
            net.parameters += (0.1 * rng.normal(size=net.n_parameters)).astype(dtype)
            X = np.column_stack([rng.normal(0, 2, (30, 3)), rng.integers(-1, 6, 30), rng.integers(-1, 7, 30)])
            X[:3, 3:] = np.nan
            X = X.astype(dtype)
            yield Case(f"encoded_{dtype}_{libm}", net, X, net.predict(X), libm=libm)
            X = rng.normal(0, 20, (12, 4)).astype(dtype)
            net = fastbp.Network((4, 3), output="softmax", cost="cross_entropy", bias=False, seed=1, dtype=dtype)
            yield Case(f"softmax_{dtype}_{libm}", net, X, net.predict(X), libm=libm, classes=SPECIES,
                       workspace="caller")
            net = fastbp.Network((4, 1), cost="binary_cross_entropy", seed=2, dtype=dtype)
            yield Case(f"two_{dtype}_{libm}", net, X, net.predict(X), libm=libm,
                       workspace="caller" if libm else "static")
    X = rng.normal(0, 2, (40, 3)) + [0, 100, 5000]
    y = X[:, 0] ** 2 - 3 * (X[:, 1] - 100)
    settings = {"hidden_layer_sizes": (6,), "tol": 0.1, "solver": "lbfgs", "random_state": 0}
    for dtype in DTYPES:
        X, y = X.astype(dtype).astype(float), y.astype(dtype)
        model = fastbp.MLPRegressor(standardize=True, dtype=dtype, **settings).fit(X, np.column_stack([y, 70 + y]))
        yield Case(f"regressor_{dtype}", model, X, model.predict(X))
        label = np.array(SPECIES)[np.digitize(y, np.quantile(y.astype(float), [0.3, 0.6]))]
        model = fastbp.MLPClassifier(standardize=True, dtype=dtype, **settings).fit(X, label)
        yield Case(f"species_{dtype}", model, X, model.predict_proba(X))
        model = fastbp.MLPClassifier(standardize=True, dtype=dtype, n_members=3, **settings).fit(X, label)
        yield Case(f"members_{dtype}", model, X, model.predict_proba(X), workspace="caller")
        model = fastbp.MLPRegressor(dtype=dtype, n_members=2, **settings).fit(X - [0, 100, 5000], y)
        yield Case(f"pair_{dtype}", model, X - [0, 100, 5000], model.predict(X - [0, 100, 5000])[:, None])
        model = fastbp.MLPClassifier(standardize=True, dtype=dtype, **settings).fit(X, np.where(y > 0, 1, -1))
        yield Case(f"signs_{dtype}", model, X, model.predict_proba(X)[:, 1:])
        model = fastbp.MLPClassifier(dtype=dtype, **settings).fit(X - [0, 100, 5000], np.column_stack([y > 0, y > 3]))
        yield Case(f"labels_{dtype}", model, X - [0, 100, 5000], model.predict_proba(X - [0, 100, 5000]))


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """All of them, and a folder with two sources that include half of them each: without libm, and with it."""
    folder, found = tmp_path_factory.mktemp("c"), [*plain_cases(), *special_cases()]
    units = {True: "", False: ""}
    for case in found:
        (folder / f"{case.name}.c").write_text(case.found.source, encoding="ascii")
        (folder / f"{case.name}.h").write_text(case.found.header, encoding="ascii")
        units[case.settings.get("libm", True)] += (f"#define {case.name.upper()}_SELFTEST\n"
                                                   f'#include "{case.name}.c"\n')
    wrong = found[0].found.source.replace(found[0].name, "wrong")
    place = wrong.index("{\n", wrong.index("wrong_weights2"))
    wrong = wrong[:place] + "{\n    0.25f + " + wrong[place + 2 :].lstrip()
    (folder / "wrong.h").write_text(found[0].found.header.replace(found[0].name, "wrong"))
    (folder / "wrong.c").write_text(wrong)
    units[True] += '#define WRONG_SELFTEST\n#include "wrong.c"\n'
    (folder / "with_libm.c").write_text(units[True])
    (folder / "without.c").write_text(units[False])
    return folder, found


def call(library, case):
    """Return what C makes of the rows of a case."""
    kind = np.ctypeslib.ndpointer(case.dtype, flags="C")
    predict = getattr(library, f"{case.name}_predict")
    predict.argtypes, predict.restype = [kind] * (3 if case.caller else 2), None
    found = np.full(case.expected.shape, 77, case.dtype)
    space = [np.empty(100, case.dtype)] * case.caller
    for x, y in zip(case.X, found, strict=True):
        predict(x, y, *space)
    return found


@compiled_only
@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_compiler_makes_of_it_what_predict_does(compiler, cases, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    folder, found = cases
    path = tmp_path / "networks.so"
    for unit in ("with_libm", "without"):
        subprocess.run([compiler, *COMPILERS[compiler], "-fPIC", "-c", f"{unit}.c", "-o", tmp_path / f"{unit}.o"],
                       cwd=folder, check=True)
    objects = [tmp_path / "with_libm.o", tmp_path / "without.o"]
    subprocess.run([compiler, "-shared", "-o", path, *objects, "-lm"], check=True)
    if compiler == "gcc":  # no function is called that is not there
        subprocess.run([compiler, "-shared", "-nostdlib", "-Wl,--no-undefined", "-o", tmp_path / "alone.so",
                        objects[1]], check=True)
    library, errors = ctypes.CDLL(str(path)), {}
    for case in found:
        errors[case.name] = float(np.abs(call(library, case) - case.expected).max() / np.abs(case.expected).max())
        assert getattr(library, f"{case.name}_selftest")() == 0, case.name
    assert {name: error for name, error in errors.items() if not error <= RELATIVE[
        "float32" if "float32" in name else "float64"]} == {}
    assert library.wrong_selftest() == 1
    classified(library, found)
    reentrant(library, next(case for case in found if case.caller and case.settings["libm"]))


def classified(library, found):
    """Check the classes that C chooses, and their names."""
    seen = 0
    for case in found:
        if not case.name.startswith(("softmax", "two", "species", "signs", "members")):
            assert not hasattr(library, f"{case.name}_classify"), case.name
            continue
        kind = np.ctypeslib.ndpointer(case.dtype, flags="C")
        classify = getattr(library, f"{case.name}_classify")
        classify.argtypes = [kind] * (1 + case.caller)
        space = [np.empty(100, case.dtype)] * case.caller
        expected = case.expected.argmax(axis=1) if case.expected.shape[1] > 1 else case.expected[:, 0] > 0.5
        assert [classify(x, *space) for x in case.X] == expected.tolist(), case.name
        assert classify(np.full_like(case.X[0], np.nan), *space) == -1
        names = {"softmax": SPECIES, "species": sorted(SPECIES), "members": sorted(SPECIES),
                 "signs": ["-1", "1"]}.get(case.name.split("_")[0])
        if names is not None:
            strings = (ctypes.c_char_p * len(names)).in_dll(library, f"{case.name}_classes")
            assert [string.decode() for string in strings] == names
        seen += 1
    assert seen == 14


def reentrant(library, case):
    """Two threads at once, each with a workspace of its own."""
    with ThreadPoolExecutor(2) as pool:
        for part in pool.map(lambda _: [call(library, case) for _ in range(20)], range(2)):
            for found in part:
                np.testing.assert_allclose(found, case.expected, rtol=1e-4, atol=1e-5)


INF = np.inf
OWN = {
    "exp": (np.exp, [(-87, 88)], 2, {-INF: 0, -200: 0, 0: 1, 200: INF, INF: INF}),
    "expm1": (np.expm1, [(-20, 0), (-1e-3, 0)], 2, {-INF: -1, -200: -1, 0: 0}),
    "log1p": (np.log1p, [(0, 1), (0, 1e-3)], 2, {0: 0}),
    "tanh": (np.tanh, [(-9, 9), (-1e-3, 1e-3)], 2, {-INF: -1, -1e30: -1, 0: 0, 1e30: 1, INF: 1}),
    "sin": (np.sin, [(-9e3, 9e3), (-4, 4)], 2, {-INF: np.nan, 0: 0, 1e30: 0}),
    "cos": (np.cos, [(-9e3, 9e3), (-4, 4)], 2, {INF: np.nan, 0: 1, -1e30: 1}),
    "tail": (np.vectorize(lambda t: math.erfc(t / 2**0.5) / 2), [(0, 12), (0, 1)], 3.5, {0: 0.5, 40: 0}),
}
"""What takes libm's place: the function, where it is compared, how many ulp of float it may be off, and its limits."""


@compiled_only
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_own_functions_are_right_to_2_ulp_of_float(tmp_path, largest):
    """Against doubles; the tail Φ(−t) of the normal distribution to 3.5, its middle and 1 − 2Φ(−√2 t) = erf t to 2."""
    source, called = functions.function_source(OWN, "own", single=True, libm=False)
    loops = "".join(f"void all_{name}(const float *x, float *y, int n)\n{{\n    for (int i = 0; i < n; ++i)\n"
                    f"        y[i] = {called[name]}(x[i]);\n}}\n" for name in OWN)
    (tmp_path / "own.c").write_text(source + loops)
    subprocess.run(["gcc", "-std=c99", "-O1", "-fPIC", "-shared", "-nostdlib", "-o", tmp_path / "own.so",
                    tmp_path / "own.c"], check=True)
    library, pointer = ctypes.CDLL(str(tmp_path / "own.so")), np.ctypeslib.ndpointer(np.float32, flags="C")

    def values(name, x):
        y, loop = np.empty_like(x), getattr(library, f"all_{name}")
        loop.argtypes, loop.restype = [pointer, pointer, ctypes.c_int], None
        loop(x, y, x.size)
        return y

    for name, (exact, intervals, limit, limits) in OWN.items():
        x = np.concatenate([np.linspace(*ends, 40_001, dtype=np.float32) for ends in intervals])
        if name in ("sin", "cos"):
            x = np.concatenate([x, (np.arange(5000) * np.pi / 2).astype(np.float32)])  # results near 0
        y, expected = values(name, x), exact(x.astype(float))
        found = ulps(y, expected)
        assert found.max() <= limit, (name, x[found.argmax()])
        largest(f"ulp of {name} in C", found.max())
        if name == "tail":
            assert found[x < 0.67].max() <= 2
            assert ulps(1 - 2 * y.astype(float), 1 - 2 * expected)[x > 0.67].max() <= 2
        far = np.array([*limits, np.nan], np.float32)
        np.testing.assert_array_equal(values(name, far), np.array([*limits.values(), np.nan], np.float32), name)


def ulps(found, expected):
    """Return errors in units in the last place of float."""
    return np.abs(found - expected) / np.spacing(np.maximum(np.abs(expected), 1e-36).astype(np.float32))


@pytest.mark.parametrize("dtype", DTYPES)
def test_literals_are_the_shortest_that_say_the_same(dtype, rng):
    real = np.dtype(dtype).type
    values = np.concatenate([rng.normal(size=200), rng.normal(size=200) * 10.0 ** rng.integers(-30, 30, 200),
                             [0, -0.0, 1, -1, 16777216, 1e-45, 0.1, 1 / 3]]).astype(dtype)
    for value in values:
        literal = text.literal(value)
        assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f?", literal) and ("." in literal or "e" in literal), literal
        assert literal.endswith("f") == (dtype == "float32")
        again = real(literal.removesuffix("f"))
        assert again == value and np.signbit(again) == np.signbit(value)
    assert text.literal(np.float32(0.1)) == "0.1f" and text.literal(np.float64(0.1)) == "0.1"


def test_strings_are_ascii_and_mean_the_same():
    for string in (*SPECIES, "a\nb", "\\", "\x7f9", "", "日本"):
        literal = text.string(string)
        assert literal.isascii() and literal[0] == literal[-1] == '"' and "?" not in literal
        inside = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), literal[1:-1])
        assert inside.encode("latin-1").decode() == string


def test_files_and_text_are_the_same(tmp_path):
    net = fastbp.Network((2, 3, 1), seed=0)
    found = net.to_c(tmp_path / "my net.c", prefix="mine")
    assert (tmp_path / "my net.c").read_text() == found.source and (tmp_path / "my net.h").read_text() == found.header
    assert '#include "my net.h"' in found.source and found.source.isascii() and found.header.isascii()
    assert '#include "mine.h"' in net.to_c(prefix="mine").source
    assert net.to_c(tmp_path / "my net.c", prefix="mine") == found  # the same each time


def test_the_comment_counts_what_it_takes():
    net = fastbp.Network((4, 32, 16, 3), seed=0)
    weights = 4 * 32 + 32 * 16 + 16 * 3
    line = re.search(r"Constants \(flash\): (\d+) bytes. Workspace \(RAM\): (\d+) bytes.\s+"
                     r"Multiply-adds of a prediction: (\d+)", net.to_c().source)
    assert [*map(int, line.groups())] == [4 * (weights + 51), 4 * 48, weights]
    assert "_n_classes = 2," in fastbp.Network((4, 1), cost="binary_cross_entropy").to_c(workspace="caller").header
    assert "workspace = 1" in fastbp.Network((4, 3), seed=0).to_c(workspace="caller").header  # C has no empty arrays
    double = net.to_c(dtype="float64", workspace="caller")
    assert "_workspace = 48" in double.header and f"(flash): {8 * (weights + 51)} bytes" in double.header


def test_everything_but_the_entry_points_is_static():
    net = fastbp.Network((5, 4, 3), "gelu", output="softmax", cost="cross_entropy", encoders=ENCODERS, seed=0)
    for libm in (True, False):
        source = net.to_c(prefix="p", libm=libm, classes=list("abc")).source
        outside = [line for line in source.splitlines() if re.match(r"[a-z]", line) and not line.startswith("static")]
        assert [re.search(r"p_\w+", line)[0] for line in outside] == ["p_predict", "p_classify", "p_classes",
                                                                       "p_selftest"]
        assert re.findall(r"#define (\w+)", source) == ["p_const"] * 2 and source.endswith("#undef p_const\n")
        assert re.findall(r"#include (\S+)", source) == ['"p.h"', *["<math.h>"] * libm]


def test_what_has_no_source_is_refused_by_name():
    found = predictor.of_network(fastbp.Network((2, 1), encoders=[encoders.Identity([0, 1])], seed=0))
    with pytest.raises(ValueError, match="encoder Identity is not known as C source yet"):
        found.check(functions.KNOWN, (encoders.OneHot,), "C source")
    row = dataclasses.replace(fastbp.activations.get("elu"), name="newest")
    net = fastbp.Network((2, 3, 1), row, seed=0)
    for write in (net.to_c, net.to_numpy):
        with pytest.raises(ValueError, match="activation 'newest' of layer 1 is not known as"):
            write()


def test_all_that_there_was_when_this_was_written_is_known():
    assert len(NAMES) >= 17


def test_an_own_activation_is_refused_by_name():
    own = fastbp.register_activation(lambda x: x * x, name="squared_here")
    try:
        for row in (own, fastbp.parametric(own)):
            net = fastbp.Network((2, 3, 1), row, seed=0)
            with pytest.raises(ValueError, match="'squared_here'.* of layer 1 is a function of your own"):
                net.to_c()
            with pytest.raises(ValueError, match="squared_here"):
                net.to_numpy()
    finally:
        del fastbp.activations.ACTIVATIONS["squared_here"]


NET = fastbp.Network((2, 3, 1), seed=0)


@pytest.mark.parametrize(("wrong", "words"), [
    ({"prefix": "2a"}, "prefix is '2a'"), ({"prefix": "_a"}, "prefix"), ({"prefix": "a__b"}, "prefix"),
    ({"prefix": "a_"}, "prefix"), ({"prefix": "ä"}, "prefix"), ({"prefix": ""}, "prefix"),
    ({"prefix": "a b"}, "prefix"), ({"prefix": "a\n"}, "prefix"), ({"prefix": None}, "prefix"),
    ({"dtype": "int8"}, "dtype"),
    ({"workspace": "heap"}, "workspace is 'heap'"), ({"classes": "ab"}, "classes"),
    ({"classes": ["a"]}, "single output"), ({"classes": ["a", "a"]}, "different"), ({"classes": ["a", 1]}, "not both"),
    ({"classes": [None, 1]}, "strings or numbers"), ({"classes": [np.nan, 1.0]}, "strings or numbers"),
    ({"selftest": -1}, "selftest"), ({"selftest": 10**9}, "selftest"), ({"selftest": [[1.0]]}, "selftest has shape"),
    ({"selftest": [[np.nan, 1]]}, "row 0 of selftest"), ({"path": "net.h"}, r"ends in \.c"),
    ({"path": "é.c"}, "path is named 'é', expected letters"),
    ({"path": "ne\"t.c"}, "letters"), ({"path": "netz\n.c"}, "letters"),
])
def test_what_cannot_be_written_is_refused(wrong, words, tmp_path):
    if "path" in wrong:
        wrong = {"path": tmp_path / wrong["path"]}
    with pytest.raises(ValueError, match=words):
        NET.to_c(**wrong)
    assert not [*tmp_path.iterdir()]


def test_libm_is_a_flag():
    with pytest.raises(TypeError, match="libm is 'no'"):
        NET.to_c(libm="no")


def test_numbers_that_a_type_does_not_have_are_refused():
    net = fastbp.Network((2, 3, 1), seed=0, dtype="float64")
    net.weights[1][0, 0] = 1e300
    assert "1e+300" in net.to_c().source
    with pytest.raises(ValueError, match="weights of layer 2 are not finite numbers in float32"):
        net.to_c(dtype="float32")
    net.biases[0][0] = np.nan
    for write in (net.to_c, net.to_numpy):
        with pytest.raises(ValueError, match="biases of layer 1"):
            write()


def written(source, name):
    """Return the numbers of an array in a source."""
    text = re.search(rf"{name}\[\] = {{([^}}]*)}}", source)[1]
    return np.array([float(number.strip().removesuffix("f")) for number in text.split(",")])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_selftest_expects_what_predict_gives(dtype):
    """In the units of an estimator's X and y."""
    models = [(fastbp.Network((3, 4, 2), name, seed=1, dtype=dtype), 2) for name in NAMES]
    models.append((fastbp.Network((5, 4, 2), fastbp.parametric("elu"), cost="gaussian_nll", encoders=ENCODERS, seed=1,
                                  scaling=True, dtype=dtype, bias=False), 2))
    X = np.random.default_rng(0).normal(size=(20, 3)) + [0, 100, 5000]
    models.append((fastbp.MLPRegressor(hidden_layer_sizes=(3,), tol=10, solver="lbfgs", standardize=True, dtype=dtype,
                                       n_members=2, random_state=0).fit(X, X @ [1, 2, 3]), 1))
    for model, n_outputs in models:
        source = model.to_c().source
        inputs, outputs = (written(source, f"net_test_{name}") for name in ("inputs", "outputs"))
        expected = model.predict(inputs.reshape(8, -1)).reshape(8, n_outputs)
        tolerance = written(source, "net_test_tolerance")
        assert (np.abs(outputs.reshape(8, -1) - expected) <= tolerance).all()
        assert (tolerance < (2e-5 if dtype == "float32" else 2e-13) * np.abs(expected).max()).all()
    assert ("input_mean_rest" in source) is (dtype == "float32") and "output_scale" in source
    encoded = models[-2][0].to_c()
    assert "means, then as many logarithms" in encoded.header and "layer_without_biases" in encoded.source


def test_a_selftest_allows_for_rounding_beyond_the_range_of_float32():
    """Outputs of 10¹⁶⁰, which rounding moves more than most; and no warning where outputs are more than float has."""
    net = fastbp.Network((2, 1, 1), "exp", "exp", init=[[[5.0, 1]], [[3.0]]], bias=False, dtype="float64")
    source = net.to_c(selftest=[[0.9, 0.3]]).source
    inputs, outputs, tolerance = (written(source, f"net_test_{name}") for name in ("inputs", "outputs", "tolerance"))
    moved = np.abs(net.predict(np.nextafter(inputs, 1)) - outputs)
    assert outputs > 1e100 and 1e-14 * outputs < moved < tolerance < 100 * moved
    with pytest.raises(ValueError, match="row 0 of selftest, or its outputs, are not finite in float32"):
        net.to_c(selftest=[[0.9, 0.3]], dtype="float32")


def test_scalers_that_float_does_not_have_are_refused():
    X, y = np.arange(12.0).reshape(6, 2), np.arange(6.0)
    settings = {"hidden_layer_sizes": (2,), "tol": 100, "solver": "lbfgs", "standardize": True}
    for factors, name in (((1e60, 1), "means of inputs"), ((1e-60, 1), "inverse scales of inputs"),
                          ((1, 1e60), "(scales|means) of outputs")):
        model = fastbp.MLPRegressor(**settings).fit(X * factors[0], y * factors[1])
        assert "e" in model.to_c().source
        with pytest.raises(ValueError, match=f"{name} are not finite numbers in float32"):
            model.to_c(dtype="float32")


def test_rows_of_a_selftest_can_be_given():
    source = NET.to_c(selftest=[[0.5, -0.125], [3, 4]]).source
    assert "    0.5f, -0.125f,\n    3.0f, 4.0f\n" in source
    assert "SELFTEST" not in NET.to_c(selftest=0).source


def test_a_single_class_has_both_names():
    source, header = fastbp.MLPClassifier(2, tol=100, solver="lbfgs").fit(np.eye(2), ["no", "no"]).to_c()
    assert "net_classes[2]" in header and source.count('    "no"') == 2


def test_estimators_that_have_no_single_source():
    with pytest.raises(Exception, match="not fitted"):
        fastbp.MLPRegressor().to_c()
    table = fastbp.TabularRegressor()
    assert not hasattr(table, "to_c") and not hasattr(table, "to_numpy")
    with pytest.raises(AttributeError, match=r"ensemble_\[i\].to_c\(\)"):
        table.to_c(prefix="p")
