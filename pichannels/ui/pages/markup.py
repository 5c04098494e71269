"""HTML as text: whatever is put in is escaped, unless it is HTML already."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["Attribute", "Child", "Markup", "join", "tag"]

_VOID: Final = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "wbr"})


class Markup(str):
    """Text that is HTML, and safe to show."""

    __slots__ = ()


Child = Markup | str | int | float | None
Attribute = str | int | float | bool | None


def join(children: Iterable[Child], between: str = "") -> Markup:
    """One after the other; texts are escaped, None is left out."""
    escaped = [_child(each) for each in children if each is not None]
    return Markup(html.escape(between).join(escaped))


def tag(
    name: str,
    /,
    *children: Child,
    classes: str = "",
    data: Mapping[str, Attribute] | None = None,
    **attributes: Attribute,
) -> Markup:
    """An element.

    Args:
        name: of the element.
        children: what is in it; texts are escaped, None is left out.
        classes: its `class`.
        data: its `data-` attributes.
        attributes: all others; `_` stands for `-`, one at the end is left out (`for_`).
            True gives the attribute alone; None and False leave it out.
    """
    given: dict[str, Attribute] = {"class": classes or None}
    given |= {k.rstrip("_").replace("_", "-"): v for k, v in attributes.items()}
    given |= {f"data-{k.replace('_', '-')}": v for k, v in (data or {}).items()}
    shown = "".join(_attribute(key, value) for key, value in given.items())
    if name in _VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{join(children)}</{name}>")


def _child(child: Child) -> str:
    return child if isinstance(child, Markup) else html.escape(str(child))


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    return f' {name}="{html.escape(str(value))}"'
