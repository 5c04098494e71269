"""Values in other units."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, TypeAlias

from nodes._batches import keep, no_batch, set_aside
from nodes._options import one_of
from nodes._patterns import matcher
from pichannels.adapters.pint_units import (
    Linear,
    Units as Known,
    UnitsMismatch,
    UnknownUnits,
)
from pichannels.errors import SettingsError, UsageError
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.values import Sample, Tag

__all__ = ["Units"]

SI: Final = "SI"

_KEPT: Final = 10_000

_Failure: TypeAlias = UnknownUnits | UnitsMismatch
_Plan: TypeAlias = tuple[Linear, str] | _Failure | None
"""How a value is converted and its units then; why it cannot be; or not at all."""


class Units(BaseNode):
    """Convert numbers to other units, by pint (extra `units`).

    Units are read as PI writes them: `°C`, `DEG C`, `degree Celsius`, `m3/h`,
    `US gal/min`. A sample's own units count, else those of its tag, else the fact
    `units` that `enrich.PI` or `enrich.Table` has put into `meta["tags"]`. The
    converted sample says its new units and keeps its `event_id`. Digital and system
    states, texts and values without number stay as they are.

    The target is the first of these that there is: the tag's own in `tags`, the one
    in the `column` of its facts, and what `to` says.

    Args:
        to: target by source, such as `{"degC": "K", "bar": "kPa"}`; `"SI"` for the
            units of the SI; or one target for all samples.
        tags: target by pattern of the tag's name (`*`, `?`), or of its path where
            there is a backslash in it; the first that matches counts. `""` leaves a
            tag as it is.
        column: which fact of `meta["tags"]` holds the target.
        unknown: what happens to a sample that has a target, and units that are not
            known or measure something else: `keep` lets it go on as it is, `fail`
            sets it aside, `drop` leaves it out.
        options: those of every node.

    Raises:
        SettingsError: a target is no unit, there is none, or pint is not installed;
            where an event loop runs already, at the start.
        SampleErrors: some samples cannot be converted, and `unknown` is `fail`.
    """

    changes: ClassVar = frozenset({"payload"})

    def __init__(
        self,
        to: Mapping[str, str] | str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        column: str | None = None,
        unknown: str = "keep",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.unknown = one_of("unknown", unknown, ("keep", "fail", "drop"))
        if not (to or tags or column):
            raise SettingsError("names no target; give to, tags or column", key="to")
        self._to = to
        self._tags = dict(tags or {})
        self._column = column
        self._patterns: list[tuple[Callable[[Tag], bool], str]] = [
            (matcher([pattern]), target) for pattern, target in self._tags.items()
        ]
        self._plans: dict[tuple[str | None, str], _Plan] = {}
        self._targets: dict[Tag, str | None] = {}
        self.converted = self.unconverted = 0
        self._loaded: Known | None = None
        if not _is_in_loop():
            self._load()

    def _load(self) -> None:
        self._loaded = Known()
        self._check_targets()

    async def start(self) -> None:
        """Load all units, which takes a moment, unless that is done.

        Raises:
            SettingsError: a target is no unit, or pint is not installed.
        """
        if self._loaded is None:
            await asyncio.to_thread(self._load)

    @property
    def _known(self) -> Known:
        if self._loaded is None:
            raise UsageError(f"{self.fullpath()} has not been started")
        return self._loaded

    def _check_targets(self) -> None:
        tags = self._tags.items()
        named = {f"tags[{pattern!r}]": target for pattern, target in tags}
        if isinstance(self._to, str):
            named["to"] = self._to
        elif self._to is not None:
            named |= {f"to[{source!r}]": target for source, target in self._to.items()}
            for source in self._to:
                self._check(f"to[{source!r}]", source)
        for key, target in named.items():
            if target not in (SI, "") or (not target and key.startswith("to")):
                self._check(key, target)

    def _check(self, key: str, text: Any) -> None:
        if not isinstance(text, str) or not self._known.is_known(text):
            raise SettingsError("is no unit that is known", key=key, found=text)

    def statistics(self) -> dict[str, int]:
        """How many values were converted, and how many could not be."""
        return {"converted": self.converted, "unconverted": self.unconverted}

    def process(self, msg: Message) -> Message:
        samples = msg.payload
        if type(samples) is not list:
            raise no_batch(self.fullpath(), samples)
        facts = msg.meta.get("tags")
        plans: dict[tuple[int, str], _Plan] = {}
        result: list[Sample] = []
        failed: dict[int, _Failure] = {}
        for index, sample in enumerate(samples):
            if type(sample) is not Sample:
                raise no_batch(self.fullpath(), samples)
            value = sample.value
            if type(value) is not float and type(value) is not int:
                result.append(sample)
                continue
            # Tags are shared by their samples: this is one look-up for most.
            key = id(sample.tag), sample.units
            try:
                plan = plans[key]
            except KeyError:
                plan = plans[key] = self._plan_of(sample, facts)
            if isinstance(plan, tuple):
                (factor, offset), units = plan
                result.append(sample.with_value(value * factor + offset, units))
                self.converted += 1
            else:
                if plan is not None:
                    failed[index] = plan
                result.append(sample)
        return self._settled(msg, result, failed) if failed else _put(msg, result)

    def _settled(
        self, msg: Message, result: list[Sample], failed: Mapping[int, _Failure]
    ) -> Message:
        self.unconverted += len(failed)
        if self.unknown == "keep":
            return _put(msg, result)
        left = [sample for index, sample in enumerate(result) if index not in failed]
        if self.unknown == "drop":
            return keep(msg, left, "no value could be converted")
        raise set_aside(msg, failed, left)

    def _plan_of(self, sample: Sample, facts: Any) -> _Plan:
        """How samples like this one are converted."""
        tag = sample.tag
        own = facts.get(tag.name) if isinstance(facts, dict) else None
        own = own if isinstance(own, dict) else {}
        units = sample.units or tag.units or str(own.get("units") or "")
        target = self._target_of(tag)
        if target is None and self._column is not None:
            target = str(own.get(self._column) or "") or None
        if target == "":
            return None
        key = target, units
        if key not in self._plans:
            if len(self._plans) >= _KEPT:
                self._plans.clear()
            self._plans[key] = self._plan(target, units)
        return self._plans[key]

    def _target_of(self, tag: Tag) -> str | None:
        """What the settings say for this tag alone."""
        if not self._patterns:
            return None
        if tag not in self._targets:
            if len(self._targets) >= _KEPT:
                self._targets.clear()
            matching = (target for matches, target in self._patterns if matches(tag))
            self._targets[tag] = next(matching, None)
        return self._targets[tag]

    def _plan(self, target: str | None, units: str) -> _Plan:
        if target is None:
            target = self._target_for(units)
        if target is None or target == units:
            return None
        try:
            if target == SI:
                target = self._known.si(units)
            return self._known.conversion(units, target), target
        except (UnknownUnits, UnitsMismatch) as exc:
            return exc

    def _target_for(self, units: str) -> str | None:
        """What `to` says for these units; without units there is nothing to do."""
        to = self._to
        if to is None or isinstance(to, str):
            return to if units else None
        for source, target in to.items():
            if source == units or (units and self._known.are_same(source, units)):
                return target
        return None


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _put(msg: Message, samples: list[Sample]) -> Message:
    msg.payload = samples
    return msg
