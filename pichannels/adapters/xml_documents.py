"""XML by xmltodict and defusedxml, which the extra `xml` brings.

What comes from outside is first looked through by defusedxml: entities, and whatever
else makes a small document a large one or reads files, are refused.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from typing import Any, Final, NoReturn
from xml.etree.ElementTree import Element, ParseError
from xml.sax import SAXException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import InputSource

from pichannels.errors import CodecError, DecodeError, SettingsError

try:
    import defusedxml
    import defusedxml.ElementTree
    import xmltodict
    from defusedxml.expatreader import create_parser
except ImportError:
    defusedxml = None  # type: ignore[assignment,unused-ignore]

__all__ = ["element_to_plain", "needs_xml", "parse_element", "parse_xml", "write_xml"]

_DEEPEST: Final = 200
"""How deep elements may be nested; what is deeper cannot be copied or stored."""


def needs_xml() -> None:
    """Look whether the libraries are there.

    Raises:
        SettingsError: they are not installed.
    """
    if defusedxml is None:
        raise SettingsError("XML needs the extra `xml`: pip install 'pichannels[xml]'")


class _Depth(ContentHandler):
    """Refuses what is nested too deeply."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def startElement(self, name: str, attrs: Any) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise SAXException(f"elements are nested more than {_DEEPEST} deep")

    def endElement(self, name: str) -> None:
        self._depth -= 1


def _looked_through(document: Any) -> bytes:
    """The document as bytes, when it is well-formed and harmless.

    Raises:
        DecodeError: it is not.
    """
    source = InputSource()
    if isinstance(document, str):
        # What it says of its encoding was true of the bytes that it was once.
        document = document.encode("utf-8", "surrogatepass")
        source.setEncoding("utf-8")
    if not isinstance(document, bytes | bytearray | memoryview):
        raise DecodeError("XML", f"the payload is {type(document).__name__}")
    raw = bytes(document)
    source.setByteStream(io.BytesIO(raw))
    parser = create_parser()
    parser.setContentHandler(_Depth())
    try:
        parser.parse(source)
    except Exception as exc:
        _refuse(exc, raw)
    return raw


def _refuse(exc: Exception, raw: bytes) -> NoReturn:
    if isinstance(exc, defusedxml.DefusedXmlException):
        kind = type(exc).__name__.removesuffix("Forbidden")
        reason = f"{_REFUSED.get(kind, kind)} are refused"
        raise DecodeError("XML", reason, raw) from exc
    if isinstance(exc, SAXException | ParseError | ValueError | LookupError):
        raise DecodeError("XML", str(exc).removeprefix("<unknown>:"), raw) from exc
    raise exc


_REFUSED: Final = {
    "DTD": "document types",
    "Entities": "entities",
    "ExternalReference": "references to other documents",
}


def parse_xml(
    document: bytes | str,
    *,
    process_namespaces: bool = False,
    force_list: Collection[str] = (),
) -> Any:
    """A document as xmltodict has it: dicts, lists, texts and None.

    Args:
        process_namespaces: put the namespace before each name.
        force_list: names of elements that are lists even where there is only one.

    Raises:
        DecodeError: it is not XML, or has what is refused.
    """
    raw = _looked_through(document)
    try:
        return xmltodict.parse(
            raw,
            encoding="utf-8" if isinstance(document, str) else None,
            process_namespaces=process_namespaces,
            force_list=tuple(force_list) or None,
        )
    except Exception as exc:
        raise DecodeError("XML", str(exc), raw) from exc


def write_xml(document: Any, *, encoding: str = "utf-8", pretty: bool = False) -> str:
    """The text of a document as `parse_xml` gives it.

    Args:
        encoding: what the document says that it is in.

    Raises:
        CodecError: that cannot be written.
    """
    if not isinstance(document, Mapping):
        raise CodecError(f"XML is written from a dict, not {type(document).__name__}")
    try:
        text: str = xmltodict.unparse(document, encoding=encoding, pretty=pretty)
    except Exception as exc:
        raise CodecError(f"this cannot be written as XML: {exc}") from exc
    return text


# Elements


def parse_element(document: bytes | str) -> Element:
    """The root of a document, with namespaces in names (`{...}name`).

    Raises:
        DecodeError: it is not XML, or has what is refused.
    """
    raw = _looked_through(document)
    text = raw.decode("utf-8", "replace") if isinstance(document, str) else raw
    try:
        found: Element = defusedxml.ElementTree.fromstring(text)
    except (ParseError, ValueError, defusedxml.DefusedXmlException) as exc:
        raise DecodeError("XML", str(exc), raw) from exc
    return found


def element_to_plain(element: Element) -> Any:
    """An element without namespaces, in the shape of `parse_xml`."""
    found: dict[str, Any] = {
        f"@{_local(name)}": value for name, value in element.attrib.items()
    }
    for child in element:
        name, value = _local(child.tag), element_to_plain(child)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    text = (element.text or "").strip()
    if not found:
        return text or None
    if text:
        found["#text"] = text
    return found


def _local(name: str) -> str:
    return name.rpartition("}")[2]
