"""Expected files: what counts as the same, and how a difference is told."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pichannels.message import Message
from pichannels.testing import assert_messages_match
from pichannels.values import Sample, Tag

BOILER = Tag(server="SRV", key="7", name="BOILER.TEMP", path="")


@pytest.fixture(autouse=True)
def not_updating(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PICHANNELS_UPDATE", raising=False)


@pytest.fixture
def update(monkeypatch: pytest.MonkeyPatch, not_updating: None) -> None:
    monkeypatch.setenv("PICHANNELS_UPDATE", "1")


def write(path: Path, *payloads: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PICHANNELS_UPDATE", "1")
        assert_messages_match([Message(payload=p) for p in payloads], path)


def told(path: Path, *payloads: object) -> str:
    with pytest.raises(AssertionError) as failure:
        assert_messages_match([Message(payload=p) for p in payloads], path)
    return str(failure.value)


def test_what_was_written_matches_itself(tmp_path: Path) -> None:
    payloads = [{"a": (1, 2)}, b"\xff", math.nan, [Sample(BOILER, 1, 2.5)]]
    write(tmp_path / "new" / "x.jsonl", *payloads)
    messages = [Message(payload=payload) for payload in payloads]
    assert_messages_match(messages, tmp_path / "new" / "x.jsonl")


def test_a_missing_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    assert "--pichannels-update" in told(tmp_path / "x.jsonl", 1)


def test_a_missing_message_is_told(tmp_path: Path) -> None:
    write(tmp_path / "x.jsonl", 1, 2)
    assert "2 messages expected, 1 came" in told(tmp_path / "x.jsonl", 1)


def test_a_difference_inside_is_told_by_its_place(tmp_path: Path) -> None:
    write(tmp_path / "x.jsonl", {"rows": [1, 2]}, {"rows": [3, 4]})
    text = told(tmp_path / "x.jsonl", {"rows": [1, 2]}, {"rows": [3, 5, 6]})
    assert "message 2: payload.rows[1]: expected 4, got 5" in text
    assert "message 2: payload.rows[2]: expected nothing, got 6" in text


def test_a_sample_is_told_by_tag_and_time(tmp_path: Path) -> None:
    write(tmp_path / "x.jsonl", [Sample(BOILER, 0, 2.5)])
    text = told(tmp_path / "x.jsonl", [Sample(BOILER, 0, 3.5)])
    where = "payload[0] (BOILER.TEMP 1970-01-01T00:00:00Z).value"
    assert f"{where}: expected 2.5, got 3.5" in text


@pytest.mark.parametrize(("expected", "got"), [(1, True), (0, False), (1, "1")])
def test_kinds_that_python_takes_for_equal_differ(
    tmp_path: Path, expected: object, got: object
) -> None:
    write(tmp_path / "x.jsonl", expected)
    assert f"expected {expected!r}, got {got!r}" in told(tmp_path / "x.jsonl", got)


def test_many_differences_are_counted_not_listed(tmp_path: Path) -> None:
    write(tmp_path / "x.jsonl", list(range(100)))
    text = told(tmp_path / "x.jsonl", list(range(1, 101)))
    assert "and 80 more differences" in text and text.count(": expected ") == 20


def test_meta_counts_except_what_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    write(file, 1)
    other = [Message(payload=1, meta={"file": "now.csv"})]
    assert_messages_match(other, file, ignore=["file"])
    with pytest.raises(AssertionError, match=r"meta\.file: expected nothing, got"):
        assert_messages_match(other, file)


@pytest.mark.usefixtures("update")
def test_updating_writes_what_came(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    assert_messages_match([Message(payload="old")], file)
    assert_messages_match([Message(payload="new")], file)
    assert '"payload":"new"' in file.read_text()
