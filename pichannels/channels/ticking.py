"""Channels whose source is a schedule: one message for each instant of it."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from datetime import UTC, tzinfo
from typing import Any, Final, Protocol

from pichannels import clock
from pichannels.channels.base import BaseChannel
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import ChannelStopped, JournalError, SettingsError, nearest
from pichannels.message import Message
from pichannels.values import TICKS_PER_SECOND, datetime_from_ticks, format_ticks

__all__ = ["TICK", "Schedule", "TickingChannel"]

logger: Final = logging.getLogger("pichannels.channels")

TICK: Final = "application/vnd.pichannels.tick"
"""The content type of a message whose payload is the instant of a schedule."""

_CATCH_UP: Final = ("none", "last", "all")
_MOST: Final = 1000
"""How many missed instants are run, or counted, at once."""
_LONGEST_SLEEP: Final = 30.0
_WAIT_FOR_JOURNAL: Final = 1.0

Sleep = Callable[[float], Awaitable[None]]


class Schedule(Protocol):
    """Which instants there are; pure. Instants are ticks of 100 ns since 1970 UTC."""

    def begin(self, last: int | None, now: int) -> int | None:
        """The first instant after a start; `last` is the last one that was run."""

    def after(self, instant: int) -> int | None:
        """The first instant after this one; None when there is none."""

    def between(self, first: int, until: int, most: int) -> list[int]:
        """The newest instants from `first` up to `until`, both included, in order."""

    def set_back(self, now: int, due: int) -> int | None:
        """The next instant after somebody has set the clock back."""


class TickingChannel(BaseChannel, ABC):
    """Runs a message through its nodes at each instant of a schedule.

    The payload is the instant as the schedule has it, an aware datetime;
    `meta["actual"]` is the time when the message was made, and `meta["missed"]` how
    many instants before it did not run. In an instance with a journal the message is
    durable before the first node sees it.

    Args:
        args: the name.
        timezone: of the payload.
        overlap: run also while a message before is not settled yet; otherwise such
            instants are left out and counted.
        catch_up: what happens to instants that were missed, while the machine slept
            or the project was stopped: `none` leaves them out, `last` runs the last
            of them, `all` runs each (the newest 1000).
        grace: seconds by which an instant may be late without being missed.
        options: those of every channel.

    Attributes:
        sleep: what waits for an instant; tests may set another one.

    Raises:
        SettingsError: an option is not usable.
    """

    def __init__(
        self,
        *args: Any,
        timezone: tzinfo = UTC,
        overlap: bool = False,
        catch_up: str = "none",
        grace: float = 60.0,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        if catch_up not in _CATCH_UP:
            raise SettingsError(
                f"no such choice{nearest(str(catch_up), _CATCH_UP)}",
                key="catch_up",
                found=catch_up,
                allowed=", ".join(_CATCH_UP),
            )
        self.timezone = timezone
        self.overlap = overlap
        self.catch_up = catch_up
        self.ticks = 0
        self.missed = 0
        self.overlapped = 0
        self.next_tick: int | None = None
        self._grace = int(seconds("grace", grace) * TICKS_PER_SECOND)
        self.sleep: Sleep = asyncio.sleep
        self._skipped = 0
        self._ticker: asyncio.Task[None] | None = None
        self._deliveries: set[asyncio.Task[None]] = set()
        # The uuids of ticks that are not settled, and who settles them.
        self._unsettled: set[str] = set()
        self._settling: dict[Delivery, str] = {}
        self._none_unsettled = asyncio.Event()
        self._none_unsettled.set()

    @property
    @abstractmethod
    def schedule(self) -> Schedule:
        """Which instants there are."""

    def statistics(self) -> dict[str, Any]:
        """How many instants ran, how many did not and why, and when the next is."""
        due = self.next_tick
        return {
            "ticks": self.ticks,
            "missed": self.missed,
            "overlapped": self.overlapped,
            "next": "" if due is None else format_ticks(due),
        }

    async def start_source(self) -> None:
        self._unsettled.clear()
        self._settling.clear()
        self._none_unsettled.set()
        self._parts.push_async_callback(self._end_deliveries)
        last = await self._restored()
        # Begun here, so that no instant of a slow start is lost.
        self.next_tick = self.schedule.begin(last, clock.now())
        self._ticker = asyncio.create_task(self._run(), name=f"{self.name}: ticks")

    async def stop_source(self) -> None:
        ticker, self._ticker = self._ticker, None
        self.next_tick = None
        if ticker is not None:
            ticker.cancel()
            await asyncio.wait([ticker])

    async def _end_deliveries(self) -> None:
        """After the last message: end what has not been settled in time."""
        left = list(self._deliveries)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # The schedule

    async def _run(self) -> None:
        while (due := self.next_tick) is not None:
            if not await self._wait_until(due):
                self.next_tick = self.schedule.set_back(clock.now(), due)
                continue
            now = clock.now()
            wanted = self._wanted(due, now)
            for number, instant in enumerate(wanted):
                if number and not self.overlap:
                    await self._none_unsettled.wait()
                self._tick(instant)
            self.next_tick = self.schedule.after(max(due, now))
        logger.info("%s: the schedule has no further instant", self.name)

    async def _wait_until(self, due: int) -> bool:
        """Wait; False when somebody has set the clock back meanwhile."""
        now = clock.now()
        while now < due:
            # Not too long at once: the clock may be set, and the machine may sleep.
            await self.sleep(min((due - now) / TICKS_PER_SECOND, _LONGEST_SLEEP))
            before, now = now, clock.now()
            if now < before - TICKS_PER_SECOND:
                return False
        return True

    def _wanted(self, due: int, now: int) -> list[int]:
        """Which of the instants from `due` to now run; the others are missed."""
        found = self.schedule.between(due, now, _MOST) or [due]
        if self.catch_up == "all":
            return found
        is_late = now - found[-1] > self._grace
        wanted = [] if is_late and self.catch_up == "none" else found[-1:]
        self._miss(len(found) - len(wanted))
        return wanted

    def _miss(self, count: int) -> None:
        if count:
            self.missed += count
            self._skipped += count
            logger.warning("%s: %d instants were missed", self.name, count)

    def _tick(self, instant: int) -> None:
        if self._unsettled and not self.overlap:
            self.overlapped += 1
            self._skipped += 1
            logger.warning(
                "%s: %s is left out, the one before is not settled yet",
                self.name,
                format_ticks(instant),
            )
            return
        if len(self._unsettled) >= _MOST:
            self._miss(1)
            return
        self.ticks += 1
        msg = self._message(instant)
        self._unsettled.add(msg.uuid)
        self._none_unsettled.clear()
        task = asyncio.create_task(
            self._deliver(msg, instant), name=f"{self.name}: tick"
        )
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)

    def _message(self, instant: int) -> Message:
        skipped, self._skipped = self._skipped, 0
        planned = datetime_from_ticks(instant).astimezone(self.timezone)
        actual = datetime_from_ticks(clock.now())
        return Message(TICK, planned, {"actual": actual, "missed": skipped})

    # Messages

    async def _deliver(self, msg: Message, instant: int) -> None:
        uuid = msg.uuid
        try:
            if self.journal is None:
                await self.handle(msg)
                self._settle(uuid)
            else:
                await self._accepted(msg)
                await self._keep(instant)
        except ChannelStopped:
            self._settle(uuid)
        except Exception as exc:
            # The channel has told it, and the next instant comes.
            logger.debug("%s: a tick failed: %s", self.name, exc)
            self._settle(uuid)

    async def _accepted(self, msg: Message) -> None:
        while True:
            try:
                return await self.accept(msg)
            except JournalError as exc:
                logger.error("%s: the journal takes nothing: %s", self.name, exc)
            await asyncio.sleep(_WAIT_FOR_JOURNAL)

    async def attempt(
        self, msg: Message, delivery: Delivery, start: int = 0
    ) -> Outcome:
        if self._unsettled and msg.uuid in self._unsettled:
            self._settling[delivery] = msg.uuid
        return await super().attempt(msg, delivery, start)

    def finish(self, delivery: Delivery, outcome: Outcome) -> Outcome:
        uuid = self._settling.pop(delivery, None)
        if uuid is not None:
            self._settle(uuid)
        return super().finish(delivery, outcome)

    def _settle(self, uuid: str) -> None:
        self._unsettled.discard(uuid)
        if not self._unsettled:
            self._none_unsettled.set()

    # What is kept between two runs

    async def _restored(self) -> int | None:
        if self.journal is None or self.catch_up == "none":
            return None
        last = await self.journal.restore(f"channel:{self.name}", "last_tick", None)
        return last if isinstance(last, int) else None

    async def _keep(self, instant: int) -> None:
        if self.journal is not None and self.catch_up != "none":
            await self.journal.save(f"channel:{self.name}", "last_tick", instant)


def seconds(key: str, found: Any) -> float:
    """A number of seconds, 0 or more.

    Raises:
        SettingsError: it is none.
    """
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if not is_number or not 0 <= found < 1e10:
        raise SettingsError(
            "not a usable number", key=key, found=found, allowed="0 or more"
        )
    return float(found)
