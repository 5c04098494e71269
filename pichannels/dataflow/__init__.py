"""Small stream applications: sources, handlers, sinks, and state that is kept.

`handle` binds sources and sinks to a function, `stream` runs all that is bound.
"""

from __future__ import annotations

from pichannels.adapters.rocks import CacheClosed, CacheError
from pichannels.dataflow.application import (
    Application,
    Conf,
    current,
    exit_hook,
    fresh,
    handle,
    pause,
    resume,
    stop,
    stream,
)
from pichannels.dataflow.batches import Batch, Snapshot
from pichannels.dataflow.cache import Cache
from pichannels.dataflow.checkpoints import Checkpoint, Dependency
from pichannels.dataflow.codecs import ICodec, JsonCodec
from pichannels.dataflow.handlers import Failure, Handler
from pichannels.dataflow.interfaces import ICache, KeyedSink, Proxy, Stream, Streamed
from pichannels.dataflow.stored import Replay
from pichannels.dataflow.timing import Timer
from pichannels.dataflow.topic import (
    READ_FROM_END,
    READ_FROM_START,
    Record,
    Topic,
)
from pichannels.dataflow.transactions import TransactionBusy, TransactionDeadlock

__all__ = [
    "READ_FROM_END",
    "READ_FROM_START",
    "Application",
    "Batch",
    "Cache",
    "CacheClosed",
    "CacheError",
    "Checkpoint",
    "Conf",
    "Dependency",
    "Failure",
    "Handler",
    "ICache",
    "ICodec",
    "JsonCodec",
    "KeyedSink",
    "Proxy",
    "Record",
    "Replay",
    "Snapshot",
    "Stream",
    "Streamed",
    "Timer",
    "Topic",
    "TransactionBusy",
    "TransactionDeadlock",
    "current",
    "exit_hook",
    "fresh",
    "handle",
    "pause",
    "resume",
    "stop",
    "stream",
]
