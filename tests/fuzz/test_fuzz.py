"""A short run of the fuzzers in tests/fuzz, which anyone can run longer."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

FUZZ = Path(__file__).parent


def load(name):
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", FUZZ / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_odd_calls_end_well_or_in_a_deliberate_error():
    assert load("calls").run(150, seed=0, each=150) == []


def test_damaged_files_of_other_libraries_end_well_or_in_a_deliberate_error(tmp_path):
    foreign = load("foreign")
    for format in foreign.FORMATS:
        ends = set()
        for number in range(60):
            ended, error = foreign.outcome(format, number, tmp_path)
            assert ended in ("read", "refused"), f"{format} {number}: {error!r}"
            ends.add(ended)
        assert ends == {"read", "refused"}


def test_the_fuzzer_sees_what_it_looks_for(monkeypatch):
    """A changed input, an accidental error, and none where all is well."""
    calls = load("calls")

    def change(self):
        self.odd.guarded(np.zeros(3))[1] = 1

    def fail(self):
        return None + 1

    cases = {change: "an array of the caller's was changed", fail: "TypeError", lambda self: 1: None}
    for made, expected in cases.items():
        monkeypatch.setattr(calls.Calls, "one", made)
        found = calls.call(1)
        assert found is None if expected is None else expected in found


def test_a_crash_is_told_with_its_call(tmp_path):
    """The supervisor starts another process behind a call that killed one."""
    calls = load("calls")
    script = tmp_path / "calls.py"
    text = (FUZZ / "calls.py").read_text(encoding="utf-8")
    broken = text.replace("        found = call(seed)\n", "        found = call(seed) if seed != 3 else os._exit(7)\n")
    assert broken != text
    script.write_text(broken, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "__file__", str(script))
        patch.setattr(calls.Calls, "one", lambda self: None)
        found = calls.supervise(2, 3)
    assert [number for number, _ in found if number == 3] == [3] and "exit status 7" in dict(found)[3]
