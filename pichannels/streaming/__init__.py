"""Channels and message stores as remote streams, to publish in a hub.

`tail` follows a channel that runs, `replay` gives what a store keeps, `inbox` lets
others send messages into a channel. `pichannels.remote` has the rest.
"""

from __future__ import annotations

from pichannels.streaming.inbox import Inbox, inbox
from pichannels.streaming.replaying import StoreReplay, replay
from pichannels.streaming.tailing import ChannelTail, tail

__all__ = ["ChannelTail", "Inbox", "StoreReplay", "inbox", "replay", "tail"]
