"""Sends the requests of stream updates and reads what the server answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec

from pichannels.piwebasync.connection import ticks_of_date
from pichannels.piwebasync.exceptions import HTTPStatusError
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.requests import Request
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.piwebasync.splitting import split
from pichannels.piwebasync.updates import (
    Answer,
    Registration,
    Signup,
    Target,
    channel_message,
    initial_streams,
    read_registration,
    read_updates,
)

__all__ = ["Asking", "Start"]

# The server says with these that it does not know our place any more.
_PLACE_LOST: Final = (404, 409, 410)


class Start(msgspec.Struct, frozen=True):
    """What is known once all streams of a request are signed up for."""

    request: Request
    target: Target
    signups: dict[str, Signup]
    refused: dict[str, str]
    frames: list[bytes]
    """The message with the current values, where they are asked for."""
    server_date: int | None


class Asking:
    """The requests of stream updates; every method raises `HTTPClientError`."""

    def __init__(self, http: HTTPClient) -> None:
        self._http = http
        self.server_date: int | None = None
        """The server's time of the last answer (whole seconds, ticks)."""

    async def start(self, request: Request) -> Start:
        """Sign up for the streams of a channel request.

        Raises:
            APIException: it is none.
            HTTPStatusError: there are no updates of any of them.
        """
        target = Target.of(request)
        web_ids = target.web_ids or await self._members(target)
        found = await self.register(target, web_ids)
        if not found.signups:
            url = target.registration(web_ids[:1]).absolute_url
            reasons = sorted(set(found.refused.values()))
            raise HTTPStatusError("POST", url, 409, "no stream has updates", reasons)
        frames = [await self._initial(target, web_ids)] if target.initial else []
        signups = {one.key: one for one in found.signups}
        return Start(request, target, signups, found.refused, frames, self.server_date)

    async def register(self, target: Target, web_ids: Sequence[str]) -> Registration:
        """Sign up for these streams."""
        whole = Registration([], {})
        for part in split(target.registration, web_ids):
            answer = read_registration((await self._sent(part.request)).data)
            whole.signups.extend(answer.signups)
            whole.refused.update(answer.refused)
        return whole

    async def retrieve(
        self, target: Target, markers: Sequence[str]
    ) -> AsyncIterator[Answer]:
        """What has come since these markers, in one answer or more."""
        for part in split(target.retrieval, markers):
            try:
                response = await self._sent(part.request)
            except HTTPStatusError as exc:
                if exc.status_code not in _PLACE_LOST:
                    raise
                yield Answer([], {}, dict.fromkeys(part.items, str(exc)))
            else:
                yield read_updates(response.data, part.items)

    async def _members(self, target: Target) -> list[str]:
        response = await self._sent(target.members())
        found: list[Any] = response.select("Items.WebId").get("Items.WebId", [])
        return [web_id for web_id in found if isinstance(web_id, str)]

    async def _initial(self, target: Target, web_ids: Sequence[str]) -> bytes:
        streams = []
        for part in split(target.values, web_ids):
            streams += initial_streams((await self._sent(part.request)).data)
        return channel_message(streams)

    async def _sent(self, request: Request) -> HTTPResponse:
        response = await self._http.request(request)
        response.raise_for_status()
        self.server_date = ticks_of_date(response.headers.get("Date", ""))
        return response
