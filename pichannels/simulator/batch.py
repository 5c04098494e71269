"""`POST batch`: several requests in one, which may use the answers of others.

Each part goes through the same routes and the same gate as a request of its own:
faults strike it, and the rate limit counts it, as PI counts the parts of its batches.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, TypeAlias

import msgspec
from aiohttp import web
from yarl import URL

from pichannels.simulator.jsonpath import JSONPath, JSONPathError
from pichannels.simulator.query import Query, Refused
from pichannels.simulator.subrequests import Subrequest, subrequest
from pichannels.simulator.world import World

__all__ = ["BatchRoutes"]

Send: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""The application: from a request to its answer."""

_PLACE: Final = re.compile(r"\{(\d+)\}")
_ROOT: Final = "/piwebapi/"
_NO_ROUTE: Final = "No HTTP resource was found that matches the request URI '{}'."
_AT_ONCE: Final = 16
_UNTOLD: Final = frozenset({"Content-Length", "Date", "Server"})
"""Headers of an answer that those of a part leave out."""


class _Template(msgspec.Struct, rename="pascal"):
    resource: str


class _Part(msgspec.Struct, rename="pascal"):
    """A request of a batch as it is sent."""

    method: str
    resource: str | None = None
    request_template: _Template | None = None
    content: str | None = None
    headers: dict[str, str] | None = None
    parent_ids: list[str] | None = None
    parameters: list[str] | None = None

    @property
    def parents(self) -> list[str]:
        return self.parent_ids or []


class _Answer(msgspec.Struct, rename="pascal"):
    """What a part is answered."""

    status: int
    headers: dict[str, str] = {}
    content: Any = ""


class BatchRoutes:
    """`batch`.

    Args:
        world: where the requests go.
        send: answers them.
        limit: parts of one batch, at most; 0 refuses all batches with 403.
    """

    def __init__(self, world: World, send: Send, limit: int) -> None:
        self.world = world
        self._send = send
        self._limit = limit

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to the application."""
        return [web.post("/piwebapi/batch", self.execute)]

    async def execute(self, request: web.Request) -> web.Response:
        """The answers of all parts under their ids; each has its own status."""
        if not self._limit:
            raise Refused(403, "Batch requests are disabled on this server.")
        if isinstance(request, Subrequest):
            raise Refused(400, "A batch cannot be a part of a batch.")
        parts = _parts(await request.read())
        if len(parts) > self._limit:
            raise Refused(
                400,
                f"The number of requests in the batch ({len(parts)}) is greater than"
                f" the maximum allowed ({self._limit}).",
            )
        answers = await _Run(request, parts, self._send).all()
        return self.world.answer(answers, Query(request), status=207)


def _parts(raw: bytes) -> dict[str, _Part]:
    """The parts of a batch; 400 where they are none, or depend on each other."""
    try:
        parts = msgspec.json.decode(raw, type=dict[str, _Part])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise Refused(400, f"The batch could not be read: {exc}") from exc
    if not parts:
        raise Refused(400, "The batch has no requests.")
    for name, part in parts.items():
        if (part.resource is None) == (part.request_template is None):
            raise Refused(
                400, f"The request '{name}' needs a Resource or a RequestTemplate."
            )
        for parent in part.parents:
            if parent not in parts:
                raise Refused(400, f"The parent '{parent}' of '{name}' was not found.")
    return parts


class _Run:
    """One batch on its way."""

    def __init__(
        self, outer: web.Request, parts: Mapping[str, _Part], send: Send
    ) -> None:
        self._outer = outer
        self._parts = parts
        self._send = send
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._answers: dict[str, _Answer] = {}
        self._above: dict[str, set[str]] = {}

    async def all(self) -> dict[str, _Answer]:
        """The answers in the order of the parts."""
        order = TopologicalSorter({n: p.parents for n, p in self._parts.items()})
        try:
            order.prepare()
        except CycleError as exc:
            circle = " -> ".join(exc.args[1])
            raise Refused(400, f"The requests depend on each other: {circle}.") from exc
        while order.is_active():
            ready = order.get_ready()
            found = await asyncio.gather(*map(self._answer, ready))
            self._answers.update(zip(ready, found, strict=True))
            order.done(*ready)
        return {name: self._answers[name] for name in self._parts}

    async def _answer(self, name: str) -> _Answer:
        part = self._parts[name]
        self._above[name] = set(part.parents).union(
            *(self._above[parent] for parent in part.parents)
        )
        for parent in part.parents:
            status = self._answers[parent].status
            if status >= 400:
                reason = f"The parent request '{parent}' failed with status {status}."
                return _Answer(409, content=reason)
        try:
            return await self._run(name, part)
        except Refused as refused:
            return _Answer(refused.status, content={"Errors": list(refused.sentences)})

    async def _run(self, name: str, part: _Part) -> _Answer:
        known = {
            above: msgspec.to_builtins(self._answers[above])
            for above in self._above[name]
        }
        paths = part.parameters or []
        found = [_find(path, known) for path in paths]
        if part.request_template is not None:
            rows = _rows(paths, found)
            return await self._each(part, part.request_template.resource, rows)
        row = [_only(path, some) for path, some in zip(paths, found, strict=True)]
        resource = part.resource or ""
        if resource.startswith("$"):
            resource = str(_only(resource, _find(resource, known)))
        return await self._one(part, resource, row)

    async def _each(
        self, part: _Part, resource: str, rows: Sequence[Sequence[Any]]
    ) -> _Answer:
        """The answers to one request for each thing that was found."""
        items = await asyncio.gather(*(self._one(part, resource, row) for row in rows))
        return _Answer(207, content={"Total": len(items), "Items": items})

    async def _one(self, part: _Part, resource: str, row: Sequence[Any]) -> _Answer:
        """The routes' answer to one request, its places filled."""
        url = _url(_filled(resource, row))
        # What stands beside the API (the simulator's own routes) is another server.
        if not url.path.lower().startswith(_ROOT):
            return _Answer(404, content={"Message": _NO_ROUTE.format(url)})
        body = _filled(part.content or "", row).encode()
        headers = part.headers or {}
        request = subrequest(self._outer, part.method, url, headers, body)
        async with self._limit:
            try:
                return _answer_of(await self._send(request))
            except web.HTTPException as exc:
                return _answer_of(exc)


