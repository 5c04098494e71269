"""Messages from one instance to another: into an inbox, or out of an outbox."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from nodes import publish
from pichannels import codecs
from pichannels.channels import BaseChannel
from pichannels.channels.arrivals import PACKED
from pichannels.channels.inbox import InboxChannel
from pichannels.channels.remote import RemoteChannel
from pichannels.config import SettingsProblems
from pichannels.endpoints.remote import RemoteEndpoint
from pichannels.errors import SettingsError
from pichannels.events import EventBus
from pichannels.journal import Journal
from pichannels.manifest import ManifestEntry, encode_manifest
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.project import Project
from pichannels.remote import Hub, HubServer, Ring, connect
from pichannels.retry import RetryPolicy
from pichannels.states import State
from pichannels.values import Sample, Tag
from tests.integration.certificates import make_certificate
from tests.servers.gateway import Gateway
from tests.servers.proxy import Proxy

SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)


async def until(is_so: Callable[[], object]) -> None:
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


class Keep(BaseNode):
    """Remembers what came."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.got: list[Message] = []

    def process(self, msg: Message) -> Message:
        self.got.append(msg.copy())
        return msg

    @property
    def payloads(self) -> list[Any]:
        return [msg.payload for msg in self.got]


class Two:
    """A site and headquarters, each with a journal; more on demand."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.events = EventBus()
        self.told: list[Any] = []
        self.events.subscribe(self.told.append)

    async def run(self, channel: BaseChannel, journal: str) -> Journal:
        """Start a channel with a journal of this name."""
        kept = Journal(self.folder / f"{journal}.sqlite")
        await kept.open()
        self.stack.push_async_callback(kept.close)
        channel.attach(journal=kept, events=self.events)
        await channel.start()
        self.stack.push_async_callback(channel.stop)
        return kept


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    async with AsyncExitStack() as stack:
        yield Two(tmp_path, stack)


def headquarters(kind: type[BaseChannel], **options: Any) -> tuple[Any, Keep]:
    channel = kind("hq", **options)
    keep = Keep()
    channel.add(keep)
    return channel, keep


def site(node: BaseNode, **options: Any) -> BaseChannel:
    channel = BaseChannel("site", **options)
    channel.add(node)
    return channel


async def accept(channel: BaseChannel, payloads: Sequence[Any]) -> None:
    """Accept messages, in order and together."""
    await asyncio.gather(*(channel.accept(Message(payload=n)) for n in payloads))


async def cut(proxy: Proxy, channel: RemoteChannel) -> None:
    """Break the link of a channel, which notices it."""
    losses = channel.losses
    proxy.hang_up()
    await until(lambda: channel.losses > losses)


def parts(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (numbers[at : at + size] for at in range(0, len(numbers), size))


def batch(*numbers: int, lane: str = "live") -> Message:
    samples = [Sample(Tag("TI1"), 10**16 + n, n / 2) for n in numbers]
    return Message("application/python", samples, {"lane": lane})


def pushing(url: str, **options: Any) -> publish.Remote:
    return publish.Remote(url, "hq", retry=SOON, heartbeat=0.5, **options)


def pulling(url: str, **options: Any) -> tuple[RemoteChannel, Keep]:
    found: tuple[RemoteChannel, Keep] = headquarters(
        RemoteChannel, url=url, stream="out", reconnect=SOON, heartbeat=0.5, **options
    )
    return found


async def test_an_inbox_gets_messages_as_they_were(two: Two) -> None:
    hq, keep = headquarters(InboxChannel, endpoint=RemoteEndpoint(port=0))
    await two.run(hq, "hq")
    here = site(pushing(hq.endpoint.url))
    await two.run(here, "site")
    sent = batch(1, 2, lane="repair")
    sent.meta["replay_of"] = "x"
    uuid, samples = sent.uuid, list(sent.payload)
    await here.accept(sent, lane="repair")
    await here.drain()
    await until(lambda: keep.got)
    got = keep.got[0]
    assert (got.uuid, got.payload, got.content_type) == (
        uuid,
        samples,
        "application/python",
    )
    assert got.meta == {"lane": "repair", "replay_of": "x"}


async def test_an_outbox_is_settled_when_the_reader_has_it_in_its_journal(
    two: Two,
) -> None:
    endpoint = RemoteEndpoint(port=0)
    here = site(publish.Outbox(endpoint, "out"))
    kept = await two.run(here, "site")
    await accept(here, range(50))
    assert kept.count_unsettled("site") == 50
    hq, keep = pulling(endpoint.url)
    await two.run(hq, "hq")
    await here.drain()
    await until(lambda: len(keep.got) == 50)
    assert keep.payloads == list(range(50))
    assert hq.statistics()["messages"] == 50


async def test_a_link_that_breaks_loses_and_doubles_nothing_that_is_pulled(
    two: Two,
) -> None:
    endpoint = RemoteEndpoint(port=0)
    here = site(publish.Outbox(endpoint, "out"))
    await two.run(here, "site")
    proxy = await two.stack.enter_async_context(Proxy(endpoint.bound_port))
    hq, keep = pulling(f"http://127.0.0.1:{proxy.port}", batch=20)
    await two.run(hq, "hq")
    for part in parts(range(600), 100):
        await accept(here, part)
        await until(lambda: hq.is_ready)
        await cut(proxy, hq)
    await here.drain()
    await until(lambda: len(keep.got) >= 600)
    assert keep.payloads == list(range(600))
    assert hq.losses == 6


async def test_what_was_accepted_last_is_acknowledged_on_the_next_link(
    two: Two,
) -> None:
    endpoint = RemoteEndpoint(port=0)
    here = site(publish.Outbox(endpoint, "out"))
    kept = await two.run(here, "site")
    proxy = await two.stack.enter_async_context(Proxy(endpoint.bound_port))
    hq, keep = pulling(f"http://127.0.0.1:{proxy.port}")
    await two.run(hq, "hq")
    await until(lambda: hq.is_ready)
    proxy.swallow("asked")
    await accept(here, range(10))
    await until(lambda: len(keep.got) == 10)
    assert kept.count_unsettled("site") == 10
    proxy.hang_up()
    proxy.heal()
    await here.drain()
    assert keep.payloads == list(range(10))


async def test_a_link_that_breaks_loses_and_doubles_nothing_that_is_pushed(
    two: Two,
) -> None:
    hq, keep = headquarters(InboxChannel, endpoint=RemoteEndpoint(port=0))
    await two.run(hq, "hq")
    proxy = await two.stack.enter_async_context(Proxy(hq.endpoint.bound_port))
    node = pushing(f"http://127.0.0.1:{proxy.port}")
    here = site(node)
    await two.run(here, "site")
    for part in parts(range(600), 100):
        await accept(here, part)
        await until(lambda: node.statistics()["connected"])
        proxy.hang_up()
    await here.drain()
    await until(lambda: len(keep.got) >= 600)
    assert keep.payloads == list(range(600))
    assert node.errors >= 1


async def test_what_came_before_a_restart_is_known_after_it(two: Two) -> None:
    endpoint = RemoteEndpoint(port=0)
    journal = Journal(two.folder / "hq.sqlite")
    await journal.open()
    hq, keep = headquarters(InboxChannel, endpoint=endpoint)
    hq.attach(journal=journal)
    await hq.start()
    async with connect(endpoint.url) as link:
        async with link.entities("hq", mode="w") as stream:
            await stream.write([batch(1, 2)])
    await hq.stop()
    await journal.close()
    again, keep = headquarters(InboxChannel, endpoint=endpoint)
    await two.run(again, "hq")
    async with connect(endpoint.url) as link:
        async with link.entities("hq", mode="w") as stream:
            await stream.write([batch(2, 3), batch(1, 2, 3)])
    await again.drain()
    assert [[s.value for s in msg.payload] for msg in keep.got] == [[1.5]]
    assert again.statistics()["duplicates"] == 4


async def test_samples_that_come_are_found_by_their_tag(two: Two) -> None:
    hq, _ = headquarters(InboxChannel, endpoint=RemoteEndpoint(port=0), store_only=True)
    journal = await two.run(hq, "hq")
    async with connect(hq.endpoint.url) as link:
        async with link.entities("hq", mode="w") as stream:
            await stream.write([Message(payload="no samples"), batch(1, 2)])
    expected = encode_manifest([ManifestEntry("TI1", 10**16 + 1, 10**16 + 2, 2)])
    found = [manifest for _, _, manifest in await journal.manifests("hq")]
    assert found == [None, expected]


async def test_replays_and_corrections_come_as_often_as_they_are_sent(two: Two) -> None:
    hq, keep = headquarters(InboxChannel, endpoint=RemoteEndpoint(port=0))
    await two.run(hq, "hq")
    lanes = ["live", "replay", "replay", "correction"]
    async with connect(hq.endpoint.url) as link:
        async with link.entities("hq", mode="w") as stream:
            await stream.write([batch(1, lane=lane) for lane in lanes])
    await hq.drain()
    assert [msg.meta["lane"] for msg in keep.got] == lanes


async def test_a_tail_is_read_on_behind_the_last_message(two: Two) -> None:
    ring = Ring(1000)
    hub = Hub()
    hub.publish("out", ring)
    server = await two.stack.enter_async_context(HubServer(hub))
    for number in range(5):
        ring.put(Message(payload=number))
    journal = Journal(two.folder / "hq.sqlite")
    await journal.open()
    hq, keep = pulling(server.url, start=2)
    hq.attach(journal=journal)
    await hq.start()
    await until(lambda: len(keep.got) == 3)
    await hq.stop()
    await journal.close()
    ring.put(Message(payload=5))
    again, kept = pulling(server.url)
    await two.run(again, "hq")
    await until(lambda: kept.got)
    assert keep.payloads + kept.payloads == [2, 3, 4, 5]
    await again.stop()
    await hub.aclose()


@pytest.mark.parametrize("overflow", ["error", "skip"])
async def test_what_a_tail_has_lost_is_told(two: Two, overflow: Any) -> None:
    ring = Ring(10, overflow=overflow)
    hub = Hub()
    hub.publish("out", ring)
    server = await two.stack.enter_async_context(HubServer(hub))
    ring.put(Message(payload=0))
    hq, keep = pulling(server.url)
    await two.run(hq, "hq")
    await until(lambda: keep.got)
    proxy_is_away = [Message(payload=n) for n in range(1, 31)]
    await hq.stop()
    for msg in proxy_is_away:
        ring.put(msg)
    await hq.start()
    await until(lambda: len(keep.got) == 11)
    told = [each for each in two.told if each.name == "remote.gap"]
    assert [(e.facts["position"], e.facts["count"]) for e in told] == [(1, 20)]
    assert (hq.gaps, hq.lost, keep.payloads[1]) == (1, 20, 21)
    await hq.stop()
    await hub.aclose()


async def test_what_cannot_be_read_is_a_dead_letter_and_stops_nothing(two: Two) -> None:
    hq, keep = headquarters(InboxChannel, endpoint=RemoteEndpoint(port=0))
    kept = await two.run(hq, "hq")
    async with connect(hq.endpoint.url) as link:
        async with link.entities("hq", mode="w") as stream:
            await stream.write_packed([b"\xc1", codecs.encode(5)])
            await stream.write([Message(payload="fine")])
    await hq.drain()
    await kept.flush()
    letters = [(r.state, r.message().content_type) for r in await kept.search("hq")]
    assert letters == [(State.ERROR, PACKED)] * 2
    assert keep.payloads == ["fine"]


async def test_only_clients_with_a_token_that_is_meant_may_send(two: Two) -> None:
    endpoint = RemoteEndpoint(port=0, tokens={"north": "n" * 20, "south": "s" * 20})
    hq, _ = headquarters(InboxChannel, endpoint=endpoint, clients=["north"])
    await two.run(hq, "hq")
    found = [
        all(each.ok for each in await pushing(endpoint.url, token=token).probe())
        for token in ("n" * 20, "s" * 20, "x", None)
    ]
    assert found == [True, False, False, False]


async def test_a_second_reader_of_an_outbox_waits_for_the_first(two: Two) -> None:
    endpoint = RemoteEndpoint(port=0)
    here = site(publish.Outbox(endpoint, "out"))
    await two.run(here, "site")
    first, keep = pulling(endpoint.url)
    await two.run(first, "first")
    await until(lambda: first.is_ready)
    second, kept = pulling(endpoint.url)
    await two.run(second, "second")
    await here.accept(Message(payload=1))
    await here.drain()
    await until(lambda: any(each.name == "remote.lost" for each in two.told))
    assert not second.is_ready
    await first.stop()
    await here.accept(Message(payload=2))
    await until(lambda: kept.got)
    assert (keep.payloads, kept.payloads) == ([1], [2])


async def test_a_message_that_is_too_large_fails_alone(two: Two) -> None:
    hq, keep = headquarters(InboxChannel, endpoint=RemoteEndpoint(port=0))
    await two.run(hq, "hq")
    here = site(pushing(hq.endpoint.url))
    kept = await two.run(here, "site")
    await here.accept(Message(payload=bytes(5 * 2**20)))
    await here.accept(Message(payload=b"small"))
    await here.drain()
    await kept.flush()
    assert [each.state for each in await kept.search("site")] == [State.ERROR]
    await until(lambda: keep.payloads == [b"small"])


async def test_without_journals_a_message_is_settled_when_it_is_there(two: Two) -> None:
    hq, keep = headquarters(InboxChannel, endpoint=RemoteEndpoint(port=0))
    await hq.start()
    here = site(pushing(hq.endpoint.url))
    await here.start()
    await here.handle(Message(payload="here"))
    assert keep.payloads == ["here"]
    await here.stop()
    await hq.stop()


@pytest.mark.parametrize("mode", ["push", "pull"])
async def test_a_proxy_that_passes_only_websockets_will_do(two: Two, mode: str) -> None:
    token = "north" * 5
    endpoint = RemoteEndpoint(port=0, tokens={"north": token})
    if mode == "push":
        hq, keep = headquarters(InboxChannel, endpoint=endpoint)
        await two.run(hq, "hq")
        url = await two.stack.enter_async_context(Gateway(endpoint.url))
        here = site(pushing(url, token=token))
        await two.run(here, "site")
    else:
        here = site(publish.Outbox(endpoint, "out"))
        await two.run(here, "site")
        url = await two.stack.enter_async_context(Gateway(endpoint.url))
        hq, keep = pulling(url, token=token)
        await two.run(hq, "hq")
    await accept(here, range(200))
    await here.drain()
    await until(lambda: len(keep.got) == 200)
    assert keep.payloads == list(range(200))


async def test_both_sides_show_certificates_of_their_own_authorities(two: Two) -> None:
    ours = await asyncio.to_thread(make_certificate, two.folder, "ours")
    theirs = await asyncio.to_thread(make_certificate, two.folder, "theirs")
    asking = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    await asyncio.to_thread(asking.load_cert_chain, ours)
    await asyncio.to_thread(asking.load_verify_locations, theirs)
    asking.verify_mode = ssl.CERT_REQUIRED
    endpoint = RemoteEndpoint(port=0, ssl_context=asking)
    here = site(publish.Outbox(endpoint, "out"))
    await two.run(here, "site")
    stranger, _ = pulling(endpoint.url, ca=ours)
    doubter, _ = pulling(endpoint.url, certificate=theirs)
    hq, keep = pulling(endpoint.url, ca=ours, certificate=theirs)
    refused = [(await each.probe())[0] for each in (stranger, doubter)]
    await two.run(hq, "hq")
    await accept(here, range(20))
    await here.drain()
    await until(lambda: len(keep.got) == 20)
    assert endpoint.url.startswith("https:") and not any(x.ok for x in refused)
    assert "certificate is not trusted" in refused[1].text


async def test_a_site_sends_over_tls(two: Two) -> None:
    own = await asyncio.to_thread(make_certificate, two.folder, "own")
    endpoint = RemoteEndpoint(port=0, certificate=own)
    hq, keep = headquarters(InboxChannel, endpoint=endpoint)
    await two.run(hq, "hq")
    here = site(pushing(endpoint.url, ca=own))
    await two.run(here, "site")
    await accept(here, range(20))
    await here.drain()
    await until(lambda: len(keep.got) == 20)
    assert endpoint.url.startswith("https:") and keep.payloads == list(range(20))


def test_two_nodes_cannot_offer_the_same_stream() -> None:
    endpoint = RemoteEndpoint()
    channels = [BaseChannel(n).add(publish.Outbox(endpoint, "out")) for n in "ab"]
    with pytest.raises(SettingsProblems, match=r"'a\.Outbox' has stream out"):
        Project(channels)


async def test_equal_endpoints_of_nodes_and_channels_are_one(tmp_path: Path) -> None:
    first = InboxChannel("a", endpoint=RemoteEndpoint(port=8766))
    node = publish.Outbox(RemoteEndpoint(port=8766), "out")
    Project([first, site(node)])
    assert node.endpoint is first.endpoint


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: RemoteChannel(url="ftp://x", stream="a"), "url"),
        (lambda: RemoteChannel(url="http://u:p@x", stream="a"), "url"),
        (lambda: RemoteChannel(url="http://x", stream="a*"), "stream"),
        (lambda: RemoteChannel(url="http://x", stream="a", start="middle"), "start"),  # type: ignore[arg-type]
        (lambda: InboxChannel("a"), "endpoint"),
        (
            lambda: InboxChannel("a", endpoint=RemoteEndpoint(), clients=["b"]),
            "clients",
        ),
        (lambda: RemoteEndpoint("0.0.0.0"), "tokens"),
        (lambda: publish.Remote("x", "a"), "url"),
    ],
    ids=[
        "no url of the web",
        "a password in the url",
        "a pattern",
        "an unknown start",
        "no endpoint",
        "a client without a token",
        "all addresses without tokens",
        "no url",
    ],
)
def test_what_is_not_usable_is_told_at_once(
    make: Callable[[], object], key: str
) -> None:
    with pytest.raises(SettingsError) as told:
        make()
    assert told.value.key == key
