"""Where nodes may keep their data beside the journal: memory, SQLite, PostgreSQL.

Without a setting `PERSISTENCE` the journal of the instance keeps it.
"""

from __future__ import annotations

from pichannels.persistence import MemoryPersistence
from pichannels.saved.postgres import PostgreSQLPersistence
from pichannels.saved.sqlite import SQLitePersistence

__all__ = ["MemoryPersistence", "PostgreSQLPersistence", "SQLitePersistence"]
