"""The options of a class: the parameters of its constructor, and of those it calls."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from inspect import Parameter
from typing import Any, Final

import msgspec

from pichannels.declarative.annotations import arguments_in, kind_for
from pichannels.declarative.code import PythonObject
from pichannels.declarative.compound import Field, ListOf
from pichannels.declarative.kinds import Context
from pichannels.declarative.source import At, Problems
from pichannels.errors import SettingsError, nearest

__all__ = ["Signature", "summary_of"]

_PASSED_ON: Final = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class Signature:
    """What a class can be made with.

    Args:
        made: the class.
        without: parameters that are given in another way, or by nobody.

    Attributes:
        fields: the options by name; those of the class itself come first.
    """

    def __init__(self, made: type, without: Collection[str] = ()) -> None:
        self.made = made
        self.fields: dict[str, Field] = {}
        self._positional: list[str] = []
        self._several: str | None = None
        for base in made.__mro__:
            init = vars(base).get("__init__")
            if init is None or base is object:
                continue
            parameters = list(inspect.signature(init).parameters.values())[1:]
            self._add(base, init, parameters, {*without, *self.fields})
            if not any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
                break

    def _add(
        self,
        base: type,
        init: Callable[..., Any],
        parameters: list[Parameter],
        without: Collection[str],
    ) -> None:
        helps = arguments_in(base.__doc__ or "")
        hints = _hints(init)
        own: list[str] = []
        is_above = bool(self.fields)
        for parameter in parameters:
            name = parameter.name
            if name in without or _is_passed_on(parameter):
                continue
            if is_above and parameter.kind is Parameter.POSITIONAL_ONLY:
                # The class gives it by itself.
                continue
            kind = kind_for(hints.get(name, Any))
            if parameter.kind is Parameter.VAR_POSITIONAL:
                # Only here the ones before have to be given by position.
                self._positional, self._several = own, name
                kind = ListOf(kind)
            elif parameter.kind in _POSITIONAL:
                own.append(name)
            if is_above and _is_needed(parameter):
                # Either the class gives it by itself, or its constructor misses it.
                if type(kind) is not PythonObject:
                    self.fields[name] = Field(kind, False, helps.get(name, ""))
                continue
            default = (
                None if parameter.default is Parameter.empty else parameter.default
            )
            is_needed = _is_needed(parameter)
            self.fields[name] = Field(kind, is_needed, helps.get(name, ""), default)

    def read(self, options: Mapping[Any, At], context: Context) -> _Read:
        """The options as Python values, and what is wrong with them."""
        found: dict[str, Any] = {}
        problems: Problems = []
        for key, at in options.items():
            field = self.fields.get(key)
            if field is None:
                problems.append(self._unknown(key, at))
                continue
            try:
                found[key] = field.kind.read(at, context)
            except SettingsError as exc:
                problems.append(exc)
        return _Read(found, problems)

    def _unknown(self, key: Any, at: At) -> SettingsError:
        hint = nearest(str(key), self.fields)
        return at.problem(
            f"{self.made.__name__} has no option {key!r}{hint}",
            allowed=", ".join(self.fields) or "no options",
            at_key=True,
        )

    @property
    def is_for_yaml(self) -> bool:
        """Whether it needs nothing that only Python can make."""
        return not any(
            field.is_required and type(field.kind) is PythonObject
            for field in self.fields.values()
        )

    def missing(self, options: Collection[Any]) -> list[str]:
        """The options that are needed and not among these."""
        return [
            name
            for name, field in self.fields.items()
            if field.is_required and name not in options
        ]

    def make(self, options: Mapping[str, Any], **more: Any) -> Any:
        """An object with these options."""
        options = dict(options)
        several = options.pop(self._several, ()) if self._several else ()
        first = []
        if several:
            defaults = {n: self.fields[n].default for n in self._positional}
            first = [options.pop(n, defaults[n]) for n in self._positional]
        return self.made(*first, *several, **options, **more)


class _Read(msgspec.Struct, frozen=True):
    """Options as Python values, and what is wrong with the others."""

    values: dict[str, Any]
    problems: Problems


def _is_needed(parameter: Parameter) -> bool:
    is_empty = parameter.default is Parameter.empty
    return is_empty and parameter.kind is not Parameter.VAR_POSITIONAL


def _is_passed_on(parameter: Parameter) -> bool:
    """`*args` and `**options` go to the class above."""
    is_several = parameter.kind is Parameter.VAR_POSITIONAL
    return parameter.kind in _PASSED_ON and not (
        is_several and parameter.name != "args"
    )


def _hints(init: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(init, include_extras=True)
    except (NameError, TypeError, AttributeError):
        # Names that exist only for type checkers; then anything is allowed.
        return {}


def summary_of(made: type) -> str:
    """What a class says that it is for: the first sentence of its docstring."""
    return inspect.cleandoc(made.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
