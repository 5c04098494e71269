"""The HTTP client of several servers that are one: it goes on where one has failed.

A request is made for any of the members, mostly the first. It is sent to the one
that is in use, with the base URL and the WebIDs of that one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import aiohttp
import msgspec

from pichannels import clock
from pichannels.errors import UsageError
from pichannels.piwebasync.bulk import fetch_multiple
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.exceptions import HTTPClientError, HTTPStatusError
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.members import Members
from pichannels.piwebasync.requests import APIRequest, Request
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.piwebasync.retrying import READS
from pichannels.piwebasync.transport import Auth, AuthFailed
from pichannels.piwebasync.webids import path_in

__all__ = ["FailoverClient"]

_FAILED: Final = frozenset({502, 503, 504})
_WEB_ID: Final = re.compile(r"\b[FIPLD]1(?:DP|DS|RS|RD|Em|Fm|Ab)[\w-]{4,}", re.ASCII)
_OF_VALUES: Final = re.compile("/streams(?:ets)?(?:/|\\?|$)")
_NEVER_SENT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class _Trial:
    """One request at one member after the other.

    A member that cannot be reached has failed. One that answers badly, or not in
    time, has failed only where another can answer the same: else it is the request.
    """

    def __init__(self, members: Members, *, is_repeatable: bool) -> None:
        self.response: HTTPResponse | None = None
        """The first answer, if it was a bad one."""
        self.error: HTTPClientError
        """Why there was no answer, where there was none."""
        self._members = members
        self._is_repeatable = is_repeatable
        self._suspects: dict[str, str] = {}

    def answered(self, url: str) -> None:
        """This member has answered, which tells of the others."""
        for suspect, reason in self._suspects.items():
            self._members.failed(suspect, reason)
        self._members.answered(url)

    def refused(self, url: str, response: HTTPResponse) -> bool:
        """This member has answered badly; whether to ask another."""
        self.response = self.response or response
        self._suspect(url, _reason(response))
        return self._is_repeatable

    def failed(self, url: str, error: HTTPClientError, began: float) -> bool:
        """This member has not answered; whether to ask another."""
        self.error = error
        cause = error.__cause__
        if isinstance(cause, _NEVER_SENT):
            self._members.failed(url, error.reason)
            return True
        if isinstance(cause, AuthFailed):
            return False
        if isinstance(error, HTTPStatusError) and error.status_code not in _FAILED:
            return False
        late = isinstance(cause, TimeoutError)
        if late and self._members.answered_since(url, began):
            return False
        self._suspect(url, error.reason)
        return self._is_repeatable

    def _suspect(self, url: str, reason: str) -> None:
        if self._is_repeatable:
            self._suspects[url] = reason
        else:
            # What is not sent again finds no proof.
            self._members.failed(url, reason)


class _Moved(msgspec.Struct):
    """A request as another member takes it."""

    method: str
    protocol: str
    absolute_url: str


class _Object(msgspec.Struct, rename="pascal"):
    web_id: str


class FailoverClient(HTTPClient):
    """An `HTTPClient` of several members.

    A read that the member in use cannot answer (it is not reached, the connection
    breaks, it answers 502, 503, 504 or a `WebException`, or not in time) is sent to
    the next, within the same call; with that one's answer it is taken into use. What
    no member can answer is the request's own fault, as is one that takes too long
    while its member answers others. A write is sent again only where no connection
    was made at all, as it may have been carried out; but the next request goes to
    another member.

    WebIDs of one member are replaced by those of another by the path in them, or by
    `members.web_ids` where they have none (`IDOnly`). Those of no known path are
    sent as they are.

    Args:
        members: shared by all clients of these servers.
        options: as of `HTTPClient`.
    """

    def __init__(self, members: Members, **options: Any) -> None:
        super().__init__(**options)
        self.members = members
        self._learning = asyncio.Lock()

    async def web_ids(self, paths: Sequence[str]) -> dict[str, str]:
        """The WebIDs at the member in use of points, attributes and elements.

        Paths without are left out.
        What was found is kept in `members.web_ids`.

        Raises:
            HTTPClientError: no member gave an answer, or it was refused.
            DecodeError: an answer was not understood.
        """
        trial = _Trial(self.members, is_repeatable=True)
        for url in self.members.order():
            began = clock.monotonic()
            try:
                if await self._learn(url, paths):
                    trial.answered(url)
                break
            except HTTPClientError as exc:
                if self.is_closed or not trial.failed(url, exc, began):
                    raise
        else:
            raise trial.error
        known = self.members.web_ids
        found = {path: known.at(url, path) for path in paths}
        return {path: web_id for path, web_id in found.items() if web_id is not None}

    async def _send(
        self,
        request: Request,
        headers: Mapping[str, str] | None,
        json: Any,
        auth: Auth,
        follow_redirects: bool | None,
        timeout: float | None,
    ) -> HTTPResponse:
        """The first useful answer; else that of the first member that gave any."""
        if json is None and isinstance(request, APIRequest):
            json = request.json
        options = headers, auth, follow_redirects, timeout
        trial = _Trial(self.members, is_repeatable=request.method in READS)
        for url in self.members.order():
            began = clock.monotonic()
            try:
                moved, body = await self._moved(request, json, url)
                response = await super()._send(moved, options[0], body, *options[1:])
            except HTTPClientError as exc:
                if self.is_closed or not trial.failed(url, exc, began):
                    raise
                continue
            if not response.is_unavailable:
                trial.answered(url)
                self._note_web_ids(response, url)
                return response
            if not trial.refused(url, response):
                return response
        if trial.response is not None:
            return trial.response
        raise trial.error

    async def _moved(
        self, request: Request, json: Any, url: str
    ) -> tuple[Request, Any]:
        """The request and its body as the member at `url` takes them.

        Raises:
            UsageError: the request is for none of the members.
        """
        own = self.members.base_of(request.absolute_url)
        if own is None:
            raise UsageError(
                f"{request.absolute_url[:80]} is at none of the members"
                f" {', '.join(self.members.urls)}"
            )
        target = url + request.absolute_url[len(own) :]
        body = None if json is None else msgspec.json.encode(json).decode()
        if self.members.switches or url != self.members.urls[0]:
            web_ids = set(_WEB_ID.findall(f"{target} {body or ''}"))
            replace = _replacing(await self._translated(web_ids, url))
            target = replace(target)
            body = None if body is None else replace(body)
        moved = _Moved(request.method, request.protocol, target)
        return moved, None if body is None else msgspec.Raw(body.encode())

    async def _translated(self, web_ids: Iterable[str], url: str) -> dict[str, str]:
        """What these WebIDs are at a member, as far as their paths are known."""
        known = self.members.web_ids
        paths = {web_id: known.path(web_id) or path_in(web_id) for web_id in web_ids}
        by_kind: dict[str, list[str]] = {}
        for web_id, path in paths.items():
            if path:
                by_kind.setdefault(web_id[2:4], []).append(path)
        for kind, some in by_kind.items():
            await self._learn(url, some, kind)
        _refuse_ambiguous(paths, url)
        found = {w: known.at(url, path) for w, path in paths.items() if path}
        return {w: new for w, new in found.items() if new is not None and new != w}

    async def _learn(
        self, url: str, paths: Sequence[str], kind: str | None = None
    ) -> bool:
        """Have the table know what is at these paths; whether that took a request."""
        known = self.members.web_ids
        # Those who wait here mostly want what the first of them asks for.
        async with self._learning:
            missing = known.missing(url, list(dict.fromkeys(paths)))
            asking = _Asking(self, url)
            for found_kind, some in _by_kind(missing, kind).items():
                known.learn_all(url, await asking.web_ids(found_kind, some))
        return bool(missing)

    def _note_web_ids(self, response: HTTPResponse, url: str) -> None:
        """Keep what an answer about objects tells of their paths and WebIDs."""
        if len(self.members.urls) > 1 and not _OF_VALUES.search(response.url):
            for one in _objects(response.data):
                self.members.web_ids.learn(url, one["Path"], one["WebId"])

    async def ask_member(self, request: Request) -> HTTPResponse:
        """The answer of the very member that the request is made for."""
        return await super()._send(request, None, None, None, None, None)


class _Asking:
    """Looks objects up by path, at one member and no other."""

    def __init__(self, client: FailoverClient, url: str) -> None:
        self._client = client
        self._pi = Controller.from_url(url)

    async def get(self, request: Request) -> HTTPResponse:
        """What `fetch_multiple` asks with."""
        return await self._client.ask_member(request)

    async def web_ids(self, kind: str, paths: Sequence[str]) -> dict[str, str]:
        """Path to WebID of the objects that are there."""
        pi = self._pi
        several: dict[str, Callable[..., APIRequest]] = {
            "DP": pi.points.get_multiple,
            "Ab": pi.attributes.get_multiple,
            "Em": pi.elements.get_multiple,
            "Fm": pi.eventframes.get_multiple,
        }
        multiple = several.get(kind)
        if multiple is None:
            return await self._one_by_one(kind, paths)

        def build(some: Sequence[str]) -> APIRequest:
            fields = ["Items.Identifier", "Items.Object.WebId", "Items.Exception"]
            return multiple(path=some, selected_fields=fields)

        found = await fetch_multiple(self, build, paths, _Object)
        return {path: one.web_id for path, one in found.objects.items()}

    async def _one_by_one(self, kind: str, paths: Sequence[str]) -> dict[str, str]:
        """Servers and databases, of which there are few."""
        pi = self._pi
        by_path = {"DS": pi.dataservers, "RS": pi.assetservers}.get(
            kind, pi.assetdatabases
        )
        found: dict[str, str] = {}
        for path in paths:
            response = await self.get(by_path.get_by_path(path))
            web_id = response.dict().get("WebId")
            if response.status_code == 200 and isinstance(web_id, str):
                found[path] = web_id
        return found


def _refuse_ambiguous(paths: Mapping[str, str | None], url: str) -> None:
    """Refuse WebIDs of no known path that are numbers within a server.

    Raises:
        HTTPClientError: there is one.
    """
    for web_id, path in paths.items():
        if not path and web_id[0] in "LD":
            raise HTTPClientError(
                "GET",
                url,
                f"{web_id} may be another object here; look it up by its path, or use"
                " WebIDs of the format Full",
            )


def _objects(document: Any) -> Iterator[dict[str, str]]:
    """The objects with path and WebID in an answer: one, a list, or `multiple`."""
    found = document.get("Items", [document]) if isinstance(document, dict) else ()
    for item in found if isinstance(found, list) else ():
        one = item.get("Object", item) if isinstance(item, dict) else None
        if isinstance(one, dict):
            named = isinstance(one.get("Path"), str), isinstance(one.get("WebId"), str)
            if all(named):
                yield one


def _by_kind(paths: Iterable[str], kind: str | None) -> dict[str, list[str]]:
    r"""Paths by the kind of object: `\\S\T` is a point, one with `|` an attribute."""
    found: dict[str, list[str]] = {}
    for path in paths:
        depth = path.removeprefix("\\\\").count("\\")
        guess = "Ab" if "|" in path else "DP" if depth < 2 else "Em"
        found.setdefault(kind or guess, []).append(path)
    return found


def _replacing(web_ids: Mapping[str, str]) -> Callable[[str], str]:
    def replace(text: str) -> str:
        if not web_ids:
            return text
        return _WEB_ID.sub(lambda found: web_ids.get(found[0], found[0]), text)

    return replace


def _reason(response: HTTPResponse) -> str:
    said = "; ".join(response.error_messages)[:200]
    return f"{response.status_code} {said or response.reason}".strip()
