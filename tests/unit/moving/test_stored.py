"""The files of pypeman 0.6.7 (`fixtures/pypeman_store`), and others like them."""

from __future__ import annotations

import base64
import json
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pichannels.errors import UsageError
from pichannels.exporting import read_entries
from pichannels.moving import Refusal, read_stored
from pichannels.moving.stored import Stored
from pichannels.states import Entry
from pichannels.values import format_ticks

BOILER = Path(__file__).parents[2] / "fixtures" / "pypeman_store" / "boiler"
PARIS = ZoneInfo("Europe/Paris")
NAME = "20260301_120000000000_ab"


def taken(folder: Path, target: Path) -> tuple[list[Entry], list[Refusal]]:
    """What can be taken over, as `store import` reads it, and the rest."""
    found = list(read_stored(folder, PARIS))
    lines = [one.line for one in found if isinstance(one, Stored)]
    target.write_text("\n".join(lines))
    refused = [one for one in found if isinstance(one, Refusal)]
    return list(read_entries(target)), refused


def test_messages_come_with_payload_state_and_facts(tmp_path: Path) -> None:
    (first, second, third), _ = taken(BOILER, tmp_path / "lines")
    assert (first["message"].payload, first["state"]) == ("warm", "processed")
    assert first["message"].meta == {"url": "http://plant/1"}
    assert first["message"].ctx["before"]["payload"] == {"raw": b"\x00\xff"}
    history = first["meta"]["submessages_state_history"]
    assert [one["state"] for one in history] == ["processing", "processed"]
    assert second["message"].payload == {
        "tags": ["F1", "F2"],
        "at": datetime(2026, 7, 1, tzinfo=UTC),
        "value": Decimal("1.50"),
        "seen": {1},
        "pair": (1, 2.5, None),
    }
    assert (second["state"], second["meta"]) == ("error", {"err_msg": "no answer"})
    assert (third["state"], third["message"].uuid) == ("pending", f"{4:032x}")


def test_times_are_those_of_the_zone(tmp_path: Path) -> None:
    entries, _ = taken(BOILER, tmp_path / "lines")
    times = [format_ticks(entry["message"].ticks) for entry in entries]
    assert times == [
        "2026-01-15T09:00:00.25Z",
        "2026-07-01T10:00:00.000001Z",
        "2026-07-01T22:31:00Z",
    ]


def test_what_is_no_plain_data_is_told(tmp_path: Path) -> None:
    _, (refused,) = taken(BOILER, tmp_path / "lines")
    name = f"2026/07/02/20260702_003000000000_{3:032x}"
    assert refused.file == name and "pathlib" in refused.reason


def write(folder: Path, text: str, meta: str | None, name: str = NAME) -> None:
    file = folder / "2026" / "03" / "01" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    if meta is not None:
        file.with_name(f"{name}.meta").write_text(meta)


def stored() -> str:
    payload = base64.b64encode(pickle.dumps("x")).decode()
    times = {"timestamp": "2026-03-01T12:00:00.000000Z", "uuid": "ab"}
    return json.dumps({**times, "payload": payload, "meta": {}, "ctx": {}})


@pytest.mark.parametrize(
    ("meta", "state"), [(None, "pending"), ("processed", "processed"), ("", "pending")]
)
def test_old_and_lost_facts_are_understood(
    tmp_path: Path, meta: str | None, state: str
) -> None:
    write(tmp_path, stored(), meta, "20260301_1200_ab")
    (entry,), _ = taken(tmp_path, tmp_path / "lines")
    assert (entry["state"], entry["meta"]) == (state, {})


@pytest.mark.parametrize(
    ("text", "meta", "reason"),
    [
        ("", None, "no JSON"),
        ("[]", None, "no JSON object"),
        ("{}", None, "no stored message"),
        ("[" * 100_000, None, "no JSON"),
        (stored().replace("gA", "!!"), None, "no base64"),
        (stored().replace("2026-", "soon "), None, "no stored message"),
        (stored(), "{", "no JSON"),
        (stored(), '{"state": "done"}', "no state"),
    ],
)
def test_a_broken_file_costs_only_itself(
    tmp_path: Path, text: str, meta: str | None, reason: str
) -> None:
    write(tmp_path, text, meta)
    write(tmp_path, stored(), None, f"{NAME}2")
    entries, (refused,) = taken(tmp_path, tmp_path / "lines")
    assert len(entries) == 1 and reason in refused.reason


def test_folders_without_messages_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the folder of one channel"):
        list(read_stored(BOILER.parent))
    with pytest.raises(UsageError, match="no folder"):
        list(read_stored(tmp_path / "none"))
