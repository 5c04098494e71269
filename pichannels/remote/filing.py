"""Files of a hub's folders, removed and renamed by those who may write them.

A service that every hub has, beside those that are exposed. It needs no permission to
call it, but to write what is named.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from pichannels.remote.access import Action
from pichannels.remote.errors import (
    AccessDenied,
    ModeRefused,
    StreamBusy,
    StreamNotFound,
    StreamWithdrawn,
)
from pichannels.remote.modes import Kind, Mode
from pichannels.remote.publications import Publication
from pichannels.remote.services import caller, method
from pichannels.remote.shelves import FileShelf

if TYPE_CHECKING:
    from pichannels.remote.hub import Hub

__all__ = ["FILING", "Filing"]

logger: Final = logging.getLogger("pichannels.remote")

FILING: Final = ""
"""The name of the service, which no other one can have."""


class Filing:
    """See above.

    Args:
        hub: whose files they are.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    @method
    async def remove(self, name: str) -> None:
        """Remove a file; its readers are told.

        Raises:
            RefusedError: it is not there, not allowed, or somebody writes it.
            SourceFailed: it cannot be removed.
        """
        found = self._writable(name)
        shelf, rest = self._shelf(name)
        await shelf.remove(rest)
        found.fail(StreamWithdrawn(name, "it was removed"))
        logger.info("%s was removed by %s", name, caller().client or "somebody")

    @method
    async def rename(self, name: str, to: str, replace: bool = False) -> None:
        """Give a file another name in the same folder, or below it.

        Raises:
            RefusedError: it is not there, not allowed, somebody writes either, or
                there is a file of the other name.
            SourceFailed: it cannot be renamed.
        """
        found, other = self._writable(name), self._writable(to, repr(to))
        shelf, rest = self._shelf(name)
        there, new = self._shelf(to)
        if shelf is not there:
            raise ModeRefused(name, f"it cannot become {to!r}, in another folder")
        if found is not other:
            await shelf.rename(rest, new, replace=replace)
            found.fail(StreamWithdrawn(name, f"it was renamed to {to!r}"))
            other.fail(StreamWithdrawn(to, "it was replaced"))
        by = caller().client or "somebody"
        logger.info("%s was renamed to %s by %s", name, to, by)

    def _writable(self, name: str, called: str = "it") -> Publication:
        if not caller().allows(Action.WRITE, name):
            reason = f"the token does not allow to write {called}"
            raise AccessDenied(name, reason, action=str(Action.WRITE))
        found = self._hub.find(name)
        if found.kind is not Kind.BYTES or not found.mode & Mode.TRUNCATE:
            reason = f"{called} is not published for write"
            raise ModeRefused(name, reason, missing="write")
        if found.is_written:
            raise StreamBusy(name, f"somebody writes {called}")
        return found

    def _shelf(self, name: str) -> tuple[FileShelf, str]:
        shelf, rest = self._hub.shelf_of(name)
        if not isinstance(shelf, FileShelf):
            raise StreamNotFound(name, "it is no file of a folder")
        return shelf, rest
