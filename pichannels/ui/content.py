"""Stored messages as plain values: for JSON, without what is masked."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import msgspec

from pichannels import codecs
from pichannels.control.frames import summary_of
from pichannels.control.masking import Mask, masked_text
from pichannels.errors import CodecError
from pichannels.journal.records import Record
from pichannels.values import format_ticks

__all__ = [
    "MessageRow",
    "MessageView",
    "facts_of",
    "hidden_error",
    "masked_message",
    "row_of",
    "view_of",
]

PREVIEW: Final = 200
_OPEN_META: Final = frozenset(
    {"lane", "late", "part", "part_of", "parts", "replay_of", "edited_from"}
    | {"replay_from", "replay_to_sink"}
)
"""Facts of messages that quote no payload."""


class MessageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored message in short.

    Attributes:
        id: its number in its store.
        channel, lane: where it was accepted.
        state: what became of it.
        timestamp: when it was made, ISO 8601.
        uuid: tells it from all others.
        attempts: how often it was tried.
        node: where it failed, or "".
        error: why, or "".
        payload: the beginning of its text; None where the user may not see it.
    """

    id: str
    channel: str
    state: str
    timestamp: str
    uuid: str
    lane: str = ""
    attempts: int = 0
    node: str = ""
    error: str = ""
    payload: str | None = None


class MessageView(msgspec.Struct, frozen=True, kw_only=True):
    """A stored message, whole.

    Attributes:
        id, channel, state: as in `MessageRow`.
        outcome: facts about what became of it: `err_msg`, `node`, `attempts`, ...
        message: `timestamp`, `uuid`, `content_type`, `meta`, `payload` and `ctx`; the
            last two are None, and most of `meta` is left out, where the user may see no
            payloads.
    """

    id: str
    channel: str
    state: str
    outcome: dict[str, Any]
    message: dict[str, Any]


def row_of(
    record: Record, mask: Mask | None, *, with_values: bool = False
) -> MessageRow:
    """A record in short.

    Args:
        mask: what is hidden; None hides all of the payload and the error.
        with_values: whether the payload tells values of PI for people, not the
            beginning of the document that PI has sent.
    """
    facts = facts_of(record)
    return MessageRow(
        id=str(record.seq),
        channel=record.channel,
        state=str(record.state),
        timestamp=format_ticks(record.ticks),
        uuid=record.uuid,
        lane=record.lane,
        attempts=record.attempts,
        node=str(facts.get("node", "")),
        error=_error(facts, mask),
        payload=None if mask is None else _preview(record, mask, with_values),
    )


def _preview(record: Record, mask: Mask, with_values: bool) -> str:
    told = ""
    if with_values:
        with contextlib.suppress(CodecError):
            told = summary_of(record.message(), mask)
    return shorten(told or text_of(record, mask))


def _error(facts: dict[str, Any], mask: Mask | None) -> str:
    return hidden_error(str(facts.get("err_msg", "")), mask)


def hidden_error(text: str, mask: Mask | None) -> str:
    """What a node says of an error, which may quote the payload, as one may see it."""
    if mask is None:
        return "(not shown)" if text else ""
    return str(mask.applied(text))


def facts_of(record: Record) -> dict[str, Any]:
    """The facts about the outcome; nothing where they cannot be read."""
    try:
        return record.meta
    except CodecError:
        return {}


def text_of(record: Record, mask: Mask) -> str:
    """The payload as text, as a search looks at it, without what is hidden."""
    try:
        return masked_text(record.message().payload, mask)
    except CodecError as exc:
        return f"unreadable: {exc}"


def shorten(text: str) -> str:
    """The beginning of a text."""
    return text if len(text) <= PREVIEW else f"{text[:PREVIEW]}..."


def view_of(record: Record, mask: Mask | None) -> MessageView:
    """A record, whole; `mask` as for `row_of`."""
    try:
        message = plain(record.message().to_dict())
    except CodecError as exc:
        message = {"uuid": record.uuid, "payload": f"unreadable: {exc}"}
    found = MessageView(
        id=str(record.seq),
        channel=record.channel,
        state=str(record.state),
        outcome=plain(facts_of(record)),
        message=message,
    )
    return masked_message(found, mask)


def masked_message(view: MessageView, mask: Mask | None) -> MessageView:
    """The same without what is hidden."""
    if mask is None:
        message = {**view.message, "payload": None, "ctx": None}
        meta = message.get("meta") or {}
        message["meta"] = {k: v for k, v in meta.items() if k in _OPEN_META}
        known = ("node", "attempts", "sample_error_count")
        outcome = {k: v for k, v in view.outcome.items() if k in known}
    else:
        message, outcome = mask.applied(view.message), mask.applied(view.outcome)
    return msgspec.structs.replace(view, message=message, outcome=outcome)


def plain(value: Any) -> Any:
    """The value as JSON has it; what JSON has not as our codecs write it."""
    try:
        return msgspec.json.decode(codecs.encode_json(value))
    except CodecError:
        return repr(value)
