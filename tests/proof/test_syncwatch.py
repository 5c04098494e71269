"""No acceptance is reported before its bytes are synced, also inside SQLite.

A library that is loaded before libc records each write, sync and report of a child
process. It is built here with cc.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MESSAGES = 3000


@pytest.fixture
def library(tmp_path: Path) -> Path:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux can load a library before libc in this way")
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed; it builds the library that watches syncs")
    path = tmp_path / "syncwatch.so"
    build = ["cc", "-shared", "-fPIC", "-o", str(path), str(HERE / "syncwatch.c")]
    subprocess.run([*build, "-ldl", "-lpthread"], check=True, timeout=30)
    return path


def unproved(records: list[str]) -> tuple[set[int], int]:
    """Reports without a sync that began after the write and ended before them."""
    written: dict[int, int] = {}
    begun: dict[int, int] = {}
    synced: set[int] = set()
    reported, wrong = 0, set()
    for position, record in enumerate(records):
        kind, number = record[0], int(record[2:])
        if kind == "W":
            written.setdefault(number, position)
        elif kind == "B":
            begun[number] = position
        elif kind == "E":
            start = begun[number]
            synced |= {n for n, at in written.items() if at < start}
            written = {n: at for n, at in written.items() if at >= start}
        else:
            reported += 1
            wrong |= {number} - synced
    return wrong, reported


def test_no_acceptance_is_reported_before_its_sync(
    library: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    subprocess.run(
        [sys.executable, str(HERE / "accepting.py"), str(tmp_path)],
        env={**os.environ, "LD_PRELOAD": str(library), "SYNCWATCH_TRACE": str(trace)},
        check=True,
        timeout=50,
    )
    wrong, reported = unproved(trace.read_text().splitlines())
    assert (reported, sorted(wrong)[:10]) == (MESSAGES, [])


def test_the_proof_finds_a_report_that_comes_too_early() -> None:
    early = ["W 1", "B 1", "W 2", "E 1", "A 1", "A 2", "B 2", "E 2"]
    assert unproved(early) == ({2}, 2)
