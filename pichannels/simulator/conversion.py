"""Values that are written: as a point or a static attribute holds them, or why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final

from pichannels.simulator.assets import Attribute
from pichannels.simulator.events import SYSTEM_STATES, Value
from pichannels.simulator.query import Refused
from pichannels.simulator.simtime import TimeError, parse_time, time_text
from pichannels.simulator.tags import Tag

__all__ = ["attribute_value", "point_value"]

_UNFIT: Final = "The value could not be converted to the point type."
_UNFIT_ATTRIBUTE: Final = "The value could not be converted to the attribute type."
_BITS: Final = {"Int16": 15, "Int32": 31}
_SYSTEM: Final = {name.upper(): state for name, state in SYSTEM_STATES.items()}


def point_value(tag: Tag, value: Any, now: int) -> tuple[Value, bool]:
    """The value as the point holds it, and whether it is good.

    A digital state is written by its name or its number, a system state by its name
    to any point but one of text.

    Raises:
        Refused: 400 for an object or nothing, 501 for an array, 409 for what the
            type of the point cannot hold.
    """
    _check_plain(value)
    if isinstance(value, str) and tag.kind != "string":
        state = _SYSTEM.get(value.upper())
        if state is not None:
            return state, False
    try:
        if tag.kind == "digital":
            return _state(tag, value), True
        if tag.kind == "int":
            return _whole(value, _BITS.get(tag.template.point_type, 63)), True
        return _CONVERTED[tag.kind](value, now), True
    except (ValueError, TypeError, OverflowError) as exc:
        raise Refused(409, _UNFIT) from exc


def attribute_value(attribute: Attribute, value: Any, now: int) -> Value:
    """The value as a static attribute holds it.

    Raises:
        Refused: as for `point_value`.
    """
    _check_plain(value)
    kind = attribute.template.type
    try:
        if kind.startswith("Int"):
            return _whole(value, _BITS.get(kind, 63))
        return _CONVERTED[_KINDS.get(kind, "string")](value, now)
    except (ValueError, TypeError, OverflowError) as exc:
        raise Refused(409, _UNFIT_ATTRIBUTE) from exc


def _check_plain(value: Any) -> None:
    if value is None or isinstance(value, dict):
        raise Refused(400, "The property 'Value' must be a number, a text or a flag.")
    if isinstance(value, list):
        raise Refused(501, "Arrays are not supported by this data reference.")


def _number(value: Any, now: int) -> float:
    number = float(value)
    if not isfinite(number):
        raise ValueError("a point holds finite numbers")
    return number


def _whole(value: Any, bits: int) -> int:
    number = int(value) if isinstance(value, str) else round(value)
    if not -(1 << bits) <= number < 1 << bits:
        raise OverflowError(f"more than {bits + 1} bits")
    return number


def _text(value: Any, now: int) -> str:
    return value if isinstance(value, str) else str(value)


def _instant(value: Any, now: int) -> str:
    if not isinstance(value, str):
        raise TypeError("an instant is a text")
    try:
        return time_text(parse_time(value, now))
    except TimeError as exc:
        raise ValueError(value) from exc


def _state(tag: Tag, value: Any) -> Value:
    states = tag.template.states
    if isinstance(value, str) and states is not None:
        state = states.state(value)
        if state is not None:
            return state
    elif not isinstance(value, str) and value == int(value) >= 0:
        if value < len(tag.states):
            return tag.states[int(value)]
    raise ValueError(f"{value!r} is no state of {tag.name}")


_CONVERTED: Final[Mapping[str, Callable[[Any, int], Value]]] = {
    "float": _number,
    "string": _text,
    "timestamp": _instant,
}
_KINDS: Final = {"Double": "float", "Single": "float", "DateTime": "timestamp"}
