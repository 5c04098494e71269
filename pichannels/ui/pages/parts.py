"""Parts that all pages are made of: HTML as text, one look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pichannels.ui.pages.markup import Attribute, Child, Markup, join, tag

__all__ = [
    "Tone",
    "badge",
    "button",
    "card",
    "copy_button",
    "empty",
    "error",
    "facts",
    "heading",
    "icon",
    "link",
    "loading",
    "meter",
    "note",
    "number",
    "select",
    "sparkline",
    "state_badge",
    "text_field",
]

Tone = str
"""`good`, `busy`, `warn`, `bad` or `off`: a colour, never without icon or word."""

_PATHS: Final[Mapping[str, str]] = {
    "good": "M3 8.5l3.2 3.2L13 5",
    "busy": "M4 3l8 5-8 5z",
    "warn": "M8 2.5l6 11H2zM8 7v3M8 11.6v.4",
    "bad": "M4 4l8 8M12 4l-8 8",
    "off": "M4.5 4.5h7v7h-7z",
    "paused": "M5.5 3.5v9M10.5 3.5v9",
    "wait": "M8 4v4l3 2M8 2a6 6 0 100 12A6 6 0 008 2z",
    "copy": "M5.5 5.5h7v8h-7zM3.5 10.5v-8h7",
    "search": "M7 3a4 4 0 100 8 4 4 0 000-8zM10 10l4 4",
    "link": "M6 4h6v6M12 4L4 12",
    "next": "M6 3l5 5-5 5",
    "back": "M10 3L5 8l5 5",
    "close": "M4 4l8 8M12 4l-8 8",
    "menu": "M2 4h12M2 8h12M2 12h12",
    "sort_up": "M4 10l4-4 4 4",
    "sort_down": "M4 6l4 4 4-4",
}
_STATES: Final[Mapping[str, tuple[Tone, str]]] = {
    "waiting": ("good", "good"),
    "processing": ("good", "busy"),
    "running": ("good", "good"),
    "processed": ("good", "good"),
    "done": ("good", "good"),
    "connected": ("good", "good"),
    "ready": ("good", "good"),
    "live": ("good", "good"),
    "starting": ("busy", "wait"),
    "stopping": ("busy", "wait"),
    "draining": ("busy", "wait"),
    "pending": ("busy", "wait"),
    "store waiting": ("warn", "wait"),
    "paused": ("warn", "paused"),
    "dropped": ("off", "off"),
    "cancelled": ("off", "off"),
    "cut": ("warn", "warn"),
    "rejected": ("warn", "warn"),
    "retry": ("warn", "wait"),
    "stopped": ("off", "off"),
    "error": ("bad", "bad"),
    "failed": ("bad", "bad"),
    "refused": ("bad", "bad"),
    "not ready": ("bad", "warn"),
    "not connected": ("bad", "bad"),
}


def icon(name: str) -> Markup:
    """A small drawing; says nothing to who cannot see it."""
    path = Markup(f'<path d="{_PATHS.get(name, _PATHS["off"])}"/>')
    return tag("svg", path, classes="icon", viewBox="0 0 16 16", aria_hidden="true")


# States and numbers


def badge(text: str, tone: Tone, mark: str = "", *, title: str | None = None) -> Markup:
    """A word with an icon and a colour.

    Args:
        mark: name of the icon; that of the tone when empty.
    """
    return tag("span", icon(mark or tone), text, classes=f"badge {tone}", title=title)


def state_badge(state: str, *, title: str | None = None) -> Markup:
    """The state of a channel, message, job or connection."""
    tone, mark = _STATES.get(state, ("off", "off"))
    return badge(state, tone, mark, title=title)


def number(
    value: str, unit: str = "", *, tone: Tone = "", title: str | None = None
) -> Markup:
    """A number that is formatted already, with its unit."""
    shown = tag("small", unit) if unit else None
    return tag("span", value, shown, classes=f"num {tone}".strip(), title=title)


def meter(part: float, label: str, *, tone: Tone | None = None) -> Markup:
    """A bar that is filled up to `part` of 1, with its text beside it.

    Its tone is good up to 0.6, warn up to 0.85, then bad, unless another is given.
    """
    filled = max(0.0, min(1.0, part))
    found = tone or ("good" if part <= 0.6 else "warn" if part <= 0.85 else "bad")
    bar = tag("i", style=f"width:{filled * 100:.1f}%")
    shown = tag("span", bar, classes=f"bar {found}", aria_hidden="true")
    return tag("span", shown, tag("span", label), classes="meter")


def sparkline(
    values: Sequence[float], label: str, *, width: int = 160, height: int = 28
) -> Markup:
    """A small curve of the last values; `label` says what it shows."""
    points = values[-width // 2 :]
    most = max(points, default=0.0) or 1.0
    step = width / max(1, len(points) - 1)
    places = [
        f"{i * step:.1f},{height - 2 - value / most * (height - 4):.1f}"
        for i, value in enumerate(points)
    ]
    drawn: Child = None
    if len(places) > 1:
        line = " ".join(places)
        area = tag("polygon", points=f"0,{height} {line} {width},{height}")
        drawn = join([area, tag("polyline", points=line)])
    return tag(
        "svg",
        drawn,
        classes="spark",
        viewBox=f"0 0 {width} {height}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


# What can be clicked


def link(
    href: str, *children: Child, classes: str = "", title: str | None = None
) -> Markup:
    """A way to another page, or to the same with another state."""
    return tag("a", *children, href=href, classes=classes, title=title)


def button(
    label: str,
    act: str,
    data: Mapping[str, Attribute] | None = None,
    *,
    kind: str = "",
    mark: str = "",
    title: str | None = None,
    disabled: bool = False,
) -> Markup:
    """A button; the page's handler of `act` gets its data.

    Args:
        kind: `main` for what a dialog is for, `danger` for what destroys, `quiet` for
            what is small; else plain.
        mark: name of an icon.
    """
    return tag(
        "button",
        icon(mark) if mark else None,
        label,
        type="button",
        classes=f"button {kind}".strip(),
        data={"act": act, **(data or {})},
        title=title,
        disabled=disabled,
    )


def copy_button(text: str, label: str = "Copy as CLI") -> Markup:
    """Puts a text (a command, say) on the clipboard; it is shown beside the button."""
    return tag(
        "button",
        icon("copy"),
        label,
        type="button",
        classes="button quiet copy",
        data={"copy": text},
        title=text,
    )


# Fields of forms


def text_field(
    name: str,
    label: str,
    value: str = "",
    *,
    kind: str = "text",
    hint: str = "",
    size: int = 16,
    **attributes: Attribute,
) -> Markup:
    """A field with its label.

    Args:
        kind: the `type` of the input.
        hint: an example of what to write.
        attributes: further ones of the input.
    """
    given: dict[str, Any] = {"autocomplete": "off", "spellcheck": "false"}
    field = tag(
        "input",
        name=name,
        type=kind,
        value=value,
        placeholder=hint or None,
        size=size,
        **{**given, **attributes},
    )
    return tag("label", tag("span", label), field, classes="field")


def select(
    name: str,
    label: str,
    choices: Iterable[str | tuple[str, str]],
    value: str = "",
    *,
    act: str = "",
    flag: str = "",
) -> Markup:
    """A choice with its label.

    Args:
        choices: values, or pairs of a value and what is shown.
        value: what is chosen.
        act: told to the page when another one is chosen.
        flag: the option of the command beside it that means the same; what is chosen
            becomes a part of what is copied.
    """
    pairs = [each if isinstance(each, tuple) else (each, each) for each in choices]
    options = [
        tag("option", text, value=each, selected=each == value) for each, text in pairs
    ]
    data = {"act": act or None, "flag": flag or None}
    field = tag("select", *options, name=name, data=data)
    return tag("label", tag("span", label), field, classes="field")


# Larger parts


def heading(title: str, *children: Child, level: int = 2) -> Markup:
    """A title, and what belongs beside it."""
    shown = tag(f"h{level}", title)
    return tag("div", shown, *children, classes="heading")


def card(title: Child, *children: Child, classes: str = "", key: str = "") -> Markup:
    """A box with a title."""
    head = tag("header", title) if title is not None else None
    data = {"key": key or None}
    return tag("section", head, *children, classes=f"card {classes}".strip(), data=data)


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """Names and what they are, in two columns."""
    shown = [join([tag("dt", name), tag("dd", value)]) for name, value in pairs]
    return tag("dl", *shown, classes="facts")


def empty(text: str, *children: Child) -> Markup:
    """There is nothing; `text` says why, or what to do."""
    return tag("div", tag("p", text), *children, classes="empty")


def error(text: str, *children: Child) -> Markup:
    """Something does not work, and why."""
    shown = badge("failed", "bad")
    return tag("div", shown, tag("p", text), *children, classes="failure", role="alert")


def loading(text: str = "loading") -> Markup:
    """It comes in a moment."""
    return tag("div", icon("wait"), text, classes="loading", role="status")


def note(text: str, tone: Tone = "off") -> Markup:
    """A line that tells something about what is shown."""
    return tag(
        "p",
        icon("warn" if tone in ("warn", "bad") else "good"),
        text,
        classes=f"note {tone}",
    )
