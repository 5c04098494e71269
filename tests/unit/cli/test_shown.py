"""A message whole can be read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pichannels.cli.shown import say_message
from pichannels.message import Message
from pichannels.values import Sample, Tag

SAMPLE = Sample(Tag("UNIT1.BOILER.TEMP"), 17_000_000_000_000_000, 3.5, units="C")


def shown(
    capsys: pytest.CaptureFixture[str], payload: Any, kind: str = "x"
) -> list[str]:
    """What is written of the payload."""
    msg = Message(kind, payload, {"lane": "live", "at": 3})
    say_message(msgspec.json.decode(msg.to_json()))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:1] + lines[2:5] == [
        f"uuid: {msg.uuid}",
        f"content type: {kind}",
        "meta lane: live",
        "meta at: 3",
    ]
    return lines[5:]


def test_samples_are_rows(capsys: pytest.CaptureFixture[str]) -> None:
    head, *rows = shown(capsys, [SAMPLE, SAMPLE])
    assert head == "payload: 2 samples"
    assert [row.split() for row in rows] == [
        ["2023-11-14T22:13:20Z", "UNIT1.BOILER.TEMP", "3.5", "C"]
    ] * 2


@pytest.mark.parametrize(
    ("payload", "kind", "lines"),
    [
        (b"a text", "x", ["payload: a text"]),
        ("one\ntwo", "x", ["payload:", "one", "two"]),
        (b'{"a":1}', "application/json", ["payload:", "{", '  "a": 1', "}"]),
        ("{no", "application/json", ["payload: {no"]),
        (None, "x", ["payload: null"]),
    ],
)
def test_other_payloads_are_text_or_json(
    capsys: pytest.CaptureFixture[str], payload: Any, kind: str, lines: list[str]
) -> None:
    assert shown(capsys, payload, kind) == lines
