"""Channels whose messages are files: what watches a folder, here or on a server."""

from __future__ import annotations

import asyncio
import codecs
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any, Final

from pichannels import clock
from pichannels.channels.base import BaseChannel
from pichannels.channels.file_memory import (
    Entry,
    FileMemory,
    Found,
    Listing,
    Version,
)
from pichannels.channels.ticking import seconds
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import (
    ChannelStopped,
    CodecError,
    DecodeError,
    JournalError,
    MessageError,
    PichannelsError,
    SettingsError,
    TryAgain,
    printable,
)
from pichannels.journal import Ticket
from pichannels.message import Message
from pichannels.retry import RetryPolicy
from pichannels.states import State

__all__ = ["Unread", "WatchingChannel"]

logger: Final = logging.getLogger("pichannels.channels")

BYTES: Final = "application/octet-stream"
TEXT: Final = "application/text"

_AT_ONCE: Final = 100
"""How many files are handed over before they have to be durable."""
_SHORTEST: Final = 0.02
"""Seconds between two looks, however often somebody tells of changes."""
_UNDECODED: Final = "encoding_error"
_NOTHING: Final[Mapping[str, Entry]] = {}

Sorting = Callable[[Iterable[str]], Iterable[str]]


class Unread(MessageError):
    """A file that is there, and of which there is no message.

    Args:
        reason: why.
        is_told: whether somebody wants to know; not of a file that just changes.
    """

    def __init__(self, reason: str, *, is_told: bool = True) -> None:
        self.reason = reason
        self.is_told = is_told
        super().__init__(reason)


