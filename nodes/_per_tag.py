"""What filters have in common that decide about a sample by those before it.

Only the live lane has a state that goes on from message to message. A message of
another lane (late, repair, replay, ...) is filtered by itself, so that it neither
uses nor disturbs what is known of live values.

What was decided for a message is remembered until it is settled: a message that runs
again, because a sink was not ready, gives the same samples again. When it fails for
good, its tags begin anew, so that nothing is left out for being like a value that
nobody has got.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from nodes._batches import keep, no_batch
from nodes._limits import Keys, Limits, LimitsOf
from nodes._options import at_least
from pichannels import clock
from pichannels.delivery import Delivery
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.values import Sample, Tag

__all__ = ["TAGS_KEPT", "UNTOUCHED", "Limited", "PerTag", "Turn"]

TAGS_KEPT: Final = 1_000_000
"""How many tags a filter knows; beyond that it begins anew with all of them."""
UNTOUCHED: Final = frozenset({"correction", "delete"})
"""Lanes whose samples are instructions, each of which has to arrive."""


class Turn:
    """One message on its way through a filter: what passes so far."""

    __slots__ = ("carried", "delivery", "facts", "out")

    def __init__(self, msg: Message, delivery: Delivery | None) -> None:
        self.out: list[Sample] = []
        self.carried: list[Sample] = []
        self.delivery = delivery
        self.facts: Any = msg.meta.get("tags")

    def facts_of(self, tag: Tag) -> Mapping[str, Any] | None:
        """What the meta says about a tag."""
        facts = self.facts.get(tag.name) if isinstance(self.facts, dict) else None
        return facts if isinstance(facts, dict) else None


class _Sent:
    """What passed of a message that is not settled yet.

    `carried` came with earlier messages. `again` is the run, counted from 1, that
    has got them last. `looked_at` has the samples from which these were chosen.
    """

    __slots__ = (
        "again",
        "attempts",
        "carried",
        "ids",
        "known",
        "looked_at",
        "samples",
    )

    def __init__(self, attempts: int) -> None:
        self.attempts = self.again = attempts
        self.samples: list[Sample] = []
        self.carried: list[Sample] = []
        self.looked_at: list[list[Sample]] = []
        self.ids: set[str] = set()
        self.known: set[str] = set()


class PerTag(BaseNode):
    """A filter that knows something of each tag.

    A child implements `select`, and `forget` where a tag can begin anew.
    """

    changes: ClassVar[frozenset[str]] = frozenset({"payload"})
    why = "nothing new"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.states: dict[Any, Any] = {}
        self._sent: dict[Delivery, _Sent] = {}

    def select(self, samples: list[Sample], states: dict[Any, Any], turn: Any) -> None:
        """Append to `turn.out` what passes; `states` is what is known of each tag."""
        raise NotImplementedError

    def turn(self, msg: Message, delivery: Delivery | None) -> Any:
        """What `select` notes down while it looks at a message."""
        return Turn(msg, delivery)

    def end(self, turn: Any) -> None:
        """All of a live message has been looked at."""
        return

    def finish(self, states: dict[Any, Any], turn: Any) -> None:
        """The end of a message whose states end with it."""
        return

    def forget(self, tag: Tag) -> None:
        """Let the next live value of the tag pass."""
        self.states.pop(tag, None)

    def clear(self, turn: Any) -> None:
        """Begin anew with all tags, because they are too many."""
        self.states.clear()

    async def start(self) -> None:
        """Begin anew: the first live value of each tag passes."""
        self.states.clear()
        self._sent.clear()

    def process(self, msg: Message) -> Message:
        samples = msg.payload
        if type(samples) is not list or set(map(type, samples)) - _SAMPLE:
            raise no_batch(self.fullpath(), samples)
        lane = msg.meta.get("lane", "live")
        if lane in UNTOUCHED:
            return keep(msg, samples, self.why)
        if lane != "live":
            return keep(msg, self._apart(samples, msg), self.why)
        return keep(msg, self._live(samples, msg), self.why)

    def _apart(self, samples: list[Sample], msg: Message) -> list[Sample]:
        states: dict[Any, Any] = {}
        turn = self.turn(msg, None)
        self.select(samples, states, turn)
        self.finish(states, turn)
        out: list[Sample] = turn.out
        return out

    def _live(self, samples: list[Sample], msg: Message) -> list[Sample]:
        delivery: Delivery | None = msg.delivery
        if delivery is not None and (sent := self._sent.get(delivery)) is not None:
            if sent.attempts != delivery.attempts:
                return self._once_more(samples, sent, msg)
        return self._first(samples, msg)

    def _first(self, samples: list[Sample], msg: Message) -> list[Sample]:
        delivery: Delivery | None = msg.delivery
        turn = self.turn(msg, delivery)
        self.select(samples, self.states, turn)
        if len(self.states) > TAGS_KEPT:
            self.clear(turn)
        self.end(turn)
        if delivery is not None and self._may_run_again(turn, msg):
            self._remember(delivery, turn, samples)
        out: list[Sample] = turn.out
        return out

    def _may_run_again(self, turn: Turn, msg: Message) -> bool:
        """Whether something of the message can fail behind this node."""
        return bool(turn.out) or "part_of" in msg.meta or msg.delivery in self._sent

    def _once_more(
        self, samples: list[Sample], sent: _Sent, msg: Message
    ) -> list[Sample]:
        """What passed before, with what was carried along, and what passes now.

        Where a step before this one had failed, a part of the message comes for the
        first time when it runs again.
        """
        if not sent.known:
            sent.ids = {sample.event_id for sample in sent.samples}
            sent.known = {s.event_id for each in sent.looked_at for s in each}
        new = [sample for sample in samples if sample.event_id not in sent.known]
        found = [sample for sample in samples if sample.event_id in sent.ids]
        if sent.again != msg.delivery.attempts:
            sent.again = msg.delivery.attempts
            found = [*sent.carried, *found]
        return found + self._first(new, msg) if new else found

    def _remember(self, delivery: Delivery, turn: Turn, samples: list[Sample]) -> None:
        sent = self._sent.get(delivery)
        if sent is None:
            sent = self._sent[delivery] = _Sent(delivery.attempts)
            delivery.on_settled(self._settled)
        sent.samples += turn.out
        sent.carried += turn.carried
        sent.looked_at.append(samples)
        # Made anew when they are asked for.
        sent.known = set()

    def _settled(self, delivery: Delivery) -> None:
        sent = self._sent.pop(delivery, None)
        if sent is not None and delivery.failure is not None:
            for tag in {sample.tag for sample in sent.samples}:
                self.forget(tag)


_SAMPLE: Final = {Sample}


class Limited(PerTag):
    """A filter with limits for each tag."""

    def limit(
        self,
        keys: Keys,
        limits: Mapping[str, Any],
        overrides: Mapping[str, Mapping[str, Any]] | None,
        refresh: float,
    ) -> None:
        """Take the limits that were given; called once, by the constructor.

        Args:
            keys: the names of the limits.
            limits: those given for all tags.
            overrides: see `LimitsOf`.
            refresh: seconds after which the facts of a tag are looked at again.

        Raises:
            SettingsError: a limit is not usable, or not known.
        """
        at_least("refresh", refresh, 0)
        self._limits = LimitsOf(self.name, keys, limits, overrides)
        self._refresh = refresh
        self._refresh_at = clock.monotonic() + refresh

    def limits_of(self, tag: Tag, turn: Turn) -> Limits:
        """What holds for a tag now."""
        return self._limits.of(tag, turn.facts_of(tag))

    def outdate(self) -> None:
        """Have the limits of all tags found again, when it is time."""
        now = clock.monotonic()
        if now >= self._refresh_at:
            self._refresh_at = now + self._refresh
            for state in self.states.values():
                state.is_stale = True
                state.until = -1
