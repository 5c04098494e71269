"""An entry message is settled when everything that it led to has ended."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from pichannels.delivery import SAMPLE_ERRORS_KEPT, Delivery, Hold, Outcome
from pichannels.errors import Dropped, Rejected, Stopped, UsageError
from pichannels.message import Message
from pichannels.states import State
from pichannels.tallies import Tally


class Place:
    def __init__(self, path: str = "boiler.publish") -> None:
        self.path = path
        self.tally = Tally()

    def fullpath(self) -> str:
        return self.path


def on_its_way() -> Message:
    msg = Message()
    msg.delivery = Delivery()
    return msg


def ended(state: State, error: BaseException | None = None) -> Outcome:
    return Outcome(state, Message(), error, "boiler.filter")


def test_a_delivery_owes_the_run_of_its_chain() -> None:
    delivery = Delivery()
    assert not delivery.is_settled
    delivery.release()
    assert delivery.is_settled


@given(st.permutations(range(5)), st.integers(0, 5))
def test_it_is_settled_when_the_last_reason_is_gone(
    order: list[int], run_ends_after: int
) -> None:
    delivery, told = Delivery(), list[Delivery]()
    delivery.on_settled(told.append)
    ends = [hold.release for hold in (delivery.hold() for _ in order)]
    ends = [ends[i] for i in order]
    ends.insert(run_ends_after, delivery.release)
    for end in ends[:-1]:
        end()
        assert told == []
    ends[-1]()
    assert told == [delivery]


def test_a_hold_counts_once() -> None:
    delivery = Delivery()
    hold = delivery.hold()
    hold.release()
    hold.release()
    hold.fail(ValueError())
    assert (delivery.owed, delivery.error) == (1, None)


def test_who_asks_late_is_told_at_once() -> None:
    delivery, told = Delivery(), list[Delivery]()
    delivery.release()
    delivery.on_settled(told.append)
    assert told == [delivery]


def test_all_who_asked_are_told() -> None:
    delivery, told = Delivery(), list[Delivery]()
    for _ in range(3):
        delivery.on_settled(told.append)
    delivery.release()
    assert len(told) == 3


def test_the_first_failure_is_the_one_that_is_told() -> None:
    delivery, first = Delivery(), ValueError("first")
    delivery.hold().fail(first, Place("boiler.a"))
    delivery.hold().fail(ValueError("second"), Place("boiler.b"))
    assert (delivery.error, delivery.error_at) == (first, "boiler.a")
    assert delivery.failure is first


@pytest.mark.parametrize(
    ("state", "error", "is_failure"),
    [
        (State.PROCESSED, None, False),
        (State.DROPPED, Dropped(), False),
        (State.REJECTED, Rejected(), True),
        (State.ERROR, ValueError(), True),
    ],
)
def test_a_failure_is_an_error_or_a_rejection(
    state: State, error: BaseException | None, is_failure: bool
) -> None:
    delivery = Delivery()
    delivery.end(ended(state, error))
    assert (delivery.failure is not None) == is_failure


# Held by another message


def held_in(output: Message) -> Delivery:
    delivery = Delivery()
    delivery.hold().settle_with(output)
    delivery.release()
    return delivery


def test_a_held_message_waits_for_the_one_that_contains_it() -> None:
    output = on_its_way()
    held = held_in(output)
    assert not held.is_settled
    output.delivery.end(ended(State.PROCESSED))
    assert held.is_settled and held.error is None


@pytest.mark.parametrize("error", [ValueError("disk full"), Rejected("no")])
def test_a_held_message_fails_with_the_one_that_contains_it(error: Exception) -> None:
    output = on_its_way()
    held = held_in(output)
    state = State.REJECTED if isinstance(error, Rejected) else State.ERROR
    output.delivery.end(ended(state, error))
    assert held.is_settled and held.error is error


def test_a_held_message_fails_with_an_acknowledgement_of_the_other() -> None:
    output, error = on_its_way(), ValueError()
    held = held_in(output)
    output.delivery.fail(error)
    output.delivery.release()
    assert held.error is error


def test_a_held_message_is_settled_when_the_other_is_dropped() -> None:
    output = on_its_way()
    held = held_in(output)
    output.delivery.end(ended(State.DROPPED, Dropped()))
    assert held.is_settled and held.error is None


def test_a_message_that_contains_itself_does_not_wait_for_itself() -> None:
    msg = on_its_way()
    msg.delivery.hold().settle_with(msg)
    msg.delivery.release()
    assert msg.delivery.is_settled


def test_settling_with_a_message_that_goes_nowhere_is_refused() -> None:
    delivery = Delivery()
    hold = Hold(delivery)
    with pytest.raises(UsageError, match=r"make it with msg\.derive\(payload\)"):
        hold.settle_with(Message())
    assert delivery.owed == 2


# Acknowledgements


async def test_a_delivery_waits_for_an_acknowledgement() -> None:
    delivery = Delivery()
    ack = asyncio.get_running_loop().create_future()
    delivery.wait_for(ack, Place())
    delivery.release()
    assert not delivery.is_settled
    ack.set_result("stored")
    await asyncio.sleep(0)
    assert delivery.is_settled and delivery.error is None


async def test_a_failed_acknowledgement_is_a_failure_of_its_node() -> None:
    delivery, error = Delivery(), OSError("gone")
    ack = asyncio.get_running_loop().create_future()
    delivery.wait_for(ack, Place())
    ack.set_exception(error)
    await asyncio.sleep(0)
    assert (delivery.error, delivery.error_at) == (error, "boiler.publish")


async def test_a_cancelled_acknowledgement_is_an_ordinary_failure() -> None:
    delivery = Delivery()
    ack = asyncio.get_running_loop().create_future()
    delivery.wait_for(ack, Place())
    ack.cancel()
    await asyncio.sleep(0)
    assert isinstance(delivery.error, Stopped)


async def test_a_coroutine_is_an_acknowledgement_too_and_its_task_has_a_name() -> None:
    delivery, names = Delivery(), list[str]()

    async def acknowledge() -> None:
        task = asyncio.current_task()
        names.append(task.get_name() if task else "")

    delivery.wait_for(acknowledge(), Place())
    delivery.release()
    settled = asyncio.Event()
    delivery.on_settled(lambda _: settled.set())
    await settled.wait()
    assert names == ["boiler.publish: acknowledgement"]


async def test_what_cannot_be_awaited_leaves_nothing_owed() -> None:
    delivery = Delivery()
    with pytest.raises(TypeError):
        delivery.wait_for(7, Place())  # type: ignore[arg-type]
    assert delivery.owed == 1


# Samples


def test_samples_that_are_set_aside_are_described() -> None:
    delivery = Delivery()
    delivery.set_aside("boiler.enrich", {"TAG": "unknown"}, 1)
    assert delivery.sample_errors == [
        {"sample": "TAG", "cause": "unknown", "node": "boiler.enrich"}
    ]


def test_all_samples_are_counted_and_some_described() -> None:
    delivery, many = Delivery(), 3 * SAMPLE_ERRORS_KEPT
    delivery.set_aside("n", {str(i): "bad" for i in range(many)}, many)
    delivery.set_aside("n", {"last": "bad"}, 1)
    assert delivery.sample_error_count == many + 1
    assert len(delivery.sample_errors or []) == SAMPLE_ERRORS_KEPT


def test_an_outcome_without_error_names_no_node() -> None:
    outcome = Outcome(State.PROCESSED, Message(), None, "boiler.filter")
    assert (outcome.error, outcome.node, outcome.sample_errors) == (None, "", 0)
    assert repr(outcome) == "<Outcome processed None>"


def test_thousands_may_wait_each_for_the_next() -> None:
    deliveries = [Delivery() for _ in range(5000)]
    told: list[Delivery] = []
    for delivery, following in pairwise(deliveries):
        msg = Message()
        msg.delivery = following
        delivery.hold().settle_with(msg)
        delivery.release()
    deliveries[0].on_settled(told.append)
    deliveries[-1].release()
    assert told == [deliveries[0]]


def test_a_listener_that_fails_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    delivery = Delivery()
    told: list[Delivery] = []

    def fail(_: Delivery) -> None:
        raise ValueError("not this one")

    delivery.on_settled(fail)
    delivery.on_settled(told.append)
    delivery.release()
    assert (told, "not this one" in caplog.text) == ([delivery], True)
