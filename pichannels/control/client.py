"""The other end of the control server, as the commands use it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec

from pichannels.control.access import SERVER_NAME, Address, read_address
from pichannels.control.noting import TERMINAL, headers_of
from pichannels.control.refusals import CommandFailed, NoInstance
from pichannels.errors import NotConnected

__all__ = ["CommandFailed", "ControlClient", "NoInstance", "connect"]

_CONNECT: Final = 3.0
_ANSWER: Final = 10.0


class ControlClient:
    """A connection to the control server at an address; use it as a context.

    All methods raise `NotConnected` when the server cannot be reached, and
    `CommandFailed` when it refuses.

    Args:
        address: of the server.
        way: who asks, for its audit log: a command of the terminal, or the pages, which
            have one themselves.
    """

    def __init__(self, address: Address, way: str = TERMINAL) -> None:
        self.address = address
        # Proxies are for the world outside; what we ask is this machine.
        self._session = aiohttp.ClientSession(
            headers={
                "Authorization": f"Bearer {address.token}",
                **headers_of(way),
            },
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection."""
        await self._session.close()

    async def status(self) -> dict[str, Any]:
        """The instance at this moment; see `StatusReport`."""
        found: dict[str, Any] = await self._ask("GET", "/status")
        return found

    async def look(self) -> None:
        """Let the instance look whether its sinks are there; `status` tells then.

        Waits a little for those that were away.
        """
        with contextlib.suppress(CommandFailed):
            await self._ask("GET", "/ready")

    async def command(self, name: str, **arguments: Any) -> Any:
        """Run a command; see `pichannels.control.commands`."""
        return await self._ask("POST", f"/commands/{name}", arguments)

    async def events(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Each event from now on: its name and its facts."""
        name = ""
        async with self._open("GET", "/events") as answer:
            await _check(answer)
            async for line in answer.content:
                field, _, value = line.decode().rstrip("\n").partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    yield name, msgspec.json.decode(value)

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> Any:
        try:
            async with self._open(method, path, body) as answer:
                await _check(answer)
                return msgspec.json.decode(await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise NotConnected(self.address.url, str(exc)) from exc

    def _open(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else msgspec.json.encode(body)
        url = f"{self.address.url}{path}"
        return self._session.request(method, url, data=data, allow_redirects=False)


async def _check(answer: aiohttp.ClientResponse) -> None:
    if answer.headers.get("Server") != SERVER_NAME:
        raise NotConnected(str(answer.url.origin()), "another program answers there")
    if answer.status == 200:
        return
    try:
        error = msgspec.json.decode(await answer.read())["error"]
        kind, message = error["type"], error["message"]
    except (msgspec.DecodeError, KeyError, TypeError):
        kind, message = "HTTPError", answer.reason or ""
    raise CommandFailed(answer.status, kind, message)


async def connect(data_dir: Path, way: str = TERMINAL) -> ControlClient:
    """A client of the instance that runs on this data.

    Args:
        way: who asks: a command of the terminal, or the pages.

    Raises:
        NoInstance: there is none, or only what it left behind.
    """
    address = await asyncio.to_thread(read_address, data_dir)
    if address is None:
        raise NoInstance(data_dir)
    client = ControlClient(address, way)
    try:
        async with asyncio.timeout(_ANSWER):
            status = await client.status()
        if status["pid"] == address.pid:
            return client
    except (NotConnected, CommandFailed, TimeoutError) as exc:
        await client.close()
        raise NoInstance(data_dir, address) from exc
    except BaseException:
        await client.close()
        raise
    await client.close()
    raise NoInstance(data_dir, address)
