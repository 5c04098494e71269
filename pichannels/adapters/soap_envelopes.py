"""Envelopes of SOAP 1.1 and 1.2: taken apart, and made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, NamedTuple
from xml.etree.ElementTree import Element

from pichannels.adapters.xml_documents import (
    element_to_plain,
    parse_element,
    write_xml,
)
from pichannels.errors import DecodeError, Rejected

__all__ = [
    "Code",
    "Envelope",
    "Refused",
    "Version",
    "content_type_of",
    "parse_envelope",
    "write_envelope",
    "write_fault",
]

Version = Literal["1.1", "1.2"]
Code = Literal["Sender", "Receiver", "VersionMismatch", "MustUnderstand"]

_NAMESPACES: Final[dict[Version, str]] = {
    "1.1": "http://schemas.xmlsoap.org/soap/envelope/",
    "1.2": "http://www.w3.org/2003/05/soap-envelope",
}
_CONTENT_TYPES: Final[dict[Version, str]] = {
    "1.1": "text/xml",
    "1.2": "application/soap+xml",
}
_CODES_OF_11: Final = {"Sender": "Client", "Receiver": "Server"}


class Refused(Rejected):
    """The envelope is not taken; `code` is that of the fault which says so."""

    def __init__(self, code: Code, reason: str) -> None:
        self.code: Code = code
        super().__init__(reason)


class Envelope(NamedTuple):
    """What an envelope has, without namespaces.

    Attributes:
        version: of SOAP.
        operation: name of the first element in the body; empty for an empty body.
        namespace: of that element.
        content: of that element; where there are several, a dict of all.
        header: the header's entries, by their names.
    """

    version: Version
    operation: str
    namespace: str
    content: Any
    header: dict[str, Any]


def content_type_of(version: Version) -> str:
    """The media type of an envelope."""
    return _CONTENT_TYPES[version]


def parse_envelope(document: Any, understands: Collection[str] = ()) -> Envelope:
    """Take an envelope apart.

    Args:
        understands: names of header entries that may say that they must be
            understood.

    Raises:
        Refused: it is none, or has a header entry that must be understood.
    """
    try:
        root = parse_element(document)
    except DecodeError as exc:
        raise Refused("Sender", f"this is no envelope: {exc.reason}") from exc
    version = _version_of(root)
    space = f"{{{_NAMESPACES[version]}}}"
    header = root.find(f"{space}Header")
    body = root.find(f"{space}Body")
    if body is None:
        raise Refused("Sender", "the envelope has no body")
    entries = [] if header is None else list(header)
    _refuse_unknown(entries, space, understands)
    plain = element_to_plain(body)
    children = list(body)
    first = children[0] if children else Element("")
    content = element_to_plain(first) if len(children) == 1 else plain
    return Envelope(
        version,
        _local(first.tag),
        first.tag[1:].partition("}")[0] if first.tag.startswith("{") else "",
        content if children else None,
        {_local(entry.tag): element_to_plain(entry) for entry in entries},
    )


def _version_of(root: Element) -> Version:
    for version, namespace in _NAMESPACES.items():
        if root.tag == f"{{{namespace}}}Envelope":
            return version
    if _local(root.tag) == "Envelope":
        raise Refused("VersionMismatch", "the envelope is neither of SOAP 1.1 nor 1.2")
    raise Refused("Sender", f"this is no envelope, but {_local(root.tag)!r}")


def _refuse_unknown(
    entries: list[Element], space: str, understands: Collection[str]
) -> None:
    for entry in entries:
        must = entry.get(f"{space}mustUnderstand", "0").strip() in ("1", "true")
        name = _local(entry.tag)
        if must and name not in understands:
            raise Refused("MustUnderstand", f"header entry {name} is not understood")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def write_envelope(
    version: Version,
    content: Any,
    operation: str,
    namespace: str = "",
    header: Mapping[str, Any] | None = None,
) -> str:
    """An envelope whose body has one element.

    Args:
        content: of that element: a dict, a text, None, ...
        operation: its name.
        namespace: of that element.
        header: entries by their names.

    Raises:
        CodecError: that cannot be written.
    """
    if not namespace:
        inner = content
    elif isinstance(content, Mapping):
        inner = {"@xmlns": namespace, **content}
    else:
        inner = {"@xmlns": namespace, "#text": content}
    return _written(version, {operation: inner}, header)


def _written(
    version: Version, body: Mapping[str, Any], header: Mapping[str, Any] | None = None
) -> str:
    envelope: dict[str, Any] = {"@xmlns:soap": _NAMESPACES[version]}
    if header:
        envelope["soap:Header"] = header
    envelope["soap:Body"] = body
    return write_xml({"soap:Envelope": envelope})


def write_fault(version: Version, code: Code, reason: str) -> str:
    """An envelope that tells what went wrong."""
    reason = "".join(c if c.isprintable() else " " for c in reason)
    if version == "1.1":
        name = _CODES_OF_11.get(code, code)
        fault: dict[str, Any] = {"faultcode": f"soap:{name}", "faultstring": reason}
    else:
        text = {"@xml:lang": "en", "#text": reason}
        fault = {
            "soap:Code": {"soap:Value": f"soap:{code}"},
            "soap:Reason": {"soap:Text": text},
        }
    return _written(version, {"soap:Fault": fault})
