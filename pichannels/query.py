"""What to search for: the arguments of a store's `search`, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypedDict

import msgspec

from pichannels.errors import DecodeError, UsageError, nearest
from pichannels.matching import BoundedPattern
from pichannels.states import Entry, State
from pichannels.values import parse_ticks, ticks_from_datetime

__all__ = [
    "Filters",
    "Query",
    "fact_text",
    "grouping",
    "payload_text",
    "plain_words",
]

_ORDERS: Final = ("timestamp", "state", "status", "meta_<name>")
_GROUPS: Final = ("state", "status", "meta_<name>")
_META: Final = "meta_"
_FIRST, _END = -(2**63), 2**63 - 1
_SHORTEST: Final = 3
_SPECIAL: Final = re.compile(r"[|()\[\]\\{}?*+]")


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
    start_id: str | None
    meta: Mapping[str, Any] | None
    ids: Collection[int] | None
    tag: str | None
    after: tuple[int, int] | None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A checked search; make it with `Query.of`.

    Attributes:
        start, count: how many to skip, and how many to give at most.
        by_state: order by state, then by time; otherwise by time.
        by_meta: order by the first value of this fact, then by time; a store is
            never asked for this, `MessageStore.search` sees to it.
        is_reversed: the other way round.
        first, end: instants in ticks, `end` exclusive.
        text, pattern: what the payload as text contains, and the regular expression
            that is found in it; both are parts of `matches`.
        matches: whether the text of a payload is what is looked for, or None.
        knows: whether facts about the outcome are what is looked for, or None.
        state: only messages in this state.
        after_id: go on behind the message with this id.
        ids: only messages with these numbers.
        tag: only messages whose manifest names this tag.
        after: go on behind this (ticks, seq).
    """

    start: int = 0
    count: int = 10
    by_state: bool = False
    by_meta: str | None = None
    is_reversed: bool = False
    first: int = _FIRST
    end: int = _END
    text: str | None = None
    pattern: str | None = None
    matches: Callable[[str], bool] | None = None
    knows: Callable[[Mapping[str, Any]], bool] | None = None
    state: State | None = None
    after_id: str | None = None
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
        start_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
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
        key, name = _key("order_by", order_by.removeprefix("-"), _ORDERS)
        if start < 0 or count < 0:
            raise UsageError(f"start and count are 0 or more, not {start}, {count}")
        for given, what in ((after, "after"), (start_id, "start_id")):
            if given is not None and key != "timestamp":
                raise UsageError(f"{what} works only with order_by timestamp")
        return Query(
            start=start,
            count=count,
            by_state=key == "state",
            by_meta=name,
            is_reversed=order_by.startswith("-"),
            first=_FIRST if start_dt is None else _ticks("start_dt", start_dt),
            end=_END if end_dt is None else _ticks("end_dt", end_dt),
            text=text,
            pattern=rtext,
            matches=_matcher(text, rtext),
            knows=_knower(meta),
            state=None if state is None else _state(state),
            after_id=start_id,
            ids=None if ids is None else frozenset(ids),
            tag=tag,
            after=after,
        )

    @property
    def needs_reading(self) -> bool:
        """Whether time and state alone do not tell which messages are meant."""
        return self.matches is not None or self.knows is not None

    def fits(self, entry: Entry) -> bool:
        """Whether payload and facts of a message are what is looked for."""
        if self.knows is not None and not self.knows(entry["meta"]):
            return False
        return self.matches is None or self.matches(
            payload_text(entry["message"].payload)
        )


def payload_text(payload: Any) -> str:
    """The payload as text, as far as a search looks at it."""
    if isinstance(payload, str):
        return payload
    if isinstance(payload, (bytes, bytearray)):
        return payload.decode("utf-8", "replace")
    return str(payload)


def plain_words(pattern: str) -> list[str]:
    """Texts that all that a regular expression finds contain, as far as is plain."""
    plain = re.sub(r"\.[*+?]", "^", pattern)
    if _SPECIAL.search(plain):
        return []
    return [part for part in re.split(r"[.^$]", plain) if len(part) >= _SHORTEST]


def fact_text(facts: Mapping[str, Any], name: str) -> str:
    """What a fact is ordered and grouped by: its first value as text, or nothing."""
    return next(iter(_texts(facts, name)), "")


def grouping(group_by: str) -> Callable[[Entry], str]:
    """What tells the group of a message.

    Raises:
        UsageError: it is none of `state` and `meta_<name>`.
    """
    _, name = _key("group_by", group_by, _GROUPS)
    if name is None:
        return lambda entry: entry["state"]
    return lambda entry: fact_text(entry["meta"], name)


def _key(what: str, given: str, known: Collection[str]) -> tuple[str, str | None]:
    """The key, and the name of the fact where it is one."""
    if given.startswith(_META) and given != _META:
        return _META, given.removeprefix(_META)
    if given not in known:
        raise _unknown(what, given, known)
    # The guide of pypeman calls it status, its code state.
    return ("state" if given == "status" else given), None


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
    pattern = None if rtext is None else _pattern("rtext", rtext)

    def matches(found: str) -> bool:
        if text is not None and text not in found:
            return False
        return pattern is None or pattern.is_in(found)

    return matches


def _pattern(name: str, text: str) -> BoundedPattern:
    try:
        return BoundedPattern(text)
    except (re.error, TypeError) as exc:
        raise UsageError(f"{name} is no regular expression: {exc}") from exc


def _knower(
    meta: Mapping[str, Any] | None,
) -> Callable[[Mapping[str, Any]], bool] | None:
    """All conditions hold, each for any of the values of its fact."""
    if not meta:
        return None
    conditions = [_condition(key, wanted) for key, wanted in meta.items()]

    def knows(facts: Mapping[str, Any]) -> bool:
        return all(
            any(holds(text) for text in _texts(facts, name))
            for name, holds in conditions
        )

    return knows


def _condition(key: str, wanted: Any) -> tuple[str, Callable[[str], bool]]:
    """The name of a fact, and what one of its values has to be."""
    word, _, name = key.partition("_")
    text = str(wanted)
    if not name or word not in ("exact", "text", "rtext", "start", "end"):
        return key, text.__eq__
    if word == "exact":
        return name, text.__eq__
    if word == "text":
        return name, lambda found: text in found
    if word == "rtext":
        pattern = _pattern(key, text)
        return name, pattern.is_in
    bound = _number(wanted)
    if bound is None:
        raise UsageError(f"{key} is a number, not {wanted!r}")
    if word == "start":
        return name, lambda found: (n := _number(found)) is not None and n >= bound
    return name, lambda found: (n := _number(found)) is not None and n <= bound


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _texts(facts: Mapping[str, Any], name: str) -> Iterable[str]:
    if name not in facts:
        return ()
    value = facts[name]
    return map(str, value if isinstance(value, list | tuple) else (value,))


def _unknown(name: str, found: str, known: Collection[str]) -> UsageError:
    hint = nearest(found, known)
    return UsageError(f"{name} is one of {', '.join(known)}, not {found!r}{hint}")
