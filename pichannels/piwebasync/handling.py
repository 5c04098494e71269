"""What a handler of messages may be, and what it gives."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any, TypeAlias

from pichannels.piwebasync.responses import WebsocketMessage

__all__ = ["Handler", "results_of"]

Handler: TypeAlias = Callable[[WebsocketMessage], Any]
"""Called with each message; what it returns goes into the queue.

It may be a coroutine function. None puts nothing; of a list, an iterator or an
asynchronous iterator each item is put; anything else is put as it is.
"""


async def results_of(
    handler: Handler, message: WebsocketMessage
) -> AsyncGenerator[Any, None]:
    """Each result of a message; raises what the handler raises."""
    result = handler(message)
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, AsyncIterator):
        async for one in result:
            yield one
    elif isinstance(result, (list, Iterator)):
        for one in result:
            yield one
    elif result is not None:
        yield result
