"""Dead letters that are alike: the same node, exception and kind of tags."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple

import msgspec

from pichannels import clock
from pichannels.errors import CodecError
from pichannels.journal import Record
from pichannels.values import TICKS_PER_SECOND, Sample, format_ticks

__all__ = ["Failure", "FailureGroup", "FailureGroups", "Muting", "failure_of"]

_DIGITS: Final = re.compile(r"\d+")
_PATTERNS: Final = 3
_MORE: Final = "..."
_VARYING: Final = re.compile(r"'[^']*'|\"[^\"]*\"|[^\s:,;]*\d[^\s:,;]*")
"""What says of which message or value an exception is."""
_CAUSES: Final = 32
_RECENT: Final = 3600 * TICKS_PER_SECOND


class Failure(NamedTuple):
    """What dead letters of a group have in common.

    Attributes:
        channel: its full name.
        node: where it failed.
        error: the name of the exception.
        tags: how the tags of the samples that failed are called, with `#` for numbers;
            "" where a whole message failed.
    """

    channel: str
    node: str
    error: str
    tags: str

    @property
    def id(self) -> str:
        """A fingerprint, the same in each process."""
        text = "\0".join(self).encode("utf-8", "replace")
        return blake2b(text, digest_size=6).hexdigest()


class Muting(msgspec.Struct, frozen=True, kw_only=True):
    """That a group is muted.

    Attributes:
        who: has muted it.
        made: when (ISO 8601).
        until: up to when, or None.
        until_change: whether another cause ends it, or that they come more often.
        ended: "" while it is muted; then by `time`, by another `cause`, or by the
            `rate`.
    """

    who: str
    made: str
    until: str | None
    until_change: bool
    ended: Literal["", "time", "cause", "rate"] = ""


class FailureGroup(msgspec.Struct, kw_only=True):
    """Dead letters that are alike.

    Attributes:
        id: their fingerprint: what `group` of other commands takes.
        channel, node, error, tags: as in `Failure`.
        count: how many there are.
        samples: how many samples failed in them, where only samples did.
        first, last: times of the oldest and the newest message (ISO 8601).
        sample: the id of the newest.
        message: what its exception says; None where one may not see it.
        recent: how many were made in the last hour.
        causes: fingerprints of what the exceptions say, without numbers and quotes.
        muted: whether somebody has muted it; None where nobody has.
    """

    id: str
    channel: str
    node: str
    error: str
    tags: str
    count: int = 0
    samples: int = 0
    first: str = ""
    last: str = ""
    sample: str = ""
    message: str | None = ""
    recent: int = 0
    causes: list[str] = []
    muted: Muting | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether it is muted, and nothing has ended that."""
        return self.muted is not None and not self.muted.ended


class FailureGroups:
    """Gathers dead letters, the newest first.

    Attributes:
        scanned: how many were gathered.
    """

    def __init__(self) -> None:
        self._groups: dict[Failure, FailureGroup] = {}
        self._since = clock.now() - _RECENT
        self.scanned = 0

    def take(self, records: Iterable[Record]) -> None:
        """Gather some more."""
        for record in records:
            self.scanned += 1
            self._take(record)

    def _take(self, record: Record) -> None:
        failure, time = failure_of(record), format_ticks(record.ticks)
        facts = _facts(record)
        group = self._groups.get(failure)
        if group is None:
            group = self._groups[failure] = FailureGroup(
                id=failure.id,
                **failure._asdict(),
                last=time,
                sample=str(record.seq),
                message=str(facts.get("err_msg", "")),
            )
        group.count += 1
        group.recent += record.ticks > self._since
        _add_cause(group.causes, facts)
        group.first = time
        if "part_of" in facts:
            group.samples += int(facts.get("sample_error_count", 0))

    def groups(self) -> list[FailureGroup]:
        """The groups, the largest first."""
        return sorted(self._groups.values(), key=lambda group: -group.count)


def failure_of(record: Record) -> Failure:
    """To which group a dead letter belongs."""
    facts = _facts(record)
    tags = _tags(record) if "part_of" in facts else ""
    error = str(facts.get("error", ""))
    return Failure(record.channel, str(facts.get("node") or ""), error, tags)


def _facts(record: Record) -> dict[str, Any]:
    try:
        return record.meta
    except CodecError:
        return {}


def _add_cause(causes: list[str], facts: dict[str, Any]) -> None:
    """Take up the fingerprint of why a letter is one, up to a number of them."""
    said = facts.get("causes") or [facts.get("err_msg", "")]
    for each in said:
        text = _VARYING.sub("#", str(each))
        found = blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()
        if found not in causes and len(causes) < _CAUSES:
            causes.append(found)


def _tags(record: Record) -> str:
    try:
        payload = record.message().payload
    except CodecError:
        return ""
    if not isinstance(payload, list):
        return ""
    names = {each.tag.name for each in payload if isinstance(each, Sample)}
    patterns = sorted({_DIGITS.sub("#", name) for name in names})
    shown = patterns[:_PATTERNS]
    return ", ".join([*shown, _MORE] if len(patterns) > _PATTERNS else shown)
