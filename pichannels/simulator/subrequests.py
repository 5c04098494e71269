"""Requests within a request: the parts of a batch, on their way to the same routes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from aiohttp import StreamReader, web
from aiohttp.http import HttpVersion11, RawRequestMessage
from yarl import URL

__all__ = ["Subrequest", "subrequest"]

_INHERITED: Final = (
    "Host",
    "Accept",
    "Accept-Language",
    "Authorization",
    "Cookie",
    "User-Agent",
    "X-Requested-With",
)
"""Headers of a batch that each of its parts has as well."""
_OF_CONNECTIONS: Final = frozenset(
    {"connection", "content-length", "expect", "transfer-encoding", "upgrade"}
)
"""Headers that a part cannot have, as it has no connection."""


class Subrequest(web.Request):
    """A part of a batch; who asks has been found out for the batch as a whole."""


def subrequest(
    outer: web.Request, method: str, url: URL, headers: Mapping[str, str], body: bytes
) -> Subrequest:
    """A request to this server, from the one who sent `outer`.

    Of `url` only path and query count.
    """
    sent = outer.headers.copy()
    sent.clear()
    for name in _INHERITED:
        if name in outer.headers:
            sent[name] = outer.headers[name]
    if body:
        sent["Content-Type"] = "application/json"
        sent["Content-Length"] = str(len(body))
    own = {name: text for name, text in headers.items() if _may_have(name)}
    sent.update(own)
    relative = url.relative()
    message = RawRequestMessage(
        method.upper(),
        str(relative),
        HttpVersion11,
        type(outer.headers)(sent),
        tuple((name.encode(), text.encode()) for name, text in sent.items()),
        False,
        None,
        False,
        False,
        relative,
    )
    loop = asyncio.get_running_loop()
    # As large as the body: a fuller reader would pause the connection of the batch.
    content = StreamReader(outer.protocol, len(body) + 1, loop=loop)
    content.feed_data(body)
    content.feed_eof()
    return Subrequest(
        message,
        content,
        outer.protocol,
        outer.writer,
        outer.task,
        loop,
        client_max_size=max(outer.client_max_size, len(body) + 1),
    )


def _may_have(name: str) -> bool:
    return name.lower() not in _OF_CONNECTIONS
