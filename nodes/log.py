"""Messages in the log."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from nodes._batches import is_batch
from nodes._lines import readable
from nodes._options import at_least
from pichannels.errors import SettingsError, UsageError
from pichannels.message import Message
from pichannels.node import BaseNode

__all__ = ["Log"]


class Log(BaseNode):
    """Write each message to the log; nothing is formatted when the level is off.

    Args:
        level: of the log records, as a number or a name (`"INFO"`).
        show_ctx: also what was kept in `msg.ctx`.
        logger: where to, as a logger or its name; by default `pichannels.nodes`.
        samples: how many samples of a batch are shown.
        options: those of every node.
    """

    changes: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        level: int | str = logging.INFO,
        show_ctx: bool = False,
        logger: logging.Logger | str = "pichannels.nodes",
        samples: int = 10,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        at_least("samples", samples, 0)
        if not isinstance(logger, str | logging.Logger):
            raise UsageError(f"logger is a logger or its name, not {logger!r}")
        self.level = _level(level)
        self.show_ctx = show_ctx
        self.samples = samples
        self.logger = logging.getLogger(logger) if isinstance(logger, str) else logger

    def process(self, msg: Message) -> Message:
        if self.logger.isEnabledFor(self.level):
            self.logger.log(self.level, "%s: %s", self.fullpath(), self._text(msg))
        return msg

    def _text(self, msg: Message) -> str:
        if not is_batch(msg.payload):
            return msg.to_print(context=self.show_ctx)
        count = len(msg.payload)
        lines = [msg.to_print(payload=False, context=self.show_ctx)]
        lines += [f"  {readable(sample)}" for sample in msg.payload[: self.samples]]
        if count > self.samples:
            lines.append(f"  and {count - self.samples} more of {count} samples")
        return "\n".join(lines)


def _level(level: Any) -> int:
    """The number of a level.

    Raises:
        SettingsError: there is no such level.
    """
    levels = logging.getLevelNamesMapping()
    found = levels.get(level.upper()) if isinstance(level, str) else level
    if not isinstance(found, int) or isinstance(found, bool):
        raise SettingsError(
            "no such level", key="level", found=level, allowed=", ".join(levels)
        )
    return found
