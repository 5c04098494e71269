"""Reading the archive: all recorded events of a range, as samples, however many.

One answer of PI holds so many events and one URL so many WebIDs; what is asked here
has no such limits. At most two pages are in memory: the one that is taken, and the
next, which is asked for meanwhile.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Final, TypeAlias

from pichannels.limiter import Priority
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.exceptions import HTTPClientError, HTTPStatusError
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.parsing import (
    BadEvent,
    ChannelMessage,
    Samples,
    parse_stream,
    parse_stream_set,
    to_samples,
)
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.piwebasync.splitting import (
    ITEM_LIMIT,
    URL_LIMIT,
    RecordedPager,
    split,
)
from pichannels.values import Sample, Tag, format_ticks, ticks_from_datetime

__all__ = ["Instant", "Recorded", "recorded"]

Instant: TypeAlias = int | datetime | str
"""Ticks, an aware datetime, ISO 8601, or PI time such as `*-1d`."""

_PAGE: Final = 10_000
_STREAMS_AT_ONCE: Final = 100
_TOO_LARGE: Final = frozenset({400, 413, 500})
_ALLOWED: Final = re.compile(r"maximum allowed \(?(\d+)\)?", re.IGNORECASE)
_OF_A_STREAM: Final = frozenset({400, 403, 404, 409})
_MOST_REFUSED: Final = 100
_BAD_EVENTS_KEPT: Final = 1000


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
    item_limit: int = ITEM_LIMIT,
    url_limit: int = URL_LIMIT,
    priority: Priority | None = None,
) -> Recorded:
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
    """
    wanted = [web_ids] if isinstance(web_ids, str) else list(dict.fromkeys(web_ids))
    asking = _Asking(
        controller,
        _text(start),
        _text(end),
        tags or {},
        filter_expression,
    )
    limits = page, item_limit, url_limit
    return Recorded(client, asking, wanted, limits, priority, isinstance(web_ids, str))


