"""Options that are code: expressions, and what the project's own modules have."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from typing import Any, Final

from pichannels import errors
from pichannels.declarative.kinds import Context, Kind, Schema
from pichannels.declarative.source import At
from pichannels.errors import SettingsError, nearest
from pichannels.expressions import Subject, names_of, parse_expression

__all__ = [
    "PYTHON",
    "Converter",
    "ErrorClass",
    "Function",
    "PythonObject",
    "expression",
]

PYTHON: Final = "python"
"""The one key of a mapping that names an object of the project's own modules."""

_CONVERTERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "float": float,
    "int": int,
    "str": str,
}

_ERRORS: Final[Mapping[str, type[Exception]]] = {
    name: found
    for module in (builtins, errors)
    for name, found in vars(module).items()
    if isinstance(found, type) and issubclass(found, Exception)
}


class PythonObject(Kind):
    """What only Python can make: `{python: module.name}` names it."""

    def __init__(self, what: str, kind: type | None = None) -> None:
        self._kind = kind
        self.says = f"{{{PYTHON}: module.name}} that names {what}"

    def fits(self, at: At) -> bool:
        return isinstance(at.value, dict) and list(at.value) == [PYTHON]

    def convert(self, at: At, context: Context) -> Any:
        name = at.value[PYTHON]
        if not isinstance(name.value, str):
            raise name.problem("this is no dotted name", allowed="module.name")
        try:
            found = context.own_object(name.value)
        except SettingsError as exc:
            raise name.problem(exc.problem, allowed=exc.allowed) from exc
        self._check(found, name)
        return found

    def _check(self, found: Any, at: At) -> None:
        try:
            is_right = self._kind is None or isinstance(found, self._kind)
        except TypeError:
            # Protocols cannot tell; the constructor will.
            return
        if not is_right and self._kind is not None:
            kind = type(found).__name__
            raise at.problem(f"{at.value} is a {kind}", allowed=self._kind.__name__)

    def schema(self) -> Schema:
        return {
            "type": "object",
            "properties": {PYTHON: {"type": "string"}},
            "required": [PYTHON],
            "additionalProperties": False,
        }


class Function(PythonObject):
    """A function of the project, or an expression about a sample or a message."""

    def __init__(self, subject: Subject | None) -> None:
        super().__init__("a function")
        self._subject = subject
        if subject is not None:
            self.says = f"an expression about a {subject}, or {self.says}"

    def fits(self, at: At) -> bool:
        is_expression = isinstance(at.value, str) and self._subject is not None
        return is_expression or super().fits(at)

    def convert(self, at: At, context: Context) -> Any:
        if isinstance(at.value, str) and self._subject is not None:
            return expression(at, self._subject)
        return super().convert(at, context)

    def _check(self, found: Any, at: At) -> None:
        if not callable(found):
            raise at.problem(f"{at.value} is no function")

    def schema(self) -> Schema:
        named = super().schema()
        return (
            {"anyOf": [_expression(self._subject), named]} if self._subject else named
        )


def expression(at: At, subject: Subject) -> Any:
    """The expression in a text, with its place in the errors."""
    try:
        return parse_expression(at.value, subject)
    except SettingsError as exc:
        raise at.problem(exc.problem, found=exc.found, allowed=exc.allowed) from exc


def _expression(subject: Subject) -> Schema:
    names = ", ".join(names_of(subject))
    return {"type": "string", "description": f"An expression; it may use {names}."}


class ErrorClass(PythonObject):
    """A class of exceptions: one of Python's or ours by its name, or the project's."""

    def __init__(self) -> None:
        super().__init__("a class of exceptions")
        self.says = f"a name such as OSError or NotConnected, or {self.says}"

    def fits(self, at: At) -> bool:
        return isinstance(at.value, str) or super().fits(at)

    def convert(self, at: At, context: Context) -> Any:
        if not isinstance(at.value, str):
            return super().convert(at, context)
        if at.value not in _ERRORS:
            hint = nearest(at.value, _ERRORS)
            raise at.problem(f"there is no exception {at.value!r}{hint}")
        return _ERRORS[at.value]

    def _check(self, found: Any, at: At) -> None:
        if not (isinstance(found, type) and issubclass(found, Exception)):
            raise at.problem(f"{at.value} is no class of exceptions")

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "string"}, super().schema()]}


class Converter(PythonObject):
    """A function of a text: a name of a few, or one of the project."""

    def __init__(self) -> None:
        super().__init__("a function")
        self.says = f"{', '.join(_CONVERTERS)}, or {self.says}"

    def fits(self, at: At) -> bool:
        return (
            at.value in _CONVERTERS if isinstance(at.value, str) else super().fits(at)
        )

    def convert(self, at: At, context: Context) -> Any:
        if isinstance(at.value, str):
            return _CONVERTERS[at.value]
        return super().convert(at, context)

    def schema(self) -> Schema:
        return {"anyOf": [{"enum": list(_CONVERTERS)}, super().schema()]}
