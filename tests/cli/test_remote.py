"""`pichannels tail` and `pichannels remote`, against a running instance."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.folders import Folder

SETTINGS = """\
from dataclasses import dataclass
from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.message import Message
from pichannels.values import Sample, Tag

class Counted(BaseChannel):
    async def start_source(self):
        for number in range(5):
            sample = Sample(Tag("FIC101"), number, float(number), units="m3/h")
            await self.accept(Message(payload=[sample]))

@dataclass
class Reading:
    level: float

class Quiet(BaseChannel):
    async def start_source(self):
        await self.accept(Message(payload=Reading(7.5)))

MESSAGE_STORE = SQLiteMessageStoreFactory()
CHANNELS = [Counted("flow"), Quiet("quiet")]
REMOTE = {
    "keep": 10,
    "port": 0,
    "folders": {"files": {"path": "files"}, "in": {"path": "in", "write": True}},
    "tokens": {"reader": {
        "token": "0123456789abcdef",
        "allow": {"channels/*": ["read"], "files/*": ["read"]},
    }},
}
"""
SCRIPT = """
import sys
from pichannels.remote import BlockingLink

with BlockingLink(sys.argv[1], token=sys.argv[2]) as link:
    with link.entities("channels/flow") as stream:
        print([message.payload[0].value for message in stream])
