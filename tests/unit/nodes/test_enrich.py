"""enrich.Table: facts from files and mappings, for samples and for dicts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nodes.enrich import Table
from pichannels.errors import (
    Dropped,
    MessageError,
    Rejected,
    SampleErrors,
    SettingsError,
    UsageError,
)
from pichannels.message import Message
from pichannels.values import Sample, Tag

ROWS: dict[str, dict[str, Any]] = {
    "TI1": {"area": "north", "unit": "K"},
    "TI2": {"area": "south", "unit": ""},
}


def batch(*names: str, path: str = "") -> Message:
    return Message(payload=[Sample(Tag(n, path), 10, 1.5, units="C") for n in names])


async def facts_from(path: Path, text: str, **options: Any) -> Any:
    await asyncio.to_thread(path.write_text, text, encoding="utf-8")
    node = Table(path, **options)
    await node.start()
    msg = node.process(batch("TI1", "TI2"))
    await node.stop()
    return msg.meta["tags"]


def test_facts_are_put_into_the_meta_once_for_each_tag() -> None:
    msg = Table(ROWS).process(batch("TI1", "TI2", "TI1"))
    assert msg.meta["tags"] == ROWS


def test_samples_stay_as_they_are() -> None:
    msg = batch("TI1")
    before = list(msg.payload)
    assert Table(ROWS).process(msg).payload == before


def test_names_match_whatever_their_case() -> None:
    assert Table(ROWS).process(batch("ti1")).meta["tags"]["ti1"]["area"] == "north"


def test_a_second_table_adds_to_the_first() -> None:
    msg = Table({"TI1": {"limit": 9}}).process(Table(ROWS).process(batch("TI1")))
    assert msg.meta["tags"]["TI1"] == {"area": "north", "unit": "K", "limit": 9}


def test_changing_a_message_never_changes_the_table() -> None:
    node = Table({"TI1": {"limits": [1, 2]}})
    node.process(batch("TI1")).meta["tags"]["TI1"]["limits"].append(3)
    assert node.process(batch("TI1")).meta["tags"]["TI1"]["limits"] == [1, 2]


def test_facts_by_path_are_kept_by_path() -> None:
    node = Table({"P": {"area": "west"}}, key="tag.path", to="meta.asset")
    msg = node.process(batch("TI1", path="P"))
    assert msg.meta == {"asset": {"P": {"area": "west"}}}


def test_other_units_come_with_a_tag_that_samples_share() -> None:
    node = Table(ROWS, units_from="unit")
    first, second = node.process(batch("TI1", "TI1")).payload
    assert (first.units, first.tag.units) == ("K", "K")
    assert first.tag is second.tag


@pytest.mark.parametrize("path", ["", r"\\SRV\TI1"])
def test_another_name_keeps_the_event_id(path: str) -> None:
    msg = batch("TI1", path=path)
    before = msg.payload[0].event_id
    (after,) = Table(ROWS, name_from="area").process(msg).payload
    assert (after.tag.name, after.event_id) == ("north", before)


def test_an_empty_cell_renames_nothing() -> None:
    msg = batch("TI2")
    before = msg.payload[0]
    assert Table(ROWS, units_from="unit").process(msg).payload == [before]


def test_samples_of_unknown_tags_are_kept() -> None:
    assert len(Table(ROWS).process(batch("TI1", "XX")).payload) == 2


def test_samples_of_unknown_tags_are_left_out() -> None:
    msg = Table(ROWS, missing="drop").process(batch("XX", "TI1"))
    assert [s.tag.name for s in msg.payload] == ["TI1"]


def test_a_batch_of_unknown_tags_is_dropped() -> None:
    with pytest.raises(Dropped):
        Table(ROWS, missing="drop").process(batch("XX"))


def test_a_batch_with_an_unknown_tag_is_refused() -> None:
    with pytest.raises(Rejected, match="no row for 'XX' in the table"):
        Table(ROWS, missing="reject").process(batch("TI1", "XX"))


def test_samples_of_unknown_tags_fail_alone() -> None:
    with pytest.raises(SampleErrors) as caught:
        Table(ROWS, missing="fail").process(batch("XX", "TI1"))
    going_on = caught.value.message
    assert [s.tag.name for s in going_on.payload] == ["TI1"]
    assert going_on.meta["tags"]["TI1"]["area"] == "north"


def test_a_batch_of_unknown_tags_alone_fails() -> None:
    with pytest.raises(SampleErrors) as caught:
        Table(ROWS, missing="fail").process(batch("XX"))
    assert caught.value.message is None


@pytest.mark.parametrize(
    ("key", "payload"),
    [
        ("device", {"device": "TI1"}),
        ("device.id", {"device": {"id": "ti1"}}),
        ("meta.source", {}),
    ],
)
def test_facts_are_merged_into_a_dict(key: str, payload: dict[str, Any]) -> None:
    msg = Table(ROWS, key).process(Message(payload=payload, meta={"source": "TI1"}))
    assert msg.payload["area"] == "north"


def test_facts_have_a_place_of_their_own() -> None:
    node = Table(ROWS, "id", to="payload.asset")
    msg = node.process(Message(payload={"id": "TI1"}))
    assert msg.payload == {"id": "TI1", "asset": ROWS["TI1"]}


def test_facts_go_to_the_meta() -> None:
    msg = Table(ROWS, "id", to="meta").process(Message(payload={"id": "TI1"}))
    assert msg.meta == ROWS["TI1"]


@pytest.mark.parametrize(
    ("missing", "error"),
    [("drop", Dropped), ("reject", Rejected), ("fail", MessageError)],
)
@pytest.mark.parametrize("payload", [{"id": "XX"}, {}, {"id": [1]}])
def test_a_dict_without_a_row(
    missing: str, error: type[Exception], payload: dict[str, Any]
) -> None:
    with pytest.raises(error, match="no row for"):
        Table(ROWS, "id", missing=missing).process(Message(payload=payload))


def test_a_dict_without_a_row_goes_on() -> None:
    assert Table(ROWS, "id").process(Message(payload={"id": 7})).payload == {"id": 7}


@pytest.mark.parametrize(
    ("key", "payload"), [("tag.name", {"a": 1}), ("tag.name", [1]), ("id", b"bytes")]
)
def test_payloads_that_do_not_fit_the_key_are_told(key: str, payload: Any) -> None:
    with pytest.raises(UsageError, match="got"):
        Table(ROWS, key).process(Message(payload=payload))


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("t.csv", "tag,area\nTI1,north\nTI2,south\n", {}),
        ("t.csv", "\ufefftag;area\r\nTI1; north\r\nTI2;south", {"delimiter": ";"}),
        ("t.csv", "area,tag\nnorth,TI1\nsouth,TI2\n", {"column": "tag"}),
        ("t.yaml", "TI1: {area: north}\nTI2: {area: south}\n", {}),
        ("t.yml", "- {tag: TI1, area: north}\n- {tag: TI2, area: south}\n", {}),
        (
            "t.yml",
            "- {area: north, tag: TI1}\n- {area: south, tag: TI2}\n",
            {"column": "tag"},
        ),
    ],
)
async def test_tables_are_read_from_files(
    tmp_path: Path, name: str, text: str, options: dict[str, Any]
) -> None:
    facts = await facts_from(tmp_path / name, text, **options)
    assert facts == {"TI1": {"area": "north"}, "TI2": {"area": "south"}}


async def test_cells_are_converted(tmp_path: Path) -> None:
    text = "tag,high\nTI1,7.5\nTI2,\n"
    facts = await facts_from(tmp_path / "t.csv", text, types={"high": float})
    assert facts == {"TI1": {"high": 7.5}, "TI2": {"high": None}}


@pytest.mark.parametrize(
    ("name", "text", "options", "told"),
    [
        ("t.csv", "", {}, "line 1: has no header"),
        ("t.csv", "tag,a\nTI1,1,2\n", {}, "line 2: has more or fewer"),
        ("t.csv", "tag,a\nTI1\n", {}, "line 2: has more or fewer"),
        ("t.csv", "tag,a\nTI1,1\nTI1,2\n", {}, "line 3: tag: the key is there twice"),
        ("t.csv", "tag,a\n,1\n", {}, "line 2: tag: the key is empty"),
        ("t.csv", "tag,a\nT,1\n", {"column": "x"}, "line 1: there is no such column"),
        ("t.csv", "tag,a\nTI1,x\n", {"types": {"a": int}}, "line 2: a: invalid lit"),
        ("t.csv", "tag,a\nT,1\n", {"types": {"b": int}}, "no such column"),
        ("t.csv", 'tag,a\nT,"1\n', {}, "is not CSV"),
        ("t.yaml", "a: {b: 1\nc: [}", {}, "line 2: is not YAML"),
        ("t.yaml", "just text", {}, "does not hold a mapping"),
        ("t.yaml", "a: 1", {}, "key 'a': is no mapping"),
        ("t.yaml", "- {tag: T}\n- {tag: T}", {}, "row 2: tag: the key is there twice"),
        ("t.yaml", "- 7", {}, "row 1: is no mapping"),
    ],
)
async def test_a_file_that_is_wrong_is_told_with_its_place(
    tmp_path: Path, name: str, text: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        await facts_from(tmp_path / name, text, **options)


async def test_a_missing_file_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"t\.csv: cannot be read: No such file"):
        await Table(tmp_path / "t.csv").start()


async def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    await asyncio.to_thread(path.write_bytes, b"tag,a\n\xff,1\n")
    with pytest.raises(SettingsError, match="is not UTF-8"):
        await Table(path).start()


def test_a_table_that_has_not_been_started_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has not been started"):
        Table(tmp_path / "t.csv").process(batch("TI1"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Table("table.xlsx"),
        lambda: Table(7),  # type: ignore[arg-type]
        lambda: Table({"a": 1}),  # type: ignore[dict-item]
        lambda: Table(ROWS, "tag.nam"),
        lambda: Table(ROWS, to="payload"),
        lambda: Table(ROWS, "id", to="elsewhere"),
        lambda: Table(ROWS, "id", units_from="unit"),
        lambda: Table(ROWS, missing="ignore"),
        lambda: Table(ROWS, reload=0),
    ],
)
def test_options_that_make_no_sense_are_told_at_once(
    make: Callable[[], Table],
) -> None:
    with pytest.raises((SettingsError, UsageError)):
        make()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what changes is a file's reader
        await asyncio.sleep(0.01)


def area_of(node: Table) -> Any:
    return node.process(batch("TI1")).meta["tags"].get("TI1", {}).get("area")


async def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    await asyncio.to_thread(path.write_text, "tag,area\nTI1,north\n")
    node = Table(path, reload=0.01)
    await node.start()
    await asyncio.to_thread(path.write_text, "tag,area\nTI1,elsewhere\n")
    await until(lambda: area_of(node) == "elsewhere")
    await node.stop()
    assert area_of(node) == "elsewhere"


async def test_a_bad_file_never_replaces_a_good_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t.csv"
    await asyncio.to_thread(path.write_text, "tag,area\nTI1,north\n")
    node = Table(path, reload=0.01)
    await node.start()
    await asyncio.to_thread(path.write_text, "tag,area\nTI1,1,2,3\n")
    await until(lambda: "keeps the rows" in caplog.text)
    assert area_of(node) == "north"
    await node.stop()
