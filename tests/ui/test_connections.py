"""Connections that ask nothing, or never end asking."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any, cast

import uvicorn

from pichannels.ui.connections import patient

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """An application that says hello after a while."""
    await asyncio.sleep(0.5)
    head = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": b"hello"})


async def asked(port: int, *parts: bytes) -> bytes:
    """What is answered until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = b""
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            found += await reader.read(1000)
    writer.close()
    return found


async def test_who_never_ends_asking_is_sent_away_and_others_are_not() -> None:
    http: Any = partial(patient, 1.0)
    config = uvicorn.Config(
        cast(Any, answer),
        port=0,
        http=http,
        lifespan="off",
        log_config=None,
        timeout_keep_alive=60,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    whole = HEAD + b"\r\n"
    found = await asyncio.gather(
        asked(port, HEAD), asked(port, whole), asked(port, whole, HEAD)
    )
    await server.shutdown()
    assert [each.endswith(b"hello") for each in found] == [False, True, True]
