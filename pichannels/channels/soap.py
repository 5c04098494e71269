"""The channel for SOAP: HTTP whose answers are envelopes, and faults."""

from __future__ import annotations

import logging
from typing import Any, Final

from aiohttp import web

from pichannels.adapters.soap_envelopes import (
    Code,
    Refused,
    Version,
    content_type_of,
    write_envelope,
    write_fault,
)
from pichannels.adapters.xml_documents import needs_xml
from pichannels.channels.http import HttpChannel
from pichannels.delivery import Outcome
from pichannels.endpoints.base import Listen
from pichannels.endpoints.http import HEADERS, HTTPEndpoint
from pichannels.errors import CodecError, TryAgain
from pichannels.message import Message
from pichannels.states import State

__all__ = ["SOAPChannel"]

logger: Final = logging.getLogger("pichannels.channels")

_SENDER_STATUS: Final[dict[Version, int]] = {"1.1": 500, "1.2": 400}


class SOAPChannel(HttpChannel):
    """Runs a message through its nodes for each SOAP request, and answers in SOAP.

    The payload is the envelope; `decode.SOAP` as the first node takes it apart. The
    result is put into an envelope of the same version, as `<operation>Response`; a
    text or bytes are one already, as `encode.SOAP` makes them.

    Dropped: 202. Rejected: a fault of the sender with the reason. Failed: a fault of
    the receiver, without what happened inside; 503 where it may come again later.
    What is answered before there is a message is not in SOAP: see `HttpChannel`.
    Needs the extra `xml`.

    Args:
        args: the name, and what every channel takes.
        endpoint: what listens; several channels share one.
        method: by default `POST`.
        url: the path.
        kwargs: those of `HttpChannel`, and of every channel.

    Raises:
        SettingsError: an option is not usable, or the extra is not installed.
    """

    def __init__(
        self,
        *args: Any,
        endpoint: HTTPEndpoint | Listen | None = None,
        method: str = "POST",
        url: str = "/",
        **kwargs: Any,
    ) -> None:
        needs_xml()
        super().__init__(*args, endpoint=endpoint, method=method, url=url, **kwargs)

    def answer(self, outcome: Outcome, msg: Message) -> web.Response:
        version = _version_of(outcome.message, msg)
        if outcome.state is State.DROPPED:
            return web.Response(status=202, headers=HEADERS)
        if outcome.state is State.PROCESSED:
            return self._in_envelope(outcome, msg, version)
        if outcome.state is State.REJECTED:
            error = outcome.error
            code: Code = error.code if isinstance(error, Refused) else "Sender"
            status = 500 if code != "Sender" else _SENDER_STATUS[version]
            return _fault(version, status, code, str(error) or "rejected")
        # Status and headers are those of HTTP.
        told = super().answer(outcome, msg)
        can_wait = isinstance(outcome.error, TryAgain)
        reason = "try again later" if can_wait else "the message failed"
        answer = _fault(version, told.status, "Receiver", reason)
        if can_wait:
            answer.headers["Retry-After"] = told.headers["Retry-After"]
        return answer

    def _in_envelope(
        self, outcome: Outcome, msg: Message, version: Version
    ) -> web.Response:
        result = outcome.message
        if not isinstance(result.payload, str | bytes | bytearray | memoryview):
            try:
                _put_in_envelope(result, version)
            except CodecError as exc:
                logger.error("%s: %s has no answer: %s", self.name, msg.uuid, exc)
                told = "the answer cannot be made"
                return _fault(version, 500, "Receiver", told)
        return super().answer(outcome, msg)


def _version_of(result: Message, msg: Message) -> Version:
    """That of the request, as far as it is known."""
    for found in (result, msg):
        version: Version | None = found.meta.get("soap_version")
        if version in _SENDER_STATUS:
            return version
    return "1.2" if msg.content_type == content_type_of("1.2") else "1.1"


def _put_in_envelope(result: Message, version: Version) -> None:
    meta = result.meta
    operation = f"{meta.get('soap_operation') or ''}Response"
    namespace = str(meta.get("soap_namespace") or "")
    result.payload = write_envelope(version, result.payload, operation, namespace)
    result.content_type = content_type_of(version)


def _fault(version: Version, status: int, code: Code, reason: str) -> web.Response:
    kind = f"{content_type_of(version)}; charset=utf-8"
    body = write_fault(version, code, reason).encode()
    headers = {**HEADERS, "Content-Type": kind}
    return web.Response(body=body, status=status, headers=headers)
