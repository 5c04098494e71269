"""Compare messages with those that a file holds, and say what differs."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from pichannels import codecs
from pichannels.errors import CodecError
from pichannels.exporting import write_lines
from pichannels.message import Message
from pichannels.values import Sample

__all__ = ["UPDATE_VARIABLE", "assert_messages_match", "write_expected"]

UPDATE_VARIABLE: Final = "PICHANNELS_UPDATE"
"""The environment variable that has expected files written anew."""

_SHOWN: Final = 20
_ADVICE: Final = (
    f"(when this is right, run with --pichannels-update or {UPDATE_VARIABLE}=1 to"
    " write what came as what is expected)"
)


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


_MISSING: Final = _Missing()


def assert_messages_match(
    messages: Sequence[Message],
    path: str | os.PathLike[str],
    *,
    ignore: Collection[str] = (),
    what: str = "the messages",
) -> None:
    """Fail unless the file holds these messages, in this order.

    Content type, payload and meta are compared; uuids and timestamps of messages,
    which differ from run to run, are not. When `PICHANNELS_UPDATE` is set, as
    `pytest --pichannels-update` does, the file is written instead.

    Args:
        messages: what came out.
        path: JSON lines; a file of `export_messages` will do.
        ignore: names in `meta` that are left out.
        what: how a failure names the messages.

    Raises:
        AssertionError: says what differs, and where.
        CodecError: a message cannot be written, or the file cannot be read.
    """
    file = Path(path)
    lines = _lines(messages, ignore)
    if os.environ.get(UPDATE_VARIABLE):
        write_lines(file, lines)
        return
    if not file.is_file():
        raise AssertionError(f"there is no {file} to compare {what} with\n{_ADVICE}")
    expected = [_facts(found, ignore) for found in _read(file)]
    found = list(_differences(expected, [codecs.decode_json(line) for line in lines]))
    if found:
        raise AssertionError(_told(what, file, found))


def write_expected(messages: Sequence[Message], path: str | os.PathLike[str]) -> None:
    """Write the file that `assert_messages_match` compares with.

    Raises:
        CodecError: a message cannot be written.
        OSError: the file cannot be written.
    """
    write_lines(path, _lines(messages, ()))


def _lines(messages: Sequence[Message], ignore: Collection[str]) -> list[str]:
    return [codecs.encode_json(_facts(msg.to_dict(), ignore)) for msg in messages]


def _facts(found: Mapping[str, Any], ignore: Collection[str]) -> dict[str, Any]:
    meta = found.get("meta") or {}
    return {
        "content_type": found.get("content_type"),
        "meta": {name: meta[name] for name in meta if name not in ignore},
        "payload": found.get("payload"),
    }


def _read(file: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        found = codecs.decode_json(line)
        if not isinstance(found, dict):
            raise CodecError(f"{file}, line {number}: no JSON object")
        yield found


def _told(what: str, file: Path, found: list[str]) -> str:
    more = len(found) - _SHOWN
    lines = [f"{what}: not as in {file}", *(f"  {text}" for text in found[:_SHOWN])]
    if more > 0:
        lines.append(f"  and {more} more differences")
    return "\n".join([*lines, _ADVICE])


def _differences(expected: list[Any], got: list[Any]) -> Iterator[str]:
    if len(expected) != len(got):
        yield f"{len(expected)} messages expected, {len(got)} came"
    for number, (one, other) in enumerate(zip(expected, got, strict=False), 1):
        yield from _compared(f"message {number}: ", "", one, other)


def _compared(where: str, path: str, expected: Any, got: Any) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in dict.fromkeys([*expected, *got]):
            pair = expected.get(key, _MISSING), got.get(key, _MISSING)
            yield from _compared(where, f"{path}.{key}" if path else str(key), *pair)
    elif isinstance(expected, list) and isinstance(got, list):
        pairs = itertools.zip_longest(expected, got, fillvalue=_MISSING)
        for index, pair in enumerate(pairs):
            yield from _compared(where, f"{path}[{index}]", *pair)
    elif isinstance(expected, msgspec.Struct) and type(expected) is type(got):
        name = _named(path, expected)
        for field in expected.__struct_fields__:
            pair = getattr(expected, field), getattr(got, field)
            yield from _compared(where, f"{name}.{field}", *pair)
    elif not _is_same(expected, got):
        yield f"{where}{path}: expected {_shown(expected)}, got {_shown(got)}"


def _named(path: str, value: msgspec.Struct) -> str:
    if isinstance(value, Sample):
        return f"{path} ({value.tag.name} {value.iso})"
    return path


def _shown(value: Any) -> str:
    if isinstance(value, Sample):
        return f"{value.tag.name} {value.iso} {value.value!r}"
    return repr(value)


def _is_same(expected: Any, got: Any) -> bool:
    if isinstance(expected, bool) is not isinstance(got, bool):
        return False
    return bool(expected == got or (expected != expected and got != got))
