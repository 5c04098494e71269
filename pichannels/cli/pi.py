"""`pichannels pi`: the first ten minutes with a PI Web API server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar

import click
import msgspec

from pichannels.cli.common import ExitCode, common_options, json_option, load_project
from pichannels.cli.completion import complete_channels
from pichannels.cli.output import say, say_findings, say_json, say_table
from pichannels.config import PILimitsConfig
from pichannels.errors import PichannelsError, SettingsError, UsageError
from pichannels.piwebasync.auth import Bearer, Negotiate
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.exceptions import HTTPClientError
from pichannels.piwebasync.health import NotUsable, advice, ask, examine, findings
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.limiting import Limiter, Limiters
from pichannels.piwebasync.resolve import Point, parse_points
from pichannels.piwebasync.server import PIServer
from pichannels.piwebasync.splitting import ListPager
from pichannels.piwebasync.transport import Auth
from pichannels.secrets import Secret, expand

__all__ = ["Connection", "connected", "pi", "server_options"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_PAGE: Final = 1000
_WINDOWS: Final[dict[str, Literal["negotiate", "kerberos", "ntlm"]]] = {
    "negotiate": "negotiate",
    "kerberos": "kerberos",
    "ntlm": "ntlm",
}


class Connection(NamedTuple):
    """A client of the server that the options name."""

    server: PIServer
    client: HTTPClient
    controller: Controller
    limiter: Limiter


@click.group(short_help="Look at a PI Web API server: login, points, values.")
def pi() -> None:
    """Look at a PI Web API server: is it there, who am I, what does a tag say.

    The server is that of --url, or that of a channel of the project in this folder.
    Nothing is ever written to it.
    """


def server_options(command: F) -> F:
    """The options that say which server, and how to log in."""
    options = [
        click.option(
            "--url",
            "-u",
            envvar="PICHANNELS_PI_URL",
            help="Of the server, such as https://pi.example.com/piwebapi (or"
            " PICHANNELS_PI_URL).",
        ),
        click.option(
            "--channel",
            "-c",
            metavar="NAME",
            shell_complete=complete_channels,
            help="The server of this channel of the project; needed where it has"
            " several.",
        ),
        click.option(
            "--auth",
            "-a",
            envvar="PICHANNELS_PI_AUTH",
            help="USER:PASSWORD, USER alone to be asked, 'Bearer TOKEN', Negotiate (the"
            " login of this session), 'Negotiate USER:PASSWORD', 'NTLM USER:PASSWORD',"
            " or a reference such as '${env:NAME}' (or PICHANNELS_PI_AUTH).",
        ),
        click.option(
            "--ca",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Certificates of the authority that the server's is from.",
        ),
        click.option(
            "--insecure", is_flag=True, help="Take any certificate; for a try only."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return common_options(command)


def connected(
    work: Callable[[Connection], Coroutine[Any, Any, T]],
    url: str | None,
    channel: str | None,
    auth: str | None,
    ca: Path | None,
    insecure: bool,
) -> T:
    """What `work` gives, called with a connection to the server of the options.

    Raises:
        NotUsable: the server cannot be used; says what to do.
        UsageError: the options name no server.
    """
    server, limits = _server(url, channel)
    if auth is not None:
        server = msgspec.structs.replace(server, auth=_login(auth))
    if insecure or ca is not None:
        server = msgspec.structs.replace(server, verify=False if insecure else str(ca))

    async def run() -> T:
        limiter = Limiters(limits.limits(), limits.special).of(server.url)
        async with server.client(limiter) as client:
            connection = Connection(server, client, server.controller(), limiter)
            return await _explained(work(connection))

    return asyncio.run(run())


async def _explained(work: Awaitable[T]) -> T:
    try:
        return await work
    except HTTPClientError as exc:
        raise NotUsable(f"{exc}; {advice(exc)}") from exc


def _server(url: str | None, channel: str | None) -> tuple[PIServer, PILimitsConfig]:
    """The server that the options name, and what it may be asked for."""
    if url is not None and channel is not None:
        raise UsageError("--url and --channel name two servers; take one of them")
    if url is not None:
        return PIServer(url=url), PILimitsConfig()
    try:
        project = load_project()
    except SettingsError as exc:
        if channel is not None:
            raise
        raise UsageError(f"name the server with --url (no project: {exc})") from exc
    names = [channel] if channel else [each.name for each in project.all_channels()]
    servers = [getattr(project.channel(name), "pi_server", None) for name in names]
    found = [server for server in servers if isinstance(server, PIServer)]
    if not found:
        raise UsageError(f"{channel or 'the project'} reads from no PI Web API; --url")
    if any(server != found[0] for server in found):
        raise UsageError("the project reads from several servers; name a --channel")
    return found[0], project.config.pi_limits


def _login(text: str) -> Auth:
    referred = expand(text) if "${" in text else text
    found = referred.reveal() if isinstance(referred, Secret) else referred
    word, _, rest = found.partition(" ")
    scheme = word.lower()
    if scheme == "bearer" and rest:
        return Bearer(rest)
    if scheme in _WINDOWS and not rest:
        return Negotiate(protocol=_WINDOWS[scheme])
    if scheme in _WINDOWS:
        return Negotiate(*_user(rest), protocol=_WINDOWS[scheme])
    return _user(found)


def _user(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not colon:
        password = click.prompt(f"Password of {user}", hide_input=True, err=True)
    return user, password


# Commands


@pi.command(short_help="Is the server there, and does it take us?")
@server_options
@json_option
@click.pass_context
def ping(ctx: click.Context, /, as_json: bool, **options: Any) -> None:
    """Connect, log in, and compare the clocks.

    Exit code 1 when the server cannot be used, or its clock is more than 2 s off.
    """

    async def look(connection: Connection) -> tuple[str, Any]:
        health = await examine(connection.client, connection.controller)
        return connection.server.url, health

    url, health = connected(look, **options)
    found = findings(health)
    if as_json:
        say_json({"url": url, **msgspec.to_builtins(health)})
    else:
        say(url)
        say_findings(found)
    if not all(finding.ok for finding in found):
        ctx.exit(ExitCode.FAILED)


@pi.command(short_help="Who does the server take us for?")
@server_options
@json_option
def whoami(as_json: bool, **options: Any) -> None:
    """Show the user that the server takes us for."""

    async def look(connection: Connection) -> dict[str, Any]:
        request = connection.controller.system.user_info()
        return (await ask(connection.client, request)).dict()

    found = connected(look, **options)
    if as_json:
        say_json(found)
    else:
        say_table(("what", "value"), ([n, found[n]] for n in found if n != "Links"))


@pi.command(short_help="Which points are there?")
@click.argument("name_filter", metavar="[FILTER]", default="*")
@click.option("--data-server", metavar="NAME", help="By default the first one.")
@click.option(
    "--count",
    default=100,
    show_default=True,
    type=click.IntRange(1),
    help="Show at most so many.",
)
@server_options
@json_option
def points(
    name_filter: str,
    data_server: str | None,
    count: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Show the points whose names fit FILTER, with type, units and description.

    FILTER knows * and ?, such as 'UNIT1.*'; without it all fit.
    """

    async def look(connection: Connection) -> list[Point]:
        web_id = await _data_server(connection, data_server)
        return await _points(connection, web_id, name_filter, count + 1)

    found = connected(look, **options)
    if as_json:
        say_json([msgspec.to_builtins(point) for point in found[:count]])
        return
    columns = ("name", "type", "units", "descriptor")
    say_table(columns, (_row(point) for point in found[:count]))
    if len(found) > count:
        say(f"and more: --count {count * 10}")
    elif not found:
        raise PichannelsError(f"no point fits {name_filter!r}")


