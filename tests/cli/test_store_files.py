"""`pichannels store export`, `import` and `prune`, with and without an instance."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.cli.folders import Folder, settings

PYPEMAN = Path(__file__).parents[1] / "fixtures" / "pypeman_store" / "boiler"


def payloads(folder: Folder, name: str) -> list[str]:
    data = (folder.path / name).read_bytes()
    text = gzip.decompress(data) if name.endswith(".gz") else data
    return [json.loads(line)["payload"] for line in text.splitlines()]


def total(folder: Folder) -> int:
    (row,) = folder.run("store", "list", "--json").json
    count: int = row["messages"]
    return count


def test_messages_are_exported(kept: Folder) -> None:
    result = kept.run("store", "export", "values", "out.jsonl")
    assert (result.code, result.out) == (0, "out.jsonl: 3 messages\n")
    assert payloads(kept, "out.jsonl") == ["value 0", "value 1", "value 2"]


def test_an_export_may_be_compressed_and_selected(kept: Folder) -> None:
    args = ("store", "export", "values", "out.jsonl.gz", "--state", "rejected")
    assert kept.run(*args, "--json").json == {"exported": 1}
    assert payloads(kept, "out.jsonl.gz") == ["value 2"]


def test_a_file_that_exists_stays(kept: Folder) -> None:
    kept.write("kept.jsonl", "kept")
    result = kept.run("store", "export", "values", "kept.jsonl")
    assert (result.code, "exists; name a new file" in result.err) == (2, True)
    assert (kept.path / "kept.jsonl").read_text() == "kept"
    assert kept.run("store", "export", "values", "kept.jsonl", "--replace").code == 0


def test_what_was_exported_is_imported(own: Folder) -> None:
    own.run("store", "export", "values", "out.jsonl")
    result = own.run("store", "import", "values", "out.jsonl")
    assert (result.code, result.out) == (0, "values: 3 messages\n")
    found = own.run("store", "search", "value 2", "--json").json
    assert [row["state"] for row in found] == ["rejected", "rejected"]


def test_a_missing_file_is_told(kept: Folder) -> None:
    result = kept.run("store", "import", "values", "nosuch.jsonl")
    assert (result.code, "there is no file" in result.err) == (2, True)


def test_pruning_may_only_count(kept: Folder) -> None:
    result = kept.run("store", "prune", "--age", "0s", "--dry-run")
    assert result.out == "values: 3 messages would be deleted\n"
    assert total(kept) == 3


def test_messages_are_pruned_by_state(own: Folder) -> None:
    result = own.run("store", "prune", "--age", "0s", "--state", "rejected")
    assert result.out == "values: 1 messages deleted\n"
    assert total(own) == 2


def test_messages_are_pruned_by_size(own: Folder) -> None:
    args = ("store", "prune", "--size", "1b", "-c", "values", "--json")
    assert own.run(*args).json == [{"channel": "values", "messages": 3}]
    assert total(own) == 0


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


def test_what_pypeman_stored_is_taken_over(own: Folder) -> None:
    args = ("store", "import-pypeman", "values", str(PYPEMAN), "--timezone", "UTC")
    result = own.run(*args)
    assert (result.code, result.out) == (1, "values: 3 messages\n")
    assert "pathlib.PurePosixPath, no plain data" in result.err
    assert total(own) == 6


def test_what_pypeman_stored_becomes_a_file(empty: Folder) -> None:
    args = ("store", "import-pypeman", "values", str(PYPEMAN), "--output", "out.jsonl")
    result = empty.run(*args, "--timezone", "Mars")
    assert (result.code, "no time zone" in result.err) == (2, True)
    found = empty.run(*args, "--json").json
    assert (found["imported"], len(found["refused"])) == (3, 1)
    assert payloads(empty, "out.jsonl")[::2] == ["warm", "waits"]
