"""HL7 messages as the library hl7 has them, which the extra `hl7` brings."""

from __future__ import annotations

import re
from typing import Any, Final

from pichannels.codecs import register_codec
from pichannels.errors import CodecError, DecodeError, SettingsError

try:
    import hl7  # type: ignore[import-untyped,unused-ignore]
except ImportError:
    hl7 = None

__all__ = ["needs_hl7", "parse_message", "write_message"]

_LINE_END: Final = re.compile(r"\r\n|\n")


def needs_hl7() -> None:
    """Look whether the library is there.

    Raises:
        SettingsError: it is not installed.
    """
    if hl7 is None:
        raise SettingsError("HL7 needs the extra `hl7`: pip install 'pichannels[hl7]'")


def parse_message(text: str) -> Any:
    """The `hl7.Message` of a text; its segments may end in any way.

    Raises:
        DecodeError: it is none.
    """
    try:
        return hl7.parse(_LINE_END.sub("\r", text))
    except Exception as exc:
        # The library says it in many ways, such as an IndexError.
        raise DecodeError("an HL7 message", str(exc), text) from exc


def write_message(message: Any) -> str:
    """The text of an `hl7.Message`.

    Raises:
        CodecError: it is something else.
    """
    if not isinstance(message, hl7.Container):
        kind = type(message).__name__
        raise CodecError(f"HL7 is written from an hl7.Message, not {kind}")
    return str(message)


if hl7 is not None:
    register_codec(hl7.Message, str, parse_message, name="hl7")
