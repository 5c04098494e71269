"""Reads pickles that hold plain data, and nothing else; a program of its own.

pypeman keeps payloads as pickles, and a pickle may call any function of any module. So
they are read in a process that has nothing to lose: it gets a pickle in each line of
its input (base64) and answers each with a line of JSON. No module is imported for a
pickle, and no class is taken but those below; what else is in one is refused.

It imports the standard library only, and nothing imports it.
"""

from __future__ import annotations

import base64
import codecs
import collections
import datetime
import decimal
import io
import json
import pickle
import sys
import uuid
from collections.abc import Callable
from typing import Any, Final

__all__ = ["answer", "main"]

_DEEPEST: Final = 200
_LARGEST: Final = 2**28
"""What an answer may take, about: a small pickle may name one list many times."""


def _encode(text: str, encoding: str) -> bytes:
    """How pickles of old protocols hold bytes."""
    if encoding != "latin1" or not isinstance(text, str):
        raise pickle.UnpicklingError(f"a call of codecs.encode for {encoding!r}")
    return codecs.encode(text, "latin1")


def _bytearray(data: Any = b"", *more: str) -> bytearray:
    # With a number it would make as many bytes.
    if isinstance(data, str) and more == ("latin-1",):
        return bytearray(data, "latin-1")
    if not isinstance(data, bytes) or more:
        raise pickle.UnpicklingError("a bytearray of something else than bytes")
    return bytearray(data)


_ALLOWED: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    ("_codecs", "encode"): _encode,
    ("builtins", "bytearray"): _bytearray,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "set"): set,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("datetime", "date"): datetime.date,
    ("datetime", "datetime"): datetime.datetime,
    ("datetime", "time"): datetime.time,
    ("datetime", "timedelta"): datetime.timedelta,
    ("datetime", "timezone"): datetime.timezone,
    ("decimal", "Decimal"): decimal.Decimal,
    ("uuid", "UUID"): uuid.UUID,
}
"""By the names that Python 3 has; pickles of Python 2 have others for some."""


class _Reader(pickle.Unpickler):
    """Takes the classes above, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        module = "builtins" if module == "__builtin__" else module
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name}, no plain data") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("a reference to something outside")


class _Writer:
    """Makes JSON of plain data: what JSON does not have is [kind, value]."""

    def __init__(self) -> None:
        self._left = _LARGEST

    def plain(self, value: Any, depth: int = 0) -> Any:
        """A value that `json` writes and that tells what it was."""
        if depth > _DEEPEST:
            raise ValueError(f"it is more than {_DEEPEST} deep")
        self._take(64)
        kind = type(value)
        if value is None or kind in (bool, int, float):
            return value
        if kind is str:
            self._take(len(value))
            return value
        if kind in (bytes, bytearray):
            self._take(2 * len(value))
            return ["bytes", base64.b64encode(value).decode()]
        if kind in (list, tuple, set, frozenset):
            parts = [self.plain(item, depth + 1) for item in value]
            return ["list" if kind is list else kind.__name__, parts]
        if kind in (dict, collections.OrderedDict):
            pairs = [
                [self.plain(k, depth + 1), self.plain(v, depth + 1)]
                for k, v in value.items()
            ]
            return ["dict", pairs]
        if kind not in _KINDS:
            raise pickle.UnpicklingError(f"{kind.__qualname__}, no plain data")
        return [_KINDS[kind][0], _KINDS[kind][1](value)]

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ValueError("it is too large")


_KINDS: Final[dict[type, tuple[str, Callable[[Any], Any]]]] = {
    datetime.datetime: ("datetime", datetime.datetime.isoformat),
    datetime.date: ("date", datetime.date.isoformat),
    datetime.time: ("time", datetime.time.isoformat),
    datetime.timedelta: ("timedelta", lambda v: [v.days, v.seconds, v.microseconds]),
    decimal.Decimal: ("decimal", str),
    uuid.UUID: ("uuid", lambda v: v.hex),
}


def answer(line: bytes) -> str:
    """What is said to one pickle: `{"value": ...}` or `{"refused": why}`."""
    try:
        value = _Reader(io.BytesIO(base64.b64decode(line, validate=True))).load()
        return json.dumps({"value": _Writer().plain(value)})
    except pickle.UnpicklingError as exc:
        return json.dumps({"refused": f"it holds {exc}"})
    except Exception as exc:
        # Broken pickles raise whatever the class that they call for raises.
        return json.dumps({"refused": f"{type(exc).__name__}: {exc}"})


def main() -> None:
    """Answer each line of the input until it ends."""
    for line in sys.stdin.buffer:
        sys.stdout.write(answer(line.strip()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
