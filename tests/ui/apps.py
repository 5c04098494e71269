"""The application in the process of the test, with or without an instance."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from pichannels.ui.app import make_app
from pichannels.ui.console import Console, ConsolePlan
from pichannels.ui.links import Place
from pichannels.ui.roles import Role
from pichannels.ui.users import Users
from pichannels.ui_config import UIConfig

URL = "http://127.0.0.1:8600"
PASSWORD = "correct horse battery"


async def make_console(
    folder: Path, places: Sequence[Place] = (), **config: Any
) -> Console:
    """A console; without places of an instance that does not run."""
    nowhere = Place(name="plant", data_dir=str(folder / "data"))
    plan = ConsolePlan(
        config=UIConfig(**config),
        places=list(places) or [nowhere],
        folder=str(folder / "ui"),
    )
    return await asyncio.to_thread(Console, plan)


def add_users(folder: Path) -> dict[str, str]:
    """A user of each role, with a password: their tokens."""
    users = Users(folder / "ui" / "users.json")
    tokens = {}
    for role in Role:
        users.add(str(role), role)
        tokens[str(role)] = users.make_token(str(role))
    users.change("admin", password=PASSWORD)
    return tokens


@contextlib.asynccontextmanager
async def asking(console: Console, token: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, which is open meanwhile."""
    app = make_app(console)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=URL, headers=headers) as client,
    ):
        yield client
