"""Remote streams: sequences with a position, read and written over the network.

A `Hub` publishes sources by name; `connect` links to it. A stream is made of entities
(messages, or other values) or of bytes. Nothing moves but within the room that the
reader has granted.
"""

from __future__ import annotations

from pichannels.remote.access import Access, Action, Permission
from pichannels.remote.blocking import BlockingBytes, BlockingEntities, BlockingLink
from pichannels.remote.byte_stream import ByteStream
from pichannels.remote.connecting import connect
from pichannels.remote.entities import Batch, Gap, Item, pack, pack_some, unpack
from pichannels.remote.entity_stream import EntityStream
from pichannels.remote.errors import (
    AccessDenied,
    AlreadyOpened,
    CallFailed,
    ContextError,
    ItemTooLarge,
    LimitReached,
    ModeRefused,
    PositionLost,
    RefusedError,
    RemoteError,
    SourceFailed,
    StreamBusy,
    StreamClosed,
    StreamFailed,
    StreamInUse,
    StreamLost,
    StreamNotFound,
    StreamPositionError,
    StreamProtocolError,
    StreamWithdrawn,
    UnsupportedOperation,
)
from pichannels.remote.files import FileSource, file
from pichannels.remote.hub import Hub, HubLimits, HubReport
from pichannels.remote.link import Link, RemoteService
from pichannels.remote.modes import (
    ABSOLUTE,
    CURRENT,
    END,
    START,
    About,
    Bookmark,
    Ends,
    Kind,
    Listing,
    Mode,
    Place,
    StreamRef,
    Whence,
)
from pichannels.remote.opened import StreamState
from pichannels.remote.rings import Ring
from pichannels.remote.server import HubServer, add_routes
from pichannels.remote.services import caller, method
from pichannels.remote.shelves import Shelf, folder
from pichannels.remote.sources import (
    ByteCursor,
    ByteSource,
    EntityCursor,
    EntitySource,
    fixed,
    from_iterable,
    place_within,
)
from pichannels.remote.transports import Dial, Transport, memory_pair

__all__ = [
    "ABSOLUTE",
    "CURRENT",
    "END",
    "START",
    "About",
    "Access",
    "AccessDenied",
    "Action",
    "AlreadyOpened",
    "Batch",
    "BlockingBytes",
    "BlockingEntities",
    "BlockingLink",
    "Bookmark",
    "ByteCursor",
    "ByteSource",
    "ByteStream",
    "CallFailed",
    "ContextError",
    "Dial",
    "Ends",
    "EntityCursor",
    "EntitySource",
    "EntityStream",
    "FileSource",
    "Gap",
    "Hub",
    "HubLimits",
    "HubReport",
    "HubServer",
    "Item",
    "ItemTooLarge",
    "Kind",
    "LimitReached",
    "Link",
    "Listing",
    "Mode",
    "ModeRefused",
    "Permission",
    "Place",
    "PositionLost",
    "RefusedError",
    "RemoteError",
    "RemoteService",
    "Ring",
    "Shelf",
    "SourceFailed",
    "StreamBusy",
    "StreamClosed",
    "StreamFailed",
    "StreamInUse",
    "StreamLost",
    "StreamNotFound",
    "StreamPositionError",
    "StreamProtocolError",
    "StreamRef",
    "StreamState",
    "StreamWithdrawn",
    "Transport",
    "UnsupportedOperation",
    "Whence",
    "add_routes",
    "caller",
    "connect",
    "file",
    "fixed",
    "folder",
    "from_iterable",
    "memory_pair",
    "method",
    "pack",
    "pack_some",
    "place_within",
    "unpack",
]
