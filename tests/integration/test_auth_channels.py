"""A PIWebChannel, and a node behind it, with logins that belong to connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from msgstore.memory import MemoryMessageStoreFactory
from nodes import decode, enrich
from pichannels.channels.pi import PIWebChannel
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.piwebasync.auth import NTLM, ClientCredentials, Negotiate
from pichannels.piwebasync.transport import Auth
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from pichannels.simulator import NTLMUsers, Plant, Simulator, Tokens
from pichannels.simulator.acceptors import Way
from tests.integration.logins import token_url

TAG = "UNIT1.SPARE.AI1"
USER, PASSWORD = "PLANT\\reader", "s3cret"
SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)


class Sink(BaseNode):
    """Keeps messages for a test that waits for them."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.messages: asyncio.Queue[Message] = asyncio.Queue()

    async def process(self, msg: Message) -> Message:
        await self.messages.put(msg)
        return msg

    async def until(self, value: Any) -> Message:
        """The message that has the value."""
        while True:
            msg = await self.messages.get()
            if any(sample.value == value for sample in msg.payload):
                return msg


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    monkeypatch.setenv("PI_PASSWORD", PASSWORD)
    ways: list[Way] = [NTLMUsers({USER: PASSWORD}), Tokens({"plant": PASSWORD})]
    async with Simulator(Plant(tags=100, activity=0), poll=0.02, auth=ways) as found:
        yield found


@asynccontextmanager
async def running(sim: Simulator, folder: Path, auth: Auth) -> AsyncIterator[Sink]:
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    channel = PIWebChannel(
        "plant",
        url=sim.url,
        tags=[TAG],
        auth=auth,
        reconnect=SOON,
        message_store_factory=MemoryMessageStoreFactory(),
    )
    sink = Sink()
    channel.add(decode.PI(), enrich.PI(), sink)
    channel.attach(journal=journal)
    await channel.start()
    try:
        yield sink
    finally:
        await channel.stop()
        await journal.close()


def login(name: str, sim: Simulator) -> Auth:
    password = Secret.env("PI_PASSWORD")
    logins: dict[str, Auth] = {
        "ntlm": NTLM(USER, password),
        "negotiate": Negotiate(USER, password),
        "client": ClientCredentials(token_url(sim), "plant", password),
    }
    return logins[name]


@pytest.mark.parametrize("name", ["ntlm", "negotiate", "client"])
async def test_a_channel_and_its_nodes_log_in(
    sim: Simulator, tmp_path: Path, name: str
) -> None:
    async with running(sim, tmp_path, login(name, sim)) as sink:
        await sim.connected()
        sim.push(TAG, 41.5)
        found = await sink.until(41.5)
    assert found.meta["tags"][TAG]["descriptor"]


@pytest.mark.parametrize("name", ["ntlm", "client"])
async def test_a_channel_logs_in_again_after_its_login_was_withdrawn(
    sim: Simulator, tmp_path: Path, name: str
) -> None:
    async with running(sim, tmp_path, login(name, sim)) as sink:
        await sim.connected()
        sim.faults.withdraw()
        sim.faults.drop("reset")
        await sim.disconnected()
        await sim.connected()
        sim.push(TAG, 42.5)
        assert await sink.until(42.5)
