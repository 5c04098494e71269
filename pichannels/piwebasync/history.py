"""Reading values in bulk: recorded, at equal distances, or at one instant.

One answer of PI holds so many values and one URL so many WebIDs; what is asked here
has no such limits. At most two pages are in memory: the one that is taken, and the
next, which is asked for meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeAlias

from pichannels.errors import DecodeError, UsageError
from pichannels.limiter import Priority
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.reading import Reading
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.splitting import (
    ITEM_LIMIT,
    URL_LIMIT,
    NumberedPager,
    RecordedPager,
)
from pichannels.values import (
    TICKS_PER_SECOND,
    Tag,
    format_ticks,
    parse_ticks,
    ticks_from_datetime,
)

__all__ = ["Instant", "ends", "interpolated", "recorded", "values"]

Instant: TypeAlias = int | datetime | str
"""Ticks, an aware datetime, ISO 8601, or PI time such as `*-1d`."""

_Tags: TypeAlias = Mapping[str, Tag]

_PAGE: Final = 10_000
# A third of what PI gives at most: an answer is read as a whole.
_AT_ONCE: Final = 50_000
_LONGEST: Final = "2000-01-01T00:00:00.0000000Z"


def recorded(
    client: HTTPClient,
    controller: Controller,
    web_ids: str | Sequence[str],
    start: Instant,
    end: Instant = "*",
    *,
    tags: Mapping[str, Tag] | None = None,
    filter_expression: str | None = None,
    page: int = _PAGE,
    item_limit: int = _AT_ONCE,
    url_limit: int = URL_LIMIT,
    priority: Priority | None = None,
) -> Reading:
    """What the archive holds of streams between two times, both included.

    ::

        async for sample in recorded(client, pi, web_id, "*-7d"):
            ...

    Each event comes once, those of one stream in order of time; events that share
    a timestamp all come, however many. A range or a set of streams that is too large
    for one answer is read in parts.

    Args:
        client: sends the requests.
        controller: makes them.
        web_ids: one stream or many.
        start, end: the range; the end moves on with time where it is PI time.
        tags: what the streams are, by WebID and by path; without, what PI says.
        filter_expression: PI's, such as `'.' > 50`.
        page: events of one stream in one answer, at most.
        item_limit: events in one answer, at most.
        url_limit: characters of one URL, at most.
        priority: what the limiter of the client takes the requests for.

    Raises:
        UsageError: a datetime has no time zone.
    """
    first, last = _text(start), _text(end)
    known = dict(tags or {})

    def build(
        some: Sequence[str], begin: str, count: int, known: _Tags = known
    ) -> APIRequest:
        request = _one_or_set(controller, "get_recorded", some, known)
        return request(
            start_time=begin,
            end_time=last,
            boundary_type="Inside",
            filter_expression=filter_expression,
            max_count=count,
        )

    def pager(some: Sequence[str]) -> RecordedPager:
        return RecordedPager(build, some, first, max_count=page, item_limit=item_limit)

    return Reading(
        client,
        web_ids,
        pager,
        lambda some: build(some, max(first, _LONGEST, key=len), ITEM_LIMIT, {}),
        tags=known,
        url_limit=url_limit,
        priority=priority,
    )


def interpolated(
    client: HTTPClient,
    controller: Controller,
    web_ids: str | Sequence[str],
    start: Instant,
    end: Instant,
    interval: float | timedelta,
    *,
    tags: Mapping[str, Tag] | None = None,
    filter_expression: str | None = None,
    item_limit: int = _AT_ONCE,
    url_limit: int = URL_LIMIT,
    priority: Priority | None = None,
) -> Reading:
    """The values of streams at `start` and every `interval` seconds until `end`.

    Arguments as of `recorded`, but that `start` and `end` are fixed instants: PI
    time (`*-1d`) moves on while pages are read.

    Raises:
        UsageError: the times are not fixed, or the interval is none.
    """
    first, last = _ticks(start), _ticks(end)
    seconds = interval.total_seconds() if isinstance(interval, timedelta) else interval
    step = round(seconds * TICKS_PER_SECOND)
    if step <= 0 or last < first:
        raise UsageError(
            "an interval is above 0, and the start before the end; not every"
            f" {seconds} s from {start!r} to {end!r}"
        )
    known = dict(tags or {})

    def build(
        some: Sequence[str], number: int, count: int, known: _Tags = known
    ) -> APIRequest:
        begin = first + number * step
        request = _one_or_set(controller, "get_interpolated", some, known)
        return request(
            start_time=format_ticks(begin),
            end_time=format_ticks(begin + (count - 1) * step),
            interval=f"{step / TICKS_PER_SECOND:.7f}".rstrip("0").rstrip(".") + "s",
            filter_expression=filter_expression,
        )

    def pager(some: Sequence[str]) -> NumberedPager:
        count = (last - first) // step + 1
        return NumberedPager(build, some, count, item_limit=item_limit)

    return Reading(
        client,
        web_ids,
        pager,
        partial(build, number=1, count=2, known={}),
        tags=known,
        url_limit=url_limit,
        priority=priority,
    )


def values(
    client: HTTPClient,
    controller: Controller,
    web_ids: str | Sequence[str],
    time: Instant = "*",
    *,
    tags: Mapping[str, Tag] | None = None,
    item_limit: int = _AT_ONCE,
    url_limit: int = URL_LIMIT,
    priority: Priority | None = None,
) -> Reading:
    """The values of streams at one time, the present by default.

    Arguments as of `recorded`.

    Raises:
        UsageError: a datetime has no time zone.
    """
    at = _text(time)
    return _single(
        partial(_one_or_set, controller, "get_value"),
        {"time": at},
        client,
        web_ids,
        dict(tags or {}),
        (item_limit, url_limit),
        priority,
    )


def ends(
    client: HTTPClient,
    controller: Controller,
    web_ids: str | Sequence[str],
    *,
    tags: Mapping[str, Tag] | None = None,
    item_limit: int = _AT_ONCE,
    url_limit: int = URL_LIMIT,
    priority: Priority | None = None,
) -> Reading:
    """The newest event of each stream, at the time that it has itself.

    Arguments as of `recorded`.
    """
    return _single(
        partial(_one_or_set, controller, "get_end"),
        {},
        client,
        web_ids,
        dict(tags or {}),
        (item_limit, url_limit),
        priority,
    )


def _single(
    action: Callable[[Sequence[str], _Tags], Callable[..., APIRequest]],
    options: Mapping[str, str],
    client: HTTPClient,
    web_ids: str | Sequence[str],
    tags: dict[str, Tag],
    limits: tuple[int, int],
    priority: Priority | None,
) -> Reading:
    """One value of each stream; `limits` are those of items and of the URL."""
    item_limit, url_limit = limits

    def build(
        some: Sequence[str], number: int = 0, count: int = 1, known: _Tags = tags
    ) -> APIRequest:
        return action(some, known)(**options)

    def pager(some: Sequence[str]) -> NumberedPager:
        return NumberedPager(build, some, 1, item_limit=item_limit)

    return Reading(
        client,
        web_ids,
        pager,
        partial(build, known={}),
        tags=tags,
        url_limit=url_limit,
        priority=priority,
    )


def _one_or_set(
    controller: Controller, action: str, web_ids: Sequence[str], tags: Mapping[str, Tag]
) -> Callable[..., APIRequest]:
    """The request for a set; of one whose answer need not say who it is, for it."""
    method: Any
    if len(web_ids) == 1 and web_ids[0] in tags:
        method = getattr(controller.streams, action)
        return partial(method, web_ids[0])
    method = getattr(controller.streamsets, f"{action}_adhoc")
    return partial(method, web_ids)


def _text(instant: Instant) -> str:
    """An instant as PI takes it."""
    if isinstance(instant, str):
        return instant
    return format_ticks(_ticks(instant))


def _ticks(instant: Instant) -> int:
    try:
        if isinstance(instant, datetime):
            return ticks_from_datetime(instant)
        return parse_ticks(instant) if isinstance(instant, str) else instant
    except (DecodeError, ValueError) as exc:
        raise UsageError(f"{instant!r} is no fixed instant: {exc}") from exc
