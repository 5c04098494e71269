"""Hands what a source receives to the channel that accepts it, or holds it back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from pichannels import clock
from pichannels.channels.intake import Given, Initial, Intake, Received
from pichannels.channels.lanes import Lanes
from pichannels.channels.source_parts import Owner
from pichannels.coverage.ledger import Lane
from pichannels.errors import JournalError
from pichannels.message import Message

__all__ = ["Handing"]

logger: Final = logging.getLogger("pichannels.channels.pi")

_STILL_WITHIN: Final = 5.0
_JOURNAL_DELAY: Final = 1.0


class Handing:
    """Gives an owner messages of the frames that come.

    Args:
        owner: who accepts them; may be another one later.
        server: the configured name of the logical server.
        by_path: as of `Intake`.
    """

    def __init__(self, owner: Owner, server: str, *, by_path: bool = False) -> None:
        self.owner = owner
        self.intake = Intake(server, by_path=by_path)
        self.last_event: int | None = None
        """When something was accepted last, ticks."""
        self.lanes: Lanes | None = None
        """Tells late values from live ones, where a ledger is kept."""
        self._flowing = asyncio.Event()
        self._still = asyncio.Event()
        self._taking = 0

    def go_on(self) -> None:
        """Give, after `stand_still` or at the beginning."""
        self._flowing.set()

    async def stand_still(self) -> bool:
        """Give nothing more, as soon as the owner has accepted what it was given.

        Returns:
            False when that takes too long; then it goes on.
        """
        self._flowing.clear()
        try:
            async with asyncio.timeout(_STILL_WITHIN):
                while self._taking:
                    self._still.clear()
                    await self._still.wait()
        except TimeoutError:
            self.go_on()
            return False
        return True

    async def give(self, frames: list[bytes]) -> Given:
        """Give messages of these frames; returns when they are accepted."""
        async with self._giving():
            before = self.intake.events
            messages = self.intake.messages(frames)
            # Current values are many at once wherever tags are many.
            is_initial = type(frames) is Initial
            events = 0 if is_initial else self.intake.events - before
            for received in messages:
                parts = self._parts(received, frames)
                if parts is None:
                    await self._take(received)
                for lane, part in parts or ():
                    await self._take(part, lane)
        is_understood = all(received.manifest is not None for received in messages)
        return Given(events, is_understood)

    def _parts(
        self, received: Received, frames: list[bytes]
    ) -> list[tuple[Lane, Received]] | None:
        """A message by lanes; None where it is live as a whole."""
        if self.lanes is None or type(frames) is Initial:
            return None
        return self.lanes.parts(received)

    async def give_archived(self, msg: Message, **options: Any) -> None:
        """Give what was read from the archive; options and errors of `accept`."""
        async with self._giving():
            await self.owner.accept(msg, **options)

    @asynccontextmanager
    async def _giving(self) -> AsyncIterator[None]:
        await self._flowing.wait()
        self._taking += 1
        try:
            yield
        finally:
            self._taking -= 1
            self._still.set()

    async def _take(self, received: Received, lane: Lane = "live") -> None:
        msg, manifest = received
        while True:
            try:
                await self.owner.accept(msg, lane=lane, manifest=manifest)
            except JournalError as exc:
                # Nothing was accepted. Meanwhile the buffer fills, and what does
                # not fit is reported as lost by the client.
                logger.error("%s: the journal takes nothing: %s", self.owner.name, exc)
                await asyncio.sleep(_JOURNAL_DELAY)
            else:
                self.last_event = clock.now()
                return
