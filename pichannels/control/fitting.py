"""What is searched for, and whether what a message holds is that."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import msgspec

from pichannels.control.frames import EventId, about, event_id_of, holds
from pichannels.control.jsonpath import json_matcher
from pichannels.control.masking import Mask, masked_text
from pichannels.errors import UsageError
from pichannels.matching import BoundedPattern
from pichannels.message import Message
from pichannels.states import Entry
from pichannels.values import TICKS_PER_SECOND, format_ticks

__all__ = [
    "LIVE",
    "MOST",
    "MessagesWanted",
    "entry_test",
    "failed_so",
    "message_test",
    "near_event",
    "near_uuid",
]

MOST: Final = 500
LIVE: Final = "live"
"""The lane of messages that name none."""

_EARLY: Final = 3600 * TICKS_PER_SECOND
"""Clocks differ: an event may have come so long before its time."""
_DAY: Final = 24 * _EARLY
_MILLISECOND: Final = TICKS_PER_SECOND // 1000
_TIMED: Final = 7
"""The version of UUIDs that begin with the milliseconds since 1970, as ours do."""


class MessagesWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What is searched for, all of it.

    Attributes:
        channel: full name; all channels without.
        start, end: made at or after, and before (ISO 8601).
        state: `pending processing wait_retry processed dropped error rejected`.
        lane: `live late repair correction delete replay`, or another one.
        node: where it failed: its full name, or the last part of that.
        error: what the error contains.
        error_class: the name of the exception, such as `ValueError`.
        attempts: tried so often at least.
        meta: a fact of the message, as `NAME`, or `NAME=VALUE` with its text.
        tag: the WebID, path or name of a tag.
        event_id: what a sample is known by; messages of the day from the event on that
            hold it, the oldest first, unless a range is given.
        uuid: what logs and sinks call the message. It tells when it was made, and the
            hour before is searched, unless a range is given.
        text, regex: what the payload as text contains, and what is found in it.
        json_path, json_value: there is a value in the payload at this path, and it is
            this text.
        oldest_first: otherwise the newest come first.
        count: how many at most.
        cursor: `next` of the page before.
    """

    channel: str | None = None
    start: str | None = None
    end: str | None = None
    state: str | None = None
    lane: str | None = None
    node: str | None = None
    error: str | None = None
    error_class: str | None = None
    attempts: Annotated[int, msgspec.Meta(ge=0)] | None = None
    meta: str | None = None
    tag: str | None = None
    event_id: str | None = None
    uuid: str | None = None
    text: str | None = None
    regex: str | None = None
    json_path: str | None = None
    json_value: str | None = None
    oldest_first: bool = False
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 50
    cursor: str | None = None

    @property
    def looks_inside(self) -> bool:
        """Whether the answer tells what payloads hold."""
        inside = (self.text, self.regex, self.json_path, self.error, self.meta)
        return any(each is not None for each in (*inside, self.event_id))


W = TypeVar("W", bound=MessagesWanted)


def near_event(wanted: W, event: EventId) -> W:
    """The same where an event is looked for: from its time on, unless it says when."""
    start, end = wanted.start, wanted.end
    if start is None:
        start = format_ticks(event.ticks - _EARLY)
        end = format_ticks(event.ticks + _DAY) if end is None else end
    return msgspec.structs.replace(wanted, start=start, end=end, oldest_first=True)


def near_uuid(wanted: W) -> W:
    """The same where a message is looked for by its UUID: about when that was made.

    Raises:
        UsageError: it is no UUID.
    """
    if wanted.uuid is None:
        return wanted
    try:
        uuid = UUID(wanted.uuid)
    except ValueError as exc:
        raise UsageError(f"uuid has 32 hex digits, unlike {wanted.uuid!r}") from exc
    wanted = msgspec.structs.replace(wanted, uuid=uuid.hex)
    if uuid.version != _TIMED or wanted.start or wanted.end:
        return wanted
    made = (uuid.int >> 80) * _MILLISECOND
    start, end = made - _EARLY, made + TICKS_PER_SECOND
    return msgspec.structs.replace(
        wanted, start=format_ticks(start), end=format_ticks(end)
    )


