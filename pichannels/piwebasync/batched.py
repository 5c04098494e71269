"""Many reads in few requests: as PI batches, or one by one where these are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from pichannels.errors import DecodeError
from pichannels.piwebasync.batches import batch, part
from pichannels.piwebasync.bulk import all_of, parse_page
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.exceptions import HTTPClientError
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.responses import HTTPResponse

__all__ = ["BATCH_SIZE", "OF_THIS_OBJECT", "Reader"]

BATCH_SIZE: Final = 200
"""Requests of one batch: few enough that its answer does not take long."""

OF_THIS_OBJECT: Final = frozenset({403, 404, 409})
"""Refusals that concern one object and not the server."""

T = TypeVar("T")

_NO_BATCHES: Final = frozenset({400, 403, 404, 405, 413, 501})
"""What servers answer to a batch when they run none, or none like this."""
_SERVER_FAILED: Final = frozenset({502, 503, 504})
_TOO_MANY: Final = 429
_PAUSES: Final = (1.0, 2.0, 4.0)
_BATCHES_AT_ONCE: Final = 2
_SINGLES_AT_ONCE: Final = 4


class _Answer(msgspec.Struct, rename="pascal"):
    status: int
    headers: dict[str, Any] | None = None
    content: msgspec.Raw = msgspec.Raw(b"")


_ANSWERS: Final = msgspec.json.Decoder(dict[str, _Answer])


class Reader:
    """Reads many objects of one server.

    Args:
        client: sends the requests.
        controller: makes the batches.
        size: requests of one batch, at most; fewer where the limiter of the client
            would let others wait for it.
        pauses: seconds to wait, one after the other, before parts are asked for again
            that the server's rate limit refused; it counts them as requests.
    """

    def __init__(
        self,
        client: HTTPClient,
        controller: Controller,
        *,
        size: int = BATCH_SIZE,
        pauses: Sequence[float] = _PAUSES,
    ) -> None:
        self._client = client
        self._controller = controller
        self._size = size
        self._pauses = pauses
        self._batches = asyncio.Semaphore(_BATCHES_AT_ONCE)
        self._singles = asyncio.Semaphore(_SINGLES_AT_ONCE)
        self.refused = False
        """Whether the server takes no batches, so that each read is a request."""

    async def get(self, requests: Sequence[APIRequest]) -> list[HTTPResponse]:
        """The answers in the order of the requests, each with a status of its own.

        Raises:
            HTTPClientError: there was no answer.
            HTTPStatusError: a batch was refused for a reason that requests of
                their own would meet as well.
            DecodeError: the answer to a batch was not understood.
        """
        size = min(self._size, self._client.largest_batch or self._size)
        chunks = [requests[n : n + size] for n in range(0, len(requests), size)]
        # The first one alone, so that a refusal is met once.
        answers = [await self._patiently(chunk) for chunk in chunks[:1]]
        answers += await all_of(self._patiently(chunk) for chunk in chunks[1:])
        return [one for some in answers for one in some]

    async def get_lists(
        self, builds: Sequence[Callable[[int], APIRequest]], kind: type[T]
    ) -> list[list[T]]:
        """All objects of several lists of the asset framework, page after page.

        Each of `builds` makes the request of the page that begins at an index. A list
        that may not be read, or is not there, is empty.

        Raises:
            HTTPClientError: there was no answer.
            HTTPStatusError: a batch or a page was refused.
            DecodeError: an answer was not understood.
        """
        lists: list[list[T]] = [[] for _ in builds]
        starts = dict.fromkeys(range(len(builds)), 0)
        while starts:
            pages = await self.get([builds[n](start) for n, start in starts.items()])
            following: dict[int, int] = {}
            for (n, start), page in zip(starts.items(), pages, strict=True):
                if page.status_code in OF_THIS_OBJECT:
                    continue
                page.raise_for_status()
                items, then = parse_page(page.raw_response, kind, start)
                lists[n] += items
                if then is not None:
                    following[n] = then
            starts = following
        return lists

    async def _patiently(self, requests: Sequence[APIRequest]) -> list[HTTPResponse]:
        """The answers; those that the rate limit refused are asked for again."""
        answers = await self._ask(requests)
        for pause in self._pauses:
            late = [n for n, one in enumerate(answers) if one.status_code == _TOO_MANY]
            if not late:
                break
            await asyncio.sleep(pause)
            again = await self._ask([requests[n] for n in late])
            for n, answer in zip(late, again, strict=True):
                answers[n] = answer
        return answers

    async def _ask(self, requests: Sequence[APIRequest]) -> list[HTTPResponse]:
        if len(requests) > 1 and not self.refused:
            async with self._batches:
                found = await self._batch(requests)
            if found is not None:
                return found
        return await all_of(self._single(request) for request in requests)

    async def _single(self, request: APIRequest) -> HTTPResponse:
        async with self._singles:
            return await self._client.get(request)

    async def _batch(self, requests: Sequence[APIRequest]) -> list[HTTPResponse] | None:
        """The answers of one batch; None where the server runs none."""
        parts = {str(n): part(request) for n, request in enumerate(requests)}
        request = self._controller.batch.execute(batch(parts))
        response = await self._post(request)
        if response.status_code in _NO_BATCHES:
            self.refused = True
            return None
        if response.status_code == _TOO_MANY:
            return [response] * len(requests)
        response.raise_for_status()
        answers = _decoded(response.raw_response)
        if answers.keys() != parts.keys():
            raise DecodeError(
                "the answer to a batch", "it has other parts", response.raw_response
            )
        found = [_response(one, answers[str(n)]) for n, one in enumerate(requests)]
        # A proxy may know the server by another path than the server itself.
        self.refused = all(_is_no_route(one) for one in found)
        return None if self.refused else found

    async def _post(self, request: APIRequest) -> HTTPResponse:
        """The answer to a batch, which is sent again where a server failed.

        It holds nothing but reads, and a client of several servers goes on at the
        next one.
        """
        try:
            response = await self._client.post(request)
        except HTTPClientError:
            return await self._client.post(request)
        if response.status_code in _SERVER_FAILED:
            return await self._client.post(request)
        return response


def _decoded(raw: bytes) -> dict[str, _Answer]:
    try:
        return _ANSWERS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise DecodeError("the answer to a batch", str(exc), raw) from exc


def _is_no_route(answer: HTTPResponse) -> bool:
    """Whether the server has no such URL; a missing object is told as an error."""
    return answer.status_code == 404 and "Message" in answer.dict()


def _response(request: APIRequest, answer: _Answer) -> HTTPResponse:
    """The answer of a part as that of a request of its own."""
    headers = {name: str(text) for name, text in (answer.headers or {}).items()}
    content = bytes(answer.content)
    if content.startswith(b'"'):
        # A body that is no JSON is a text in the batch.
        content = msgspec.json.decode(content, type=str).encode()
    return HTTPResponse(
        answer.status,
        request.absolute_url,
        headers,
        b"" if content == b"null" else content,
        method=request.method,
    )
