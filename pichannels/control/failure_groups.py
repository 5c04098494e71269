"""Dead letters that are alike: the same node, exception and kind of tags."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from pichannels.errors import CodecError
from pichannels.journal import Record
from pichannels.values import Sample, format_ticks

__all__ = ["Failure", "FailureGroup", "FailureGroups", "failure_of"]

_DIGITS: Final = re.compile(r"\d+")
_PATTERNS: Final = 3
_MORE: Final = "..."


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


class FailureGroups:
    """Gathers dead letters, the newest first.

    Attributes:
        scanned: how many were gathered.
    """

    def __init__(self) -> None:
        self._groups: dict[Failure, FailureGroup] = {}
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
