"""Nodes that work in processes of their own, and so use more than one core."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from pichannels.checks import whole
from pichannels.errors import (
    Dropped,
    EndOfChain,
    MessageError,
    NodeResultError,
    PauseChannel,
    Rejected,
    RetryLater,
    UsageError,
    printable,
)
from pichannels.message import Message, new_uuid
from pichannels.node import BaseNode

__all__ = ["ProcessFailed", "ProcessNode"]

_LONGEST_STACK: Final = 8000
_PLAIN: Final = {"Dropped": Dropped, "EndOfChain": EndOfChain, "Rejected": Rejected}
# A special one stands before a general one.
_LATER: Final = {"PauseChannel": PauseChannel, "RetryLater": RetryLater}


class ProcessFailed(MessageError):
    """A node failed in its process.

    Attributes:
        error: the name of what was raised there.
        stack: where, as text; empty where the process itself has ended.
    """

    def __init__(self, node: str, error: str, text: str, stack: str = "") -> None:
        self.node = node
        self.error = error
        self.stack = stack
        super().__init__(f"{node} failed in its process: {error}: {text}")


class _Recipe:
    """How to make a node again in another process; equal ones are the same node."""

    def __init__(self, kind: type[ProcessNode], args: Any, kwargs: Any) -> None:
        self.kind = kind
        self.args = args
        self.kwargs = kwargs
        self.key = new_uuid()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Recipe) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)


class _Sent(NamedTuple):
    """A message between processes, by our codecs."""

    data: bytes
    uuid: str
    ticks: int

    @classmethod
    def of(cls, msg: Message) -> _Sent:
        return cls(msg.encode(), msg.uuid, msg.ticks)

    def message(self) -> Message:
        return Message.decode(self.data, self.uuid, self.ticks)


class _Raised(NamedTuple):
    """An error between processes; not every error can travel as it is."""

    name: str
    text: str
    stack: str
    delay: float | None = None


class ProcessNode(BaseNode):
    """A node whose `process` runs in another process, so that it may use a core.

    Inherit from it and implement `process(msg)` as a plain function that returns a
    message, or yields some. The node is made there once, with the same arguments:
    its class has to be in a module that can be imported (not in the settings
    themselves), and its arguments have to be plain data. What `process` keeps in
    `self` stays there. Messages go there and back by codecs; `Dropped`, `Rejected`,
    `EndOfChain`, `RetryLater` and `PauseChannel` mean what they always do, and any
    other error is a `ProcessFailed` here.

    Args:
        workers: how many processes; more than one needs as many `lanes`.
        process_pool: one that several nodes share; by default the node has its own,
            from start to stop.

    Raises:
        UsageError: `workers` is not 1 or more.
    """

    def __init__(
        self,
        *args: object,
        workers: int = 1,
        process_pool: ProcessPoolExecutor | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        whole("workers", workers, 1)
        self.workers = workers
        self.process_pool = process_pool
        self._own: ProcessPoolExecutor | None = None
        self._lock = asyncio.Lock()
        made_with, options = self._made_with
        given = {k: v for k, v in options.items() if k != "process_pool"}
        self._recipe = _Recipe(type(self), made_with, given)

    async def start(self) -> None:
        """Start the processes, and make the node in one of them.

        Raises:
            UsageError: that is not possible.
        """
        try:
            raised = await self._there(_prepare, self._recipe)
        except Exception as exc:
            # What cannot be sent is told in many ways.
            await self._end()
            raise UsageError(
                f"{self.fullpath()} cannot be made in another process ({exc}); its"
                " class has to be in a module that can be imported, such as"
                " nodes/mine.py, and its arguments have to be plain data"
            ) from exc
        if raised is not None:
            await self._end()
            raise UsageError(f"{self.fullpath()} in its process: {raised.text}")

    async def stop(self) -> None:
        """End the processes, once they have done what they are doing."""
        await self._end()

    async def run(self, msg: Message) -> Any:
        sent = _Sent.of(msg)
        try:
            found = await self._there(_work, self._recipe, sent)
        except BrokenProcessPool as exc:
            # The next message gets new ones; this one may have been the cause.
            await self._end()
            told = "the process has ended"
            raise ProcessFailed(self.fullpath(), "BrokenProcessPool", told) from exc
        if isinstance(found, _Raised):
            raise self._error(found)
        if isinstance(found, _Sent):
            return _returned(found, msg)
        if isinstance(found, str):
            raise UsageError(f"{self.fullpath()} in its process: {found}")
        return _each_returned(found, msg)

    async def _there(self, function: Any, *args: Any) -> Any:
        pool = self.process_pool or await self._own_pool()
        # Starting processes blocks.
        future = await asyncio.to_thread(pool.submit, function, *args)
        return await asyncio.wrap_future(future)

    async def _own_pool(self) -> ProcessPoolExecutor:
        async with self._lock:
            if self._own is None:
                self._own = await asyncio.to_thread(_pool, self.workers)
            return self._own

    async def _end(self) -> None:
        pool, self._own = self._own, None
        if pool is not None:
            end = partial(pool.shutdown, wait=True, cancel_futures=True)
            await asyncio.to_thread(end)

    def _error(self, raised: _Raised) -> Exception:
        if raised.name in _PLAIN:
            return _PLAIN[raised.name](raised.text)
        if raised.name in _LATER:
            return _LATER[raised.name](raised.text, raised.delay)
        return ProcessFailed(self.fullpath(), raised.name, raised.text, raised.stack)


def _returned(sent: _Sent, msg: Message) -> Message:
    new = sent.message()
    new.delivery = msg.delivery
    new.store_id = msg.store_id
    new.store_chan_name = msg.store_chan_name
    return new


def _each_returned(found: list[_Sent], msg: Message) -> Iterator[Message]:
    for sent in found:
        yield _returned(sent, msg)


def _pool(workers: int) -> ProcessPoolExecutor:
    # A fork of a process with threads may never come to life.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=_begin)


# In the other process


def _begin() -> None:
    # Ctrl-C, and SIGTERM where a service manager sends it to all processes, are for the
    # instance: it drains, for which it needs this one, and ends it then.
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(signal.Signals[name], signal.SIG_IGN)
    ending = threading.Thread(target=_end_with_parent, name="parent", daemon=True)
    ending.start()


def _end_with_parent() -> None:
    """End this process when the instance was killed, which ends it otherwise."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@lru_cache(256)
