"""What to search for: the arguments of a store's `search`, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, TypedDict

import msgspec

from pichannels.errors import DecodeError, UsageError, nearest
from pichannels.states import State
from pichannels.values import parse_ticks, ticks_from_datetime

__all__ = ["Filters", "Query", "payload_text"]

_ORDERS = ("timestamp", "-timestamp", "state", "-state")
_FIRST, _END = -(2**63), 2**63 - 1


class Filters(TypedDict, total=False):
    """The arguments of `Query.of`."""

    start: int
    count: int
    order_by: str
    start_dt: datetime | str | None
    end_dt: datetime | str | None
    text: str | None
    rtext: str | None
    state: str | None
    ids: Collection[int] | None
    tag: str | None
    after: tuple[int, int] | None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A checked search; make it with `Query.of`.

    Attributes:
        start, count: how many to skip, and how many to give at most.
        by_state: order by state, then by time; otherwise by time.
        is_reversed: the other way round.
        first, end: instants in ticks, `end` exclusive.
        matches: whether the text of a payload is what is looked for, or None.
        state: only messages in this state.
        ids: only messages with these numbers.
        tag: only messages whose manifest names this tag.
        after: go on behind this (ticks, seq).
    """

    start: int = 0
    count: int = 10
    by_state: bool = False
    is_reversed: bool = False
    first: int = _FIRST
    end: int = _END
    matches: Callable[[str], bool] | None = None
    state: State | None = None
    ids: frozenset[int] | None = None
    tag: str | None = None
    after: tuple[int, int] | None = None

    @staticmethod
    def of(
        *,
        start: int = 0,
        count: int = 10,
        order_by: str = "timestamp",
        start_dt: datetime | str | None = None,
        end_dt: datetime | str | None = None,
        text: str | None = None,
        rtext: str | None = None,
        state: str | None = None,
        ids: Collection[int] | None = None,
        tag: str | None = None,
        after: tuple[int, int] | None = None,
    ) -> Query:
        """Check the arguments of `MessageStore.search`, and those of the journal.

        Args:
            ids: only messages with these numbers.
            tag: only messages whose manifest names this tag.
            after: go on behind the message with this (ticks, seq).

        Raises:
            UsageError: an argument is not of its kind.
        """
        if order_by not in _ORDERS:
            raise _unknown("order_by", order_by, _ORDERS)
        if start < 0 or count < 0:
            raise UsageError(f"start and count are 0 or more, not {start}, {count}")
        if after is not None and "state" in order_by:
            raise UsageError("after works only with order_by timestamp")
        return Query(
            start=start,
            count=count,
            by_state="state" in order_by,
            is_reversed=order_by.startswith("-"),
            first=_FIRST if start_dt is None else _ticks("start_dt", start_dt),
            end=_END if end_dt is None else _ticks("end_dt", end_dt),
            matches=_matcher(text, rtext),
            state=None if state is None else _state(state),
            ids=None if ids is None else frozenset(ids),
            tag=tag,
            after=after,
        )


def payload_text(payload: Any) -> str:
    """The payload as text, as far as a search looks at it."""
    if isinstance(payload, str):
        return payload
    if isinstance(payload, (bytes, bytearray)):
        return payload.decode("utf-8", "replace")
    return str(payload)


def _ticks(name: str, moment: datetime | str) -> int:
    if isinstance(moment, datetime):
        return ticks_from_datetime(
            moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        )
    try:
        return parse_ticks(moment)
    except (DecodeError, TypeError) as exc:
        raise UsageError(f"{name} is no ISO 8601 time: {moment!r}") from exc


def _state(name: str) -> State:
    try:
        return State(name)
    except ValueError as exc:
        raise _unknown("state", name, [str(state) for state in State]) from exc


def _matcher(text: str | None, rtext: str | None) -> Callable[[str], bool] | None:
    if text is None and rtext is None:
        return None
    try:
        pattern = None if rtext is None else re.compile(rtext)
    except re.error as exc:
        raise UsageError(f"rtext is no regular expression: {exc}") from exc

    def matches(found: str) -> bool:
        if text is not None and text not in found:
            return False
        return pattern is None or pattern.search(found) is not None

    return matches


def _unknown(name: str, found: str, known: Collection[str]) -> UsageError:
    hint = nearest(found, known)
    return UsageError(f"{name} is one of {', '.join(known)}, not {found!r}{hint}")
