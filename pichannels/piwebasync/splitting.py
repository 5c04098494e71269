"""How many requests one wish takes: URL length, list pages, pages of history.

Nothing here sends anything. A pager offers the next `request` and takes what the
answer held; it has none left when all has been read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from pichannels.errors import DecodeError
from pichannels.piwebasync.exceptions import APIException
from pichannels.piwebasync.parsing import ChannelMessage
from pichannels.piwebasync.requests import APIRequest, encoded
from pichannels.piwebasync.timed_values import StreamEvents

__all__ = [
    "ITEM_LIMIT",
    "URL_LIMIT",
    "ListPager",
    "NumberedPager",
    "Part",
    "RecordedPager",
    "split",
]

URL_LIMIT: Final = 4096
"""Characters of a URL that every server and proxy between is known to take."""
ITEM_LIMIT: Final = 150_000
"""PI's own default for the items of one answer, all streams together."""


class Part(NamedTuple):
    """One request, and the items that it asks for."""

    items: list[str]
    request: APIRequest


def split(
    build: Callable[[Sequence[str]], APIRequest],
    items: Sequence[str],
    *,
    url_limit: int = URL_LIMIT,
    max_items: int | None = None,
) -> Iterator[Part]:
    """Requests for all `items`, each within `url_limit` characters of URL.

    `build` makes the request for some of them, whose query has each of them once. An
    item whose own URL is too long is asked for alone. `max_items` limits the items
    of one request.
    """
    part: list[str] = []
    length = 0
    if items:
        none, key = _lengths(build, items[0])
    for item in items:
        more = key + len(encoded(item))
        if part and (length + more > url_limit or len(part) == max_items):
            yield Part(part, build(part))
            part = []
        length = length + more if part else none + more
        part.append(item)
    if part:
        yield Part(part, build(part))


def _lengths(
    build: Callable[[Sequence[str]], APIRequest], item: str
) -> tuple[int, int]:
    """Characters of a URL without items, and of each item beside its own text."""
    one, two = (len(build([item] * times).absolute_url) for times in (1, 2))
    return 2 * one - two, two - one - len(encoded(item))


class ListPager:
    """A list that is read in pages by `start_index`, where PI gives no links.

    Args:
        build: makes the request of `(start_index, max_count)`.
        max_count: items of one page.
    """

    def __init__(
        self, build: Callable[[int, int], APIRequest], max_count: int = 1000
    ) -> None:
        self._build = build
        self._max_count = max_count
        self._start = 0
        self.request: APIRequest | None = build(0, max_count)
        """What to ask next; None when the list is complete."""

    def feed(self, received: int) -> None:
        """Take note that the page held `received` items."""
        self._start += received
        complete = received < self._max_count
        self.request = None if complete else self._build(self._start, self._max_count)


class _Step(msgspec.Struct):
    """Streams that are asked for together, from where, how many events each."""

    web_ids: list[str]
    start: str
    max_count: int


