"""What a reload changes: two definitions compared; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from pichannels.fingerprint import Fact, differences
from pichannels.reload.definition import ChannelDefinition, ProjectDefinition

__all__ = ["ChannelChange", "ReloadReport", "compare"]

AT_THE_START: Final = (
    "DATA_DIR",
    "JOURNAL",
    "CONTROL",
    "LEASE",
    "PI_LIMITS",
    "REMOTE",
    "SIMULATOR",
    "UI",
)
"""Settings that are read when an instance starts, and not again."""

Kind = Literal["added", "removed", "changed", "tags"]


class ChannelChange(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one channel.

    Attributes:
        name: of the channel.
        kind: `added`, `removed`, `changed` (another one takes its place), or
            `tags`: only its tags change, while it runs.
        differences: why, in words.
        tags_added, tags_removed: how many names differ in its list of tags.
    """

    name: str
    kind: Kind
    differences: list[str] = []
    tags_added: int = 0
    tags_removed: int = 0


class ReloadReport(msgspec.Struct, kw_only=True):
    """What a reload would change, or has changed.

    Attributes:
        channels: those that change.
        unchanged: names of those that are not touched.
        settings: other settings that change, by name, in words.
        restart: why the instance has to be started again instead; then nothing
            was changed.
        applied: whether the changes were made.
        apply: the number of this apply, where they were; starts count, too.
        failures: channels that could not be changed, with the reason.
        unsettled: messages in the journal that no channel takes over, by channel.
    """

    channels: list[ChannelChange]
    unchanged: list[str]
    settings: dict[str, str] = {}
    restart: list[str] = []
    applied: bool = False
    apply: int = 0
    failures: list[str] = []
    unsettled: dict[str, int] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not (self.channels or self.settings or self.restart)

    def lines(self) -> list[str]:
        """All of it in words, one thing a line."""
        found = [line for change in self.channels for line in _told(change)]
        found += [f"setting  {text}" for text in self.settings.values()]
        found += [f"restart needed: {text}" for text in self.restart]
        found += [f"failed: {text}" for text in self.failures]
        found += [
            f"{count:,} unsettled messages of {name} stay in the journal"
            for name, count in self.unsettled.items()
        ]
        if self.unchanged:
            found.append(f"unchanged  {', '.join(self.unchanged)}")
        return found


def _told(change: ChannelChange) -> list[str]:
    return [
        f"{change.kind:<8} {change.name}",
        *(f"         {text}" for text in change.differences),
    ]


def compare(
    old: ProjectDefinition, new: ProjectDefinition, code: Iterable[str] = ()
) -> ReloadReport:
    """What has to change for `new` to run instead of `old`.

    Args:
        code: files of loaded modules that have changed since.
    """
    before = {each.name: each for each in old.channels}
    after = {each.name: each for each in new.channels}
    changes = {
        name: _change(before.get(name), after.get(name))
        for name in [*before, *(name for name in after if name not in before)]
    }
    touched = {name: change for name, change in changes.items() if change is not None}
    _spread(touched, before, after)
    told = {
        name: list(differences({name: fact}, {name: new.settings[name]}))
        for name, fact in old.settings.items()
    }
    restart = [
        f"{name} is read at the start only" for name in AT_THE_START if told[name]
    ]
    restart += [f"{file} has changed" for file in code]
    return ReloadReport(
        channels=[touched[name] for name in changes if name in touched],
        unchanged=[name for name in changes if name not in touched],
        settings={
            name: words[0]
            for name, words in told.items()
            if words and name not in AT_THE_START
        },
        restart=restart,
    )


def _change(
    old: ChannelDefinition | None, new: ChannelDefinition | None
) -> ChannelChange | None:
    if new is None:
        assert old is not None
        return ChannelChange(name=old.name, kind="removed")
    if old is None:
        return ChannelChange(name=new.name, kind="added")
    words = list(differences(_without_tags(old), _without_tags(new)))
    gained, lost = _tags(old, new)
    if old.tags != new.tags:
        words.append(f"tags: +{gained:,}/-{lost:,}")
    if not words:
        return None
    only_tags = len(words) == 1 and None not in (old.tags, new.tags)
    return ChannelChange(
        name=new.name,
        kind="tags" if only_tags and old.tags != new.tags else "changed",
        differences=words,
        tags_added=gained,
        tags_removed=lost,
    )


def _without_tags(definition: ChannelDefinition) -> dict[str, Fact]:
    if definition.tags is None:
        return definition.facts
    return {name: fact for name, fact in definition.facts.items() if name != "tags"}


def _tags(old: ChannelDefinition, new: ChannelDefinition) -> tuple[int, int]:
    before, after = Counter(old.tags or ()), Counter(new.tags or ())
    return (after - before).total(), (before - after).total()


def _spread(
    touched: dict[str, ChannelChange],
    before: Mapping[str, ChannelDefinition],
    after: Mapping[str, ChannelDefinition],
) -> None:
    """Replace together what refers to each other: an object knows one of them."""
    waiting = [
        name for name, each in touched.items() if each.kind in ("added", "changed")
    ]
    while waiting:
        name = waiting.pop()
        for other in after:
            kind = touched[other].kind if other in touched else None
            if other not in before or kind == "changed":
                continue
            if other in after[name].uses or name in after[other].uses:
                words = touched[other].differences if other in touched else []
                touched[other] = ChannelChange(
                    name=other,
                    kind="changed",
                    differences=[*words, f"goes together with {name!r}"],
                )
                waiting.append(other)
