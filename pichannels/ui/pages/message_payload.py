"""What a message holds: samples with their event ids, decoded, as it is, in bytes."""

from __future__ import annotations

from typing import Any, Final

from pichannels.control.frames import MessageSamples, SampleRow, SamplesWanted
from pichannels.ui.content import MessageView
from pichannels.ui.pages import message_texts, parts, tables
from pichannels.ui.pages.formats import bytes_text, count_text
from pichannels.ui.pages.markup import Child, Markup, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.roles import Role

__all__ = ["payload"]

_SAMPLES: Final = ("samples", "Samples")
_VIEWS: Final = (("decoded", "Decoded"), ("raw", "Raw"), ("hex", "Hex"))
_COUNT: Final = 500


async def payload(page: Page, view: MessageView) -> Markup:
    """The payload, in the way that the address chooses; by default its samples."""
    if not page.may(Role.DATA):
        return parts.note("payloads take the role data")
    data, who = page.console.data, await page.current()
    wanted = SamplesWanted(id=view.id, channel=view.channel, count=_COUNT)
    found = await data.samples(who, page.instance, wanted)
    views = (_SAMPLES, *_VIEWS) if found.total else _VIEWS
    chosen = page.query.get("view") or views[0][0]
    ways = [
        parts.link(
            page.here(view=None if key == views[0][0] else key),
            text,
            classes="button chosen" if key == chosen else "button",
        )
        for key, text in views
    ]
    held = view.message.get("payload")
    size = len(message_texts.bytes_of(held))
    head = parts.heading("Payload", tag("span", bytes_text(size)), *ways, level=3)
    ctx = view.message.get("ctx")
    aside: Child = None
    if ctx:
        text = message_texts.decoded(ctx)
        aside = tag("details", tag("summary", "Context"), tag("pre", text))
    if chosen == _SAMPLES[0]:
        shown = _samples(page, found)
    else:
        shown = _text(held, chosen)
    return tag("div", head, shown, aside, classes="payload")


def _text(held: Any, chosen: str) -> Markup:
    if chosen == "hex":
        text = message_texts.hex_dump(message_texts.bytes_of(held))
    elif chosen == "raw":
        text = message_texts.raw(held)
    else:
        text = message_texts.decoded(held)
    return tag(
        "pre", text, classes="body", tabindex="0", aria_label="payload", role="region"
    )


def _samples(page: Page, found: MessageSamples) -> Markup:
    columns: list[tables.Column[SampleRow]] = [
        tables.Column("Tag", lambda each: _tag_link(page, each)),
        tables.Column("Time", lambda each: page.time(each.time), classes="nowrap"),
        tables.Column("Value", _value, number=True),
        tables.Column("Units", lambda each: each.units),
        tables.Column("Good", lambda each: "yes" if each.good else "no"),
        tables.Column("Event id", lambda each: _id_link(page, each), classes="mono"),
    ]
    shown = tables.table(
        page,
        columns,
        found.samples,
        key=lambda each: f"{each.tag} {each.time} {each.event_id}",
        label="samples",
    )
    rest = found.total - len(found.samples)
    more = parts.note(f"and {count_text(rest)} more") if rest > 0 else None
    return tag("div", shown, more)


def _value(row: SampleRow) -> Child:
    return row.error or message_texts.shown_value(row.value)


def _tag_link(page: Page, row: SampleRow) -> Child:
    return parts.link(page.href("tags", tag=row.path or row.tag), row.tag)


def _id_link(page: Page, row: SampleRow) -> Child:
    """The way to all messages that brought the event: again, late, repaired."""
    return parts.link(page.href("messages", event_id=row.event_id), row.event_id)
