"""Which versions of files a channel has taken: each one once, also across restarts.

A version is noted in the same commit as the message that was made of it, so that a
crash leaves either both or neither. Files that are gone are forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from pichannels.errors import JournalError
from pichannels.journal import Journal, Ticket

__all__ = ["Entry", "FileMemory", "Found", "Listing", "Version"]

_BEGUN: Final = "\0begun"
"""A key that no file can have: something was kept before."""


class Version(NamedTuple):
    """What tells one content of a file from another.

    Attributes:
        size: in bytes; -1 where it is not known.
        modified: when it was changed last, in the words of who keeps it.
        identity: what changes when another file takes its place, such as the inode.
    """

    size: int
    modified: str
    identity: str = ""

    def is_like(self, other: Version) -> bool:
        """Whether nothing tells the two apart; a time may be told less exactly."""
        times = sorted((self.modified, other.modified), key=len)
        same = self.size == other.size and self.identity == other.identity
        return same and times[1].startswith(times[0])


class Found(NamedTuple):
    """A file that is there now.

    Attributes:
        path: from the folder that is watched, with `/` between folders.
        version: what it holds.
    """

    path: str
    version: Version


class Listing(NamedTuple):
    """What is in a folder.

    Attributes:
        files: paths to versions; None where nobody asked for the version.
        blind: folders below that could not be looked into.
    """

    files: Mapping[str, Version | None]
    blind: Collection[str] = ()

    def lacks(self, path: str) -> bool:
        """Whether the file is gone, as far as could be seen."""
        if path in self.files:
            return False
        return not any(path.startswith(f"{folder}/") for folder in self.blind)


class Entry(NamedTuple):
    """A version that was taken.

    Attributes:
        version: of the file.
        uuid: of the message that was made of it; "" where there is none.
        settled: whether that has been processed, for files that are deleted then.
    """

    version: Version
    uuid: str = ""
    settled: bool = False


class FileMemory:
    """The versions that one channel has taken.

    Args:
        channel: its name; the journal keeps what it has taken under it.
    """

    def __init__(self, channel: str) -> None:
        self.is_new = True
        """Whether nothing was kept before."""
        self._namespace = f"files:{channel}"
        self._journal: Journal | None = None
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> Mapping[str, Entry]:
        """By path."""
        return self._entries

    async def load(self, journal: Journal | None) -> None:
        """Read what was kept; without a journal it stays what it is.

        Raises:
            JournalError: the journal cannot be read.
        """
        self._journal = journal
        if journal is None:
            return
        # What is on its way counts as soon as it is durable.
        await journal.flush()
        kept = await journal.saved(self._namespace)
        self.is_new = _BEGUN not in kept
        kept.pop(_BEGUN, None)
        self._entries = {path: _entry(value) for path, value in kept.items()}

    def begin(self, present: Collection[Found]) -> None:
        """Something is kept from now on; what is there counts as taken."""
        self.is_new = False
        if self._journal is not None:
            self._journal.save(self._namespace, _BEGUN, True)
        for found in present:
            self._put(found.path, Entry(found.version))

    def knows(self, found: Found) -> bool:
        """Whether this version was taken."""
        entry = self._entries.get(found.path)
        if entry is None:
            return False
        return entry.version == found.version or entry.version.is_like(found.version)

    def note(self, found: Found, uuid: str, ticket: Ticket | None) -> None:
        """A message was made of this version, and appended just now."""
        entry = Entry(found.version, uuid)
        if self._journal is not None and ticket is not None:
            self._journal.note(ticket, self._namespace, found.path, _plain(entry))
        self._entries[found.path] = entry

    def take_back(self, path: str, before: Entry | None) -> None:
        """The message was not accepted; what was known before counts."""
        if before is None:
            self._entries.pop(path, None)
        else:
            self._entries[path] = before

    def settle(self, path: str, uuid: str) -> bool:
        """The message has been processed; whether the file still is that version."""
        entry = self._entries.get(path)
        if entry is None or entry.uuid != uuid:
            return False
        self._put(path, entry._replace(settled=True))
        return True

    def forget(self, path: str) -> None:
        """The file is gone."""
        if self._entries.pop(path, None) is not None and self._journal is not None:
            self._journal.forget(self._namespace, path)

    def prune(self, listing: Listing) -> None:
        """Forget the files that are gone."""
        for path in [path for path in self._entries if listing.lacks(path)]:
            self.forget(path)

    def _put(self, path: str, entry: Entry) -> None:
        self._entries[path] = entry
        if self._journal is not None:
            self._journal.save(self._namespace, path, _plain(entry))


def _plain(entry: Entry) -> list[Any]:
    return [*entry.version, entry.uuid, entry.settled]


def _entry(value: Any) -> Entry:
    try:
        size, modified, identity, uuid, settled = value
    except (TypeError, ValueError) as exc:
        raise JournalError(
            f"what was kept of a file cannot be read: {value!r}"
        ) from exc
    return Entry(Version(size, modified, identity), uuid, settled)