def _find(path: str, known: Mapping[str, Any]) -> list[Any]:
    try:
        return JSONPath(path).find(known)
    except JSONPathError as exc:
        raise Refused(400, str(exc)) from exc


def _only(path: str, found: Sequence[Any]) -> Any:
    if len(found) != 1:
        raise Refused(400, f"'{path}' selects {len(found)} values instead of one.")
    return found[0]


def _rows(paths: Sequence[str], found: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    """What fills the template, for each request that is made of it."""
    if not paths:
        raise Refused(400, "A RequestTemplate needs Parameters.")
    if len({len(some) for some in found}) > 1:
        raise Refused(400, f"{', '.join(paths)} select different numbers of values.")
    return list(zip(*found, strict=True))


def _filled(text: str, row: Sequence[Any]) -> str:
    """The text with what was found in place of `{0}`, `{1}`, ..."""

    def value(place: re.Match[str]) -> str:
        number = int(place[1])
        if number >= len(row):
            return place[0]
        one = row[number]
        return one if isinstance(one, str) else msgspec.json.encode(one).decode()

    return _PLACE.sub(value, text)


def _url(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError as exc:
        raise Refused(400, f"'{text}' is not a URL.") from exc
    if not url.absolute:
        raise Refused(400, f"'{text}' is not an absolute URL.")
    return url


def _answer_of(response: web.StreamResponse) -> _Answer:
    headers = {
        name: text for name, text in response.headers.items() if name not in _UNTOLD
    }
    body = response.body if isinstance(response, web.Response) else b""
    raw = body if isinstance(body, bytes) else b""
    try:
        content = msgspec.json.decode(raw) if raw else ""
    except msgspec.DecodeError:
        content = raw.decode("utf-8", "replace")
    return _Answer(response.status, headers, content)
