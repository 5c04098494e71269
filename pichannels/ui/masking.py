"""What only administrators see of payloads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import translate
from typing import Any, Final

import msgspec

__all__ = ["HIDDEN", "Mask"]

HIDDEN: Final = "(masked)"


class Mask:
    """Hides the values of fields by their names, and parts of texts.

    A text that is a JSON document is looked into.

    Args:
        fields: names of fields, with `*` and `?`; capitals do not matter. One with dots
            is the way from the outermost field, such as `patient.name`.
        texts: regular expressions of what is hidden in all texts.
    """

    def __init__(self, fields: Sequence[str] = (), texts: Sequence[str] = ()) -> None:
        joined = "|".join(translate(name.lower()) for name in fields)
        self._fields = re.compile(joined) if fields else None
        self._texts = [re.compile(text) for text in texts]

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
        if self._fields is not None and text[:1] in ("{", "["):
            try:
                found = msgspec.json.decode(text)
            except (msgspec.DecodeError, ValueError, RecursionError):
                found = None
            if isinstance(found, dict | list):
                masked = self.applied(found, path)
                text = text if masked == found else msgspec.json.encode(masked).decode()
        for pattern in self._texts:
            text = pattern.sub(HIDDEN, text)
        return text
