"""A team that is slower than one thread alone gives way to it, and nothing of the result changes."""

import numpy as np
import pytest
from helpers import few

from fastbp import Adam, Network, Regularization
from fastbp.core import thread_team
from fastbp.kernels import layout, tables
from fastbp.util import machine


def chosen(seconds, calls, threads=2):
    """The numbers of threads of so many calls where a block takes seconds[threads](call)."""
    tuner, found = thread_team.Tuner(threads), []
    for call in range(1, calls + 1):
        found.append(tuner.choose(10))
        tuner.took(found[-1], 10, 10 * seconds[found[-1]](call))
    return found


def test_the_faster_one_works_and_the_other_is_tried_now_and_then():
    for fast, slow, tried in ((2, 1, {2, 4, 8, 16, 32, 64, 128, 192}), (1, 2, {2, 4, *range(8, 201, 8)})):
        found = chosen({fast: lambda call: 1.0, slow: lambda call: 1.5}, 200)
        assert found[0] == 2
        assert {call for call, threads in enumerate(found, 1) if threads == slow} - {1} == tried - {2} | (
            {2} if slow == 1 else set())


def test_what_changes_is_noticed():
    """A core is busy until call 300: alone until it is tried again, a team thereafter."""
    found = chosen({1: lambda call: 1.0, 2: lambda call: 3.0 if call < 300 else 0.5}, 500)
    assert set(found[16:23]) == {1}
    assert found[-30:] == [2] * 30


def test_what_was_compiled_in_the_first_call_is_soon_forgotten():
    found = chosen({1: lambda call: 1.0, 2: lambda call: 1000.0 if call == 1 else 0.5}, 20)
    assert found[4:7] == [2] * 3 and found[16:] == [2] * 4


def test_starting_threads_for_a_short_call_is_no_lesson():
    tuner = thread_team.Tuner(2)
    for _ in range(50):
        for blocks, seconds in ((10, 0.01), (400, 0.04)):
            assert tuner.choose(blocks) == 2 or tuner.trying
            threads = 1 if tuner.trying else 2
            tuner.took(threads, blocks, seconds if threads == 2 else 1.5 * seconds)


def test_one_thread_stays_alone():
    assert chosen({1: lambda call: 1.0}, 70, threads=1) == [1] * 70


def test_no_team_where_there_is_too_little_work():
    """However many threads the user allows: a step of 2-8-1 takes half a microsecond, two barriers as long."""
    def sizes(batch, samples):
        return [thread_team.size(threads, batch, samples, lambda: 100) for threads in (1, 2, 7, 1024)]

    step, whole = machine.STEP_WORK, machine.PASS_WORK
    assert sizes(step - 1, whole) == sizes(step, whole - 1) == [1, 1, 1, 1]
    assert sizes(step, whole) == [1, 2, 2, 2]
    assert sizes(100 * step, whole) == [1, 2, 7, 100]
    assert thread_team.size(None, 100 * step, whole, lambda: 100) == min(machine.processors(), 100)


@pytest.mark.parametrize(("team", "regularization", "handing_on"), [
    (2, None, True), (2, None, False), (3, None, True), (3, Regularization(clip_norm=0.1, dropout=0.2), True)],
    ids=["handing on", "weights of their own", "plain", "clipped"])
def test_changing_teams_changes_no_bit(team, regularization, handing_on, monkeypatch):
    monkeypatch.setattr(layout, "hands_on", lambda *_: handing_on)
    monkeypatch.setattr(layout, "owns_weights", lambda *_: True)
    monkeypatch.setattr(layout, "sums_lanes", lambda *_: False)
    monkeypatch.setattr(machine, "STEP_WORK", 1)
    monkeypatch.setattr(machine, "PASS_WORK", 1)
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(few(300, 60), 5)), rng.normal(size=(few(300, 60), 2))

    def fitted(threads):
        net = Network((5, 30, 2), seed=1)
        net.fit(X, Y, epochs=6, batch_size=40, optimizer=Adam(0.01), threads=threads, regularization=regularization,
                callbacks=[lambda record: None])
        return net.parameters.tobytes(), net.history.cost.tobytes()

    alone, sizes = fitted(1), []

    def choose(tuner, blocks):
        sizes.append(tuner.threads if len(sizes) % 2 else 1)
        tuner.trying = len(sizes) % 3 == 0
        return sizes[-1]

    monkeypatch.setattr(thread_team.Tuner, "choose", choose)
    assert fitted(team) == alone
    assert {1, team} <= set(sizes)


def test_the_next_fit_goes_on_with_what_is_known(monkeypatch):
    """Short fits, too, come to know which is faster; other batch sizes, architectures and passes begin anew."""
    monkeypatch.setattr(machine, "STEP_WORK", 1)
    monkeypatch.setattr(machine, "PASS_WORK", 1)
    rng, teams, run = np.random.default_rng(0), [], thread_team.run
    X, Y = rng.normal(size=(40, 5)), rng.normal(size=(40, 2))
    monkeypatch.setattr(thread_team, "run", lambda threads, work: (teams.append(threads), run(threads, work)))
    net = Network((5, 4, 2), seed=1)
    net.fit(X, Y, epochs=2, batch_size=40, threads=2)  # compiles, which takes the time of thousands of blocks
    net._workspaces.tuners.clear()
    for batch in (40, 20):
        net.fit(X, Y, epochs=2, batch_size=batch, threads=2)
    assert set(teams) == {2} and len(net._workspaces.tuners) == 2
    like = 40, 2, False, tables.KIND_PLAIN, False
    tuner = net._workspaces.tuners[like]
    tuner.block_seconds, tuner.calls = {1: 1e-9, 2: 1.0}, 8
    teams.clear()
    net.fit(X, Y, epochs=2, batch_size=40, threads=2)
    assert not teams and net._workspaces.tuners[like] is tuner and tuner.calls > 8
    net.fit(X, Y, target_jacobian=np.zeros((40, 2, 5)), epochs=2, batch_size=40, threads=2)
    assert teams  # by what a pass over values alone has shown there would be none
    teams.clear()
    net.fit(X, Y, epochs=2, batch_size=20, threads=2)
    assert len(net._workspaces.tuners) == 3
    Network((5, 3, 2), seed=1).fit(X, Y, epochs=2, batch_size=40, threads=2)
    assert len(teams) >= 2


def test_a_team_that_is_far_slower_by_now_is_left():
    """From the first call of a fit on, of which nothing is learned: those that follow it have as few blocks."""
    tuner, blocks, used = thread_team.Tuner(2), 400, []
    for call in range(60):
        blocks = 20 if call == 20 else blocks
        threads = tuner.choose(blocks)
        some = blocks // 8 if tuner.trying else blocks
        spent = {1: 2e-4, 2: 1e-4 if call < 20 else 2e-3}[threads]
        tuner.took(threads, some, some * spent)
        blocks = int(machine.CHUNK_SECONDS / spent)
        used.append(threads)
    assert used[17:22] == [2] * 5 and used[28:].count(1) >= 28


def test_short_fits_and_long_blocks_try_nothing():
    for blocks, seconds in ((10, 1e-3), (7, 10.0)):
        tuner = thread_team.Tuner(2)
        for _ in range(100):
            assert tuner.choose(blocks) == 2
            tuner.took(2, blocks, seconds)
