"""`pichannels ui`: the pages and the API by themselves, and who may use them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from pichannels.certificates import check_certificate
from pichannels.cli.common import (
    common_options,
    has_settings,
    json_option,
    load_project,
)
from pichannels.cli.lazy import load_name
from pichannels.cli.logs import configure_logging
from pichannels.cli.output import complain, say, say_json, say_table
from pichannels.config import Config
from pichannels.errors import SettingsError, UsageError
from pichannels.project import Project, load
from pichannels.settings_file import DATA_DIR
from pichannels.ui.links import Place
from pichannels.ui.roles import Role
from pichannels.ui.users import Users
from pichannels.ui_config import UIConfig, missing_extra

__all__ = ["absolute", "folder_of", "place_of", "ui", "where"]

TOKEN: Final = "PICHANNELS_TOKEN"
PASSWORD: Final = "PICHANNELS_UI_PASSWORD"

_role = click.option(
    "--role",
    type=click.Choice([str(role) for role in Role]),
    help="What the user may do.",
)


@click.group(
    invoke_without_command=True, short_help="Serve the pages and the API; users."
)
@click.option(
    "--project",
    "projects",
    multiple=True,
    metavar="[NAME=]FOLDER",
    help="Another project of this machine, beside the one of the settings.",
)
@click.option(
    "--url",
    "urls",
    multiple=True,
    metavar="[NAME=]URL",
    help="The control server of an instance on another machine, whose token"
    f" {TOKEN} has, or {TOKEN}_NAME.",
)
@click.option("--host", metavar="HOST", help="Listen here, not as the settings say.")
@click.option("--port", type=click.IntRange(0, 65535), help="The same for the port.")
@common_options
@click.pass_context
def ui(
    ctx: click.Context,
    projects: tuple[str, ...],
    urls: tuple[str, ...],
    host: str | None,
    port: int | None,
) -> None:
    """Serve the pages and the API of one or several instances, until Ctrl-C.

    `start` does that by itself for its own instance where the settings have UI. The
    instances need not run yet. Without settings in this folder only those that are
    named are served, on this machine.
    """
    if ctx.invoked_subcommand is not None:
        return
    if missing_extra():
        raise SettingsError(missing_extra())
    others = [*map(_project_place, projects), *map(_url_place, urls)]
    # Without any the error tells where settings are looked for.
    project = load_project() if has_settings() or not others else None
    places = others if project is None else [place_of(project), *others]
    given = {"host": host, "port": port}
    whole = project.config if project else Config()
    config = msgspec.structs.replace(
        whole.ui or UIConfig(),
        **{name: value for name, value in given.items() if value is not None},
    )
    if project is not None:
        config = absolute(config, project)
    configure_logging(whole.logging)
    # What serves them is imported only here: it takes the extra, and a while.
    serve = load_name("pichannels.ui.serving:serve")
    pages = load_name("pichannels.ui.pages:PAGES")
    plan = load_name("pichannels.ui.console:ConsolePlan")(
        config=config, places=places, folder=str(folder_of(project))
    )
    if not asyncio.run(serve(plan, _tell, None, pages)):
        ctx.exit(1)


def _tell(started: Any) -> None:
    say(f"pages and API: {where(msgspec.to_builtins(started))}")
    sys.stdout.flush()


def where(started: Mapping[str, str]) -> str:
    """Where the pages are, and how to log in where a token is needed.

    A terminal gets a link that logs in; what is behind # stays in the browser. Other
    outputs may be kept, so that they only get the place of the token.
    """
    url, token = started["url"], started.get("token")
    if not token:
        return url
    if sys.stdout.isatty():
        return f"{url}/login#token={token}"
    return f"{url} (log in with the token in {started['file']})"


def place_of(project: Project) -> Place:
    """Where the instance of a project is."""
    return Place(
        name=project.name,
        data_dir=str(project.data_dir.absolute()),
        settings=str(project.path or ""),
    )


def _project_place(text: str) -> Place:
    name, _, folder = text.rpartition("=")
    place = place_of(load(Path(folder)))
    return msgspec.structs.replace(place, name=name or place.name)


def _url_place(text: str) -> Place:
    name, has_name, url = text.partition("=")
    if not has_name or "://" in name:
        name, url = text.rpartition("//")[2].rstrip("/"), text
    own = f"{TOKEN}_{name.upper().replace('-', '_')}"
    token = os.environ.get(own) or os.environ.get(TOKEN)
    if not token:
        raise UsageError(f"set {own} or {TOKEN} to the token of {url}")
    return Place(name=name, url=url, token=token)


def folder_of(project: Project | None) -> Path:
    """Where the users and the audit log of a project are; without one, below here."""
    if project is None:
        return Path.cwd() / DATA_DIR / "ui"
    named = (project.config.ui or UIConfig()).folder
    found = project.folder / named if named else project.data_dir / "ui"
    return found.absolute()


def absolute(config: UIConfig, project: Project) -> UIConfig:
    """The settings with files that another process finds, too.

    Raises:
        SettingsError: the certificate cannot be used.
    """
    check_certificate("UI", config.cert, config.key, project.folder, str(project.path))
    files = {"cert": config.cert, "key": config.key}
    found = {k: str((project.folder / v).absolute()) for k, v in files.items() if v}
    return msgspec.structs.replace(config, **found)


# Users


@ui.group(short_help="Add, change, list and remove users; make tokens.")
def user() -> None:
    """Say who may use the pages and the API.

    While none is an administrator, a token that is made at the start logs in, on this
    machine only.
    """


def _users() -> Users:
    return Users(folder_of(load_project()) / "users.json")


def _password() -> str:
    """From the environment, for scripts; otherwise asked for."""
    found = os.environ.get(PASSWORD)
    if found is not None:
        return found
    shown: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return shown


@user.command(short_help="Add a user.")
@click.argument("name")
@_role
@click.option("--no-password", is_flag=True, help="Only tokens log in.")
@common_options
def add(name: str, role: str | None, no_password: bool) -> None:
    """Add the user NAME, who may only view unless --role says more.

    The password is asked for, or PICHANNELS_UI_PASSWORD has it.
    """
    password = "" if no_password else _password()
    _users().add(name, Role(role or "view"), password)
    say(f"{name}: added")


@user.command(short_help="Give a user another password or role.")
@click.argument("name")
@_role
@common_options
def passwd(name: str, role: str | None) -> None:
    """Give the user NAME another password, or with --role another role."""
    if role:
        _users().change(name, role=Role(role))
    else:
        _users().change(name, password=_password())
    say(f"{name}: changed")


@user.command(short_help="Remove a user.")
@click.argument("name")
@common_options
def remove(name: str) -> None:
    """Remove the user NAME, whose sessions and tokens end."""
    _users().remove(name)
    say(f"{name}: removed")


@user.command("list", short_help="Show the users.")
@json_option
@common_options
def list_(as_json: bool) -> None:
    """Show the users, and their tokens by number."""
    rows: list[dict[str, Any]] = [
        {
            "name": one.name,
            "role": str(one.role),
            "password": bool(one.password),
            "tokens": [f"{token.id} {token.about}".strip() for token in one.tokens],
        }
        for one in _users().all()
    ]
    if as_json:
        say_json(rows)
        return
    if not rows:
        complain(
            "no users: the token of the start logs in, on this machine only; the first"
            " one: pichannels ui user add NAME --role admin"
        )
        return
    columns = ("name", "role", "password", "tokens")
    shown = (
        (r["name"], r["role"], "yes" if r["password"] else "no", ", ".join(r["tokens"]))
        for r in rows
    )
    say_table(columns, shown)


@user.command(short_help="Make a token for a program, or take one back.")
@click.argument("name")
@_role
@click.option("--about", default="", help="What it is for.")
@click.option("--days", type=click.FloatRange(0, min_open=True), help="How long.")
@click.option("--remove", "gone", metavar="ID", help="Take this one back instead.")
@common_options
def token(
    name: str, role: str | None, about: str, days: float | None, gone: str | None
) -> None:
    """Make a token for programs that ask for the user NAME; it is shown this once."""
    if gone:
        _users().remove_token(name, gone)
        say(f"{name}: token {gone} removed")
        return
    bound = Role(role) if role else None
    say(_users().make_token(name, about=about, days=days, role=bound))
