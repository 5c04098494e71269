"""Users keep searches by a name, each for itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pichannels.control.audit import Audit
from pichannels.errors import SettingsError, UsageError
from pichannels.ui.roles import Principal, Role
from pichannels.ui.saved_searches import SavedSearches


def test_a_search_is_there_again_for_its_user_alone(tmp_path: Path) -> None:
    SavedSearches(tmp_path / "ui" / "s.json").save("ann", "failed", "state=error")
    again = SavedSearches(tmp_path / "ui" / "s.json")
    assert (again.of("ann"), again.of("bob")) == ({"failed": "state=error"}, {})


@pytest.mark.skipif(sys.platform == "win32", reason="modes are of POSIX")
def test_what_users_do_and_search_is_for_the_owner_alone(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.sqlite")
    audit.note(Principal("ann", Role.ADMIN), "stop")
    SavedSearches(tmp_path / "searches.json").save("ann", "mine", "text=Bob")
    modes = {file.name: file.stat().st_mode & 0o077 for file in tmp_path.iterdir()}
    audit.close()
    assert modes.keys() >= {"audit.sqlite", "audit.sqlite-wal", "searches.json"}
    assert set(modes.values()) == {0}


def test_a_name_is_given_anew_and_forgotten(tmp_path: Path) -> None:
    searches = SavedSearches(tmp_path / "s.json")
    searches.save("ann", "one", "state=error")
    searches.save("ann", "one", "state=dropped")
    assert searches.of("ann") == {"one": "state=dropped"}
    searches.delete("ann", "one")
    assert searches.of("ann") == {}


@pytest.mark.parametrize(("name", "query"), [("", "a=b"), ("x" * 61, "a=b"), ("a", "")])
def test_what_is_no_search_is_refused(tmp_path: Path, name: str, query: str) -> None:
    with pytest.raises(UsageError):
        SavedSearches(tmp_path / "s.json").save("ann", name, query)


def test_there_are_not_too_many(tmp_path: Path) -> None:
    searches = SavedSearches(tmp_path / "s.json")
    for number in range(50):
        searches.save("ann", str(number), "a=b")
    with pytest.raises(UsageError, match="50 searches"):
        searches.save("ann", "one more", "a=b")


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("[")
    with pytest.raises(SettingsError, match=r"s\.json"):
        SavedSearches(tmp_path / "s.json").of("ann")
