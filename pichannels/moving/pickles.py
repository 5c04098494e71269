"""Asks the process that reads pickles, and watches over it."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from pichannels.errors import CodecError

__all__ = ["PlainPickles"]

_PROGRAM: Final = Path(__file__).with_name("unpickle.py")
_KINDS: Final[dict[str, Callable[[Any], Any]]] = {
    "bytes": base64.b64decode,
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda parts: timedelta(*parts),
    "decimal": Decimal,
    "uuid": UUID,
}
_NESTED: Final = {"list", "tuple", "set", "frozenset"}


class PlainPickles:
    """Reads pickles of plain data in a process of its own; it blocks.

    Use it as a context manager.

    Args:
        limit: seconds that a pickle may take.
    """

    def __init__(self, limit: float = 60.0) -> None:
        self._limit = limit
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def read(self, data: bytes) -> Any:
        """What a pickle holds.

        Raises:
            CodecError: it is broken, holds more than plain data, or takes too long.
        """
        line = self._asked(base64.b64encode(data) + b"\n")
        if not line.endswith(b"\n"):
            # It was killed, by us or for want of memory; the next pickle gets another.
            self.close()
            raise CodecError("the pickle could not be read: too large, or too long")
        found = json.loads(line)
        if "refused" in found:
            raise CodecError(f"the pickle was refused: {found['refused']}")
        return _value(found["value"])

    def _asked(self, line: bytes) -> bytes:
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        watch = threading.Timer(self._limit, process.kill)
        watch.start()
        try:
            process.stdin.write(line)
            process.stdin.flush()
            return process.stdout.readline()
        except OSError:
            return b""
        finally:
            watch.cancel()
            watch.join()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            # Isolated: neither the folder nor the environment adds modules.
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process


def _value(plain: Any) -> Any:
    """What was in the pickle, of what the other process wrote."""
    if not isinstance(plain, list):
        return plain
    kind, content = plain
    if kind == "dict":
        return {_value(key): _value(value) for key, value in content}
    return _KINDS[kind](map(_value, content) if kind in _NESTED else content)
