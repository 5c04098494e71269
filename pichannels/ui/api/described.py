"""What the OpenAPI document says of fields and parameters: what the docstrings say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

from pichannels.declarative.annotations import arguments_in

__all__ = ["TAGS", "describe_paths", "describe_schemas"]

_HEADING: Final = "Attributes:"
TAGS: Final = (
    {"name": "console", "description": "Sessions, users, operations, the audit log."},
    {"name": "instances", "description": "Looking at instances."},
    {"name": "commands", "description": "Doing something to instances."},
    {"name": "events", "description": "What happens, as it happens."},
    {"name": "nodes", "description": "Live taps of nodes, and sinks that are paused."},
    {"name": "log", "description": "The last lines of an instance's log."},
)
_PLACES: Final[Mapping[str, str]] = {
    "instances": "name of an instance; `/instances` lists them",
    "channels": "full name of a channel",
    "dead-letter-groups": "fingerprint of a group of dead letters",
    "dead-letters": "number of a dead letter",
    "jobs": "number of a backfill job",
    "messages": "number of a message in its store",
    "nodes": "full name of a node",
    "operations": "number of an operation",
    "searches": "name of a search that the user keeps",
    "sinks": "full name of a sink",
    "tokens": "number of a token; its user tells it",
    "users": "name of a user",
    "versions": "number of a version; `settings/versions` lists them",
}
"""What stands in a path behind such a part of it."""


def describe_schemas(components: dict[str, Any], types: Iterable[Any]) -> None:
    """Give schemas of structs, and their fields, the words of their docstrings.

    Args:
        components: the schemas by name.
        types: that they were made from.
    """
    for kind in _structs(types):
        # Two of the same name are called by their modules, too.
        full = f"{kind.__module__}.{kind.__qualname__}"
        schema = components.get(full) or components.get(kind.__name__)
        if schema is None or "properties" not in schema:
            continue
        text, _, _ = (schema.get("description") or "").partition(_HEADING)
        schema["description"] = " ".join(text.split())
        said = _fields(kind)
        for name, field in schema["properties"].items():
            if name in said:
                # Beside a reference nothing else was allowed before OpenAPI 3.1.
                field["description"] = said[name]


def _fields(kind: type) -> dict[str, str]:
    """What the docstrings of a struct, and of those that it is made of, say."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        found |= arguments_in(vars(base).get("__doc__") or "", _HEADING)
    return found


def _structs(types: Iterable[Any]) -> Iterator[type]:
    """The structs among types, and within them."""
    waiting = list(inspect.multi_type_info(list(types)))
    known: set[type] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, inspect.StructType):
            if node.cls in known:
                continue
            known.add(node.cls)
            yield node.cls
        waiting += _within(node)


def _within(node: msgspec.Struct) -> Iterator[inspect.Type]:
    for name in node.__struct_fields__:
        value = getattr(node, name)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, inspect.Field):
                yield each.type
            elif isinstance(each, inspect.Type):
                yield each


def describe_paths(paths: Mapping[str, Any]) -> None:
    """Say of all parameters in paths what they are."""
    for path, operations in paths.items():
        parts = path.split("/")
        said = {
            part.strip("{}"): _PLACES[before]
            for before, part in zip(parts, parts[1:], strict=False)
            if part.startswith("{")
        }
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter["description"] = said[parameter["name"]]
