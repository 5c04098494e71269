"""The library does what the scenarios rely on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.preload import Action, Operation, Preload, why_missing

WRITES = """
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
for _ in range(3):
    try:
        print(os.write(fd, b"12345678"))
    except OSError as exc:
        print(exc.errno)
print(time.time() > 5 * 10**9)
"""


@pytest.fixture
def preload(library: Path | None, tmp_path: Path) -> Iterator[Preload]:
    if library is None:
        pytest.skip(why_missing())
    (tmp_path / "data").mkdir()
    yield Preload(library, tmp_path / "control", tmp_path / "data")


def written(preload: Preload, path: Path) -> list[str]:
    """What each of three writes of 8 bytes gave; whether it is past the year 2128."""
    done = subprocess.run(
        [sys.executable, "-c", WRITES, str(path)],
        env=preload.environment,
        stdout=subprocess.PIPE,
        timeout=20,
    )
    return [*done.stdout.decode().split(), str(done.returncode)]


def test_the_nth_write_fails(preload: Preload, tmp_path: Path) -> None:
    preload.set(Operation.WRITE, error=28, after=1)
    assert written(preload, tmp_path / "data" / "x") == ["8", "28", "8", "False", "0"]


def test_the_nth_write_is_shortened(preload: Preload, tmp_path: Path) -> None:
    preload.set(Operation.WRITE, Action.SHORTEN, after=2)
    assert written(preload, tmp_path / "data" / "x") == ["8", "8", "4", "False", "0"]


def test_the_nth_write_is_half_of_the_last(preload: Preload, tmp_path: Path) -> None:
    preload.set(Operation.WRITE, Action.KILL, after=1)
    path = tmp_path / "data" / "x"
    assert (written(preload, path), path.stat().st_size) == (["-9"], 12)


def test_other_folders_are_left_alone(preload: Preload, tmp_path: Path) -> None:
    preload.set(Operation.WRITE, count=None)
    assert written(preload, tmp_path / "x") == ["8", "8", "8", "False", "0"]


def test_the_clock_is_shifted(preload: Preload, tmp_path: Path) -> None:
    preload.shift(5 * 10**9)
    assert written(preload, tmp_path / "x")[3] == "True"
