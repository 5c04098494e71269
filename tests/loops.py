"""The event loop of tests: it lets go of TLS connections that were closed."""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from weakref import WeakSet

__all__ = ["Loop"]


if sys.platform == "win32":
    _System = asyncio.ProactorEventLoop
else:
    _System = asyncio.SelectorEventLoop


class Loop(_System):
    """The loop of asyncio, at whose end no connection is left that somebody closed.

    With TLS the other side has a word in the end of a connection, and many libraries do
    not wait for it (aiokafka with its first connection, for one). The socket would then
    be found by the garbage collector, in a later test. What nobody closed is found
    there still.
    """

    def __init__(self) -> None:
        super().__init__()
        self._secure: WeakSet[asyncio.Transport] = WeakSet()

    def _make_ssl_transport(self, *args: Any, **kwargs: Any) -> asyncio.Transport:
        make = super()._make_ssl_transport  # type: ignore[misc]
        made: asyncio.Transport = make(*args, **kwargs)
        self._secure.add(made)
        return made

    async def start_tls(self, *args: Any, **kwargs: Any) -> Any:
        """As in asyncio."""
        made = await super().start_tls(*args, **kwargs)
        if made is not None:
            self._secure.add(made)
        return made

    def close(self) -> None:
        """End, after a turn in which sockets are closed."""
        ending = [each for each in self._secure if each.is_closing()]
        if ending and not self.is_closed():
            for each in ending:
                each.abort()
            self.run_until_complete(asyncio.sleep(0))
        super().close()
