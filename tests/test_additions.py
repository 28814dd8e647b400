"""An addition touches at most four files: one of each kind is made in a copy of the package, and its tests find it.

The recipes are those of CONTRIBUTING.md.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from fastbp.kernels.compile import JIT

if JIT:
    pytest.skip("the copy is tested with the JIT off, in the run that is", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[1]
MOST_FILES = 4


class Addition(NamedTuple):
    """What is written, where, and an old row of the same catalogue."""

    name: str
    """A part of the ids of all tests that run over it."""
    like: tuple[str, str]
    """Two old rows': whatever runs over both has to run over the new one."""
    edits: list[tuple[str, str, str]]
    """File, a text in it ('' is the end of the file) and what is written before that."""
    wrong: tuple[str, str]
    """A part of the kernel, and what makes it wrong."""


ADDITIONS = {
    "activation": Addition("isru", ("gaussian", "mish"), [
        ("src/fastbp/kernels/functions/activations.py", "", '''

@by_element(LAYER_ACTIVATION)
def isru(panel: Floats, slope: Floats, neurons: int) -> None:
    """Overwrite panel <- net/sqrt(1 + net**2), slope <- (1 + net**2)**(-3/2)."""
    for i in range(panel.size):
        panel[i], slope[i], _ = _isru(panel[i])


@scalar
def _isru(x: Any) -> Any:
    """And 1/sqrt(1 + net**2)."""
    r = type(x)
    far = r(2.0**60) if is_single(x) else r(2.0**500)  # its square is finite, and more than any digit of 1
    x = far if x > far else x
    x = -far if x < -far else x
    square = r(1.0) + x * x
    d = r(1.0) / math.sqrt(square)
    return x * d, d / square, d


@by_element(LAYER_SECOND)
def isru_second(net: Floats, out: Floats, slope: Floats) -> None:
    """Overwrite net <- -3 o phi' / sqrt(1 + net**2)."""
    r = type(net[0])
    for i in range(net.size):
        net[i] = r(-3.0) * out[i] * slope[i] * _isru(net[i])[2]
'''),
        ("src/fastbp/kernels/functions/activations.py", "from typing import Any\n", "import math\n"),
        ("src/fastbp/activations.py", '    Activation(\n        "softmax",', '''\
    Activation("isru", "x/sqrt(1 + x**2)", "(1 + x**2)**(-3/2)", _GLOROT, (2.5, 2.5),
               kernels.isru, kernels.isru_second),
'''),
        ("tests/naive/activations.py", '    "softmax": (softmax, None),', '''\
    "isru": (lambda x: x / np.sqrt(1 + x * x), lambda x: (1 + x * x) ** -1.5),
'''),
        ("tests/ulp.py", '    "exp": (ELEMENTS["exp"], mp.exp),', '''\
    "isru": (Case(lambda x: x / mp.sqrt(1 + x * x), LOW, BIG), lambda x: (1 + x * x) ** mp.mpf(-1.5)),
'''),
        ("tests/ulp.py", '    "exp": np.exp,\n}', '''\
    "isru": lambda x: x / np.hypot(1, x),
'''),
    ], ("return x * d, d / square, d", "return x * d, d / square * r(1.01), d")),

    "cost": Addition("cauchy", ("log_cosh", "absolute_error"), [
        ("src/fastbp/kernels/functions/costs.py", "", '''

@by_address(CELL_COST_KERNEL)
def cauchy(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """C = ½log(1 + e²), with e = o − y; ∂C/∂o = e/(1 + e²)."""
    real = type(out[0])
    for i in range(out.size):
        error = out[i] - target[i]
        target[i] = real(0.5) * elementwise.log1p(error * error)
        delta[i] *= error / (real(1) + error * error)


@by_address(CELL_COST_SECOND)
def cauchy_second(out: Floats, target: Floats, delta: Floats, neurons: int, parameter: Doubles) -> None:
    """∂²C/∂o² = (1 − e²)/(1 + e²)²."""
    real = type(out[0])
    for i in range(out.size):
        square = (out[i] - target[i]) * (out[i] - target[i])
        delta[i] *= (real(1) - square) / ((real(1) + square) * (real(1) + square))
'''),
        ("src/fastbp/costs.py", '        Cost("binary_cross_entropy",', '''\
        Cost("cauchy", kernels.cauchy, "½log(1 + e²)", "e/(1 + e²)", second_derivative=kernels.cauchy_second),
'''),
        ("tests/naive/costs.py", '    "binary_cross_entropy": (\n', '''\
    "cauchy": (lambda y, o, d: np.log(1 + (o - y) ** 2) / 2, lambda y, o, d: (o - y) / (1 + (o - y) ** 2)),
'''),
    ], ("delta[i] *= error / (real(1)", "delta[i] *= error / (real(1.01)")),

    "encoder": Addition("Parabola", ("Identity", "PiecewiseLinear"), [
        ("src/fastbp/kernels/layer/encoders.py", "", '''

@by_address(ENCODER_ENCODE)
def square(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats, first: int,
           last: int) -> None:
    """x² of each column."""
    lane = lanes(panels)
    for s in range(first, last):
        for i in range(here[ENCODER_COLUMNS]):
            x = column_place(panels, stage, stage[here[ENCODER_LIST] + i], s)
            multiply_vector(panels, x, panels, x, panels, place(panels, here, stage, s) + i * lane)


@by_address(ENCODER_SLOPE)
def square_slope(here: IntegerPointer, stage: IntegerPointer, panels: Floats, parameters: Floats, first: int,
                 last: int) -> None:
    """2xδ of each column."""
    lane, two = lanes(panels), type(panels[0])(2)
    for s in range(first, last):
        for i in range(here[ENCODER_COLUMNS]):
            x = view(panels, column_place(panels, stage, stage[here[ENCODER_LIST] + i], s), lane)
            delta = view(panels, delta_place(panels, here, stage, s) + i * lane, lane)
            found = view(panels, slope_place(panels, stage, stage[here[ENCODER_LIST] + i], s), lane)
            for v in range(lane):
                found[v] += two * x[v] * delta[v]
'''),
        ("src/fastbp/kernels/layer/encoders.py", "    scale_vector,\n", "    multiply_vector,\n"),
        ("src/fastbp/encoders.py", "_ROWS = (", '''\
@dataclass(frozen=True)
class Parabola(Identity):
    """Squares of columns: e = x².

    Parameters
    ----------
    columns : int or sequence of int
        The columns of X, from 0.
    """

    encode = kernels.square
    slope = kernels.square_slope


'''),
        ("src/fastbp/encoders.py", 'Identity, OneHot, Embedding, Periodic, PiecewiseLinear)\n', "Parabola, "),
        ("tests/naive/encoders.py", "ENCODERS = Twins", '''\
def square(encoder, parameters, row):
    return [row[k] * row[k] for k in encoder.columns]


'''),
        ("tests/naive/encoders.py", '    "OneHot": (', '    "Parabola": (square, lambda e: 0),\n'),
        ("tests/test_encoders.py", '    "OneHot": [',
         '    "Parabola": [encoders.Parabola((0, 3)), Identity((1, 2))],\n'),
    ], ("found[v] += two * x[v] * delta[v]", "found[v] += x[v] * delta[v]")),

    "optimizer": Addition("QHM", ("AMSGrad", "AdaBelief"), [
        ("src/fastbp/kernels/updates/rules.py", "", '''

@rule
def qhm(parameters: Floats, gradient: Floats, state: Floats, start: int, stop: int, shift: int,
        hyper: Doubles) -> None:
    """m ← βm + (1−β)g; Δw = −μ((1−ν)g + νm) (Ma & Yarats 2019, equations 3 and 4)."""
    n, hyper = stop - start, pointer(hyper)
    p, g, m = view(parameters, start, n), view(gradient, start - shift, n), view(state, start, n)
    real = type(p[0])
    rate, beta, rest = real(hyper[HYPER_RATE]), real(hyper[HYPER_MOMENTUM]), real(1.0 - hyper[HYPER_MOMENTUM])
    share, plain = real(hyper[HYPER_DECAY]), real(1.0 - hyper[HYPER_DECAY])
    for i in range(n):
        mean = beta * m[i] + rest * g[i]
        m[i] = mean
        p[i] -= rate * (plain * g[i] + share * mean)
'''),
        ("src/fastbp/optimizers/update_rules.py", "RULES = (", '''\
@dataclass(frozen=True)
class QHM(UpdateRule):
    """Quasi-hyperbolic momentum: a step between the gradient's and that of its running mean (Ma & Yarats 2019).

    Parameters
    ----------
    learning_rate : float or schedule, default 0.1
        μ > 0.
    momentum : float, default 0.9
        β in [0, 1) of the running mean.
    share : float, default 0.7
        ν in [0, 1), that of the running mean in the step.
    rate_factors, decay_factors : mapping of str to float, optional
        Factors by groups of parameters, see `fastbp.optimizers.UpdateRule`.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    learning_rate: schedules.LearningRate = 0.1
    momentum: float = 0.9
    share: float = 0.7
    slots = 1
    settings = {"momentum": (fraction, tables.HYPER_MOMENTUM), "share": (fraction, tables.HYPER_DECAY)}
    rule = staticmethod(rules.qhm)


'''),
        ("src/fastbp/optimizers/update_rules.py", ')\n"""All of them', ", QHM"),
        ("src/fastbp/__init__.py", "    RMSprop,\n)", "    QHM,\n"),
        ("src/fastbp/__init__.py", '    "Quickprop",\n', '    "QHM",\n'),
        ("tests/naive/update_rules.py", "class Regular:\n", '''\
class QHM:
    """Ma & Yarats 2019."""

    def __init__(self, learning_rate=0.1, momentum=0.9, share=0.7):
        self.rate, self.beta, self.share, self.m = learning_rate, momentum, share, 0.0

    def step(self, w, g):
        self.m = self.beta * self.m + (1 - self.beta) * g
        return w - self.rate * ((1 - self.share) * g + self.share * self.m)


'''),
    ], ("mean = beta * m[i] + rest * g[i]", "mean = beta * m[i] + g[i]")),

    "full-batch method": Addition("HestenesStiefel", ("ConjugateGradient", "LBFGS"), [
        ("src/fastbp/kernels/passes/directions.py", "", '''

@by_address()
def hestenes_direction(parameters: Floats, state: Floats, numbers: Doubles, search: Doubles) -> None:
    """−g + βd with β after Hestenes and Stiefel (Nocedal & Wright 2006, eq. 5.46), at least 0."""
    n = parameters.size
    gradient, direction = part(state, ROW_GRADIENT, n), part(state, ROW_DIRECTION, n)
    last_gradient, last = part(state, ROW_OWN, n), part(state, ROW_OWN + 1, n)
    if numbers[HYPER_STEPS] == 0.0:
        search[SEARCH_ALPHA] = downhill(direction, gradient)
        return
    change = dot(gradient, last) - dot(last_gradient, last)
    beta = max((dot(gradient, gradient) - dot(gradient, last_gradient)) / change, 0.0)
    combine(direction, -1.0, gradient, beta, last)
    search[SEARCH_ALPHA] = numbers[HYPER_STEP_LENGTH] * numbers[HYPER_LAST_SLOPE] / dot(gradient, direction)


@by_address()
def hestenes_note(parameters: Floats, state: Floats, numbers: Doubles, search: Doubles) -> None:
    """Keep the direction, and gradient and slope from before the step."""
    n = parameters.size
    direction, before = part(state, ROW_DIRECTION, n), part(state, ROW_BEFORE, n)
    last_gradient, last = part(state, ROW_OWN, n), part(state, ROW_OWN + 1, n)
    for i in range(n):
        last_gradient[i], last[i] = before[i], direction[i]
    numbers[HYPER_LAST_SLOPE] = search[SEARCH_START_SLOPE]
'''),
        ("src/fastbp/optimizers/line_search.py", "METHODS = (", '''\
@dataclass(frozen=True)
class HestenesStiefel(LineSearch):
    """Nonlinear conjugate gradients after Hestenes and Stiefel, β ≥ 0 (Nocedal & Wright 2006, eq. 5.46)."""

    slots = tables.ROW_OWN + 2
    c2 = 0.1
    varying = LineSearch.varying | {"last_slope": (finite, tables.HYPER_LAST_SLOPE)}
    direct = staticmethod(directions.hestenes_direction)
    remember = staticmethod(directions.hestenes_note)


'''),
        ("src/fastbp/optimizers/line_search.py", "LBFGS, ConjugateGradient)\n", "HestenesStiefel, "),
        ("src/fastbp/__init__.py", "LBFGS, ConjugateGradient\n", "HestenesStiefel, "),
        ("src/fastbp/__init__.py", '    "History",\n', '    "HestenesStiefel",\n'),
        ("tests/naive/full_batch.py", "class Rprop:\n", '''\
class HestenesStiefel:
    """Nocedal & Wright (2006), algorithm 5.4, beta by (5.46)."""

    def direction(self, points, gradients, directions):
        if len(points) == 1:
            return -gradients[0]
        change = gradients[-1] - gradients[-2]
        return -gradients[-1] + max(gradients[-1] @ change / (directions[-1] @ change), 0) * directions[-1]


'''),
    ], ("dot(gradient, gradient) - dot(gradient, last_gradient)) / change", "dot(gradient, gradient)) / change")),

    "derivative": Addition("input_gradient_norms", ("gradient_norms", "vjp"), [
        ("src/fastbp/kernels/derivatives/first.py", "", '''

@by_address()
def input_gradient_norms(layers: Table, cells: Integers, cost_parameter: Doubles, panels: Floats, parameters: Floats,
                         inputs: ReadOnly, given: ReadOnly, weights: ReadOnly, total: float, order: Integers,
                         begin: int, end: int, strips: int, labels: int, rows: Floats, out: Floats) -> None:
    """‖∂E/∂x‖ of each sample's own cost, whose target is given: (samples,)."""
    lane, n_in = lanes(panels), layers[0, LAYER_N_IN]
    backpropagate(layers, cells, cost_parameter, panels, parameters, inputs, given, weights, total, order, begin, end,
                  strips, labels)
    slope = panel(panels, layers[0, LAYER_SOURCE], n_in, 0, strips)
    for i in range(slope.size):
        slope[i] = 1
    call(dense.backward, cells, parameters, layers[0, LAYER_WEIGHTS], panels, layers[0, LAYER_DELTA],
         layers[0, LAYER_SOURCE], n_in, layers[0, LAYER_N_OUT], 0, strips,
         cells[CELL_SCRATCH] if layers[0, LAYER_PACKS] != 0 else -1)
    for i in range(end - begin):
        square = 0.0
        for k in range(n_in):
            square = with_square(square, slope[(i // lane * n_in + k) * lane + i % lane])
        out[begin + i] = math.sqrt(square)
'''),
        ("src/fastbp/derivatives/first.py", "def vjp(self", '''\
def input_gradient_norms(self: Model, X: npt.ArrayLike, Y: npt.ArrayLike) -> Array:
    """Compute the Euclidean norm of ∂E/∂x of each pair's own cost.

    Parameters
    ----------
    X, Y : array_like
        As in `fit`.

    Returns
    -------
    ndarray, shape (n_samples,)
        Norms of the rows of `input_gradient`.
    """
    samples = self._samples(X, Y, empty=True)
    n = len(samples)
    out = np.empty(n, self.dtype)
    with self._borrow(Request(max(n, 1), calls=(dense.backward,))) as (plan, block):
        by_blocks(self, derivatives.input_gradient_norms, plan, block, self._architecture.work, out, samples.inputs,
                  samples.targets, labels=samples.labels)
    return out


'''),
        ("src/fastbp/derivatives/methods.py", "    vjp = first.vjp\n",
         "    input_gradient_norms = first.input_gradient_norms\n"),
        ("tests/naive/derivatives.py", '    "per_sample_gradient": per_sample_gradient,\n', '''\
    "input_gradient_norms": lambda net, X, Y: np.linalg.norm(input_gradient(net, X, Y), axis=1),
'''),
    ], ("square = with_square(square, slope[(i //", "square += abs(slope[(i //")),
}

