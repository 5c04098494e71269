"""TLS: a CA file is what makes a server of a plant trusted, and nothing less."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pichannels.errors import UsageError
from pichannels.piwebasync import APIRequest, Controller, HTTPClient, WebsocketClient
from pichannels.piwebasync.exceptions import HTTPClientError, WebsocketClientError
from pichannels.simulator import Plant, Simulator
from tests.integration.certificates import make_certificate


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """Key and certificate of a server, which is its own authority."""
    return make_certificate(tmp_path, "pi")


@pytest.fixture
async def sim(pem: Path) -> AsyncIterator[Simulator]:
    """A server that speaks TLS only."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    await asyncio.to_thread(context.load_cert_chain, pem)
    async with Simulator(Plant(tags=5), poll=60, tls=context) as simulator:
        yield simulator


def a_read(sim: Simulator) -> APIRequest:
    return Controller.from_url(sim.url).dataservers.list()


def a_channel(sim: Simulator) -> APIRequest:
    web_ids = [sim.tags[0].web_id]
    return Controller.from_url(sim.url).streamsets.get_channel_adhoc(web_ids)


async def test_a_server_is_trusted_by_the_file_of_its_authority(
    sim: Simulator, pem: Path
) -> None:
    async with HTTPClient(verify=pem) as client:
        (await client.get(a_read(sim))).raise_for_status()
    assert sim.url.startswith("https://")


async def test_a_channel_opens_with_the_file_of_the_authority(
    sim: Simulator, pem: Path
) -> None:
    async with WebsocketClient(a_channel(sim), verify=str(pem)) as channel:
        assert channel.is_open


async def test_an_unknown_server_is_refused_with_what_helps(sim: Simulator) -> None:
    async with HTTPClient() as client:
        with pytest.raises(HTTPClientError, match="authority as verify=") as caught:
            await client.get(a_read(sim))
    assert "certificate verify failed" in str(caught.value)


async def test_a_channel_to_an_unknown_server_is_refused(sim: Simulator) -> None:
    with pytest.raises(WebsocketClientError, match="authority as verify="):
        await WebsocketClient(a_channel(sim))


async def test_another_authority_is_none(sim: Simulator, tmp_path: Path) -> None:
    other = await asyncio.to_thread(make_certificate, tmp_path, "other")
    async with HTTPClient(verify=other) as client:
        with pytest.raises(HTTPClientError, match="certificate verify failed"):
            await client.get(a_read(sim))


async def test_any_certificate_is_taken_only_when_that_is_said(sim: Simulator) -> None:
    async with HTTPClient(verify=False) as client:
        assert (await client.get(a_read(sim))).http_status == 200


async def test_a_name_that_is_not_in_the_certificate_is_told(
    sim: Simulator, pem: Path
) -> None:
    request = Controller("https", "localhost", sim.port, "piwebapi").dataservers.list()
    async with HTTPClient(verify=pem) as client:
        with pytest.raises(HTTPClientError, match="a name that is in its certificate"):
            await client.get(request)


async def test_a_context_of_the_caller_is_used(sim: Simulator, pem: Path) -> None:
    context = await asyncio.to_thread(ssl.create_default_context, cafile=pem)
    async with HTTPClient(verify=context) as client:
        assert (await client.get(a_read(sim))).http_status == 200


async def test_a_file_without_certificate_is_told(
    sim: Simulator, tmp_path: Path
) -> None:
    file = tmp_path / "empty.pem"
    await asyncio.to_thread(file.write_text, "nothing")
    async with HTTPClient(verify=file) as client:
        with pytest.raises(UsageError, match=r"cannot be used: .*empty\.pem"):
            await client.get(a_read(sim))