class Recorded:
    """Recorded events on their way; iterate over them once, or over their pages.

    Attributes:
        failures: WebIDs of which PI gave no events, and why, as far as it was read.
            Where one stream was asked for by itself, that is raised instead.
        bad_events: events that are no samples, the first 1,000 of them.
        count: samples so far.
    """

    def __init__(
        self,
        client: HTTPClient,
        asking: _Asking,
        web_ids: Sequence[str],
        limits: tuple[int, int, int],
        priority: Priority | None,
        is_alone: bool,
    ) -> None:
        self.failures: dict[str, str] = {}
        self.bad_events: list[BadEvent] = []
        self.count = 0
        self._client = client
        self._asking = asking
        self._web_ids = web_ids
        self._page, self._item_limit, self._url_limit = limits
        self._priority = priority
        self._is_alone = is_alone
        self._refused = 0

    async def __aiter__(self) -> AsyncGenerator[Sample, None]:
        """The samples, one by one.

        Raises:
            HTTPClientError: a request got no answer.
            HTTPStatusError: a request as a whole was refused.
            DecodeError: an answer was not understood.
            APIException: the server does not give all events of one timestamp.
        """
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for sample in page:
                    yield sample

    async def pages(self) -> AsyncGenerator[list[Sample], None]:
        """The samples, as many at once as one answer holds; raises the same."""
        parts = split(
            self._asking.first,
            self._web_ids,
            url_limit=self._url_limit,
            max_items=_STREAMS_AT_ONCE,
        )
        for part in parts:
            pager = RecordedPager(
                self._asking.request,
                part.items,
                self._asking.start,
                max_count=self._page,
                item_limit=self._item_limit,
            )
            async with aclosing(self._messages(pager)) as messages:
                async for message in messages:
                    if samples := self._samples(message):
                        yield samples
            self._note(pager.failures)

    def _note(self, failures: Mapping[str, str]) -> None:
        self.failures.update(failures)
        if self._is_alone and failures:
            request = self._asking.first(self._web_ids)
            (reason,) = failures.values()
            raise HTTPClientError(request.method, request.absolute_url, reason)

    async def _messages(
        self, pager: RecordedPager
    ) -> AsyncGenerator[ChannelMessage, None]:
        """The pages of a pager; the next is asked for while one is taken."""
        answer = self._ask(pager)
        try:
            while answer is not None:
                message = self._fed(pager, await answer)
                answer = self._ask(pager)
                if message is not None:
                    yield message
        finally:
            if answer is not None:
                answer.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await answer

    def _ask(self, pager: RecordedPager) -> asyncio.Task[HTTPResponse] | None:
        request = pager.request
        if request is None:
            return None
        sending = self._client.get(request, priority=self._priority)
        return asyncio.create_task(sending, name="read history")

    def _fed(
        self, pager: RecordedPager, response: HTTPResponse
    ) -> ChannelMessage | None:
        """What the answer holds; None where the server gives it in parts only."""
        try:
            response.raise_for_status()
        except HTTPStatusError as exc:
            self._take_refusal(pager, exc)
            return None
        return pager.feed(self._asking.parsed(pager.asked, response.raw_response))

    def _take_refusal(self, pager: RecordedPager, error: HTTPStatusError) -> None:
        said = " ".join(error.errors)
        if error.status_code in _TOO_LARGE and "maximum" in said.lower():
            found = _ALLOWED.search(said)
            pager.refused(int(found[1]) if found else None)
            return
        self._refused += 1
        of_a_stream = error.status_code in _OF_A_STREAM and not self._is_alone
        if not of_a_stream or self._refused > _MOST_REFUSED:
            raise error
        pager.unknown(said or str(error))

    def _samples(self, message: ChannelMessage) -> list[Sample]:
        found: Samples = to_samples(message, self._asking.tags)
        self.bad_events += found.failures[: _BAD_EVENTS_KEPT - len(self.bad_events)]
        self.count += len(found.samples)
        return found.samples


class _Asking:
    """Makes the requests of one range, and reads their answers."""

    def __init__(
        self,
        controller: Controller,
        start: str,
        end: str,
        tags: Mapping[str, Tag],
        filter_expression: str | None,
    ) -> None:
        self.start = start
        self.tags = dict(tags)
        self._controller = controller
        self._end = end
        self._filter = filter_expression

    def first(self, web_ids: Sequence[str]) -> APIRequest:
        """A request for these streams that is as long as any later one."""
        return self._set(web_ids, self.start.ljust(28, "0"), ITEM_LIMIT)

    def request(self, web_ids: Sequence[str], start: str, count: int) -> APIRequest:
        """The request for a page."""
        if not self._is_known(web_ids):
            return self._set(web_ids, start, count)
        return self._controller.streams.get_recorded(
            web_ids[0],
            start_time=start,
            end_time=self._end,
            boundary_type="Inside",
            max_count=count,
            filter_expression=self._filter,
        )

    def parsed(self, web_ids: Sequence[str], raw: bytes) -> ChannelMessage:
        """The answer to a request for these streams."""
        if not self._is_known(web_ids):
            return parse_stream_set(raw)
        return parse_stream(raw, web_ids[0])

    def _is_known(self, web_ids: Sequence[str]) -> bool:
        """Whether it is one stream whose answer need not say which one it is."""
        return len(web_ids) == 1 and web_ids[0] in self.tags

    def _set(self, web_ids: Sequence[str], start: str, count: int) -> APIRequest:
        return self._controller.streamsets.get_recorded_adhoc(
            web_ids,
            start_time=start,
            end_time=self._end,
            boundary_type="Inside",
            max_count=count,
            filter_expression=self._filter,
        )


def _text(instant: Instant) -> str:
    if isinstance(instant, datetime):
        return format_ticks(ticks_from_datetime(instant))
    return instant if isinstance(instant, str) else format_ticks(instant)
