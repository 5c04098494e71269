"""Trying a step again: of a batch only what failed."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.attempts import attempted
from pichannels.channels.base import BaseChannel
from pichannels.errors import Rejected, SampleErrors
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.tallies import Tally

TWICE = RetryPolicy(attempts=2, initial=0)


class Refusing(BaseNode):
    """Refuses negative numbers, those above 9 once, and notes what is left."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.tries = 0

    def process(self, msg: Message) -> Message:
        self.tries += 1
        limit = 9 if self.tries == 1 else 99
        causes = {n: f"{v}" for n, v in enumerate(msg.payload) if not 0 <= v <= limit}
        if causes:
            raise SampleErrors(dict(reversed(causes.items())))
        return msg


async def parts_of(payload: list[int]) -> tuple[list[Any], Any]:
    """What goes on, and what is set aside."""
    node, parts = Refusing(name="refusing"), []
    tried = attempted(node.process, Message(payload=payload), TWICE, "n", Tally())
    try:
        for part in await tried:
            parts.append(part.payload)
    except SampleErrors as exc:
        return parts, exc.failed.payload
    return parts, None


async def test_the_last_try_sets_aside_what_it_refused_and_lets_the_rest_go_on() -> (
    None
):
    assert await parts_of([1, 2, -3, 10, 4, -5]) == ([[1, 2, 4], [10]], [-3, -5])


async def test_samples_that_all_fail_are_set_aside_whatever_their_order() -> None:
    assert await parts_of([-1, -2, -3]) == ([], [-1, -2, -3])


async def test_a_channel_delivers_or_sets_aside_each_sample() -> None:
    channel, seen = BaseChannel("boiler"), list[int]()

    class Keep(BaseNode):
        def process(self, msg: Message) -> None:
            seen.extend(msg.payload)

    channel.add(Refusing(retry=TWICE), Keep())
    await channel.start()
    outcome = await channel.run(Message(payload=[1, 2, -3, 10]))
    await channel.stop()
    assert (sorted(seen), outcome.sample_errors) == ([1, 2, 10], 1)


async def test_what_a_later_try_rejects_is_told() -> None:
    def reject(msg: Message) -> Message:
        if len(msg.payload) > 1:
            raise SampleErrors({1: "bad"})
        raise Rejected("never")

    parts = await attempted(reject, Message(payload=[1, 2]), TWICE, "n", Tally())
    assert next(parts).payload == [1]
    with pytest.raises(Rejected):
        next(parts)
