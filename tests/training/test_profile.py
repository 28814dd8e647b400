"""fit(profile=True): phases that add up, and a training that it does not change."""

import numpy as np
import pytest
from helpers import few, needs_bfloat16

from fastbp import Network
from fastbp.training import profile

EPOCHS = few(50, 3)
"""So many that each phase takes some ticks, also where a tick takes 42 ns (arm64)."""


def trained(threads, **options):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(70, 3)), rng.normal(size=(70, 2))
    return Network((3, 9, 2), seed=1).fit(X, Y, epochs=EPOCHS, batch_size=32, threads=threads, **options)


@pytest.mark.parametrize("threads", [1, 2])
def test_phases_add_up(threads):
    profile = trained(threads, profile=True).history.profile
    assert profile.samples == EPOCHS * 70
    assert profile.threads == threads
    assert {row.layer for row in profile.rows} == {1, 2}
    phases = {row.phase for row in profile.rows}
    assert {"gather", "forward", "activation", "cost", "backward", "gradient", "update"} <= phases
    assert ("waiting" in phases) == (threads == 2)
    assert all(row.seconds > 0 for row in profile.rows)
    assert sum(row.seconds for row in profile.rows) == pytest.approx(profile.seconds)
    for row in profile.rows:
        assert np.isfinite(row.gflops) == (row.phase in ("forward", "backward", "gradient"))
    assert len(str(profile).splitlines()) == 2 + len(profile.rows)


def test_the_clock_changes_no_bit():
    assert (trained(1, profile=True).parameters == trained(1).parameters).all()


def test_no_profile_unless_asked():
    assert trained(1).history.profile is None


@pytest.mark.parametrize(("samples", "settings", "says"), [
    (4, {"batch_size": 1}, "batch_size is 1 with 4 samples"),
    (1, {}, "batch_size is 32 with 1 samples"),
    (4, {"validation": 0.75}, "batch_size is 32 with 1 samples"),
])  # fmt: skip
def test_online_learning_has_no_phases(samples, settings, says):
    net = Network((3, 2), seed=1)
    before = net.parameters.copy()
    with pytest.raises(ValueError, match=f"{says} to train on, one a batch: use batch_size=2 or more"):
        net.fit(np.ones((samples, 3)), np.ones((samples, 2)), profile=True, **settings)
    assert (net.parameters == before).all()


@pytest.mark.parametrize("precision", ["float64", pytest.param("bfloat16", marks=needs_bfloat16)])
def test_peak_is_a_speed(precision):
    assert profile.multiply_add_peak(precision, rounds=2) > 0
