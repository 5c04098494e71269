"""WebID 2.0: what PI's object ids are made of, both ways.

A WebID is `<format><version><kind>[owner]`, then ids and a path in URL-safe
base64 without padding, each in a run of its own. With the ids at hand a WebID is
made without asking the server; a rename changes only the formats with a path.
"""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec

from pichannels.errors import DecodeError
from pichannels.piwebasync.exceptions import APIException

__all__ = [
    "FORMATS",
    "KINDS",
    "Kind",
    "WebId",
    "decode",
    "path_in",
    "point_web_id",
    "upper",
]

FORMATS: Final = {
    "Full": "F",
    "IDOnly": "I",
    "PathOnly": "P",
    "LocalIDOnly": "L",
    "DefaultIDOnly": "D",
}
"""PI's `webIdType` and the letter that stands for it."""

_FORMAT_OF: Final = {letter: name for name, letter in FORMATS.items()}
_WITH_PATH: Final = ("Full", "PathOnly")
_UNUSUAL: Final = "its parts are written in an unusual way"
_GUID_CHARS: Final = 22
_INT_CHARS: Final = 6
# .NET's invariant upper case keeps what has no single capital, and these.
_KEPT: Final = frozenset("ıſ")


class Kind(msgspec.Struct, frozen=True):
    """How the WebIDs of one kind of object are laid out."""

    marker: str
    name: str
    ids: tuple[str, ...]
    """The ids in order; the first is the server or the asset system."""
    owners: str = ""
    """Letters for what owns the object; one of them follows the marker."""
    integer: bool = False
    """Whether the last id is an Int32 instead of a GUID."""


KINDS: Final = {
    kind.marker: kind
    for kind in (
        Kind("DS", "data server", ("server",)),
        Kind("DP", "point", ("server", "point"), integer=True),
        Kind("RS", "asset server", ("system",)),
        Kind("RD", "asset database", ("system", "database")),
        Kind("Em", "element", ("system", "element")),
        Kind("Fm", "event frame", ("system", "event frame")),
        Kind("Ab", "attribute", ("system", "owner", "attribute"), owners="EFT"),
        Kind("MS", "enumeration set", ("system", "set"), owners="RD"),
    )
}
"""The known kinds by their marker."""


class WebId(msgspec.Struct, frozen=True):
    """The parts of a WebID.

    `ids` are GUIDs (of a point the last is its number); they are empty in
    `PathOnly`, and lack the first in `LocalIDOnly` and `DefaultIDOnly`. `path` is
    upper case, without the leading backslashes, and empty in the id formats.
    """

    format: str
    kind: str
    ids: tuple[UUID | int, ...] = ()
    path: str = ""
    owner: str = ""

    def encode(self) -> str:
        """The WebID as PI writes it.

        Raises:
            APIException: the parts do not make a WebID of this format.
        """
        kind = _check(self)
        head = f"{FORMATS[self.format]}1{self.kind}{self.owner}"
        ids = "".join(
            _base64(_id_bytes(one, kind, last=number == len(self.ids)))
            for number, one in enumerate(self.ids, 1)
        )
        path = upper(self.path.removeprefix("\\\\"))
        return head + ids + _base64(path.encode())


def point_web_id(
    server: UUID | str, point: int, path: str = "", format: str = "Full"
) -> str:
    r"""The WebID of a PI point by its server's GUID, its number and `\\SRV\TAG`.

    Raises:
        APIException: these do not make a WebID of this format.
    """
    path = path if format in _WITH_PATH else ""
    ids: tuple[UUID | int, ...] = (UUID(str(server)), point)
    if format == "PathOnly":
        ids = ()
    elif format in ("LocalIDOnly", "DefaultIDOnly"):
        ids = ids[1:]
    return WebId(format, "DP", ids, path).encode()


def decode(web_id: str) -> WebId:
    """The parts of `web_id`.

    Raises:
        DecodeError: this is no WebID 2.0 of a kind that is known here.
    """
    format = _FORMAT_OF.get(web_id[:1])
    kind = KINDS.get(web_id[2:4])
    if format is None or web_id[1:2] != "1" or kind is None:
        raise DecodeError("a WebID", "its format, version or kind is unknown", web_id)
    start = 5 if kind.owners else 4
    owner = web_id[4:start]
    if kind.owners and (not owner or owner not in kind.owners):
        raise DecodeError("a WebID", f"no {kind.name} is owned by {owner!r}", web_id)
    try:
        return _parts(web_id[start:], format, kind, owner)
    except (ValueError, struct.error) as exc:
        raise DecodeError("a WebID", str(exc), web_id) from exc


def path_in(web_id: str) -> str:
    r"""The path in a WebID of the formats Full and PathOnly, or "".

    It is upper case and begins with `\\`.
    """
    try:
        path = decode(web_id).path
    except DecodeError:
        return ""
    return "\\\\" + path.removeprefix("\\\\") if path else ""


def upper(path: str) -> str:
    """Upper case by the invariant rules of .NET: one letter for one letter."""
    return "".join(map(_capital, path))


def _capital(char: str) -> str:
    capital = char.upper()
    kept = len(capital) > 1 or char in _KEPT or char > "\uffff"
    return char if kept else capital


def _id_count(format: str, kind: Kind) -> int:
    if format == "PathOnly":
        return 0
    without_first = format in ("LocalIDOnly", "DefaultIDOnly")
    return len(kind.ids) - without_first


def _check(web_id: WebId) -> Kind:
    kind = KINDS.get(web_id.kind)
    if kind is None or web_id.format not in FORMATS:
        raise APIException(f"no WebID of format {web_id.format}, kind {web_id.kind!r}")
    count = _id_count(web_id.format, kind)
    if len(web_id.ids) != count:
        raise APIException(
            f"a {web_id.format} WebID of a {kind.name} takes {count} ids"
            f" ({', '.join(kind.ids)}), not {len(web_id.ids)}"
        )
    if bool(web_id.path) != (web_id.format in _WITH_PATH):
        raise APIException(
            f"a path belongs into Full and PathOnly WebIDs only, not {web_id.format}"
        )
    if len(web_id.owner) != bool(kind.owners) or web_id.owner not in kind.owners:
        raise APIException(f"no {kind.name} is owned by {web_id.owner!r}")
    return kind


def _id_bytes(found: UUID | int, kind: Kind, *, last: bool) -> bytes:
    if isinstance(found, UUID):
        if not (last and kind.integer):
            return found.bytes_le
    elif last and kind.integer and -(2**31) <= found < 2**31:
        return struct.pack("<i", found)
    raise APIException(f"{found!r} is no id of a {kind.name}")


def _parts(text: str, format: str, kind: Kind, owner: str) -> WebId:
    count = _id_count(format, kind)
    ids: list[UUID | int] = []
    for number in range(count):
        if kind.integer and number == count - 1:
            part, text = text[:_INT_CHARS], text[_INT_CHARS:]
            ids += struct.unpack("<i", _unbase64(part))
        else:
            part, text = text[:_GUID_CHARS], text[_GUID_CHARS:]
            ids.append(_guid(part))
    path = _unbase64(text).decode()
    has_path = format in _WITH_PATH
    if bool(path) != has_path or path != upper(path.removeprefix("\\\\")):
        raise ValueError(_UNUSUAL)
    return WebId(format, kind.marker, tuple(ids), path, owner)


@lru_cache(maxsize=4096)
def _guid(text: str) -> UUID:
    # All points of a server share one, all elements of a template others.
    return UUID(bytes_le=_unbase64(text))


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _base64(data) != text:
        raise ValueError(_UNUSUAL)
    return data
