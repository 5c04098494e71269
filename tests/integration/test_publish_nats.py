"""publish.NATS and a real server: subjects, acknowledgements, and what breaks."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import nats
import pytest
from nats.aio.client import Client

from nodes import publish
from pichannels.channels import BaseChannel
from pichannels.delivery import Outcome
from pichannels.errors import SampleErrors, SettingsError
from pichannels.message import Message
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from pichannels.values import Sample, Tag
from tests.integration.certificates import make_certificate
from tests.servers.nats import NatsServer, why_missing
from tests.servers.proxy import Proxy

SOON = RetryPolicy(attempts=0, initial=0.05, maximum=0.1)


def batch(*names: str, lane: str = "live", first: int = 0) -> Message:
    samples = [
        Sample(Tag(name, server="S"), 10**16 + first + n, float(first + n))
        for n, name in enumerate(names)
    ]
    return Message(payload=samples, meta={"lane": lane})


async def send(node: publish.NATS, *messages: Message) -> list[Outcome]:
    channel = BaseChannel("out")
    channel.add(node)
    await channel.start()
    try:
        return list(await asyncio.gather(*map(channel.run, messages)))
    finally:
        await channel.stop()


async def errors_of(node: publish.NATS, count: int = 1) -> None:
    while node.errors < count:  # noqa: ASYNC110 - it is a counter
        await asyncio.sleep(0.01)


@pytest.fixture
async def root(nats_server: NatsServer) -> str:
    """A subject of which nobody has heard, without a stream."""
    return uuid4().hex


@pytest.fixture
async def subject(nats_server: NatsServer, root: str) -> AsyncIterator[str]:
    """The same with a stream, which keeps what is published to it and below."""
    await add_stream(nats_server, root)
    yield root
    client = await nats.connect(nats_server.url)
    await client.jetstream().delete_stream(root)
    await client.close()


async def add_stream(server: NatsServer, root: str, **more: Any) -> None:
    client = await nats.connect(server.url)
    subjects = [root, f"{root}.>"]
    await client.jetstream().add_stream(name=root, subjects=subjects, **more)
    await client.close()


async def read(server: NatsServer, root: str) -> list[Any]:
    """All that is in a stream, in order."""
    client: Client = await nats.connect(server.url)
    try:
        stream = client.jetstream()
        count = (await stream.stream_info(root)).state.messages
        found = await stream.subscribe(f"{root}.>", ordered_consumer=True)
        return [await found.next_msg(timeout=20) for _ in range(count)]
    finally:
        await client.close()


async def test_each_sample_goes_to_the_subject_of_its_tag(
    nats_server: NatsServer, subject: str
) -> None:
    node = publish.NATS(nats_server.url, f"{subject}.{{server}}.{{name}}")
    msg = batch("U1.TI1", "a b*", lane="repair")
    (outcome,) = await send(node, msg)
    first, second = await read(nats_server, subject)
    id = msg.payload[0].event_id
    assert (outcome.error, json.loads(first.data)["tag"]) == (None, "U1.TI1")
    assert [first.subject, second.subject] == [
        f"{subject}.S.U1.TI1",
        f"{subject}.S.a%20b%2A",
    ]
    assert first.headers == {
        "Nats-Msg-Id": id,
        "event_id": id,
        "quality": "good",
        "lane": "repair",
        "content_type": "application/json",
    }


async def test_other_payloads_are_one_message(
    nats_server: NatsServer, subject: str
) -> None:
    node = publish.NATS(nats_server.url, f"{subject}.%(meta.unit)s", stream=subject)
    msg = Message("text/csv", "a;b", {"unit": "u1"})
    await send(node, msg)
    (found,) = await read(nats_server, subject)
    assert (found.subject, found.data) == (f"{subject}.u1", b"a;b")
    assert found.headers["message_id"] == msg.uuid


async def test_the_same_event_is_kept_once_and_its_deletion_too(
    nats_server: NatsServer, subject: str
) -> None:
    node = publish.NATS(nats_server.url, f"{subject}.a")
    await send(node, batch("a"), batch("a"), batch("a", lane="delete"))
    found = await read(nats_server, subject)
    assert [each.headers["lane"] for each in found] == ["live", "delete"]


async def test_a_server_that_is_killed_loses_nothing_and_order_is_kept(
    nats_server: NatsServer, subject: str
) -> None:
    names = [f"T{n % 5}" for n in range(100)]
    node = publish.NATS(nats_server.url, f"{subject}.{{name}}", retry=SOON, timeout=10)
    channel = BaseChannel("out")
    channel.add(node)
    await channel.start()
    waiting = [
        asyncio.create_task(channel.run(batch(*names, first=100 * n)))
        for n in range(20)
    ]
    while node.written < 300:  # noqa: ASYNC110 - it is a counter
        await asyncio.sleep(0.001)
    await asyncio.to_thread(nats_server.kill)
    await errors_of(node)
    await asyncio.to_thread(nats_server.start)
    outcomes = await asyncio.gather(*waiting)
    await channel.stop()
    seen: dict[str, list[float]] = {}
    for each in await read(nats_server, subject):
        seen.setdefault(each.subject, []).append(json.loads(each.data)["value"])
    assert {outcome.error for outcome in outcomes} == {None}
    assert sum(map(len, seen.values())) == 2000
    assert all(values == sorted(values) for values in seen.values())


async def test_a_missing_stream_is_told_and_waited_for(
    nats_server: NatsServer, root: str, caplog: pytest.LogCaptureFixture
) -> None:
    node = publish.NATS(nats_server.url, f"{root}.a", retry=SOON)
    running = asyncio.create_task(send(node, batch("a", "a", "b")))
    await errors_of(node)
    await add_stream(nats_server, root)
    (outcome,) = await running
    found = await read(nats_server, root)
    assert (outcome.error, len(found)) == (None, 3)
    assert f"has no stream that takes '{root}.a'" in caplog.text


async def test_a_full_stream_is_waited_for(nats_server: NatsServer, root: str) -> None:
    await add_stream(nats_server, root, max_msgs=2, discard="new")
    node = publish.NATS(nats_server.url, f"{root}.a", retry=SOON)
    running = asyncio.create_task(send(node, batch("a", "a", "a")))
    await errors_of(node)
    client = await nats.connect(nats_server.url)
    await client.jetstream().purge_stream(root)
    (outcome,) = await running
    await client.close()
    (last,) = await read(nats_server, root)
    assert (outcome.error, json.loads(last.data)["value"]) == (None, 2.0)


async def test_what_is_not_acknowledged_in_time_is_published_again(
    nats_server: NatsServer, subject: str
) -> None:
    async with Proxy(nats_server.port) as proxy:
        url = f"nats://127.0.0.1:{proxy.port}"
        node = publish.NATS(url, f"{subject}.a", timeout=0.5, retry=SOON)
        channel = BaseChannel("out")
        channel.add(node)
        await channel.start()
        await channel.run(batch("a"))
        proxy.swallow("answered")
        running = asyncio.create_task(channel.run(batch("a", first=1)))
        await errors_of(node)
        proxy.heal()
        assert (await running).error is None
        await channel.stop()
    assert len(await read(nats_server, subject)) == 2


async def test_what_is_too_large_is_set_aside_alone(
    nats_server: NatsServer, root: str
) -> None:
    await add_stream(nats_server, root, max_msg_size=10_000)
    msg = batch("a", "b", "c", "d")
    msg.payload[1] = msg.payload[1].with_value("x" * 2_000_000)
    msg.payload[2] = msg.payload[2].with_value("x" * 20_000)
    node = publish.NATS(nats_server.url, f"{root}.{{name}}", in_flight=1)
    (outcome,) = await send(node, msg)
    names = [each.subject[-1] for each in await read(nats_server, root)]
    assert (outcome.sample_errors, names) == (2, ["a", "d"])


async def test_a_wrong_stream_is_told(nats_server: NatsServer, subject: str) -> None:
    once = RetryPolicy(attempts=1)
    node = publish.NATS(nats_server.url, subject, stream="other", retry=once)
    (outcome,) = await send(node, batch("a"))
    server, stream = await node.probe()
    assert (server.ok, stream.ok) == (True, False)
    assert "expected stream does not match" in str(outcome.error)


async def test_probing_tells_of_servers_and_streams(
    nats_server: NatsServer, subject: str
) -> None:
    (nobody,) = await publish.NATS("127.0.0.1:1", "a").probe()
    _, missing = await publish.NATS(nats_server.url, f"no.{subject}").probe()
    _, right = await publish.NATS(nats_server.url, subject).probe()
    assert (nobody.ok, missing.ok, right.ok) == (False, False, True)
    assert "127.0.0.1:1" in nobody.text and "no stream" in missing.text


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server that speaks TLS and knows one user with a password and one NKey."""
    if reason := why_missing():
        pytest.skip(reason)
    users = f'users: [{{user: plant, password: s3cret}}, {{nkey: "{PUBLIC}"}}]'
    folder = tmp_path_factory.mktemp("nats")
    certificate = make_certificate(folder, "server")
    server = NatsServer(f"authorization {{ {users} }}", certificate=certificate)
    server.certificate = certificate
    server.start()
    yield server
    server.close()


