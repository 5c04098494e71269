"""Nodes that take from a message what pypeman's take from it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pichannels.errors import MessageError
from pichannels.pypeman import nodes
from pichannels.pypeman.contrib.http import HttpRequest
from pichannels.pypeman.message import Message
from pichannels.pypeman.registry import fresh


@pytest.mark.parametrize(
    ("meta", "subject", "sender"),
    [
        ({"recipients": "a@b.example"}, "No subject", "pypeman@localhost"),
        (
            {"recipients": ["a@b.example"], "subject": "S", "sender": "c@d.example"},
            "S",
            "c@d.example",
        ),
    ],
)
def test_mails_take_from_meta_what_is_not_given(
    meta: dict[str, Any], subject: str, sender: str
) -> None:
    with fresh():
        mail = nodes.Email(host="mail.example").encode(Message(payload="x", meta=meta))
    assert (mail["Subject"], mail["From"], mail["To"]) == (
        subject,
        sender,
        "a@b.example",
    )


def test_rows_keep_their_quotes_as_in_pypeman() -> None:
    with fresh():
        found = nodes.CSVstr2Python().process(Message(payload='a,"b"\n'))
    assert found.payload == [["a", '"b"']]


def test_patterns_of_file_names_have_times_and_the_uuid() -> None:
    msg = Message()
    found = nodes.get_context(msg, counter=3)
    assert (found["counter"], found["msg_uid"]) == (3, msg.uuid)
    assert found["msg_year"] == msg.timestamp.year


def test_functions_name_their_nodes_and_may_return_anything() -> None:
    msg = Message(payload="x")
    with fresh():
        made: list[Any] = [nodes.FuncNode(print), nodes.FuncNode(print)]
        made.append(nodes.MsgFuncNode(lambda m: m.meta.setdefault("a", 1)))
    assert [n.name for n in made[:2]] == ["FuncNode_print", "FuncNode_print_1"]
    assert made[0].process(msg).payload is None
    assert made[2].process(msg).meta == {"a": 1}


def test_nodes_of_every_kind_have_a_logger() -> None:
    with fresh():
        made = [nodes.ThreadNode(name="one"), nodes.Log(logger="plant")]
    assert [n.logger.name for n in made] == ["pichannels.nodes.one", "plant"]


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def answer(asked: web.Request) -> web.Response:
        text = f"{asked.method} {asked.path_qs} {asked.headers.get('X-Plant')}"
        return web.Response(text=text, status=404)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    found = TestServer(application)
    await found.start_server()
    yield found
    await found.close()


async def asked(node: HttpRequest, msg: Message) -> tuple[object, int]:
    try:
        result = await node.process(msg)
    finally:
        await node.stop()
    return result.payload, result.meta["status_code"]


async def test_requests_fill_urls_from_meta_and_take_any_answer(
    server: TestServer,
) -> None:
    with fresh():
        node = HttpRequest(
            url=str(server.make_url("/plants/")) + "%(plant)s/%(payload.n)s",
            params={"a": ["1", "2"], "b": lambda msg: msg.meta["plant"]},
            headers={"X-Plant": lambda msg: msg.meta["plant"]},
        )
    msg = Message(payload={"n": 7}, meta={"plant": "p1"})
    assert await asked(node, msg) == ("GET /plants/p1/7?a=1&a=2&b=p1 p1", 404)


async def test_requests_take_from_meta_what_is_not_given(server: TestServer) -> None:
    with fresh():
        node = HttpRequest()
    meta = {"url": str(server.make_url("/x")), "method": "post", "params": {"a": "1"}}
    assert await asked(node, Message(payload="", meta=meta)) == (
        "POST /x?a=1 None",
        404,
    )


async def test_a_request_without_url_fails_the_message() -> None:
    with fresh():
        node = HttpRequest()
    with pytest.raises(MessageError):
        await asked(node, Message())
