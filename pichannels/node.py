"""The node contract: one step of a channel, and what raising each error means.

`process(msg)` is a plain or an async function. It

- returns a message: the next node gets it;
- yields none to many messages: the rest of the chain runs for each in order, and
  the entry message is settled when all of them are (yielding none is a drop);
- returns `Pending(msg, ack)`: go on with `msg`, and count the entry message as
  settled only when the awaitable `ack` is done;
- raises `Dropped` (ignored on purpose), `Rejected` (invalid, the sender is told),
  `RetryLater` (again later), `PauseChannel` (again later, and nothing before it),
  `EndOfChain` (skip the rest), `SampleErrors` (only those samples are set aside), or
  anything else: a failure under the retry policy.

Returning None or anything else that is no message is an error. A node owns the
message that it gets; the options `passthrough`, `store_input_as` and `retry` keep a
copy of the input for themselves.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from pichannels.attempts import attempted
from pichannels.checks import options_of
from pichannels.delivery import Delivery, Hold
from pichannels.errors import (
    ChannelStopped,
    Dropped,
    EndOfChain,
    NodeResultError,
    PauseChannel,
    Rejected,
    SampleErrors,
    UsageError,
    nearest,
)
from pichannels.fingerprint import Defined
from pichannels.message import Message
from pichannels.pausing import Pause
from pichannels.persistence import MISSING, MemoryPersistence, Persistence
from pichannels.probes import Finding
from pichannels.retry import NO_RETRY, RetryPolicy
from pichannels.tallies import Tally

__all__ = ["BaseNode", "Pending", "Step", "Tally", "ThreadNode"]

logger: Final = logging.getLogger("pichannels.nodes")

_INSTRUCTIONS: Final = (Dropped, Rejected, EndOfChain, SampleErrors, PauseChannel)

Step = Callable[[Message], Any]
_Finish = Callable[[Message], Message]
Mock = Message | Callable[[Message], Any] | None


class Pending(NamedTuple):
    """Go on with `message`; settled only when `ack` is done.

    An exception from `ack` is a failure of the node that returned it.
    """

    message: Message
    ack: Awaitable[Any]


class ChannelOfNode(Protocol):
    """What a node knows of the channel that it was added to."""

    name: str

    def note_meta(self, msg: Message, names: Sequence[str]) -> None:
        """Let the store keep these facts of `msg.meta` with the entry message."""


class BaseNode(Defined):
    """One step of a channel; inherit from it and implement `process`.

    Args:
        name: used in logs, tests and commands; by default the class name.
        log_output: log each message that leaves the node, at debug level.
        store_output_as: keep the output in `msg.ctx` under this key.
        store_input_as: keep the input in `msg.ctx` under this key.
        passthrough: run the node, but go on with the payload and meta that came.
        store_meta: names in `msg.meta` that the store keeps with the message.
        retry: how often and how soon to try again when `process` fails; where only
            some samples of a batch fail, only these.
        pause_on: exceptions for which the channel pauses until this message has gone
            through: they become `PauseChannel`, once `retry` has given up.

    Raises:
        UsageError: an option that the node does not have.
    """

    is_sink: ClassVar[bool] = False
    """Whether messages leave the project here: a dry run shows them instead."""
    pauses_itself: ClassVar[bool] = False
    """Whether it asks `until_resumed` itself, and takes messages while it is paused."""
    takes_numbers: ClassVar[bool] = False
    """Whether what is behind it expects numbers: `check --strict` then wants to know
    what happens to system states before."""

    def __init__(
        self,
        *args: object,
        name: str | None = None,
        log_output: bool = False,
        store_output_as: str | None = None,
        store_input_as: str | None = None,
        passthrough: bool = False,
        store_meta: Sequence[str] = (),
        retry: RetryPolicy | None = None,
        pause_on: Sequence[type[Exception]] = (),
        **kwargs: object,
    ) -> None:
        self._refuse_unknown(args, kwargs)
        self.name = name or type(self).__name__
        self.is_auto_named = name is None
        self.log_output = log_output
        self.store_output_as = store_output_as
        self.store_input_as = store_input_as
        self.passthrough = passthrough
        self.store_meta = tuple(store_meta)
        self.retry = retry or NO_RETRY
        self.pause_on = tuple(pause_on)
        self.channel: ChannelOfNode | None = None
        self.persistence: Persistence = MemoryPersistence()
        self.tally = Tally()
        self.position = 0
        self._chain_changed: Callable[[], None] | None = None
        self._pause: Pause | None = None
        self._mock_input: Mock = None
        self._mock_output: Mock = None
        self._recording = False
        self._last_input: Message | None = None
        self._last_output: Message | None = None

    def _refuse_unknown(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        kind = type(self).__name__
        if args:
            raise UsageError(f"{kind} takes no further positional arguments: {args!r}")
        for option in kwargs:
            known = options_of(type(self))
            raise UsageError(
                f"{kind} has no option {option!r}{nearest(option, known)}"
                f" (it has: {', '.join(known)})"
            )

    def process(self, msg: Message) -> Any:
        """Do the work of this node; see the module for what may be returned."""
        raise UsageError(f"{type(self).__name__} does not implement process(msg)")

    @property
    def processed(self) -> int:
        """How many messages the node has processed."""
        return self.tally.processed

    async def start(self) -> None:
        """Called when the channel starts; open here what the node needs."""
        return

    async def stop(self) -> None:
        """Called when the channel stops, after the last message."""
        return

    @property
    def is_paused(self) -> bool:
        """Whether messages wait before the node, on command."""
        return self._pause is not None

    def set_paused(self, on: bool) -> None:
        """Let messages wait before the node, or go on; see `channel.pause_sink`."""
        old, self._pause = self._pause, Pause() if on else None
        if old is not None:
            old.end()

    def give_up_pause(self) -> None:
        """The channel stops: what waits for the node to be resumed ends."""
        if (old := self._pause) is not None:
            self._pause = Pause()
            old.end(ChannelStopped(self.channel.name if self.channel else self.name))

    async def until_resumed(self) -> None:
        """Until the node is not paused.

        Raises:
            ChannelStopped: the channel stops before that.
        """
        while (pause := self._pause) is not None:
            await pause.over()

    def statistics(self) -> dict[str, int]:
        """Counts that tell how the node is doing, for status."""
        return {}

    async def probe(self) -> list[Finding]:
        """Look whether the other side is there, without giving it anything."""
        return []

    def join(self, channel: ChannelOfNode, chain_changed: Callable[[], None]) -> None:
        """Called when the node is added to a channel.

        Args:
            channel: whose step it is from now on.
            chain_changed: what to call when `step` would give something else.
        """
        self.channel = channel
        self._chain_changed = chain_changed

    def fullpath(self) -> str:
        """The names of channel and node, joined by a dot."""
        return f"{self.channel.name}.{self.name}" if self.channel else self.name

    def hold(self, msg: Message) -> Hold:
        """Keep the entry message of `msg` unsettled until the hold ends.

        End it by `hold.settle_with(output)`, by saving the node's state with
        `save_data(..., settle=[hold])`, or by `hold.release()`.

        Raises:
            UsageError: the message is not on its way through a channel.
        """
        if msg.delivery is None:
            raise UsageError("only a message on its way through a channel can be held")
        hold: Hold = msg.delivery.hold()
        return hold

    def save_data(
        self, key: str, value: Any, *, settle: Sequence[Hold] = ()
    ) -> Awaitable[None]:
        """Keep data for the next run of the project.

        Args:
            key: any text; each node has keys of its own.
            value: anything that messages can carry.
            settle: holds that end with this: in the same commit where the journal
                keeps the data, else as soon as it is durable.

        Returns:
            Done when durable; it need not be awaited.

        Raises:
            CodecError: the value has a type without codec.
        """
        saved = self.persistence.save(self.fullpath(), key, value)
        return self.settle_after(saved, settle) if settle else saved

    def settle_after(
        self, saved: Awaitable[None], settle: Iterable[Hold]
    ) -> Awaitable[None]:
        """End holds that rest on what was saved just now, by `save_data`.

        At once where the journal keeps it, as both are in one commit then; else when
        it is durable, and not before.
        """
        holds = list(settle)
        if self.persistence.commits_with_journal:
            for hold in holds:
                hold.release()
            return saved
        durable = asyncio.ensure_future(saved)

        def release(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and done.exception() is None:
                for hold in holds:
                    hold.release()

        durable.add_done_callback(release)
        return durable

    async def restore_data(self, key: str, default: Any = MISSING) -> Any:
        """What `save_data` kept last.

        Raises:
            KeyError: nothing was kept and no default was given.
        """
        return await self.persistence.restore(self.fullpath(), key, default)

    def mock(self, input: Mock = None, output: Mock = None) -> None:
        """Replace what the node gets or gives, for tests.

        Args:
            input: a message, or a function of the message that came.
            output: the same; `process` is not called then, nor is `start` if the
                channel starts later.
        """
        self._mock_input = input
        self._mock_output = output
        self._rebuild()

    @property
    def is_replaced(self) -> bool:
        """Whether a mock does the work of this node."""
        return self._mock_output is not None

    def record(self, on: bool = True) -> None:
        """Remember the last input and output (`last_input`, `last_output`)."""
        self._recording = on
        self._rebuild()

    def reset_test(self) -> None:
        """Forget mocks, counters and recorded messages."""
        self._mock_input = self._mock_output = None
        self._last_input = self._last_output = None
        self.tally.reset()
        self._rebuild()

    def last_input(self) -> Message | None:
        """A copy of the last message that came, while recording."""
        return self._last_input

    def last_output(self) -> Message | None:
        """A copy of the last message that left, while recording."""
        return self._last_output

    def _rebuild(self) -> None:
        if self._chain_changed is not None:
            self._chain_changed()

    async def handle(self, msg: Message) -> Any:
        """Process one message with all options of the node."""
        result = self._own_step()(msg)
        return await result if inspect.isawaitable(result) else result

    async def async_run(self, msg: Message) -> Any:
        """Call `process`; overloaded by nodes that run it elsewhere."""
        result = self.run(msg)
        return await result if inspect.isawaitable(result) else result

    def run(self, msg: Message) -> Any:
        """Call `process`; overloaded by nodes that run it elsewhere."""
        return self.process(msg)

    def step(self) -> Step:
        """What the chain calls; decided once, when the chain is built."""
        is_own = type(self).handle is BaseNode.handle
        call: Step = self._own_step() if is_own else self.handle
        if self._pause is not None and not self.pauses_itself:
            return partial(self._resumed, call)
        return call

    async def _resumed(self, call: Step, msg: Message) -> Any:
        await self.until_resumed()
        return await _value(call(msg))

    def _own_step(self) -> Step:
        kind = type(self)
        overloaded = (
            kind.run is not BaseNode.run or kind.async_run is not BaseNode.async_run
        )
        call: Step = self.async_run if overloaded else self.process
        if self._mock_output is not None:
            call = partial(_mocked, self._mock_output)
        return partial(self._guarded, call) if self._has_options else call

    @property
    def _has_options(self) -> bool:
        return bool(
            self.log_output
            or self.store_output_as
            or self.store_input_as
            or self.passthrough
            or self.store_meta
            or self.retry is not NO_RETRY
            or self.pause_on
            or self._mock_input is not None
            or self._recording
        )

    async def _guarded(self, call: Step, msg: Message) -> Any:
        if self._recording:
            self._last_input = msg.copy()
        if self._mock_input is not None:
            msg = _carry(await _value(_mocked(self._mock_input, msg)), msg)
        if self.store_input_as:
            msg.add_context(self.store_input_as, msg)
        kept = msg.copy() if self.passthrough else None
        result = await self._tried(call, msg)
        return self._finished(result, partial(self._finish, msg.delivery, kept))

    async def _tried(self, call: Step, msg: Message) -> Any:
        try:
            if self.retry is NO_RETRY:
                return await _value(call(msg))
            return await attempted(call, msg, self.retry, self.fullpath(), self.tally)
        except _INSTRUCTIONS:
            raise
        except self.pause_on as exc:
            raise PauseChannel(f"{self.fullpath()}: {exc}") from exc

    def _finished(self, result: Any, finish: _Finish) -> Any:
        if isinstance(result, Message):
            return finish(result)
        if isinstance(result, Pending) and isinstance(result.message, Message):
            return Pending(finish(result.message), result.ack)
        if isinstance(result, AsyncGeneratorType):
            return self._finish_async(result, finish)
        if isinstance(result, Iterator):
            return self._finish_each(result, finish)
        raise NodeResultError(self.fullpath(), result)

    def _finish_each(self, results: Iterable[Any], finish: _Finish) -> Iterator[Any]:
        for result in results:
            yield self._finished(result, finish)

    async def _finish_async(
        self, results: AsyncIterator[Any], finish: _Finish
    ) -> AsyncIterator[Any]:
        async for result in results:
            yield self._finished(result, finish)

    def _finish(
        self, delivery: Delivery | None, kept: Message | None, result: Message
    ) -> Message:
        result.delivery = delivery
        if self.store_meta and self.channel is not None:
            self.channel.note_meta(result, self.store_meta)
        if self.store_output_as:
            result.add_context(self.store_output_as, result)
        if kept is not None:
            # Each of several results gets payload and meta of its own.
            kept = kept.copy()
            result.payload, result.meta = kept.payload, kept.meta
        if self.log_output:
            result.log(logger)
        if self._recording:
            self._last_output = result.copy()
        return result

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.fullpath()}>"


class ThreadNode(BaseNode):
    """A node whose `process` runs in a thread, so that it may block.

    Args:
        thread_pool: an executor; by default the event loop's own.
    """

    def __init__(
        self, *args: object, thread_pool: Executor | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.thread_pool = thread_pool

    def run(self, msg: Message) -> Any:
        loop = asyncio.get_running_loop()
        # Logs of the thread know the same context.
        call = copy_context().run
        return loop.run_in_executor(self.thread_pool, call, self._in_thread, msg)

    def _in_thread(self, msg: Message) -> Any:
        result = self.process(msg)
        # A generator's body is the node's work too: it belongs in the thread.
        return iter(list(result)) if isinstance(result, GeneratorType) else result


def _mocked(mock: Mock, msg: Message) -> Any:
    if callable(mock):
        return mock(msg)
    assert mock is not None
    return _carry(mock.copy(), msg)


def _carry(new: Message, old: Message) -> Message:
    new.delivery = old.delivery
    return new


async def _value(result: Any) -> Any:
    if type(result) is CoroutineType or inspect.isawaitable(result):
        return await result
    return result