def entry_test(
    wanted: MessagesWanted, mask: Mask | None
) -> Callable[[Entry], bool] | None:
    """Whether a stored message is what is wanted, all but where and when it is.

    Args:
        mask: hides what must not be found, either.

    Raises:
        UsageError: a condition is not of its kind.
    """
    fits = message_test(wanted, mask)
    place = (wanted.attempts, wanted.lane, wanted.tag, wanted.uuid)
    outside = (*_failure(wanted), *place)
    if fits is None and not any(outside):
        return None

    def test(entry: Entry) -> bool:
        msg, facts = entry["message"], entry["meta"]
        if wanted.uuid is not None and wanted.uuid != msg.uuid:
            return False
        if wanted.attempts and not _number(facts.get("attempts")) >= wanted.attempts:
            return False
        if wanted.lane is not None and wanted.lane != msg.meta.get("lane", LIVE):
            return False
        if any(_failure(wanted)) and not failed_so(facts, wanted, mask):
            return False
        if wanted.event_id is None and wanted.tag and not about(msg, wanted.tag):
            return False
        return fits is None or fits(msg)

    return test


def _failure(wanted: MessagesWanted) -> tuple[str | None, ...]:
    return wanted.node, wanted.error, wanted.error_class


def _number(fact: Any) -> int:
    return fact if isinstance(fact, int) else 0


def failed_so(
    facts: Mapping[str, Any], wanted: MessagesWanted, mask: Mask | None
) -> bool:
    """Whether the facts about an outcome tell of the failure that is looked for."""
    at = str(facts.get("node", ""))
    if wanted.node and at != wanted.node and not at.endswith(f".{wanted.node}"):
        return False
    if wanted.error_class and facts.get("error") != wanted.error_class:
        return False
    said = str(facts.get("err_msg", ""))
    return not wanted.error or wanted.error in (mask.applied(said) if mask else said)


def message_test(
    wanted: MessagesWanted, mask: Mask | None
) -> Callable[[Message], bool] | None:
    """Whether what a message holds is what is wanted; None where anything is.

    Args:
        mask: hides what must not be found, either.

    Raises:
        UsageError: a condition is not of its kind.
    """
    tests = [
        _event_test(wanted, mask),
        _payload_test(wanted, mask),
        _meta_test(wanted, mask),
    ]
    given = [test for test in tests if test is not None]
    return (lambda msg: all(test(msg) for test in given)) if given else None


def _event_test(
    wanted: MessagesWanted, mask: Mask | None
) -> Callable[[Message], bool] | None:
    if wanted.event_id is None:
        return None
    event = event_id_of(wanted.event_id)
    return lambda msg: holds(msg, event, mask)


def _payload_test(
    wanted: MessagesWanted, mask: Mask | None
) -> Callable[[Message], bool] | None:
    if wanted.text is None and wanted.regex is None and wanted.json_path is None:
        return None
    pattern = None
    if wanted.regex is not None:
        try:
            pattern = BoundedPattern(wanted.regex)
        except re.error as exc:
            raise UsageError(f"regex is no regular expression: {exc}") from exc
    text = wanted.text or ""
    has_json = None
    if wanted.json_path is not None:
        hides = mask.applied if mask else None
        has_json = json_matcher(wanted.json_path, wanted.json_value, hides)

    def fits(msg: Message) -> bool:
        seen = masked_text(msg.payload, mask)
        if text not in seen or (pattern is not None and not pattern.is_in(seen)):
            return False
        return has_json is None or has_json(msg.payload)

    return fits


def _meta_test(
    wanted: MessagesWanted, mask: Mask | None
) -> Callable[[Message], bool] | None:
    if wanted.meta is None:
        return None
    name, has_value, value = wanted.meta.partition("=")

    def fits(msg: Message) -> bool:
        meta = mask.applied(msg.meta) if mask else msg.meta
        return name in meta and (not has_value or str(meta[name]) == value)

    return fits
