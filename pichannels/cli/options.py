"""What all commands share: exit codes, options, how errors are told.

Nothing here loads a project or talks to an instance, so that what needs neither is
quick.
"""

from __future__ import annotations

import enum
import errno
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from pichannels.control.refusals import CommandFailed, NoInstance
from pichannels.errors import (
    JournalLocked,
    LeaseHeld,
    PichannelsError,
    SettingsError,
    UsageError,
    harmless,
)

__all__ = [
    "TOKEN_VARIABLE",
    "Commands",
    "ExitCode",
    "common_options",
    "complain",
    "json_option",
    "say",
    "say_styled",
]

TOKEN_VARIABLE: Final = "PICHANNELS_TOKEN"
"""The environment variable with the token of another instance."""

_SETTINGS_ERRORS: Final = ("SettingsError", "SettingsProblems")
_USAGE_ERRORS: Final = ("UsageError", "NoSuchName")

F = TypeVar("F", bound=Callable[..., Any])


def say(text: str = "") -> None:
    """A line of plain text."""
    click.echo(harmless(text))


def say_styled(text: str) -> None:
    """A line with colours of ours, for terminals that want them; see `harmless`."""
    click.echo(text, color=False if os.environ.get("NO_COLOR") else None)


def complain(text: str) -> None:
    """What went wrong, to the error output."""
    click.echo(harmless(text), err=True)


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
        except OSError as exc:
            # Of a file; a closed pipe has no name, and is quiet.
            if exc.filename is None or ctx.find_root().meta.get("debug"):
                raise
            complain(f"Error: {exc.filename}: {exc.strerror}")
            ctx.exit(ExitCode.FAILED)
        except ExceptionGroup as exc:
            # Who read our output has gone, while several tasks were at work.
            pipes, others = exc.split(BrokenPipeError)
            if pipes is None or others is not None:
                raise
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from exc


def _exit_code(error: PichannelsError) -> ExitCode:
    if isinstance(error, SettingsError):
        return ExitCode.SETTINGS
    if isinstance(error, CommandFailed) and error.kind in _SETTINGS_ERRORS:
        return ExitCode.SETTINGS
    if isinstance(error, NoInstance):
        return ExitCode.NO_INSTANCE
    if isinstance(error, JournalLocked | LeaseHeld):
        return ExitCode.LOCKED
    is_usage = isinstance(error, CommandFailed) and error.kind in _USAGE_ERRORS
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
