"""The coverage ledger of a channel of PI tags at work.

The source tells what happens to its PI channels, the way in what becomes of messages;
what follows is saved in the journal, so that the next run knows what this one has
delivered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from pichannels.channels.coverage_options import CoverageOptions, ticks_of
from pichannels.channels.hearing import Hearing, Mark
from pichannels.channels.letters import (
    entries_of,
    note_letters,
    under_keys,
    what_failed,
)
from pichannels.channels.recording import Letter
from pichannels.channels.saved_ledger import (
    LIVE,
    entries_in,
    in_flight,
    ledger_key,
    ledger_namespace,
)
from pichannels.channels.servertime import ServerTime
from pichannels.channels.tags import Stream, differing
from pichannels.coverage.claims import Claims, restore
from pichannels.coverage.ledger import Ledger
from pichannels.coverage.repair import Planner
from pichannels.coverage.tags import TagState
from pichannels.errors import CodecError, JournalError
from pichannels.journal import Journal
from pichannels.states import State
from pichannels.values import Tag

__all__ = ["CoverageOptions", "Covering"]

logger: Final = logging.getLogger("pichannels.channels.pi")

_FLUSH: Final = 2.0
"""Seconds between two commits of what is claimed."""
_AT_ONCE: Final = 2000
"""Tags that are taken up before others get their turn."""
_LOOK: Final = 0.25
"""Seconds after which a loss is saved at the latest."""
_TOLD: Final = 100
"""Tags of which it is told what has changed, in one go at most."""
_PAUSE: Final = 0.25
"""Seconds for which nothing comes where nothing waits at the server, at most."""


class _Settled(NamedTuple):
    """What became of a message before the ledger was there."""

    seq: int
    state: State
    letters: Sequence[Letter]


class Covering:
    """Keeps the ledger of one channel.

    It is opened when the streams of the tags are known. What is told before that is
    kept for then.

    Args:
        channel: the name, under which the ledger is saved.
        options: how.
        fire: called with the name and the facts of an event.
        by_path: tags are called by their paths, as of servers with several members,
            whose ids differ.
        poll: seconds between two polls of the server.

    Attributes:
        ledger: what was delivered, and what was not.
        planner: what to read from the archive.
        server: the time of the server.
        streams: those of the tags that it has, by the ledger's number.
        hearing: what was heard of the tags, where quiet ones are probed.
    """

    def __init__(
        self,
        channel: str,
        options: CoverageOptions,
        fire: Callable[..., None] = lambda name, **facts: None,
        *,
        by_path: bool = False,
        poll: float = 1.0,
    ) -> None:
        self.channel = channel
        self.options = options
        self.server = ServerTime()
        self.ledger = Ledger(options.margins)
        self.planner = Planner(self.ledger, options.plan)
        self.streams: dict[int, Stream] = {}
        self.reading: int | None = None
        """The read whose values are handed over just now."""
        self.hearing: Hearing | None = None
        if options.probe > 0:
            self.hearing = Hearing(options.silence, options.expect)
        self.fire = fire
        self.pause = ticks_of(min(poll / 4, _PAUSE))
        """How long nothing comes of a PI channel where nothing waits at the server."""
        self._by_path = by_path
        self._journal: Journal | None = None
        self._claims = Claims(self.ledger)
        self._number: dict[str, int] = {}
        self._early: dict[int, _Settled] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._looking_up: set[asyncio.Task[None]] = set()

    @property
    def marks(self) -> dict[str, Mark]:
        """The tags with which something is wrong, by path."""
        found = self.hearing.marks if self.hearing is not None else {}
        streams = self.streams
        return {streams[tag].path: found[tag] for tag in found if tag in streams}

    @property
    def latest(self) -> int:
        """The server's time up to which anything can be delivered, ticks."""
        return self.server.now() - self.ledger.margins.settle

    @property
    def is_open(self) -> bool:
        """Whether the ledger is there."""
        return self._flushing is not None

    async def open(
        self,
        journal: Journal,
        streams: Sequence[Stream],
        no_access: Iterable[Stream] = (),
    ) -> None:
        """Take up the ledger where the last run has left it; again only `set_streams`.

        What was saved and is damaged is told as `coverage.damaged`, and left.

        Raises:
            JournalError: the journal cannot be read.
        """
        if not self.is_open:
            self._journal = journal
            records = await journal.saved(ledger_namespace(self.channel))
            unsettled = await journal.manifests(self.channel)
            try:
                await self._restore(records, unsettled, streams)
            except CodecError as exc:
                # Nothing is claimed then, and all is read again.
                logger.error("%s: %s; it begins anew", self.channel, exc)
                self.fire("coverage.damaged", error=str(exc))
                for name in records:
                    journal.forget(ledger_namespace(self.channel), name)
                await self._restore({}, unsettled, streams)
            name = f"{self.channel}: coverage"
            self._flushing = asyncio.create_task(self._flush_often(), name=name)
        await self._set_in_turn(streams, no_access)
        await self._note_letters(journal)
        early, self._early = self._early, {}
        for settled in early.values():
            self.settled(*settled)

    async def _restore(
        self,
        records: Mapping[str, bytes],
        unsettled: Iterable[tuple[int, str, bytes | None]],
        streams: Sequence[Stream],
    ) -> None:
        # What settles from now on is told to the ledger when it is open.
        over, now, margins = set(self._early), self.server.now(), self.options.margins

        def read() -> Ledger:
            keys = {stream.web_id: self._key(stream) for stream in streams}
            waiting = (each for each in unsettled if each[0] not in over)
            return restore(records, in_flight(waiting, keys), now, margins)

        self.ledger = await asyncio.to_thread(read)
        self.planner = Planner(self.ledger, self.options.plan)
        self._claims = Claims(self.ledger)

    def set_streams(
        self, streams: Sequence[Stream], no_access: Iterable[Stream] = ()
    ) -> None:
        """These are the tags from now on, beside those that may not be read."""
        self.streams = self._numbered(streams)
        denied = self._numbers_of(no_access)
        self._set_states(range(len(self.ledger.tags)), denied)

    async def _set_in_turn(
        self, streams: Sequence[Stream], no_access: Iterable[Stream]
    ) -> None:
        """`set_streams` that lets others have their turn."""
        found: dict[int, Stream] = {}
        for at in range(0, len(streams), _AT_ONCE):
            found |= self._numbered(streams[at : at + _AT_ONCE])
            await asyncio.sleep(0)
        self.streams, denied = found, self._numbers_of(no_access)
        count = len(self.ledger.tags)
        for at in range(0, count, _AT_ONCE):
            self._set_states(range(at, min(at + _AT_ONCE, count)), denied)
            await asyncio.sleep(0)

    def tell_changes(self, streams: Iterable[Stream]) -> None:
        """Tell what is said of tags now in place of what was; not other names."""
        told = 0
        for stream in streams:
            tag = self._number.get(stream.web_id)
            old = None if tag is None else self.streams.get(tag)
            if old is None or old == stream or told == _TOLD:
                continue
            before, after = differing(old, stream)
            if after:
                told += 1
                facts = {"before": before, "after": after}
                self.fire("tag.changed", tag=stream.path, **facts)

    def add_streams(self, streams: Sequence[Stream]) -> None:
        """These are tags as well."""
        self.streams |= self._numbered(streams)

    def _numbered(self, streams: Sequence[Stream]) -> dict[int, Stream]:
        """The streams by the ledger's numbers; new ones get some."""
        found: dict[int, Stream] = {}
        now, before = self.server.now(), len(self.ledger.tags)
        for stream in streams:
            # A tag with another name goes on under its key.
            tag = self._number.get(stream.web_id)
            if tag is None:
                tag = self.ledger.add_tag(self._key(stream), now)
            found[tag] = stream
            self._number[stream.web_id] = tag
        count = len(self.ledger.tags)
        if self.options.backfill and count > before:
            start = now - ticks_of(self.options.backfill)
            self.ledger.backfill(range(before, count), start, now)
        if self.hearing is not None:
            self.hearing.grow(found, count, now)
        return found

    def number(self, web_id: str) -> int | None:
        """The ledger's number of a stream."""
        return self._number.get(web_id)

    def _key(self, stream: Stream) -> str:
        return stream.path if self._by_path else ledger_key(stream)

    def tag(self, number: int, server: str) -> Tag:
        """The tag that samples of a stream carry, whichever way they come."""
        tag = self.streams[number].tag(server)
        return msgspec.structs.replace(tag, key=tag.path) if self._by_path else tag

    def _numbers_of(self, streams: Iterable[Stream]) -> set[int | None]:
        return {self.ledger.tags.get(self._key(stream)) for stream in streams}

    def _set_states(self, tags: Iterable[int], denied: Container[int | None]) -> None:
        """Tell the ledger what can be expected of these tags now."""
        found: dict[TagState, list[int]] = {}
        for tag in tags:
            stream = self.streams.get(tag)
            state = TagState.LIVE
            if stream is None:
                state = TagState.NO_ACCESS if tag in denied else TagState.REMOVED
            elif getattr(stream, "future", False):
                state = TagState.FUTURE
            if self.ledger.tags.state(tag) is not state:
                found.setdefault(state, []).append(tag)
        for state, changed in found.items():
            self.ledger.set_state(changed, state, self.server.now())

    # What happens to PI channels

    def learn(self, date: int | None) -> None:
        """The server says what time it is, ticks; None changes nothing."""
        was_known = self.server.is_known
        self.server.learn(date)
        if self.server.is_known and not was_known:
            self._correct_origins()

    def _correct_origins(self) -> None:
        """Cover tags from now on that were new when only our own clock was known."""
        now, latest = self.server.now(), self.server.latest()
        pasts = self.ledger.tags.pasts
        late = [tag for tag, past in enumerate(pasts) if past.origin > latest]
        if late:
            start = now - ticks_of(self.options.backfill)
            self.ledger.backfill(late, start, now)

    def connected(
        self, sub: str, web_ids: Iterable[str], server_date: int | None
    ) -> None:
        """A PI channel is open."""
        self.learn(server_date)
        tags = [self._number[web_id] for web_id in web_ids if web_id in self._number]
        now = self.server.now()
        self.ledger.unsubscribed(sub, "connected again", now)
        self.ledger.subscribed(sub, tags, self.server.latest())

    def heard(self, sub: str, at: int | None) -> None:
        """All that a PI channel gave before `at` (our own time) was handed over."""
        if at is not None:
            self.ledger.heartbeat(sub, self.server.of(at))

    def lost(self, sub: str, reason: str) -> None:
        """A PI channel is lost; what it gave last may not be all."""
        self.ledger.lost(sub, reason, self.server.now())

    def overflowed(self, sub: str, before: int | None, count: int) -> None:
        """PI may have left something out, of what came after `before` (our own time).

        Nothing more of the PI channel counts until it is connected again.
        """
        since = 0 if before is None else self.server.of(before)
        self.ledger.lost(sub, "overflow", self.server.now(), since=since)
        logger.warning(
            "%s: %d events came at once; PI may have left others out",
            self.channel,
            count,
        )
        self.fire("coverage.overflow", events=count)

    def blind(self, subs: Iterable[str], tag: int, since: int) -> None:
        """PI channels did not give what PI has of a tag after `since`."""
        now = self.server.now()
        for sub in subs:
            self.ledger.lost(sub, "blind", now, since=since, tags=[tag])
        self.ledger.reopen([tag], since, now, "blind", now)

    def not_understood(self, sub: str, web_ids: Iterable[str]) -> None:
        """It gave something that nobody understands, whatever that was."""
        self.lost(sub, "decode")
        self.connected(sub, web_ids, None)

    def closed(self, sub: str) -> None:
        """A PI channel was closed by us, after all it gave was handed over."""
        self.ledger.unsubscribed(sub, "stopped", self.server.now())

    # What becomes of messages

    def accepted(self, seq: int, lane: str, manifest: bytes | None) -> None:
        """A message is on its way into the journal."""
        if self.reading is not None and lane not in LIVE:
            self.planner.took(self.reading, seq)
            if self.hearing is not None:
                self.hearing.came(entries_in(manifest), is_live=False)
        elif lane in LIVE and self.is_open:
            entries = entries_in(manifest)
            self.ledger.hold(seq, entries, self._number)
            if self.hearing is not None:
                self.hearing.came(entries, is_live=True)

    def withdrawn(self, seq: int) -> None:
        """It was not accepted; whoever has it gives it again."""
        if not self.planner.settled(seq):
            self.ledger.settled(seq)

    def settled(self, seq: int, state: State, letters: Sequence[Letter] = ()) -> None:
        """It is settled, but for these dead letters."""
        if not self.is_open:
            self._early[seq] = _Settled(seq, state, letters)
            return
        now = self.server.now()
        for letter, msg, manifest in letters:
            failed = entries_in(manifest) or entries_of(msg.payload)
            self.ledger.failed(letter, under_keys(failed, self._key_of), now)
        if state is State.ERROR:
            self._give_up(seq)
        elif not self.planner.settled(seq):
            self.ledger.settled(seq)

    def _give_up(self, seq: int) -> None:
        """Note what was not delivered of a message that has failed as a whole."""
        self._look_up(self._note_failed(seq))

    def _look_up(self, work: Coroutine[Any, Any, None]) -> None:
        looking = asyncio.create_task(work, name=f"{self.channel}: dead letter")
        self._looking_up.add(looking)
        looking.add_done_callback(self._looking_up.discard)

    async def _note_failed(self, seq: int) -> None:
        assert self._journal is not None
        try:
            record = await self._journal.get(self.channel, seq)
            found = what_failed(record) if record is not None else []
        except (JournalError, CodecError) as exc:
            # It stays in flight: too little is claimed.
            logger.error("%s: dead letter %d: %s", self.channel, seq, exc)
            return
        entries = under_keys(found, self._key_of)
        self.ledger.failed(seq, entries, self.server.now())
        self.planner.settled(seq)

    def redriven(self, seq: int) -> None:
        """A dead letter is delivered after all."""
        if self.ledger.dead.get(seq) is None and self._journal is not None:
            # It took the place of another one, which is none any more.
            self._look_up(self._note_again(self._journal))
        self.ledger.redriven(seq)

    async def _note_again(self, journal: Journal) -> None:
        try:
            await self._note_letters(journal)
        except JournalError as exc:
            # The next start does so.
            logger.error("%s: dead letters: %s", self.channel, exc)

    def discarded(self, seq: int) -> None:
        """A dead letter will never be delivered."""
        self.ledger.discarded(seq)

    def _key_of(self, web_id: str) -> str | None:
        """What the ledger calls the tag of a WebID."""
        number = self._number.get(web_id)
        return None if number is None else self.ledger.tags.keys[number]

    async def _note_letters(self, journal: Journal) -> None:
        now = self.server.now()
        await note_letters(journal, self.channel, self.ledger, self._key_of, now)

    # What is kept

    def save(self) -> None:
        """Hand what has changed to the journal, in one commit."""
        journal = self._journal
        if journal is None:
            return
        namespace = ledger_namespace(self.channel)
        for name, data in self._claims.changes().items():
            if data is None:
                journal.forget(namespace, name)
            else:
                journal.save(namespace, name, data)

    async def _flush_often(self) -> None:
        waited = 0.0
        while True:
            await asyncio.sleep(_LOOK)
            waited += _LOOK
            if waited >= _FLUSH or self._claims.is_urgent:
                waited = 0.0
                try:
                    self.save()
                except JournalError as exc:
                    logger.error("%s: coverage is not saved: %s", self.channel, exc)

    async def close(self) -> None:
        """Save what is known and keep no more."""
        flushing, self._flushing = self._flushing, None
        if flushing is None:
            return
        flushing.cancel()
        await asyncio.wait([flushing, *self._looking_up])
        self.save()
        self._journal = None
