"""What all commands share: options, exit codes, how errors are told."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from pichannels.cli.output import complain
from pichannels.config import Config
from pichannels.control.access import read_address
from pichannels.control.client import CommandFailed, ControlClient, NoInstance, connect
from pichannels.errors import (
    JournalLocked,
    LeaseHeld,
    PichannelsError,
    SettingsError,
    UsageError,
)
from pichannels.project import SETTINGS_VARIABLE, Project, find_settings, load

__all__ = [
    "Commands",
    "ExitCode",
    "ask",
    "ask_instance",
    "common_options",
    "json_option",
    "load_project",
    "settings_folder",
]

_PROJECT: Final = "pichannels.project"
_SETTINGS_ERRORS = ("SettingsError", "SettingsProblems")

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class ExitCode(enum.IntEnum):
    """What a command's exit tells a script."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SETTINGS = 3
    NO_INSTANCE = 4
    LOCKED = 5


class Commands(click.Group):
    """A group whose commands tell our errors in words, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PichannelsError as exc:
            if ctx.find_root().meta.get("debug"):
                traceback.print_exception(exc)
            else:
                complain(f"Error: {exc}")
            ctx.exit(_exit_code(exc))


def _exit_code(error: PichannelsError) -> ExitCode:
    if isinstance(error, SettingsError):
        return ExitCode.SETTINGS
    if isinstance(error, CommandFailed) and error.kind in _SETTINGS_ERRORS:
        return ExitCode.SETTINGS
    if isinstance(error, NoInstance):
        return ExitCode.NO_INSTANCE
    if isinstance(error, JournalLocked | LeaseHeld):
        return ExitCode.LOCKED
    is_usage = isinstance(error, CommandFailed) and error.kind == "UsageError"
    return (
        ExitCode.USAGE if is_usage or isinstance(error, UsageError) else ExitCode.FAILED
    )


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value and param.name is not None:
        ctx.find_root().meta[param.name] = value


def common_options(command: F) -> F:
    """The options `--settings` and `--debug`."""
    settings = click.option(
        "--settings",
        "-s",
        metavar="FILE",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_keep,
        help="The project's settings file; without it PICHANNELS_SETTINGS, or"
        " settings.py in this folder.",
    )
    debug = click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_keep,
        help="Show tracebacks of errors.",
    )
    return settings(debug(command))


def json_option(command: F) -> F:
    """The option `--json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Write JSON, for programs."
    )(command)


def load_project() -> Project:
    """The project that the options name, loaded once in a command.

    Raises:
        SettingsError: as `pichannels.project.load`.
    """
    meta = click.get_current_context().find_root().meta
    if _PROJECT not in meta:
        meta[_PROJECT] = load(_settings())
    found: Project = meta[_PROJECT]
    return found


def settings_folder() -> Path:
    """The folder of the settings that the options name; this folder without any.

    Raises:
        SettingsError: the settings that are named are not there.
    """
    try:
        return find_settings(_settings()).parent
    except SettingsError:
        if _settings() is None and SETTINGS_VARIABLE not in os.environ:
            return Path.cwd()
        raise


def _settings() -> Path | None:
    found: Path | None = click.get_current_context().find_root().meta.get("settings")
    return found


Online = Callable[[ControlClient], Coroutine[Any, Any, T]]


def ask_instance(online: Online[T]) -> T:
    """What the running instance answers.

    Where the data is in its usual place, the settings need not be loaded, which takes
    a while, and may be wrong by now: it is the instance that is asked.

    Raises:
        NoInstance: there is none.
        SettingsError: the settings are wrong, and no instance is found.
    """
    file = find_settings(_settings())
    usual = file.parent / Config().data_dir
    address = read_address(usual)
    if address is not None and address.settings == str(file):
        with contextlib.suppress(NoInstance):
            return asyncio.run(_ask(usual, online))
    return asyncio.run(_ask(load_project().data_dir, online))


def data_dir_of(place: Path) -> Path:
    """Where an instance of the project in this folder, or of this file, has its data.

    Raises:
        SettingsError: there are no settings, or they are wrong.
    """
    file = find_settings(place)
    usual = file.parent / Config().data_dir
    address = read_address(usual)
    if address is not None and address.settings == str(file):
        return usual
    return load(file).data_dir


def ask(online: Online[T], offline: Callable[[Project], Coroutine[Any, Any, T]]) -> T:
    """What the running instance answers, or, where none runs, the project itself."""
    try:
        return ask_instance(online)
    except NoInstance:
        return asyncio.run(offline(load_project()))


async def _ask(data_dir: Path, online: Online[T]) -> T:
    async with await connect(data_dir) as client:
        return await online(client)
