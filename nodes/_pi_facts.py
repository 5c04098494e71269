"""Facts of tags that are fetched in the background and kept with their versions.

A tag is asked for when it is first met, together with all others that wait, and
again before its facts are too old. Whoever needs facts gets what is there: old ones
stay in use while the server does not answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol
from zlib import crc32

from pichannels import clock, codecs
from pichannels.errors import CodecError, DecodeError, TryAgain
from pichannels.message import isolate
from pichannels.piwebasync.exceptions import PIWebAsyncException
from pichannels.piwebasync.facts import Facts, TagFacts
from pichannels.retry import RetryPolicy
from pichannels.values import TICKS_PER_SECOND, Tag

__all__ = ["Entry", "FactCache", "Owner"]

logger: Final = logging.getLogger("pichannels.nodes")

_AGAIN: Final = RetryPolicy(attempts=0, initial=0.5, maximum=60.0)
_KEPT: Final = 500_000
_AT_ONCE: Final = 5_000
_BUCKETS: Final = 32
_SAVE_EVERY: Final = 5.0
_REFRESHED_AT: Final = 0.8
_ABSENT_TTL: Final = 300.0
_SCANS: Final = 20
_NAMED: Final = 5


class Entry:
    """What is known of one tag; without facts when PI has none, or none yet.

    Attributes:
        facts: not to be changed; `copy` gives those that may be.
        version: counts up when facts change, from 1.
        at: ticks of PI's last answer, 0 before the first.
        deadline: up to when (monotonic seconds) a message waits for the first one.
        is_met: whether a message came since then.
        reason: why there are no facts.
    """

    __slots__ = (
        "at", "deadline", "facts", "is_flat", "is_met", "key", "reason", "tag",
        "version",
    )  # fmt: skip

    def __init__(self, key: str, tag: Tag | None, deadline: float) -> None:
        self.key = key
        self.tag = tag
        self.deadline = deadline
        self.facts: Facts | None = None
        self.is_flat = True
        self.version = 0
        self.at = 0
        self.is_met = True
        self.reason = "PI has not answered yet"

    def put(self, facts: Facts | None, version: int) -> None:
        """Take facts over."""
        self.facts = facts
        self.version = version
        values = (facts or {}).values()
        self.is_flat = not any(isinstance(value, list | dict) for value in values)

    def copy(self) -> Facts:
        """The facts with their version, to be changed by whoever gets them."""
        facts = self.facts or {}
        own = (
            facts.copy() if self.is_flat else {n: isolate(v) for n, v in facts.items()}
        )
        own["meta_version"] = self.version
        return own


class Owner(Protocol):
    """The node that a cache belongs to."""

    def fullpath(self) -> str:
        """Its name, for the log."""

    async def fetch_facts(self, tags: Sequence[Tag]) -> TagFacts:
        """Ask PI."""

    def facts_changed(self, entry: Entry, before: Mapping[str, Any]) -> None:
        """Called when the facts of a tag are no longer those from before."""

    def save_data(self, key: str, value: Any) -> Awaitable[None]:
        """Keep data for the next run."""

    async def restore_data(self, key: str, default: Any) -> Any:
        """What was kept."""


class FactCache:
    """The facts of all tags that a node meets.

    Args:
        owner: asks PI, keeps data, and is told of changes.
        of: what the facts depend on (server, options): kept facts of something else
            are asked for again before they are used.
        ttl: seconds for which facts are good; they are renewed before, if their
            tag still comes.
        first_wait: seconds that a message waits for a tag never met before.
        room: for how many tags; with more, those are forgotten that do not come,
            and all when that is not enough.
    """

    def __init__(
        self,
        owner: Owner,
        of: Sequence[Any],
        ttl: float,
        first_wait: float,
        room: int = _KEPT,
    ) -> None:
        self._room = room
        self._owner = owner
        self._of = repr(of)
        self._ttl = ttl
        self._first_wait = first_wait
        self._entries: dict[str, Entry] = {}
        self._by_tag: dict[Tag, Entry] = {}
        self._unanswered: dict[str, Entry] = {}
        self._dirty: set[int] = set()
        self._saved = 0.0
        self._scanned = 0.0
        self._wake = asyncio.Event()
        self._answered = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.fetched = self.changed = self.failed = 0

    def statistics(self) -> dict[str, int]:
        """Counts of tags, fetched facts, changes, and requests without answer."""
        return {
            "tags": len(self._entries),
            "unanswered": len(self._unanswered),
            "fetched": self.fetched,
            "changed": self.changed,
            "failed": self.failed,
        }

    # What messages need

    def entries(self, tags: Iterable[Tag]) -> dict[Tag, Entry]:
        """What is known of these tags; those never met before are asked for."""
        found: dict[Tag, Entry] = {}
        for tag in tags:
            entry = found[tag] = self._by_tag.get(tag) or self._met(tag)
            entry.is_met = True
        return found

    def _met(self, tag: Tag) -> Entry:
        if max(len(self._by_tag), len(self._entries)) >= self._room:
            self._make_room()
        key = f"{tag.server}\0{tag.key or tag.path or tag.web_id or tag.name}"
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = Entry(key, tag, self._deadline())
        elif entry.tag is None and not entry.at:
            entry.deadline = self._deadline()
        entry.tag = tag
        self._by_tag[tag] = entry
        if not entry.at:
            self._unanswered[key] = entry
            self._wake.set()
        return entry

    def _deadline(self) -> float:
        return clock.monotonic() + self._first_wait

    def _make_room(self) -> None:
        """Forget the tags that did not come lately, or else all."""
        kept = {key: entry for key, entry in self._entries.items() if entry.is_met}
        self._entries = kept if len(kept) < self._room // 2 else {}
        self._unanswered = {k: e for k, e in self._entries.items() if not e.at}
        self._by_tag = {}

    def may_come(self, entries: Iterable[Entry]) -> bool:
        """Whether it is worth to wait for an answer about one of these tags."""
        waiting = [entry.deadline for entry in entries if not entry.at]
        return bool(waiting) and max(waiting) > clock.monotonic()

    async def wait_for(self, entries: Sequence[Entry]) -> None:
        """Until PI has answered for all of them, or their time is over."""
        while waiting := [entry for entry in entries if not entry.at]:
            left = max(e.deadline for e in waiting) - clock.monotonic()
            if left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    await self._answered.wait()
            except TimeoutError:
                return

    # Work in the background

    async def start(self) -> None:
        """Take up what was kept, and begin to ask."""
        for bucket in range(_BUCKETS):
            kept = await self._owner.restore_data(f"facts:{bucket}", None)
            if isinstance(kept, dict):
                self._take_up(kept)
        name = f"{self._owner.fullpath()}: facts"
        self._task = asyncio.create_task(self._run(), name=name)

    def _take_up(self, kept: Mapping[str, Any]) -> None:
        is_ours = kept.get("of") == self._of
        for key, (facts, version, at) in kept.get("tags", {}).items():
            entry = self._entries[key] = Entry(key, None, 0.0)
            entry.put(facts, version)
            entry.at = at if is_ours else 0
            entry.is_met = False

    async def stop(self) -> None:
        """End asking and keep what is known."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._save()

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                await self._work()
                failures = 0
            except (PIWebAsyncException, DecodeError, TryAgain) as exc:
                failures += 1
                self.failed += 1
                if failures == 1:
                    logger.warning("%s: no facts: %s", self._owner.fullpath(), exc)
                await asyncio.sleep(_AGAIN.delay(failures, exc) or 0)
            except Exception:
                failures += 1
                logger.exception("%s: no facts", self._owner.fullpath())
                await asyncio.sleep(_AGAIN.delay(failures, TryAgain()) or 0)

    async def _work(self) -> None:
        """Ask for what is due, or wait until something is."""
        self._wake.clear()
        due = list(self._unanswered.values())[:_AT_ONCE] or self._old()[:_AT_ONCE]
        if due:
            await self._ask(due)
        if not due or clock.monotonic() - self._saved >= _SAVE_EVERY:
            await self._save()
        if not due:
            try:
                async with asyncio.timeout(self._ttl / _SCANS):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _old(self) -> list[Entry]:
        """Entries of tags that still come, whose answers will soon be too old."""
        now = clock.now()
        found = self._ttl * _REFRESHED_AT * TICKS_PER_SECOND
        absent = min(found, _ABSENT_TTL * TICKS_PER_SECOND)
        return [
            entry
            for entry in self._entries.values()
            if entry.is_met
            and entry.tag is not None
            and now - entry.at >= (absent if entry.facts is None else found)
        ]

    async def _ask(self, due: Sequence[Entry]) -> None:
        by_tag = {entry.tag: entry for entry in due if entry.tag is not None}
        answer = await self._owner.fetch_facts(list(by_tag))
        now = clock.now()
        for tag, entry in by_tag.items():
            self._take(entry, answer.facts.get(tag), answer.failures.get(tag, ""))
            entry.at = now
            entry.is_met = False
            self._unanswered.pop(entry.key, None)
        self.fetched += len(by_tag)
        self._tell_absent(answer)
        answered, self._answered = self._answered, asyncio.Event()
        answered.set()

    def _take(self, entry: Entry, facts: Facts | None, reason: str) -> None:
        self._dirty.add(_bucket(entry.key))
        entry.reason = reason
        before = entry.facts
        if facts is None or facts == before:
            # What PI no longer tells stays as it was.
            return
        entry.put(facts, entry.version + 1)
        if before is not None:
            self.changed += 1
            self._owner.facts_changed(entry, before)

    def _tell_absent(self, answer: TagFacts) -> None:
        if answer.failures:
            some = list(answer.failures.items())[:_NAMED]
            logger.warning(
                "%s: PI has no facts of %d tags: %s",
                self._owner.fullpath(),
                len(answer.failures),
                "; ".join(f"{tag.name}: {reason}" for tag, reason in some),
            )

    async def _save(self) -> None:
        self._saved = clock.monotonic()
        if not self._dirty:
            return
        kept: dict[int, dict[str, Any]] = {bucket: {} for bucket in self._dirty}
        for key, entry in self._entries.items():
            bucket = _bucket(key)
            if bucket in kept and entry.at:
                kept[bucket][key] = [entry.facts, entry.version, entry.at]
        for bucket, tags in kept.items():
            await self._save_bucket(f"facts:{bucket}", tags)
            # Only now, so that a stop on the way loses none.
            self._dirty.discard(bucket)

    async def _save_bucket(self, key: str, tags: Mapping[str, Any]) -> None:
        try:
            await self._owner.save_data(key, {"of": self._of, "tags": tags})
        except CodecError:
            # PI has names that are broken; they cost no other.
            whole = {name: one for name, one in tags.items() if _is_whole(name, one)}
            await self._owner.save_data(key, {"of": self._of, "tags": whole})


def _is_whole(*values: Any) -> bool:
    """Whether these can be kept."""
    try:
        codecs.encode(values)
    except CodecError:
        return False
    return True


def _bucket(key: str) -> int:
    """Facts are kept in parts, so that a change does not write all of them."""
    return crc32(key.encode("utf-8", "surrogatepass")) % _BUCKETS
