"""Batches: messages whose payload is a list of samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pichannels.errors import Dropped, SampleErrors, UsageError, printable
from pichannels.formats.records import SAMPLES
from pichannels.message import Message
from pichannels.values import Sample

__all__ = ["SAMPLES", "each", "is_batch", "keep", "no_batch", "printable", "set_aside"]


def is_batch(payload: Any) -> bool:
    """Whether the payload is a list that begins with a sample."""
    return type(payload) is list and bool(payload) and type(payload[0]) is Sample


def no_batch(node: str, payload: Any) -> UsageError:
    """What to raise when a node that works on samples gets something else."""
    found = type(payload).__name__
    if isinstance(payload, list):
        others = [type(item).__name__ for item in payload if type(item) is not Sample]
        found = f"a list with {others[0]}" if others else "an odd sample"
    return UsageError(
        f"{node} works on a list of samples, and got {found}; put decode.PI() before it"
    )


def keep(msg: Message, kept: list[Sample], why: str) -> Message:
    """The message with these samples only.

    Raises:
        Dropped: none is left.
    """
    if not kept:
        raise Dropped(why)
    msg.payload = kept
    return msg


def each(
    msg: Message, node: str, apply: Callable[[Sample], Any]
) -> tuple[list[Any], Mapping[int, Exception]]:
    """What `apply` gives for each sample, and the errors of those that failed.

    Raises:
        UsageError: the payload is no list of samples.
    """
    results: list[Any] = []
    causes: dict[int, Exception] = {}
    if type(msg.payload) is not list:
        raise no_batch(node, msg.payload)
    for index, sample in enumerate(msg.payload):
        if type(sample) is not Sample:
            raise no_batch(node, msg.payload)
        try:
            results.append(apply(sample))
        except Exception as exc:
            causes[index] = exc
            results.append(None)
    return results, causes


def set_aside(
    msg: Message, causes: Mapping[int, BaseException | str], kept: list[Sample]
) -> SampleErrors:
    """What to raise so that `kept` goes on and the failed samples are set aside."""
    if kept:
        named = {
            name_of(msg.payload[index], index): cause for index, cause in causes.items()
        }
        aside = msg.derive([msg.payload[index] for index in causes])
        msg.payload = kept
        return SampleErrors(named, msg, aside)
    # Nothing goes on: the message fails, with what failed as its payload.
    failed = [msg.payload[index] for index in causes]
    error = SampleErrors(dict(enumerate(causes.values())))
    msg.payload = failed
    return error


def name_of(sample: Sample, index: int) -> str:
    """What tells people which sample it is."""
    return printable(f"[{index}] {sample.tag.name} {sample.iso}")
