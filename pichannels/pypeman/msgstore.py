"""pypeman's message stores: those of `msgstore`, by pypeman's names."""

from __future__ import annotations

from msgstore.fake import FakeMessageStore, FakeMessageStoreFactory
from msgstore.file import FileMessageStore, FileMessageStoreFactory
from msgstore.memory import MemoryMessageStore, MemoryMessageStoreFactory
from msgstore.null import NullMessageStore, NullMessageStoreFactory
from msgstore.sqlite import SQLiteMessageStore, SQLiteMessageStoreFactory
from pichannels.store import MessageStore, MessageStoreFactory

__all__ = [
    "DatabaseMessageStore",
    "DatabaseMessageStoreFactory",
    "FakeMessageStore",
    "FakeMessageStoreFactory",
    "FileMessageStore",
    "FileMessageStoreFactory",
    "MemoryMessageStore",
    "MemoryMessageStoreFactory",
    "MessageStore",
    "MessageStoreFactory",
    "NullMessageStore",
    "NullMessageStoreFactory",
]

DatabaseMessageStore = SQLiteMessageStore
DatabaseMessageStoreFactory = SQLiteMessageStoreFactory
