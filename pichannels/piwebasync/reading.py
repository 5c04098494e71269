"""Values on their way: pages are asked for one ahead, and become samples."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Final, Protocol, TypeAlias

from pichannels.limiter import Priority
from pichannels.piwebasync.exceptions import HTTPClientError, HTTPStatusError
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.parsing import (
    BadEvent,
    ChannelMessage,
    parse_stream,
    parse_stream_set,
    to_samples,
)
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.piwebasync.splitting import split
from pichannels.values import Sample, Tag

__all__ = ["Pager", "Reading"]

_Messages: TypeAlias = AsyncGenerator[ChannelMessage, None]

_STREAMS_AT_ONCE: Final = 100
_TOO_LARGE: Final = frozenset({400, 413, 500})
_ALLOWED: Final = re.compile(r"maximum allowed \(?(\d+)\)?", re.IGNORECASE)
_OF_A_STREAM: Final = frozenset({400, 403, 404, 409})
_MOST_REFUSED: Final = 100
# So many streams that are refused with the same words tell that it is the request.
_SAME_WORDS: Final = 4
_BAD_EVENTS_KEPT: Final = 1000


class Pager(Protocol):
    """What to ask for next, of some streams; see `splitting.RecordedPager`."""

    failures: dict[str, str]

    @property
    def request(self) -> APIRequest | None: ...
    @property
    def asked(self) -> list[str]: ...
    def feed(self, answer: ChannelMessage) -> ChannelMessage: ...
    def refused(self, allowed: int | None = None) -> None: ...
    def unknown(self, reason: str) -> None: ...


class Reading:
    """Samples of streams; iterate over it once, or over its pages.

    Args:
        client: sends the requests.
        web_ids: one stream or many.
        pager: makes what plans the requests of some of them.
        longest: a request for a set of them that is as long as any.
        tags: what the streams are, by WebID and by path.
        url_limit: characters of one URL, at most.
        priority: what the limiter of the client takes the requests for.

    Attributes:
        failures: WebIDs of which PI gave no values, and why, as far as it was read.
            Where one stream was asked for by itself, or none of several could be
            read, that is raised instead.
        bad_events: events that are no samples, the first 1,000 of them.
        count: samples so far.
    """

    def __init__(
        self,
        client: HTTPClient,
        web_ids: str | Sequence[str],
        pager: Callable[[Sequence[str]], Pager],
        longest: Callable[[Sequence[str]], APIRequest],
        *,
        tags: dict[str, Tag],
        url_limit: int,
        priority: Priority | None,
    ) -> None:
        self.failures: dict[str, str] = {}
        self.bad_events: list[BadEvent] = []
        self.count = 0
        self._client = client
        self._is_alone = isinstance(web_ids, str)
        self._web_ids = (
            [web_ids] if isinstance(web_ids, str) else [*dict.fromkeys(web_ids)]
        )
        self._pager = pager
        self._longest = longest
        self._tags = tags
        self._url_limit = url_limit
        self._priority = priority
        self._refused = 0
        self._has_read = False
        self._first_refusal: HTTPStatusError | None = None
        self._reasons: list[str] = []

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
            self._longest,
            self._web_ids,
            url_limit=self._url_limit,
            max_items=_STREAMS_AT_ONCE,
        )
        for part in parts:
            pager = self._pager(part.items)
            async with aclosing(self._messages(pager)) as messages:
                async for message in messages:
                    if samples := self._samples(message):
                        yield samples
            self._note(pager.failures)
        if self._first_refusal is not None and not self._has_read:
            raise self._first_refusal

    def _note(self, failures: Mapping[str, str]) -> None:
        self.failures.update(failures)
        if self._is_alone and failures:
            request = self._longest(self._web_ids)
            (reason,) = failures.values()
            raise HTTPClientError(request.method, request.absolute_url, reason)

    async def _messages(self, pager: Pager) -> _Messages:
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

    def _ask(self, pager: Pager) -> asyncio.Task[HTTPResponse] | None:
        request = pager.request
        if request is None:
            return None
        sending = self._client.get(request, priority=self._priority)
        return asyncio.create_task(sending, name="read history")

    def _fed(self, pager: Pager, response: HTTPResponse) -> ChannelMessage | None:
        """What the answer holds; None where the server gives it in parts only."""
        try:
            response.raise_for_status()
        except HTTPStatusError as exc:
            self._take_refusal(pager, exc)
            return None
        message = pager.feed(self._parsed(pager.asked, response.raw_response))
        self._has_read = self._has_read or bool(message.streams)
        return message

    def _parsed(self, web_ids: Sequence[str], raw: bytes) -> ChannelMessage:
        if len(web_ids) == 1 and web_ids[0] in self._tags:
            return parse_stream(raw, web_ids[0])
        return parse_stream_set(raw)

    def _take_refusal(self, pager: Pager, error: HTTPStatusError) -> None:
        said = " ".join(error.errors)
        if error.status_code in _TOO_LARGE and "maximum" in said.lower():
            found = _ALLOWED.search(said)
            pager.refused(int(found[1]) if found else None)
            return
        self._refused += 1
        self._first_refusal = self._first_refusal or error
        of_a_stream = error.status_code in _OF_A_STREAM and not self._is_alone
        if len(pager.asked) == 1:
            self._reasons.append(said)
        if (
            not of_a_stream
            or self._refused > _MOST_REFUSED
            or self._is_of_the_request(said)
        ):
            raise error
        pager.unknown(said or str(error))

    def _is_of_the_request(self, said: str) -> bool:
        """Whether all streams so far were refused, with the same words."""
        is_same = self._reasons == [said] * len(self._reasons)
        return not self._has_read and is_same and len(self._reasons) >= _SAME_WORDS

    def _samples(self, message: ChannelMessage) -> list[Sample]:
        found = to_samples(message, self._tags)
        self.bad_events += found.failures[: _BAD_EVENTS_KEPT - len(self.bad_events)]
        self.count += len(found.samples)
        return found.samples
