"""What the archive of PI holds of a tag, for whoever compares it with what came."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pichannels.channels.pi import PIWebChannel
from pichannels.control.arguments import ticks_of
from pichannels.errors import UsageError
from pichannels.project import Project
from pichannels.values import DigitalState, Sample, ValueFailure, format_ticks

__all__ = ["ArchiveWanted", "Archived", "ArchivedValue", "archived"]


class ArchiveWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A range of a tag, as it is drawn.

    Attributes:
        channel: full name of a channel that receives the tag.
        tag: its name, path or WebID.
        start, end: ISO 8601.
        intervals: into how many the range is cut; each has five values at most.
    """

    channel: str
    tag: str
    start: str
    end: str
    intervals: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 200


class ArchivedValue(msgspec.Struct, frozen=True, kw_only=True):
    """One value of the archive.

    Attributes:
        time: ISO 8601.
        value: number, text or truth; of a digital state its name, None for an error.
        state: code of a digital state, or None.
        good: as PI says; never of a state of PI itself, such as `Bad Input`.
    """

    time: str
    value: Any
    state: int | None
    good: bool


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """The values that draw a range of a tag, in order.

    Attributes:
        tag: its path.
        values: in the order of time.
    """

    tag: str
    values: list[ArchivedValue]


async def archived(project: Project, wanted: ArchiveWanted) -> Archived:
    """Ask PI for the values that draw a range of a tag, behind what is live.

    Raises:
        UsageError: no such channel or tag, or a time is none.
        PIWebAsyncException, DecodeError, NotConnected: the archive does not answer.
    """
    channel: Any = project.channel(wanted.channel)
    if not isinstance(channel, PIWebChannel):
        raise UsageError(f"channel {channel.name!r} receives no PI tags")
    for name in ("start", "end"):
        ticks_of(name, getattr(wanted, name))
    name = wanted.tag.upper()
    for stream in channel.points:
        if name in (stream.path.upper(), stream.name.upper()) or (
            wanted.tag == stream.web_id
        ):
            samples = await channel.plot(
                stream, wanted.start, wanted.end, wanted.intervals
            )
            return Archived(tag=stream.path, values=[_value(one) for one in samples])
    raise UsageError(f"channel {channel.name!r} has no tag {wanted.tag!r}")


def _value(sample: Sample) -> ArchivedValue:
    value: Any = sample.value
    code, is_system = None, False
    if isinstance(value, DigitalState):
        code, is_system = value.code, value.is_system
        value = value.name
    elif isinstance(value, ValueFailure):
        value = None
    return ArchivedValue(
        time=format_ticks(sample.ticks),
        value=msgspec.to_builtins(value, enc_hook=str),
        state=code,
        good=sample.good and not is_system and value is not None,
    )
