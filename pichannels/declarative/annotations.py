"""From annotations to the kinds of values that options take."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from pichannels.channels import BaseChannel
from pichannels.declarative import code, compound, kinds
from pichannels.declarative.compound import Field
from pichannels.declarative.kinds import Kind
from pichannels.expressions import Subject
from pichannels.formats.avro import AvroCodec
from pichannels.formats.codec import ICodec, JsonCodec, MessagePackCodec
from pichannels.formats.csv_codec import CsvCodec
from pichannels.formats.protobuf import ProtobufCodec
from pichannels.formats.registry import SchemaRegistry
from pichannels.message import Message
from pichannels.secrets import Secret
from pichannels.values import Sample

__all__ = ["arguments_in", "kind_for"]

_SCALARS: Final[Mapping[Any, type[Kind]]] = {
    Any: kinds.AnyKind,
    object: kinds.AnyKind,
    None: kinds.Nothing,
    type(None): kinds.Nothing,
    bool: kinds.Flag,
    int: kinds.Whole,
    float: kinds.Number,
    str: kinds.Text,
    Secret: kinds.SecretText,
}
_TIMES: Final = (datetime, date, time, timedelta)
_SUBJECTS: Final[Mapping[Any, Subject]] = {Sample: "sample", Message: "message"}
_CODECS: Final[Mapping[str, type[ICodec]]] = {
    "json": JsonCodec,
    "msgpack": MessagePackCodec,
    "avro": AvroCodec,
    "protobuf": ProtobufCodec,
    "csv": CsvCodec,
}
# In a union the first that fits is taken: what is special stands before what is
# general, a path before a text, a text before an expression.
_ORDER: Final[tuple[type[Kind], ...]] = (
    kinds.Nothing,
    kinds.Flag,
    kinds.Whole,
    kinds.Number,
    kinds.Choice,
    kinds.SecretText,
    kinds.PathName,
    kinds.Timed,
    kinds.Text,
    code.Function,
    code.PythonObject,
    compound.Tagged,
    compound.TupleOf,
    compound.ListOf,
    compound.Fields,
    compound.MapOf,
)


def kind_for(annotation: Any) -> Kind:
    """What a parameter with this annotation takes."""
    if hasattr(annotation, "__value__"):
        return kind_for(annotation.__value__)
    if isinstance(annotation, typing.NewType):
        return kind_for(annotation.__supertype__)
    if isinstance(annotation, typing.TypeVar) or annotation is inspect.Parameter.empty:
        return kinds.AnyKind()
    if _is_hashable(annotation) and annotation in _SCALARS:
        return _SCALARS[annotation]()
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated or origin in (typing.ClassVar, typing.Final):
        return kind_for(args[0])
    if origin is Literal:
        return kinds.Choice({value: value for value in args})
    if origin in (Union, types.UnionType):
        return _union(args)
    if origin is Callable or annotation is Callable:
        return _function(args)
    return _of_class(origin or annotation, args)


def _is_hashable(annotation: Any) -> bool:
    try:
        hash(annotation)
    except TypeError:
        return False
    return True


def _union(args: Sequence[Any]) -> Kind:
    found = [kind_for(arg) for arg in args]
    # A path may also be given as text; the text means the path then.
    if any(isinstance(kind, kinds.PathName) for kind in found):
        found = [kind for kind in found if type(kind) is not kinds.Text]
    found.sort(key=_rank)
    if any(type(kind) is kinds.AnyKind for kind in found):
        return kinds.AnyKind()
    return found[0] if len(found) == 1 else compound.OneOf(found)


def _rank(kind: Kind) -> int:
    ranks = [n for n, each in enumerate(_ORDER) if isinstance(kind, each)]
    return min(ranks, default=len(_ORDER))


def _function(args: Sequence[Any]) -> Kind:
    takes = args[0] if args and isinstance(args[0], list) else [None]
    if takes == [str]:
        return code.Converter()
    first = takes[0] if takes else None
    # An expression gives values, and never a message.
    gives = args[1] if len(args) == 2 else Any
    is_value = any(gives is each for each in (Any, bool, object))
    is_expression = len(takes) == 1 and _is_hashable(first) and is_value
    return code.Function(_SUBJECTS.get(first) if is_expression else None)


def _of_class(kind: Any, args: Sequence[Any]) -> Kind:
    if not isinstance(kind, type):
        return code.PythonObject(f"a {kind}")
    if kind is type and args and issubclass(args[0], BaseException):
        return code.ErrorClass()
    if issubclass(kind, BaseChannel):
        return kinds.Declared()
    if kind is ICodec:
        return _codec()
    if kind is SchemaRegistry:
        return _constructed(kind)
    if issubclass(kind, enum.Enum):
        return kinds.Choice({member.value: member for member in kind})
    if issubclass(kind, os.PathLike | PurePath):
        return kinds.PathName()
    if kind in _TIMES:
        return kinds.Timed(kind)
    if issubclass(kind, msgspec.Struct):
        return _struct(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind)
    if issubclass(kind, Mapping):
        return compound.MapOf(kind_for(args[1]) if len(args) == 2 else kinds.AnyKind())
    if issubclass(kind, tuple) and args and args[-1] is not Ellipsis:
        return compound.TupleOf([kind_for(arg) for arg in args])
    if issubclass(kind, Iterable) and not issubclass(kind, str | bytes):
        item = kind_for(args[0]) if args else kinds.AnyKind()
        return compound.ListOf(item, _made(kind))
    return code.PythonObject(f"a {kind.__name__}", kind)


def _codec() -> Kind:
    named = [compound.Tagged(name, _constructed(c)) for name, c in _CODECS.items()]
    return compound.OneOf([*named, code.PythonObject("a codec", ICodec)])


def _constructed(kind: type) -> compound.Fields:
    """What a class without parents that take options is made of."""
    helps = arguments_in(kind.__doc__ or "")
    init = kind.__init__  # type: ignore[misc]
    hints = typing.get_type_hints(init)
    empty = inspect.Parameter.empty
    named = [p for p in inspect.signature(init).parameters.values() if p.name in hints]
    fields = {
        p.name: Field(
            kind_for(hints[p.name]),
            p.default is empty,
            helps.get(p.name, ""),
            None if p.default is empty else p.default,
        )
        for p in named
    }
    return compound.Fields(kind, fields)


def _made(kind: type) -> Callable[[Iterable[Any]], Any]:
    if issubclass(kind, tuple):
        return tuple
    return frozenset if issubclass(kind, Set) else list


def _struct(kind: type[msgspec.Struct]) -> Kind:
    helps = arguments_in(kind.__doc__ or "", "Attributes:")
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {
        f.name: Field(
            kind_for(hints[f.name]), f.required, helps.get(f.name, ""), f.default
        )
        for f in msgspec.structs.fields(kind)
    }
    made = compound.Fields(kind, fields)
    tag = kind.__struct_config__.tag
    return made if tag is None else compound.Tagged(str(tag), made)


def _dataclass(kind: type) -> Kind:
    helps = arguments_in(kind.__doc__ or "", "Attributes:")
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {
        f.name: Field(kind_for(hints[f.name]), _is_needed(f), helps.get(f.name, ""))
        for f in dataclasses.fields(kind)
        if f.init
    }
    return compound.Fields(kind, fields)


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def arguments_in(doc: str, heading: str = "Args:") -> dict[str, str]:
    """The arguments that a docstring describes: name -> text on one line."""
    lines = inspect.cleandoc(doc).splitlines()
    if heading not in lines:
        return {}
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines[lines.index(heading) + 1 :]:
        if line and not line.startswith(" "):
            break
        if line.startswith("    ") and not line.startswith("     ") and ": " in line:
            head, _, text = line.strip().partition(": ")
            names = [name.strip().lstrip("*") for name in head.split(",")]
            found.update(dict.fromkeys(names, text))
        elif line.strip():
            for name in names:
                found[name] += f" {line.strip()}"
    return found
