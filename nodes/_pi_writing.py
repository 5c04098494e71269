"""Bodies of written values, and what PI answers to them; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from pichannels.errors import MessageError
from pichannels.piwebasync.bodies import timed_value
from pichannels.piwebasync.exceptions import SerializationError
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.values import DigitalState, Sample

__all__ = ["Answer", "Value", "ValueRefused", "encoded", "request_body"]

_encode: Final = msgspec.json.Encoder().encode
_NO_STATUS: Final = (520, "PI's answer has no status for it")


class ValueRefused(MessageError):
    """PI does not take this value."""

    def __init__(self, target: str, status: int, answer: str = "") -> None:
        self.target = target
        self.status = status
        self.answer = answer
        said = f": {answer}" if answer else ""
        super().__init__(f"{target} was not written, {status}{said}")


class Value:
    """One value on its way."""

    __slots__ = ("body", "facts", "index", "path", "sample", "size", "tries")

    def __init__(
        self,
        index: int,
        sample: Sample,
        path: str,
        body: msgspec.Raw,
        facts: Mapping[str, Any],
    ) -> None:
        self.index = index
        self.sample = sample
        self.path = path
        self.body = body
        self.facts = facts
        self.size = len(bytes(body)) + 2
        self.tries = 0


def encoded(sample: Sample, *, units: bool, removes: bool) -> msgspec.Raw:
    """The sample as PI reads it, exact to 100 ns.

    Of one that is removed only the time counts.

    Raises:
        ValueRefused: PI has no form for it.
    """
    value = sample.value
    if isinstance(value, DigitalState) and not value.name:
        value = value.code
    try:
        body = timed_value(
            value,
            sample.ticks,
            units=(sample.units or None) if units else None,
            good=None if sample.good else False,
            questionable=sample.questionable or None,
        )
        return msgspec.Raw(_encode(body))
    except (SerializationError, UnicodeEncodeError) as exc:
        if removes:
            return msgspec.Raw(_encode(timed_value(0, sample.ticks)))
        raise ValueRefused(sample.tag.name, 0, str(exc)) from exc


def request_body(
    values: Sequence[tuple[Value, str]],
) -> tuple[list[dict[str, Any]], list[int]]:
    """Values with their WebIDs, by stream, and which value is where.

    The values of a stream stay in order.
    """
    streams: dict[str, list[int]] = {}
    for at, (_, web_id) in enumerate(values):
        streams.setdefault(web_id, []).append(at)
    body = [
        {"WebId": web_id, "Items": [values[at][0].body for at in places]}
        for web_id, places in streams.items()
    ]
    return body, [at for places in streams.values() for at in places]


class Answer(msgspec.Struct, frozen=True):
    """A status and a message for each value, in the order of the body."""

    results: list[tuple[int, str]]

    @classmethod
    def read(cls, response: HTTPResponse, body: Sequence[Mapping[str, Any]]) -> Answer:
        """What PI says of the values of `body`."""
        counts = [len(stream["Items"]) for stream in body]
        if response.status_code != 207:
            return cls([(response.status_code, "")] * sum(counts))
        streams = _items(response.dict())
        if len(streams) != len(counts):
            return cls([_NO_STATUS] * sum(counts))
        results: list[tuple[int, str]] = []
        for stream, count in zip(streams, counts, strict=True):
            results += _statuses(stream, count)
        return cls(results)


def _items(found: Any) -> list[Any]:
    items = found.get("Items") if isinstance(found, dict) else None
    return items if isinstance(items, list) else []


def _statuses(stream: Any, count: int) -> list[tuple[int, str]]:
    """The statuses of one stream; a single one is meant for all of its values."""
    if isinstance(stream, dict) and "Substatus" in stream:
        return [_status(stream)] * count
    given = [_status(one) for one in _items(stream)]
    if len(given) == 1:
        return given * count
    return given if len(given) == count else [_NO_STATUS] * count


def _status(found: Any) -> tuple[int, str]:
    if not isinstance(found, dict) or not isinstance(found.get("Substatus"), int):
        return _NO_STATUS
    return found["Substatus"], str(found.get("Message") or "")
