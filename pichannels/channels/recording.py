"""Where a channel's messages are kept while and after they are processed."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from pichannels.delivery import SAMPLE_ERRORS_KEPT, Aside, Delivery, Outcome
from pichannels.errors import CodecError, Dropped, Rejected, printable
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.states import State
from pichannels.store import MessageStore
from pichannels.values import Sample

__all__ = [
    "JournalRecorder",
    "Letter",
    "Observer",
    "Recorder",
    "Settlement",
    "StoreRecorder",
    "are_samples",
    "facts_of",
    "settle",
]

logger: Final = logging.getLogger("pichannels.channels")


class Recorder(Protocol):
    """Keeps a message before its first node, and later what became of it."""

    async def admit(self, msg: Message, delivery: Delivery) -> None:
        """Keep the message; sets its store id.

        Raises:
            CodecError: it cannot be kept, and no node will see it.
        """

    def settle(self, delivery: Delivery, outcome: Outcome) -> Awaitable[None] | None:
        """Say what became of it; done when what is returned is."""

    def leave(self, delivery: Delivery) -> None:
        """Nobody works on it any more, whether it is settled or not."""


class Letter(NamedTuple):
    """A dead letter of what was set aside of a message.

    Attributes:
        seq: its number in the journal.
        message: what was set aside.
        manifest: that of the whole message, where what was set aside is no samples
            any more, and so does not tell which tags and times it has.
    """

    seq: int
    message: Message
    manifest: bytes | None = None


class Settlement(NamedTuple):
    """What the journal was told of a message.

    Attributes:
        state: what it is now: in error as a whole where what was set aside of it
            cannot be kept by itself.
        letters: the dead letters of what was set aside.
    """

    state: State
    letters: list[Letter]


class Observer(Protocol):
    """Who wants to know what becomes of accepted messages: the coverage ledger."""

    def accepted(self, seq: int, lane: str, manifest: bytes | None) -> None:
        """A message is about to be durable; it is told before anything else of it."""

    def withdrawn(self, seq: int) -> None:
        """It could not be made durable."""

    def settled(self, seq: int, state: State, letters: Sequence[Letter] = ()) -> None:
        """It is settled, but for these dead letters; the journal was told before."""

    def redriven(self, seq: int) -> None:
        """A dead letter is delivered after all."""

    def discarded(self, seq: int) -> None:
        """A dead letter was given up for good."""


class JournalRecorder:
    """Keeps messages in the journal: unsettled ones run again after a crash."""

    def __init__(self, channel: str, journal: Journal) -> None:
        self._channel = channel
        self._journal = journal
        self.in_progress: set[int] = set()

    async def admit(self, msg: Message, delivery: Delivery) -> None:
        if self._journal.is_full:
            await self._journal.room()
        ticket = self._journal.append(self._channel, msg)
        delivery.seq = ticket.seq
        self.in_progress.add(ticket.seq)
        try:
            # Whoever gives up waiting must not take the result from others.
            await ticket.written()
        except BaseException:
            self.leave(delivery)
            raise
        msg.store_id = str(ticket.seq)
        msg.store_chan_name = self._channel

    def settle(self, delivery: Delivery, outcome: Outcome) -> None:
        settle(self._journal, self._channel, delivery, outcome)

    def leave(self, delivery: Delivery) -> None:
        self.in_progress.discard(delivery.seq)


class StoreRecorder:
    """Keeps messages in a message store that is not the journal."""

    def __init__(self, channel: str, store: MessageStore) -> None:
        self._channel = channel
        self._store = store

    async def admit(self, msg: Message, delivery: Delivery) -> None:
        id = await self._store.store(msg)
        if id is not None:
            msg.store_id = id
            msg.store_chan_name = self._channel
            delivery.store_id = id

    def settle(self, delivery: Delivery, outcome: Outcome) -> Awaitable[None] | None:
        if delivery.store_id is None:
            return None
        return self._store.change_message_state(
            delivery.store_id, outcome.state, facts_of(delivery, outcome)
        )

    def leave(self, delivery: Delivery) -> None:
        return


def are_samples(payload: Any) -> bool:
    """Whether a payload tells by itself which tags and times it has."""
    return isinstance(payload, list) and all(type(each) is Sample for each in payload)


def settle(
    journal: Journal,
    channel: str,
    delivery: Delivery,
    outcome: Outcome,
    manifest: bytes | None = None,
) -> Settlement:
    """Write to the journal what became of a message.

    Samples that were set aside become dead letters of their own, in the same commit.
    Where the message as a whole is one they are in it; so it is where they cannot be
    kept by themselves, or nobody knows which they are.

    Args:
        manifest: of the message, where it is known.

    Raises:
        JournalError: the journal is not open.
    """
    letters: list[Letter] = []
    facts = facts_of(delivery, outcome)
    if delivery.is_plain or outcome.state is State.ERROR:
        journal.settle(delivery.seq, outcome.state, facts)
        return Settlement(outcome.state, letters)
    state = State.ERROR if delivery.has_lost else outcome.state
    for aside in delivery.aside or ():
        known = None if are_samples(aside.message.payload) else manifest
        seq = _bury(journal, channel, delivery, aside, known)
        if seq is None:
            state = State.ERROR
        else:
            letters.append(Letter(seq, aside.message, known))
    if state is not outcome.state:
        facts = _as_a_whole(delivery) | (facts or {})
    journal.settle(delivery.seq, state, facts)
    return Settlement(state, letters)


def _as_a_whole(delivery: Delivery) -> dict[str, Any]:
    """Why a message is a dead letter of which most went on."""
    first = next(iter(delivery.sample_errors or ()), {})
    why = f"{first.get('sample', '')}: {first.get('cause', '')}"
    return {
        "err_msg": printable(f"what was set aside cannot be kept by itself; {why}"),
        "error": "SampleErrors",
        "node": first.get("node"),
        "attempts": delivery.attempts,
    }


def _bury(
    journal: Journal,
    channel: str,
    delivery: Delivery,
    aside: Aside,
    manifest: bytes | None,
) -> int | None:
    lane = aside.message.meta.get("lane")
    try:
        ticket = journal.append(
            channel,
            aside.message,
            lane=lane if isinstance(lane, str) else "live",
            manifest=manifest,
        )
    except CodecError as exc:
        logger.error("%s: failed samples cannot be kept: %s", aside.node, exc)
        return None
    first, cause = next(iter(aside.causes.items()), ("", ""))
    facts = {
        "err_msg": f"{first}: {cause}",
        "error": "SampleErrors",
        "node": aside.node,
        "attempts": delivery.attempts,
        "part_of": delivery.seq,
        "sample_error_count": len(aside.causes),
        "causes": list(aside.causes.values())[:SAMPLE_ERRORS_KEPT],
    }
    journal.settle(ticket.seq, State.ERROR, _storable(facts))
    return ticket.seq


def facts_of(delivery: Delivery, outcome: Outcome) -> dict[str, Any] | None:
    """What is kept beside the state, or None when there is nothing to say."""
    error = outcome.error
    if error is None and not delivery.sample_error_count and not delivery.meta:
        return None
    facts: dict[str, Any] = dict(delivery.meta or {})
    if error is not None:
        facts["err_msg"] = str(error) or type(error).__name__
        facts["error"] = type(error).__name__
        facts["node"] = outcome.node
        facts["attempts"] = delivery.attempts
        if outcome.state is State.ERROR and not isinstance(error, Dropped | Rejected):
            facts["stack"] = "".join(traceback.format_exception(error))[-8000:]
    if delivery.sample_error_count:
        facts["sample_error_count"] = delivery.sample_error_count
        facts["sample_errors"] = delivery.sample_errors
    return {name: _storable(fact) for name, fact in facts.items()}


def _storable(fact: Any) -> Any:
    """Texts of errors may quote what came, and that need not be Unicode."""
    if isinstance(fact, str):
        return printable(fact)
    if isinstance(fact, list):
        return [_storable(item) for item in fact]
    if isinstance(fact, dict):
        return {_storable(name): _storable(item) for name, item in fact.items()}
    return fact
