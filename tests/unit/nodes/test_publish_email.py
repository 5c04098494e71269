"""publish.Email: what is in a mail, how it is sent, and what is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from nodes import publish
from pichannels.channels import BaseChannel
from pichannels.delivery import Outcome
from pichannels.errors import SettingsError
from pichannels.message import Message
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from pichannels.values import Sample, Tag
from tests.integration.certificates import make_certificate
from tests.servers.mail import MailServer

# Of the server.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Requiring AUTH"),
    pytest.mark.filterwarnings("ignore:Session.login_data"),
]

LOGIN = ("plant", "open sesame")
SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.01)


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    server = MailServer()
    await server.start()
    yield server
    await server.stop()


def make(server: MailServer, **options: Any) -> publish.Email:
    defaults: dict[str, Any] = {
        "sender": "pi@plant.example",
        "recipients": "a@plant.example",
        "subject": "values",
        "retry": SOON,
    }
    return publish.Email("127.0.0.1", server.port, **(defaults | options))


async def send(node: publish.Email, *messages: Message) -> list[Outcome]:
    channel = BaseChannel("mail")
    channel.add(node)
    await channel.start()
    try:
        return [await channel.run(msg) for msg in messages]
    finally:
        await channel.stop()


def mails(server: MailServer) -> list[EmailMessage]:
    contents = [each.content for each in server.mails]
    found = [
        message_from_bytes(content, policy=policy.default)
        for content in contents
        if isinstance(content, bytes)
    ]
    return [each for each in found if isinstance(each, EmailMessage)]


def text(mail: EmailMessage) -> str:
    body = mail.get_body()
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


async def test_a_mail_has_what_the_settings_and_the_message_say(
    server: MailServer,
) -> None:
    node = make(
        server,
        subject="%(meta.plant)s: 100 % grün",
        recipients=["a@x.example", "%(meta.who)s"],
    )
    msg = Message(payload="It is warm.", meta={"plant": "N1", "who": "B <b@x.example>"})
    (outcome,) = await send(node, msg)
    (mail,) = mails(server)
    assert (outcome.state, mail["From"]) == ("processed", "pi@plant.example")
    assert (mail["Subject"], text(mail)) == ("N1: 100 % grün", "It is warm.\n")
    assert mail["To"] == "a@x.example, B <b@x.example>"
    assert mail["Message-ID"] == f"<{msg.uuid}@pichannels.invalid>" and mail["Date"]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ([Sample(Tag("TI1"), 0, 1.5, units="K")], "1970-01-01T00:00:00Z"),
        ({"a": [1]}, '"a": ['),
        (b"raw", "raw"),
    ],
)
async def test_the_text_is_the_payload(
    server: MailServer, payload: Any, expected: str
) -> None:
    await send(make(server), Message(payload=payload))
    assert expected in text(mails(server)[0])


async def test_the_payload_as_a_file_beside_a_text_in_html(server: MailServer) -> None:
    node = make(server, content=lambda msg: "<b>see</b>", html=True, attach=True)
    await send(node, Message("text/csv", "a;b\n", {"filename": "values.csv"}))
    (mail,) = mails(server)
    (file,) = mail.iter_attachments()
    assert text(mail) == "<b>see</b>\n"
    assert (file.get_filename(), file.get_content_type()) == ("values.csv", "text/csv")
    assert file.get_content() == "a;b\n"


async def test_bytes_are_a_file_with_a_name_of_the_settings(server: MailServer) -> None:
    node = make(server, attach=True, filename="%(meta.n)s.bin")
    await send(node, Message("image/png", b"\x89PNG", {"n": 7}))
    (file,) = mails(server)[0].iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("7.bin", b"\x89PNG")


async def test_mails_that_wait_are_sent_in_order(server: MailServer) -> None:
    node = make(server)
    await node.start()
    acks = []
    for number in range(5):
        pending = await node.handle(Message(payload=str(number)))
        acks.append(pending.ack)
    await asyncio.gather(*acks)
    await node.stop()
    assert [text(mail) for mail in mails(server)] == [f"{n}\n" for n in range(5)]


async def test_an_answer_of_4xx_is_tried_again(server: MailServer) -> None:
    server.answers = ["451 later", "421 later still"]
    node = make(server)
    (outcome,) = await send(node, Message(payload="x"))
    assert (outcome.state, len(server.mails), node.errors) == ("processed", 1, 2)


async def test_an_answer_of_5xx_fails_this_message_only(server: MailServer) -> None:
    server.answers = ["554 spam"]
    node = make(server)
    first, second = await send(node, Message(payload="1"), Message(payload="2"))
    assert isinstance(first.error, publish.MailRefused)
    assert "554: spam" in str(first.error)
    assert (second.error, len(server.mails)) == (None, 1)


async def test_recipients_who_are_not_known_are_counted(server: MailServer) -> None:
    server.refused = {"b@x.example"}
    node = make(server, recipients=["a@x.example", "b@x.example"])
    (outcome,) = await send(node, Message(payload="x"))
    assert (outcome.error, node.statistics()["not_delivered"]) == (None, 1)
    (alone,) = await send(make(server, recipients="b@x.example"), Message(payload="x"))
    assert "no such user" in str(alone.error)


@pytest.mark.parametrize("is_tls", [False, True])
async def test_the_login_goes_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_tls: bool
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", LOGIN[1])
    pem = make_certificate(tmp_path, "mail")
    server = MailServer(pem, is_tls=is_tls, login=LOGIN)
    await server.start()
    options = {"ssl": is_tls, "verify": pem, "user": LOGIN[0]}
    try:
        right = make(server, password=Secret.env("MAIL_PASSWORD"), **options)
        (outcome,) = await send(right, Message(payload="x"))
        assert (outcome.error, len(server.mails)) == (None, 1)
        assert (await right.probe())[0].ok
        (finding,) = await make(server, password="wrong", **options).probe()
        assert not finding.ok and "does not accept the login" in finding.text
        (finding,) = await make(server, **(options | {"verify": True})).probe()
        assert not finding.ok and "certificate" in finding.text.lower()
    finally:
        await server.stop()


async def test_a_password_never_goes_without_tls() -> None:
    server = MailServer(login=LOGIN)
    await server.start()
    (finding,) = await make(server, user=LOGIN[0], password=LOGIN[1]).probe()
    await server.stop()
    assert not finding.ok and server.logins == 0
    with pytest.raises(SettingsError, match="a password needs TLS"):
        make(server, user="x", password="y", start_tls=False)


async def test_a_server_that_is_away_is_waited_for(server: MailServer) -> None:
    port = server.port
    await server.stop()
    away = make_at(port)
    (finding,) = await away.probe()
    assert not finding.ok
    (outcome,) = await send(
        make_at(port, retry=RetryPolicy(attempts=2, initial=0.01)), Message(payload="x")
    )
    assert "not connected" in str(outcome.error)


def make_at(port: int, **options: Any) -> publish.Email:
    defaults: dict[str, Any] = {"sender": "a@x", "recipients": "b@x", "subject": "s"}
    return publish.Email("127.0.0.1", port, **(defaults | options))


@pytest.mark.parametrize(
    ("options", "meta", "words"),
    [
        ({"subject": "%(meta.s)s"}, {"s": "a\r\nBcc: all@x.example"}, "no mail"),
        ({"subject": "%(meta.s)s"}, {}, "nothing at meta.s"),
        ({"recipients": lambda msg: []}, {}, "nobody"),
    ],
)
async def test_a_message_that_makes_no_mail_fails(
    server: MailServer, options: dict[str, Any], meta: dict[str, Any], words: str
) -> None:
    (outcome,) = await send(make(server, **options), Message(payload="x", meta=meta))
    assert words in str(outcome.error) and not server.mails


@pytest.mark.parametrize(
    "options", [{"recipients": []}, {"sender": ""}, {"subject": "%(s)s"}, {"port": 0}]
)
def test_an_option_that_cannot_work_is_told(options: dict[str, Any]) -> None:
    given = {"sender": "a@x", "recipients": "b@x"} | options
    with pytest.raises(SettingsError):
        publish.Email("localhost", **given)
