"""Texts of settings files line by line, one version against another."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

__all__ = ["FILE", "DiffLine", "FileDiff", "diffs"]

FILE: Final = "file"
"""Stands for the files as they are now, in the place of a version."""

_AROUND: Final = 3
_MOST: Final = 2000
_NOT_SHOWN: Final = "(not shown)"
_SECRET: Final = re.compile(
    r"""((?:passw|secret|token|api_key|credential)\w*["']?\s*[:=]\s*)"""
    r"""(?:(["'])(?:(?!\2).)+\2|(?![\w.]*\(|["'\s{\[])[^\s,#]{3,})""",
    re.IGNORECASE,
)
_LOGIN: Final = re.compile(r"(?<=://)[^/?#@\s\"']*@")


class DiffLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a difference.

    Attributes:
        kind: `same`, `removed`, `added`, or `gap` where lines that are the same are
            left out.
        before, after: the number of the line in each text, from 1 on; None where it
            is not in it.
        text: of the line; what looks like a secret is not shown.
    """

    kind: Literal["same", "removed", "added", "gap"]
    before: int | None = None
    after: int | None = None
    text: str = ""


class FileDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What differs in one file.

    Attributes:
        path: of the file.
        lines: with some that are the same around them; none where nothing differs.
        added, removed: how many lines.
    """

    path: str
    lines: list[DiffLine]
    added: int
    removed: int


def diffs(before: Mapping[str, str], after: Mapping[str, str]) -> list[FileDiff]:
    """What differs in each of the files, by path; a file that is not there is empty."""
    return [
        _diff(path, before.get(path, ""), after.get(path, ""))
        for path in sorted({*before, *after})
    ]


def _diff(path: str, before: str, after: str) -> FileDiff:
    # Compared as they are: another secret is a difference, too.
    lines = list(_lines(before.splitlines(), after.splitlines()))
    kinds = [line.kind for line in lines]
    return FileDiff(
        path=path,
        lines=lines[:_MOST],
        added=kinds.count("added"),
        removed=kinds.count("removed"),
    )


def _lines(before: list[str], after: list[str]) -> Iterator[DiffLine]:
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for place, group in enumerate(matcher.get_grouped_opcodes(_AROUND)):
        if place or group[0][1] or group[0][3]:
            yield DiffLine(kind="gap")
        for kind, start, end, other, last in group:
            if kind == "equal":
                for number in range(start, end):
                    yield DiffLine(
                        kind="same",
                        before=number + 1,
                        after=other + number - start + 1,
                        text=_shown(before[number]),
                    )
                continue
            for number in range(start, end):
                yield DiffLine(
                    kind="removed", before=number + 1, text=_shown(before[number])
                )
            for number in range(other, last):
                yield DiffLine(
                    kind="added", after=number + 1, text=_shown(after[number])
                )


def _shown(line: str) -> str:
    """The line without values that look like secrets."""
    return _LOGIN.sub(f"{_NOT_SHOWN}@", _SECRET.sub(rf"\1{_NOT_SHOWN}", line))
