"""A power cut takes what was not synced, and nothing else."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.power import cut_power
from tests.faults.preload import Preload, why_missing

WRITES = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b"A" * 1024, 0)
os.fsync(fd)
os.pwrite(fd, b"B" * 1024, 512)
os.ftruncate(fd, 100)
"""


def left(library: Path | None, folder: Path, seed: int) -> bytes:
    """What is in the file after its writes and a power cut."""
    if library is None:
        pytest.skip(why_missing())
    data, notes = folder / "data", folder / "notes"
    data.mkdir(exist_ok=True)
    preload = Preload(library, folder / "control", data, notes)
    path = data / "file"
    path.unlink(missing_ok=True)
    subprocess.run(
        [sys.executable, "-c", WRITES, str(path)],
        env=preload.environment,
        check=True,
        timeout=20,
    )
    assert cut_power(notes, random.Random(seed)) == 2
    return path.read_bytes()


def test_any_part_of_what_was_not_synced_is_left(
    library: Path | None, tmp_path: Path
) -> None:
    found = {left(library, tmp_path, seed) for seed in range(12)}
    nothing, written = b"A" * 1024, b"A" * 512 + b"B" * 1024
    assert {nothing, written, b"A" * 100} <= found
