"""Saving in the order of the calls, all that waits in one commit."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final

from pichannels import codecs
from pichannels.errors import (
    CodecError,
    MessageError,
    NotConnected,
    PichannelsError,
    UsageError,
)
from pichannels.fingerprint import Defined
from pichannels.persistence import MISSING
from pichannels.retry import RetryPolicy

__all__ = ["BufferedPersistence", "Place"]

logger: Final = logging.getLogger("pichannels.saved")

Place = tuple[str, str]
"""Namespace and key."""

_BACKOFF: Final = RetryPolicy(attempts=0, initial=0.1, maximum=5.0)


class BufferedPersistence(Defined, ABC):
    """Keeps values in memory until they are written; a later one replaces them.

    While the place where they are kept is away, what was saved last under each key
    waits, and is written when it is back.

    Attributes:
        patience: seconds that `stop` waits for what is not written yet.
    """

    commits_with_journal = False
    patience = 5.0

    def __init__(self) -> None:
        self._unwritten: dict[Place, bytes | None] = {}
        self._waiting: dict[Place, list[asyncio.Future[None]]] = {}
        self._wake = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    @abstractmethod
    async def open(self) -> None:
        """Have a place that can be written.

        Raises:
            PichannelsError: it cannot be had.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of it."""

    @abstractmethod
    async def write(self, values: Mapping[Place, bytes | None]) -> None:
        """Write all of these or nothing; None forgets.

        Raises:
            MessageError: one of them is refused; nothing was written.
            PichannelsError: it is away, or in a bad state.
        """

    @abstractmethod
    async def read(self, namespace: str, key: str | None = None) -> dict[str, bytes]:
        """What is kept in a namespace, or under one key of it.

        Raises:
            PichannelsError: it cannot be read.
        """

    async def start(self) -> None:
        """Open it, and write from now on what is saved.

        Raises:
            PichannelsError: it cannot be opened.
        """
        if self._writing is None:
            self._wake = asyncio.Event()
            try:
                await self.open()
            except BaseException:
                await self.close()
                raise
            self._writing = asyncio.create_task(self._run(), name="saved data")

    async def stop(self) -> None:
        """Write what waits, as far as that can be, and close it."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        if waiting := self._futures():
            await asyncio.wait(waiting, timeout=self.patience)
        writing.cancel()
        await asyncio.wait([writing])
        if self._unwritten:
            logger.error("%r: %d values are not written", self, len(self._unwritten))
        for future in self._futures():
            _conclude(future, NotConnected(repr(self), "it was closed"))
        self._unwritten, self._waiting = {}, {}
        await self.close()

    def save(self, namespace: str, key: str, value: Any) -> asyncio.Future[None]:
        """Keep a value for `restore`; done when it is durable.

        Raises:
            CodecError: the value has a type without codec.
            UsageError: it is not started.
        """
        return self._keep(namespace, key, codecs.encode(value))

    def forget(self, namespace: str, key: str) -> asyncio.Future[None]:
        """Keep a value no longer; done when that is durable.

        Raises:
            UsageError: it is not started.
        """
        return self._keep(namespace, key, None)

    async def restore(self, namespace: str, key: str, default: Any = MISSING) -> Any:
        """The value kept last, whether it is durable yet or not.

        Raises:
            KeyError: there is none and no default was given.
            PichannelsError: it cannot be read.
        """
        if (namespace, key) in self._unwritten:
            data = self._unwritten[namespace, key]
        else:
            data = (await self.read(namespace, key)).get(key)
        if data is not None:
            return codecs.decode(data)
        if default is MISSING:
            raise KeyError(key)
        return default

    async def saved(self, namespace: str) -> dict[str, Any]:
        """All that was kept last in a namespace, by key.

        Raises:
            PichannelsError: it cannot be read.
        """
        before = dict(self._unwritten)
        found: dict[str, bytes | None] = dict(await self.read(namespace))
        # What was written meanwhile is as it was saved before.
        for (name, key), data in {**before, **self._unwritten}.items():
            if name == namespace:
                found[key] = data
        return {key: codecs.decode(v) for key, v in found.items() if v is not None}

    def _keep(
        self, namespace: str, key: str, data: bytes | None
    ) -> asyncio.Future[None]:
        if self._writing is None:
            raise UsageError(f"{self!r} is not started")
        for text in (namespace, key):
            if "\0" in text or not _is_unicode(text):
                raise CodecError(f"{text!r} cannot be stored as a name")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unwritten[namespace, key] = data
        self._waiting.setdefault((namespace, key), []).append(future)
        self._wake.set()
        return future

    def _futures(self) -> list[asyncio.Future[None]]:
        return [future for waiting in self._waiting.values() for future in waiting]

    async def _run(self) -> None:
        attempt = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            values, waiting = dict(self._unwritten), self._waiting
            self._waiting = {}
            try:
                await self._write(values, waiting)
                attempt = 0
            except PichannelsError as exc:
                attempt += 1
                logger.warning("%r: not saved yet: %s", self, exc)
                for place, newer in self._waiting.items():
                    waiting.setdefault(place, []).extend(newer)
                self._waiting = waiting
                await asyncio.sleep(_BACKOFF.delay(attempt, exc) or 0.0)
                self._wake.set()
            except asyncio.CancelledError:
                self._waiting = {**waiting, **self._waiting}
                raise

    async def _write(
        self,
        values: Mapping[Place, bytes | None],
        waiting: dict[Place, list[asyncio.Future[None]]],
    ) -> None:
        try:
            await self.write(values)
            for place, data in values.items():
                self._written(place, data, waiting, None)
        except MessageError:
            # One of them is refused, and must not keep the others from being written.
            for place, data in values.items():
                error: MessageError | None = None
                try:
                    await self.write({place: data})
                except MessageError as exc:
                    error = exc
                    logger.error("%r: %s of %s is refused: %s", self, *place[::-1], exc)
                self._written(place, data, waiting, error)

    def _written(
        self,
        place: Place,
        data: bytes | None,
        waiting: dict[Place, list[asyncio.Future[None]]],
        error: MessageError | None,
    ) -> None:
        if place in self._unwritten and self._unwritten[place] is data:
            del self._unwritten[place]
        for future in waiting.pop(place, ()):
            _conclude(future, error)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _conclude(future: asyncio.Future[None], error: PichannelsError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        # Not everybody waits for every write; that is no error of its own.
        future.exception()
