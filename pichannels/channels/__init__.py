"""Channels: a source, a chain of nodes, a store.

`BaseChannel` is the channel without a source; one module for each kind of source
stands beside it.
"""

from pichannels.channels.base import BaseChannel

__all__ = ["BaseChannel"]
