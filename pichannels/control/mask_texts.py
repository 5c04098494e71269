"""Values in texts, found by the names of their fields: JSON, and what looks like it.

Errors and lines of logs quote payloads whole, cut short, as Python shows them, or as
`name=value`; elements of XML are known, too. The time that this takes grows with the
length of a text, whatever is in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final, NamedTuple

import msgspec

__all__ = ["HIDDEN", "without_fields"]

HIDDEN: Final = "(masked)"

Hides = Callable[[str], bool]
Applied = Callable[[Any, str], Any]

_JSON: Final = JSONDecoder()
_TRIES: Final = 4
"""How often a text may be looked at in vain for where JSON ends."""
_LEAST: Final = 10_000
_DEEPEST: Final = 8
"""Texts in texts that are looked into; what is deeper is hidden."""
_QUOTED: Final = (
    r'"(?:[^"\\]|\\.)*"?'
    r"|'(?:[^'\\]|\\.)*'?"
    r"""|(?P<quote>\\+["'])(?:(?!(?P=quote)).)*(?:(?P=quote))?"""
)
_TOKEN: Final = re.compile(
    rf"(?<!\w)(?P<quoted>{_QUOTED})|(?P<word>[\w.-]+)|[{{\[(}}\])]", re.DOTALL
)
_SIGN: Final = re.compile(r"""(?:\\*["'])?\s*(?:=>|[:=])\s*""")
_ELEMENT: Final = re.compile(r"(?:\s[^<>]*)?(?<!/)>")
_VOID: Final = frozenset({"br", "hr", "img", "input", "link", "meta", "wbr"})
_PREFIX: Final = 64
_PREFIXED: Final = re.compile(r"<[\w.-]+:$")
_PREFIXED_END: Final = re.compile(r"</[\w.-]+:$")
_PLAUSIBLE: Final = re.compile(r"""\{\s*["}]|\[\s*[\[{"\d\-tfn\]]""")
_BRACKET: Final = re.compile(rf"{_QUOTED}|[{{\[(}}\])]", re.DOTALL)
_VALUE: Final = re.compile(
    rf"{re.escape(HIDDEN)}|[bru]{{0,2}}(?:{_QUOTED})"
    r"|[\w.]*(?P<open>[{\[(])|[^\s,;&)}\]]+",
    re.DOTALL | re.IGNORECASE,
)
_SIGNS: Final = frozenset(":=<")
_OPENING, _CLOSING = frozenset("{[("), frozenset("}])")


def without_fields(text: str, path: str, hides: Hides, applied: Applied) -> str:
    """The text without the values of fields that are hidden.

    Args:
        path: of what the text is the value of, or "".
        hides: whether the field of this path is hidden.
        applied: gives a document, that is the value at this path, without those.
    """
    tries = max(_LEAST, _TRIES * len(text))
    return _Scan(hides, applied, tries).shown(text, path)


class _Place(NamedTuple):
    """Where the scan is.

    Attributes:
        end: of what was seen last.
        path: of the field whose value comes next.
    """

    end: int
    path: str


class _Scan:
    """Goes once through a text, and knows of which field it sees the value."""

    def __init__(self, hides: Hides, applied: Applied, tries: int) -> None:
        self._hides = hides
        self._applied = applied
        self._tries = tries
        self._depth = 0

    def shown(self, text: str, path: str) -> str:
        """The text without what is hidden."""
        if not _SIGNS.intersection(text):
            return text
        if self._depth >= _DEEPEST:
            return HIDDEN
        self._depth += 1
        parts: list[str] = []
        around: list[str] = [path]
        place, done = _Place(0, path), 0
        while found := _TOKEN.search(text, place.end):
            told, place = self._token(text, found, place.path, around)
            if told is not None:
                parts += (text[done : found.start()], told)
                done = place.end
        self._depth -= 1
        return "".join([*parts, text[done:]])

    def _token(
        self, text: str, found: re.Match[str], path: str, around: list[str]
    ) -> tuple[str | None, _Place]:
        """What stands for a token, or None where it stays, and where to go on."""
        token, end = found[0], found.end()
        if token in _OPENING:
            return self._opened(text, found.start(), path, around)
        if token in _CLOSING:
            if len(around) > 1:
                around.pop()
            return None, _Place(end, around[-1])
        sign = _SIGN.match(text, end)
        name = token.strip("\\\"'") if found["quoted"] else token.strip("-.")
        if sign is None and _is_element(text, found.start()):
            sign = _ELEMENT.match(text, end)
        elif sign is None and _is_ending(text, found.start()):
            _leave(around, name)
        if sign is None:
            told = self._quoted(found["quoted"] or "", path)
            # The name of a class may stand before its fields.
            is_called = text[end : end + 1] == "("
            return told, _Place(end, path if is_called else around[-1])
        field = f"{around[-1]}.{name}" if around[-1] else name
        last = name.rpartition("-")[2]
        if not (self._hides(field) or (not found["quoted"] and self._hides(last))):
            if sign.re is _ELEMENT and name.lower() not in _VOID:
                around.append(field)
            return None, _Place(sign.end(), field)
        is_element = sign.re is _ELEMENT
        find_end = _end_of_element if is_element else _end_of_value
        told = text[found.start() : sign.end()] + HIDDEN
        return told, _Place(find_end(text, sign.end(), token), around[-1])

    def _quoted(self, quoted: str, path: str) -> str | None:
        """What stands for a quoted text that is a value."""
        inside = _inside(quoted)
        told = self.shown(inside, path)
        return None if told == inside else _around(quoted, told)

    def _opened(
        self, text: str, start: int, path: str, around: list[str]
    ) -> tuple[str | None, _Place]:
        if self._tries > 0 and _PLAUSIBLE.match(text, start):
            # An error counts the lines before it.
            self._tries -= start // 16
            try:
                found, end = _JSON.raw_decode(text, start)
            except JSONDecodeError as exc:
                self._tries -= exc.pos - start
            except RecursionError:
                self._tries -= _LEAST
            else:
                masked = self._applied(found, path)
                told = None if masked == found else _encoded(masked)
                return told, _Place(end, around[-1])
        around.append(path)
        return None, _Place(start + 1, path)


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _inside(quoted: str) -> str:
    """A text without its quotes, the last of which may be missing."""
    return quoted[_quote(quoted) :].removesuffix(quoted[: _quote(quoted)])


def _around(quoted: str, inside: str) -> str:
    quote = quoted[: _quote(quoted)]
    is_closed = len(quoted) > len(quote) and quoted.endswith(quote)
    return f"{quote}{inside}{quote if is_closed else ''}"


def _quote(quoted: str) -> int:
    """The length of a quote, which may have backslashes before it."""
    return len(quoted) - len(quoted.lstrip("\\")) + 1


def _is_element(text: str, start: int) -> bool:
    """Whether a name is that of an element of XML, which may have a prefix."""
    before = text[max(0, start - _PREFIX) : start]
    return before.endswith("<") or _PREFIXED.search(before) is not None


def _is_ending(text: str, start: int) -> bool:
    before = text[max(0, start - _PREFIX) : start]
    return before.endswith("</") or _PREFIXED_END.search(before) is not None


def _leave(around: list[str], name: str) -> None:
    """Go to what is around an element; those in it may have had no end."""
    ways = [n for n, way in enumerate(around) if way.rpartition(".")[2] == name]
    if ways and ways[-1]:
        del around[ways[-1] :]


def _end_of_element(text: str, start: int, name: str) -> int:
    """Where the inside of an element of XML ends."""
    ending = rf"</(?:[\w.-]+:)?{re.escape(name)}\s*>"
    found = re.compile(ending).search(text, start)
    return found.start() if found else len(text)


def _end_of_value(text: str, start: int, name: str) -> int:
    """Where a value ends: behind a quoted text, all in brackets, or a word."""
    found = _VALUE.match(text, start)
    if found is None:
        return start
    if not found["open"]:
        return found.end()
    open_ = 1
    for each in _BRACKET.finditer(text, found.end()):
        open_ += (each[0] in _OPENING) - (each[0] in _CLOSING)
        if not open_:
            return each.end()
    return len(text)
