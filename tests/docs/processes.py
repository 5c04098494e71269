"""Python in a process of its own, with nothing of these tests in its way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT

__all__ = ["environment", "in_process"]


def environment() -> dict[str, str]:
    """The variables of a reader of the docs."""
    ours = ("PICHANNELS", "PYTEST")
    env = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return env | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def in_process(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """What Python says in a folder."""
    return subprocess.run(
        [sys.executable, *args],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )
