"""Texts of settings compared line by line, without what looks like a secret."""

from __future__ import annotations

import pytest

from pichannels.ui.settings_texts import DiffLine, diffs


def told(line: DiffLine) -> tuple[str, int | None, int | None, str]:
    return line.kind, line.before, line.after, line.text


def test_changed_lines_are_told_with_those_around_them() -> None:
    before = [f"line {n}" for n in range(1, 11)]
    after = [*before[:7], "another", *before[8:]]
    (found,) = diffs({"a": "\n".join(before)}, {"a": "\n".join(after)})
    assert [told(line) for line in found.lines[:5]] == [
        ("gap", None, None, ""),
        ("same", 5, 5, "line 5"),
        ("same", 6, 6, "line 6"),
        ("same", 7, 7, "line 7"),
        ("removed", 8, None, "line 8"),
    ]
    assert told(found.lines[5]) == ("added", None, 8, "another")
    assert (found.added, found.removed) == (1, 1)


def test_files_that_are_new_gone_or_the_same_are_told() -> None:
    found = diffs({"a": "x\n", "b": "y\n"}, {"b": "y\n", "c": "z\n"})
    assert [(one.path, one.added, one.removed) for one in found] == [
        ("a", 0, 1),
        ("b", 0, 0),
        ("c", 1, 0),
    ]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("PASSWORD = 'hunter2'", "PASSWORD = (not shown)"),
        ('"db_password": "a b", "x": 1', '"db_password": (not shown), "x": 1'),
        ("token: abc123", "token: (not shown)"),
        ("password = Secret.env('PI')", "password = Secret.env('PI')"),
        ("url = 'postgresql://me:pw@db/x'", "url = 'postgresql://(not shown)@db/x'"),
        ("tags = ['UNIT1.*']", "tags = ['UNIT1.*']"),
    ],
)
def test_what_looks_like_a_secret_is_not_shown(line: str, shown: str) -> None:
    (found,) = diffs({"s": ""}, {"s": line})
    assert [line.text for line in found.lines] == [shown]
