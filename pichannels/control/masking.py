"""What only administrators see of payloads."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from fnmatch import translate
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final

import msgspec

__all__ = ["HIDDEN", "Mask"]

HIDDEN: Final = "(masked)"

_JSON: Final = JSONDecoder()
_DOCUMENTS: Final = 20
"""How many JSON documents in one text are looked into."""
_DONE: Final = rf"""['"]?{re.escape(HIDDEN)}"""
_VALUE: Final = r"""'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|[^\s,;&)}\]]+"""


class Mask:
    """Hides the values of fields by their names, and parts of texts.

    JSON documents in a text are looked into, and so is what has the form `name: value`
    or `name=value`, as errors quote it.

    Args:
        fields: names of fields, with `*` and `?`; capitals do not matter. One with dots
            is the way from the outermost field, such as `patient.name`.
        texts: regular expressions of what is hidden in all texts.

    Attributes:
        fields, texts: the same, to make another one of them.
    """

    def __init__(self, fields: Sequence[str] = (), texts: Sequence[str] = ()) -> None:
        self.fields, self.texts = list(fields), list(texts)
        joined = "|".join(translate(name.lower()) for name in fields)
        self._fields = re.compile(joined) if fields else None
        self._texts = [re.compile(text) for text in texts]
        # Where a text ends too soon or is no JSON, nobody knows the way to a field.
        plain = "|".join(_words(name) for name in fields if "." not in name)
        named = (
            rf"""(?<![\w.])(['"]?(?:{plain})['"]?\s*[:=]\s*)(?!{_DONE})(?:{_VALUE})"""
        )
        self._named = re.compile(named, re.IGNORECASE) if plain else None

    def __bool__(self) -> bool:
        return self._fields is not None or bool(self._texts)

    def applied(self, value: Any, path: str = "") -> Any:
        """The value without what is hidden; what is not changed is not copied."""
        if not self:
            return value
        if isinstance(value, Mapping):
            return {k: self._field(str(k), v, path) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.applied(each, path) for each in value]
        return self._text(value, path) if isinstance(value, str) else value

    def _field(self, name: str, value: Any, path: str) -> Any:
        whole = f"{path}.{name}" if path else name
        fields = self._fields
        if fields is not None:
            if fields.match(name.lower()) or fields.match(whole.lower()):
                return HIDDEN
        return self.applied(value, whole)

    def _text(self, text: str, path: str) -> str:
        if self._fields is not None:
            text = self._documents(text, path)
        if self._named is not None:
            text = self._named.sub(rf"\1{HIDDEN}", text)
        for pattern in self._texts:
            text = pattern.sub(HIDDEN, text)
        return text

    def _documents(self, text: str, path: str) -> str:
        """The text without what is hidden in JSON documents in it."""
        if text[:1] in ("{", "["):
            with contextlib.suppress(ValueError, RecursionError):
                # Much quicker, where the whole text is one.
                return self._document(text, msgspec.json.decode(text), path)
        parts: list[str] = []
        at = 0
        for _ in range(_DOCUMENTS):
            start = _opening(text, at)
            if start < 0:
                break
            found, end = _document(text, start)
            parts += (text[at:start], self._document(text[start:end], found, path))
            at = end
        return "".join([*parts, text[at:]])

    def _document(self, text: str, found: Any, path: str) -> str:
        if found is None:
            return text
        masked = self.applied(found, path)
        return text if masked == found else msgspec.json.encode(masked).decode()


def _words(name: str) -> str:
    """A pattern of a field's name in a text."""
    return re.escape(name).replace(r"\*", r"[\w-]*").replace(r"\?", r"[\w-]")


def _opening(text: str, at: int) -> int:
    found = [place for sign in "{[" if (place := text.find(sign, at)) >= 0]
    return min(found, default=-1)


def _document(text: str, start: int) -> tuple[Any, int]:
    """A JSON document and where it ends; None and the next place where none begins."""
    try:
        return _JSON.raw_decode(text, start)
    except (JSONDecodeError, RecursionError):
        return None, start + 1
