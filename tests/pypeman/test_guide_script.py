"""A script written from the guide does the same under pypeman and here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).parent / "guide_script.py"
DIFFERENT: Final = {
    # Ours tells what to do.
    "stopped": "stopped True \"ChannelStopped: channel 'steps' is stopped; start it to",
    "Reject": "Reject 'Rejected: rejected by the settings'",
    "RaiseError": "RaiseError 'Failed: this node always fails'",
    "endings 'RaiseError'": "endings 'RaiseError' 'Failed: this node always fails'",
    "endings 'Reject'": "endings 'Reject' 'Rejected: rejected by the settings'",
    # The result of the branch is the result, as the guide has it.
    "when true": "when true \"'yes-when'\"",
    # The node behind a case runs once.
    "case log": "case log ['1-one', '2-two', '3']",
    # What is given back for a dropped message is the caller's own.
    "endings 'Drop'": "endings 'Drop' \"'a'\" ['a0-drop', 'a0-final']",
    # A node that yields may be the last one.
    'YielderNode "': "YielderNode \"'y'\"",
    "YielderNode 'Rejected: ": "YielderNode 'Rejected: ",
}
"""How a line begins, and how ours does."""


def output(package: str, folder: Path) -> list[str]:
    folder.mkdir()
    settings = (
        'LOGGING = {"version": 1}\n'
        'PERSISTENCE_BACKEND = "pypeman.persistence.MemoryBackend"\n'
        "PERSISTENCE_CONFIG = {}\n"
    )
    (folder / "settings.py").write_text(settings, encoding="utf-8")
    found = subprocess.run(
        [sys.executable, str(SCRIPT), package],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


def differing(theirs: Sequence[str], ours: Sequence[str]) -> list[tuple[str, str]]:
    """The lines that differ in another way than they should."""
    return [
        (one, two)
        for one, two in zip(theirs, ours, strict=True)
        if one != two and not _is_meant(one, two)
    ]


def _is_meant(one: str, two: str) -> bool:
    return any(
        one.startswith(begin) and two.startswith(mine)
        for begin, mine in DIFFERENT.items()
    )


def test_a_script_from_the_guide_does_the_same_but_for_faults(tmp_path: Path) -> None:
    pytest.importorskip("pypeman", reason="pypeman is not installed")
    theirs = output("pypeman", tmp_path / "theirs")
    ours = output("pichannels.pypeman", tmp_path / "ours")
    assert differing(theirs, ours) == []
