"""The order of each tag at one node: nothing of it overtakes what has failed.

A sample that fails for good is set aside. In a channel that keeps the order its tag
is parked then at this node: later samples of the tag are set aside as well, until
those before them are settled by a redrive, or given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from types import CoroutineType
from typing import Any, Final

from pichannels.attempts import failed_of
from pichannels.delivery import Delivery
from pichannels.errors import (
    Dropped,
    EndOfChain,
    Rejected,
    SampleErrors,
    Stopped,
    TryAgain,
)
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import Pending, Step
from pichannels.values import Sample

__all__ = ["Parking", "park_again", "tags_of"]

_PASS: Final = (Dropped, Rejected, EndOfChain, TryAgain, Stopped)
_PAGE: Final = 200
_BEHIND: Final = "its tag is parked: an earlier sample failed here"


class Parking:
    """Stands around one node of a channel that keeps the order.

    Args:
        node: the full path of the node.
        call: what the chain would call.

    Attributes:
        parked: the tags that wait here, each with how many dead letters hold it.
    """

    def __init__(self, node: str, call: Step) -> None:
        self.node = node
        self.call = call
        self.parked: dict[str, int] = {}
        self._open: dict[str, asyncio.Future[None]] = {}

    def park(self, tags: Iterable[str]) -> None:
        """A dead letter with samples of these tags holds them from now on."""
        for tag in tags:
            self.parked[tag] = self.parked.get(tag, 0) + 1

    def release(self, tags: Iterable[str]) -> None:
        """A dead letter with samples of these tags is none any more."""
        for tag in tags:
            left = self.parked.get(tag, 0) - 1
            if left > 0:
                self.parked[tag] = left
            else:
                self.parked.pop(tag, None)

    def step(self, msg: Message) -> Any:
        """What the chain calls instead of the node."""
        payload = msg.payload
        if type(payload) is not list or not payload or type(payload[0]) is not Sample:
            return self.call(msg)
        if self._open and (before := self._unacknowledged(payload)):
            return self._run_after(before, msg)
        return self._run(msg)

    def _unacknowledged(self, samples: Sequence[Any]) -> set[asyncio.Future[None]]:
        """What has to be known before these samples may follow."""
        found = (self._open.get(_key(sample)) for sample in samples)
        return {ack for ack in found if ack is not None and not ack.done()}

    async def _run_after(self, before: set[asyncio.Future[None]], msg: Message) -> Any:
        while before:
            await asyncio.wait(before)
            before = self._unacknowledged(msg.payload)
        return await _value(self._run(msg))

    def _run(self, msg: Message) -> Any:
        delivery: Delivery | None = msg.delivery
        if self.parked and not (delivery is not None and delivery.is_redrive):
            self._leave_out_parked(msg)
        samples = list(msg.payload)
        try:
            result = self.call(msg)
        except Exception as exc:
            raise self._failure(exc, msg, samples) from exc
        if type(result) is Message:
            return result
        return self._watched(result, msg, samples)

    def _leave_out_parked(self, msg: Message) -> None:
        """Set the samples of parked tags aside.

        Raises:
            Dropped: nothing is left.
        """
        parked = self.parked
        aside = [s for s in msg.payload if _key(s) in parked]
        if not aside:
            return
        self._set_aside(msg, aside, dict.fromkeys(range(len(aside)), _BEHIND))
        msg.payload = [s for s in msg.payload if _key(s) not in parked]
        if not msg.payload:
            raise Dropped(_BEHIND)

    def _set_aside(
        self, msg: Message, samples: list[Any], causes: dict[int, Any]
    ) -> None:
        failed = msg.derive(samples)
        self.park(tags_of(samples))
        if msg.delivery is not None:
            named = {f"[{n}] {samples[n].tag.name}": str(c) for n, c in causes.items()}
            msg.delivery.set_aside(self.node, named, len(samples), failed)

    def _failure(self, exc: Exception, msg: Message, samples: list[Any]) -> Exception:
        """What to raise; the tags of what has failed are parked."""
        if isinstance(exc, _PASS):
            return exc
        if isinstance(exc, SampleErrors) and not _leaves_nothing(exc, msg):
            exc.failed = failed_of(msg, exc)
            if isinstance(exc.failed, Message):
                self.park(tags_of(exc.failed.payload))
            return exc
        # All samples have failed; what is left of the message is nothing.
        cause = str(exc) or type(exc).__name__
        self._set_aside(msg, samples, dict.fromkeys(range(len(samples)), cause))
        return Dropped(f"all samples were set aside: {cause}")

    def _watched(self, result: Any, msg: Message, samples: list[Any]) -> Any:
        if type(result) is CoroutineType:
            return self._awaited(result, msg, samples)
        if isinstance(result, Pending):
            return self._pending(result, samples)
        if isinstance(result, AsyncIterator):
            return self._each_later(result, msg, samples)
        if isinstance(result, Iterator):
            return self._each(result, msg, samples)
        return result

    async def _awaited(
        self, result: Awaitable[Any], msg: Message, samples: list[Any]
    ) -> Any:
        try:
            found = await result
        except Exception as exc:
            raise self._failure(exc, msg, samples) from exc
        return found if type(found) is Message else self._watched(found, msg, samples)

    def _each(
        self, results: Iterator[Any], msg: Message, samples: list[Any]
    ) -> Iterator[Any]:
        try:
            for result in results:
                yield self._watched(result, msg, samples)
        except Exception as exc:
            raise self._failure(exc, msg, samples) from exc

    async def _each_later(
        self, results: AsyncIterator[Any], msg: Message, samples: list[Any]
    ) -> AsyncIterator[Any]:
        try:
            async for result in results:
                yield self._watched(result, msg, samples)
        except Exception as exc:
            raise self._failure(exc, msg, samples) from exc

    def _pending(self, pending: Pending, samples: list[Any]) -> Pending:
        """One unacknowledged message for each tag; a failure parks its tags."""
        ack = asyncio.ensure_future(pending.ack)
        aside = pending.message.derive(samples)
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        tags = tags_of(samples)
        for tag in tags:
            self._open[tag] = told

        def acknowledged(done: asyncio.Future[Any]) -> None:
            for tag in tags:
                if self._open.get(tag) is told:
                    del self._open[tag]
            error = self._refused(done, aside)
            if error is None:
                told.set_result(None)
            else:
                told.set_exception(error)

        ack.add_done_callback(acknowledged)
        return Pending(pending.message, told)

    def _refused(
        self, done: asyncio.Future[Any], aside: Message
    ) -> BaseException | None:
        if done.cancelled():
            return Stopped("the acknowledgement was cancelled")
        error = done.exception()
        if error is None or isinstance(error, _PASS):
            return error
        if not isinstance(error, SampleErrors):
            count = len(aside.payload)
            error = SampleErrors(dict.fromkeys(range(count), error), failed=aside)
        if error.failed is None:
            error.failed = failed_of(aside, error)
        if isinstance(error.failed, Message):
            self.park(tags_of(error.failed.payload))
        return error


def _leaves_nothing(exc: SampleErrors, msg: Message) -> bool:
    return exc.message is None and len(exc.causes) >= len(msg.payload)


def _key(sample: Sample) -> str:
    tag = sample.tag
    return tag.key or tag.path or tag.name


async def park_again(parkings: Mapping[str, Parking], journal: Journal) -> None:
    """Park the tags whose samples an earlier run has left as dead letters.

    Raises:
        JournalError: the journal cannot be read.
    """
    after = None
    while page := await journal.search(count=_PAGE, state="error", after=after):
        after = page[-1].position
        for record in page:
            parking = parkings.get(str(record.meta.get("node")))
            if parking is not None and "part_of" in record.meta:
                parking.park(tags_of(record.message().payload))


def tags_of(samples: Iterable[Any]) -> set[str]:
    """The keys of the tags of samples."""
    return {_key(sample) for sample in samples if type(sample) is Sample}


async def _value(result: Any) -> Any:
    return await result if type(result) is CoroutineType else result
