"""The part of JSONPath that PI batches use to read the answers of other parts.

`$.point.Content.Items[*].WebId`: names after dots or in quoted brackets, indexes from
the front or the end, `*` for all, and `..` for all that is further down.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, TypeAlias

from pichannels.errors import UsageError

__all__ = ["JSONPath", "JSONPathError"]

Step: TypeAlias = Callable[[Any], Iterator[Any]]

_STEP: Final = re.compile(
    r"(?P<deep>\.\.)?(?:"
    r"\.?(?P<all>\*)|\.?(?P<name>[^.\[\]*'\"]+)"
    r"|\[(?:(?P<every>\*)|(?P<index>-?\d+)|(?P<quote>['\"])(?P<quoted>.*?)(?P=quote))\]"
    r")"
)


class JSONPathError(UsageError):
    """The text is no JSONPath, or none that is understood here."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"The JSONPath '{text}' is not valid.")


class JSONPath:
    """A path into a JSON document.

    Raises:
        JSONPathError: the text is none.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if not text.startswith("$"):
            raise JSONPathError(text)
        self._steps: list[Step] = []
        at = 1
        while at < len(text):
            found = _STEP.match(text, at)
            if found is None or not _separated(found):
                raise JSONPathError(text)
            self._steps += _steps(found)
            at = found.end()

    def find(self, document: Any) -> list[Any]:
        """What the path selects, in the order of the document."""
        found = [document]
        for step in self._steps:
            found = [below for one in found for below in step(one)]
        return found


def _separated(found: re.Match[str]) -> bool:
    """Whether a name stands after a dot, as it has to."""
    bare = found["name"] or found["all"]
    return not bare or found[0].startswith(".")


def _steps(found: re.Match[str]) -> Iterator[Step]:
    if found["deep"]:
        yield _all_below
    if found["all"] or found["every"]:
        yield _children
    elif found["index"]:
        yield partial(_at, int(found["index"]))
    else:
        yield partial(_named, found["name"] or found["quoted"])


def _children(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def _all_below(node: Any) -> Iterator[Any]:
    yield node
    for child in _children(node):
        yield from _all_below(child)


def _named(name: str, node: Any) -> Iterator[Any]:
    if isinstance(node, dict) and name in node:
        yield node[name]


def _at(index: int, node: Any) -> Iterator[Any]:
    if isinstance(node, list) and -len(node) <= index < len(node):
        yield node[index]
