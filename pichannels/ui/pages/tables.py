"""Tables paged by the server, and time ranges; their state is in the address."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pichannels import clock
from pichannels.errors import UsageError
from pichannels.ui.pages import parts
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page
from pichannels.values import TICKS_PER_SECOND, ticks_from_datetime

__all__ = [
    "Column",
    "Range",
    "absolute",
    "filters",
    "pager",
    "range_fields",
    "range_of",
    "table",
    "time_of",
]

T = TypeVar("T")

_PRESETS: Final = {
    "all": ("all times", None),
    "15m": ("last 15 minutes", 900),
    "1h": ("last hour", 3600),
    "6h": ("last 6 hours", 6 * 3600),
    "24h": ("last 24 hours", 86_400),
    "7d": ("last 7 days", 7 * 86_400),
    "30d": ("last 30 days", 30 * 86_400),
    "own": ("from … to …", None),
}

_TIMES: Final = ("start", "end")


class Column(NamedTuple, Generic[T]):
    """A column of a table.

    Attributes:
        title: what stands above.
        cell: what is shown of a row.
        number: whether these are numbers, which stand to the right.
        sort: the value of `sort` in the address that sorts by it; "" for none.
        classes: of the cells, such as `wide` or `mono`.
    """

    title: str
    cell: Callable[[T], Child]
    number: bool = False
    sort: str = ""
    classes: str = ""


def table(
    page: Page,
    columns: Sequence[Column[T]],
    rows: Iterable[T],
    *,
    key: Callable[[T], str],
    label: str,
    chosen: str = "",
    can_select: bool = False,
    nothing: str = "there is nothing",
) -> Markup:
    """A table; links in its cells and headings carry all that one can do with it.

    Args:
        key: tells a row from all others.
        label: what the table is, for who does not see it.
        chosen: the key of the row that is shown elsewhere.
        can_select: with a check box `selected` before each row, whose value is the key.
        nothing: what is told where there is no row.
    """
    body = [_row(columns, row, key(row), chosen, can_select) for row in rows]
    if not body:
        return parts.empty(nothing)
    heads = [_head(page, column) for column in columns]
    if can_select:
        every = tag("input", type="checkbox", aria_label="all", data={"all": True})
        heads.insert(0, tag("th", every, scope="col", classes="tick"))
    inner = join([tag("thead", tag("tr", *heads)), tag("tbody", *body)])
    shown = tag("table", inner, aria_label=label)
    return tag(
        "div", shown, classes="scroll", tabindex="0", role="group", aria_label=label
    )


def _head(page: Page, column: Column[Any]) -> Markup:
    classes = "num" if column.number else column.classes
    if not column.sort:
        # What is done with a row needs no title for who sees its buttons.
        title = column.title or tag("span", "actions", classes="away")
        return tag("th", title, scope="col", classes=classes)
    now = page.query.get("sort", "")
    is_up, is_down = now == column.sort, now == f"-{column.sort}"
    mark = parts.icon("sort_up" if is_up else "sort_down") if is_up or is_down else None
    wanted = column.sort if is_down or not is_up else f"-{column.sort}"
    address = page.here(sort=wanted, cursor=None, skip=None)
    order = "ascending" if is_up else "descending" if is_down else None
    shown = parts.link(address, column.title, mark)
    return tag("th", shown, scope="col", classes=classes, aria_sort=order)


def _row(
    columns: Sequence[Column[T]], row: T, key: str, chosen: str, can_select: bool
) -> Markup:
    cells = [
        tag("td", each.cell(row), classes="num" if each.number else each.classes)
        for each in columns
    ]
    if can_select:
        box = tag("input", type="checkbox", name="selected", value=key, aria_label=key)
        cells.insert(0, tag("td", box, classes="tick"))
    is_chosen = bool(chosen) and key == chosen
    classes = "chosen" if is_chosen else ""
    return tag("tr", *cells, classes=classes, data={"key": f"row-{key}"})


def pager(
    page: Page, *, next: str | None, name: str = "cursor", told: str = ""
) -> Markup:
    """The ways to the next page and back to the first.

    Args:
        next: the value of `name` for the next page; None where this is the last.
        told: how many there are, say.
    """
    first = None
    if page.query.get(name):
        first = parts.link(
            page.here(**{name: None}), parts.icon("back"), "First", classes="button"
        )
    after = None
    if next is not None:
        after = parts.link(
            page.here(**{name: next}), "Next", parts.icon("next"), classes="button"
        )
    return tag(
        "nav",
        first,
        tag("span", told),
        after,
        classes="pager",
        aria_label="pages of it",
    )


def filters(
    page: Page, *fields: Child, verb: str = "Search", stay: Sequence[str] = ()
) -> Markup:
    """A form whose fields become the state in the address.

    Args:
        fields: made with `parts.text_field` and `parts.select`.
        stay: what of the state is not in the fields, and stays.
    """
    known = {name: page.query[name] for name in stay if page.query.get(name)}
    kept = [
        tag("input", type="hidden", name=name, value=page.query[name])
        for name in ("instance", *known)
        if name in page.query
    ]
    send = tag(
        "button", parts.icon("search"), verb, type="submit", classes="button main"
    )
    clear = parts.link(page.href(page.key, **known), "Clear", classes="button quiet")
    return tag(
        "form",
        *fields,
        *kept,
        tag("div", send, clear, classes="ends"),
        method="get",
        classes="filters",
        role="search",
    )


# Times


class Range(NamedTuple):
    """A range of time, in ticks; None is open."""

    start: int | None = None
    end: int | None = None


def range_of(page: Page, default: str = "all") -> Range:
    """The range in the address: `range=1h`, or `range=own` with `start` and `end`.

    Args:
        default: of `range`, where the address has none.

    Raises:
        UsageError: a time is none.
    """
    query, name = page.query, _range_name(page, default)
    if name == "own":
        start, end = query.get("start"), query.get("end")
        return Range(time_of(page, "from", start), time_of(page, "to", end))
    _, seconds = _PRESETS.get(name, ("", None))
    if seconds is None:
        return Range()
    return Range(clock.now() - seconds * TICKS_PER_SECOND, None)


def _range_name(page: Page, default: str) -> str:
    if page.query.get("start") or page.query.get("end"):
        return "own"
    return page.query.get("range") or default


def time_of(page: Page, name: str, text: str | None) -> int | None:
    """A time that somebody has typed, in the zone of the page; None for no text.

    Raises:
        UsageError: it is none.
    """
    if not text:
        return None
    try:
        return ticks_from_datetime(_aware(text, page.zone))
    except ValueError as exc:
        raise UsageError(f"{name}: {text!r} is no time; 2026-01-31 12:00 is") from exc


def _aware(text: str, zone: tzinfo) -> datetime:
    found = datetime.fromisoformat(text.strip())
    return found if found.tzinfo else found.replace(tzinfo=zone)


def absolute(query: Mapping[str, str], zone: tzinfo) -> dict[str, str] | None:
    """The state of a page with times that mean the same in all zones.

    What somebody types means the zone that he or she looks in; who gets the address may
    look in the other one.

    Args:
        query: as the address has it.
        zone: in which times without one are.

    Returns:
        None where it is so already, or a time is none.
    """
    found = dict(query)
    for name in _TIMES:
        with contextlib.suppress(ValueError, OverflowError):
            if found.get(name):
                found[name] = _aware(found[name], zone).isoformat()
    return found if found != dict(query) else None


def _typed(page: Page, name: str) -> str:
    """A time of the address as one would type it; what is none stays."""
    text = page.query.get(name, "")
    with contextlib.suppress(ValueError, OverflowError):
        shown = _aware(text, page.zone).astimezone(page.zone)
        return f"{shown:%Y-%m-%d %H:%M:%S}".removesuffix(":00")
    return text


def range_fields(page: Page, default: str = "all") -> Markup:
    """The fields of a form that choose a range."""
    name = _range_name(page, default)
    choices = [(key, text) for key, (text, _) in _PRESETS.items()]
    hint = "2026-01-31 12:00"
    return join(
        [
            parts.select("range", "Time", choices, name),
            parts.text_field("start", "From", _typed(page, "start"), hint=hint),
            parts.text_field("end", "To", _typed(page, "end"), hint=hint),
        ]
    )
