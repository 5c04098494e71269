"""The journal of an instance: accepted, settled, dead letters, saved data."""

from __future__ import annotations

from pichannels.journal.batch import Ticket
from pichannels.journal.journal import Journal
from pichannels.journal.records import JournalStatistics, Record
from pichannels.journal.schema import Durability
from pichannels.manifest import (
    ManifestEntry,
    decode_manifest,
    encode_manifest,
)
from pichannels.query import Query, payload_text

__all__ = [
    "Durability",
    "Journal",
    "JournalStatistics",
    "ManifestEntry",
    "Query",
    "Record",
    "Ticket",
    "decode_manifest",
    "encode_manifest",
    "payload_text",
]
