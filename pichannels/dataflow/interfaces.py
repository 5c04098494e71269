"""What sources and sinks of one's own inherit from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Hashable
from typing import Any, Protocol

from pichannels.dataflow.publishing import Published

__all__ = ["ICache", "Key", "KeyedSink", "Proxy", "Receipt", "Stream", "Streamed"]

Key = str | int | float | bytes | bool
"""What a cache has as keys."""


class KeyedSink(ABC):
    """A sink that takes key and value: a pair that a handler gives is unpacked."""

    @abstractmethod
    async def __call__(self, key: Any, value: Any, /) -> None:
        """Take a key and its value."""


class ICache(Published, KeyedSink):
    """A store of values by key that is a sink and a source.

    Implement the four methods for a store of your own. `await cache(key, value)` sets
    and publishes, `async for key, value in cache` gives what is published.
    """

    @abstractmethod
    def __contains__(self, key: Any) -> bool:
        """Whether there is a value."""

    @abstractmethod
    def __delitem__(self, key: Any) -> None:
        """Forget the value."""

    @abstractmethod
    def __getitem__(self, key: Any) -> Any:
        """The value, or None where there is none."""

    @abstractmethod
    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep a value, which is not published."""

    async def store(self, key: Any, value: Any) -> None:
        """Keep a value, which is not published.

        Where that may take long, do it in a thread here.
        """
        self[key] = value

    async def __call__(self, key: Any, value: Any, /) -> None:
        """Keep a value and publish it; waits for readers whose queue is full."""
        await self.store(key, value)
        await self.publish((key, value))


class Proxy(Published):
    """Passes values from handlers to handlers; nothing is kept.

    `await proxy(value)` publishes, `async for value in proxy` gives it.
    """

    async def __call__(self, value: Any) -> None:
        """Publish a value; waits for readers whose queue is full."""
        await self.publish(value)


class Receipt(Protocol):
    """Of a value that is worked on beside others."""

    @property
    def key(self) -> Hashable:
        """Values with the same one stay in order; None for no order."""

    def settled(self) -> None:
        """The value is worked off."""


class Stream(AsyncIterator[Any]):
    """What a source gives while it is streamed; it hears what becomes of each value.

    Each value is settled, or has failed, or is receipted, before the next one is asked
    for.

    Attributes:
        at_once: how many values may be worked on beside each other.
    """

    at_once = 1

    def receipt(self) -> Receipt:
        """For the value that was given last: it is settled later.

        Raises:
            NotImplementedError: values of this stream are worked on one by one.
        """
        raise NotImplementedError

    def settled(self) -> None:
        """The value that was given last is worked off."""
        return

    def failed(self, error: BaseException) -> None:
        """The value that was given last is not worked off."""
        return

    def held(self, is_held: bool) -> None:
        """The source is paused, or goes on."""
        return

    async def stop(self) -> bool:
        """Receive no more, give what was received, and end.

        Returns:
            False where it need not be waited for: nothing that was received is left.
        """
        return False

    async def close(self) -> None:
        """Nothing is taken any more."""
        return


class Streamed(ABC):
    """A source that wants to know what becomes of its values."""

    @abstractmethod
    async def open_stream(self) -> Stream:
        """Begin; what comes from now on is given."""
