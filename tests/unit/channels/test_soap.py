"""SOAP over HTTP: envelopes taken apart, answers and faults in envelopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from nodes import decode, encode, python
from pichannels.adapters.soap_envelopes import Refused, parse_envelope, write_fault
from pichannels.adapters.xml_documents import parse_xml
from pichannels.channels.soap import SOAPChannel
from pichannels.endpoints.http import HTTPEndpoint
from pichannels.errors import CodecError, Dropped, Rejected, RetryLater
from pichannels.message import Message
from pichannels.node import BaseNode

SPACES = {
    "1.1": "http://schemas.xmlsoap.org/soap/envelope/",
    "1.2": "http://www.w3.org/2003/05/soap-envelope",
}
TYPES = {"1.1": "text/xml", "1.2": "application/soap+xml"}
PING = '<p:Ping xmlns:p="urn:plant"><p:unit id="7">K</p:unit><p:n>1</p:n></p:Ping>'
each_version = pytest.mark.parametrize("version", SPACES)


def envelope(version: str, body: str = PING, header: str = "") -> str:
    head = f"<s:Header>{header}</s:Header>" if header else ""
    return (
        f'<s:Envelope xmlns:s="{SPACES[version]}">{head}<s:Body>{body}</s:Body>'
        "</s:Envelope>"
    )


async def ask(
    *nodes: BaseNode, data: str, kind: str = "text/xml"
) -> tuple[int, str, str, aiohttp.typedefs.LooseHeaders]:
    """Status, content type, body and headers of the answer."""
    endpoint = HTTPEndpoint(port=0)
    channel = SOAPChannel("soap", endpoint=endpoint, url="/ws")
    channel.add(*nodes)
    await channel.start()
    try:
        async with (
            aiohttp.ClientSession(endpoint.url) as session,
            session.post("/ws", data=data, headers={"Content-Type": kind}) as answer,
        ):
            text = await answer.text()
            return answer.status, answer.content_type, text, answer.headers
    finally:
        await channel.stop()


# Envelopes


@each_version
def test_an_envelope_is_taken_apart(version: str) -> None:
    header = '<w:Trace xmlns:w="urn:w">1</w:Trace>'
    msg = decode.SOAP().process(Message(payload=envelope(version, header=header)))
    assert msg.payload == {"unit": {"@id": "7", "#text": "K"}, "n": "1"}
    assert msg.meta == {
        "soap_version": version,
        "soap_operation": "Ping",
        "soap_namespace": "urn:plant",
        "soap_header": {"Trace": "1"},
    }


@pytest.mark.parametrize(
    ("body", "operation", "content"),
    [("", "", None), ("<A/>", "A", None), ("<A>1</A><B/>", "A", {"A": "1", "B": None})],
)
def test_a_body_may_have_any_number_of_elements(
    body: str, operation: str, content: Any
) -> None:
    found = parse_envelope(envelope("1.1", body))
    assert (found.operation, found.content) == (operation, content)


MUST = '<w:Security xmlns:w="urn:w" s:mustUnderstand="1"/>'
BOMB = '<!DOCTYPE a [<!ENTITY x "y">]>'


@pytest.mark.parametrize(
    ("document", "code", "told"),
    [
        ("nothing", "Sender", "this is no envelope: "),
        ("<a/>", "Sender", "this is no envelope, but 'a'"),
        (BOMB + envelope("1.1"), "Sender", "entities are refused"),
        ('<Envelope xmlns="urn:x"/>', "VersionMismatch", "neither of SOAP 1.1 nor"),
        (f'<Envelope xmlns="{SPACES["1.1"]}"/>', "Sender", "has no body"),
        (envelope("1.2", header=MUST), "MustUnderstand", "Security is not understood"),
    ],
)
def test_what_is_not_taken_says_why(document: str, code: str, told: str) -> None:
    with pytest.raises(Refused, match=told) as caught:
        decode.SOAP().process(Message(payload=document))
    assert caught.value.code == code


def test_header_entries_that_are_understood_are_taken() -> None:
    node = decode.SOAP(understands=["Security"])
    msg = node.process(Message(payload=envelope("1.1", header=MUST)))
    assert list(msg.meta["soap_header"]) == ["Security"]


@each_version
def test_an_envelope_is_made_for_a_request(version: Any) -> None:
    node = encode.SOAP("Ping", "urn:plant", version, header={"Trace": "1"})
    msg = node.process(Message(payload={"n": "<1>"}))
    found = parse_envelope(msg.payload)
    assert (found.version, found.operation, found.namespace, found.content) == (
        version,
        "Ping",
        "urn:plant",
        {"n": "<1>"},
    )
    assert (found.header, msg.content_type) == ({"Trace": "1"}, TYPES[version])


def test_an_envelope_is_made_for_an_answer() -> None:
    msg = decode.SOAP().process(Message(payload=envelope("1.2")))
    msg.payload = "pong"
    found = parse_envelope(encode.SOAP().process(msg).payload)
    assert (found.version, found.operation, found.content) == (
        "1.2",
        "PingResponse",
        "pong",
    )


def test_what_cannot_stand_in_an_envelope_is_told() -> None:
    with pytest.raises(CodecError, match="cannot be written as XML"):
        encode.SOAP("not a name").process(Message(payload={}))


def test_a_fault_may_have_any_reason() -> None:
    found = parse_xml(write_fault("1.1", "Sender", "a<b\x00\n"))
    assert found["soap:Envelope"]["soap:Body"]["soap:Fault"]["faultstring"] == "a<b"


# Answers


def number(payload: Any) -> Any:
    return {"n": int(payload["n"]) + 1}


@each_version
async def test_the_result_is_answered_in_an_envelope(version: str) -> None:
    nodes = decode.SOAP(), python.Function(number)
    status, kind, text, _ = await ask(*nodes, data=envelope(version))
    found = parse_envelope(text)
    assert (status, kind, found.version) == (200, TYPES[version], version)
    assert (found.operation, found.namespace, found.content) == (
        "PingResponse",
        "urn:plant",
        {"n": "2"},
    )


async def test_an_envelope_that_a_node_made_is_answered_as_it_is() -> None:
    nodes = decode.SOAP(), python.Function(number), encode.SOAP("Pong", "")
    _, kind, text, _ = await ask(*nodes, data=envelope("1.1"))
    assert (kind, parse_envelope(text).operation) == ("text/xml", "Pong")


def fails(error: Exception) -> Callable[[Any], Any]:
    def fail(payload: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("version", "error", "status", "code", "reason"),
    [
        ("1.1", Rejected("no such unit"), 500, "soap:Client", "no such unit"),
        ("1.2", Rejected("no such unit"), 400, "soap:Sender", "no such unit"),
        ("1.1", ValueError("secret"), 500, "soap:Server", "the message failed"),
        ("1.2", ValueError("secret"), 500, "soap:Receiver", "the message failed"),
        ("1.2", RetryLater("busy"), 503, "soap:Receiver", "try again later"),
    ],
)
async def test_what_goes_wrong_is_a_fault(
    version: str, error: Exception, status: int, code: str, reason: str
) -> None:
    nodes = decode.SOAP(), python.Function(fails(error))
    found, kind, text, headers = await ask(*nodes, data=envelope(version))
    fault = parse_xml(text)["soap:Envelope"]["soap:Body"]["soap:Fault"]
    assert (found, kind, fault_of(fault)) == (status, TYPES[version], (code, reason))
    assert ("Retry-After" in headers) == (status == 503)


def fault_of(fault: Any) -> tuple[str, str]:
    if "faultcode" in fault:
        return fault["faultcode"], fault["faultstring"]
    return fault["soap:Code"]["soap:Value"], fault["soap:Reason"]["soap:Text"]["#text"]


async def test_what_is_no_envelope_is_a_fault_in_the_version_of_the_request() -> None:
    status, kind, text, _ = await ask(
        decode.SOAP(), data="nothing", kind="application/soap+xml"
    )
    assert (status, kind) == (400, "application/soap+xml")
    assert "this is no envelope" in text


async def test_an_answer_that_cannot_be_made_is_a_fault() -> None:
    nodes = decode.SOAP(), python.Function(lambda payload: {"no name": 1})
    status, _, text, _ = await ask(*nodes, data=envelope("1.1"))
    assert (status, "the answer cannot be made" in text) == (500, True)


async def test_a_request_that_is_dropped_has_no_answer() -> None:
    nodes = decode.SOAP(), python.Function(fails(Dropped("not ours")))
    status, _, text, _ = await ask(*nodes, data=envelope("1.1"))
    assert (status, text) == (202, "")
