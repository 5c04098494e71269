"""What pypeman's nodes have in common."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from pichannels import node
from pichannels.message import Message
from pichannels.pypeman.registry import current

__all__ = ["Lenient", "callable_or_value"]

logger: Final = logging.getLogger("pichannels.pypeman")


class Lenient(node.BaseNode):
    """What pypeman's nodes have in common; stands before the class of pichannels."""

    def __init__(
        self,
        *args: Any,
        auto_retry_exceptions: Sequence[type[Exception]] = (),
        **options: Any,
    ) -> None:
        if auto_retry_exceptions:
            options["pause_on"] = tuple(auto_retry_exceptions)
        super().__init__(*args, **options)
        current().nodes.append(self)

    def _refuse_unknown(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for found in (*args, *kwargs):
            logger.warning("%s has no option %r", type(self).__name__, found)

    @property
    def logger(self) -> logging.Logger:
        """Where this node logs to, unless it is set."""
        own: logging.Logger | None = getattr(self, "_logger", None)
        return own or logging.getLogger(f"pichannels.nodes.{self.fullpath()}")

    @logger.setter
    def logger(self, found: logging.Logger) -> None:
        self._logger = found

    def mock(self, input: Any = None, output: Any = None) -> None:
        """Replace what the node gets or gives; what is not given stays as it was."""
        super().mock(
            self._mock_input if input is None else input,
            self._mock_output if output is None else output,
        )

    def _reset_test(self) -> None:
        """Forget mocks and counts, and remember from now on what comes and goes."""
        self.reset_test()
        self.record()


def callable_or_value(value: Any, msg: Message) -> Any:
    """What a function makes of the message, or the value itself."""
    return value(msg) if callable(value) else value
