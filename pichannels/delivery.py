"""Which entry message is settled when: everything that it led to has ended.

Pure counting; nothing here waits. A delivery is born with its entry message and
owes one for the run of the chain. Each pending acknowledgement, required fork and
held message adds one; when nothing is owed any more, the delivery is settled.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from pichannels.errors import SampleErrors, Stopped, UsageError
from pichannels.message import Message
from pichannels.states import State
from pichannels.tallies import Tally
from pichannels.values import Sample

__all__ = [
    "SAMPLE_ERRORS_KEPT",
    "Aside",
    "Delivery",
    "Hold",
    "Outcome",
    "described",
]

logger: Final = logging.getLogger("pichannels.channels")

SAMPLE_ERRORS_KEPT = 100
"""How many failed samples of one message are described; all are counted."""


class Named(Protocol):
    """Who failed: a node or a branch."""

    def fullpath(self) -> str: ...


class Asked(Named, Protocol):
    """Who has given something away that is to be acknowledged."""

    tally: Tally


class Aside(NamedTuple):
    """Samples of a message that failed at one node, while the others went on.

    Attributes:
        node: the full path of the node.
        message: what has these samples as its payload.
        causes: what identifies each sample -> why it failed.
    """

    node: str
    message: Message
    causes: dict[str, str]


class Outcome:
    """What became of a message.

    Attributes:
        state: processed, dropped, rejected or error.
        message: the result; for a drop, a rejection or a failure the message as
            it was before the node that raised.
        error: what was raised, or None.
        node: the full path of the node that raised, or "".
        sample_errors: how many samples were set aside.
        aside: these samples, as far as they are known.
    """

    error: BaseException | None = None
    node = ""
    sample_errors = 0
    aside: Sequence[Aside] = ()

    def __init__(
        self,
        state: State,
        message: Message,
        error: BaseException | None = None,
        node: str = "",
    ) -> None:
        self.state = state
        self.message = message
        if error is not None:
            self.error = error
            self.node = node

    def place(self, channel: str) -> dict[str, str]:
        """What a log record about it says beside its text."""
        uuid = self.message.uuid
        return {"channel": channel, "node": self.node, "message_id": uuid}

    def __repr__(self) -> str:
        return f"<Outcome {self.state} {self.error!r}>"


class Hold:
    """One reason why a delivery is not settled yet; release it exactly once."""

    __slots__ = ("_delivery",)

    def __init__(self, delivery: Delivery) -> None:
        self._delivery: Delivery | None = delivery
        delivery.owed += 1

    @property
    def delivery(self) -> Delivery:
        """What is held.

        Raises:
            UsageError: it is not held any more.
        """
        if self._delivery is None:
            raise UsageError("this hold has ended")
        return self._delivery

    def release(self) -> None:
        """This reason is gone."""
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            delivery.release()

    def fail(self, error: BaseException, node: Named | None = None) -> None:
        """This reason ends in failure; so does the delivery."""
        if self._delivery is not None:
            self._delivery.fail(error, node)
        self.release()

    def set_aside(self, aside: Sequence[Aside]) -> None:
        """These samples have failed; the delivery goes on without them."""
        if self._delivery is not None:
            for node, message, causes in aside:
                self._delivery.set_aside(node, causes, len(causes), message)

    def settle_with(self, msg: Message) -> None:
        """This reason is gone when `msg`, which contains it, is settled.

        Raises:
            UsageError: `msg` is not on its way through a channel.
        """
        other: Delivery | None = msg.delivery
        if other is None:
            raise UsageError(
                "only a message on its way through a channel settles another one;"
                " make it with msg.derive(payload)"
            )
        if other is self._delivery:
            self.release()
        else:
            other.on_settled(self._follow)

    def _follow(self, other: Delivery) -> None:
        failure = other.failure
        if failure is not None:
            self.fail(failure)
        else:
            self.release()


class _Beside(Hold):
    """A copy that goes its own way, or what follows it."""

    __slots__ = ()

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(delivery)
        delivery.beside += 1

    def release(self) -> None:
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            delivery.beside -= 1
            delivery.release()


class _Telling(threading.local):
    """The settled deliveries whose listeners have still to be told, in a thread."""

    deliveries: deque[tuple[Delivery, list[Callable[[Delivery], None]]]] | None = None


_telling = _Telling()


def _tell(delivery: Delivery, listeners: list[Callable[[Delivery], None]]) -> None:
    """Call the listeners of a settled delivery, and of all that settles thereby.

    In a loop: thousands of held messages may wait each for the next one.
    """
    waiting = _telling.deliveries
    if waiting is not None:
        waiting.append((delivery, listeners))
        return
    waiting = _telling.deliveries = deque([(delivery, listeners)])
    try:
        while waiting:
            settled, listeners = waiting.popleft()
            for listener in listeners:
                try:
                    listener(settled)
                except Exception:
                    # The others have to hear of it all the same.
                    logger.exception("a listener to a settlement failed")
    finally:
        _telling.deliveries = None


class Delivery:
    """The settlement of one entry message.

    What most messages never need has its default on the class, so that a delivery
    costs next to nothing.
    """

    __slots__ = ("__dict__", "is_plain", "owed")

    seq = 0
    attempts = 1
    store_id: str | None = None
    error: BaseException | None = None
    error_at = ""
    failed_at = ""
    """Where the chain failed; `error_at` is where what it waits for did."""
    noted: BaseException | None = None
    """The failed samples that were set aside last."""
    outcome: Outcome | None = None
    meta: dict[str, Any] | None = None
    sample_errors: list[dict[str, Any]] | None = None
    sample_error_count = 0
    is_redrive = False
    """Whether this is a dead letter on its way again."""
    has_lost = False
    """Whether samples failed of which nobody knows which they are."""
    aside: list[Aside] | None = None
    """The samples that failed, as far as they are known."""
    entries: dict[str, Message] | None = None
    """For end nodes: full name of a channel -> the message as it came to its chain."""
    is_accepted = False
    """Whether the message is in the journal, and nobody waits for its result."""
    retry: Callable[[Delivery, Outcome], float | None] | None = None
    """For a copy that is tried again: seconds to wait after this outcome, or None."""
    again: Callable[[Delivery, Outcome], bool] | None = None
    """Tells whether the message runs again after this outcome."""
    cause: BaseException | None = None
    """For end nodes: what was raised before."""
    result: Message | None = None
    """For end nodes: what the chain gave."""
    trace: Mapping[str, str] | None = None
    """With a tracer: what names the span of the last attempt."""
    is_traced = False
    """Whether an attempt is under way, of which what runs now is a part."""
    is_rerun = False
    """Whether an earlier run of the project has accepted the message."""
    beside = 0
    """How many of the reasons to wait are copies in forks, and what follows them."""
    _watchers: list[Callable[[Delivery], None]] | None = None
    _listeners: list[Callable[[Delivery], None]] | None = None

    def __init__(self) -> None:
        self.owed = 1
        # Whether nothing but the run of the chain is to be looked at.
        self.is_plain = True

    @property
    def is_settled(self) -> bool:
        """Whether everything that the entry message led to has ended."""
        return self.owed == 0

    def hold(self) -> Hold:
        """One more reason to wait."""
        return Hold(self)

    def hold_beside(self) -> Hold:
        """One more reason to wait, for which callers may not wait."""
        return _Beside(self)

    def hold_to_the_last(self, alone: Callable[[], None]) -> Hold:
        """One more reason to wait; `alone` is called when it is the only one."""
        is_waiting = True

        def watch(delivery: Delivery) -> None:
            nonlocal is_waiting
            if is_waiting and delivery.owed == 1:
                is_waiting = False
                alone()

        self.watch(watch)
        return self.hold_beside() if self.beside else self.hold()

    def watch(self, watcher: Callable[[Delivery], None]) -> None:
        """Call `watcher` each time that a reason to wait is gone."""
        self.is_plain = False
        self._watchers = [*(self._watchers or ()), watcher]

    @property
    def failure(self) -> BaseException | None:
        """What the entry message failed with or was rejected for."""
        if self.error is not None or self.outcome is None:
            return self.error
        is_bad = self.outcome.state in (State.ERROR, State.REJECTED)
        return self.outcome.error if is_bad else None

    def end(self, outcome: Outcome) -> None:
        """The chain has run; that is one reason less."""
        self.outcome = outcome
        self.release()

    def release(self) -> None:
        """One reason less; the last one settles."""
        self.owed -= 1
        if self._watchers is not None:
            for watcher in list(self._watchers):
                watcher(self)
        if self.owed == 0 and self._listeners:
            # A listener often holds what holds this: no cycle is left behind.
            listeners, self._listeners = self._listeners, None
            _tell(self, listeners)

    def fail(self, error: BaseException, node: Named | None = None) -> None:
        """Remember a failure; the first one is the one that is told."""
        if self.error is None:
            self.error = error
            self.error_at = node.fullpath() if node is not None else ""

    def on_settled(self, listener: Callable[[Delivery], None]) -> None:
        """Call `listener` when settled; at once if that is so already."""
        self.is_plain = False
        if self.owed == 0:
            listener(self)
        elif self._listeners is None:
            self._listeners = [listener]
        else:
            self._listeners.append(listener)

    def wait_for(self, ack: Awaitable[Any], node: Asked) -> None:
        """Stay unsettled until `ack` is done; its exception is a failure.

        `SampleErrors` with the samples that failed sets only these aside.
        """
        future = asyncio.ensure_future(ack)
        if future is not ack and isinstance(future, asyncio.Task):
            future.set_name(f"{node.fullpath()}: acknowledgement")
        hold = self.hold()
        tally = node.tally
        began = tally.asked()

        def acknowledged(done: asyncio.Future[Any]) -> None:
            if done.cancelled():
                stopped = Stopped("the acknowledgement was cancelled")
                tally.answered(began, stopped)
                hold.fail(stopped, node)
                return
            error = done.exception()
            tally.answered(began, error)
            if error is None:
                hold.release()
            elif isinstance(error, SampleErrors) and error.failed is not None:
                causes = described(error)
                hold.set_aside([Aside(node.fullpath(), error.failed, causes)])
                hold.release()
            else:
                hold.fail(error, node)

        future.add_done_callback(acknowledged)

    def set_aside(
        self,
        node: str,
        causes: dict[str, str],
        count: int,
        failed: Message | None = None,
    ) -> None:
        """Remember samples that failed: what identifies each -> its cause.

        `failed` has the samples as its payload; it is kept as a dead letter.
        """
        self.is_plain = False
        self.sample_error_count += count
        if failed is not None:
            failed.delivery = None
            if self.aside is None:
                self.aside = []
            self.aside.append(Aside(node, failed, causes))
        elif causes:
            self.has_lost = True
        if self.sample_errors is None:
            self.sample_errors = []
        for sample, cause in causes.items():
            if len(self.sample_errors) < SAMPLE_ERRORS_KEPT:
                self.sample_errors.append(
                    {"sample": sample, "cause": cause, "node": node}
                )


def described(error: SampleErrors) -> dict[str, str]:
    """What identifies each failed sample -> its cause, in words."""
    failed = getattr(error.failed, "payload", None)
    samples = failed if isinstance(failed, list) else []
    names = dict(zip(error.causes, samples, strict=False))
    return {
        _name_of(index, names.get(index)): str(cause) or type(cause).__name__
        for index, cause in error.causes.items()
    }


def _name_of(index: Any, sample: Any) -> str:
    if isinstance(index, int) and isinstance(sample, Sample):
        return f"[{index}] {sample.tag.name} {sample.iso}"
    return str(index)
