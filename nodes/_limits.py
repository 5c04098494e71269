"""What a filter allows for each tag: options, overrides, and the tag's own facts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, Final, NamedTuple

from nodes._options import at_least
from nodes._patterns import matcher
from pichannels.errors import SettingsError, nearest
from pichannels.values import OPEN_END, TICKS_PER_SECOND, Tag

__all__ = ["Keys", "Limits", "LimitsOf"]

logger: Final = logging.getLogger("pichannels.nodes")

_SWITCHES: Final = {"0": False, "off": False, "false": False, "no": False}


class Limits(NamedTuple):
    """What holds for one tag.

    Attributes:
        deviation: in the units of the tag; None where it is not known, and then
            every value passes.
        minimum, maximum: ticks between two values that pass.
        is_step: the tag holds its value between two events.
    """

    deviation: float | None
    minimum: int
    maximum: int
    is_step: bool


class Keys(NamedTuple):
    """Under which names a filter finds its limits, the first one that is there."""

    deviation: tuple[str, ...]
    percent: tuple[str, ...]
    minimum: tuple[str, ...]
    maximum: tuple[str, ...]
    switch: str = ""
    """What turns the filter off for a tag when it is 0."""

    def names(self) -> list[str]:
        """All of them, and the two that every filter knows."""
        found = [*self.deviation, *self.percent, *self.minimum, *self.maximum]
        return [*found, *([self.switch] if self.switch else []), "span", "step"]


class LimitsOf:
    """Finds the limits of a tag: overrides first, then its facts, then options.

    Args:
        node: the filter, for errors and the log.
        keys: the names of the limits.
        options: what the node was given for all tags, by one of these names.
        overrides: patterns of tags -> limits by name; the first pattern that
            matches counts.

    Raises:
        SettingsError: a limit is not usable, or not known.
    """

    def __init__(
        self,
        node: str,
        keys: Keys,
        options: Mapping[str, Any],
        overrides: Mapping[str, Mapping[str, Any]] | None,
    ) -> None:
        self._node = node
        self._keys = keys
        self._options = {k: v for k, v in options.items() if v is not None}
        _check(self._options, keys, "")
        self._overrides: list[tuple[Callable[[Tag], bool], dict[str, Any]]] = []
        for pattern, limits in (overrides or {}).items():
            found = _plain(limits)
            _check(found, keys, f"overrides[{pattern!r}]")
            self._overrides.append((matcher([pattern]), found))

    def of(self, tag: Tag, facts: Mapping[str, Any] | None) -> Limits:
        """The limits of this tag; a fact that is not usable is told in the log."""
        layers = [found for matches, found in self._overrides if matches(tag)][:1]
        if facts:
            layers.append(_plain(facts))
        layers.append(self._options)
        keys = self._keys
        if keys.switch and self._switch(tag, layers, keys.switch, True) is False:
            deviation = None
        else:
            deviation = self._deviation(tag, layers)
        return Limits(
            deviation,
            _ticks(self._number(tag, layers, keys.minimum), 0),
            _ticks(self._number(tag, layers, keys.maximum), OPEN_END),
            self._switch(tag, layers, "step", False),
        )

    def _deviation(self, tag: Tag, layers: Sequence[Mapping[str, Any]]) -> float | None:
        # A layer is used up before the next one: a percentage in an override is
        # stronger than an absolute number among the facts.
        for layer in layers:
            for name in self._keys.deviation:
                text = layer.get(name)
                if isinstance(text, str) and text.rstrip().endswith("%"):
                    part = self._read(tag, name, text.rstrip()[:-1])
                    return self._part_of_span(tag, part, layers)
                if (found := self._read(tag, name, text)) is not None:
                    return found
            for name in self._keys.percent:
                if (found := self._read(tag, name, layer.get(name))) is not None:
                    return self._part_of_span(tag, found, layers)
        return None

    def _part_of_span(
        self, tag: Tag, percent: float | None, layers: Sequence[Mapping[str, Any]]
    ) -> float | None:
        span = self._number(tag, layers, ("span",))
        if span is None or percent is None:
            self._tell(tag, "the deviation is a part of the span, which is not known")
            return None
        return span * percent / 100

    def _number(
        self, tag: Tag, layers: Sequence[Mapping[str, Any]], names: tuple[str, ...]
    ) -> float | None:
        for layer in layers:
            for name in names:
                if (found := self._read(tag, name, layer.get(name))) is not None:
                    return found
        return None

    def _read(self, tag: Tag, name: str, found: Any) -> float | None:
        if found is None or found == "":
            return None
        try:
            number = float(found)
        except (TypeError, ValueError, OverflowError):
            number = -1.0
        if 0 <= number < inf:
            return number
        self._tell(tag, f"{name} is {found!r}, which is no number of 0 or more")
        return None

    def _switch(
        self, tag: Tag, layers: Sequence[Mapping[str, Any]], name: str, usual: bool
    ) -> bool:
        for layer in layers:
            if layer.get(name) is not None:
                return _SWITCHES.get(str(layer[name]).strip().lower(), True)
        return usual

    def _tell(self, tag: Tag, what: str) -> None:
        logger.warning("%s: tag %s: %s", self._node, ascii(tag.name), what)


def _plain(limits: Mapping[str, Any]) -> dict[str, Any]:
    """The limits by their plain names: `CompDev` and `comp_dev` are the same."""
    return {str(k).lower().replace("_", ""): v for k, v in limits.items()}


def _check(limits: Mapping[str, Any], keys: Keys, where: str) -> None:
    known = keys.names()
    for name, found in limits.items():
        at = f"{where}[{name!r}]" if where else name
        if name not in known:
            hint = nearest(name, known)
            raise SettingsError(
                f"no such limit{hint}", key=at, found=found, allowed=", ".join(known)
            )
        if name in (keys.switch, "step"):
            continue
        if name in keys.deviation and isinstance(found, str):
            found = _percentage(at, found)
        at_least(at, found, 0)


def _percentage(at: str, text: str) -> float:
    try:
        if text.rstrip().endswith("%"):
            return float(text.rstrip()[:-1])
    except ValueError:
        pass
    raise SettingsError(
        "not a usable number", key=at, found=text, allowed="a number, or '2%' of span"
    )


def _ticks(seconds: float | None, usual: int) -> int:
    if seconds is None:
        return usual
    return min(int(seconds * TICKS_PER_SECOND), OPEN_END)