def _row(point: Point) -> list[str]:
    kind = point.point_type or ""
    if point.digital_set_name:
        kind = f"{kind} {point.digital_set_name}"
    return [point.name, kind, point.engineering_units or "", point.descriptor or ""]


async def _data_server(connection: Connection, name: str | None) -> str:
    response = await ask(connection.client, connection.controller.dataservers.list())
    found = response.select("Items.Name", "Items.WebId")
    servers = dict(zip(found["Items.Name"], found["Items.WebId"], strict=True))
    if not servers:
        raise NotUsable(f"{response.url} lists no data server that this user may see")
    if name is None:
        return str(next(iter(servers.values())))
    known = {str(each).lower(): web_id for each, web_id in servers.items()}
    if name.lower() not in known:
        raise UsageError(f"there is no data server {name!r}; {', '.join(servers)}")
    return str(known[name.lower()])


async def _points(
    connection: Connection, web_id: str, name_filter: str, count: int
) -> list[Point]:
    pager = ListPager(
        lambda start, most: connection.controller.dataservers.get_points(
            web_id, name_filter=name_filter, start_index=start, max_count=most
        ),
        min(_PAGE, count),
    )
    found: list[Point] = []
    while pager.request is not None and len(found) < count:
        page = parse_points((await ask(connection.client, pager.request)).raw_response)
        found += page
        pager.feed(len(page))
    return found[:count]
