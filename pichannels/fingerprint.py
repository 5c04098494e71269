"""What a thing of the settings is defined by, as digests that two processes share.

A reload has to know whether a channel is defined as it was before. Nodes, channels
and store factories remember what they were made with (`Defined`); a `Fingerprinter`
turns that, and any value in it, into text that is the same wherever the same
settings are evaluated: no addresses, no hash order, functions by their bytecode.
"""

from __future__ import annotations

import dis
import enum
import hashlib
import inspect
import logging
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import partial
from pathlib import PurePath
from typing import Any, Final, Self

import msgspec

__all__ = ["Defined", "Fact", "Fingerprinter", "differences", "options_of"]

_SHOWN_AT_MOST: Final = 60
_SECRET: Final = re.compile("auth|cert|credential|header|passw|pwd|secret|token", re.I)
_USER_IN_URL: Final = re.compile("//[^/@ ]*@")
_SCALARS: Final = (str, int, float, bool, bytes, complex, types.NoneType)
_GLOBALS: Final = ("LOAD_GLOBAL", "LOAD_NAME")
_LONG: Final = 256
_DEEP: Final = 40


class Defined:
    """Remembers what each object of a class was made with."""

    _made_with: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        made._made_with = (args, kwargs)
        return made


class Fact(msgspec.Struct, frozen=True):
    """One thing that a definition says.

    Attributes:
        digest: the same for the same value in each process.
        shown: the value, or what kind of thing it is, for people; never a secret.
    """

    digest: str
    shown: str


def options_of(thing: Defined) -> dict[str, Any]:
    """The arguments that an object was made with, by name, without defaults."""
    args, kwargs = thing._made_with
    try:
        signature = inspect.signature(type(thing))
        given = signature.bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return {**{f"argument {n}": arg for n, arg in enumerate(args)}, **kwargs}
    options: dict[str, Any] = {}
    for name, value in given.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            options.update(value)
        elif value != ():
            options[name] = value
    return options


def differences(old: Mapping[str, Fact], new: Mapping[str, Fact]) -> Iterator[str]:
    """What differs between facts, in words: `url: 'a' -> 'b'`."""
    for place in [*old, *(place for place in new if place not in old)]:
        before, after = old.get(place), new.get(place)
        if before is None or after is None:
            fact, what = (after, "added") if before is None else (before, "removed")
            assert fact is not None
            yield f"{place}: {fact.shown} {what}"
        elif before.digest != after.digest:
            if before.shown == after.shown:
                yield f"{place}: {after.shown} has changed"
            else:
                yield f"{place}: {before.shown} -> {after.shown}"


