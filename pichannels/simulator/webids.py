"""WebID 2.0 of data servers, points and AF objects, written and read.

``F1DP`` + server GUID + point id + path is the full form; ``I`` leaves out the
path, ``P`` keeps only the path, ``L`` has the id alone, ``D`` the id within the
default server. AF objects have GUIDs: of the AF server, and their own; an
attribute has that of its element between them.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Sequence
from typing import Final

import msgspec

from pichannels.errors import UsageError

__all__ = [
    "WEB_ID_TYPES",
    "Reference",
    "WebIdError",
    "object_web_id",
    "point_web_id",
    "read_web_id",
    "server_web_id",
]

WEB_ID_TYPES: Final = ("Full", "IDOnly", "PathOnly", "LocalIDOnly", "DefaultIDOnly")
"""The values of the parameter `webIdType`; the first letter begins the WebID."""

_GUID = 22
_POINT = 6
_OBJECTS: Final = {"RS": 1, "RD": 2, "Em": 2, "Ab": 3}
"""How many GUIDs the WebIDs of AF objects have."""


class WebIdError(UsageError):
    """The text is no WebID of a kind that the simulator has."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"The specified WebId '{text}' is not valid.")


class Reference(msgspec.Struct, frozen=True):
    """What a WebID points to: by ids, by `path`, or by `server` alone.

    `ids` are the GUIDs of an AF object below its server: of the database, of the
    element, or of the element and its attribute.
    """

    marker: str
    server: uuid.UUID | None = None
    point_id: int | None = None
    path: str | None = None
    ids: tuple[uuid.UUID, ...] = ()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _data(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError) as exc:
        raise WebIdError(text) from exc


def _path(path: str) -> str:
    return _text(path.lstrip("\\").upper().encode())


def server_web_id(server: uuid.UUID, name: str, form: str = "Full") -> str:
    """The WebID of a data server."""
    guid = "" if form in ("PathOnly", "DefaultIDOnly") else _text(server.bytes_le)
    path = _path(name) if form in ("Full", "PathOnly") else ""
    return f"{form[0]}1DS{guid}{path}"


def point_web_id(
    server: uuid.UUID, point_id: int, path: str, form: str = "Full"
) -> str:
    """The WebID of a point."""
    parts = [form[0], "1DP"]
    if form in ("Full", "IDOnly"):
        parts.append(_text(server.bytes_le))
    if form != "PathOnly":
        parts.append(_text(point_id.to_bytes(4, "little", signed=True)))
    if form in ("Full", "PathOnly"):
        parts.append(_path(path))
    return "".join(parts)


def object_web_id(
    marker: str, ids: Sequence[uuid.UUID], path: str, form: str = "Full"
) -> str:
    """The WebID of an AF object; the first of `ids` is that of the AF server."""
    known = {"Full": ids, "IDOnly": ids, "PathOnly": ()}.get(form, ids[1:])
    guids = "".join(_text(one.bytes_le) for one in known)
    shown = _path(path) if form in ("Full", "PathOnly") else ""
    return f"{form[0]}1{marker}{guids}{shown}"


def read_web_id(text: str) -> Reference:
    """What the WebID points to; the path of a full one is not read.

    Raises:
        WebIdError: the text is no WebID of a kind that the simulator has.
    """
    form, marker, rest = text[:1], text[2:4], text[4:]
    known = marker in ("DP", "DS") or marker in _OBJECTS
    if not form or form not in "FIPLD" or text[1:2] != "1" or not known:
        raise WebIdError(text)
    try:
        if marker in _OBJECTS:
            return _read_object(form, marker, rest)
        return _read(form, marker, rest)
    except (WebIdError, ValueError) as exc:
        raise WebIdError(text) from exc


def _read_object(form: str, marker: str, rest: str) -> Reference:
    if marker == "Ab":
        if rest[:1] != "E":
            raise ValueError("only elements have attributes here")
        rest = rest[1:]
    if form == "P":
        return Reference(marker, path=_data(rest).decode())
    count = _OBJECTS[marker] - (form in "LD")
    ids = [
        uuid.UUID(bytes_le=_data(rest[_GUID * n : _GUID * (n + 1)]))
        for n in range(count)
    ]
    server = None if form in "LD" else ids.pop(0)
    return Reference(marker, server, ids=tuple(ids))


def _read(form: str, marker: str, rest: str) -> Reference:
    if form == "P":
        return Reference(marker, path=_data(rest).decode())
    server = None
    if form in "FI" or (form == "L" and marker == "DS"):
        server, rest = uuid.UUID(bytes_le=_data(rest[:_GUID])), rest[_GUID:]
    if marker == "DS":
        return Reference(marker, server)
    raw = _data(rest[:_POINT])
    if len(raw) != 4:
        raise ValueError("a point id has four bytes")
    return Reference(marker, server, int.from_bytes(raw, "little", signed=True))
