"""What the examples have printed while the gallery was built is what they are to show."""

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "gallery"
EXAMPLES = {path.stem for path in ROOT.glob("examples/*.py")}
ELSEWHERE = {"cluster", "mpi"}
"""They start processes of their own; tests/test_cluster.py and tests/test_mpi.py run them."""


def printed(name):
    """Return what an example has printed."""
    page = (PAGES / f"{name}.rst").read_text(encoding="utf-8")
    out = re.search(r"\.\. rst-class:: sphx-glr-script-out\n\n \.\. code-block:: none\n\n(.*?)\n\n\n", page, re.DOTALL)
    assert out, f"{name} has printed nothing"
    return textwrap.dedent(out[1])


def number(pattern, text):
    found = re.search(pattern, text)
    assert found, text
    return float(found[1])


@pytest.mark.parametrize("name", sorted(EXAMPLES - ELSEWHERE))
def test_every_example_has_its_picture(name):
    assert list((PAGES / "images").glob(f"sphx_glr_{name}_001*.png"))


def test_trace_agrees_with_plain_arithmetic():
    text = printed("trace_xor")
    assert number(r"largest difference .*: (\S+)", text) < 1e-14
    for equation in range(1, 8):
        assert f"({equation})" in text
    before, after = re.search(r"E +(\S+) -> (\S+)", text).groups()
    assert float(after) < float(before)


def test_digits_are_read():
    assert number(r"test accuracy: (\S+)%", printed("digits")) >= 97


def test_regression_beats_its_noise():
    assert number(r"error against [^:]*: (\S+)", printed("regression")) < 0.02


def test_search_finds_settings():
    assert number(r"test accuracy: (\S+)", printed("search")) > 0.9


def test_online_learner_follows_the_drift():
    learning, frozen = re.search(r"at the end: learning (\S+), frozen (\S+)", printed("online")).groups()
    assert float(learning) < 0.1 * float(frozen)


def test_the_pole_stays_up():
    first, last = re.search(r"first 50 episodes: (\S+), last 50: (\S+) of", printed("cartpole")).groups()
    assert float(first) < 100 and float(last) > 400


def test_the_compiled_learner_follows_the_drift():
    learning, stopped = re.search(r"at the end: learning (\S+), stopped (\S+)", printed("stream")).groups()
    assert float(learning) < 0.05 * float(stopped)


def test_the_learned_pendulum_keeps_its_energy():
    text = printed("ode")
    assert number(r"change of the energy (\S+)", text) < 0.02
    assert number(r"solve_ivp arrives (\S+) beside it", text) < 1e-6


def test_slopes_are_worth_more_points():
    text = printed("slopes")
    values, slopes = number(r"9 points, values: +error (\S+)", text), number(r"slopes: +error (\S+)", text)
    assert slopes < 0.1 * values


def test_pictures_are_drawn():
    assert number(r"accuracy (\S+);", printed("plots")) > 0.9
    assert len(list((PAGES / "images").glob("sphx_glr_plots_00*.png"))) >= 3


def test_weights_raise_the_rare_class():
    alike, weighted = (int(share) for share in re.findall(r"(\d+)%$", printed("weights_and_classes"), re.MULTILINE))
    assert weighted > alike + 20


def test_regularisation_lowers_the_test_cost():
    text = printed("regularization")
    plain, *others = (float(cost) for cost in re.findall(r"test cost (\S+),", text))
    assert len(others) == 4 and max(others) < 0.8 * plain
    assert number(r"l1 .*above 0.01: (\d+)%", text) < 50
