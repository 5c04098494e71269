"""What commands share that work on a project, or ask an instance."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from pichannels.cli.lazy import load_name
from pichannels.cli.options import (
    Commands,
    ExitCode,
    common_options,
    complain,
    json_option,
)
from pichannels.control.access import read_address
from pichannels.control.refusals import NoInstance
from pichannels.errors import NotConnected, SettingsError, UsageError, nearest
from pichannels.settings_file import DATA_DIR, SETTINGS_VARIABLE, find_settings

if TYPE_CHECKING:
    from pichannels.control.client import ControlClient
    from pichannels.project import Project

__all__ = [
    "Commands",
    "ExitCode",
    "ask",
    "ask_instance",
    "check_channel",
    "common_options",
    "data_dir_of",
    "follow_instance",
    "has_settings",
    "json_option",
    "load_project",
    "settings_folder",
]

_PROJECT: Final = "pichannels.project"
# Imported when they are needed: many commands ask no instance, or load no project.
_LOAD: Final = "pichannels.project:load"
_CONNECT: Final = "pichannels.control.client:connect"

T = TypeVar("T")


def load_project() -> Project:
    """The project that the options name, loaded once in a command.

    Raises:
        SettingsError: as `pichannels.project.load`.
    """
    meta = click.get_current_context().find_root().meta
    if _PROJECT not in meta:
        meta[_PROJECT] = load_name(_LOAD)(_settings())
    found: Project = meta[_PROJECT]
    return found


def settings_folder() -> Path:
    """The folder of the settings that the options name; this folder without any.

    Raises:
        SettingsError: the settings that are named are not there.
    """
    return find_settings(_settings()).parent if has_settings() else Path.cwd()


def has_settings() -> bool:
    """Whether there is a settings file.

    Raises:
        SettingsError: the settings that are named are not there.
    """
    try:
        find_settings(_settings())
    except SettingsError:
        if _settings() is None and SETTINGS_VARIABLE not in os.environ:
            return False
        raise
    return True


def _settings() -> Path | None:
    found: Path | None = click.get_current_context().find_root().meta.get("settings")
    return found


Online = Callable[["ControlClient"], Coroutine[Any, Any, T]]


def ask_instance(online: Online[T]) -> T:
    """What the running instance answers.

    Where the data is in its usual place, the settings need not be loaded, which takes
    a while, and may be wrong by now: it is the instance that is asked.

    Raises:
        NoInstance: there is none.
        SettingsError: the settings are wrong, and no instance is found.
    """
    file = find_settings(_settings())
    usual = file.parent / DATA_DIR
    address = read_address(usual)
    if address is not None and address.settings == str(file):
        with contextlib.suppress(NoInstance):
            return asyncio.run(_ask(usual, online))
    return asyncio.run(_ask(load_project().data_dir, online))


def follow_instance(online: Online[None]) -> None:
    """Show what the running instance tells, until Ctrl-C; exit code 4 when it ends.

    Raises:
        NoInstance: there is none to begin with.
        SettingsError: the settings are wrong, and no instance is found.
    """
    try:
        ask_instance(online)
    except KeyboardInterrupt:
        return
    except NotConnected:
        complain("the instance has stopped")
        click.get_current_context().exit(ExitCode.NO_INSTANCE)


def data_dir_of(place: Path | None = None) -> Path:
    """Where an instance of the project in this folder, or of this file, has its data.

    Without a place it is the project that the options name.

    Raises:
        SettingsError: there are no settings, or they are wrong.
    """
    file = find_settings(place or _settings())
    usual = file.parent / DATA_DIR
    address = read_address(usual)
    if address is not None and address.settings == str(file):
        return usual
    project: Project = load_name(_LOAD)(file)
    return project.data_dir


def ask(online: Online[T], offline: Callable[[Project], Coroutine[Any, Any, T]]) -> T:
    """What the running instance answers, or, where none runs, the project itself."""
    try:
        return ask_instance(online)
    except NoInstance:
        return asyncio.run(offline(load_project()))


def check_channel(name: str | None) -> None:
    """Look whether there is a channel of this name, where one is given.

    Raises:
        UsageError: there is none; offers the nearest name.
    """

    async def online(client: ControlClient) -> list[str]:
        return [each["name"] for each in (await client.status())["channels"]]

    async def offline(project: Project) -> list[str]:
        return [each.name for each in project.all_channels()]

    if name is None:
        return
    known = ask(online, offline)
    if name not in known:
        raise UsageError(f"there is no channel {name!r}{nearest(name, known)}")


async def _ask(data_dir: Path, online: Online[T]) -> T:
    client: ControlClient
    async with await load_name(_CONNECT)(data_dir) as client:
        return await online(client)
