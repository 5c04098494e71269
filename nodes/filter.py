"""Which messages and which samples go on.

A filter that leaves no sample drops the message; one that leaves some shrinks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Final

from nodes._batches import each, keep, no_batch, printable, set_aside
from nodes._duplicates import Duplicates
from nodes._options import function, name_of, one_of
from nodes._patterns import matcher
from pichannels.errors import Dropped, Rejected, SettingsError, UsageError
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.values import DigitalState, Sample, Tag

__all__ = ["Duplicates", "Quality", "Samples", "SystemStates", "Tags", "Where"]

_TAGS_KEPT: Final = 100_000


class Where(BaseNode):
    """Only messages for which a function is true.

    Args:
        predicate: a plain function of the message.
        options: those of every node.

    Raises:
        Dropped: the function was false.
    """

    changes: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, predicate: Callable[[Message], Any], **options: Any) -> None:
        super().__init__(**options)
        self._predicate = function("filter.Where", predicate, may_be_async=False)
        self._why = f"not where {name_of(predicate) or 'the condition'} is true"

    def process(self, msg: Message) -> Message:
        if self._predicate(msg):
            return msg
        raise Dropped(self._why)


class Samples(BaseNode):
    """Only samples for which a function is true.

    A sample for which the function fails is set aside alone.

    Args:
        predicate: a plain function of the sample.
        options: those of every node.

    Raises:
        Dropped: no sample is left.
        SampleErrors: the function failed for some; the others go on.
    """

    changes: ClassVar = frozenset({"payload"})

    def __init__(self, predicate: Callable[[Sample], Any], **options: Any) -> None:
        super().__init__(**options)
        self._predicate = function("filter.Samples", predicate, may_be_async=False)

    def process(self, msg: Message) -> Message:
        predicate = self._predicate
        if type(msg.payload) is not list:
            raise no_batch(self.fullpath(), msg.payload)
        try:
            kept = [sample for sample in msg.payload if predicate(sample)]
        except Exception:
            return self._one_by_one(msg)
        return keep(msg, kept, "no sample meets the condition")

    def _one_by_one(self, msg: Message) -> Message:
        results, causes = each(msg, self.fullpath(), self._predicate)
        kept = [
            sample
            for sample, wanted in zip(msg.payload, results, strict=True)
            if wanted
        ]
        if causes:
            raise set_aside(msg, causes, kept)
        return keep(msg, kept, "no sample meets the condition")


class Quality(BaseNode):
    """Only samples whose flags are as asked; None asks for nothing.

    Args:
        good: by default only good samples.
        questionable: PI doubts the value.
        substituted: somebody has changed the value.
        annotated: somebody has left a note.
        options: those of every node.

    Raises:
        Dropped: no sample is left.
    """

    changes: ClassVar = frozenset({"payload"})

    def __init__(
        self,
        good: bool | None = True,
        questionable: bool | None = None,
        substituted: bool | None = None,
        annotated: bool | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        flags = {"good": good, "questionable": questionable}
        flags |= {"substituted": substituted, "annotated": annotated}
        for key, wanted in flags.items():
            if wanted not in (True, False, None):
                raise SettingsError(
                    "no flag", key=key, found=wanted, allowed="True, False, None"
                )
        self._only_good = [k for k, v in flags.items() if v is not None] == ["good"]
        self._wanted = (good, questionable, substituted, annotated)

    def process(self, msg: Message) -> Message:
        try:
            kept = self._kept(msg.payload)
        except (AttributeError, TypeError) as exc:
            raise no_batch(self.fullpath(), msg.payload) from exc
        return keep(msg, kept, "no sample has the quality asked for")

    def _kept(self, samples: list[Sample]) -> list[Sample]:
        good, questionable, substituted, annotated = self._wanted
        if self._only_good:
            return [s for s in samples if s.good is good]
        return [
            s
            for s in samples
            if (good is None or s.good is good)
            and (questionable is None or s.questionable is questionable)
            and (substituted is None or s.substituted is substituted)
            and (annotated is None or s.annotated is annotated)
        ]


class SystemStates(BaseNode):
    """What happens to samples whose value is a system state (`I/O Timeout`, ...).

    A system state is never a number. The policies: `drop` leaves these samples out;
    `keep` lets them through; `null` replaces the state by None and marks the sample
    as not good; `reject` refuses the whole message.

    Args:
        policy: one of these words.
        states: only these, by name or number; by default all system states.
        options: those of every node.

    Raises:
        Dropped: no sample is left.
        Rejected: there is such a sample and the policy is `reject`.
    """

    changes: ClassVar = frozenset({"payload"})

    def __init__(
        self,
        policy: str = "drop",
        states: Iterable[str | int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.policy = one_of("policy", policy, ("drop", "keep", "null", "reject"))
        if isinstance(states, str):
            raise SettingsError(
                "a list of states is needed", key="states", found=states
            )
        self._states = None if states is None else frozenset(states)

    def process(self, msg: Message) -> Message:
        if self.policy == "keep":
            return msg
        try:
            found = [s for s in msg.payload if type(s.value) is DigitalState]
        except (AttributeError, TypeError) as exc:
            raise no_batch(self.fullpath(), msg.payload) from exc
        if not found:
            return keep(msg, msg.payload, "no samples")
        if self.policy == "reject":
            return self._unless_any(msg, found)
        if self.policy == "null":
            msg.payload = [self._without_state(sample) for sample in msg.payload]
            return msg
        left = [sample for sample in msg.payload if not self._concerns(sample)]
        return keep(msg, left, "only system states")

    def _concerns(self, sample: Sample) -> bool:
        state = sample.value
        if type(state) is not DigitalState or not state.is_system:
            return False
        states = self._states
        return states is None or state.name in states or state.code in states

    def _without_state(self, sample: Sample) -> Sample:
        if not self._concerns(sample):
            return sample
        return sample.with_(value=None, good=False)

    def _unless_any(self, msg: Message, found: Sequence[Sample]) -> Message:
        for sample in found:
            if self._concerns(sample):
                name = printable(sample.tag.name)
                raise Rejected(f"{name} is {sample.value.name!r} at {sample.iso}")
        return msg


class Tags(BaseNode):
    r"""Only samples of tags whose name matches a pattern.

    Args:
        patterns: names with `*`, `?` and `[...]`; upper and lower case are the
            same, as for PI. A pattern with a backslash is compared with the path
            (`\\server\point`, `\\af\database\element|attribute`).
        exclude: patterns of tags that are left out all the same.
        options: those of every node.

    Raises:
        Dropped: no sample is left.
    """

    changes: ClassVar = frozenset({"payload"})

    def __init__(
        self, *patterns: str, exclude: Sequence[str] = (), **options: Any
    ) -> None:
        super().__init__(**options)
        if isinstance(exclude, str):
            exclude = (exclude,)
        for pattern in (*patterns, *exclude):
            if not isinstance(pattern, str):
                raise UsageError(f"filter.Tags takes patterns, not {pattern!r}")
        if not patterns and not exclude:
            raise UsageError("filter.Tags takes at least one pattern")
        self._matches = matcher(patterns or ("*",))
        self._excludes = matcher(exclude)
        self._wanted: dict[Tag, bool] = {}

    def process(self, msg: Message) -> Message:
        try:
            kept = self._kept(msg.payload)
        except (AttributeError, TypeError) as exc:
            raise no_batch(self.fullpath(), msg.payload) from exc
        return keep(msg, kept, "no sample of these tags")

    def _kept(self, samples: Sequence[Sample]) -> list[Sample]:
        wanted = self._wanted
        try:
            return [sample for sample in samples if wanted[sample.tag]]
        except KeyError:
            self._decide({sample.tag for sample in samples})
        return [sample for sample in samples if wanted[sample.tag]]

    def _decide(self, tags: set[Tag]) -> None:
        """Remember for each tag whether it is wanted."""
        if len(self._wanted) >= _TAGS_KEPT:
            self._wanted.clear()
        for tag in tags:
            self._wanted[tag] = self._matches(tag) and not self._excludes(tag)