"""
DATA = bytes(range(256)) * 4096
READER = {"PICHANNELS_TOKEN": "0123456789abcdef"}


class Plant(Folder):
    """A folder whose instance runs.

    Attributes:
        url: where what it publishes has a listener of its own.
    """

    url: str


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """An instance with five values, a file, and a folder that takes files."""
    plant = Plant(tmp_path_factory.mktemp("remote"))
    plant.write("settings.py", SETTINGS)
    (plant.path / "files").mkdir()
    (plant.path / "files" / "data.bin").write_bytes(DATA)
    with subprocess.Popen(
        [sys.executable, "-m", "pichannels", "start", "--plain"],
        cwd=plant.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            while not (line := process.stdout.readline()).startswith("  streams"):
                assert process.poll() is None
            plant.url = line.split()[1]
            while not process.stdout.readline().startswith("Ctrl-C"):
                assert process.poll() is None
            yield plant
        finally:
            process.kill()


def test_all_that_is_published_is_listed(plant: Plant) -> None:
    found = plant.run("remote", "list", "--json").json
    assert [(each["name"], each["kind"]) for each in found] == [
        ("channels/flow", "entities"),
        ("channels/quiet", "entities"),
        ("files/data.bin", "bytes"),
        ("stores/flow", "entities"),
        ("stores/quiet", "entities"),
    ]


def test_what_is_open_is_shown(plant: Plant) -> None:
    found = plant.run("remote", "streams")
    assert (found.code, found.out, found.err) == (0, "", "nothing is open\n")


def test_a_token_from_elsewhere_shows_less(plant: Plant) -> None:
    found = plant.run("remote", "list", "--url", plant.url, env=READER)
    names = [line.split()[0] for line in found.out.splitlines()[1:]]
    assert names == ["channels/flow", "channels/quiet", "files/data.bin"]


def test_a_wrong_token_is_told(plant: Plant) -> None:
    found = plant.run("remote", "list", "--url", plant.url, "--token", "wrong")
    assert found.code == 1 and "the token is missing, wrong" in found.err


def test_a_tail_shows_samples_that_fit(plant: Plant) -> None:
    found = plant.run("tail", "flow", "--from", "start", "--count", "2", "--filter",
                      "value > 1 and units == 'm3/h'")  # fmt: skip
    assert [line.split()[1:] for line in found.out.splitlines()] == [
        ["FIC101", "2.0", "m3/h"],
        ["FIC101", "3.0", "m3/h"],
    ]


def test_a_store_is_read_from_a_time_on(plant: Plant) -> None:
    kept = plant.run("store", "search", "--channel", "flow", "--json").json
    times = sorted(each["timestamp"] for each in kept)
    found = plant.run("tail", "stores/flow", "--from", times[3], "--no-follow")
    assert [line.split()[2] for line in found.out.splitlines()] == ["3.0", "4.0"]


def test_a_store_is_read_to_its_end(plant: Plant) -> None:
    found = plant.run("tail", "stores/flow", "--from", "start", "--no-follow", "--json")
    assert found.out.count('"replay_of"') == 5


def test_values_of_types_that_are_unknown_here_are_shown_and_copied(
    plant: Plant,
) -> None:
    shown = plant.run("tail", "quiet", "--from", "start", "--no-follow")
    copied = plant.run("remote", "get", "stores/quiet", "-").json["payload"]
    assert copied["$type"].endswith(":Reading") and copied["value"] == {"level": 7.5}
    assert shown.out.count('{"level":7.5}') == 1


def test_what_cannot_be_read_of_the_options_is_told(plant: Plant) -> None:
    found = plant.run("tail", "flow", "--filter", "import os")
    assert found.code == 2 and "this is no expression" in found.err
    found = plant.run("tail", "flo")
    assert found.code == 1 and "did you mean 'channels/flow'?" in found.err
    found = plant.run("tail", "flow", "--from", "yesterday")
    assert found.code == 2 and "--from is start, end, a position" in found.err


def test_messages_are_copied_as_lines_with_the_times_of_the_store(
    plant: Plant,
) -> None:
    kept = plant.run("store", "search", "--channel", "flow", "--json").json
    plant.run("remote", "get", "stores/flow")
    lines = (plant.path / "flow.jsonl").read_text().splitlines()
    assert [json.loads(line)["timestamp"] for line in lines] == sorted(
        each["timestamp"] for each in kept
    )


def test_nothing_runs_is_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("settings.py", SETTINGS)
    assert folder.run("tail", "flow").code == 4


def test_a_file_is_copied_from_elsewhere(plant: Plant, tmp_path: Path) -> None:
    file = tmp_path / "copy"
    found = plant.run(
        "remote", "get", "files/data.bin", str(file), "--url", plant.url, env=READER
    )
    assert (found.code, file.read_bytes()) == (0, DATA)


@pytest.mark.parametrize(
    ("part", "data"),
    [("10-19", DATA[10:20]), ("1048570-", DATA[1048570:]), ("-7", DATA[-7:])],
)
def test_a_part_of_a_file_is_copied(
    plant: Plant, tmp_path: Path, part: str, data: bytes
) -> None:
    file = tmp_path / "part"
    plant.run("remote", "get", "files/data.bin", str(file), "--range", part)
    assert file.read_bytes() == data


def test_a_copy_that_was_broken_off_goes_on(plant: Plant, tmp_path: Path) -> None:
    file = tmp_path / "copy"
    draft = draft_of(plant, file)
    draft.write_bytes(DATA[:1000])
    found = plant.run("remote", "get", "files/data.bin", str(file))
    assert (found.code, file.read_bytes()) == (0, DATA)
    assert "going on behind 1,000 bytes" in found.err and not draft.exists()


def draft_of(plant: Plant, file: Path) -> Path:
    """Where the command leaves a copy that is broken off."""
    (listing,) = plant.run("remote", "list", "files/data.bin", "--json").json
    told = f"files/data.bin {listing['version']} 0 {len(DATA)}"
    digest = hashlib.sha256(told.encode()).hexdigest()[:12]
    return file.with_name(f"{file.name}.{digest}.part")


def test_a_file_is_copied_there_and_a_broken_copy_goes_on(
    plant: Plant, tmp_path: Path
) -> None:
    file = tmp_path / "up.bin"
    file.write_bytes(DATA)
    (plant.path / "in").mkdir(exist_ok=True)
    there = plant.path / "in" / "up.bin"
    there.write_bytes(DATA[:70_000])
    refused = plant.run("remote", "put", str(file), "in/up.bin")
    found = plant.run("remote", "put", str(file), "in/up.bin", "--resume")
    assert (refused.code, found.code, there.read_bytes()) == (2, 0, DATA)


def test_only_a_part_of_the_same_file_goes_on(plant: Plant, tmp_path: Path) -> None:
    file = tmp_path / "other.bin"
    file.write_bytes(DATA)
    there = plant.path / "in" / "other.bin"
    there.parent.mkdir(exist_ok=True)
    there.write_bytes(b"something else, and longer" * 100_000)
    refused = plant.run("remote", "put", str(file), "in/other.bin", "--resume")
    found = plant.run("remote", "put", str(file), "in/other.bin", "--replace")
    assert (refused.code, found.code, there.read_bytes()) == (2, 0, DATA)


def test_a_file_is_renamed_and_removed(plant: Plant) -> None:
    folder = plant.path / "in"
    folder.mkdir(exist_ok=True)
    (folder / "draft").write_bytes(b"all of it")
    moved = plant.run("remote", "mv", "in/draft", "in/whole")
    found = (folder / "whole").read_bytes()
    removed = plant.run("remote", "rm", "in/whole", "in/none")
    assert (moved.code, found, removed.code) == (0, b"all of it", 1)
    assert "in/whole: removed" in removed.out and "no such file" in removed.err
    assert not (folder / "whole").exists() and not (folder / "draft").exists()


def test_a_folder_that_is_only_read_takes_nothing(plant: Plant) -> None:
    found = plant.run("remote", "put", "settings.py", "files/settings.py")
    assert found.code == 1 and "not published for write" in found.err


def test_a_store_is_exported_and_replayed_over_the_network(
    plant: Plant, tmp_path: Path
) -> None:
    file = tmp_path / "flow.jsonl"
    control = (plant.path / ".pichannels" / "control.json").read_text()
    secret = control.partition('"token":"')[2].partition('"')[0]
    found = plant.run(
        *("store", "export", "flow", str(file), "--url", plant.url),
        env={"PICHANNELS_TOKEN": secret},
    )
    lines = file.read_text().splitlines()
    assert (found.code, len(lines)) == (0, 5)
    assert all('"state":"processed"' in line.replace(" ", "") for line in lines)
    counted = plant.run(
        *("replay", "-c", "flow", "--state", "processed", "--dry-run"),
        *("--url", plant.url),
        env={"PICHANNELS_TOKEN": secret},
    )
    assert counted.out == "5 messages would be replayed\n"


def test_a_script_reads_messages_with_one_import(plant: Plant) -> None:
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, plant.url, READER["PICHANNELS_TOKEN"]],
        capture_output=True,
        text=True,
    )
    assert (found.stdout.strip(), found.stderr) == ("[0.0, 1.0, 2.0, 3.0, 4.0]", "")


def test_a_token_is_made_with_what_the_settings_need(tmp_path: Path) -> None:
    found = Folder(tmp_path).run("remote", "token", "--json").json
    assert len(found["token"]) >= 40 and len(found["sha256"]) == 64
