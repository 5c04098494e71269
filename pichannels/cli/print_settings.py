"""`pichannels print-settings`: what holds, and where it comes from."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import msgspec

from pichannels.cli.common import common_options, json_option, load_project
from pichannels.cli.output import say, say_json, say_table
from pichannels.config import Config, keys_of
from pichannels.project import Project

__all__ = ["print_settings"]

_SECRET: Final = ("token", "password", "passwd", "secret", "credential", "api_key")
_HIDDEN: Final = "(not shown)"
_LOGIN: Final = re.compile(r"(?<=://)[^/?#]*@|(?<=[?&])password=[^&#]*")
"""What a URL has in front of its host, and a password behind it."""
_DEFAULT: Final = "default"


class _Row(NamedTuple):
    """One setting, its value, and where it comes from."""

    name: str
    value: Any
    origin: str


@click.command("print-settings", short_help="Show what holds, and where it is from.")
@json_option
@common_options
def print_settings(as_json: bool) -> None:
    """Show all settings as they were checked, each with the line that sets it.

    What may be secret is not shown.
    """
    project = load_project()
    rows = list(_rows(project))
    if as_json:
        say_json([row._asdict() for row in rows])
        return
    say(str(project.path))
    columns = ("setting", "value", "from")
    say_table(columns, ([row.name, _shown(row.value), row.origin] for row in rows))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _rows(project: Project) -> Iterator[_Row]:
    given, lines = project.given, _lines(project.path)
    values = msgspec.to_builtins(project.config, enc_hook=repr)
    for name in keys_of(Config):
        origin = _origin(name, given, lines, project.path)
        value = values[name]
        part = given.get(name)
        if not isinstance(value, dict) or name == "LOGGING":
            yield _Row(name, _hidden(name, value), origin)
            continue
        keys = part if isinstance(part, Mapping) else {}
        for key, item in value.items():
            of_item = origin if key in keys or isinstance(part, bool) else _DEFAULT
            yield _Row(f"{name}[{key!r}]", _hidden(key, item), of_item)
    for name in ("MESSAGE_STORE", "PERSISTENCE"):
        thing = given.get(name)
        origin = _origin(name, given, lines, project.path)
        yield _Row(name, type(thing).__name__ if thing else None, origin)
    origin = _origin("CHANNELS", given, lines, project.path)
    for number, channel in enumerate(project.channels):
        about = f"{channel.name} ({type(channel).__name__})"
        place = project.origins.get(channel.name, origin)
        yield _Row(f"CHANNELS[{number}]", about, str(place))


def _hidden(key: str, value: Any) -> Any:
    """The value without what may be secret; what is empty is none."""
    if isinstance(value, Mapping):
        return {name: _hidden(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(key, item) for item in value]
    if value and any(word in key.lower() for word in _SECRET):
        return _HIDDEN
    return _LOGIN.sub("", value) if isinstance(value, str) else value


def _origin(
    name: str, given: Mapping[str, Any], lines: Mapping[str, int], path: Path | None
) -> str:
    if name not in given:
        return "the folder's name" if name == "PROJECT_NAME" else _DEFAULT
    file = path.name if path else "the project"
    return f"{file}:{lines[name]}" if name in lines else f"{file}, by import"


def _lines(path: Path | None) -> dict[str, int]:
    """Where each upper-case name is set last."""
    if path is None:
        return {}
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            if node.id.isupper():
                found[node.id] = max(node.lineno, found.get(node.id, 0))
    return found
