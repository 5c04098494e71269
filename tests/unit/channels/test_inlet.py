"""Accepted messages: durable first, in order, bounded in memory, never lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from msgstore.memory import MemoryMessageStore, MemoryMessageStoreFactory
from msgstore.null import NullMessageStoreFactory
from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.codecs import register_codec
from pichannels.errors import (
    ChannelStopped,
    CodecError,
    JournalError,
    NotConnected,
    PauseChannel,
    RetryLater,
    TryAgain,
)
from pichannels.journal import Journal, Record
from pichannels.message import Message
from pichannels.node import BaseNode, Pending
from pichannels.retry import RetryPolicy
from pichannels.states import State
from pichannels.store import MessageStore, MessageStoreFactory
from tests.unit.channels.steps import Call, Gate

AT_ONCE = RetryPolicy(attempts=0, initial=0)


class Seen(BaseNode):
    """Remembers the payloads; `reached` waits for so many."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.payloads: list[Any] = []
        self._came = asyncio.Event()

    def process(self, msg: Message) -> Message:
        self.payloads.append(msg.payload)
        self._came.set()
        return msg

    async def reached(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.payloads) < count:
                self._came.clear()
                await self._came.wait()


class Acks(Seen):
    """Leaves each message pending on a future of its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.given: list[asyncio.Future[None]] = []

    def process(self, msg: Message) -> Any:
        self.given.append(asyncio.get_running_loop().create_future())
        return Pending(super().process(msg), self.given[-1])


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "journal.db", durability="normal")
    await journal.open()
    yield journal
    await journal.close()


@asynccontextmanager
async def accepting(
    journal: Journal, *nodes: BaseNode, **options: Any
) -> AsyncIterator[BaseChannel]:
    channel = BaseChannel("boiler", **{"drain_timeout": 5.0, **options})
    channel.add(*nodes)
    channel.attach(journal=journal)
    await channel.start()
    try:
        yield channel
    finally:
        await channel.stop()


async def put(channel: BaseChannel, *payloads: Any) -> None:
    for payload in payloads:
        await channel.accept(Message(payload=payload))


async def left(journal: Journal) -> list[Any]:
    return [r.message().payload for r in await journal.unsettled("boiler", limit=10**6)]


async def records(journal: Journal, state: State = State.ERROR) -> list[Record]:
    await journal.flush()
    return await journal.search("boiler", state=state)


# Accepting


async def test_who_waits_for_a_result_goes_before_what_waits_in_the_journal(
    journal: Journal,
) -> None:
    gate, seen = Gate(), Seen()
    async with accepting(journal, gate, seen) as channel:
        await put(channel, 1, 2, 3)
        await gate.entered.wait()
        asked = [
            asyncio.create_task(channel.handle(Message(payload=name))) for name in "ab"
        ]
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(*asked)
        await channel.drain()
    assert [each for each in seen.payloads if each in ("a", "b")] == ["a", "b"]
    assert seen.payloads.index("b") < seen.payloads.index(3)


async def test_a_message_is_durable_before_its_first_node(journal: Journal) -> None:
    found: list[int] = []

    async def look(msg: Message) -> Message:
        found.extend(record.seq for record in await journal.unsettled("boiler"))
        return msg

    async with accepting(journal, Call(look)) as channel:
        await put(channel, "a")
    assert found == [1]


async def test_accept_returns_before_the_message_is_processed(journal: Journal) -> None:
    gate, seen = Gate(), Seen()
    async with accepting(journal, gate, seen) as channel:
        await put(channel, "a", "b")
        assert seen.payloads == []
        gate.open.set()
    assert seen.payloads == ["a", "b"]


async def test_accepted_messages_are_processed_in_order_and_settled(
    journal: Journal,
) -> None:
    seen = Seen()
    async with accepting(journal, seen) as channel:
        await asyncio.gather(*(put(channel, n) for n in range(50)))
    assert seen.payloads == list(range(50))
    assert channel.processed == 50 and await left(journal) == []


async def test_an_accepted_message_knows_its_number_and_lane(journal: Journal) -> None:
    msg = Message()
    async with accepting(journal) as channel:
        await channel.accept(msg, lane="repair")
    assert (msg.store_id, msg.store_chan_name) == ("1", "boiler")
    assert msg.meta == {"lane": "repair"}


async def test_what_cannot_be_encoded_is_not_accepted(journal: Journal) -> None:
    seen = Seen()
    async with accepting(journal, seen) as channel:
        with pytest.raises(CodecError):
            await put(channel, object())
        await put(channel, "good")
    assert seen.payloads == ["good"]


async def test_a_caller_that_gives_up_stops_nothing(journal: Journal) -> None:
    seen = Seen()
    async with accepting(journal, seen) as channel:
        task = asyncio.ensure_future(put(channel, "a"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await put(channel, "b")
    assert task.cancelled() and seen.payloads == ["a", "b"]


async def test_nothing_is_accepted_while_the_channel_stops(journal: Journal) -> None:
    gate = Gate()
    async with accepting(journal, gate) as channel:
        await put(channel, "a")
        stopping = asyncio.ensure_future(channel.stop())
        await asyncio.sleep(0)
        with pytest.raises(ChannelStopped):
            await put(channel, "b")
        gate.open.set()
        await stopping
    assert await left(journal) == []


async def test_a_closed_journal_accepts_nothing(journal: Journal) -> None:
    async with accepting(journal) as channel:
        await journal.close()
        with pytest.raises(JournalError):
            await put(channel, "a")


async def test_who_waits_for_room_while_the_channel_stops_is_told(
    tmp_path: Path,
) -> None:
    small = Journal(tmp_path / "small.db", durability="normal", budget=2000)
    await small.open()
    gate = Gate()
    async with accepting(small, gate, drain_timeout=0.02) as channel:
        await put(channel, b"x" * 2000)
        assert small.is_full
        waiting = asyncio.ensure_future(put(channel, b"more"))
        await gate.entered.wait()
        await channel.stop()
        small.delete(1)
        with pytest.raises(ChannelStopped):
            await asyncio.wait_for(waiting, 10)
    await small.close()


# Outcomes


async def test_a_failed_message_becomes_a_dead_letter_with_its_cause(
    journal: Journal,
) -> None:
    def fail(msg: Message) -> Message:
        if msg.payload == "bad":
            raise ValueError("odd")
        return msg

    seen = Seen()
    async with accepting(journal, Call(fail, name="check"), seen) as channel:
        await put(channel, "a", "bad", "c")
    (dead,) = await records(journal)
    assert seen.payloads == ["a", "c"] and channel.failed == 1
    assert (dead.message().payload, dead.attempts) == ("bad", 1)
    assert (dead.meta["err_msg"], dead.meta["node"]) == ("odd", "boiler.check")


async def test_an_error_text_that_is_no_unicode_is_kept_too(journal: Journal) -> None:
    def fail(msg: Message) -> Message:
        raise ValueError("\udcff")

    async with accepting(journal, Call(fail)) as channel:
        await put(channel, "a", "b")
    assert [r.meta["err_msg"] for r in await records(journal)] == [r"\udcff"] * 2


async def test_messages_are_settled_when_they_are_acknowledged(
    journal: Journal,
) -> None:
    acks = Acks()
    async with accepting(journal, acks) as channel:
        await put(channel, "a", "b", "c")
        await acks.reached(3)
        acks.given[1].set_result(None)
        await asyncio.sleep(0)
        assert await left(journal) == ["a", "c"]
        acks.given[0].set_result(None)
        acks.given[2].set_exception(OSError("gone"))
    (dead,) = await records(journal)
    assert await left(journal) == [] and dead.message().payload == "c"
    assert dead.meta["node"] == "boiler.Acks"


async def test_a_fork_holds_an_accepted_message(journal: Journal) -> None:
    gate = Gate()
    channel = BaseChannel("boiler")
    channel.fork().add(gate)
    channel.attach(journal=journal)
    await channel.start()
    await put(channel, "a")
    await gate.entered.wait()
    assert await left(journal) == ["a"]
    gate.open.set()
    await channel.stop()
    assert await left(journal) == []


async def test_a_fork_whose_store_is_durable_holds_nothing(journal: Journal) -> None:
    gate, seen = Gate(), Seen()
    channel = BaseChannel("boiler")
    factory = SQLiteMessageStoreFactory()
    fork = channel.fork("copy", message_store_factory=factory).add(gate, seen)
    channel.attach(journal=journal)
    await channel.start()
    await asyncio.wait_for(channel.handle(Message(payload="a")), 5)
    assert journal.count_unsettled("boiler.copy") == 1
    gate.open.set()
    await channel.stop()
    assert seen.payloads == ["a"] and fork.processed == 1


@pytest.mark.parametrize("required", [True, False])
async def test_a_copy_that_a_durable_fork_cannot_keep(
    journal: Journal, required: bool
) -> None:
    channel = BaseChannel("boiler")
    factory = SQLiteMessageStoreFactory()
    channel.fork("copy", message_store_factory=factory, required=required)
    channel.attach(journal=journal)
    await channel.start()
    outcome = await asyncio.wait_for(channel.run(Message(payload={1: object()})), 5)
    await channel.stop()
    assert outcome.state is (State.ERROR if required else State.PROCESSED)


# Trying again


async def test_a_message_runs_again_from_the_start_as_it_was_accepted(
    journal: Journal,
) -> None:
    seen, errors = Seen(), [RetryLater("busy", 0), NotConnected("sink")]

    def spoil(msg: Message) -> Message:
        msg.payload += "!"
        if errors:
            raise errors.pop(0)
        return msg

    after = Seen()
    nodes = [seen, Call(spoil), after]
    async with accepting(journal, *nodes, retry=AT_ONCE) as channel:
        await put(channel, "a", "b")
    assert seen.payloads == ["a", "a", "a", "b"] and after.payloads == ["a!", "b!"]
    assert (channel.processed, channel.failed) == (2, 0)


async def test_a_message_is_given_up_when_the_policy_says_so(journal: Journal) -> None:
    def busy(msg: Message) -> Message:
        raise TryAgain("busy")

    policy = RetryPolicy(attempts=3, initial=0)
    async with accepting(journal, Call(busy), retry=policy) as channel:
        await put(channel, "a")
    (dead,) = await records(journal)
    assert (dead.attempts, dead.meta["error"]) == (3, "TryAgain")


async def test_a_message_that_is_gone_when_it_runs_again_stops_no_other(
    journal: Journal,
) -> None:
    seen, errors = Seen(), [TryAgain("busy")]

    def forget(msg: Message) -> Message:
        if errors:
            journal.delete(1)
            raise errors.pop()
        return msg

    async with accepting(journal, Call(forget), seen, retry=AT_ONCE) as channel:
        await put(channel, "a", "b")
    assert seen.payloads == ["b"] and channel.failed == 1


# Bounded memory


async def test_a_stalled_node_costs_disk_and_not_memory(journal: Journal) -> None:
    gate, seen = Gate(), Seen()
    async with accepting(journal, gate, seen, window=10) as channel:
        await asyncio.gather(*(put(channel, n) for n in range(200)))
        inlet = channel._inlet
        assert inlet and inlet.in_memory == 10 and len(await left(journal)) == 200
        gate.open.set()
    assert seen.payloads == list(range(200)) and await left(journal) == []


async def test_the_window_is_never_exceeded(journal: Journal) -> None:
    most, seen = 0, Seen()

    async def look(msg: Message) -> Message:
        nonlocal most
        inlet = channel._inlet
        most = max(most, inlet.in_memory if inlet else 0)
        await asyncio.sleep(0)
        return msg

    async with accepting(journal, Call(look), seen, window=7) as channel:
        await asyncio.gather(*(put(channel, n) for n in range(100)))
        await seen.reached(100)
    assert most <= 7 and seen.payloads == list(range(100))


async def test_the_bytes_in_memory_are_bounded_too(journal: Journal) -> None:
    gate, seen = Gate(), Seen()
    async with accepting(journal, gate, seen, window_bytes=10_000) as channel:
        await asyncio.gather(*(put(channel, bytes(1000)) for _ in range(50)))
        inlet = channel._inlet
        assert inlet and 5 <= inlet.in_memory < 10
        gate.open.set()
    assert len(seen.payloads) == 50


async def test_a_message_larger_than_the_window_is_processed(journal: Journal) -> None:
    seen = Seen()
    async with accepting(journal, seen, window=1, window_bytes=10) as channel:
        await put(channel, bytes(1000), bytes(2000), "c")
    assert [len(p) for p in seen.payloads] == [1000, 2000, 1]


async def test_unacknowledged_messages_count_as_in_memory(journal: Journal) -> None:
    acks = Acks()
    async with accepting(journal, acks, window=4) as channel:
        await put(channel, *range(20))
        await acks.reached(4)
        assert len(acks.given) == 4
        for n in range(20):
            await acks.reached(n + 1)
            acks.given[n].set_result(None)
    assert channel.processed == 20


@settings(max_examples=15, deadline=None)
@given(
    window=st.integers(1, 5),
    window_bytes=st.integers(1, 2000),
    lanes=st.integers(1, 3),
    sizes=st.lists(st.integers(0, 1000), max_size=30),
    burst=st.integers(1, 30),
)
def test_no_message_is_lost_or_doubled_and_each_key_keeps_its_order(
    tmp_path_factory: pytest.TempPathFactory,
    window: int,
    window_bytes: int,
    lanes: int,
    sizes: list[int],
    burst: int,
) -> None:
    async def run(path: Path) -> list[tuple[int, int]]:
        journal = Journal(path, durability="normal")
        await journal.open()
        seen = Seen()
        options = {"window": window, "window_bytes": window_bytes, "lanes": lanes}
        async with accepting(
            journal, seen, key=lambda m: m.payload[0] % 3, **options
        ) as channel:
            for at in range(0, len(sizes), burst):
                part = [
                    (n, bytes(size))
                    for n, size in enumerate(sizes[at : at + burst], at)
                ]
                await asyncio.gather(*(put(channel, payload) for payload in part))
        await journal.close()
        return [(n, len(data)) for n, data in seen.payloads]

    path = tmp_path_factory.mktemp("inlet") / "journal.db"
    found = asyncio.run(run(path))
    for key in range(3):
        expected = [(n, size) for n, size in enumerate(sizes) if n % 3 == key]
        assert [entry for entry in found if entry[0] % 3 == key] == expected
    assert len(found) == len(sizes)


async def test_a_key_that_fails_costs_its_message_alone(journal: Journal) -> None:
    seen = Seen()

    def lane(msg: Message) -> Any:
        return msg.payload["tag"]

    good, bad = {"tag": "a"}, {"other": 1}
    async with accepting(journal, seen, lanes=3, key=lane) as channel:
        await put(channel, good, bad, good)
    (dead,) = await records(journal)
    assert seen.payloads == [good, good] and dead.message().payload == bad


async def test_handled_and_accepted_messages_run_once_each(journal: Journal) -> None:
    gate, seen = Gate(), Seen()
    options = {"window": 2, "message_store_factory": SQLiteMessageStoreFactory()}
    async with accepting(journal, seen, gate, **options) as channel:
        await put(channel, *range(5))
        handled = asyncio.gather(
            *(channel.handle(Message(payload=f"h{n}")) for n in "ab")
        )
        await put(channel, *range(5, 10))
        gate.open.set()
        await handled
    found = sorted(map(str, seen.payloads))
    assert found == [*map(str, range(10)), "ha", "hb"]


# Restart


async def again(journal: Journal) -> Journal:
    """The journal as the next process would open it."""
    await journal.close()
    opened = Journal(journal.path, durability="normal")
    await opened.open()
    return opened


async def test_what_was_not_settled_runs_again_before_anything_new(
    journal: Journal,
) -> None:
    async with accepting(journal, Gate(), drain_timeout=0.01) as channel:
        await put(channel, "a", "b", "c")
    journal = await again(journal)
    seen = Seen()
    async with accepting(journal, seen) as channel:
        await put(channel, "d")
    assert seen.payloads == ["a", "b", "c", "d"]
    assert await left(journal) == []
    await journal.close()


async def test_what_waits_at_a_fork_when_it_stops_has_not_failed(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    channel = BaseChannel("boiler", drain_timeout=0.01)
    channel.fork(name="beside").add(Gate())
    channel.attach(journal=journal)
    await channel.start()
    await put(channel, "a", "b")
    await channel.stop()
    assert (await left(journal), channel.failed) == (["a", "b"], 0)
    assert "message failed" not in caplog.text


async def test_many_run_again_in_a_small_window(journal: Journal) -> None:
    async with accepting(journal, Gate(), window=3, drain_timeout=0.01) as channel:
        await put(channel, *range(100))
    journal = await again(journal)
    seen = Seen()
    async with accepting(journal, seen, window=3) as channel:
        await put(channel, 100)
    assert seen.payloads == list(range(101))
    await journal.close()


async def test_unacknowledged_messages_run_again_and_acknowledged_do_not(
    journal: Journal,
) -> None:
    acks = Acks()
    async with accepting(journal, acks, drain_timeout=0.01) as channel:
        await put(channel, "a", "b", "c")
        await acks.reached(3)
        acks.given[1].set_result(None)
    journal = await again(journal)
    seen = Seen()
    async with accepting(journal, seen):
        await seen.reached(2)
    assert seen.payloads == ["a", "c"]
    await journal.close()


@pytest.mark.parametrize("is_late", [False, True])
async def test_an_acknowledgement_lost_by_stopping_is_no_dead_letter(
    journal: Journal, is_late: bool
) -> None:
    acks = Acks()
    async with accepting(journal, acks, drain_timeout=0.01) as channel:
        await put(channel, "a")
        await acks.reached(1)
    if is_late:
        await journal.close()
    acks.given[0].cancel()
    await asyncio.sleep(0)
    journal = await again(journal)
    assert await left(journal) == ["a"]
    await journal.close()


async def test_an_acknowledgement_after_the_journal_is_closed_harms_nothing(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    acks = Acks()
    async with accepting(journal, acks, drain_timeout=0.01) as channel:
        await put(channel, "a")
        await acks.reached(1)
    await journal.close()
    acks.given[0].set_result(None)
    await asyncio.sleep(0)
    assert "is not open" in caplog.text
    journal = await again(journal)
    assert await left(journal) == ["a"]
    await journal.close()


async def test_a_fork_stopped_in_its_work_is_no_dead_letter(journal: Journal) -> None:
    gate = Gate()
    channel = BaseChannel("boiler", drain_timeout=0.01)
    channel.fork().add(gate)
    channel.attach(journal=journal)
    await channel.start()
    await put(channel, "a", "b")
    await gate.entered.wait()
    await channel.stop()
    assert await left(journal) == ["a", "b"]


async def test_a_stored_message_that_cannot_be_read_is_set_aside(
    journal: Journal,
) -> None:
    class Old:
        pass

    def load(data: Any) -> Old:
        raise ValueError("no longer known")

    register_codec(Old, lambda _: 1, load, name="test-inlet-old")
    async with accepting(journal, Gate(), drain_timeout=0.01) as channel:
        await put(channel, "a", Old(), "c")
    journal = await again(journal)
    seen = Seen()
    async with accepting(journal, seen) as channel:
        await seen.reached(2)
    (dead,) = await records(journal)
    assert seen.payloads == ["a", "c"] and channel.failed == 1
    assert "stored test-inlet-old cannot be read" in dead.meta["err_msg"]
    await journal.close()


# History beside the journal


async def test_a_store_of_its_own_keeps_accepted_messages_too(
    journal: Journal,
) -> None:
    def fail(msg: Message) -> Message:
        if msg.payload == "bad":
            raise ValueError("odd")
        return msg

    factory = MemoryMessageStoreFactory()
    async with accepting(journal, Call(fail), message_store_factory=factory) as channel:
        await put(channel, "a", "bad")
    assert channel.message_store is not None
    found = await channel.message_store.search()
    assert [(e["message"].payload, e["state"]) for e in found] == [
        ("a", "processed"),
        ("bad", "error"),
    ]
    assert found[1]["meta"]["err_msg"] == "odd" and await left(journal) == []


async def test_a_message_that_runs_again_is_kept_once(journal: Journal) -> None:
    errors = [TryAgain("busy")]

    def busy(msg: Message) -> Message:
        if errors:
            raise errors.pop()
        return msg

    factory = MemoryMessageStoreFactory()
    options = {"message_store_factory": factory, "retry": AT_ONCE}
    async with accepting(journal, Call(busy), **options) as channel:
        await put(channel, "a")
    assert channel.message_store is not None
    assert [e["state"] for e in await channel.message_store.search()] == ["processed"]


async def test_a_full_window_drains_while_the_journal_is_closed_under_it(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    with caplog.at_level(logging.ERROR):
        async with accepting(journal, gate, window=1, drain_timeout=0.1) as channel:
            await put(channel, "a", "b", "c")
            await journal.close()
            gate.open.set()
    assert channel.is_stopped() and "is not open" in caplog.text
    journal = await again(journal)
    assert len(await left(journal)) == 3
    await journal.close()


async def test_a_store_that_keeps_nothing_keeps_nothing_here(journal: Journal) -> None:
    seen = Seen()
    factory = NullMessageStoreFactory()
    async with accepting(journal, seen, message_store_factory=factory) as channel:
        await put(channel, "a")
        await seen.reached(1)
        await channel.handle(Message(payload="b"))
    assert seen.payloads == ["a", "b"] and await left(journal) == []


class Forgetful(MemoryMessageStore):
    async def change_message_state(
        self, id: str, new_state: str, meta: Mapping[str, Any] | None = None
    ) -> None:
        raise OSError("the store is gone")


class ForgetfulFactory(MessageStoreFactory):
    def get_store(self, store_id: str) -> MessageStore:
        return Forgetful(store_id, 10)


async def test_a_store_that_cannot_note_the_outcome_costs_no_message(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen()
    options = {"message_store_factory": ForgetfulFactory()}
    async with accepting(journal, seen, **options) as channel:
        await put(channel, "a", "b")
    assert seen.payloads == ["a", "b"] and await left(journal) == []
    assert "the store is gone" in caplog.text


# Durable forks


@asynccontextmanager
async def forked(
    journal: Journal, *nodes: BaseNode, required: bool
) -> AsyncIterator[tuple[BaseChannel, BaseChannel]]:
    channel = BaseChannel("boiler", drain_timeout=0.05)
    factory = SQLiteMessageStoreFactory()
    fork = channel.fork("copy", message_store_factory=factory, required=required)
    fork.add(*nodes)
    channel.attach(journal=journal)
    await channel.start()
    try:
        yield channel, fork
    finally:
        await channel.stop()


@pytest.mark.parametrize("required", [True, False])
async def test_a_stopped_durable_fork_takes_no_copy(
    journal: Journal, required: bool
) -> None:
    async with forked(journal, required=required) as (channel, fork):
        await fork.stop()
        outcome = await channel.run(Message(payload="a"))
    assert isinstance(outcome.error, ChannelStopped) == required
    assert fork.discarded == (not required)


async def test_a_fork_that_is_not_required_waits_for_no_room(tmp_path: Path) -> None:
    small = Journal(tmp_path / "small.db", durability="normal", budget=2000)
    await small.open()
    async with forked(small, Gate(), required=False) as (channel, fork):
        await channel.handle(Message(payload=bytes(3000)))
        await small.flush()
        assert small.is_full
        await asyncio.wait_for(channel.handle(Message(payload="b")), 5)
        assert fork.discarded == 1
    await small.close()


# Copies that are tried again


async def test_a_copy_in_a_fork_is_tried_as_the_message_is(journal: Journal) -> None:
    errors, seen = [NotConnected("sink"), RetryLater(delay=0)], Seen()

    def fail(msg: Message) -> Message:
        msg.payload += "x"
        if errors:
            raise errors.pop()
        return msg

    channel = BaseChannel("boiler", retry=AT_ONCE)
    fork = channel.fork("beside").add(Call(fail), seen)
    main = Seen()
    channel.add(main).attach(journal=journal)
    await channel.start()
    await put(channel, "a", "b")
    await channel.drain()
    await channel.stop()
    assert (seen.payloads, main.payloads) == (["ax", "bx"], ["a", "b"])
    assert (fork.failed, await records(journal)) == (0, [])


async def test_a_copy_that_is_given_up_is_a_dead_letter(journal: Journal) -> None:
    def fail(msg: Message) -> Message:
        tried.append(msg.payload)
        raise NotConnected("sink")

    tried: list[Any] = []
    channel = BaseChannel("boiler", retry=RetryPolicy(attempts=3, initial=0))
    channel.fork("beside").add(Call(fail)).add_fail_nodes(ended := Seen())
    channel.attach(journal=journal)
    await channel.start()
    await put(channel, "a")
    await channel.drain()
    (record,) = await records(journal)
    await channel.stop()
    assert (tried, ended.payloads) == (["a"] * 3, ["a"])
    assert record.meta["error"] == "NotConnected"


async def test_a_caller_is_not_kept_waiting_by_a_copy_that_fails(
    journal: Journal,
) -> None:
    def fail(msg: Message) -> Message:
        raise NotConnected("sink")

    channel = BaseChannel("boiler", retry=AT_ONCE)
    channel.fork("beside").add(Call(fail))
    channel.attach(journal=journal)
    await channel.start()
    with pytest.raises(NotConnected):
        await asyncio.wait_for(channel.handle(Message(payload="a")), 5)
    await channel.stop()


async def test_a_copy_may_pause_the_whole(journal: Journal) -> None:
    states: list[str] = []
    errors = [PauseChannel(delay=0)]

    def fail(msg: Message) -> Message:
        if errors:
            raise errors.pop()
        return msg

    channel = BaseChannel("boiler")
    fork = channel.fork("beside").add(Call(fail))
    channel.attach(journal=journal)
    await channel.start()
    channel.events.subscribe(lambda event: states.append(event.facts["new"]))
    await put(channel, "a")
    async with asyncio.timeout(30):
        while fork.processed == 0:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
    await channel.stop()
    assert states[0] == "paused" and "waiting" in states and channel.processed == 1
