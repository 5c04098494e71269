"""Regular expressions are matched for a bounded time, in a process that ends."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pichannels import matching_process
from pichannels.errors import UsageError
from pichannels.matching import BoundedPattern

ENDLESS = "(a+)+$"
TEXT = "a" * 40 + "!"


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("plain", "it is plain", True),
        ("^it .s\\.$", "it is.", True),
        ("a.*b|c+", "ccc", True),
        ("(x)\\1", "xy", False),
        ("é+", "caféé", True),
        (".+", "\udcff", True),
        ("n.+e", "", False),
    ],
)
def test_it_finds_what_re_finds(pattern: str, text: str, expected: bool) -> None:
    found = BoundedPattern(pattern)
    assert [found.is_in(text), found.is_in(text)] == [expected] * 2
    assert bool(re.search(pattern, text)) is expected


def test_what_takes_too_long_is_told_and_nothing_else_waits() -> None:
    pattern, others = BoundedPattern(ENDLESS, 0.3), threading.Event()
    threading.Timer(0.01, others.set).start()
    with pytest.raises(UsageError, match="takes too long"):
        pattern.is_in(TEXT)
    assert others.is_set()
    with pytest.raises(UsageError, match="takes too long"):
        pattern.is_in("a")


def test_what_is_none_is_refused_at_once() -> None:
    with pytest.raises(re.error):
        BoundedPattern("(")


def processes() -> set[str]:
    """The processes that this one has begun, and not waited for."""
    found = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    return set(found.read_text().split())


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for processes")
def test_its_process_ends_with_it() -> None:
    gc.collect()
    before = processes()
    pattern = BoundedPattern("a+")
    assert pattern.is_in("a")
    assert len(processes() - before) == 1
    del pattern
    gc.collect()
    assert processes() - before == set()


def test_its_process_ends_with_its_input() -> None:
    program = matching_process.__file__
    done = subprocess.run([sys.executable, program], input=b"", capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"r")
