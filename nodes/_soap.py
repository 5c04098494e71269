"""SOAP envelopes, taken apart and made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pichannels.adapters.soap_envelopes import parse_envelope
from pichannels.adapters.xml_documents import needs_xml
from pichannels.message import Message
from pichannels.node import BaseNode

__all__ = ["SOAP"]


class SOAP(BaseNode):
    """What a SOAP envelope (1.1 or 1.2) carries.

    The payload becomes the content of the element in the body, in the shape of
    `decode.XML` and without namespaces. `meta` gets `soap_version`, `soap_operation`
    (the name of that element), `soap_namespace`, and `soap_header`, the entries of
    the header by their names. Needs the extra `xml`.

    Args:
        understands: names of header entries that may say that they must be
            understood; others that say so are refused.
        options: those of every node.

    Raises:
        Rejected: this is no envelope, or must be understood and is not.
        SettingsError: the extra is not installed.
    """

    changes: ClassVar = frozenset({"content_type", "meta", "payload"})

    def __init__(self, understands: Sequence[str] = (), **options: Any) -> None:
        super().__init__(**options)
        needs_xml()
        self.understands = frozenset(understands)

    def process(self, msg: Message) -> Message:
        envelope = parse_envelope(msg.payload, self.understands)
        msg.meta["soap_version"] = envelope.version
        msg.meta["soap_operation"] = envelope.operation
        msg.meta["soap_namespace"] = envelope.namespace
        msg.meta["soap_header"] = envelope.header
        msg.payload = envelope.content
        msg.content_type = "application/python"
        return msg
