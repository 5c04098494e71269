"""`pichannels store`, `replay` and `status`, with and without an instance."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.folders import Folder

AWAY = """
from msgstore.postgres import PostgreSQLMessageStoreFactory
from pichannels.channels import BaseChannel
away = PostgreSQLMessageStoreFactory("postgresql://x@127.0.0.1:1/x")
CHANNELS.append(BaseChannel("far", message_store_factory=away))
"""


def test_stores_are_listed(kept: Folder) -> None:
    result = kept.run("store", "list", "--json")
    assert result.json == [
        {
            "channel": "values",
            "store": "SQLiteMessageStore",
            "messages": 3,
            "journal": True,
        }
    ]


def test_messages_are_found(kept: Folder) -> None:
    found = kept.run("store", "search", "value 1", "--json").json
    assert [(row["payload"], row["state"]) for row in found] == [
        ("value 1", "processed")
    ]


def test_messages_are_found_by_where_and_how_they_failed(kept: Folder) -> None:
    conditions = ("--node", "Sink", "--error", "is refused", "--attempts", "1")
    found = kept.run("store", "search", *conditions, "--json").json
    assert [(row["payload"], row["node"]) for row in found] == [
        ("value 2", "values.Sink")
    ]
    assert kept.run("store", "search", "--lane", "replay", "--json").json == []


def test_pages_of_messages_go_on_behind_those_left_out(kept: Folder) -> None:
    args = ("--skip", "1", "--count", "1", "--oldest-first", "--json")
    (row,) = kept.run("store", "search", *args).json
    assert row["payload"] == "value 1"


def test_a_store_that_is_away_hides_no_others(settled: Path, tmp_path: Path) -> None:
    folder = Folder(Path(shutil.copytree(settled, tmp_path / "plant")))
    text = (folder.path / "settings.py").read_text()
    folder.write("settings.py", text + AWAY)
    result = folder.run("store", "search", "value 1")
    assert result.code == 0, result.err
    assert "value 1" in result.out
    assert "not searched: far: postgresql://127.0.0.1:1/x" in result.err


def test_a_message_is_shown_whole(kept: Folder) -> None:
    result = kept.run("store", "show", "3", "--json")
    assert result.json["outcome"]["err_msg"] == "value 2 is refused"
    assert result.json["message"]["payload"] == "value 2"


def test_the_way_of_a_message_is_shown(kept: Folder) -> None:
    result = kept.run("store", "trace", "values", "3")
    assert (result.code, result.out) == (
        0,
        "values.Sink (Sink)\n  <- value 2\n  !! value 2 is refused\n"
        "rejected: value 2 is refused\n",
    )


def test_a_dry_run_tells_the_count(kept: Folder) -> None:
    result = kept.run("replay", "--state", "processed", "--dry-run")
    assert (result.code, result.out) == (0, "2 messages would be replayed\n")
    assert len(kept.lines()) == 2


def test_a_message_is_replayed_by_its_id(own: Folder) -> None:
    own.write("mended", "")
    result = own.run("replay", "3")
    assert result.code == 0
    assert result.out.startswith("1 of 1 messages replayed: 1 processed")
    assert own.lines()[-1] == "value 2 replay"


def test_a_replay_that_fails_again_is_told(own: Folder) -> None:
    result = own.run("replay", "--state", "rejected")
    assert result.code == 1
    assert result.err.endswith("values 3: value 2 is refused\n")


def test_a_replay_runs_no_sources(own: Folder) -> None:
    result = own.run("replay", "1", "2", "--json")
    assert result.json["processed"] == 2
    assert len(own.lines()) == 4


def test_the_journal_is_copied_and_verified(own: Folder) -> None:
    copied = own.run("store", "backup", "copy.sqlite", "--json").json
    path = own.path / "copy.sqlite"
    assert copied == {"path": str(path), "bytes": path.stat().st_size}
    assert own.run("store", "verify").out == "all is well\n"
    assert own.run("store", "verify", "--file", str(path)).code == 0


@pytest.mark.parametrize(
    ("args", "code", "expected"),
    [
        (("store", "show", "99"), 1, "no store of this project holds message '99'"),
        (("store", "search", "-c", "valus"), 2, "did you mean 'values'?"),
        (("store", "search", "--start", "yesterday"), 2, "'yesterday' is no time"),
        (("store", "show", "values"), 1, "it is a channel"),
        (("replay",), 2, "say which messages"),
        (("replay", "1", "--start", "2024-01-01"), 2, "with ids no other condition"),
        (("replay", "1", "--to-sink", "Sink"), 2, "'values.Sink' is no sink"),
        (("replay", "1", "--from-node", "Snk"), 2, "did you mean 'Sink'"),
        (("store", "backup", "settings.py"), 2, "exists"),
    ],
)
def test_mistakes_are_told_the_same_way(
    kept: Folder, args: tuple[str, ...], code: int, expected: str
) -> None:
    result = kept.run(*args)
    assert (result.code, expected in result.err) == (code, True), result.err
    assert "Traceback" not in result.err


def test_a_damaged_backup_is_told(empty: Folder) -> None:
    empty.write("copy.sqlite", "this is no database" * 100)
    result = empty.run("store", "verify", "--file", "copy.sqlite")
    assert (result.code, "Traceback" in result.err) == (1, False)
    assert "copy.sqlite" in result.err


def test_tables_are_for_people(kept: Folder) -> None:
    result = kept.run("store", "search", "--oldest-first")
    assert [line.split()[0] for line in result.out.splitlines()] == ["id", *"123"]


def test_the_status_is_told(plant: Folder) -> None:
    with plant.start():
        plant.wait_for_settled(3)
        result = plant.run("status")
    assert "plant is running, process" in result.out
    rows = [line.split() for line in result.out.splitlines()]
    assert [*("values", "waiting", "3", "2", "0", "1", "0", "0")] in rows


@pytest.mark.parametrize("kept", ["stopped"], indirect=True)
def test_without_an_instance_there_is_no_status(kept: Folder) -> None:
    result = kept.run("status")
    assert (result.code, "no instance runs" in result.err) == (4, True)


def test_settings_that_are_wrong_by_now_hide_no_instance(plant: Folder) -> None:
    with plant.start():
        plant.write("settings.py", "CHANNELS = [")
        assert plant.run("status").code == 0
