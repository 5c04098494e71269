"""Topics and the filters that name several of them; pure."""

from __future__ import annotations

from typing import Any

from pichannels.errors import SettingsError

__all__ = ["check_filter", "check_topic"]

_MOST_BYTES = 65535


def check_topic(topic: str) -> str:
    """The topic, which has to be one that a message can be published to.

    Raises:
        ValueError: it is none.
    """
    if not topic:
        raise ValueError("the topic is empty")
    if "+" in topic or "#" in topic:
        raise ValueError(f"the topic {topic!r} has a wildcard")
    if "\x00" in topic or len(topic.encode()) > _MOST_BYTES:
        raise ValueError("the topic is too long, or has a null character")
    return topic


def check_filter(found: Any) -> str:
    """The topic filter: wildcards stand alone between slashes, `#` at the end.

    Raises:
        SettingsError: it is none.
    """
    levels = _levels(found)
    is_wrong = (
        not levels
        or any(("+" in level or "#" in level) and len(level) > 1 for level in levels)
        or "#" in levels[:-1]
        or "\x00" in found
        or len(found.encode()) > _MOST_BYTES
    )
    if is_wrong:
        raise SettingsError(
            "this names no topics",
            key="topics",
            found=found,
            allowed="plant/+/temperature, plant/#, $share/group/plant/#",
        )
    return str(found)


def _levels(found: Any) -> list[str]:
    """The levels of a filter, without the name of a group that shares it."""
    if not isinstance(found, str) or not found:
        return []
    levels = found.split("/")
    if levels[0] != "$share":
        return levels
    has_group = len(levels) > 2 and levels[1] and not set(levels[1]) & {"+", "#"}
    return levels[2:] if has_group and "".join(levels[2:]) else []
