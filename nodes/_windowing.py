"""What the nodes of all shapes of windows have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nodes._batches import SAMPLES, no_batch
from nodes._options import one_of
from nodes._remembering import Remembering
from nodes._states import Kept
from pichannels.errors import SettingsError
from pichannels.message import Message
from pichannels.values import NO_DATA, Sample, Tag, format_ticks
from pichannels.windows import (
    DEFAULT_ERROR,
    Get,
    KeyState,
    Read,
    Reader,
    Result,
    Shape,
    Windowing,
)
from pichannels.windows.bucket import packed

__all__ = ["PYTHON", "Windows", "read_all"]

PYTHON = "application/python"
_NO_UNITS = frozenset({"count", "percent_good", "time_percent_good"})

Pair = tuple[Any, Read]


def read_all(node: str, msg: Message, reader: Reader) -> list[Any]:
    """The samples of a message, or the values in it, each by itself.

    Raises:
        UsageError: neither samples, nor was it said how to read others.
        Exception: what a getter raises.
    """
    payload = msg.payload
    items = payload if type(payload) is list else [payload]
    if reader.needs_samples and any(type(item) is not Sample for item in items):
        raise no_batch(node, payload)
    return items


class Windows(Remembering):
    """Windows of one shape.

    Args:
        shape: which windows.
        aggregates: names of what is told of each.
        lateness: seconds that a value may come behind the newest one of its tag.
        late: what becomes of values that come even later: `drop`, `side`, `update`.
        keep: with `update`, seconds for which windows can be told again.
        step: whether values hold until the next one, for what is weighed by time; by
            default what `meta["tags"]` says about the tag, else lines are drawn.
        error: the relative error of percentiles.
        key: what is grouped, a function of the sample, or the path of a field; by
            default the tag.
        time, value: the same for time and value, where they are not those of samples.
        output: `samples`, one for each aggregate, or `rows`, a dict for each window.
        tag: the names of the tags of the results.
        stamp: the time of the results, `start` or `end` of the window.
        idle: seconds after the end of a window in which a tag that is silent may have
            had a value; then the window is closed. None waits for the next value.
        ahead: seconds that the time of a value may be ahead of the clock; what is
            further ahead is late. None is for tags with values of the future.
        max_hold: seconds that a message may stay unsettled for what is open.
        options: those of every node.

    Raises:
        SettingsError: an option is not usable.
        UsageError: an option is not usable, or not with this shape.
    """

    why = "no window has ended"

    def __init__(
        self,
        shape: Shape,
        /,
        aggregates: Sequence[str],
        *,
        lateness: float = 0.0,
        late: str = "drop",
        keep: float | None = None,
        step: bool | None = None,
        error: float = DEFAULT_ERROR,
        key: Get = None,
        time: Get = None,
        value: Get = None,
        output: str = "samples",
        tag: str = "{tag}.{aggregate}",
        stamp: str = "start",
        idle: float | None = 60.0,
        ahead: float | None = 86400.0,
        max_hold: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(idle=idle, ahead=ahead, max_hold=max_hold, **options)
        self._windowing = Windowing(
            shape,
            aggregates,
            lateness=lateness,
            late=late,
            keep=keep,
            step=bool(step),
            error=error,
        )
        self._names = self._windowing.aggregates.names
        self._step = step
        self._has_side = late == "side"
        self._reader = Reader(key, time, value)
        self._is_rows = one_of("output", output, ("samples", "rows")) == "rows"
        self._is_at_start = one_of("stamp", stamp, ("start", "end")) == "start"
        self._tag = _checked_tag(tag, self._names)

    @property
    def form(self) -> list[Any]:
        return self._windowing.form

    def restored(self) -> KeyState:
        return self._windowing.state()

    def fresh(self, key: Any, msg: Message) -> KeyState:
        state = self._windowing.state()
        if self._step is None and type(key) is Tag:
            state.step = _is_step(msg.meta.get("tags"), key.name)
        return state

    def items(self, msg: Message) -> list[Any]:
        items = read_all(self.fullpath(), msg, self._reader)
        if not self._reader.is_plain:
            for item in items:
                # What cannot be read, or saved, costs the message before anything has
                # changed.
                packed(self._reader.read(item).value)
        return items

    def take(
        self, items: list[Any], msg: Message, lane: str, late: list[Any]
    ) -> list[Any]:
        if msg.meta.get("lane") in ("correction", "delete"):
            late += items
            return []
        if self._reader.is_plain:
            return self._take_samples(items, msg, lane, late)
        results, latest = list[Any](), self.latest
        read = [self._reader.read(item) for item in items]
        states = [self.state_of(each.key, lane, msg) for each in read]
        for item, each, kept in zip(items, read, states, strict=True):
            found: list[Result] = []
            if each.ticks > latest:
                late.append(item)
            elif kept.state.add(each.ticks, each.value, each.good, found):
                self.touch(kept)
            else:
                late.append(item)
            results += self.told(kept, found)
        self._revise(states, results)
        return results

    def _take_samples(
        self, samples: list[Sample], msg: Message, lane: str, late: list[Any]
    ) -> list[Any]:
        results, found, latest = list[Any](), list[Result](), self.latest
        known, now, dirty = self._states.lanes[lane].get, self._now, self._states.dirty
        states: list[Any] = [known(sample.tag) for sample in samples]
        if None in states:
            states = [self.state_of(sample.tag, lane, msg) for sample in samples]
        for sample, kept in zip(samples, states, strict=True):
            kept.arrived, ticks = now, sample.ticks
            if ticks == NO_DATA:
                continue
            if ticks > latest:
                late.append(sample)
            elif kept.state.add(ticks, sample.value, sample.good, found):
                dirty.add(kept.slot)
                self._is_touched = True
            else:
                late.append(sample)
            if found:
                results += self.told(kept, found)
                found.clear()
        self._revise(states, results)
        return results

    def _revise(self, states: list[Kept], results: list[Any]) -> None:
        if self._windowing.late != "update":
            return
        for kept in dict.fromkeys(states):
            found: list[Result] = []
            kept.state.revise(found)
            if found:
                results += self.told(kept, found)

    def told(self, kept: Kept, found: list[Result]) -> list[Any]:
        if self._is_rows:
            return [_row(kept.key, result) for result in found]
        if kept.made is None:
            kept.made = [
                _tag_of(kept.key, name, self._tag.format(tag="{0}", aggregate=name))
                for name in self._names
            ]
        return [
            Sample(
                tag,
                result.start if self._is_at_start else result.end,
                value,
                good=value is not None,
                substituted=result.revision > 0,
                units=tag.units,
            )
            for result in found
            for tag, value in zip(kept.made, result.values.values(), strict=True)
        ]

    def message(self, msg: Message, results: list[Any]) -> Message:
        msg.payload = results
        msg.content_type = PYTHON if self._is_rows else SAMPLES
        return msg

    def side(self, msg: Message, late: list[Any]) -> Message | None:
        if not self._has_side:
            return None
        aside = msg.derive(late)
        aside.meta["late"] = True
        return aside


def _checked_tag(tag: str, names: Sequence[str]) -> str:
    try:
        made = {tag.format(tag="a", aggregate=name) for name in names}
        is_usable = "{tag}" in tag and len(made) == len(names)
    except (AttributeError, LookupError, ValueError):
        is_usable = False
    if not is_usable:
        raise SettingsError(
            "not a usable name for results",
            key="tag",
            found=tag,
            allowed="a text with {tag}, and {aggregate} where there are several",
        )
    return tag


def _is_step(facts: Any, name: str) -> bool:
    """What the meta says about a tag."""
    found = facts.get(name) if isinstance(facts, dict) else None
    if not isinstance(found, dict):
        return False
    named = {str(key).lower(): value for key, value in found.items()}
    return str(named.get("step")).lower() in ("1", "true", "yes")


def _tag_of(key: Any, aggregate: str, form: str) -> Tag:
    """The tag of the results for one key; `form` has {0} where the name stands."""
    if type(key) is not Tag:
        return Tag(form.replace("{0}", _text(key)))
    return Tag(
        form.replace("{0}", key.name),
        form.replace("{0}", key.path) if key.path else "",
        "",
        key.server,
        form.replace("{0}", key.key) if key.key else "",
        "" if aggregate in _NO_UNITS else key.units,
    )


def _text(key: Any) -> str:
    if isinstance(key, tuple):
        return ".".join(map(_text, key))
    return "all" if key is None else str(key)


def _row(key: Any, result: Result) -> dict[str, Any]:
    is_tag = type(key) is Tag
    return {
        **({"tag": key.name} if is_tag else {"key": key}),
        "start": format_ticks(result.start),
        "end": format_ticks(result.end),
        **result.values,
        "revision": result.revision,
    }
