"""The simulated plant: its tags, and what each of them measured at any time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from pichannels.errors import UsageError, nearest
from pichannels.simulator.compression import compress
from pichannels.simulator.events import CREATED, Event
from pichannels.simulator.signals import mix, slot_events, wave_parameters
from pichannels.simulator.simtime import SECOND, parse_time
from pichannels.simulator.tags import Facts, Server, Tag, Template, templates

__all__ = ["MOST_TAGS", "Plant", "UnknownTag", "block_length"]

MOST_TAGS: Final = 100_000

_CREATED: Final = parse_time("2020-01-01T00:00:00Z", 0)

_BUSY: Final = 30 * SECOND


def block_length(tag: Tag) -> int:
    """Ticks of the events that compression looks at together.

    It begins anew with each such block, whose first and last event are kept.
    """
    return tag.period * (64 if tag.period < _BUSY else 12)


class UnknownTag(UsageError):
    """The plant has no tag of this name."""

    def __init__(self, name: str, known: Sequence[str] = ()) -> None:
        self.name = name
        super().__init__(f"the plant has no tag {name!r}{nearest(name, known)}")


class Plant:
    """A plant of `tags` tags whose history follows from `seed` alone.

    `activity` scales how often its values change (2 is twice as often); with 0
    nothing changes by itself, which suits tests that push their own events.
    `server` is the PI data archive; `created` the instant (ticks) at which all
    tags were made and before which there is nothing.

    Raises:
        UsageError: `tags` or `activity` is out of range.
    """

    def __init__(
        self,
        seed: int = 1,
        tags: int = 1000,
        *,
        activity: float = 1.0,
        server: Server | None = None,
        created: int = _CREATED,
    ) -> None:
        if not 1 <= tags <= MOST_TAGS:
            raise UsageError(f"a plant has 1 to {MOST_TAGS} tags, not {tags}")
        if activity < 0:
            raise UsageError(f"activity is 0 or more, not {activity}")
        self.seed = seed
        self.activity = activity
        self.server = server or Server()
        self.created = created
        self.size = tags
        self.tags: tuple[Tag, ...] = tuple(self._make_tags(tags))
        self._gone: set[int] = set()
        self._by_name = {tag.name.upper(): tag for tag in self.tags}
        self._cached = lru_cache(maxsize=2048)(self._make_block)

    def _make_tags(self, count: int) -> Iterator[Tag]:
        models = templates()
        for index in range(count):
            unit, at = divmod(index, len(models))
            yield self._make_tag(index, unit + 1, models[at])

    def _make_tag(self, index: int, unit: int, model: Template) -> Tag:
        key = mix(mix(self.seed) + index)
        period = model.period / (self.activity or 1.0)
        return Tag(
            index=index,
            made=f"UNIT{unit}.{model.name}",
            facts=Facts(
                f"UNIT{unit}.{model.name}",
                f"{model.text}, unit {unit}",
                model.units,
                model.zero,
                model.span,
            ),
            server=self.server,
            template=model,
            key=key,
            period=max(round(period * SECOND), SECOND // 1000),
            latency=round(model.latency * SECOND),
            jitter=round(model.jitter * SECOND),
            waves=wave_parameters(key),
        )

    def tag(self, name: str) -> Tag:
        """The tag with this name or path, in any case.

        Raises:
            UnknownTag: there is none.
        """
        found = self.find(name)
        if found is None:
            raise UnknownTag(name, [tag.name for tag in self.tags[:500]])
        return found

    def find(self, name: str) -> Tag | None:
        """The tag with this name or path, or None."""
        wanted = name.upper()
        server = f"\\\\{self.server.name.upper()}\\"
        return self._by_name.get(wanted.removeprefix(server))

    def add(self, model: Template, facts: Facts) -> Tag:
        """Make another point, which has no values of its own.

        Raises:
            UsageError: there is one of this name.
        """
        if self.find(facts.name) is not None:
            raise UsageError(f"there is a tag {facts.name!r} already")
        index = len(self.tags)
        tag = Tag(
            index=index,
            made=f"{facts.name}#{index}",
            facts=facts,
            server=self.server,
            template=model,
            key=0,
            period=SECOND,
            latency=round(model.latency * SECOND),
            jitter=0,
            waves=(0.0, 0.0, 0.0, 0.0),
        )
        self.tags = (*self.tags, tag)
        self._by_name[tag.name.upper()] = tag
        return tag

    def remove(self, tag: Tag) -> None:
        """Delete a point; its place in `tags` stays, and its id is not used again."""
        self._gone.add(tag.index)
        del self._by_name[tag.name.upper()]

    def is_gone(self, tag: Tag) -> bool:
        """Whether the point has been deleted."""
        return tag.index in self._gone

    def rename(self, tag: Tag, name: str) -> None:
        """Give the tag another name; its point id and WebID by id stay.

        Raises:
            UsageError: another tag has it.
        """
        other = self.find(name)
        if other is not None and other is not tag:
            raise UsageError(f"there is a tag {other.name!r} already")
        del self._by_name[tag.name.upper()]
        tag.facts.name = name
        self._by_name[name.upper()] = tag

    def point(self, point_id: int) -> Tag | None:
        """The tag with this point id, or None."""
        index = point_id - self.server.first_point
        is_there = 0 <= index < len(self.tags) and index not in self._gone
        return self.tags[index] if is_there else None

    def search(self, name_filter: str) -> Iterator[Tag]:
        """The tags whose name matches a filter with `*` and `?`, in any case."""
        parts = (
            {"*": ".*", "?": "."}.get(char, re.escape(char)) for char in name_filter
        )
        fits = re.compile("".join(parts), re.I | re.S).fullmatch
        return (tag for tag in self.tags if fits(tag.name) and not self.is_gone(tag))

    def is_live(self, tag: Tag) -> bool:
        """Whether the tag ever changes by itself."""
        is_changing = self.activity > 0 and tag.template.shape != "none"
        return is_changing and tag.index not in self._gone

    def first_slot(self, tag: Tag) -> int:
        """The first slot that begins after the tag was made."""
        return self.created // tag.period + 1

    def birth(self) -> Event:
        """The first event of every tag, a system state."""
        return Event(self.created, CREATED, good=False)

    def slot(self, tag: Tag, slot: int) -> tuple[Event, ...]:
        """What the tag measured in this slot."""
        if not self.is_live(tag) or slot < self.first_slot(tag):
            return ()
        return slot_events(tag, slot)

    def block(self, tag: Tag, number: int) -> tuple[Event, ...]:
        """The events of a `block_length`; compression has marked what is kept."""
        return self._cached(tag.index, number)

    def _make_block(self, index: int, number: int) -> tuple[Event, ...]:
        tag = self.tags[index]
        if not self.is_live(tag):
            return ()
        count = block_length(tag) // tag.period
        first = max(number * count, self.first_slot(tag))
        slots = range(first, (number + 1) * count)
        return compress(tag, [event for n in slots for event in slot_events(tag, n)])
