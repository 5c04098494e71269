"""JSON paths: which values of a document are meant, and whether one fits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from pichannels.errors import UsageError
from pichannels.values import Sample

__all__ = ["json_matcher"]

_STEP: Final = re.compile(
    r"\.\.(?P<deep>[\w-]+)|\.(?P<name>[\w-]+|\*)|\[(?P<index>-?\d+|\*)\]"
    r"|\['(?P<quoted>[^']*)'\]"
)


def json_matcher(
    path: str, value: str | None = None, mask: Callable[[Any], Any] | None = None
) -> Callable[[Any], bool]:
    """Whether a payload has a value at this path.

    Args:
        path: such as `$.tags[0].name`, `$.tags[*].value` or `$..unit`.
        value: what one of the values there is, as text; None: anything.
        mask: what is looked into is what this makes of the document.

    Raises:
        UsageError: this is no such path.
    """
    steps = _steps(path)

    def matches(payload: Any) -> bool:
        document = _document(payload)
        found: Iterable[Any] = [mask(document) if mask else document]
        for step in steps:
            # Each once: `..a..a..a` comes to the same by very many ways.
            found = {id(each): each for one in found for each in step(one)}.values()
        return any(value is None or _text(each) == value for each in found)

    return matches


def _steps(path: str) -> list[Callable[[Any], Iterator[Any]]]:
    rest = path.removeprefix("$")
    if rest == path or not rest:
        raise UsageError(f"{path!r} is no JSON path such as $.name or $.list[0]")
    steps, at = [], 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None:
            raise UsageError(f"{path!r} is no JSON path from {rest[at:]!r} on")
        steps.append(_step(found))
        at = found.end()
    return steps


def _step(found: re.Match[str]) -> Callable[[Any], Iterator[Any]]:
    deep, name, index, quoted = found.group("deep", "name", "index", "quoted")
    if deep is not None:
        return lambda value: _below(value, deep)
    if name == "*" or index == "*":
        return _children
    if index is not None:
        return lambda value: _item(value, int(index))
    key = name if quoted is None else quoted
    return lambda value: _member(value, key)


def _member(value: Any, key: str) -> Iterator[Any]:
    if isinstance(value, dict) and key in value:
        yield value[key]


def _item(value: Any, index: int) -> Iterator[Any]:
    if isinstance(value, list) and -len(value) <= index < len(value):
        yield value[index]


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _below(value: Any, key: str) -> Iterator[Any]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        yield from _member(one, key)
        waiting += _children(one)


def _document(payload: Any) -> Any:
    if isinstance(payload, str | bytes | bytearray):
        try:
            return msgspec.json.decode(payload)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
    if isinstance(payload, list) and payload and isinstance(payload[0], Sample):
        return [_sample(each) for each in payload]
    try:
        return msgspec.to_builtins(payload, str_keys=True, enc_hook=str)
    except (TypeError, ValueError, RecursionError):
        return None


def _sample(sample: Any) -> Any:
    return {
        "tag": sample.tag.name,
        "path": sample.tag.path,
        "value": msgspec.to_builtins(sample.value, enc_hook=str),
        "good": sample.good,
        "units": sample.units,
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
