"""Properties that are computed once, also in a process that was forked meanwhile."""

import os
import re
import threading
from pathlib import Path

import pytest

import fastbp
from fastbp.kernels.compile.cached import cached_property


class Slow:
    computed = 0

    def __init__(self, begun=None, go_on=None):
        self.begun, self.go_on = begun, go_on

    @cached_property
    def value(self):
        """A number."""
        Slow.computed += 1
        if self.begun is not None:
            self.begun.set()
            self.go_on.wait(60)
        return Slow.computed


def test_it_is_computed_once_for_each_object():
    first, second = Slow(), Slow()
    assert first.value == first.value and second.value == first.value + 1
    assert Slow.value.__doc__ == "A number." and isinstance(Slow.value, cached_property)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_forked_while_another_thread_computes():
    begun, go_on = threading.Event(), threading.Event()
    slow = Slow(begun, go_on)
    worker = threading.Thread(target=lambda: slow.value)
    worker.start()
    assert begun.wait(60)
    child = os.fork()
    if child == 0:
        waiting = threading.Thread(target=lambda: Slow().value, daemon=True)
        waiting.start()
        waiting.join(20)
        os._exit(int(waiting.is_alive()))
    go_on.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    worker.join()


def test_no_other_one_is_used():
    """Whose lock Python 3.11 holds while it computes."""
    others = re.compile(r"@functools\.cached_property|from functools import .*cached_property")
    files = Path(fastbp.__file__).parent.rglob("*.py")
    assert [path.name for path in files if others.search(path.read_text(encoding="utf-8"))] == []
