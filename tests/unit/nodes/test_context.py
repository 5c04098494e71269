"""Context and meta: kept, taken back, put together, set and cleared."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.context import AddCtx, CombineCtx, NotKept, SetCtx, UseMetaFromCtx
from nodes.meta import EmptyMeta, SetMeta
from pichannels.errors import MessageError, SettingsError, UsageError
from pichannels.message import Message


def message() -> Message:
    """A message that has kept two others."""
    msg = Message(payload="now", meta={"at": 3})
    msg.add_context("a", Message(payload={"x": 1, "y": [1]}, meta={"at": 1}))
    msg.add_context("b", Message(payload={"x": 2}, meta={"at": 2}))
    return msg


def test_a_message_is_kept_and_taken_back() -> None:
    msg = AddCtx("before").process(Message(payload=[1], meta={"a": 1}))
    msg.payload.append(2)
    msg.meta["a"] = 2
    found = SetCtx("before").process(msg)
    assert (found.payload, found.meta) == ([1], {"a": 1})


def test_what_is_taken_back_stays_kept_as_it_was() -> None:
    msg = SetCtx("a").process(message())
    msg.payload["y"].append(2)
    assert msg.ctx["a"]["payload"]["y"] == [1]


@pytest.mark.parametrize(
    ("names", "options", "payload", "at"),
    [
        (["a", "b"], {}, {"a": {"x": 1, "y": [1]}, "b": {"x": 2}}, 1),
        ({"b": "two", "a": "one"}, {}, {"two": {"x": 2}, "one": {"x": 1, "y": [1]}}, 2),
        (["a", "b"], {"flatten": True, "meta_from": "b"}, {"x": 2, "y": [1]}, 2),
    ],
)
def test_payloads_are_put_together(
    names: Any, options: dict[str, Any], payload: Any, at: int
) -> None:
    msg = CombineCtx(names, **options).process(message())
    assert (msg.payload, msg.meta) == (payload, {"at": at})


def test_what_is_no_dict_cannot_be_flattened() -> None:
    msg = AddCtx("c").process(message())
    with pytest.raises(MessageError, match="'c' in ctx is no dict, but str"):
        CombineCtx(["a", "c"], flatten=True).process(msg)


@pytest.mark.parametrize("names", [["a"], "ab", {}])
def test_fewer_than_two_names_are_refused(names: Any) -> None:
    with pytest.raises(SettingsError, match="two names at least"):
        CombineCtx(names)


def test_the_meta_alone_is_taken() -> None:
    msg = UseMetaFromCtx("b").process(message())
    assert (msg.payload, msg.meta) == ("now", {"at": 2})


def test_a_name_that_nothing_was_kept_under_is_told() -> None:
    with pytest.raises(NotKept, match="ctx has no 'c'; it has a, b"):
        SetCtx("c").process(message())


async def later(msg: Message) -> str:
    return f"{msg.payload}!"


async def test_facts_are_set() -> None:
    values = {"unit": "K", "size": lambda msg: len(msg.payload), "said": later}
    msg = await SetMeta(values).process(message())
    assert msg.meta == {"at": 3, "unit": "K", "size": 3, "said": "now!"}


async def test_what_is_set_is_nobody_elses() -> None:
    node = SetMeta({"list": []})
    (await node.process(message())).meta["list"].append(1)
    assert (await node.process(message())).meta["list"] == []


def test_a_fact_that_is_a_generator_is_refused() -> None:
    with pytest.raises(UsageError):
        SetMeta({"x": (lambda msg: (yield 1))})


def test_the_meta_is_cleared_but_for_what_marks_the_way() -> None:
    meta = {"lane": "replay", "replay_of": "1", "a": 1, "b": 2}
    msg = EmptyMeta(keep=["b", "gone"]).process(Message(meta=meta))
    assert msg.meta == {"lane": "replay", "replay_of": "1", "b": 2}
