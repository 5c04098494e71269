"""A hook of MkDocs that writes the reference from the code, while a site is built.

A page says where with a comment: `<!-- generated: nodes -->`. What can stand there
is in `PARTS`. Comments that only the tests of the docs read are left out.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from pichannels.channels import BaseChannel
from pichannels.cli import cli
from pichannels.config import (
    Config,
    ControlConfig,
    JournalConfig,
    LeaseConfig,
    SimulatorConfig,
)
from pichannels.declarative.annotations import arguments_in
from pichannels.declarative.catalogue import CHANNELS, NODES, STORES, Catalogue, Family
from pichannels.declarative.signatures import Signature
from pichannels.node import BaseNode
from pichannels.ui.app import DECLARED
from pichannels.ui_config import UIConfig

__all__ = ["PARTS", "on_page_markdown", "public_classes"]

SETTINGS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "settings.py": Config,
    "JOURNAL": JournalConfig,
    "CONTROL": ControlConfig,
    "LEASE": LeaseConfig,
    "SIMULATOR": SimulatorConfig,
    "UI": UIConfig,
}
# What loading a project puts in the place of a default.
LOADED: Final = {"PROJECT_NAME": "the folder's name"}
SECTIONS: Final = ("Args:", "Attributes:", "Raises:", "Returns:", "Yields:")
FOLDER: Final = Path(__file__).parent

Rows = Iterator[tuple[str, ...]]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the parts of the reference where a page asks for them."""
    text = re.sub(r"^<!-- example: .*?-->\n", "", markdown, flags=re.S | re.M)
    text = re.sub(r"<!-- generated: (\w+) -->", _part, text)
    return re.sub(r"^\|.*$", _with_bars, text, flags=re.M)


def _with_bars(row: re.Match[str]) -> str:
    """A row of a table whose code has bars.

    GitHub wants them escaped there; the site would show the backslashes.
    """
    return re.sub(r"`[^`]+`", lambda code: code[0].replace("\\|", "|"), row[0])


def _part(found: re.Match[str]) -> str:
    return "\n".join(PARTS[found[1]]())


def public_classes(family: Family) -> dict[str, type]:
    """The classes that come with pichannels, under the names that settings use."""
    found = Catalogue(FOLDER).names(family)
    return {
        name: kind
        for name, kind in found.items()
        if "." in name and kind.__module__.startswith(f"{family.package}.")
    }


def _nodes() -> Iterator[str]:
    common = Signature(BaseNode).fields
    module = ""
    for name, kind in sorted(public_classes(NODES).items()):
        if name.partition(".")[0] != module:
            module = name.partition(".")[0]
            yield f"## nodes.{module}\n"
        yield from _class(name, kind, leave_out=common)


def _channels() -> Iterator[str]:
    common = Signature(BaseChannel).fields
    for name, kind in public_classes(CHANNELS).items():
        if kind is not BaseChannel:
            yield from _class(name, kind, leave_out=common, level="##")


def _common_channel_options() -> Iterator[str]:
    yield from _options(BaseChannel, Signature(BaseChannel).fields)


def _common_node_options() -> Iterator[str]:
    yield from _options(BaseNode, Signature(BaseNode).fields)


def _stores() -> Iterator[str]:
    for name, kind in public_classes(STORES).items():
        yield from _class(name, kind, level="##")


def _class(
    title: str, kind: type, *, leave_out: Collection[str] = (), level: str = "###"
) -> Iterator[str]:
    """A class: what it is for, its options, what it raises."""
    own = _own_parameters(kind)
    fields = Signature(kind).fields
    shown = {n: f for n, f in fields.items() if n in own or n not in leave_out}
    yield f"{level} {title}\n"
    yield _description(kind) + "\n"
    yield f"Import it with `from {_module(title, kind)} import {kind.__name__}`.\n"
    yield from _options(kind, shown)
    raised = arguments_in(kind.__doc__ or "", "Raises:")
    yield from (f"Raises `{error}`: {when}\n" for error, when in raised.items())


