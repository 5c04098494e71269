"""The states of a channel and the changes that are allowed; pure."""

from __future__ import annotations

import enum
from typing import Final

from pichannels.errors import UsageError

__all__ = ["Status", "check_change"]


class Status(enum.IntEnum):
    """What a channel is doing; the numbers are pypeman's."""

    STARTING = 0
    WAITING = 1
    PROCESSING = 2
    STOPPING = 3
    STOPPED = 4
    PAUSED = 5

    @property
    def label(self) -> str:
        """The state as people read it."""
        return self.name.lower()


_ALLOWED: Final = {
    Status.STOPPED: {Status.STARTING},
    Status.STARTING: {Status.WAITING, Status.STOPPING},
    Status.WAITING: {Status.PROCESSING, Status.PAUSED, Status.STOPPING},
    Status.PROCESSING: {Status.WAITING, Status.PAUSED, Status.STOPPING},
    Status.PAUSED: {Status.WAITING, Status.PROCESSING, Status.STOPPING},
    Status.STOPPING: {Status.STOPPED},
}


def check_change(old: Status, new: Status) -> None:
    """Refuse a change that no channel may make.

    Raises:
        UsageError: the change is not allowed.
    """
    if new != old and new not in _ALLOWED[old]:
        allowed = ", ".join(sorted(status.label for status in _ALLOWED[old]))
        raise UsageError(
            f"a channel that is {old.label} cannot become {new.label}; only {allowed}"
        )
