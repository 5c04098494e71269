"""What a hub publishes, and who has it open."""

from __future__ import annotations

from typing import Protocol

from pichannels.errors import UsageError
from pichannels.remote.errors import (
    AlreadyOpened,
    ModeRefused,
    StreamBusy,
    StreamFailed,
)
from pichannels.remote.modes import Kind, Mode, StreamRef, described
from pichannels.remote.sources import Source

__all__ = ["Publication", "User"]

_GIVEN = Mode.READ | Mode.WRITE


class User(Protocol):
    """Who has it open."""

    def fail(self, error: StreamFailed) -> None:
        """It is of no more use."""


class Publication:
    """A source under its name.

    Args:
        name: under which it is opened.
        source: what is published.
        mode: what for; by default all that the source can do.
        writers: how many may have it open for writing at the same time.
        readers: how many for reading only; None for any number.
        is_once: it can be opened once.

    Raises:
        UsageError: the source cannot do that, or the mode contradicts itself.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        mode: Mode | None,
        writers: int,
        readers: int | None,
        is_once: bool = False,
    ) -> None:
        wanted = source.mode if mode is None else mode
        wanted.check()
        if missing := wanted & ~source.mode:
            raise UsageError(
                f"{name!r} cannot be published for {described(missing)}, which its"
                " source does not offer"
            )
        self.name = name
        self.source = source
        self.mode = wanted
        self.is_once = is_once
        self.was_opened = False
        self._most = {Mode.WRITE: writers, Mode.READ: readers}
        self._users: dict[User, Mode] = {}

    @property
    def kind(self) -> Kind:
        """What it is made of."""
        return self.source.kind

    @property
    def ref(self) -> StreamRef:
        """What a client can open."""
        return StreamRef(self.name, self.kind, self.mode)

    @property
    def users(self) -> list[User]:
        """Who has it open."""
        return list(self._users)

    @property
    def is_written(self) -> bool:
        """Whether somebody has it open for writing."""
        return any(mode & Mode.WRITE for mode in self._users.values())

    def admit(self, user: User, kind: Kind | None, wanted: Mode) -> Mode:
        """Let someone open it: what they may do.

        Raises:
            RefusedError: it is not made of that, not published for that, or there are
                others.
        """
        if kind is not None and kind is not self.kind:
            raise ModeRefused(self.name, f"it is a stream of {self.kind}")
        if missing := wanted & ~self.mode:
            reason = f"it is not published for {described(missing)}"
            raise ModeRefused(self.name, reason, missing=described(missing))
        if self.is_once and self.was_opened:
            raise AlreadyOpened(self.name, "it can be opened once, and was")
        self._refuse_crowd(Mode.WRITE if wanted & Mode.WRITE else Mode.READ)
        self.was_opened = True
        self._users[user] = wanted
        given = self.mode & ~(_GIVEN & ~wanted)
        return given if wanted & Mode.WRITE else given & ~Mode.OF_WRITERS

    def _refuse_crowd(self, use: Mode) -> None:
        most = self._most[use]
        is_write = use is Mode.WRITE
        using = sum(bool(m & Mode.WRITE) == is_write for m in self._users.values())
        if most is not None and using >= most:
            who = "writers" if is_write else "readers"
            raise StreamBusy(self.name, f"it may have {most} {who}", limit=most)

    def release(self, user: User) -> None:
        """Someone has closed it."""
        self._users.pop(user, None)

    def fail(self, error: StreamFailed) -> None:
        """All who have it open get this."""
        for user in self.users:
            user.fail(error)
