"""`pichannels simulate`: the simulator in a process of its own."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC
from pathlib import Path
from types import FrameType
from typing import Any

import click

from pichannels import clock
from pichannels.errors import PichannelsError
from pichannels.simulator.acceptors import Kerberos, NTLMUsers, Way
from pichannels.simulator.faults import parse_fault
from pichannels.simulator.members import Member
from pichannels.simulator.plant import MOST_TAGS, Plant
from pichannels.simulator.server import Simulator
from pichannels.simulator.simtime import parse_time
from pichannels.simulator.tokens import Tokens

__all__ = ["simulate"]


@click.command(short_help="Run a stand-in PI Web API server with a plant behind it.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on."
)
@click.option(
    "--port",
    default=8500,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--tags",
    default=1000,
    show_default=True,
    type=click.IntRange(1, MOST_TAGS),
    help="How many tags the plant has (50 in each unit).",
)
@click.option(
    "--seed",
    default=1,
    show_default=True,
    help="Plants with the same seed have the same history.",
)
@click.option(
    "--activity",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0),
    help="How often values change; 2 is twice as often, 0 never by itself.",
)
@click.option(
    "--speed",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Simulated seconds in each real one.",
)
@click.option(
    "--start",
    metavar="TIME",
    help="Simulated time to begin at (ISO or PI time such as '*-7d'; default: now).",
)
@click.option(
    "--poll",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.01),
    help="Seconds between two messages of a channel.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that keeps pushed, edited and deleted events over a restart.",
)
@click.option(
    "--user",
    metavar="NAME:PASSWORD",
    envvar="PICHANNELS_SIMULATOR_USER",
    help="Take this login (Basic).",
)
@click.option(
    "--token",
    metavar="TOKEN",
    envvar="PICHANNELS_SIMULATOR_TOKEN",
    help="Take this token (Bearer).",
)
@click.option(
    "--client",
    "clients",
    metavar="ID:SECRET",
    multiple=True,
    envvar="PICHANNELS_SIMULATOR_CLIENT",
    help="Give tokens to this client (OAuth 2, at /simulator/token) and take them."
    " May be repeated.",
)
@click.option(
    "--token-lifetime",
    metavar="SECONDS",
    default=3600.0,
    show_default=True,
    type=click.FloatRange(0),
    help="How long the tokens of --client are good.",
)
@click.option(
    "--ntlm",
    metavar="NAME:PASSWORD",
    multiple=True,
    envvar="PICHANNELS_SIMULATOR_NTLM",
    help="Take this login by NTLM; NAME may be DOMAIN\\USER. May be repeated.",
)
@click.option(
    "--keytab",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take Kerberos tickets for the service whose keys are in this file.",
)
@click.option(
    "--rate-limit",
    default=1000,
    show_default=True,
    type=click.IntRange(0),
    help="Requests of one client in a second before 429; 0 for any number.",
)
@click.option(
    "--url-limit",
    default=16_384,
    show_default=True,
    type=click.IntRange(1024),
    help="Bytes of a request line, at most.",
)
@click.option(
    "--batch-limit",
    default=1000,
    show_default=True,
    type=click.IntRange(0),
    help="Parts of one batch, at most; 0 refuses batches.",
)
@click.option(
    "--certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Serve https, with the key and the certificate in this PEM file.",
)
@click.option(
    "--members",
    default=1,
    show_default=True,
    type=click.IntRange(1, 9),
    help="Servers of the plant, each with WebIDs of its own, on ports one after the"
    " other.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME[:OPTION=VALUE,...]",
    help="A fault from the start, such as 'slow:delay=0.5' or"
    " 'status:code=503,count=10,path=recorded'. May be repeated.",
)
def simulate(
    host: str,
    port: int,
    tags: int,
    seed: int,
    activity: float,
    start: str | None,
    faults: tuple[str, ...],
    user: str | None,
    token: str | None,
    clients: tuple[str, ...],
    token_lifetime: float,
    ntlm: tuple[str, ...],
    keytab: Path | None,
    certificate: Path | None,
    members: int,
    **options: Any,
) -> None:
    """Run a stand-in PI Web API server with a plant behind it.

    The plant has tags of every kind, weeks of history and live values on
    channels; nothing is stored but what you change. Faults are set while it runs
    by POST to /simulator/faults. Stops at Ctrl-C or SIGTERM.
    """
    tls = None if certificate is None else _tls(certificate)
    ways = _ways(user, token, clients, token_lifetime, ntlm, keytab)
    try:
        simulator = Simulator(
            Plant(seed, tags, activity=activity),
            host,
            port,
            start=None if start is None else parse_time(start, clock.now(), UTC),
            auth=ways,
            tls=tls,
            **options,
        )
        own = ("rate_limit", "url_limit", "batch_limit")
        limits = {name: options[name] for name in own}
        others = [
            Member(
                simulator,
                f"member-{n}",
                host=host,
                port=port + n if port else 0,
                tls=tls,
                **limits,
            )
            for n in range(1, members)
        ]
        todo = [parse_fault(fault) for fault in faults]
        asyncio.run(_run([simulator, *others], todo))
    except PichannelsError as exc:
        raise click.ClickException(str(exc)) from exc
    except OSError as exc:
        raise click.ClickException(f"{host}:{port}: {exc.strerror or exc}") from exc


def _ways(
    user: str | None,
    token: str | None,
    clients: tuple[str, ...],
    token_lifetime: float,
    ntlm: tuple[str, ...],
    keytab: Path | None,
) -> list[Way]:
    """The logins that the server takes."""
    found: list[Way] = []
    if ntlm:
        found.append(NTLMUsers(dict(_pair("--ntlm", each) for each in ntlm)))
    if keytab is not None:
        found.append(Kerberos(keytab))
    if clients:
        secrets = dict(_pair("--client", each) for each in clients)
        found.append(Tokens(secrets, token_lifetime))
    if token is not None:
        found.append(token)
    if user is not None:
        found.append(_pair("--user", user))
    return found


def _pair(option: str, text: str) -> tuple[str, str]:
    name, colon, secret = text.partition(":")
    if not colon:
        wanted = "ID:SECRET" if option == "--client" else "NAME:PASSWORD"
        raise click.BadParameter(f"write it as {wanted}", param_hint=option)
    return name, secret


def _tls(file: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(file)
    except ssl.SSLError as exc:
        raise click.BadParameter(str(exc), param_hint="--certificate") from exc
    return context


async def _run(
    servers: Sequence[Simulator], faults: Sequence[tuple[str, dict[str, Any]]]
) -> None:
    """Run until a signal comes; the faults are those of the first server."""
    stopped = asyncio.Event()
    with _signals(asyncio.get_running_loop(), stopped.set):
        async with AsyncExitStack() as stack:
            for server in servers:
                await stack.enter_async_context(server)
            for name, settings in faults:
                servers[0].faults.inject(name, **settings)
            for server in servers:
                click.echo(server.url)
            await stopped.wait()


@contextmanager
def _signals(
    loop: asyncio.AbstractEventLoop, stop: Callable[[], Any]
) -> Iterator[None]:
    """Call `stop` in the loop at Ctrl-C, Ctrl-Break or SIGTERM, inside the block."""

    def caught(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)

    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = [(number, signal.signal(number, caught)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