class WatchingChannel(BaseChannel, ABC):
    """Runs a message through its nodes for each version of each file in a folder.

    A version is told by size, time of change and identity. It is taken once it has
    stayed the same for a while, and once only: in an instance with a journal the
    message is durable together with the note that the version was taken.

    Args:
        args: the name, and what every channel takes.
        basedir: the folder.
        regex: which files, by the beginning of their names.
        interval: seconds between looks.
        recursive: also folders below.
        settle: seconds that a file has to stay the same before it is read.
        existing: whether files are read that are there at the very first start.
        max_bytes: a larger file is not read, and told.
        binary_file: the payload is bytes, not text.
        encoding: of text.
        real_extensions: names of files are those of acknowledgements; what is read
            is the first file beside it that ends with one of these, such as `.csv`.
        sort_function: gives the names of new files in the order of reading.
        options: those of every channel.

    Attributes:
        files: how many were read.
        unread: how many could not be.
        is_reachable: whether the last look at the folder was one.

    Raises:
        SettingsError: an option is not usable.
    """

    def __init__(
        self,
        *args: Any,
        basedir: str,
        regex: str,
        interval: float,
        recursive: bool,
        settle: float,
        existing: bool,
        max_bytes: int,
        binary_file: bool,
        encoding: str | None,
        real_extensions: Sequence[str] | None,
        sort_function: Sorting = sorted,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.basedir = basedir
        self.regex = _pattern(regex)
        self.interval = seconds("interval", interval)
        self.recursive = recursive
        self.settle = seconds("settle", settle)
        self.existing = existing
        self.max_bytes = _count(max_bytes)
        self.binary_file = binary_file
        self.encoding = _encoding(encoding)
        self.real_extensions = tuple(real_extensions or ())
        self.sort_function = sort_function
        self.files = 0
        self.unread = 0
        self.is_reachable = False
        self.memory = FileMemory(self.name)
        self._trouble = ""
        self._look_took = 0.0
        self._told: dict[str, tuple[Version, str]] = {}
        # Versions that have to stay as they are, and since when.
        self._observed: dict[str, tuple[Version, float]] = {}
        self._unconfirmed: list[tuple[Ticket, Found, Entry | None]] = []
        self._looking = asyncio.Lock()
        self._news = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self._again = RetryPolicy(attempts=0, initial=min(self.interval, 1.0))

    @property
    @abstractmethod
    def origin(self) -> str:
        """Where the files are, in words."""

    @abstractmethod
    async def look(self) -> Listing:
        """What is in the folder now.

        Raises:
            OSError, PichannelsError: it cannot be told.
        """

    @abstractmethod
    async def read(self, path: str, version: Version | None) -> bytes:
        """What a file holds.

        Args:
            path: from the folder.
            version: the one that it has to be; None for any.

        Raises:
            Unread: it cannot be read, is too large, or another version by now.
            OSError, PichannelsError: nothing can be read just now.
        """

    @abstractmethod
    def full_path(self, path: str) -> str:
        """What `meta["filepath"]` says of a path from the folder."""

    def wants(self, name: str) -> bool:
        """Whether the name of a file fits the pattern."""
        return self.regex.match(name) is not None

    @property
    def is_ready(self) -> bool:
        return self.is_reachable or not self.has_source_enabled

    def statistics(self) -> dict[str, Any]:
        """What is watched, how many files were read, and how many are waited for."""
        return {
            "folder": self.origin,
            "files": self.files,
            "unread": self.unread,
            "waiting": len(self._observed),
            "known": len(self.memory),
            "trouble": self._trouble,
        }

    async def start(self) -> None:
        """Start, and look at the folder from now on."""
        # What is known has to be so before messages of an earlier run go on.
        await self.memory.load(self.journal)
        self.remember()
        await super().start()

    def remember(self) -> None:
        """Called when it is known which files were taken, before messages go on."""

    async def start_source(self) -> None:
        self._observed.clear()
        self._told.clear()
        self._unconfirmed.clear()
        self._watcher = asyncio.create_task(
            self.watch_for_file(), name=f"{self.name}: files"
        )

    async def stop_source(self) -> None:
        watcher, self._watcher = self._watcher, None
        while watcher is not None and not watcher.done():
            # What it runs may lose a cancellation, as `wait_for` of Python 3.11 does.
            watcher.cancel()
            await asyncio.wait([watcher], timeout=1.0)

    # Looking

    async def watch_for_file(self) -> None:
        """Look again and again, until the channel stops; `start` begins this."""
        failures = 0
        with suppress(ChannelStopped):
            while True:
                try:
                    await self.tick()
                    failures, wait = 0, self._patience_left()
                except ChannelStopped:
                    raise
                except Exception as exc:
                    failures += 1
                    wait = self._again.delay(failures, exc) or self.interval
                    self._tell_trouble(exc, wait)
                await self._rest(wait)

    async def _rest(self, wait: float) -> None:
        """Until it is time to look again, or somebody tells of news."""
        # Somebody may tell without end, of a file that is written for hours.
        shortest = max(_SHORTEST, self._look_took)
        await asyncio.sleep(shortest)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(wait - shortest, 0)):
                await self._news.wait()

    def _patience_left(self) -> float:
        """Seconds until a file may have stayed the same for long enough."""
        oldest = min((since for _, since in self._observed.values()), default=None)
        if oldest is None:
            return self.interval
        return min(max(oldest + self.settle - clock.monotonic(), 0.0), self.interval)

    async def tick(self) -> None:
        """Look once, and take what is new and has stayed the same for long enough.

        Raises:
            ChannelStopped: the channel takes no messages.
            JournalError: the journal takes nothing; the files come again.
            OSError, PichannelsError: the folder cannot be looked into.
        """
        async with self._looking:
            self._news.clear()
            begun = clock.monotonic()
            listing = await self.look()
            self._look_took = clock.monotonic() - begun
            self._forget_the_gone(listing)
            if self.memory.is_new:
                found = [] if self.existing else list(self._wanted(listing))
                self.memory.begin(found)
            try:
                for file in self._in_order(self._due(listing)):
                    await self._take(file, listing)
            finally:
                await self._confirm()
            self._reached()

    def _reached(self) -> None:
        if self._trouble:
            logger.info("%s: files come from %s again", self.name, self.origin)
            self.events.fire("files.reachable", channel=self.name, folder=self.origin)
        self.is_reachable, self._trouble = True, ""

    def _tell_trouble(self, error: Exception, wait: float) -> None:
        text = printable(str(error) or type(error).__name__)
        is_ours = not isinstance(error, OSError | PichannelsError)
        if text == self._trouble and not is_ours:
            return
        logger.error(
            "%s: nothing comes from %s, again in %.1f s: %s",
            self.name,
            self.origin,
            wait,
            text,
            exc_info=error if is_ours else None,
        )
        self.events.fire(
            "files.unreachable", channel=self.name, folder=self.origin, reason=text
        )
        self.is_reachable = self.is_reachable and isinstance(error, JournalError)
        self._trouble = text

    def _forget_the_gone(self, listing: Listing) -> None:
        self.memory.prune(listing)
        for known in (self._observed, self._told):
            for path in [path for path in known if path not in listing.files]:
                del known[path]

    def _wanted(
        self, listing: Listing, known: Mapping[str, Entry] = _NOTHING
    ) -> Iterator[Found]:
        """Files that fit the pattern, without known versions."""
        for path, version in listing.files.items():
            entry = known.get(path)
            # First what is most, and cheap: a folder may have many files.
            if version is None or (entry is not None and entry.version == version):
                self._observed.pop(path, None)
            elif self.wants(path.rpartition("/")[2]):
                yield Found(path, version)

    def _due(self, listing: Listing) -> Iterator[Found]:
        """New versions that have stayed the same for long enough."""
        now = clock.monotonic()
        for file in self._wanted(listing, self.memory.entries):
            if self.memory.knows(file):
                self._observed.pop(file.path, None)
                continue
            version, since = self._observed.get(file.path, (None, now))
            if version != file.version:
                since = now
                self._observed[file.path] = (file.version, now)
            if now - since >= self.settle:
                yield file

    def _in_order(self, files: Iterable[Found]) -> list[Found]:
        by_path = {file.path: file for file in files}
        return [by_path[path] for path in self.sort_function(list(by_path))]

    # Taking

    async def _take(self, file: Found, listing: Listing) -> None:
        try:
            path = self._content_of(file.path, listing)
            version = listing.files[path]
            if version is not None and version.size > self.max_bytes:
                raise self.too_large(version.size)
            expected = file.version if path == file.path else None
            await self._accept(
                file, self.message(path, await self.read(path, expected))
            )
        except (Unread, CodecError) as exc:
            self._tell_unread(file, exc)
        else:
            self._observed.pop(file.path, None)
            self._told.pop(file.path, None)
            self.files += 1

    def too_large(self, size: int) -> Unread:
        """What is said of a file beyond the limit."""
        return Unread(f"{size} bytes are more than max_bytes={self.max_bytes}")

    def _content_of(self, path: str, listing: Listing) -> str:
        """The file that holds what an acknowledgement is about."""
        if not self.real_extensions:
            return path
        for extension in self.real_extensions:
            real = str(PurePosixPath(path).with_suffix(extension))
            if real in listing.files:
                return real
        endings = ", ".join(self.real_extensions)
        raise Unread(f"there is no file beside it that ends with {endings}")

    def _tell_unread(self, file: Found, error: Unread | CodecError) -> None:
        path, reason = printable(self.full_path(file.path)), printable(str(error))
        if isinstance(error, Unread) and not error.is_told:
            self._observed.pop(file.path, None)
            return
        if self._told.get(file.path) == (file.version, reason):
            return
        self._told[file.path] = (file.version, reason)
        self.unread += 1
        logger.warning("%s: %s is not read: %s", self.name, path, reason)
        self.events.fire("file.unread", channel=self.name, path=path, reason=reason)

    def message(self, path: str, data: bytes) -> Message:
        """The message of a file; text that cannot be decoded fails in its turn."""
        msg = Message(BYTES, data)
        msg.meta["filename"] = path.rpartition("/")[2]
        msg.meta["filepath"] = self.full_path(path)
        if not self.binary_file:
            self._decode(msg)
        return msg

    def _decode(self, msg: Message) -> DecodeError | None:
        data = msg.payload
        try:
            msg.payload = data.decode(self.encoding)
        except UnicodeDecodeError as exc:
            error = DecodeError(self.encoding, exc.reason, data[exc.start :])
            msg.meta[_UNDECODED] = str(error)
            return error
        msg.content_type = TEXT
        msg.meta.pop(_UNDECODED, None)
        return None

    async def attempt(
        self, msg: Message, delivery: Delivery, start: int = 0
    ) -> Outcome:
        # Bytes are kept that are no text in this encoding, so that a redrive can
        # read them in another one.
        if _UNDECODED in msg.meta and isinstance(msg.payload, bytes):
            error = self._decode(msg)
            if error is not None:
                return Outcome(State.ERROR, msg, error, self.name)
        return await super().attempt(msg, delivery, start)

    async def _accept(self, file: Found, msg: Message) -> None:
        if self.journal is None:
            outcome = await self.run(msg)
            if not isinstance(outcome.error, TryAgain):
                self.memory.note(file, msg.uuid, None)
                self.settled(file.path, msg.uuid, outcome)
            return
        msg.meta["lane"] = "live"
        before = self.memory.entries.get(file.path)
        ticket = await self.way_in().hand_over(msg)
        self.memory.note(file, msg.uuid, ticket)
        self._unconfirmed.append((ticket, file, before))
        if len(self._unconfirmed) >= _AT_ONCE:
            await self._confirm()

    def settled(self, path: str, uuid: str, outcome: Outcome) -> None:
        """Called without a journal when the message of a file is settled."""

    async def _confirm(self) -> None:
        """Until all that was handed over is durable.

        Raises:
            JournalError: some is not, and comes again.
        """
        failed: JournalError | None = None
        taken, self._unconfirmed = self._unconfirmed, []
        for ticket, file, before in taken:
            try:
                await ticket.written()
            except JournalError as exc:
                failed = exc
                self.files -= 1
                self.memory.take_back(file.path, before)
        if failed is not None:
            raise failed


# Options


def _pattern(found: Any) -> re.Pattern[str]:
    try:
        return re.compile(found)
    except (re.error, TypeError) as exc:
        raise SettingsError(
            f"this is no regular expression: {exc}", key="regex", found=found
        ) from exc


def _count(found: Any) -> int:
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise SettingsError(
            "not a usable number", key="max_bytes", found=found, allowed="1 or more"
        )
    return found


def _encoding(found: Any) -> str:
    try:
        return codecs.lookup(found or "utf-8").name
    except (LookupError, TypeError) as exc:
        raise SettingsError(
            "there is no such encoding",
            key="encoding",
            found=found,
            allowed="names such as utf-8",
        ) from exc
