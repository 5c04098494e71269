"""Events reach listeners at once and followers in their own time."""

from __future__ import annotations

import asyncio

import pytest

from pichannels import clock
from pichannels.events import Event, EventBus


def numbers(events: list[Event]) -> list[int]:
    return [event.facts["n"] for event in events]


def test_listeners_are_called_in_the_order_of_subscription() -> None:
    bus, called = EventBus(), list[str]()
    bus.subscribe(lambda event: called.append(f"a {event.name}"))
    bus.subscribe(lambda event: called.append(f"b {event.name}"))
    bus.fire("started")
    assert called == ["a started", "b started"]


def test_an_event_has_its_time_and_its_facts() -> None:
    bus, got = EventBus(), list[Event]()
    bus.subscribe(got.append)
    before = clock.now()
    bus.fire("channel.state", channel="a", new="waiting")
    assert got[0].facts == {"channel": "a", "new": "waiting"}
    assert before <= got[0].ticks <= clock.now()


def test_an_ended_subscription_hears_nothing() -> None:
    bus, got = EventBus(), list[Event]()
    end = bus.subscribe(got.append)
    end()
    end()
    bus.fire("started")
    assert got == []


def test_a_listener_that_fails_is_logged_and_stops_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus, got = EventBus(), list[Event]()

    def fail(event: Event) -> None:
        raise ZeroDivisionError

    bus.subscribe(fail)
    bus.subscribe(got.append)
    bus.fire("started")
    assert len(got) == 1 and "a listener of started failed" in caplog.text


def test_a_listener_may_end_its_subscription_while_it_is_called() -> None:
    bus, got = EventBus(), list[str]()

    def once(event: Event) -> None:
        got.append("first")
        end()

    end = bus.subscribe(once)
    bus.subscribe(lambda event: got.append("second"))
    bus.fire("one")
    bus.fire("two")
    assert got == ["first", "second", "second"]


async def test_a_follower_gets_each_event_in_order() -> None:
    bus = EventBus()
    events = bus.follow()
    for n in range(3):
        bus.fire("tick", n=n)
    assert numbers([await anext(events) for _ in range(3)]) == [0, 1, 2]


async def test_a_slow_follower_loses_the_oldest_and_is_told_how_many() -> None:
    bus = EventBus()
    events = bus.follow(limit=2)
    for n in range(5):
        bus.fire("tick", n=n)
    lost = await anext(events)
    rest = [await anext(events), await anext(events)]
    assert (lost.name, lost.facts) == ("events.lost", {"count": 3})
    assert numbers(rest) == [3, 4]


async def test_a_waiting_follower_is_woken() -> None:
    bus = EventBus()
    events = bus.follow()
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    bus.fire("tick", n=7)
    assert (await waiting).facts == {"n": 7}


async def test_a_follower_hears_what_happens_before_it_is_read() -> None:
    bus = EventBus()
    events = bus.follow()
    bus.fire("tick", n=1)
    await asyncio.sleep(0)
    bus.fire("tick", n=2)
    assert numbers([await anext(events), await anext(events)]) == [1, 2]


async def test_a_follower_that_is_closed_is_forgotten() -> None:
    bus = EventBus()
    events = bus.follow()
    await events.aclose()
    assert len(bus._followers) == 0


async def test_a_follower_that_nobody_holds_is_forgotten() -> None:
    bus = EventBus()
    events = bus.follow()
    del events
    assert len(bus._followers) == 0


async def test_closing_ends_a_reader_that_waits() -> None:
    bus = EventBus()
    events = bus.follow()
    reading = asyncio.ensure_future(anext(events, None))
    await asyncio.sleep(0)
    await events.aclose()
    assert await reading is None