CATALOGUES = ["tests/kernels/functions", "tests/naive", "tests/optimizers/test_update_rules.py",
              "tests/optimizers/test_full_batch.py", "tests/derivatives/test_first.py", "tests/core/test_gradient.py",
              "tests/kernels/test_calls.py", "tests/test_encoders.py", "tests/test_contracts.py"]
"""The tests that run over all rows, and the contracts of the whole source."""

SLOW = ("test_regression or test_steps_one_by_one or test_who_resumes or test_every_pass or "
        "test_an_interrupt_between or test_a_fit_has_the_bits")
"""Seconds each in plain Python."""

QUICK = ("test_output_and_slope or test_slope_is_the_derivative or test_of_every_activation or test_against_naive or "
         "test_one_step_and_a_hundred or test_every_direction or test_every_method or test_derivatives_by_columns")
"""Of each kind of row the comparison with its twin."""


class Copy:
    """A copy of package and tests in a folder of its own."""

    def __init__(self, root):
        self.root = root
        for folder in ("src", "tests"):
            shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", "fuzz"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, root / name)

    def write(self, file, before, text):
        path = self.root / file
        found = path.read_text(encoding="utf-8")
        assert before == "" or found.count(before) == 1, f"{file} has no, or more than one: {before}"
        place = found.index(before) if before else len(found)
        path.write_text(found[:place] + text + found[place:], encoding="utf-8")

    def python(self, *arguments):
        environment = os.environ | {"PYTHONPATH": str(self.root / "src"), "NUMBA_DISABLE_JIT": "1"}
        return subprocess.run([sys.executable, *arguments], cwd=self.root, env=environment, capture_output=True,
                              text=True, encoding="utf-8", timeout=300)

    def tests(self, which, *options):
        """Run tests by the words in their ids: what pytest says, and the outcome of each."""
        said = self.python("-m", "pytest", "-v", "--tb=line", "-p", "no:cacheprovider", "-k", which, *options,
                           *CATALOGUES).stdout
        return said, dict(re.findall(r"^(tests/\S+::.*?) (PASSED|FAILED|ERROR|SKIPPED)", said, re.M))


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    """A copy with all additions."""
    found = Copy(tmp_path_factory.mktemp("additions"))
    for addition in ADDITIONS.values():
        for edit in addition.edits:
            found.write(*edit)
    yield found
    shutil.rmtree(found.root)


@pytest.fixture
def copy(added):
    """The same, whose files a test may change."""
    paths = {added.root / file for addition in ADDITIONS.values() for file, _, _ in addition.edits}
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    yield added
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


def runs_over(name, test):
    """Return whether a test's id has a row among its parameters."""
    return re.search(rf"\[.*(?<![a-z_]){re.escape(name)}(?![a-z_])", test, re.IGNORECASE) is not None


def functions(name, tests):
    return {test.partition("[")[0] for test in tests if runs_over(name, test)}


@pytest.mark.parametrize("kind", ADDITIONS)
def test_an_addition_touches_few_files(kind):
    assert len({file for file, _, _ in ADDITIONS[kind].edits}) <= MOST_FILES


def test_the_tests_of_all_rows_find_every_addition_and_pass(copy):
    """Each that runs over an old row runs over the new one of its kind; and so do the contracts of the source."""
    words = " or ".join([*(addition.name for addition in ADDITIONS.values()), "test_contracts", "test_calls"])
    said, outcomes = copy.tests(f"({words}) and not ({SLOW})")
    assert set(outcomes.values()) == {"PASSED"}, said[-3000:]
    listed = copy.python("-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-k", f"not ({SLOW})",
                         *CATALOGUES).stdout.splitlines()
    for addition in ADDITIONS.values():
        found, expected = functions(addition.name, outcomes), set.intersection(
            *(functions(name, listed) for name in addition.like))
        assert len(expected) > (1 if addition.name.startswith("input") else 3)
        assert expected <= found, f"not over {addition.name}: {expected - found}"
        assert found == functions(addition.name, listed), "all have run"


def test_a_wrong_kernel_is_found(copy):
    """And no other row's."""
    for addition in ADDITIONS.values():
        path, (right, wrong) = copy.root / addition.edits[0][0], addition.wrong
        found = path.read_text(encoding="utf-8")
        assert found.count(right) == 1
        path.write_text(found.replace(right, wrong), encoding="utf-8")
    _, outcomes = copy.tests(QUICK)
    failed = {test for test, outcome in outcomes.items() if outcome != "PASSED"}
    for addition in ADDITIONS.values():
        assert any(runs_over(addition.name, test) for test in failed), addition.name
    assert all(any(runs_over(addition.name, test) for addition in ADDITIONS.values()) for test in failed)


def test_an_addition_without_its_twin_is_told_where_to_write_it(copy):
    shutil.copytree(ROOT / "tests" / "naive", copy.root / "tests" / "naive", dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests" / "ulp.py", copy.root / "tests")
    said, _ = copy.tests(f"({' or '.join(addition.name for addition in ADDITIONS.values())}) and "
                         f"({QUICK} or test_every_activation_is_tested)")
    for addition in ADDITIONS.values():
        assert f"{addition.name} has no twin" in said
    assert "tests/ulp.py has no isru" in said
