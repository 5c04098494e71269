"""Small stream applications: sources, handlers, sinks, and state that is kept.

`handle` binds sources and sinks to a function, `stream` runs all that is bound.
"""

from __future__ import annotations

from pichannels.adapters.rocks import CacheClosed, CacheError
from pichannels.dataflow.batches import Batch, Snapshot
from pichannels.dataflow.cache import Cache
from pichannels.dataflow.codecs import ICodec, JsonCodec
from pichannels.dataflow.interfaces import ICache, KeyedSink, Proxy
from pichannels.dataflow.transactions import TransactionBusy, TransactionDeadlock

__all__ = [
    "Batch",
    "Cache",
    "CacheClosed",
    "CacheError",
    "ICache",
    "ICodec",
    "JsonCodec",
    "KeyedSink",
    "Proxy",
    "Snapshot",
    "TransactionBusy",
    "TransactionDeadlock",
]
