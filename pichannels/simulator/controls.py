"""What can be done to a running simulator, from Python and by the admin routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pichannels.simulator.assets import Assets
from pichannels.simulator.events import Event
from pichannels.simulator.faults import Faults
from pichannels.simulator.flood import Flood
from pichannels.simulator.plant import Plant
from pichannels.simulator.simtime import SECOND, SimClock
from pichannels.simulator.sockets import Channel
from pichannels.simulator.tags import Tag
from pichannels.simulator.truth import Described
from pichannels.simulator.world import World

__all__ = ["Controls"]


class Controls:
    """Events, changes and outages of a plant, its channels and its truth."""

    plant: Plant
    clock: SimClock
    faults: Faults
    assets: Assets
    _world: World
    _flooded: int = 0

    @property
    def tags(self) -> Sequence[Tag]:
        """The tags of the plant."""
        return self.plant.tags

    @property
    def channels(self) -> list[Channel]:
        """The PI channels that are open now."""
        return list(self._world.hub.channels)

    async def connected(self, n: int = 1) -> None:
        """Wait until at least `n` PI channels are open."""
        await self._world.hub.wait_for(n)

    async def disconnected(self) -> None:
        """Wait until no PI channel is open."""
        await self._world.hub.wait_for(0, exact=True)

    def tick(self) -> None:
        """Poll now, without waiting for the next one."""
        self._world.hub.tick(self.clock.now())

    def push(
        self,
        tag: str,
        value: Any,
        ticks: int | None = None,
        *,
        good: bool | None = None,
        questionable: bool = False,
        substituted: bool = False,
        annotated: bool = False,
        kept: bool = True,
        error: str = "",
    ) -> Event:
        """Have an event arrive now; it goes out with the next poll.

        Names of digital and system states stand for the states. `ticks` is the
        event's timestamp, the present by default. With `kept=False` compression
        leaves it out of the archive once a newer event has come. An `error` is
        sent in place of a value and never archived.
        """
        found = self.plant.tag(tag)
        held, usable = self._world.value_of(found, value)
        event = Event(
            self._world.next_ticks() if ticks is None else ticks,
            held,
            usable if good is None else good,
            questionable,
            substituted,
            annotated,
            kept,
            error,
        )
        self._world.push(found, event)
        return event

    def edit(self, tag: str, ticks: int, value: Any) -> Event:
        """Change the archived event at `ticks`, or put one there."""
        found = self.plant.tag(tag)
        held, good = self._world.value_of(found, value)
        return self._world.edit(found, ticks, held, good=good)

    def delete(self, tag: str, start: int, end: int | None = None) -> int:
        """Delete the archived events from `start` to `end` ticks; how many."""
        last = start if end is None else end
        return self._world.delete(self.plant.tag(tag), start, last)

    def outage(
        self,
        tags: str | Sequence[str],
        duration: float,
        *,
        delay: float = 0.0,
        state: str | None = None,
    ) -> None:
        """Cut the source of tags off for `duration` simulated seconds from now.

        What it measures meanwhile arrives all at once when it is back, or
        `delay` seconds later: then newer events come first, and the late ones
        bypass compression. With `state` (`"I/O Timeout"`) each tag gets that
        system state at the beginning. One name may be a filter with `*`.
        """
        names = [tags] if isinstance(tags, str) else tags
        chosen = [found for name in names for found in self._match(name)]
        start = self.clock.now()
        end = start + round(duration * SECOND)
        self._world.outage(chosen, start, end, end + round(delay * SECOND))
        if state is not None:
            for tag in chosen:
                self.push(tag.name, state, start)

    def describe(self, subject: str, **facts: Any) -> None:
        """Change the metadata of a point, an element or an attribute.

        Args:
            subject: name or path of a point, path of an element or attribute.
            facts: `name`; of a point also `descriptor`, `units`, `zero`, `span`,
                `scan`; of an element `description`; of an attribute `description`,
                `units` and, where it is static, `value`.

        Raises:
            UsageError: there is no such object or fact, or the name is taken.
        """
        self._world.restructure(Described(subject, facts))

    def rename(self, subject: str, name: str) -> None:
        """Give a point, an element or an attribute another name.

        WebIDs by id go on to mean it, those with a path begin to say the new one.
        """
        self.describe(subject, name=name)

    def _match(self, name: str) -> list[Tag]:
        if "*" in name or "?" in name:
            return list(self.plant.search(name))
        return [self.plant.tag(name)]

    def send(self, raw: str | bytes) -> None:
        """Send a text message on every open channel as it is."""
        self._world.hub.send(raw.encode() if isinstance(raw, str) else raw)

    def truth(self, tag: str | Tag, start: int, end: int) -> list[Event]:
        """What the archive holds now of `[start, end]` ticks: the oracle."""
        found = tag if isinstance(tag, Tag) else self.plant.tag(tag)
        now = self.clock.now()
        return list(self._world.archive.events(found, start, end, now))

    async def flood(
        self,
        streams: int = 100,
        events: int = 1,
        frames: int = 10_000,
        rate: float | None = None,
    ) -> int:
        """Load every open channel with messages of `streams` x `events` values.

        `frames` messages each, rendered ahead, as fast as the client reads or
        `rate` per second. None of it enters the archive. Returns the number of
        values that were sent when all are.

        Raises:
            UsageError: the plant has fewer float tags than `streams`.
        """
        flood = self.make_flood(
            streams=streams, events=events, frames=frames, rate=rate
        )
        await flood.prepare()
        return await flood.send()

    def make_flood(self, **shape: Any) -> Flood:
        """A flood that has still to be prepared and sent."""
        start = max(self.clock.now(), self._flooded)
        flood = Flood(self.channels, self.plant.tags, start, **shape)
        self._flooded = flood.end
        return flood