class Fingerprinter:
    """Makes facts of values.

    Args:
        module: the module whose functions and classes are described with all that
            they use there; those of other modules belong to their files.
        name_of: the name of a thing that is not described but referred to, or None.

    Attributes:
        references: the names that `name_of` gave.
    """

    def __init__(
        self, module: str, name_of: Callable[[object], str | None] | None = None
    ) -> None:
        self.references: set[str] = set()
        self._module = module
        self._name_of = name_of or (lambda value: None)
        self._open: dict[int, int] = {}
        self._known: dict[int, tuple[Any, str]] = {}

    def fact(self, name: str, value: Any) -> Fact:
        """The fact that `name` is `value`."""
        shown = "(not shown)" if _SECRET.search(name) else _shown(value)
        return Fact(_digest(self.text(value)), shown)

    def text(self, value: Any) -> str:
        """The value as text, the same in each process."""
        if isinstance(value, _SCALARS) and not isinstance(value, enum.Enum):
            return f"{type(value).__name__} {value!r}"
        name = self._name_of(value)
        if name is not None:
            self.references.add(name)
            return f"channel {name!r}"
        if id(value) in self._known:
            return self._known[id(value)][1]
        if id(value) in self._open:
            return f"the one at depth {self._open[id(value)]}"
        if len(self._open) >= _DEEP:
            return _named(type(value))
        self._open[id(value)] = len(self._open)
        try:
            text = self._text(value)
        except Exception as exc:
            # Objects of anybody's may fail when they are looked at.
            text = f"{_named(type(value))}: {type(exc).__name__}"
        finally:
            del self._open[id(value)]
        if len(text) > _LONG:
            text = _digest(text)
        # The value is kept too, so that no other one gets its id.
        self._known[id(value)] = (value, text)
        return text

    def _text(self, value: Any) -> str:
        kind = type(value)
        if isinstance(value, type):
            return self._of_class(value)
        if isinstance(value, types.FunctionType):
            return self._of_function(value)
        if isinstance(value, types.CodeType):
            return self._of_code(value)
        if isinstance(value, types.ModuleType | logging.Logger):
            name = getattr(value, "__name__", None) or getattr(value, "name", "")
            return f"{_named(kind)} {name}"
        if isinstance(value, Mapping):
            pairs = (f"{self.text(k)}: {self.text(v)}" for k, v in value.items())
            return f"{_named(kind)} {{{', '.join(pairs)}}}"
        if isinstance(value, Set):
            return f"{_named(kind)} {{{', '.join(sorted(map(self.text, value)))}}}"
        if isinstance(value, list | tuple):
            return f"{_named(kind)} [{self._of_items(value)}]"
        parts = [kind, *self._parts_of(value)]
        return f"object {', '.join(map(self.text, parts))}"

    def _of_items(self, items: Sequence[Any]) -> str:
        # Tag lists are long, and all text.
        if all(type(item) is str for item in items):
            return repr(list(items))
        return ", ".join(map(self.text, items))

    def _parts_of(self, value: Any) -> Iterator[Any]:
        """What makes an object what it is, besides its class."""
        if isinstance(value, partial):
            yield from (value.func, value.args, value.keywords)
        elif isinstance(value, types.MethodType):
            yield from (value.__func__, value.__self__)
        elif isinstance(value, types.BuiltinFunctionType):
            yield from (value.__qualname__, value.__self__)
        elif isinstance(value, Defined):
            yield options_of(value)
        elif isinstance(value, msgspec.Struct):
            yield msgspec.structs.astuple(value)
        elif isinstance(value, enum.Enum):
            yield value.name
        elif getattr(value, "__dict__", None):
            yield vars(value)
        elif isinstance(value, re.Pattern):
            yield from (value.pattern, value.flags)
        elif " at 0x" not in (text := repr(value)):
            yield text
        else:
            yield from _slots_of(value)

    # Code

    def _of_function(self, value: types.FunctionType) -> str:
        parts: list[Any] = [
            value.__module__,
            value.__qualname__,
            value.__code__,
            value.__defaults__,
            value.__kwdefaults__,
            [_content(cell) for cell in value.__closure__ or ()],
        ]
        if value.__module__ == self._module:
            known = value.__globals__
            names = sorted(_globals_in(value.__code__))
            parts.append({name: known[name] for name in names if name in known})
        return f"function {', '.join(map(self.text, parts))}"

    def _of_code(self, code: types.CodeType) -> str:
        parts = (
            code.co_code,
            code.co_consts,
            code.co_names,
            code.co_varnames,
            code.co_freevars,
            code.co_argcount,
            code.co_posonlyargcount,
            code.co_kwonlyargcount,
            code.co_flags,
        )
        return f"code {', '.join(map(self.text, parts))}"

    def _of_class(self, kind: type) -> str:
        if kind.__module__ != self._module:
            return f"class {_named(kind)}"
        own = {
            name: getattr(member, "__func__", member)
            for name, member in vars(kind).items()
            if name not in ("__dict__", "__weakref__", "__doc__", "__module__")
            and not name.startswith("_abc_")
            and name not in ("__firstlineno__", "__static_attributes__")
        }
        return f"class {_named(kind)} {self.text(kind.__bases__)} {self.text(own)}"


def _globals_in(code: types.CodeType) -> Iterator[str]:
    """The global names that code uses, functions inside it included."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in _GLOBALS:
            yield str(instruction.argval)
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _globals_in(const)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "empty"


def _slots_of(value: object) -> Iterator[Any]:
    for kind in type(value).__mro__:
        slots = getattr(kind, "__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            yield getattr(value, name, None)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _named(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _shown(value: Any) -> str:
    """The value as people may see it."""
    if isinstance(value, type):
        return value.__qualname__
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType):
        return f"{value.__name__}()"
    if isinstance(value, PurePath):
        value = str(value)
    if isinstance(value, enum.Enum):
        return str(value)
    if isinstance(value, _SCALARS):
        text = _USER_IN_URL.sub("//***@", repr(value))
        return text if len(text) <= _SHOWN_AT_MOST else f"{text[:_SHOWN_AT_MOST]}..."
    if isinstance(value, Mapping | Sequence | Set):
        return f"a {type(value).__name__} of {len(value):,}"
    return f"a {type(value).__name__}"
