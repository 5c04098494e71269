"""Several instances behind one API: of this machine, and of others by URL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.control.access import read_address
from pichannels.engine import Engine
from pichannels.message import Message
from pichannels.project import Project
from pichannels.ui.console import Console
from pichannels.ui.guard import API
from pichannels.ui.links import Place
from tests.ui.apps import asking, make_console


def make_engine(folder: Path) -> Engine:
    folder.mkdir(exist_ok=True)
    store = SQLiteMessageStoreFactory()
    return Engine(Project([BaseChannel("a")], message_store=store), data_dir=folder)


class Both(NamedTuple):
    """A client of two instances: `near` by its folder, `far` by its URL."""

    client: httpx.AsyncClient
    console: Console
    near: Engine
    far: Engine

    async def get(self, path: str) -> Any:
        answer = await self.client.get(f"{API}{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self.client.post(f"{API}{path}", json=body)


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Both]:
    async with make_engine(folder / "1") as near, make_engine(folder / "2") as far:
        address = await asyncio.to_thread(read_address, folder / "2")
        assert address is not None
        places = [
            Place(name="near", data_dir=str(folder / "1")),
            Place(name="far", url=address.url, token=address.token),
        ]
        console = await make_console(folder, places)
        async with asking(console, console.token) as client:
            yield Both(client, console, near, far)


async def test_all_instances_are_listed(tmp_path: Path) -> None:
    async with opened(tmp_path) as both:
        rows = await both.get("/instances")
    assert [(r["name"], r["connected"], r["has_journal"]) for r in rows] == [
        ("near", True, True),
        ("far", True, False),
    ]


@pytest.mark.parametrize("name", ["near", "far"])
async def test_messages_of_each_instance_are_found(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path) as both:
        engine = getattr(both, name)
        for number in range(3):
            await engine.project.channel("a").handle(
                Message(payload=f"{name} {number}")
            )
        first = await both.get(f"/instances/{name}/messages?channel=a&count=2")
        cursor = first["next"]
        path = f"/instances/{name}/messages?channel=a&count=2&cursor={cursor}"
        second = await both.get(path)
        id = second["messages"][0]["id"]
        whole = await both.get(f"/instances/{name}/messages/{id}?channel=a")
    found = [row["payload"] for row in first["messages"] + second["messages"]]
    assert found == [f"{name} 2", f"{name} 1", f"{name} 0"]
    assert whole["message"]["payload"] == f"{name} 0"


async def test_messages_are_given_to_another_instance(tmp_path: Path) -> None:
    async with opened(tmp_path) as both:
        await both.near.project.channel("a").handle(Message(payload="hello"))
        wanted = {"channel": "a", "target": "a", "to": "far", "count": 1}
        answer = await both.post("/instances/near/transfers", wanted | {"text": "he"})
        operation = answer.json()
        await both.console.commands.operations.wait(operation["id"])
        await both.far.project.channel("a").drain()
        (found,) = (await both.get("/instances/far/messages"))["messages"]
    assert (found["payload"], found["lane"]) == ("hello", "replay")


async def test_an_instance_that_is_gone_is_told_and_comes_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as both:
        await both.near.stop()
        gone = await both.client.get(f"{API}/instances/near/status")
        rows = await both.get("/instances")
        still = (await both.get("/instances/near/messages"))["messages"]
        await both.near.start()
        back = await both.client.get(f"{API}/instances/near/status")
    assert (gone.status_code, back.status_code, still) == (503, 200, [])
    assert [row["connected"] for row in rows] == [False, True]


async def test_an_unknown_instance_is_not_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as both:
        answer = await both.client.get(f"{API}/instances/nere/status")
    assert answer.status_code == 404
    assert "did you mean 'near'" in answer.json()["error"]["message"]


async def test_what_only_files_tell_is_refused_for_other_machines(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as both:
        answer = await both.client.get(f"{API}/instances/far/settings/check")
        values = await both.client.get(f"{API}/instances/far/values?tag=x")
    assert (answer.status_code, values.status_code) == (400, 503)
