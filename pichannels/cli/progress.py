"""How far a command of the instance is, while it is waited for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import click

from pichannels.control.client import CommandFailed, ControlClient
from pichannels.errors import NotConnected
from pichannels.message import new_uuid

__all__ = ["followed", "shown_progress"]

Told = Callable[[Mapping[str, Any]], None]


@asynccontextmanager
async def shown_progress(
    client: ControlClient, event: str, count: str, told: str, *, is_quiet: bool
) -> AsyncIterator[str]:
    """A ticket for a command; on a terminal a line tells how far it is.

    Args:
        client: of the instance.
        event: what it fires of the command.
        count: which fact of the event tells how many are done.
        told: what stands behind that.
        is_quiet: nothing is told, and the ticket is "".
    """
    if is_quiet or not sys.stderr.isatty():
        yield ""
        return
    ticket = new_uuid()

    def tell(facts: Mapping[str, Any]) -> None:
        click.echo(f"\r{facts[count]:,} {told}\x1b[K", err=True, nl=False)

    async with followed(client, event, ticket, tell):
        try:
            yield ticket
        finally:
            click.echo("\r\x1b[K", err=True, nl=False)


@asynccontextmanager
async def followed(
    client: ControlClient, event: str, ticket: str, tell: Told
) -> AsyncIterator[None]:
    """Tell the facts of events with a ticket, meanwhile."""

    async def follow() -> None:
        with suppress(NotConnected, CommandFailed):
            async for name, facts in client.events():
                if name == event and facts.get("ticket") == ticket:
                    tell(facts)

    following = asyncio.create_task(follow(), name=f"progress {ticket}")
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
