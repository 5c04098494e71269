"""Values are found by their namespace, and forgotten; manifests are read alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pichannels.journal import Journal
from pichannels.manifest import ManifestEntry, decode_manifest, encode_manifest
from pichannels.message import Message
from pichannels.states import State


@pytest.mark.parametrize("is_written", [False, True])
async def test_all_values_of_a_namespace_are_found(
    tmp_path: Path, is_written: bool
) -> None:
    journal = Journal(tmp_path / "j.db")
    await journal.open()
    journal.save("a", "x", 1)
    journal.save("b", "x", 2)
    journal.save("a", "y", None)
    if is_written:
        await journal.flush()
    assert await journal.saved("a") == {"x": 1, "y": None}
    await journal.close()


@pytest.mark.parametrize("is_written", [False, True])
async def test_a_forgotten_value_is_gone_also_after_a_restart(
    tmp_path: Path, is_written: bool
) -> None:
    journal = Journal(tmp_path / "j.db")
    await journal.open()
    journal.save("a", "x", 1)
    if is_written:
        await journal.flush()
    journal.forget("a", "x")
    assert await journal.restore("a", "x", "none") == "none"
    assert await journal.saved("a") == {}
    await journal.close()
    await journal.open()
    assert await journal.saved("a") == {}
    await journal.close()


async def test_a_value_saved_after_it_was_forgotten_is_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    await journal.open()
    journal.save("a", "x", 1)
    journal.forget("a", "x")
    journal.save("a", "x", 2)
    await journal.flush()
    assert await journal.restore("a", "x") == 2
    await journal.close()


async def test_manifests_of_unsettled_messages_are_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    await journal.open()
    manifest = encode_manifest([ManifestEntry("T", 1, 2, 3)])
    first = journal.append("c", Message(), manifest=manifest)
    journal.append("c", Message(), lane="repair")
    journal.append("other", Message(), manifest=manifest)
    done = journal.append("c", Message(), manifest=manifest)
    journal.settle(done.seq, State.PROCESSED)
    found = await journal.manifests("c")
    await journal.close()
    assert [(seq, lane) for seq, lane, _ in found] == [
        (first.seq, "live"),
        (first.seq + 1, "repair"),
    ]
    assert decode_manifest(found[0][2] or b"")[0].key == "T"
