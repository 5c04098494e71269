"""PI channels take the place of others, without a gap and with nothing twice.

PI channels that lose no tag are not touched. For the others new ones are opened first;
they hold back what they get until the old ones are closed, and then leave out what
the old ones have given. Where the new ones do not open, all stays as it was.

Streams that are polled stay where they are, as PI keeps one place for each of them and
no second one: what polls for them goes on with fewer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from pichannels.channels.overlap import Overlap
from pichannels.channels.subscription import Subscription
from pichannels.channels.tags import Stream
from pichannels.errors import NotConnected, UsageError
from pichannels.piwebasync.exceptions import PIWebAsyncException
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.splitting import Part

__all__ = ["Open", "Rearranging"]

_OPENED_WITHIN: Final = 30.0
_DRAINED_WITHIN: Final = 10.0
_POLLS: Final = 2
"""Polls of the server for which old and new PI channels are both open."""
_LATE: Final = 10.0

Open: TypeAlias = Callable[[Part, Overlap | None], Subscription]
"""Opens a PI channel in the background."""
Ask: TypeAlias = Callable[[Sequence[str]], APIRequest]
"""The request for one PI channel."""
Parts: TypeAlias = Callable[[Sequence[str]], Iterable[Part]]
"""The PI channels that WebIDs take."""


class Rearranging:
    """Changes which PI channels there are.

    Args:
        url: of the server, for errors.
        poll: seconds between two polls of the server.
        ask: makes the request for one PI channel.
        parts: spreads WebIDs over PI channels.
        open: opens one of them.
    """

    def __init__(
        self, url: str, poll: float, ask: Ask, parts: Parts, open: Open
    ) -> None:
        self._url = url
        self._poll = poll
        self._ask = ask
        self._parts = parts
        self._open = open

    async def apply(
        self, present: Sequence[Subscription], streams: Sequence[Stream]
    ) -> None:
        """Let these streams be received, and no others.

        Raises:
            NotConnected: the new PI channels give nothing; all is as it was. Or
                those that are polled could not be left; the others are received.
        """
        wanted = {each.web_id for each in streams}
        polled = [s for s in present if s.stream.is_polling and s.web_ids & wanted]
        staying = [s for s in present if s.web_ids <= wanted and s not in polled]
        if _is_scattered(staying, len(list(self._parts(list(wanted))))):
            staying = []
        staying += polled
        leaving = [s for s in present if s not in staying]
        covered = frozenset().union(*[s.web_ids for s in staying])
        missing = [each for each in streams if each.web_id not in covered]
        before = frozenset().union(*[s.web_ids for s in leaving])
        moved = [each for each in missing if each.web_id in before]
        parts = self._parts([each.web_id for each in missing])
        if moved:
            await self.replace(leaving, parts, moved)
        else:
            for part in parts:
                self._open(part, None)
            await asyncio.gather(*[each.retire() for each in leaving])
        for each in polled:
            await self._shrink(each, each.web_ids & wanted)

    async def _shrink(self, polled: Subscription, web_ids: frozenset[str]) -> None:
        if web_ids == polled.web_ids:
            return
        try:
            await polled.shrink(self._ask(sorted(web_ids)), web_ids)
        except (PIWebAsyncException, UsageError) as exc:
            raise NotConnected(self._url, str(exc)) from exc

    async def replace(
        self,
        leaving: Sequence[Subscription],
        parts: Iterable[Part],
        moved: Sequence[Stream],
    ) -> None:
        """Open PI channels for `parts`, then close those that leave.

        Args:
            moved: the streams that are on both.

        Raises:
            NotConnected: the new ones give nothing; all is as it was.
        """
        overlap = Overlap([*(s.web_id for s in moved), *(s.path for s in moved)])
        connections = {each: each.connections for each in leaving}
        for each in leaving:
            each.note(overlap)
        opened = [self._open(part, overlap) for part in parts]
        try:
            await self._until_ready(opened, leaving)
        except BaseException:
            for each in leaving:
                each.note(None)
            for each in opened:
                await each.discard()
            raise
        # An old one that was lost meanwhile has not given all; the current values
        # of the new ones tell.
        whole = [s for s in leaving if s.connections == connections[s] is not None]
        given = frozenset().union(*[s.web_ids for s in whole])
        known = [s for s in moved if s.web_id in given]
        await asyncio.gather(*[each.retire() for each in leaving])
        for each in opened:
            each.release(
                frozenset([*(s.web_id for s in known), *(s.path for s in known)]),
                _LATE + _POLLS * self._poll,
            )

    async def _until_ready(
        self, opened: Sequence[Subscription], leaving: Sequence[Subscription]
    ) -> None:
        try:
            async with asyncio.timeout(_OPENED_WITHIN):
                for each in opened:
                    await each.ready()
                # What the server had to give before is on its way on the old ones.
                await asyncio.sleep(_POLLS * self._poll)
        except TimeoutError as exc:
            reason = f"new PI channels gave nothing in {_OPENED_WITHIN:g} s"
            raise NotConnected(self._url, reason) from exc
        try:
            async with asyncio.timeout(_DRAINED_WITHIN):
                for each in leaving:
                    await each.drained()
        except TimeoutError as exc:
            reason = "what was received is not accepted fast enough"
            raise NotConnected(self._url, reason) from exc


def _is_scattered(staying: Sequence[Subscription], needed: int) -> bool:
    """Whether many changes have left far more PI channels than are needed."""
    return len(staying) > 2 * needed
