"""What an option takes: read from YAML, told to people, described to editors.

Each annotation of a constructor becomes a `Kind`. A kind reads a value with its
place, says in words what is allowed, and gives its JSON schema. Here are those of
single values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec

from pichannels.declarative.source import At, kind_of
from pichannels.errors import SettingsError, nearest
from pichannels.secrets import Secret

__all__ = [
    "AnyKind",
    "Building",
    "Choice",
    "Context",
    "Declared",
    "Flag",
    "Kind",
    "Nothing",
    "Number",
    "PathName",
    "Schema",
    "SecretText",
    "Text",
    "Timed",
    "Whole",
]

Schema = dict[str, Any]


class Context(Protocol):
    """What kinds need to know of the project."""

    folder: Path

    def own_object(self, name: str) -> Any:
        """The object with this dotted name in a module of the project's own.

        Raises:
            SettingsError: there is none, or it is not the project's own.
        """


@runtime_checkable
class Building(Context, Protocol):
    """A context that builds channels as well."""

    def channel(self, at: At) -> Any:
        """The channel that is declared here; what is wrong with it is noted."""


class Kind:
    """What an option takes.

    Attributes:
        says: that, in words.
    """

    says = "anything"

    def fits(self, at: At) -> bool:
        """Whether the value looks like this kind, so that its errors are worth it."""
        return True

    def read(self, at: At, context: Context) -> Any:
        """The value as the constructor takes it.

        Raises:
            SettingsError: it is of another kind; with file, line and key.
        """
        if not self.fits(at):
            raise self.refusal(at)
        return self.convert(at, context)

    def convert(self, at: At, context: Context) -> Any:
        """The value, once it looks right."""
        return at.plain()

    def refusal(self, at: At) -> SettingsError:
        """What is told of a value of another kind."""
        if isinstance(at.value, Secret):
            text = "no secret can be given here; it would not stay one"
            return at.problem(text, found=str(at.value), allowed=self.says)
        return at.problem(f"this is {kind_of(at)}", allowed=self.says)

    def schema(self) -> Schema:
        """What editors are told."""
        return {}


AnyKind = Kind


class Nothing(Kind):
    """None, written `null` or `~`."""

    says = "null"

    def fits(self, at: At) -> bool:
        return at.value is None

    def schema(self) -> Schema:
        return {"type": "null"}


class Flag(Kind):
    """True or False."""

    says = "true or false"

    def fits(self, at: At) -> bool:
        words = ("true", "false")
        return type(at.value) is bool or at.is_from_variable and at.value in words

    def convert(self, at: At, context: Context) -> bool:
        return at.value in (True, "true")

    def schema(self) -> Schema:
        return _or_variable("boolean")


class Whole(Kind):
    """A whole number."""

    says = "a whole number"

    def fits(self, at: At) -> bool:
        return type(at.value) is int or at.is_from_variable and _is(int, at.value)

    def convert(self, at: At, context: Context) -> int:
        return int(at.value)

    def schema(self) -> Schema:
        return _or_variable("integer")


class Number(Kind):
    """Any number."""

    says = "a number"

    def fits(self, at: At) -> bool:
        is_number = type(at.value) in (int, float)
        return is_number or at.is_from_variable and _is(float, at.value)

    def convert(self, at: At, context: Context) -> float:
        return float(at.value)

    def schema(self) -> Schema:
        return _or_variable("number")


def _or_variable(type_name: str) -> Schema:
    """A type that a variable may stand for: `${NAME:-5}`."""
    return {"anyOf": [{"type": type_name}, {"type": "string", "pattern": r"^\$\{"}]}


def _is(kind: Callable[[str], Any], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


class Text(Kind):
    """Text; what YAML takes for something else needs quotes."""

    says = "a text"

    def fits(self, at: At) -> bool:
        return isinstance(at.value, str)

    def refusal(self, at: At) -> SettingsError:
        if isinstance(at.value, dict | list | Secret) or at.value is None:
            return super().refusal(at)
        return at.problem(
            f"this is {kind_of(at)}, and no text; put it in quotes", allowed=self.says
        )

    def schema(self) -> Schema:
        return {"type": "string"}


class PathName(Text):
    """The path of a file, relative to the folder of the settings."""

    says = "the path of a file, relative to settings.py"

    def convert(self, at: At, context: Context) -> Path:
        return Path(context.folder, at.value)

    def schema(self) -> Schema:
        return {"type": "string", "format": "path"}


class SecretText(Kind):
    """A secret by reference."""

    says = "${env:NAME}, ${file:path} or ${keyring:service/user}"

    def fits(self, at: At) -> bool:
        return isinstance(at.value, Secret)

    def convert(self, at: At, context: Context) -> Secret:
        secret: Secret = at.value
        return secret

    def schema(self) -> Schema:
        return {
            "type": "string",
            "pattern": r"\$\{(env|file|keyring):",
            "examples": ["${env:PI_PASSWORD}"],
        }


class Choice(Kind):
    """One of a few values."""

    def __init__(self, values: Mapping[Any, Any]) -> None:
        self._values = values
        self.says = ", ".join(str(value) for value in values)

    def fits(self, at: At) -> bool:
        return isinstance(at.value, str | int) and at.value in self._values

    def convert(self, at: At, context: Context) -> Any:
        return self._values[at.value]

    def refusal(self, at: At) -> SettingsError:
        if not isinstance(at.value, str | int | float):
            return super().refusal(at)
        hint = nearest(str(at.value), map(str, self._values))
        return at.problem(f"no such choice{hint}", found=at.value, allowed=self.says)

    def schema(self) -> Schema:
        return {"enum": list(self._values)}


class Timed(Kind):
    """An instant, a date, a time of day or a duration, in ISO 8601."""

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self.says = {
            datetime: "an instant in ISO 8601",
            date: "a date in ISO 8601",
            time: "a time of day in ISO 8601",
            timedelta: "a duration in ISO 8601, such as PT1H",
        }[kind]

    def fits(self, at: At) -> bool:
        if type(at.value) is self._kind:
            return True
        try:
            msgspec.convert(at.value, self._kind)
        except (msgspec.ValidationError, TypeError):
            return False
        return isinstance(at.value, str)

    def convert(self, at: At, context: Context) -> Any:
        if type(at.value) is self._kind:
            return at.value
        return msgspec.convert(at.value, self._kind)

    def schema(self) -> Schema:
        return {"type": "string"}


class Declared(Kind):
    """A channel, written as those of the file are."""

    says = "a channel, with name, source and nodes"

    def fits(self, at: At) -> bool:
        return isinstance(at.value, dict)

    def convert(self, at: At, context: Context) -> Any:
        if not isinstance(context, Building):
            raise at.problem("no channel can be declared here")
        return context.channel(at)

    def schema(self) -> Schema:
        return {"$ref": "#/definitions/channel"}
