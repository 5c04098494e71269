"""What has to be known of an HL7 message to route and to answer it.

Only the header (segment MSH) is read, as bytes, so that an answer repeats names just
as they came. The rest of a message is for the nodes.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import Final, NamedTuple

from pichannels import clock
from pichannels.errors import DecodeError
from pichannels.message import new_uuid
from pichannels.values import TICKS_PER_SECOND, datetime_from_ticks

__all__ = ["Header", "acknowledgement", "charset", "code_for", "parse_header"]

_SEGMENT_END: Final = re.compile(rb"[\r\n]")
_USUAL: Final = b"^~\\&"
_LONGEST_TEXT: Final = 200
_NOTHING: Final = [b""] * 17

# Table 0211 of HL7, without the sets that MLLP cannot carry (UTF-16, UTF-32).
_CHARSETS: Final = {
    "ASCII": "ascii",
    **{f"8859/{n}": f"iso8859-{n}" for n in (*range(1, 12), 13, 14, 15, 16)},
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
}
_JAPANESE: Final = frozenset({"ISO IR14", "ISO IR87", "ISO IR159"})


class Header(NamedTuple):
    """The fields of MSH.

    Attributes:
        separator: MSH-1, what stands between fields.
        fields: MSH-2 and those behind it.
        message_type: type and event (`ADT^A01`), or the type alone.
    """

    separator: bytes
    fields: list[bytes]
    message_type: str = ""

    def field(self, number: int) -> bytes:
        """MSH-`number`, from 2 on; empty where there is none."""
        return self.fields[number - 2] if number - 2 < len(self.fields) else b""

    def text(self, number: int, encoding: str = "utf-8") -> str:
        """The same as text; what is not in the encoding is replaced."""
        return self.field(number).decode(encoding, "replace")


def parse_header(content: bytes) -> Header:
    """The header of a message.

    Raises:
        DecodeError: it does not begin with one.
    """
    if not content.startswith(b"MSH"):
        content = content.removeprefix(codecs.BOM_UTF8).lstrip()
        if not content.startswith(b"MSH"):
            raise DecodeError("an HL7 message", "it does not begin with MSH", content)
    line = _SEGMENT_END.split(content, maxsplit=1)[0]
    separator = line[3:4]
    if not separator or separator.isalnum() or separator.isspace():
        raise DecodeError("an HL7 message", "MSH names no separator", content)
    fields = line.split(separator)[1:]
    if not fields or not fields[0]:
        raise DecodeError("an HL7 message", "MSH-2 is empty", content)
    kind = fields[7] if len(fields) > 7 else b""
    return Header(separator, fields, _type_of(kind, fields[0][:1]))


def _type_of(field: bytes, component: bytes) -> str:
    parts = [part.strip() for part in field.split(component)[:2]]
    return b"^".join(filter(None, parts)).decode("utf-8", "replace")


def charset(header: Header, default: str) -> str:
    """The encoding that MSH-18 names, as Python calls it; else the default."""
    named = header.field(18)
    if not named:
        return default
    repeat = header.fields[0][1:2].decode("latin-1") or "~"
    sets = [name.strip().upper() for name in header.text(18).split(repeat)]
    if not _JAPANESE.isdisjoint(sets):
        return "iso2022_jp_ext"
    return _CHARSETS.get(sets[0], default)


# Answers


def code_for(header: Header | None, code: str, *, enhanced: bool) -> str:
    """The code of MSA-1 in the mode that the sender asks for; empty for no answer.

    Args:
        code: `AA`, `AE` or `AR`.
        enhanced: go by MSH-15 and MSH-16, which ask for acknowledgements of the
            commit (`CA`, `CE`, `CR`), of the application, or for none.
    """
    commit = header.text(15).strip().upper() if header and enhanced else ""
    application = header.text(16).strip().upper() if header and enhanced else ""
    if commit and commit != "NE":
        return f"C{code[1]}" if _is_wanted(commit, code) else ""
    if commit or application:
        return code if _is_wanted(application, code) else ""
    return code


def _is_wanted(condition: str, code: str) -> bool:
    if condition == "ER":
        return code != "AA"
    if condition == "SU":
        return code == "AA"
    return condition not in ("", "NE")


def acknowledgement(
    header: Header | None, code: str, text: str = "", encoding: str = "utf-8"
) -> bytes:
    """The message that answers one with this header.

    Args:
        header: None where it had none.
        code: MSA-1.
        text: MSA-3, the reason for people.
        encoding: of the text.
    """
    if header is None:
        header = Header(b"|", [_USUAL])
    # MSH-1 to MSH-18, MSH-n at n - 1.
    came = [b"", *header.fields[:17], *_NOTHING[len(header.fields) :]]
    marks = came[1]
    trigger = header.message_type.partition("^")[2].encode()
    fields = [
        b"MSH",
        marks,
        came[4],
        came[5],
        came[2],
        came[3],
        _moment(clock.now() // TICKS_PER_SECOND),
        b"",
        b"ACK%b%b" % (marks[:1], trigger) if trigger else b"ACK",
        _control_id(),
        came[10] or b"P",
        came[11] or b"2.5",
    ]
    if came[16] or came[17]:
        fields += [b"", b"", b"", b"", came[16]]
    if came[17]:
        fields.append(came[17])
    answer = [b"MSA", code.encode(), came[9]]
    if text:
        answer.append(_escaped(text, header).encode(encoding, "replace"))
    join = header.separator.join
    return b"%b\r%b\r" % (join(fields), join(answer))


@lru_cache(2)
def _moment(second: int) -> bytes:
    moment = datetime_from_ticks(second * TICKS_PER_SECOND)
    return f"{moment:%Y%m%d%H%M%S}+0000".encode()


def _control_id() -> bytes:
    """Twenty characters, as many as MSH-10 may have in every version."""
    made = new_uuid()
    return f"{made[:12]}{made[13:16]}{made[19:24]}".encode()


def _escaped(text: str, header: Header) -> str:
    """Text that has none of the separators, on one line."""
    marks = header.fields[0].decode("latin-1")
    escape = marks[2:3] or "\\"
    names = dict(zip(marks, "SRET", strict=False))
    names[header.separator.decode("latin-1")] = "F"
    names[escape] = "E"
    shown = text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 3]}..."
    return "".join(
        f"{escape}{names[c]}{escape}" if c in names else c if c >= " " else " "
        for c in shown
    )
