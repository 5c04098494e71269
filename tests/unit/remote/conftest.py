"""A hub and links to it: within the process, and over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.unit.remote.world import World


@pytest.fixture(params=["memory", "websocket"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Each test runs over both transports."""
    async with AsyncExitStack() as stack:
        yield await World.open(stack, is_socket=request.param == "websocket")


@pytest.fixture
async def here() -> AsyncIterator[World]:
    """Within the process, where the transport makes no difference."""
    async with AsyncExitStack() as stack:
        yield await World.open(stack, is_socket=False)