def _node_of(recipe: _Recipe) -> ProcessNode:
    return recipe.kind(*recipe.args, **recipe.kwargs)


def _prepare(recipe: _Recipe) -> _Raised | None:
    try:
        _node_of(recipe)
    except Exception as exc:
        return _raised(exc)
    return None


def _work(recipe: _Recipe, sent: _Sent) -> Any:
    """What `process` gives: a message, a list of them, or what it raised."""
    node = _node_of(recipe)
    try:
        result = node.process(sent.message())
        if isinstance(result, Message):
            return _Sent.of(result)
        if isinstance(result, Iterator):
            return [_Sent.of(each) for each in result]
    except Exception as exc:
        return _raised(exc)
    return str(NodeResultError(node.name, result))


def _raised(exc: Exception) -> _Raised:
    text, delay = str(exc), None
    if isinstance(exc, RetryLater):
        text, delay = exc.reason, exc.delay
    stack = "".join(traceback.format_exception(exc))[-_LONGEST_STACK:]
    return _Raised(_name_of(exc), printable(text), printable(stack), delay)


def _name_of(exc: Exception) -> str:
    """The name of what it means, where it is an instruction."""
    for name, kind in (*_PLAIN.items(), *_LATER.items()):
        if isinstance(exc, kind):
            return name
    return type(exc).__name__
