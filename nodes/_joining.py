"""The node that joins values of tags by time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from nodes._batches import SAMPLES
from nodes._options import function, one_of
from nodes._patterns import matcher
from nodes._per_tag import TAGS_KEPT
from nodes._remembering import Remembering
from nodes._states import Kept
from nodes._windowing import PYTHON, read_all
from pichannels.errors import CodecError, SettingsError, printable
from pichannels.message import Message
from pichannels.values import Sample, Tag, ValueFailure, format_ticks
from pichannels.windows import AsOf, Get, Joined, JoinState, Reader
from pichannels.windows.bucket import packed

__all__ = ["Join"]

_MISSING: Final = ("keep", "drop")
_VALUE: Final = ""
_OTHER: Final = None


class Join(Remembering):
    """Join values of tags with the last values of others at their time.

    A value goes out when one of any of the tags has come that is more than `lateness`
    seconds later, so that all that were there at its time are known; or after `idle`
    seconds.

    Args:
        tags: names or patterns of the tags whose values are joined, as in
            `filter.Tags`.
        references: name -> tag or patterns, whose last value is joined. Values of
            other tags are left out.
        tolerance: seconds that the value of a reference may be older.
        lateness: seconds that values may come behind the newest one of all that are
            joined with each other. A later one is joined with what is still known.
        key: what is joined with each other, a function of the sample, or the path of a
            field, such as `tag.server`; by default all.
        compute: a plain function of the value, with the references by name: its result
            is the value of the sample that goes out. Without it rows go out.
        missing: `keep` or `drop` values for which not all references are there.
        idle: seconds after which values go out although nothing later has come.
        ahead: seconds that the time of a value may be ahead of the clock; what is
            further ahead is left out. None is for tags with values of the future.
        max_hold: seconds that a message may stay unsettled for values that wait.
        options: those of every node.

    Raises:
        SettingsError: an option is not usable.
        UsageError: an option is not usable.
    """

    why = "nothing to join"

    changes: ClassVar[frozenset[str]] = frozenset({"content_type", "payload"})

    def __init__(
        self,
        tags: str | Sequence[str],
        references: Mapping[str, str | Sequence[str]],
        *,
        tolerance: float | None = None,
        lateness: float = 5.0,
        key: Get = None,
        compute: Callable[..., Any] | None = None,
        missing: str = "keep",
        idle: float | None = 60.0,
        ahead: float | None = 86400.0,
        max_hold: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(idle=idle, ahead=ahead, max_hold=max_hold, **options)
        if not isinstance(references, Mapping):
            raise SettingsError("no mapping", key="references", found=references)
        self._as_of = AsOf(references, tolerance=tolerance, lateness=lateness)
        self._roles = [
            *((name, matcher(_several(found))) for name, found in references.items()),
            (_VALUE, matcher(_several(tags))),
        ]
        self._role_of: dict[Tag, str | None] = {}
        self._reader = Reader(key if key is not None else lambda sample: None)
        self._compute = compute and function("window.Join", compute, may_be_async=False)
        self._is_whole = one_of("missing", missing, _MISSING) == "drop"

    @property
    def form(self) -> list[Any]:
        return self._as_of.form

    def restored(self) -> JoinState:
        return self._as_of.state()

    def fresh(self, key: Any, msg: Message) -> JoinState:
        return self._as_of.state()

    def items(self, msg: Message) -> list[Any]:
        samples = read_all(self.fullpath(), msg, self._reader)
        for sample in samples:
            self._reader.read(sample)
        return samples

    def take(
        self, items: list[Any], msg: Message, lane: str, late: list[Any]
    ) -> list[Any]:
        if msg.meta.get("lane") in ("correction", "delete"):
            late += items
            return []
        roles = [self._role(sample.tag) for sample in items]
        keys = [self._reader.read(sample).key for sample in items]
        states = [
            None if role is _OTHER else self.state_of(key, lane, msg)
            for role, key in zip(roles, keys, strict=True)
        ]
        results, latest = list[Any](), self.latest
        for sample, role, kept in zip(items, roles, states, strict=True):
            if role is None or kept is None:
                continue
            if sample.ticks > latest:
                late.append(sample)
                continue
            found: list[Joined] = []
            if role != _VALUE:
                value, good = sample.value, sample.good
                kept.state.put(role, sample.ticks, value, good, found)
            elif not kept.state.add(sample.ticks, sample, found):
                late.append(sample)
            self.touch(kept)
            results += self.told(kept, found)
        return results

    def _role(self, tag: Tag) -> str | None:
        if tag not in self._role_of:
            if len(self._role_of) >= TAGS_KEPT:
                self._role_of.clear()
            matches = (name for name, matches in self._roles if matches(tag))
            self._role_of[tag] = next(matches, _OTHER)
        return self._role_of[tag]

    def told(self, kept: Kept, found: list[Joined]) -> list[Any]:
        results = []
        for joined in found:
            values = {
                name: None if reference is None else reference.value
                for name, reference in joined.found.items()
            }
            if self._is_whole and None in values.values():
                continue
            results.append(self._result(joined.value, values))
        return results

    def _result(self, sample: Sample, values: dict[str, Any]) -> Any:
        if self._compute is None:
            return {
                "tag": sample.tag.name,
                "time": format_ticks(sample.ticks),
                "value": sample.value,
                "good": sample.good,
                **values,
            }
        value = None
        if sample.good and not sample.is_system and None not in values.values():
            value = self._computed(sample.value, values)
        is_good = value is not None and type(value) is not ValueFailure
        return sample.with_(value=value, good=is_good)

    def _computed(self, value: Any, values: dict[str, Any]) -> Any:
        assert self._compute is not None
        try:
            found = self._compute(value, **values)
            # What cannot be saved must not keep the others from being saved.
            packed(found)
        except CodecError as exc:
            return ValueFailure(str(exc))
        except Exception as exc:
            return ValueFailure(printable(f"{type(exc).__name__}: {exc}"))
        return found

    def message(self, msg: Message, results: list[Any]) -> Message:
        msg.payload = results
        msg.content_type = PYTHON if self._compute is None else SAMPLES
        return msg


def _several(found: str | Sequence[str]) -> Sequence[str]:
    return (found,) if isinstance(found, str) else tuple(found)
