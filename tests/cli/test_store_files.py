"""`pichannels store export`, `import` and `prune`, with and without an instance."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.folders import Folder, settings

PYPEMAN = Path(__file__).parents[1] / "fixtures" / "pypeman_store" / "boiler"


@pytest.fixture(params=["running", "stopped"])
def plant(request: pytest.FixtureRequest, empty: Folder) -> Iterator[Folder]:
    """Three messages, the last one rejected, in a running or stopped instance."""
    empty.write("settings.py", settings())
    with empty.start():
        empty.wait_for_settled(3)
        if request.param == "stopped":
            empty.stop()
        yield empty


def payloads(folder: Folder, name: str) -> list[str]:
    data = (folder.path / name).read_bytes()
    text = gzip.decompress(data) if name.endswith(".gz") else data
    return [json.loads(line)["payload"] for line in text.splitlines()]


def total(folder: Folder) -> int:
    (row,) = folder.run("store", "list", "--json").json
    count: int = row["messages"]
    return count


def test_messages_are_exported(plant: Folder) -> None:
    result = plant.run("store", "export", "values", "out.jsonl")
    assert (result.code, result.out) == (0, "out.jsonl: 3 messages\n")
    assert payloads(plant, "out.jsonl") == ["value 0", "value 1", "value 2"]


def test_an_export_may_be_compressed_and_selected(plant: Folder) -> None:
    args = ("store", "export", "values", "out.jsonl.gz", "--state", "rejected")
    assert plant.run(*args, "--json").json == {"exported": 1}
    assert payloads(plant, "out.jsonl.gz") == ["value 2"]


def test_a_file_that_exists_stays(plant: Folder) -> None:
    plant.write("out.jsonl", "kept")
    result = plant.run("store", "export", "values", "out.jsonl")
    assert (result.code, "exists; name a new file" in result.err) == (2, True)
    assert (plant.path / "out.jsonl").read_text() == "kept"
    assert plant.run("store", "export", "values", "out.jsonl", "--replace").code == 0


def test_what_was_exported_is_imported(plant: Folder) -> None:
    plant.run("store", "export", "values", "out.jsonl")
    result = plant.run("store", "import", "values", "out.jsonl")
    assert (result.code, result.out) == (0, "values: 3 messages\n")
    found = plant.run("store", "search", "value 2", "--json").json
    assert [row["state"] for row in found] == ["rejected", "rejected"]


def test_a_missing_file_is_told(plant: Folder) -> None:
    result = plant.run("store", "import", "values", "nosuch.jsonl")
    assert (result.code, "there is no file" in result.err) == (2, True)


def test_pruning_may_only_count(plant: Folder) -> None:
    result = plant.run("store", "prune", "--age", "0s", "--dry-run")
    assert result.out == "values: 3 messages would be deleted\n"
    assert total(plant) == 3


def test_messages_are_pruned_by_state(plant: Folder) -> None:
    result = plant.run("store", "prune", "--age", "0s", "--state", "rejected")
    assert result.out == "values: 1 messages deleted\n"
    assert total(plant) == 2


def test_messages_are_pruned_by_size(plant: Folder) -> None:
    args = ("store", "prune", "--size", "1b", "-c", "values", "--json")
    assert plant.run(*args).json == [{"channel": "values", "messages": 3}]
    assert total(plant) == 0


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((), "say what goes"),
        (("--age", "soon"), "write it as 30d"),
        (("--size", "1b", "--state", "error"), "take an age"),
    ],
)
def test_a_prune_has_to_say_what_goes(
    empty: Folder, args: tuple[str, ...], told: str
) -> None:
    empty.write("settings.py", settings())
    result = empty.run("store", "prune", *args)
    assert (result.code, told in result.err) == (2, True)


def test_what_pypeman_stored_is_taken_over(plant: Folder) -> None:
    args = ("store", "import-pypeman", "values", str(PYPEMAN), "--timezone", "UTC")
    result = plant.run(*args)
    assert (result.code, result.out) == (1, "values: 3 messages\n")
    assert "pathlib.PurePosixPath, no plain data" in result.err
    assert total(plant) == 6


def test_what_pypeman_stored_becomes_a_file(empty: Folder) -> None:
    args = ("store", "import-pypeman", "values", str(PYPEMAN), "--output", "out.jsonl")
    result = empty.run(*args, "--timezone", "Mars")
    assert (result.code, "no time zone" in result.err) == (2, True)
    found = empty.run(*args, "--json").json
    assert (found["imported"], len(found["refused"])) == (3, 1)
    assert payloads(empty, "out.jsonl")[::2] == ["warm", "waits"]
