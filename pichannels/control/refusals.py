"""Why a command got no answer from an instance, or none that it wanted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pichannels.errors import PichannelsError, TryAgain

if TYPE_CHECKING:
    from pichannels.control.access import Address

__all__ = ["CommandFailed", "NoInstance"]


class NoInstance(TryAgain):
    """No instance of the project runs, or it has no control server.

    Attributes:
        data_dir: where an instance would have left its address.
        stale: the address that one left which is gone, or None.
    """

    def __init__(self, data_dir: Path, stale: Address | None = None) -> None:
        self.data_dir = data_dir
        self.stale = stale
        why = f"none left its address in {data_dir}"
        if stale is not None:
            why = f"process {stale.pid} left its address in {data_dir}, but is gone"
        super().__init__(f"no instance runs: {why}; begin one with `pichannels start`")


class CommandFailed(PichannelsError):
    """The instance refused a command, or failed at it.

    Attributes:
        status: the HTTP status.
        kind: the name of the error inside the instance.
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        self.status = status
        self.kind = kind
        super().__init__(message)