def _module(title: str, kind: type) -> str:
    """Where users import a class from; it may be defined in a private module."""
    return f"{kind.__module__.rpartition('.')[0]}.{title.partition('.')[0]}"


def _own_parameters(kind: type) -> set[str]:
    init = vars(kind).get("__init__")
    return set(inspect.signature(init).parameters) - {"name"} if init else set()


def _description(kind: type) -> str:
    """The docstring up to its first section."""
    lines = inspect.cleandoc(kind.__doc__ or "").splitlines()
    ends = [index for index, line in enumerate(lines) if line in SECTIONS]
    return "\n".join(lines[: min(ends, default=len(lines))]).strip()


def _options(kind: type, fields: Mapping[str, Any]) -> Iterator[str]:
    if not fields:
        yield "It has no options.\n"
        return
    yield _table(
        ("option", "type", "default", "meaning"),
        (
            (
                f"`{name}`",
                _code(_annotation(kind, name)),
                "required" if field.is_required else _default(kind, name),
                field.help,
            )
            for name, field in fields.items()
        ),
    )


def _parameter(kind: type, name: str) -> inspect.Parameter:
    """The parameter of the nearest constructor that has it."""
    for base in kind.__mro__:
        init = vars(base).get("__init__")
        found = inspect.signature(init).parameters if init else {}
        if name in found:
            return found[name]
    raise LookupError(f"no constructor of {kind.__name__} has a parameter {name!r}")


def _annotation(kind: type, name: str) -> str:
    found = _parameter(kind, name).annotation
    return "" if found is inspect.Parameter.empty else str(found)


def _default(kind: type, name: str) -> str:
    parameter = _parameter(kind, name)
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return ""
    return _code(_shown(parameter.default))


def _shown(value: Any) -> str:
    """A default as it is written in Python, without what it leaves at its default."""
    if isinstance(value, msgspec.Struct):
        changed = [
            f"{field.name}={getattr(value, field.name)!r}"
            for field in msgspec.structs.fields(value)
            if getattr(value, field.name) != _field_default(field)
        ]
        return f"{type(value).__name__}({', '.join(changed)})"
    if isinstance(value, float):
        return f"{value:g}"
    name = getattr(value, "__qualname__", None)
    return name if isinstance(name, str) else repr(value)


def _field_default(field: msgspec.structs.FieldInfo) -> Any:
    factory = field.default_factory
    return field.default if factory is msgspec.NODEFAULT else factory()


def _settings() -> Iterator[str]:
    for title, kind in SETTINGS.items():
        meaning = arguments_in(kind.__doc__ or "", "Attributes:")
        yield f"## {title}\n"
        yield _description(kind) + "\n"
        yield _table(
            ("setting", "what it may be", "default", "meaning"),
            (
                (
                    f"`{field.encode_name}`",
                    _allowed(field.type),
                    LOADED.get(field.encode_name) or _setting_default(field.default),
                    meaning[field.name],
                )
                for field in msgspec.structs.fields(kind)
            ),
        )


def _setting_default(value: Any) -> str:
    is_part = isinstance(value, msgspec.Struct)
    return "see below" if is_part else _code(repr(value))


def _allowed(kind: Any) -> str:
    """What the error about a wrong value would say, too."""
    options = (kind, *getattr(kind, "__args__", ()))
    for option in options:
        for meta in getattr(option, "__metadata__", ()):
            if isinstance(meta, msgspec.Meta) and meta.description:
                return meta.description
    parts = [option for option in options if option in SETTINGS.values()]
    return "a dictionary; see below" if parts else str(kind)


def _commands() -> Iterator[str]:
    for name, command in sorted(cli.commands.items()):
        if command.callback and command.callback.__module__.startswith("pichannels."):
            yield from _command(name, command, "##")
        yield from _subcommands(name, command)


