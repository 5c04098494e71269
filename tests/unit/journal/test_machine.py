"""The journal does what a dict would, over any order of calls and restarts."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
)

from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.states import State

T = TypeVar("T")


class Known:
    """What the model knows of one message."""

    def __init__(self, channel: str, payload: object, keep: bool) -> None:
        self.channel = channel
        self.payload = payload
        self.keep = keep
        self.state = State.PENDING


class JournalMachine(RuleBasedStateMachine):
    """Appends, settles, saves, deletes, flushes and reopens."""

    seqs = Bundle[int]("seqs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.journal = Journal(self.folder / "journal.db", durability="normal")
        self.known: dict[int, Known] = {}
        self.saved: dict[str, int] = {}
        self.highest = 0
        self.do(self.journal.open())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @rule(
        target=seqs,
        channel=st.sampled_from("abc"),
        payload=st.one_of(st.text(), st.binary(), st.lists(st.integers())),
        keep=st.booleans(),
    )
    def append(self, channel: str, payload: object, keep: bool) -> int:
        async def work() -> int:
            msg = Message(payload=payload)
            return self.journal.append(channel, msg, keep=keep).seq

        seq = self.do(work())
        assert seq > self.highest
        self.highest = seq
        self.known[seq] = Known(channel, payload, keep)
        return seq

    @rule(seq=seqs, state=st.sampled_from(State))
    def settle(self, seq: int, state: State) -> None:
        async def work() -> None:
            self.journal.settle(seq, state)
            await self.journal.flush()

        self.do(work())
        known = self.known.get(seq)
        if known is None:
            return
        known.state = state
        if not known.keep and state.is_final and state is not State.ERROR:
            del self.known[seq]

    @rule(seq=seqs)
    def delete(self, seq: int) -> None:
        async def work() -> None:
            self.journal.delete(seq)

        self.do(work())
        self.known.pop(seq, None)

    @rule(key=st.sampled_from("xy"), value=st.integers())
    def save(self, key: str, value: int) -> None:
        async def work() -> None:
            self.journal.save("node", key, value)

        self.do(work())
        self.saved[key] = value

    @rule()
    def reopen(self) -> None:
        self.do(self.journal.close())
        self.do(self.journal.open())

    @rule()
    def verify(self) -> None:
        assert self.do(self.journal.verify()) == []

    @rule()
    def restore(self) -> None:
        for key, value in self.saved.items():
            assert self.do(self.journal.restore("node", key)) == value

    @invariant()
    def unsettled_messages_are_the_same(self) -> None:
        for channel in "abc":
            expected = [
                (seq, known.payload)
                for seq, known in sorted(self.known.items())
                if known.channel == channel and not known.state.is_final
            ]
            found = self.do(self.journal.unsettled(channel, limit=1000))
            assert [(r.seq, r.message().payload) for r in found] == expected
            assert self.journal.count_unsettled(channel) == len(expected)

    @invariant()
    def stored_messages_are_the_same(self) -> None:
        found = self.do(self.journal.search(count=1000))
        states = {record.seq: record.state for record in found}
        assert states == {seq: known.state for seq, known in self.known.items()}

    def teardown(self) -> None:
        self.do(self.journal.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(
    max_examples=15, stateful_step_count=15, deadline=None, print_blob=True
)