class RecordedPager:
    """The archived events of several streams, page by page.

    PI gives no links here: a stream whose page is full goes on at the timestamp of
    its last event. The events at that timestamp are taken from the page that begins
    with them, so that all events of one timestamp come together; a page that holds
    one timestamp only is asked for again with a larger `max_count`.

    Args:
        build: makes the request of `(web_ids, start_time, max_count)`; boundary
            type `Inside`, ascending order.
        web_ids: the streams.
        start: the start time of the first pages, ISO 8601.
        max_count: events of one stream in one page.
        item_limit: events that the server gives in one answer.
    """

    def __init__(
        self,
        build: Callable[[Sequence[str], str, int], APIRequest],
        web_ids: Sequence[str],
        start: str,
        *,
        max_count: int = 10_000,
        item_limit: int = ITEM_LIMIT,
    ) -> None:
        self._build = build
        self._limit = item_limit
        self._page = max_count
        each = max(1, min(max_count, item_limit // max(1, len(web_ids))))
        self._steps = deque([_Step(list(web_ids), start, each)] if web_ids else ())
        self.failures: dict[str, str] = {}
        """WebIDs that PI could not answer, with PI's reason; read no further."""

    @property
    def request(self) -> APIRequest | None:
        """What to ask next; None when all has been read."""
        if not self._steps:
            return None
        step = self._steps[0]
        return self._build(step.web_ids, step.start, step.max_count)

    @property
    def asked(self) -> list[str]:
        """The WebIDs of `request`."""
        return list(self._steps[0].web_ids) if self._steps else []

    def feed(self, answer: ChannelMessage) -> ChannelMessage:
        """Take the answer to `request`; returns the events that are complete.

        They are under the WebIDs that were asked for, whatever PI calls them.

        Raises:
            DecodeError: the answer is not of the streams that were asked for.
            APIException: more events than the server gives share one timestamp.
        """
        step = self._steps.popleft()
        new = []
        for web_id, stream in _matched(step.web_ids, answer.streams):
            if reason := stream.failure:
                self.failures[web_id] = reason
            else:
                stream.web_id = web_id
                new.append(self._take(web_id, stream, step))
        return ChannelMessage(new)

    def refused(self, allowed: int | None = None) -> None:
        """The server finds the answer too large: ask for less, at first for half.

        `allowed` are the events that it gives in one answer, where it says so.

        Raises:
            APIException: it was one event of one stream already.
        """
        step = self._steps.popleft()
        wanted = step.max_count * len(step.web_ids)
        half = len(step.web_ids) // 2
        if allowed is not None and 0 < allowed < wanted:
            self._limit = min(self._limit, allowed)
            fewer = max(1, self._limit // len(step.web_ids))
            self._steps.appendleft(_Step(step.web_ids, step.start, fewer))
        elif half:
            for part in (step.web_ids[half:], step.web_ids[:half]):
                self._steps.appendleft(_Step(part, step.start, step.max_count))
        elif step.max_count > 1:
            self._limit = step.max_count // 2
            self._steps.appendleft(_Step(step.web_ids, step.start, self._limit))
        else:
            raise APIException(f"the server gives no single event of {step.web_ids[0]}")

    def unknown(self, reason: str) -> None:
        """The server refuses the request for one of its streams: find which."""
        step = self._steps.popleft()
        half = len(step.web_ids) // 2
        if not half:
            self.failures[step.web_ids[0]] = reason
            return
        for part in (step.web_ids[half:], step.web_ids[:half]):
            self._steps.appendleft(_Step(part, step.start, step.max_count))

    def _take(self, web_id: str, stream: StreamEvents, step: _Step) -> StreamEvents:
        events = stream.events
        if len(events) < step.max_count:
            return stream
        last = events[-1].timestamp
        end = len(events)
        while end and events[end - 1].timestamp == last:
            end -= 1
        self._go_on(web_id, last, step.max_count, is_one=end == 0)
        stream.items = events[:end]
        return stream

    def _go_on(self, web_id: str, last: str, max_count: int, *, is_one: bool) -> None:
        """Ask for what begins at `last`; for more of it, if it was all there was."""
        if is_one:
            if max_count >= self._limit:
                raise APIException(
                    f"{web_id} has more than {max_count} events at {last}, and the"
                    " server gives no more in one answer"
                )
            max_count = 2 * max_count
        # Alone it may have more than it had among others.
        count = min(max(max_count, self._page), self._limit)
        self._steps.append(_Step([web_id], last, count))


class _Stretch(msgspec.Struct):
    """Streams that are asked for together, and which of their values are left."""

    web_ids: list[str]
    first: int
    count: int


class NumberedPager:
    """Values of several streams that have numbers, as those at equal distances do.

    As many are asked for at once as the server gives; where it finds that too many,
    fewer. Offers and takes the same as `RecordedPager`.

    Args:
        build: makes the request of `(web_ids, first, count)`, numbers from 0.
        web_ids: the streams.
        count: values of each stream.
        item_limit: values that the server gives in one answer.
    """

    def __init__(
        self,
        build: Callable[[Sequence[str], int, int], APIRequest],
        web_ids: Sequence[str],
        count: int,
        *,
        item_limit: int = ITEM_LIMIT,
    ) -> None:
        self._build = build
        self._limit = item_limit
        whole = _Stretch(list(web_ids), 0, count)
        self._steps = deque([whole] if web_ids and count > 0 else ())
        self.failures: dict[str, str] = {}
        """WebIDs that PI could not answer, with PI's reason; read no further."""

    @property
    def request(self) -> APIRequest | None:
        """What to ask next; None when all has been read."""
        if not self._steps:
            return None
        step = self._steps[0]
        return self._build(step.web_ids, step.first, self._at_once(step))

    @property
    def asked(self) -> list[str]:
        """The WebIDs of `request`."""
        return list(self._steps[0].web_ids) if self._steps else []

    def feed(self, answer: ChannelMessage) -> ChannelMessage:
        """Take the answer to `request`; returns its values.

        Raises:
            DecodeError: the answer is not of the streams that were asked for.
        """
        step = self._steps[0]
        new = []
        for web_id, stream in _matched(step.web_ids, answer.streams):
            if reason := stream.failure:
                self.failures[web_id] = reason
            else:
                stream.web_id = web_id
                new.append(stream)
        taken = self._at_once(step)
        step.first += taken
        step.count -= taken
        step.web_ids = [one for one in step.web_ids if one not in self.failures]
        if not step.count or not step.web_ids:
            self._steps.popleft()
        return ChannelMessage(new)

    def refused(self, allowed: int | None = None) -> None:
        """The server finds the answer too large: ask for what it allows, or half.

        Raises:
            APIException: it was one value of one stream already.
        """
        step = self._steps[0]
        wanted = self._at_once(step) * len(step.web_ids)
        if allowed is None or not 0 < allowed < wanted:
            allowed = wanted // 2
        if not allowed:
            raise APIException(f"the server gives no single value of {step.web_ids[0]}")
        self._limit = allowed
        if allowed < len(step.web_ids):
            self._halve()

    def unknown(self, reason: str) -> None:
        """The server refuses the request for one of its streams: find which."""
        if len(self._steps[0].web_ids) > 1:
            self._halve()
        else:
            self.failures[self._steps.popleft().web_ids[0]] = reason

    def _at_once(self, step: _Stretch) -> int:
        return min(step.count, max(1, self._limit // len(step.web_ids)))

    def _halve(self) -> None:
        step = self._steps.popleft()
        half = len(step.web_ids) // 2
        for part in (step.web_ids[half:], step.web_ids[:half]):
            self._steps.appendleft(_Stretch(part, step.first, step.count))


def _matched(
    web_ids: list[str], streams: list[StreamEvents]
) -> Iterator[tuple[str, StreamEvents]]:
    """Streams by the WebIDs that were asked for; PI may answer in another format."""
    if len(streams) != len(web_ids):
        raise DecodeError(
            "the answer that was asked for",
            f"it has {len(streams)} streams instead of {len(web_ids)}",
        )
    given = {stream.web_id: stream for stream in streams}
    if given.keys() == set(web_ids):
        return ((web_id, given[web_id]) for web_id in web_ids)
    return zip(web_ids, streams, strict=True)
