"""Nodes for files: whole or not at all, and nothing twice that a crash would spoil."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nodes import files
from pichannels.channels.base import BaseChannel
from pichannels.delivery import Outcome
from pichannels.errors import (
    CodecError,
    DecodeError,
    MessageError,
    RetryLater,
    SettingsError,
    UsageError,
)
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.persistence import MemoryPersistence
from pichannels.testing import ManualClock


def message(payload: Any = "text", **meta: Any) -> Message:
    return Message(payload=payload, meta=meta)


def content(path: Path) -> str:
    return path.read_bytes().decode()


def names(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    )


async def outcome(node: BaseNode, *messages: Message) -> Outcome:
    """What becomes of the last of the messages in a channel with this node."""
    channel = BaseChannel("plant")
    channel.add(node)
    await channel.start()
    try:
        return [await channel.run(msg) for msg in messages][-1]
    finally:
        await channel.stop()


async def result(node: BaseNode, *messages: Message) -> Message:
    done = await outcome(node, *messages)
    if done.error is not None:
        raise done.error
    return done.message


# Read


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "50% ü.csv"
    path.write_bytes("1;ü\r\n".encode())
    return path


async def test_the_file_of_the_message_is_read(csv: Path) -> None:
    msg = await result(files.Read(), message(filepath=str(csv)))
    assert (msg.payload, msg.meta["filename"]) == ("1;ü\r\n", csv.name)


@pytest.mark.parametrize(
    "options",
    [
        {"filepath": "PATH"},
        {"filepath": lambda msg: msg.meta["wanted"]},
        {"filename": "50% ü.csv"},
        {"filename": lambda msg: "50% ü.csv"},
    ],
)
async def test_the_options_name_another_file(
    csv: Path, options: dict[str, Any]
) -> None:
    given: dict[str, Any] = {
        k: str(csv) if v == "PATH" else v for k, v in options.items()
    }
    meta = {"filepath": str(csv.parent / "a.ok"), "wanted": str(csv)}
    msg = await result(files.Read(**given, binary_file=True), message(**meta))
    assert (msg.payload, msg.meta["filepath"]) == ("1;ü\r\n".encode(), str(csv))


async def test_what_cannot_be_read_fails_the_message(csv: Path) -> None:
    latin = csv.with_name("latin")
    latin.write_bytes(b"\xe9")
    wrong: list[tuple[dict[str, Any], Any, type[Exception]]] = [
        ({"filepath": csv.with_name("no")}, None, FileNotFoundError),
        ({"filepath": latin}, None, DecodeError),
        ({"filepath": csv, "max_bytes": 3}, None, MessageError),
        ({}, None, MessageError),
        ({"filepath": lambda msg: None}, None, MessageError),
    ]
    for options, _, error in wrong:
        done = await outcome(files.Read(**options), message())
        assert isinstance(done.error, error), options


# Write


async def test_text_and_bytes_are_written_and_nothing_beside(tmp_path: Path) -> None:
    for payload in ("ü", "ü".encode()):
        path = tmp_path / "out" / "a.txt"
        await result(files.Write(path), message(payload))
        assert content(path) == "ü"
    assert names(tmp_path) == ["out/a.txt"]


async def test_by_default_the_file_of_the_message_is_written(csv: Path) -> None:
    await result(files.Write(), message("new", filepath=str(csv)))
    assert content(csv) == "new"


@pytest.mark.parametrize("safe", [True, False])
async def test_others_are_told_by_an_empty_file(tmp_path: Path, safe: bool) -> None:
    node = files.Write(tmp_path / "a.csv", safe_file=safe, create_valid_file=True)
    await result(node, message())
    assert names(tmp_path) == ["a.csv", "a.ok"]


async def test_a_payload_that_is_no_text_is_refused(tmp_path: Path) -> None:
    done = await outcome(files.Write(tmp_path / "a"), message({"a": 1}))
    assert isinstance(done.error, CodecError)
    done = await outcome(files.Write(tmp_path / "a", encoding="ascii"), message("ü"))
    assert isinstance(done.error, CodecError)
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
async def test_a_full_disk_lets_the_message_wait() -> None:
    done = await outcome(files.Write("/dev/full", safe_file=False), message())
    assert isinstance(done.error, RetryLater)
    assert "/dev/full: No space left" in str(done.error)


async def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()
    (path / "old").touch()
    done = await outcome(files.Write(path), message())
    assert isinstance(done.error, OSError)
    assert names(tmp_path) == ["a/old"]


@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere they are replaced")
async def test_a_file_that_another_program_has_open_is_written_later(
    tmp_path: Path,
) -> None:
    file = tmp_path / "out.txt"
    with file.open("wb"), pytest.raises(RetryLater, match="has it open"):
        await result(files.Write(str(file)), message())


@pytest.mark.skipif(sys.platform == "win32", reason="has no such groups")
async def test_a_group_that_is_not_there_fails_the_message(tmp_path: Path) -> None:
    done = await outcome(files.Write(tmp_path / "a", group_name="no-such"), message())
    assert isinstance(done.error, LookupError)
    assert names(tmp_path) == []


# Patterns


async def test_patterns_are_filled(tmp_path: Path) -> None:
    name = "%(year)s-%(month)02d/%(msg_day)02d %(cuid)s %(counter)03d 5%% 1%.txt"
    with ManualClock("2026-03-01T12:00:00Z"):
        node = files.Write(tmp_path / name)
        await result(node, message(), message())
    assert names(tmp_path) == [
        "2026-03/01 plant 001 5% 1%.txt",
        "2026-03/01 plant 002 5% 1%.txt",
    ]


async def test_the_counter_goes_on_over_restarts(tmp_path: Path) -> None:
    kept = MemoryPersistence()
    for _ in range(2):
        node = files.Save(f"file://{tmp_path.as_posix()}/?filename=%(counter)d+a")
        node.persistence = kept
        await result(node, message())
    assert names(tmp_path) == ["1+a", "2+a"]


async def test_lanes_beside_each_other_count_apart(tmp_path: Path) -> None:
    channel = BaseChannel("plant", lanes=8, key=lambda msg: msg.payload)
    channel.add(files.Write(tmp_path / "%(counter)d"))
    await channel.start()
    await asyncio.gather(*(channel.run(message(str(n))) for n in range(40)))
    await channel.stop()
    kept = {content(tmp_path / name) for name in names(tmp_path)}
    assert kept == {str(n) for n in range(40)}


async def test_a_message_is_saved_under_its_uuid(tmp_path: Path) -> None:
    node = files.Save(uri=f"{tmp_path.as_uri()}/?filename=x/%(muid)s.txt")
    msg = message("kept")
    await result(node, msg)
    assert content(tmp_path / "x" / f"{msg.uuid}.txt") == "kept"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: files.Write("%(yaer)s"), "did you mean 'year'"),
        (lambda: files.Write("%(muid)d"), "is no number"),
        (lambda: files.Write(5), "no path"),  # type: ignore[arg-type]
        (lambda: files.Write("a", encoding="utf-9"), "no such encoding"),
        (lambda: files.Write("a", validation_extension="ok"), "no ending"),
        (lambda: files.Save("http://host/?filename=a"), "no place to save"),
        (lambda: files.Save("file:///a/b"), "no place to save"),
        (lambda: files.Save("file:///a/?filename=b", filepath="c"), "in `uri`"),
        (lambda: files.Move(), "no folder"),
        (lambda: files.Clean(".ok"), "no list"),
        (lambda: files.Clean(["ok"]), "no ending"),
        (lambda: files.Read(max_bytes=0), "max_bytes"),
    ],
)
def test_an_option_that_cannot_work_is_told(
    make: Callable[[], BaseNode], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        make()


def test_a_function_has_to_be_plain() -> None:
    async def path(msg: Message) -> str:
        return "a"

    with pytest.raises(UsageError, match="async"):
        files.Write(path)


# Move and clean


async def test_a_file_is_moved_and_the_message_knows_where(csv: Path) -> None:
    meta = {"filepath": str(csv), "filename": csv.name}
    msg = await result(files.Move(csv.parent / "done"), message(**meta))
    moved = csv.parent / "done" / csv.name
    assert msg.meta["filepath"] == str(moved)
    assert (content(moved)[0], names(csv.parent)) == ("1", [f"done/{csv.name}"])


async def test_a_file_that_was_moved_before_a_crash_is_left(csv: Path) -> None:
    node = files.Move(csv.parent / "done")
    msg = await result(node, *(message(filepath=str(csv)) for _ in range(2)))
    assert content(Path(msg.meta["filepath"]))[0] == "1"
    other = message(filepath=str(csv.with_name("other")))
    done = await outcome(files.Move(csv.parent / "done"), other)
    assert isinstance(done.error, FileNotFoundError)


async def test_a_name_never_leads_out_of_the_folder(csv: Path) -> None:
    meta = {"filepath": str(csv), "filename": "../../out.csv"}
    msg = await result(files.Move(csv.parent / "done"), message(**meta))
    assert msg.meta["filepath"] == str(csv.parent / "done" / "out.csv")


async def test_a_file_is_deleted_with_those_beside_it(csv: Path) -> None:
    csv.with_suffix(".ok").touch()
    csv.with_suffix(".txt").touch()
    node = files.Clean(extensions_to_rm=[".ok", ".md5"])
    msg = await result(node, *(message("kept", filepath=str(csv)) for _ in range(2)))
    assert names(csv.parent) == [csv.with_suffix(".txt").name]
    assert msg.payload == "kept"
