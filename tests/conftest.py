"""What tests share: the random generator, sizes for the JIT-off run, subprocesses, tolerances."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from fastbp.core import thread_team, workspaces
from fastbp.kernels.compile import JIT

settings.register_profile("fastbp", max_examples=25 if JIT else 8, deadline=None, derandomize=True)
settings.register_profile("exploring", max_examples=200 if JIT else 30, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fastbp"))

SOURCE = Path(__file__).resolve().parents[1] / "src"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background jobs do, and with them what they start
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng(request):
    """A generator of its own for each test, the same in every run."""
    return np.random.default_rng(sum(request.node.name.encode()))


@pytest.fixture(autouse=True)
def steady(request, monkeypatch):
    """Let all threads that a test asks for work in each call; which is faster is for `test_thread_team` to ask."""
    if request.path.stem != "test_thread_team":
        decided = thread_team.size
        monkeypatch.setattr(thread_team, "size", lambda threads, *work: threads or decided(threads, *work))
        monkeypatch.setattr(thread_team.Tuner, "choose", lambda tuner, blocks: tuner.threads)


@pytest.fixture(autouse=True)
def unknown():
    """Keep no plan for the next test, which may have other things decided."""
    workspaces._KEPT.clear()


@pytest.fixture
def run_python():
    """Run a script in a fresh interpreter that sees the same fastbp; give what it printed."""

    def run(script: str, *, timeout: float = 120, environment: dict[str, str | None] | None = None) -> str:
        variables = dict(os.environ)
        for name, value in (environment or {}).items():
            if value is None:
                variables.pop(name, None)
            else:
                variables[name] = value
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script], env=variables, capture_output=True, text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


FIGURES = pytest.StashKey[dict[str, float]]()


@pytest.fixture
def largest(request):
    """Keep the largest of some measured figures, by name; the summary shows them."""
    figures = request.config.stash.setdefault(FIGURES, {})

    def keep(name: str, value: float) -> None:
        figures[name] = max(figures.get(name, 0.0), value)

    return keep


def pytest_addoption(parser):
    parser.addoption("--none-skipped", action="store_true", help="fail if a test is skipped: what it needs is missing")


def pytest_sessionfinish(session):
    skipped = session.config.pluginmanager.get_plugin("terminalreporter").stats.get("skipped")
    if skipped and session.config.getoption("--none-skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    for name, value in sorted(config.stash.get(FIGURES, {}).items()):
        terminalreporter.write_line(f"largest {name}: {value:.2g}")
