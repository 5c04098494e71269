"""Sending values to PI: what becomes of each, and what is sent again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from nodes._pi_targets import Target
from nodes._pi_writing import Answer, Value, ValueRefused, request_body
from nodes._queue import Item
from pichannels.message import Message
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.values import Sample

__all__ = ["TEMPORARY", "Row", "Sending", "ValueItem", "is_later", "parts"]

TEMPORARY: Final = frozenset({408, 425, 429})
"""Answers that are no answer yet, beside 5xx."""

_VALUE_TRIES: Final = 5
_MOST_BYTES: Final = 800_000
_MOST_REFUSED: Final = 100

Request: TypeAlias = Callable[[Sequence[Mapping[str, Any]]], Awaitable[HTTPResponse]]
"""Sends a body and returns the answer, unless it has to be asked again later."""


class ValueItem(Item):
    """What a message leaves in the queue: its values, and why others are none.

    `removes` tells that they are events which PI deleted at their origin.
    """

    __slots__ = ("causes", "failed", "removes", "samples", "skipped")

    def __init__(self, msg: Message, samples: Sequence[Sample]) -> None:
        super().__init__(msg, [], 0)
        self.count = len(samples)
        self.samples = samples
        self.causes: dict[int, BaseException | str] = {}
        self.skipped = 0
        self.removes = msg.meta.get("lane") == "delete"
        # What is set aside is told with the meta as it is now.
        self.failed = msg.derive([])


Row: TypeAlias = tuple[ValueItem, Value]
"""A value of a message."""


class Sending:
    """The requests of one try: one, or halves of it where PI refuses the whole."""

    def __init__(self, request: Request, forget: Callable[[str], None]) -> None:
        self._request = request
        self._forget = forget
        self._refused = 0

    async def send(self, rows: Sequence[tuple[Row, Target]]) -> list[Row]:
        """Write these values; returns those that are to be written again."""
        body, order = request_body([(v, t.web_id) for (_, v), t in rows])
        response = await self._request(body)
        if 200 <= response.status_code < 300:
            answer = Answer.read(response, body)
            ordered = [rows[at][0] for at in order]
            return self._judged(ordered, answer)
        self._refused += 1
        half = len(rows) // 2
        if half and self._refused < _MOST_REFUSED:
            # One value that PI cannot read spoils the whole request.
            again = await self.send(rows[:half])
            return again + await self.send(rows[half:])
        said = "; ".join(response.error_messages)
        for (item, value), _ in rows:
            refusal = ValueRefused(value.path, response.status_code, said)
            item.causes[value.index] = refusal
        return []

    def _judged(self, rows: Sequence[Row], answer: Answer) -> list[Row]:
        again: list[Row] = []
        for (item, value), (status, message) in zip(rows, answer.results, strict=True):
            if 200 <= status < 300:
                # In an earlier try it may have been refused.
                item.causes.pop(value.index, None)
                continue
            value.tries += 1
            if status == 404 and value.tries == 1:
                # It may have been deleted and made again under another WebID.
                self._forget(value.path)
                again.append((item, value))
            elif is_later(status) and value.tries < _VALUE_TRIES:
                again.append((item, value))
            else:
                refusal = ValueRefused(value.path, status, message)
                item.causes[value.index] = refusal
        return again


def is_later(status: int) -> bool:
    return status in TEMPORARY or (status >= 500 and status != 501)


def parts(rows: Sequence[Row], most: int) -> Iterator[list[Row]]:
    """The values in order, as many together as fit into one request."""
    part: list[Row] = []
    size = 0
    for row in rows:
        more = row[1].size
        is_full = len(part) >= most or size + more > _MOST_BYTES
        if part and (is_full or row[0].removes != part[0][0].removes):
            yield part
            part, size = [], 0
        part.append(row)
        size += more
    if part:
        yield part