SEED = "SUAEL6GG2L2HIF7DUGZJGMRUFKXELGGYFMHF76UO2AYBG3K4YLWR3FKC2Q"
PUBLIC = "UD6OU4D3CIOGIDZVL4ANXU3NWXOW5DCDE2YPZDBHPBXCVKHSODUA4FKI"


@pytest.mark.parametrize(
    ("login", "is_right"),
    [
        ({"user": "plant", "password": Secret("", "s3cret")}, True),
        ({"user": "plant", "password": "wrong"}, False),
        ({"nkey": Secret("", SEED)}, True),
        ({"nkey": "SUAX"}, False),
        ({}, False),
    ],
    ids=["password", "wrong password", "nkey", "no nkey", "nobody"],
)
async def test_tls_and_logins_are_used(
    secured: NatsServer, login: dict[str, Any], is_right: bool
) -> None:
    if "nkey" in login:
        pytest.importorskip("nkeys")
    files: dict[str, Any] = {
        "ca": secured.certificate,
        "certificate": secured.certificate,
    }
    found = (await publish.NATS(secured.url, "{name}", **files, **login).probe())[0]
    assert found.ok is is_right
    assert is_right or "the login is refused" in found.text


def signed(issuer: Any, subject: Any, **claims: Any) -> str:
    """A JWT as NATS has them."""
    body = {
        "jti": "x",
        "iat": 1,
        "iss": issuer.public_key.decode(),
        "sub": subject.public_key.decode(),
        "nats": {"version": 2, **claims},
    }
    head = {"typ": "JWT", "alg": "ed25519-nkey"}
    text = ".".join(encoded(json.dumps(part).encode()) for part in (head, body))
    return f"{text}.{encoded(issuer.sign(text.encode()))}"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def test_credentials_in_a_file_are_used(tmp_path: Path) -> None:
    if reason := why_missing():
        pytest.skip(reason)
    nkeys: Any = pytest.importorskip("nkeys")
    seeds = [
        nkeys.encode_seed(bytes([n] * 32), prefix)
        for n, prefix in enumerate(
            (
                nkeys.PREFIX_BYTE_OPERATOR,
                nkeys.PREFIX_BYTE_ACCOUNT,
                nkeys.PREFIX_BYTE_USER,
            )
        )
    ]
    operator, account, user = (nkeys.from_seed(bytearray(seed)) for seed in seeds)
    limits = dict.fromkeys(("subs", "data", "payload", "conn"), -1)
    of_user = signed(account, user, type="user", **limits)
    of_account = signed(operator, account, type="account", limits=limits)
    lines = ["-----BEGIN NATS USER JWT-----", of_user]
    lines += ["------END NATS USER JWT------", "", "-----BEGIN USER NKEY SEED-----"]
    lines += [seeds[2].decode(), "------END USER NKEY SEED------", ""]
    file = tmp_path / "plant.creds"
    file.write_text("\n".join(lines))
    server = NatsServer(
        f"operator: {signed(operator, operator, type='operator')}",
        "resolver: MEMORY",
        f"system_account: {account.public_key.decode()}",
        f"resolver_preload: {{ {account.public_key.decode()}: {of_account} }}",
    )
    try:
        await asyncio.to_thread(server.start)
        (right,) = await publish.NATS(
            server.url, "{name}", credentials=Secret.file(file)
        ).probe()
        (wrong,) = await publish.NATS(
            server.url, "{name}", credentials="nothing"
        ).probe()
    finally:
        await asyncio.to_thread(server.close)
    assert (right.ok, wrong.ok) == (True, False)
    assert "no JWT with its seed" in wrong.text


async def test_a_certificate_that_is_not_trusted_is_told(secured: NatsServer) -> None:
    (found,) = await publish.NATS(secured.url, "{name}", user="a").probe()
    assert not found.ok and "certificate" in found.text.lower()


@pytest.mark.parametrize(
    "options",
    [
        {"servers": "http://a"},
        {"servers": "nats://me:secret@host"},
        {"servers": []},
        {"subject": ""},
        {"subject": "{nam}"},
        {"subject": "pi.>"},
        {"in_flight": 0},
        {"timeout": 0},
        {"codec": "json"},
    ],
)
def test_options_are_looked_at(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        publish.NATS(**({"servers": "host:4222", "subject": "a"} | options))


async def test_a_subject_that_cannot_be_fails_the_message() -> None:
    node = publish.NATS("127.0.0.1:1", "a.{units}.b")
    (outcome,) = await send(node, batch("a"))
    assert isinstance(outcome.error, Exception)
    assert not isinstance(outcome.error, SampleErrors)
    assert "is no subject" in str(outcome.error)
