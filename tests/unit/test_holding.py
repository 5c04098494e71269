"""Files that somebody has open: waited for on Windows, as nothing else helps there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pichannels.holding import is_held, patiently, remove, replace

on_windows = pytest.mark.skipif(
    sys.platform != "win32", reason="elsewhere open files can be replaced"
)


class Shared(PermissionError):
    """What Windows tells of a file that somebody has open."""

    winerror = 32


def refused(times: int, error: type[OSError]) -> Callable[[], int]:
    """An action that fails so many times, and tells how often it was tried then."""
    tries = 0

    def action() -> int:
        nonlocal tries
        tries += 1
        if tries <= times:
            raise error(13, "no")
        return tries

    return action


def test_a_file_that_is_open_for_a_moment_is_waited_for() -> None:
    assert patiently(refused(2, Shared), 60) == 3


def test_one_that_stays_open_is_refused_in_the_end() -> None:
    with pytest.raises(Shared):
        patiently(refused(10**9, Shared), 0.05)


def test_what_is_not_allowed_is_refused_at_once() -> None:
    action = refused(1, PermissionError)
    with pytest.raises(PermissionError):
        patiently(action, 60)
    assert action() == 2


def test_a_file_in_use_is_told_from_one_that_is_forbidden() -> None:
    assert is_held(Shared(13, "no"))
    assert not is_held(PermissionError(13, "no"))


def test_what_takes_the_place_of_another_file_is_all_of_it(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_text("new", "utf-8")
    old.write_text("old", "utf-8")
    replace(new, old)
    assert (old.read_text("utf-8"), new.exists()) == ("new", False)


def test_what_is_gone_already_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    remove(file)
    remove(file)
    assert not file.exists()


@on_windows
def test_an_open_file_is_held(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with file.open("wb"), pytest.raises(PermissionError) as refusal:
        file.unlink()
    assert is_held(refusal.value)


@on_windows
def test_a_file_that_is_to_replace_an_open_one_is_held(tmp_path: Path) -> None:
    file, draft = tmp_path / "file", tmp_path / "draft"
    draft.touch()
    with file.open("wb"), pytest.raises(PermissionError) as refusal:
        replace(draft, file)
    assert is_held(refusal.value)
