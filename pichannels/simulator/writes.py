"""Writing values: what an update option does to the archive, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from pichannels.simulator.archive import Entry
from pichannels.simulator.assets import Attribute
from pichannels.simulator.conversion import point_value
from pichannels.simulator.events import Event
from pichannels.simulator.query import Query, Refused
from pichannels.simulator.simtime import SECOND, TimeError, parse_time
from pichannels.simulator.sockets import Subject
from pichannels.simulator.tags import Tag
from pichannels.simulator.world import World

__all__ = ["FUTURE_LIMIT", "Manner", "Writer", "fields_of"]

FUTURE_LIMIT: Final = 600
"""Seconds ahead of the present that points hold that are no future points."""

_UPDATES: Final = (
    "Replace",
    "Insert",
    "NoReplace",
    "ReplaceOnly",
    "InsertNoCompression",
    "Remove",
)
_BUFFERS: Final = ("BufferIfPossible", "Buffer", "DoNotBuffer")
_INSERTS: Final = frozenset({"Insert", "InsertNoCompression"})


class Manner(msgspec.Struct, frozen=True):
    """How the values of one request are written, and what is answered for each."""

    update: str
    status: int

    @property
    def message(self) -> str:
        """What stands beside the status of a value that is taken."""
        return "Accepted" if self.status == 202 else ""


class Writer:
    """Writes values into the archive of the plant.

    `buffering` tells whether the server has a buffer: then it answers 202 to what
    may go there, and 204 to the rest. Nothing waits in it for long.
    """

    def __init__(self, world: World, *, buffering: bool) -> None:
        self.world = world
        self.buffering = buffering

    def manner(self, query: Query) -> Manner:
        """The update and buffer options of a request.

        Raises:
            Refused: 400 for an unknown one, 409 for a buffer that is not there.
        """
        update = query.choice("updateOption", _UPDATES)
        buffer = query.choice("bufferOption", _BUFFERS)
        if buffer == "Buffer" and not self.buffering:
            raise Refused(409, "Buffering is not available on this server.")
        is_buffered = self.buffering and buffer != "DoNotBuffer"
        return Manner(update, 202 if is_buffered else 204)

    def write(self, subject: Subject, item: Any, manner: Manner) -> None:
        """Write one value.

        Raises:
            Refused: with the status and the message of this value.
        """
        tag = self._target(subject)
        fields = fields_of(item)
        units = fields.get("unitsabbreviation")
        if units and units != subject.units:
            raise Refused(409, f"The unit of measure '{units}' cannot be converted.")
        now = self.world.clock.now()
        ticks = _instant(tag, fields.get("timestamp"), now)
        if ticks <= self.world.plant.created:
            raise Refused(409, "There is no archive for this time.")
        if manner.update == "Remove":
            there = self._entry(tag, ticks, now)
            if there is not None:
                self.world.take_away(tag, there)
            return
        value, usable = point_value(tag, fields.get("value"), now)
        good = usable and _flag(fields, "good", default=True)
        questionable = _flag(fields, "questionable", default=False)
        event = Event(ticks, value, good, questionable)
        self._put(tag, event, manner.update, now)

    def _target(self, subject: Subject) -> Tag:
        faults = self.world.faults
        fault = self.world.fault_of(subject)
        tag = subject.source
        if fault is None and tag is not None:
            fault = faults.of_value(tag.path)
        if fault is not None:
            raise Refused(fault.status, fault.sentence)
        if tag is None:
            assert isinstance(subject, Attribute)
            raise Refused(
                409,
                f"The attribute '{subject.path}' has no data reference to write to.",
            )
        return tag

    def _put(self, tag: Tag, event: Event, update: str, now: int) -> None:
        if update not in _INSERTS:
            there = self._entry(tag, event.ticks, now)
            if update == ("ReplaceOnly" if there is None else "NoReplace"):
                # What an option leaves alone is no error.
                return
            if there is not None:
                replaced, nth, number = there
                self.world.truth.remove(tag.made, replaced.ticks, nth, number)
                event = replace(event, substituted=True)
        self.world.push(tag, event)

    def _entry(self, tag: Tag, ticks: int, now: int) -> Entry | None:
        """The first event that the archive holds at an instant."""
        return next(self.world.archive.entries(tag, ticks, ticks, now), None)


def fields_of(item: Any) -> dict[str, Any]:
    """The properties of an object of the body by their names in lower case.

    Raises:
        Refused: 400, it is no object.
    """
    if not isinstance(item, Mapping):
        raise Refused(400, "The body must be an object or a list of objects.")
    return {str(name).lower(): value for name, value in item.items()}


def _instant(tag: Tag, text: Any, now: int) -> int:
    if text is None:
        return now
    try:
        ticks = parse_time(str(text), now)
    except TimeError as exc:
        raise Refused(400, str(exc)) from exc
    if ticks > now + FUTURE_LIMIT * SECOND and not tag.future:
        raise Refused(409, "[-11046] Target Date in Future.")
    return ticks


def _flag(fields: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Refused(400, f"The property '{name.title()}' must be true or false.")
    return value
