"""Options that are made of parts: lists, mappings, one of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from pichannels.declarative.kinds import Context, Kind, Nothing, Schema
from pichannels.declarative.source import At
from pichannels.errors import PichannelsError, SettingsError, nearest

__all__ = ["Field", "Fields", "ListOf", "MapOf", "OneOf", "Tagged", "TupleOf"]


class ListOf(Kind):
    """A list whose items are of one kind."""

    def __init__(self, item: Kind, make: Callable[[Iterable[Any]], Any] = list) -> None:
        self.item = item
        self._make = make
        self.says = f"a list, each item {item.says}"

    def fits(self, at: At) -> bool:
        return isinstance(at.value, list)

    def convert(self, at: At, context: Context) -> Any:
        return self._make([self.item.read(item, context) for item in at.value])

    def schema(self) -> Schema:
        return {"type": "array", "items": self.item.schema()}


class TupleOf(Kind):
    """A list with so many items."""

    def __init__(self, items: Sequence[Kind]) -> None:
        self._items = items
        self.says = f"a list of {len(items)}: {', '.join(k.says for k in items)}"

    def fits(self, at: At) -> bool:
        return isinstance(at.value, list) and len(at.value) == len(self._items)

    def convert(self, at: At, context: Context) -> Any:
        pairs = zip(self._items, at.value, strict=True)
        return tuple(kind.read(item, context) for kind, item in pairs)

    def schema(self) -> Schema:
        count = len(self._items)
        items = [item.schema() for item in self._items]
        return {"type": "array", "items": items, "minItems": count, "maxItems": count}


class MapOf(Kind):
    """A mapping whose values are of one kind; its keys are the user's."""

    def __init__(self, value: Kind) -> None:
        self._value = value
        self.says = f"a mapping, each value {value.says}"

    def fits(self, at: At) -> bool:
        return isinstance(at.value, dict)

    def convert(self, at: At, context: Context) -> dict[Any, Any]:
        return {key: self._value.read(v, context) for key, v in at.value.items()}

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": self._value.schema()}


class Field(msgspec.Struct, frozen=True):
    """One option: what it takes, whether it is needed, what it means."""

    kind: Kind
    is_required: bool = False
    help: str = ""
    default: Any = None

    def schema(self) -> Schema:
        """What editors are told of it."""
        found = dict(self.kind.schema())
        if self.help:
            found["description"] = self.help
        is_plain = isinstance(self.default, str | int | float)
        if is_plain and self.default != "" and not self.is_required:
            found["default"] = self.default
        return found


class Fields(Kind):
    """A mapping with known keys, of which something is made."""

    def __init__(self, make: Callable[..., Any], fields: Mapping[str, Field]) -> None:
        self.make = make
        self.fields = dict(fields)
        self.says = f"a mapping with {', '.join(self.fields)}"

    def fits(self, at: At) -> bool:
        return isinstance(at.value, dict)

    def convert(self, at: At, context: Context) -> Any:
        values = {}
        for key, item in at.value.items():
            if key not in self.fields:
                hint = nearest(str(key), self.fields)
                raise item.problem(
                    f"there is no {key!r} here{hint}",
                    allowed=", ".join(self.fields),
                    at_key=True,
                )
            values[key] = self.fields[key].kind.read(item, context)
        try:
            return self.make(**values)
        except (PichannelsError, TypeError, ValueError) as exc:
            raise at.problem(str(exc)) from exc

    def schema(self) -> Schema:
        return {
            "type": "object",
            "properties": {name: f.schema() for name, f in self.fields.items()},
            "required": [name for name, f in self.fields.items() if f.is_required],
            "additionalProperties": False,
        }


class Tagged(Kind):
    """What is named by a key: `{negotiate: {user: ...}}`.

    The name alone will do where nothing has to be said.
    """

    def __init__(self, tag: str, fields: Fields) -> None:
        self._tag = tag
        self._fields = fields
        self._is_enough = not any(f.is_required for f in fields.fields.values())
        self.says = f"{{{tag}: ...}}"

    def fits(self, at: At) -> bool:
        if isinstance(at.value, str):
            return self._is_enough and at.value == self._tag
        return isinstance(at.value, dict) and list(at.value) == [self._tag]

    def convert(self, at: At, context: Context) -> Any:
        inner = at.value[self._tag] if isinstance(at.value, dict) else None
        if inner is None or (inner.value is None and self._is_enough):
            return self._fields.make()
        return self._fields.read(inner, context)

    def schema(self) -> Schema:
        named: Schema = {
            "type": "object",
            "properties": {self._tag: self._fields.schema()},
            "required": [self._tag],
            "additionalProperties": False,
        }
        return {"anyOf": [{"const": self._tag}, named]} if self._is_enough else named


class OneOf(Kind):
    """One of several kinds; the first that fits."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = kinds
        self.says = " or ".join(dict.fromkeys(kind.says for kind in kinds))

    def fits(self, at: At) -> bool:
        return any(kind.fits(at) for kind in self._kinds)

    def convert(self, at: At, context: Context) -> Any:
        first: SettingsError | None = None
        for kind in self._kinds:
            if kind.fits(at):
                try:
                    return kind.convert(at, context)
                except SettingsError as exc:
                    first = first or exc
        assert first is not None
        raise first

    def refusal(self, at: At) -> SettingsError:
        # Where the kinds differ in nothing but None, the other one says more.
        others = [kind for kind in self._kinds if not isinstance(kind, Nothing)]
        if len(others) == 1:
            return others[0].refusal(at)
        return super().refusal(at)

    def schema(self) -> Schema:
        return {"anyOf": [kind.schema() for kind in self._kinds]}
