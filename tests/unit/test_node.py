"""A node by itself: its options, mocks, and kept data."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest

from pichannels.delivery import Delivery
from pichannels.errors import (
    Dropped,
    NodeResultError,
    RetryLater,
    SampleErrors,
    UsageError,
)
from pichannels.message import Message
from pichannels.node import BaseNode, Pending, ThreadNode
from pichannels.persistence import MemoryPersistence
from pichannels.retry import RetryPolicy

AT_ONCE = RetryPolicy(attempts=3, initial=0)


class Add(BaseNode):
    """Appends to the payload, in place."""

    def __init__(self, item: object = 1, **options: Any) -> None:
        super().__init__(**options)
        self.item = item

    def process(self, msg: Message) -> Message:
        msg.payload.append(self.item)
        msg.meta["added"] = self.item
        return msg


class AddLater(Add):
    async def process(self, msg: Message) -> Message:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().process(msg)


class Each(BaseNode):
    def process(self, msg: Message) -> Iterator[Message]:
        for item in msg.payload:
            yield msg.derive([item])


class EachLater(BaseNode):
    async def process(self, msg: Message) -> AsyncIterator[Message]:
        for item in msg.payload:
            await asyncio.sleep(0)
            yield msg.derive([item])


class Fail(BaseNode):
    """Changes its message and raises one error after the other."""

    def __init__(self, *errors: Exception, **options: Any) -> None:
        super().__init__(**options)
        self.errors = list(errors)
        self.seen: list[Any] = []

    def process(self, msg: Message) -> Message:
        self.seen.append(list(msg.payload))
        msg.payload.append("changed")
        if self.errors:
            raise self.errors.pop(0)
        return msg


class Channel:
    name = "boiler"

    def __init__(self) -> None:
        self.noted: list[tuple[Message, Sequence[str]]] = []

    def note_meta(self, msg: Message, names: Sequence[str]) -> None:
        self.noted.append((msg, names))


def message(*items: Any) -> Message:
    return Message(payload=list(items))


async def payloads(results: Any) -> list[Any]:
    if hasattr(results, "__aiter__"):
        return [msg.payload async for msg in results]
    return [msg.payload for msg in results]


# Options


def test_a_node_is_named_by_its_class_unless_told() -> None:
    assert (Add().name, Add(name="plus").name) == ("Add", "plus")


def test_the_full_path_begins_with_the_channel() -> None:
    node = Add(name="plus")
    assert node.fullpath() == "plus"
    node.join(Channel(), lambda: None)
    assert (node.fullpath(), repr(node)) == ("boiler.plus", "<Add boiler.plus>")


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    sentence = r"Add has no option 'pasthrough'; did you mean 'passthrough'\?"
    with pytest.raises(UsageError, match=sentence) as caught:
        Add(pasthrough=True)
    assert "item, log_output, name, " in str(caught.value)


def test_further_positional_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match="BaseNode takes no further positional"):
        BaseNode("boiler")


async def test_a_node_without_process_says_so() -> None:
    with pytest.raises(UsageError, match=r"BaseNode does not implement process\(msg\)"):
        await BaseNode().handle(message())


@pytest.mark.parametrize("kind", [Add, AddLater])
async def test_handle_gives_the_result(kind: type[Add]) -> None:
    result = await kind(7).handle(message(1))
    assert result.payload == [1, 7]


@pytest.mark.parametrize("kind", [Add, AddLater])
async def test_passthrough_goes_on_with_what_came(kind: type[Add]) -> None:
    msg = message(1)
    result = await kind(7, passthrough=True, store_output_as="out").handle(msg)
    assert (result.payload, result.meta) == ([1], {})
    assert result.ctx["out"] == {"meta": {"added": 7}, "payload": [1, 7]}


@pytest.mark.parametrize("kind", [Each, EachLater])
async def test_passthrough_gives_each_result_a_payload_of_its_own(
    kind: type[BaseNode],
) -> None:
    results = await kind(passthrough=True).handle(message(1, 2))
    first, second = await payloads(results)
    first.append(3)
    assert (first, second) == ([1, 2, 3], [1, 2])


async def test_the_input_is_kept_in_the_context() -> None:
    result = await Add(7, store_input_as="in").handle(message(1))
    assert result.ctx["in"] == {"meta": {}, "payload": [1]}


@pytest.mark.parametrize("kind", [Each, EachLater])
async def test_options_work_on_each_result_of_a_generator(
    kind: type[BaseNode],
) -> None:
    results = await kind(store_output_as="out").handle(message(1, 2))
    if hasattr(results, "__aiter__"):
        found = [msg.ctx["out"]["payload"] async for msg in results]
    else:
        found = [msg.ctx["out"]["payload"] for msg in results]
    assert found == [[1], [2]]


async def test_options_keep_a_pending_acknowledgement() -> None:
    class Publish(BaseNode):
        def process(self, msg: Message) -> Pending:
            return Pending(msg, done)

    done = asyncio.get_running_loop().create_future()
    result = await Publish(store_output_as="out").handle(message(1))
    assert result.ack is done and result.message.ctx["out"]["payload"] == [1]


@pytest.mark.parametrize("wrong", [None, 7, [Message()], Pending(None, None)])  # type: ignore[arg-type]
async def test_options_refuse_what_is_no_message(wrong: object) -> None:
    class Wrong(BaseNode):
        def process(self, msg: Message) -> Any:
            return wrong

    with pytest.raises(NodeResultError, match="node 'Wrong' returned"):
        await Wrong(log_output=True).handle(message())


async def test_log_output_logs_what_leaves(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "pichannels.nodes"):
        await Add(7, log_output=True).handle(message(1))
    assert "payload: [1, 7]" in caplog.text


async def test_store_meta_is_noted_for_a_message_made_anew() -> None:
    class Renew(BaseNode):
        def process(self, msg: Message) -> Message:
            return Message(payload="new", meta={"site": "A"})

    node, channel, msg = Renew(store_meta=["site"]), Channel(), message()
    node.join(channel, lambda: None)
    msg.delivery = Delivery()
    result = await node.handle(msg)
    assert channel.noted == [(result, ("site",))]
    assert result.delivery is msg.delivery


# Retry


async def test_a_retry_begins_with_the_input_as_it_came() -> None:
    node = Fail(ValueError(), ValueError(), retry=AT_ONCE)
    result = await node.handle(message(1))
    assert node.seen == [[1], [1], [1]] and result.payload == [1, "changed"]


async def test_the_last_error_is_raised_when_all_tries_failed() -> None:
    node = Fail(ValueError("a"), ValueError("b"), ValueError("c"), retry=AT_ONCE)
    with pytest.raises(ValueError, match="c"):
        await node.handle(message(1))
    assert len(node.seen) == 3


async def test_an_instruction_is_no_failure_to_try_again() -> None:
    node = Fail(Dropped("quiet"), retry=AT_ONCE)
    with pytest.raises(Dropped):
        await node.handle(message(1))
    assert len(node.seen) == 1


async def test_retry_later_is_tried_again_by_the_policy_of_the_node() -> None:
    node = Fail(RetryLater("busy", 0), retry=AT_ONCE)
    await node.handle(message(1))
    assert len(node.seen) == 2


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_retry_of_a_generator_gives_all_its_results_once(
    is_async: bool,
) -> None:
    tries = []

    class Flaky(BaseNode):
        def each(self, msg: Message) -> Iterator[Message]:
            yield msg.derive(["a"])
            tries.append(1)
            if len(tries) < 2:
                raise ValueError
            yield msg.derive(["b"])

        async def each_later(self, msg: Message) -> AsyncIterator[Message]:
            for part in self.each(msg):
                yield part

        def process(self, msg: Message) -> Any:
            return self.each_later(msg) if is_async else self.each(msg)

    results = await Flaky(retry=AT_ONCE).handle(message())
    assert await payloads(results) == [["a"], ["b"]]


class Flaky(BaseNode):
    """Refuses the samples of a batch as often as it is told to."""

    def __init__(self, times: dict[int, int], **options: Any) -> None:
        super().__init__(**options)
        self.times = times
        self.seen: list[Any] = []

    def process(self, msg: Message) -> Message:
        self.seen.append(list(msg.payload))
        failed = {n: ValueError(s) for n, s in enumerate(msg.payload) if self.fails(s)}
        if failed:
            raise SampleErrors(failed)
        return msg

    def fails(self, sample: int) -> bool:
        self.times[sample] = self.times.get(sample, 0) - 1
        return self.times[sample] >= 0


async def test_only_the_samples_that_failed_are_tried_again() -> None:
    node = Flaky({2: 2, 3: 1}, retry=AT_ONCE)
    results = await node.handle(message(1, 2, 3, 4))
    assert node.seen == [[1, 2, 3, 4], [2, 3], [2]]
    assert await payloads(results) == [[1, 4], [3], [2]]


async def test_samples_that_fail_in_all_tries_are_set_aside_after_the_others() -> None:
    node = Flaky({2: 9}, retry=AT_ONCE)
    results = await node.handle(message(1, 2))
    assert next(results).payload == [1]
    with pytest.raises(SampleErrors) as failed:
        next(results)
    assert failed.value.causes.keys() == {0}


async def test_of_samples_whose_error_is_not_worth_a_try_none_is_tried_again() -> None:
    policy = RetryPolicy(attempts=3, initial=0, errors=(OSError,))
    node = Flaky({2: 1}, retry=policy)
    with pytest.raises(SampleErrors):
        await node.handle(message(1, 2))
    assert node.seen == [[1, 2]]


# Mocks and records


async def test_a_mocked_output_replaces_process() -> None:
    node = Fail(ValueError())
    node.mock(output=Message(payload="mocked"))
    assert (await node.handle(message())).payload == "mocked"
    assert node.seen == [] and node.is_replaced


async def test_each_message_gets_a_copy_of_the_mocked_output() -> None:
    node, output = Add(), message(1)
    node.mock(output=output)
    (await node.handle(message())).payload.append(2)
    assert (await node.handle(message())).payload == [1] == output.payload


async def test_a_mock_may_be_a_function_of_the_message() -> None:
    node = Add()
    node.mock(output=lambda msg: msg.derive(len(msg.payload)))
    assert (await node.handle(message(1, 2))).payload == 2


async def test_a_mocked_input_replaces_what_comes() -> None:
    node, msg = Add(7), message(1)
    msg.delivery = Delivery()
    node.mock(input=message(5))
    result = await node.handle(msg)
    assert result.payload == [5, 7] and result.delivery is msg.delivery


async def test_recording_keeps_copies_of_the_last_input_and_output() -> None:
    node = Add(7)
    node.record()
    (await node.handle(message(1))).payload.append("later")
    last_input, last_output = node.last_input(), node.last_output()
    assert last_input and last_input.payload == [1]
    assert last_output and last_output.payload == [1, 7]


async def test_what_came_is_recorded_and_not_what_a_mock_puts_in_its_place() -> None:
    node = Add(7)
    node.record()
    node.mock(input=message(5))
    await node.handle(message(1))
    came = node.last_input()
    assert came and came.payload == [1]


async def test_reset_forgets_mocks_counters_and_records() -> None:
    node = Add(7)
    node.record()
    node.mock(output=message(0))
    await node.handle(message(1))
    node.tally.add()
    node.reset_test()
    assert (node.last_input(), node.last_output(), node.processed) == (None, None, 0)
    assert (await node.handle(message(1))).payload == [1, 7]


def test_a_change_of_the_step_is_told() -> None:
    node, told = Add(), list[int]()
    node.join(Channel(), lambda: told.append(1))
    node.mock()
    node.record()
    node.reset_test()
    assert len(told) == 3


# Overloading


async def test_an_overloaded_handle_may_call_the_one_it_replaces() -> None:
    class Around(Add):
        async def handle(self, msg: Message) -> Any:
            msg.payload.append("before")
            result = await super().handle(msg)
            result.payload.append("after")
            return result

    node = Around(7, store_output_as="out")
    result = await node.step()(message())
    assert result.payload == ["before", 7, "after"]
    assert result.ctx["out"]["payload"] == ["before", 7]


async def test_an_overloaded_run_is_called() -> None:
    class Elsewhere(Add):
        def run(self, msg: Message) -> Any:
            return asyncio.gather(self.later(msg))

        async def later(self, msg: Message) -> Message:
            return self.process(msg)

    assert [m.payload for m in await Elsewhere(7).handle(message())] == [[7]]


async def test_an_overloaded_async_run_is_called() -> None:
    class Elsewhere(Add):
        async def async_run(self, msg: Message) -> Any:
            return await super().async_run(message(5))

    assert (await Elsewhere(7).handle(message())).payload == [5, 7]


def test_a_plain_node_costs_one_call() -> None:
    node = Add()
    assert node.step() == node.process


# Threads


class Where(ThreadNode):
    def process(self, msg: Message) -> Message:
        msg.payload = threading.current_thread().name
        return msg


class WhereEach(ThreadNode):
    def process(self, msg: Message) -> Iterator[Message]:
        yield msg.derive(threading.current_thread().name)


async def test_a_thread_node_works_in_a_thread() -> None:
    result = await Where().handle(message())
    assert result.payload != threading.main_thread().name


async def test_a_thread_node_uses_the_pool_that_it_was_given() -> None:
    with ThreadPoolExecutor(1, "mine") as pool:
        result = await Where(thread_pool=pool).handle(message())
    assert result.payload == "mine_0"


SUBJECT: ContextVar[str] = ContextVar("subject", default="nobody")


class Told(ThreadNode):
    def process(self, msg: Message) -> Message:
        msg.payload = SUBJECT.get()
        return msg


async def test_a_thread_node_knows_the_context_of_its_message() -> None:
    SUBJECT.set("somebody")
    assert (await Told().handle(message())).payload == "somebody"


async def test_the_body_of_a_generator_runs_in_the_thread_too() -> None:
    results = await WhereEach().handle(message())
    assert (await payloads(results)) != [threading.main_thread().name]


# Kept data and holds


async def test_each_node_keeps_data_under_its_own_path() -> None:
    a, b, kept = Add(name="a"), Add(name="b"), MemoryPersistence()
    a.persistence = b.persistence = kept
    await a.save_data("last", 1)
    await b.save_data("last", 2)
    assert (await a.restore_data("last"), await b.restore_data("last")) == (1, 2)


async def test_missing_data_is_a_key_error_or_the_default() -> None:
    with pytest.raises(KeyError):
        await Add().restore_data("last")
    assert await Add().restore_data("last", None) is None


async def test_saving_ends_holds() -> None:
    node, msg = Add(), message()
    msg.delivery = Delivery()
    hold = node.hold(msg)
    msg.delivery.release()
    assert not msg.delivery.is_settled
    node.save_data("state", [1], settle=[hold])
    assert msg.delivery.is_settled


def test_only_a_message_on_its_way_can_be_held() -> None:
    with pytest.raises(UsageError, match="on its way through a channel"):
        Add().hold(message())


async def test_start_and_stop_do_nothing_by_default() -> None:
    node = Add()
    await node.start()
    await node.stop()
    assert node.processed == 0
