"""What only administrators see of payloads."""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import Mapping, Sequence
from fnmatch import translate
from typing import Any, Final

import msgspec

from pichannels.control.mask_texts import HIDDEN, without_fields
from pichannels.query import payload_text

__all__ = ["HIDDEN", "Mask", "masked_text"]

_KNOWN: Final = 10_000
"""Paths of which is known whether they are hidden."""
_LONGEST: Final = 2000
"""Characters of a way to a field; what is deeper is hidden."""
_TYPE: Final = "$type"
_WRAPPED: Final = ("value", "text")
"""Where codecs put a value beside its type."""


class Mask:
    """Hides the values of fields by their names, and parts of texts.

    JSON documents in a text are looked into, elements of XML, and what has the form
    `name: value` or `name=value`, as errors quote it.

    Args:
        fields: names of fields, with `*` and `?`; capitals do not matter. One with dots
            is the end of the way to a field, such as `patient.name`.
        texts: regular expressions of what is hidden in all texts.

    Attributes:
        fields, texts: the same, to make another one of them.
    """

    def __init__(self, fields: Sequence[str] = (), texts: Sequence[str] = ()) -> None:
        self.fields, self.texts = list(fields), list(texts)
        names = [each for name in fields for each in (name, f"*.{name}")]
        joined = "|".join(translate(name.lower()) for name in names)
        self._fields = re.compile(joined) if fields else None
        self._texts = [re.compile(text) for text in texts]
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return self._fields is not None or bool(self._texts)

    def applied(self, value: Any, path: str = "") -> Any:
        """The value without what is hidden; what is not changed is not copied."""
        if not self:
            return value
        try:
            return self._applied(value, path)
        except RecursionError:
            return HIDDEN

    def _applied(self, value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            return self._mapping(value, path)
        if isinstance(value, list | tuple):
            return [self._applied(each, path) for each in value]
        if isinstance(value, bytes):
            text = value.decode("latin-1")
            shown = self._text(text, path)
            return value if shown == text else shown
        return self._text(value, path) if isinstance(value, str) else value

    def _mapping(self, value: Mapping[Any, Any], path: str) -> dict[Any, Any]:
        kind, inner = value.get(_TYPE), value.get("value")
        if kind == "bytes" and isinstance(inner, str):
            return self._bytes(dict(value), inner, path)
        if kind == "dict" and isinstance(inner, list) and all(map(_is_pair, inner)):
            # As codecs write a mapping whose keys are no texts.
            pairs = [[k, self._field(str(k), v, path)] for k, v in inner]
            return {**value, "value": pairs}
        is_typed = isinstance(kind, str)
        return {
            self._key(key): self._applied(each, path)
            if is_typed and key in _WRAPPED and not self._hides(_way(path, key))
            else self._field(str(key), each, path)
            for key, each in value.items()
        }

    def _key(self, key: Any) -> Any:
        return self._parts(key) if self._texts and isinstance(key, str) else key

    def _bytes(self, value: dict[str, Any], coded: str, path: str) -> dict[str, Any]:
        """Bytes that are no UTF-8, looked at as a text of the same length."""
        with contextlib.suppress(binascii.Error, ValueError):
            text = base64.b64decode(coded).decode("latin-1")
            shown = self._text(text, path)
            if shown != text:
                return {_TYPE: "bytes", "text": shown}
        return value

    def _field(self, name: str, value: Any, path: str) -> Any:
        whole = _way(path, name)
        return HIDDEN if self._hides(whole) else self._applied(value, whole)

    def _hides(self, path: str) -> bool:
        if self._fields is None:
            return False
        found = self._known.get(path)
        if found is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            is_deep = len(path) > _LONGEST
            found = is_deep or self._fields.match(path.lower()) is not None
            self._known[path] = found
        return found

    def _text(self, text: str, path: str) -> str:
        return self._parts(self._named(text, path))

    def _parts(self, text: str) -> str:
        for pattern in self._texts:
            text = pattern.sub(HIDDEN, text)
        return text

    def _named(self, text: str, path: str) -> str:
        if self._fields is None:
            return text
        if text[:1] in ("{", "["):
            with contextlib.suppress(ValueError, RecursionError):
                # Much quicker, where the whole text is one document.
                found = msgspec.json.decode(text)
                masked = self._applied(found, path)
                if masked == found:
                    return text
                return msgspec.json.encode(masked).decode()
        return without_fields(text, path, self._hides, self.applied)


def masked_text(payload: Any, mask: Mask | None) -> str:
    """A payload as text, as searches and lists look at it, without what is hidden."""
    if not mask:
        return payload_text(payload)
    return str(mask.applied(payload_text(mask.applied(payload))))


def _way(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2
