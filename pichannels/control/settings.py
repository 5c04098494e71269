"""What settings hold, and where each of them comes from."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from pichannels.config import Config, keys_of
from pichannels.project import Project

__all__ = ["SettingRow", "SettingsReport", "settings_report", "settings_rows"]

_SECRET: Final = ("token", "password", "passwd", "secret", "credential", "api_key")
_HIDDEN: Final = "(not shown)"
_LOGIN: Final = re.compile(r"(?<=://)[^/?#]*@|(?<=[?&])password=[^&#]*")
"""What a URL has in front of its host, and a password behind it."""
_DEFAULT: Final = "default"


class SettingRow(msgspec.Struct, frozen=True):
    """One setting, its value, and where it comes from.

    Attributes:
        name: of the setting, such as `JOURNAL.durability`.
        value: what holds.
        origin: the file or environment that says so, or that it is a default.
    """

    name: str
    value: Any
    origin: str


class SettingsReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an instance runs.

    Attributes:
        rows: its settings.
        files: where they are from: the settings file, and YAML files with channels.
        apply: the number of the last apply that changed something.
    """

    rows: list[SettingRow]
    files: list[str]
    apply: int = 0


def settings_report(project: Project) -> SettingsReport:
    """The settings and their files; as `settings_rows`."""
    files = [*([project.path] if project.path else []), *project.files]
    return SettingsReport(
        rows=list(settings_rows(project)), files=[str(file) for file in files]
    )


def settings_rows(project: Project) -> Iterator[SettingRow]:
    """The settings as they were checked; what may be secret is not shown.

    Reads the settings file, to find the lines.
    """
    given, lines = project.given, _lines(project.path)
    values = msgspec.to_builtins(project.config, enc_hook=repr)
    for name in keys_of(Config):
        origin = _origin(name, given, lines, project.path)
        value = values[name]
        part = given.get(name)
        if not isinstance(value, dict) or name == "LOGGING":
            yield SettingRow(name, _hidden(name, value), origin)
            continue
        keys = part if isinstance(part, Mapping) else {}
        for key, item in value.items():
            of_item = origin if key in keys or isinstance(part, bool) else _DEFAULT
            yield SettingRow(f"{name}[{key!r}]", _hidden(key, item), of_item)
    for name in ("MESSAGE_STORE", "PERSISTENCE"):
        thing = given.get(name)
        origin = _origin(name, given, lines, project.path)
        yield SettingRow(name, type(thing).__name__ if thing else None, origin)
    origin = _origin("CHANNELS", given, lines, project.path)
    for number, channel in enumerate(project.channels):
        about = f"{channel.name} ({type(channel).__name__})"
        place = project.origins.get(channel.name, origin)
        yield SettingRow(f"CHANNELS[{number}]", about, str(place))


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
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        # It may be changed, or gone, since it was loaded.
        return {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            if node.id.isupper():
                found[node.id] = max(node.lineno, found.get(node.id, 0))
    return found
