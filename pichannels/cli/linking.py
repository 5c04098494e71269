"""What commands share that read or write what an instance publishes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from pichannels import codecs
from pichannels.certificates import tls_context
from pichannels.cli.common import data_dir_of
from pichannels.cli.options import TOKEN_VARIABLE
from pichannels.control.access import read_address
from pichannels.control.refusals import NoInstance
from pichannels.errors import TryAgain, nearest
from pichannels.remote import Gap, Item, Link, StreamNotFound, connect

__all__ = ["Target", "linked", "read_leniently", "run", "target_options"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Target(NamedTuple):
    """Where something is published, and how we get there.

    Attributes:
        url: of a hub; None for the instance of this project.
        token: shows who we are.
        ca: a file of certificates that are trusted.
        insecure: whether any certificate is good.
    """

    url: str | None
    token: str | None
    ca: Path | None
    insecure: bool


def target_options(command: F) -> F:
    """The options `--url`, `--token`, `--ca` and `--insecure`, as `target`."""

    def gathered(
        *args: Any,
        url: str | None,
        token: str | None,
        ca: Path | None,
        insecure: bool,
        **kwargs: Any,
    ) -> Any:
        return command(*args, target=Target(url, token, ca, insecure), **kwargs)

    options = (
        click.option(
            "--url",
            metavar="URL",
            help="Another instance, such as https://host:8443; without it the one that"
            " runs on this project.",
        ),
        click.option(
            "--token",
            metavar="TOKEN",
            envvar=TOKEN_VARIABLE,
            help=f"What --url asks for; better in {TOKEN_VARIABLE}, where other users"
            " of this machine do not see it.",
        ),
        click.option(
            "--ca",
            metavar="FILE",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Certificates that are trusted, in PEM.",
        ),
        click.option(
            "--insecure", is_flag=True, help="Do not check the other's certificate."
        ),
    )
    found: Any = gathered
    found.__name__, found.__doc__ = command.__name__, command.__doc__
    # Options that were given to the command itself stay.
    found.__click_params__ = getattr(command, "__click_params__", [])
    for option in reversed(options):
        found = option(found)
    return found  # type: ignore[no-any-return]


@asynccontextmanager
async def linked(target: Target) -> AsyncIterator[Link]:
    """A link to what is published there.

    Raises:
        AccessDenied: the token is missing or wrong.
        NoInstance: no instance runs on this project.
        NotConnected: nothing is published there.
        SettingsError: the certificates cannot be used.
        StreamNotFound: what was done with the link needs a name that is not there.
    """
    url, token = target.url, target.token
    if url is None:
        # What the options say belongs to this thread, and nothing else runs yet.
        folder = data_dir_of()
        address = read_address(folder)
        if address is None:
            raise NoInstance(folder)
        url, token = address.url, address.token
    context = None
    if url.startswith(("https:", "wss:")):
        context = await tls_context(verify=not target.insecure, ca=target.ca)
    async with connect(url, token=token, ssl=context) as link:
        try:
            yield link
        except StreamNotFound as exc:
            raise StreamNotFound(exc.name, await _hinted(link, exc)) from exc


async def _hinted(link: Link, error: StreamNotFound) -> str:
    """Why it is not there, and which name is the nearest."""
    with contextlib.suppress(TryAgain):
        known = [listing.name for listing in await link.list()]
        hint = nearest(error.name, known)
        return error.reason + (hint or "; `pichannels remote list` shows what is")
    return error.reason


def read_leniently(item: Item) -> Any:
    """What was published, or a `Gap`; types that are unknown here are `Unknown`.

    Raises:
        CodecError: it is no packed value.
    """
    if isinstance(item.value, Gap):
        return item.value
    return codecs.decode_leniently(item.value)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run the work of a command to its end."""
    return asyncio.run(work)
