"""Iteration over the keys of a cache: forwards, backwards, from a key, by prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from pichannels.errors import UsageError

__all__ = ["scanned"]

_LAST: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)

Scan = Callable[..., Iterator[Any]]


def scanned(
    scan: Scan,
    key_of: Callable[[Any], Any],
    backwards: bool,
    from_key: Any,
    read_opt: Any,
    prefix: str | bytes | None,
) -> Iterator[Any]:
    """What `scan` of a database gives, in the order of the keys.

    Args:
        scan: `items`, for instance, with `backwards`, `from_key` and `read_opt`.
        key_of: finds the key in what it gives.
        prefix: only keys of this type that begin with it.

    Raises:
        UsageError: `prefix` is neither text nor bytes.
    """
    if prefix is None:
        return scan(backwards, from_key, read_opt)
    if not isinstance(prefix, str | bytes):
        raise UsageError("a prefix is str or bytes; numbers have none, use from_key")
    if from_key is not None and type(from_key) is not type(prefix):
        raise UsageError("prefix and from_key are of one type")
    return _with_prefix(scan, key_of, backwards, from_key, read_opt, prefix)


def _with_prefix(
    scan: Scan,
    key_of: Callable[[Any], Any],
    backwards: bool,
    from_key: Any,
    read_opt: Any,
    prefix: Any,
) -> Iterator[Any]:
    end = _behind(prefix)
    if backwards:
        known = [key for key in (end, from_key) if key is not None]
        begin = min(known) if known else None
    else:
        begin = prefix if from_key is None else max(prefix, from_key)
    kind = type(prefix)
    for found in scan(backwards, begin, read_opt):
        key = key_of(found)
        if type(key) is kind and key.startswith(prefix):
            yield found
        elif not backwards or (type(key) is kind and key < prefix):
            return


def _behind(prefix: Any) -> Any:
    """The first key of the same type behind all that begin so; None: there is none."""
    if isinstance(prefix, bytes):
        short = prefix.rstrip(b"\xff")
        return short[:-1] + bytes([short[-1] + 1]) if short else None
    short = prefix.rstrip(chr(_LAST))
    if not short:
        return None
    code = ord(short[-1]) + 1
    return short[:-1] + chr(_SURROGATES.stop if code in _SURROGATES else code)