def _subcommands(call: str, command: click.Command) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name, subcommand in sorted(command.commands.items()):
            yield from _command(f"{call} {name}", subcommand, "###")
            yield from _subcommands(f"{call} {name}", subcommand)


def _command(call: str, command: click.Command, level: str) -> Iterator[str]:
    yield f"{level} pichannels {call}\n"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield _paragraph(paragraph) + "\n"
    # A command keeps the first help option that it is asked for, so ask as `cli` does.
    with click.Context(
        command, info_name=f"pichannels {call}", **cli.context_settings
    ) as context:
        usage = command.get_usage(context).removeprefix("Usage: ")
        yield f"    {usage}\n"
        options = [param.get_help_record(context) for param in command.params]
    shown = [
        (_head(head), _plain(told)) for head, told in filter(None, options) if told
    ]
    if shown:
        yield _table(("option", "meaning"), iter(shown))


def _head(text: str) -> str:
    """An option, and apart from it what it takes, which may be long."""
    found = re.fullmatch(r"(-.*?)(?: ([^-].*))?", text)
    return " ".join(_code(part) for part in found.groups("")) if found else _code(text)


def _paragraph(text: str) -> str:
    """A paragraph of a help text; click marks with \\b what keeps its lines."""
    if text.startswith("\b\n"):
        return textwrap.indent(text.removeprefix("\b\n"), "    ")
    return _plain(text)


def _plain(text: str) -> str:
    """Text for a terminal as Markdown: only backticks mean something."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([\\*_<>\[\]])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _table(heads: tuple[str, ...], rows: Rows) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text.replace("\n", " "))


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _routes() -> Iterator[str]:
    """The routes by the first parts of their paths."""
    title = ""
    for route in sorted(DECLARED, key=lambda each: (each.path, each.method)):
        place = route.path.removeprefix("/api/v1/").replace("instances/{instance}/", "")
        if place.partition("/")[0] != title:
            title = place.partition("/")[0]
            yield f"## {title}\n"
        yield f"### {route.method} {route.path}\n"
        yield _plain(route.about) + "\n"
        role = "nobody in particular" if route.role is None else f"`{route.role}`"
        yield f"Role: {role}. Answers {route.status}{_named(route.answer)}.\n"
        for name, kind in (("query", route.query), ("body", route.body)):
            if kind is not None:
                yield from _fields(name, kind)


def _named(answer: Any) -> str:
    """What a route answers."""
    if answer is None:
        return ""
    kind = answer.__args__[0] if getattr(answer, "__args__", None) else answer
    is_many = getattr(answer, "__origin__", None) is list
    return (
        f" with a list of `{kind.__name__}`" if is_many else f" with `{kind.__name__}`"
    )


def _fields(name: str, kind: type[msgspec.Struct]) -> Iterator[str]:
    known: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        known |= arguments_in(base.__doc__ or "", "Attributes:")
    rows = [
        (
            f"`{field.encode_name}`",
            _code(_type_name(field.type)),
            "required" if field.required else _code(repr(_field_default(field))),
            known.get(field.name, ""),
        )
        for field in msgspec.structs.fields(kind)
    ]
    if rows:
        yield _description(kind) + "\n"
        yield _table((name, "type", "default", "meaning"), iter(rows))


def _type_name(kind: Any) -> str:
    plain = re.sub(r"Annotated\[([^,]+), .*?\)\]", r"\1", str(kind))
    plain = re.sub(r"Optional\[(.*)\]", r"\1 | None", plain)
    return re.sub(r"[\w.]+\.(?=\w)|<class '|'>", "", plain)


PARTS: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "channels": _channels,
    "common_channel_options": _common_channel_options,
    "common_node_options": _common_node_options,
    "commands": _commands,
    "nodes": _nodes,
    "routes": _routes,
    "settings": _settings,
    "stores": _stores,
}
