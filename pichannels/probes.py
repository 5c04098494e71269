"""What is found when the other side of a channel, node or store is looked at."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

__all__ = ["Finding", "folder_finding"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        ok: whether it is as it should be.
        what: what was looked at, in a word or two.
        text: what was found, and what to do where it is wrong.
    """

    ok: bool
    what: str
    text: str


def folder_finding(folder: Path) -> Finding:
    """Whether files can be written to a folder, or it can be made; blocks shortly."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    if not there.is_dir():
        return Finding(False, "folder", f"{there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(False, "folder", f"{there} cannot be written to")
    text = f"{folder} can be written to"
    return Finding(True, "folder", text if there == folder else f"{folder} can be made")
