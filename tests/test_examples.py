"""Every example runs as a user would run it, and every block of Python in the documents does what it says."""

import doctest
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from foreign_files import path_of

import fastbp

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(ROOT.glob("examples/*.py"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)

compiled = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"),
                              reason="trains for minutes in plain Python")


READ = {"model.pt": "checkpoint.pt", "model.keras": "functional.keras", "network.net": "plain.net",
        "network.m": "regression.m", "train.data": "train.data"}
"""Files that docs/formats.md reads, and which of tests/formats/files they are."""


def run(arguments, folder):
    """Run Python in another process, with the fastbp that is tested and warnings as errors; give what it printed."""
    environment = os.environ | {"PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(Path(fastbp.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-W", "error", *arguments], cwd=folder, capture_output=True, text=True,
                          encoding="utf-8", env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def number(pattern, text):
    found = re.search(pattern, text)
    assert found, text
    return float(found[1])


def test_all_examples_are_tested_here():
    """Or in tests/test_cluster.py and tests/test_mpi.py, with libraries that are not in the test extra."""
    assert {path.stem for path in EXAMPLES} - {"cluster", "mpi"} == {
        "cartpole", "digits", "ode", "online", "plots", "regression", "regularization", "search", "slopes", "stream",
        "trace_xor", "weights_and_classes"}


def test_trace_agrees_with_plain_arithmetic(tmp_path):
    printed = run([ROOT / "examples/trace_xor.py"], tmp_path)
    assert number(r"largest difference .*: (\S+)", printed) < 1e-14
    for equation in range(1, 8):
        assert f"({equation})" in printed
    before, after = re.search(r"E +(\S+) -> (\S+)", printed).groups()
    assert float(after) < float(before)


@compiled
def test_digits_are_read(tmp_path):
    for module in ("sklearn", "matplotlib", "tqdm"):
        assert find_spec(module), f"{module} belongs to the test extra"
    printed = run([ROOT / "examples/digits.py", "--output", tmp_path / "pictures"], tmp_path)
    assert number(r"test accuracy: (\S+)%", printed) >= 97
    for name in ("cost.png", "digits.png"):
        assert (tmp_path / "pictures" / name).read_bytes().startswith(b"\x89PNG")


@compiled
def test_regression_beats_its_noise(tmp_path):
    assert number(r"error against [^:]*: (\S+)", run([ROOT / "examples/regression.py"], tmp_path)) < 0.02


@compiled
def test_search_finds_settings(tmp_path):
    assert number(r"test accuracy: (\S+)", run([ROOT / "examples/search.py"], tmp_path)) > 0.9


@compiled
def test_online_learner_follows_the_drift(tmp_path):
    printed = run([ROOT / "examples/online.py"], tmp_path)
    learning, frozen = re.search(r"at the end: learning (\S+), frozen (\S+)", printed).groups()
    assert float(learning) < 0.1 * float(frozen)


@compiled
def test_the_pole_stays_up(tmp_path):
    printed = run([ROOT / "examples/cartpole.py"], tmp_path)
    first, last = re.search(r"first 50 episodes: (\S+), last 50: (\S+) of", printed).groups()
    assert float(first) < 100 and float(last) > 400


@compiled
def test_the_compiled_learner_follows_the_drift(tmp_path):
    printed = run([ROOT / "examples/stream.py"], tmp_path)
    learning, stopped = re.search(r"at the end: learning (\S+), stopped (\S+)", printed).groups()
    assert float(learning) < 0.05 * float(stopped)


@compiled
def test_the_learned_pendulum_keeps_its_energy(tmp_path):
    printed = run([ROOT / "examples/ode.py"], tmp_path)
    assert number(r"change of the energy (\S+)", printed) < 0.02
    assert number(r"solve_ivp arrives (\S+) beside it", printed) < 1e-6


@compiled
def test_slopes_are_worth_more_points(tmp_path):
    printed = run([ROOT / "examples/slopes.py"], tmp_path)
    values, slopes = number(r"9 points, values: +error (\S+)", printed), number(r"slopes: +error (\S+)", printed)
    assert slopes < 0.1 * values


@compiled
def test_pictures_are_drawn(tmp_path):
    printed = run([ROOT / "examples/plots.py", tmp_path], tmp_path)
    assert number(r"accuracy (\S+);", printed) > 0.9
    for name in ("cost", "regions", "network"):
        assert (tmp_path / f"plot-{name}.png").read_bytes().startswith(b"\x89PNG")


@compiled
def test_weights_raise_the_rare_class(tmp_path):
    printed = run([ROOT / "examples/weights_and_classes.py"], tmp_path)
    alike, weighted = (int(share) for share in re.findall(r"(\d+)%$", printed, re.MULTILINE))
    assert weighted > alike + 20


@compiled
def test_regularisation_lowers_the_test_cost(tmp_path):
    printed = run([ROOT / "examples/regularization.py"], tmp_path)
    plain, *others = (float(cost) for cost in re.findall(r"test cost (\S+),", printed))
    assert len(others) == 4 and max(others) < 0.8 * plain
    assert number(r"l1 .*above 0.01: (\d+)%", printed) < 50


def test_readme_has_an_example_to_paste():
    first = BLOCK.search((ROOT / "README.md").read_text(encoding="utf-8"))[1]
    lines = [line for line in first.splitlines() if line.strip()]
    assert len(lines) <= 15 and "import fastbp" in lines


@compiled
@pytest.mark.parametrize("path", [path for path in DOCUMENTS if BLOCK.search(path.read_text(encoding="utf-8"))],
                         ids=lambda path: path.name)
def test_python_in_documents_runs(path, tmp_path):
    """Plain blocks of a document run as one script; sessions with >>> must print what they show."""
    text = path.read_text(encoding="utf-8")
    for name, of in READ.items() if path.stem == "formats" else ():
        (tmp_path / name).write_bytes(path_of(of, tmp_path).read_bytes())
    blocks = BLOCK.findall(text)
    script = "\n".join(block for block in blocks if ">>>" not in block)
    if script:
        run(["-c", script], tmp_path)
    session = doctest.DocTestParser().get_doctest("\n".join(block for block in blocks if ">>>" in block), {}, path.name,
                                                  str(path), 0)
    output = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(session, out=output.append)
    assert not failed, "".join(output)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_files_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target
