"""The rows of the tag table: chosen, sorted and cut into pages here, for any number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pichannels.ui.tag_values import ValueRow
from pichannels.values import TICKS_PER_SECOND, parse_ticks

__all__ = ["MARKS", "Chosen", "TagRow", "choose", "exact", "name_of", "with_values"]

MARKS: Final = ("quiet", "stale", "flat", "blind", "future")
_SKEW: Final = 5.0
_SORTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    "tag": lambda one: name_of(one["tag"]).lower(),
    "path": lambda one: one["tag"].lower(),
    "type": lambda one: one["type"],
    "units": lambda one: one["units"],
    "newest": lambda one: one["newest"],
    "expected": lambda one: one["expected"] or 0.0,
    "state": lambda one: (one["mark"], one["state"]),
}


class TagRow(NamedTuple):
    """A tag and what came last.

    Attributes:
        facts: as `TagState` tells it.
        value: the last value that is stored, or None.
    """

    facts: Mapping[str, Any]
    value: ValueRow | None = None

    @property
    def name(self) -> str:
        """Without the server, element or folder in front."""
        return name_of(self.facts["tag"])

    def age(self, now: int) -> float | None:
        """Seconds since the newest value, of which the time is known somewhere.

        It is below 0 for values of the future; clocks that differ a little make none.
        """
        newest = self.value.time if self.value else self.facts["newest"]
        if not newest:
            return None
        age = (now - parse_ticks(newest)) / TICKS_PER_SECOND
        return age if age < -_SKEW else max(0.0, age)


class Chosen(NamedTuple):
    """A page of tags.

    Attributes:
        rows: of the page.
        matching: how many fit.
        total: how many there are.
        marks: how many of all have each mark.
        states: how many of all are in each state.
    """

    rows: list[TagRow]
    matching: int
    total: int
    marks: dict[str, int]
    states: dict[str, int]


def name_of(path: str) -> str:
    r"""The name of a tag: what is behind the last `\` of its path."""
    return path.rpartition("\\")[2] or path


def choose(
    streams: Sequence[Mapping[str, Any]], query: Mapping[str, str], count: int
) -> Chosen:
    """A page of tags.

    Args:
        streams: as `TagsReport` has them.
        query: `q` is a part of the path, `mark` and `state` are as told, `sort` is the
            name of a column, with `-` in front from the last to the first, and `skip`
            says how many are left out.
        count: how many at most.
    """
    found = [one for one in streams if _fits(one, query)]
    sort = query.get("sort", "")
    key = _SORTS.get(sort.removeprefix("-"))
    if key is not None:
        found.sort(key=key, reverse=sort.startswith("-"))
    skip = int(query.get("skip") or 0) if query.get("skip", "0").isdecimal() else 0
    return Chosen(
        [TagRow(one) for one in found[skip : skip + count]],
        len(found),
        len(streams),
        _counts(one["mark"] for one in streams if one["mark"]),
        _counts(one["state"] for one in streams),
    )


def _fits(one: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    text = query.get("q", "").strip().lower()
    if text and text not in one["tag"].lower():
        return False
    mark, state = query.get("mark"), query.get("state")
    if mark and one["mark"] != mark and not (mark == "any" and one["mark"]):
        return False
    return not state or one["state"] == state


def _counts(names: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return found


def exact(
    streams: Iterable[Mapping[str, Any]], wanted: str
) -> Mapping[str, Any] | None:
    """The tag that has this name, path or WebID."""
    text = wanted.strip().lower()
    for one in streams:
        path = one["tag"].lower()
        if text in (path, name_of(path)) or wanted == one["web_id"] != "":
            return one
    return None


def with_values(rows: Iterable[TagRow], values: Iterable[ValueRow]) -> list[TagRow]:
    """The rows with the values that belong to them."""
    known = {value.web_id: value for value in values}
    return [TagRow(row.facts, known.get(row.facts["web_id"])) for row in rows]
