"""Asking for many objects in few requests: `multiple` calls, and lists in pages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from pichannels.errors import DecodeError
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.piwebasync.splitting import URL_LIMIT, Part, split
from pichannels.piwebasync.timed_values import error_text

__all__ = [
    "MULTIPLE_LIMIT",
    "Found",
    "Getter",
    "all_of",
    "fetch_multiple",
    "parse_multiple",
    "parse_page",
    "read_list",
]

MULTIPLE_LIMIT: Final = 500
"""Objects of one `multiple` request, so that no answer takes long."""

T = TypeVar("T")
R = TypeVar("R")

_UNUSABLE: Final = 400
_MOST_REFUSED: Final = 100
_MISSING: Final = {"Errors": ["it is missing in PI's answer"]}
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Getter(Protocol):
    """What sends requests: an `HTTPClient`, or something in front of one."""

    async def get(self, request: APIRequest) -> HTTPResponse:
        """The answer to a GET request."""


class Found(msgspec.Struct, Generic[T]):
    """The objects that were asked for, and why others are not there."""

    objects: dict[str, T] = {}
    """By the WebID or path as it was asked for."""
    failures: dict[str, str] = {}
    """WebID or path to PI's reason."""


def parse_multiple(raw: bytes, wanted: Sequence[str], kind: type[T]) -> Found[T]:
    """What `.../multiple` answers to `wanted`, in whatever order.

    Paths are the same in upper and lower case, WebIDs are not.

    Raises:
        DecodeError: the bytes are no such answer.
    """
    given = {_key(a.get("Identifier") or ""): a for a in _answers(raw)}
    found: Found[T] = Found()
    for one in wanted:
        answer = given.get(_key(one), {"Exception": _MISSING})
        try:
            if answer.get("Object") is not None:
                found.objects[one] = msgspec.convert(
                    answer["Object"], kind, strict=False
                )
                continue
            reason = error_text(answer.get("Exception"))
        except msgspec.ValidationError as exc:
            reason = f"PI's answer is not understood: {exc}"
        found.failures[one] = reason or "PI gave neither an object nor a reason"
    return found


def _key(identifier: str) -> str:
    return identifier.upper() if identifier.startswith("\\") else identifier


def _answers(raw: bytes) -> list[dict[str, Any]]:
    try:
        items = msgspec.json.decode(raw, type=dict[str, Any])["Items"]
        return msgspec.convert(items, list[dict[str, Any]])
    except (*_UNREADABLE, KeyError) as exc:
        raise DecodeError("an answer of multiple", str(exc), raw) from exc


async def fetch_multiple(
    client: Getter,
    build: Callable[[Sequence[str]], APIRequest],
    wanted: Sequence[str],
    kind: type[T],
    *,
    url_limit: int = URL_LIMIT,
    max_items: int = MULTIPLE_LIMIT,
    concurrency: int = 4,
) -> Found[T]:
    """The objects of many WebIDs or paths; one without costs no other.

    A request that the server does not understand (400) is asked in halves, so that
    the item that spoils it is found, as long as these are few.

    `build` makes the `multiple` request for some of `wanted`.

    Raises:
        HTTPClientError: a request got no answer.
        HTTPStatusError: a request as a whole was refused.
        DecodeError: an answer was not understood.
    """
    unique = list(dict.fromkeys(wanted))
    parts = split(build, unique, url_limit=url_limit, max_items=max_items)
    asking = _Asking(client, build, kind, asyncio.Semaphore(concurrency))
    return _joined(await all_of(asking.ask(part) for part in parts))


class _Asking(Generic[T]):
    """One call of `fetch_multiple`."""

    def __init__(
        self,
        client: Getter,
        build: Callable[[Sequence[str]], APIRequest],
        kind: type[T],
        limit: asyncio.Semaphore,
    ) -> None:
        self._client = client
        self._build = build
        self._kind = kind
        self._limit = limit
        self._refused = 0

    async def ask(self, part: Part) -> Found[T]:
        """What the answer to one request holds."""
        async with self._limit:
            response = await self._client.get(part.request)
        if response.status_code == _UNUSABLE and self._refused < _MOST_REFUSED:
            self._refused += 1
            return await self._ask_halves(part.items, response)
        response.raise_for_status()
        return parse_multiple(response.raw_response, part.items, self._kind)

    async def _ask_halves(self, items: list[str], refused: HTTPResponse) -> Found[T]:
        """What two smaller requests give, as one item may have spoilt the whole."""
        half = len(items) // 2
        if not half:
            reason = "; ".join(refused.error_messages) or "PI refuses it"
            return Found(failures={items[0]: reason})
        parts = (Part(some, self._build(some)) for some in (items[:half], items[half:]))
        return _joined([await self.ask(part) for part in parts])


def _joined(answers: Iterable[Found[T]]) -> Found[T]:
    found: Found[T] = Found()
    for answer in answers:
        found.objects |= answer.objects
        found.failures |= answer.failures
    return found


async def all_of(calls: Iterable[Coroutine[Any, Any, R]]) -> list[R]:
    """All results; the first failure ends the other calls."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call, name="ask PI") for call in calls]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed.exceptions[0].__cause__
    return [task.result() for task in tasks]


async def read_list(
    client: HTTPClient, build: Callable[[int], APIRequest], kind: type[T]
) -> list[T]:
    """All objects of a list of the asset framework, page after page.

    `build` makes the request of the page that begins at an index. The link to the
    next page tells the index only: it may name a host that we cannot reach.

    Raises:
        HTTPClientError: a request got no answer.
        HTTPStatusError: a request was refused.
        DecodeError: an answer was not understood.
    """
    found: list[T] = []
    start: int | None = 0
    while start is not None:
        response = await client.get(build(start))
        response.raise_for_status()
        items, start = parse_page(response.raw_response, kind, start)
        found += items
    return found


class _Page(msgspec.Struct, rename="pascal"):
    items: list[msgspec.Raw] = []
    links: dict[str, str] = {}


def parse_page(raw: bytes, kind: type[T], start: int) -> tuple[list[T], int | None]:
    """The objects of the page that begins at `start`, and where the next one begins.

    Raises:
        DecodeError: this is no page, or it is followed by an earlier one.
    """
    items, following = _page(raw, kind)
    if following is not None and following <= start:
        raise DecodeError("a page", f"it is followed by {following}, not a later")
    return items, following


def _page(raw: bytes, kind: type[T]) -> tuple[list[T], int | None]:
    try:
        page = msgspec.json.decode(raw, type=_Page)
        items = [
            msgspec.json.decode(item, type=kind, strict=False) for item in page.items
        ]
        following = parse_qs(urlsplit(page.links.get("Next", "")).query)
        starts = [v for n, v in following.items() if n.lower() == "startindex"]
        return items, int(starts[0][-1]) if starts else None
    except (*_UNREADABLE, ValueError) as exc:
        raise DecodeError("a page of objects", str(exc), raw) from exc
