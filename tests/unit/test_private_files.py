"""Files that only the user of the instance reads."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from pichannels.errors import PichannelsError
from pichannels.private_files import PrivateDatabase, write_private

SCHEMA = "CREATE TABLE IF NOT EXISTS told (text TEXT);"


def mode(path: Path) -> int:
    """Who may do what with it."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_files_and_all_folders_that_are_made_for_them_are_private(
    tmp_path: Path,
) -> None:
    file = tmp_path / "data" / "ui" / "told.json"
    write_private(file, b"[]")
    database = PrivateDatabase(file.with_suffix(".sqlite"), SCHEMA, "what was told")
    database.run("INSERT INTO told VALUES (?)", ("it",))
    made = {each.name: mode(each) for each in tmp_path.rglob("*")}
    database.close()
    assert {made.pop("data"), made.pop("ui")} == {0o700}
    assert set(made.values()) == {0o600}


def test_a_database_that_is_none_is_told_and_left(tmp_path: Path) -> None:
    file = tmp_path / "told.sqlite"
    file.write_bytes(b"no database" * 100)
    database = PrivateDatabase(file, SCHEMA, "what was told")
    with pytest.raises(PichannelsError, match=r"what was told .*told\.sqlite"):
        database.run("SELECT * FROM told")
    database.close()
    assert file.read_bytes().startswith(b"no database")
