"""publish.PI against the simulator: what arrives, what is refused, what waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from functools import partial
from typing import Any

import pytest

from nodes.publish import PI, NoTarget, ValueRefused
from pichannels.errors import (
    Rejected,
    RetryLater,
    SampleErrors,
    SettingsError,
    UsageError,
)
from pichannels.message import Message
from pichannels.node import Pending
from pichannels.piwebasync.exceptions import HTTPStatusError
from pichannels.retry import RetryPolicy
from pichannels.simulator import Event, Plant, Simulator
from pichannels.values import DigitalState, Sample, Tag, parse_ticks

QUICKLY = RetryPolicy(attempts=0, initial=0.01, maximum=0.02)
TEMP, FLOW, PUMP = "UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW", "UNIT1.PUMP1.STATUS"
HERE = r"\\SIMSRV\{name}"
NOON = parse_ticks("2024-05-01T12:00:00.1234567Z")
TIMEOUT = DigitalState("I/O Timeout", 246, is_system=True)
TRIPPED = DigitalState("TRIPPED", 2)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(tags=50, activity=0), poll=3600) as simulator:
        yield simulator


@pytest.fixture
async def node(sim: Simulator) -> AsyncIterator[PI]:
    node = PI(HERE, url=sim.url, retry=QUICKLY)
    await node.start()
    yield node
    await node.stop()


async def opened(sim: Simulator, tag: Any = HERE, **options: Any) -> PI:
    known: dict[str, Any] = {"url": sim.url, "retry": QUICKLY}
    node = PI(tag, **(known | options))
    await node.start()
    return node


def sample(value: Any, name: str = TEMP, at: int = 0, **facts: Any) -> Sample:
    return Sample(Tag(name), NOON + at, value, **facts)


async def ack(node: PI, *samples: Sample, **meta: Any) -> Awaitable[Any]:
    result = node.process(Message(payload=list(samples), meta=meta))
    pending = result if isinstance(result, Pending) else await result
    return pending.ack


async def publish(node: PI, *samples: Sample, **meta: Any) -> None:
    await asyncio.wait_for(await ack(node, *samples, **meta), 5)


def held(sim: Simulator, name: str = TEMP) -> list[Any]:
    """The values from noon on."""
    found = sim.truth(name, NOON, NOON + 10**9)
    return [getattr(event.value, "name", event.value) for event in found]


async def test_samples_arrive_to_100_ns(sim: Simulator, node: PI) -> None:
    await publish(node, sample(71.5), sample(71.75, at=1, questionable=True))
    assert sim.truth(TEMP, NOON, NOON + 1) == [
        Event(NOON, 71.5),
        Event(NOON + 1, 71.75, questionable=True),
    ]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        (PUMP, TRIPPED, "TRIPPED"),
        (PUMP, DigitalState("", 1), "RUNNING"),
        (TEMP, TIMEOUT, "I/O Timeout"),
        ("UNIT1.PRODUCT.COUNT", 7, 7),
        ("UNIT1.BATCH.ID", "B-7", "B-7"),
        ("UNIT1.LAST.SAMPLE", "2024-05-01T08:00:00Z", "2024-05-01T08:00:00Z"),
    ],
)
async def test_values_of_every_kind_arrive(
    sim: Simulator, node: PI, name: str, value: Any, found: Any
) -> None:
    await publish(node, sample(value, name))
    assert held(sim, name) == [found]


@pytest.mark.parametrize(
    "tag",
    [
        r"\\SIMSRV\{name}.TEMP",
        {"unit1.boiler": "\\\\SIMSRV\\" + TEMP},
        {r"\\A\UNIT1.BOILER": "\\\\SIMSRV\\" + TEMP},
        lambda sample: "\\\\SIMSRV\\" + TEMP,
    ],
)
async def test_the_target_is_a_template_a_mapping_or_a_function(
    sim: Simulator, tag: Any
) -> None:
    node = await opened(sim, tag)
    boiler = Tag("UNIT1.BOILER", r"\\A\UNIT1.BOILER")
    await publish(node, Sample(boiler, NOON, 71.5))
    assert held(sim) == [71.5]
    await node.stop()


async def test_an_attribute_is_a_target_too(sim: Simulator) -> None:
    path = r"\\SIMAF\Plant\Site\Area1\Unit1\Boiler|Temperature"
    node = await opened(sim, lambda sample: path, units=True)
    await publish(node, sample(71.5, units="°C"))
    assert held(sim) == [71.5]
    await node.stop()


async def test_none_leaves_a_sample_out(sim: Simulator) -> None:
    node = await opened(sim, {TEMP: "\\\\SIMSRV\\" + TEMP, FLOW: None})
    await publish(node, sample(1.0), sample(2.0, FLOW))
    assert (held(sim), held(sim, FLOW)) == ([1.0], [])
    assert (node.statistics()["written"], node.statistics()["skipped"]) == (1, 1)
    await node.stop()


async def test_samples_can_be_made_of_any_payload(sim: Simulator) -> None:
    def samples(msg: Message) -> list[Sample]:
        return [sample(msg.payload["temp"])]

    node = await opened(sim, samples=samples)
    result = node.process(Message(payload={"temp": 71.5}))
    assert isinstance(result, Pending)
    await result.ack
    assert held(sim) == [71.5]
    await node.stop()


async def test_a_value_that_pi_refuses_is_set_aside_alone(
    sim: Simulator, node: PI
) -> None:
    done = await ack(node, sample(1.0), sample("hot", at=1), sample(3.0, at=2))
    with pytest.raises(SampleErrors) as failure:
        await done
    (cause,) = failure.value.causes.values()
    assert isinstance(cause, ValueRefused) and cause.status == 409
    assert failure.value.failed.payload == [sample("hot", at=1)]
    assert held(sim) == [1.0, 3.0]


async def test_only_the_message_with_the_bad_value_is_concerned(
    sim: Simulator, node: PI
) -> None:
    acks = [await ack(node, sample(value, at=n)) for n, value in enumerate((1.0, "x"))]
    good, bad = await asyncio.gather(*acks, return_exceptions=True)
    assert good is None and isinstance(bad, SampleErrors)
    assert node.statistics()["requests"] == 1


async def test_a_message_fails_when_nothing_of_it_was_written(node: PI) -> None:
    with pytest.raises(SampleErrors) as failure:
        await publish(node, sample("hot"))
    assert failure.value.failed is None
    assert (node.written, node.failed) == (0, 1)


@pytest.mark.parametrize("value", [float("nan"), None, DigitalState("FLYING", 9)])
async def test_what_has_no_form_or_no_such_state_fails_alone(
    sim: Simulator, node: PI, value: Any
) -> None:
    good = sample(TRIPPED, PUMP)
    done = await ack(node, good, sample(value, PUMP, at=1))
    with pytest.raises(SampleErrors) as failure:
        await done
    assert list(failure.value.causes) == [1]
    assert held(sim, PUMP) == ["TRIPPED"]


async def test_a_target_that_is_not_there_fails_alone(sim: Simulator, node: PI) -> None:
    done = await ack(node, sample(1.0), sample(2.0, "NOWHERE"))
    with pytest.raises(SampleErrors, match="not found") as failure:
        await done
    assert isinstance(failure.value.causes[1], NoTarget)
    assert held(sim) == [1.0]


async def test_a_function_that_fails_costs_its_sample_only(sim: Simulator) -> None:
    def place(sample: Sample) -> str:
        return "\\\\SIMSRV\\" + {TEMP: TEMP}[sample.tag.name]

    node = await opened(sim, place)
    done = await ack(node, sample(1.0), sample(2.0, FLOW))
    with pytest.raises(SampleErrors):
        await done
    assert held(sim) == [1.0]
    await node.stop()


async def test_a_point_of_texts_takes_no_system_state(sim: Simulator, node: PI) -> None:
    with pytest.raises(SampleErrors, match="no system state"):
        await publish(node, sample(TIMEOUT, "UNIT1.BATCH.ID"))
    assert held(sim, "UNIT1.BATCH.ID") == []


async def test_system_states_can_be_skipped(sim: Simulator) -> None:
    node = await opened(sim, system_states="skip")
    await publish(node, sample(TIMEOUT), sample(1.0, at=1))
    assert (held(sim), node.statistics()["skipped"]) == ([1.0], 1)
    await node.stop()


async def test_system_states_can_be_rejected(sim: Simulator) -> None:
    node = await opened(sim, system_states="reject")
    with pytest.raises(Rejected, match="I/O Timeout"):
        node.process(Message(payload=[sample(1.0), sample(TIMEOUT)]))
    await node.stop()


async def test_a_repeat_changes_nothing(sim: Simulator, node: PI) -> None:
    for _ in range(2):
        await publish(node, sample(1.0), sample(2.0, at=1))
    assert held(sim) == [1.0, 2.0]


async def test_the_update_option_is_pis(sim: Simulator) -> None:
    node = await opened(sim, update_option="NoReplace", buffer_option="DoNotBuffer")
    for value in (1.0, 2.0):
        await publish(node, sample(value))
    assert held(sim) == [1.0]
    await node.stop()


@pytest.mark.parametrize("value", [TIMEOUT, float("nan"), 1.0])
@pytest.mark.parametrize("policy", ["write", "skip", "reject"])
async def test_what_was_deleted_is_removed(
    sim: Simulator, value: Any, policy: str
) -> None:
    node = await opened(sim, system_states=policy)
    await publish(node, sample(1.0), sample(2.0, at=1))
    await publish(node, sample(value), lane="delete")
    assert held(sim) == [2.0]
    await node.stop()


async def test_deletions_and_values_stay_in_order(sim: Simulator, node: PI) -> None:
    acks = [
        await ack(node, sample(float(n)), lane="delete" if n % 2 else "live")
        for n in range(3)
    ]
    await asyncio.gather(*acks)
    assert held(sim) == [2.0]
    assert node.statistics()["requests"] == 3


@pytest.mark.parametrize(
    "fault",
    [
        {"code": 503},
        {"code": 500},
        {"code": 429, "retry_after": 0},
        {"code": 401},
    ],
)
async def test_a_server_that_cannot_now_is_asked_again(
    sim: Simulator, node: PI, fault: dict[str, Any]
) -> None:
    sim.faults.status(**fault, count=2, method="POST")
    await publish(node, sample(1.0))
    assert (held(sim), node.errors) == ([1.0], 2)


async def test_an_exception_in_a_good_answer_is_a_failure(
    sim: Simulator, node: PI
) -> None:
    sim.faults.web_exception(method="POST")
    await publish(node, sample(1.0))
    assert (held(sim), node.errors) == ([1.0], 1)


async def test_resolving_is_tried_again_too(sim: Simulator, node: PI) -> None:
    sim.faults.status(503, path="points/multiple")
    await publish(node, sample(1.0))
    assert (held(sim), node.errors) == ([1.0], 1)


async def test_the_retry_policy_ends_it(sim: Simulator) -> None:
    retry = RetryPolicy(attempts=2, initial=0.01)
    node = await opened(sim, retry=retry)
    sim.faults.status(503, None, method="POST")
    with pytest.raises(RetryLater, match="503"):
        await publish(node, sample(1.0))
    assert (node.failed, node.errors) == (1, 2)
    await node.stop()


async def test_a_login_that_is_not_tried_again_fails_the_message(
    sim: Simulator,
) -> None:
    node = await opened(sim, retry_statuses=())
    sim.faults.status(403, None, path="multiple")
    with pytest.raises(HTTPStatusError):
        await publish(node, sample(1.0))
    await node.stop()


async def test_a_value_that_is_refused_for_now_is_written_again(
    sim: Simulator, node: PI
) -> None:
    sim.faults.refuse(TEMP, 503, count=2)
    await publish(node, sample(1.0), sample(2.0, FLOW))
    assert (held(sim), held(sim, FLOW)) == ([1.0], [2.0])
    assert node.statistics()["requests"] == 3


async def test_a_value_that_is_refused_for_ever_is_set_aside(
    sim: Simulator, node: PI
) -> None:
    sim.faults.refuse(TEMP, 500)
    done = await ack(node, sample(1.0), sample(2.0, FLOW))
    with pytest.raises(SampleErrors) as failure:
        await done
    assert list(failure.value.causes) == [0]
    assert sim.faults.counts["refuse"] == 5


async def test_one_value_that_spoils_a_request_is_found(
    sim: Simulator, node: PI
) -> None:
    sim.faults.status(400, path="recorded", method="POST", count=2)
    await publish(node, *(sample(float(n), at=n) for n in range(4)))
    assert held(sim) == [0.0, 1.0, 2.0, 3.0]
    assert node.statistics()["requests"] == 5


async def test_a_request_that_is_always_refused_fails(sim: Simulator, node: PI) -> None:
    sim.faults.status(400, None, path="recorded", method="POST")
    with pytest.raises(SampleErrors, match="2 samples failed"):
        await publish(node, sample(1.0), sample(2.0, at=1))


async def test_targets_are_resolved_once(sim: Simulator, node: PI) -> None:
    sim.faults.status(503, None, path="multiple", after=1)
    for at in range(3):
        await publish(node, sample(1.0, at=at), sample(2.0, FLOW, at=at))
    assert node.errors == 0 and node.statistics()["targets"] == 2


async def test_targets_are_resolved_again_after_their_time(sim: Simulator) -> None:
    node = await opened(sim, ttl=0)
    await publish(node, sample(1.0))
    sim.faults.status(503, path="multiple")
    await publish(node, sample(1.0))
    assert node.errors == 1
    await node.stop()


async def test_a_point_made_again_is_found_under_its_new_web_id(
    sim: Simulator,
) -> None:
    node = await opened(sim, create=True)
    await publish(node, sample(1.0))
    pi = node._controller
    assert pi is not None and node._client is not None
    old = sim.plant.tag(TEMP)
    await node._client.delete(pi.points.delete(old.web_id))
    await publish(node, sample(2.0))
    assert (held(sim), node.statistics()["created"]) == ([2.0], 1)
    assert sim.plant.tag(TEMP).point_id != old.point_id
    await node.stop()


@pytest.mark.parametrize(
    ("value", "facts", "kind"),
    [
        (1.5, {}, "Float64"),
        (7, {}, "Int32"),
        (1 << 40, {}, "Float64"),
        ("B-7", {}, "String"),
        (1.5, {"type": "Float32", "units": "°C", "descriptor": "New"}, "Float32"),
        (TRIPPED, {"type": "Digital", "digital_set": "PUMP_STATES"}, "Digital"),
    ],
)
async def test_a_point_is_made_when_that_is_asked_for(
    sim: Simulator, value: Any, facts: dict[str, Any], kind: str
) -> None:
    node = await opened(sim, create=True)
    await publish(node, sample(value, "NEW"), tags={"NEW": facts})
    made = sim.plant.tag("NEW")
    assert (made.template.point_type, made.units) == (kind, facts.get("units", ""))
    assert held(sim, "NEW") == [getattr(value, "name", value)]
    await node.stop()


@pytest.mark.parametrize(
    ("value", "facts"),
    [
        (TRIPPED, {}),
        (TRIPPED, {"type": "Digital", "digital_set": "NONE"}),
        (TIMEOUT, {}),
    ],
)
async def test_a_point_that_cannot_be_made(
    sim: Simulator, value: Any, facts: dict[str, Any]
) -> None:
    node = await opened(sim, create=True)
    with pytest.raises(SampleErrors):
        await publish(node, sample(value, "NEW"), tags={"NEW": facts})
    assert sim.plant.find("NEW") is None
    await node.stop()


def noted(order: list[int], number: int, _: object) -> None:
    order.append(number)


async def test_messages_wait_for_a_server_that_is_away_and_settle_in_order(
    sim: Simulator, node: PI
) -> None:
    await sim.close()
    acks = [await ack(node, sample(float(n), at=n)) for n in range(5)]
    futures = [asyncio.ensure_future(one) for one in acks]
    order: list[int] = []
    for n, future in enumerate(futures):
        future.add_done_callback(partial(noted, order, n))
    done, _ = await asyncio.wait(futures, timeout=0.1)
    assert not done and node.errors
    await sim.open()
    await asyncio.wait_for(asyncio.gather(*futures), 10)
    assert (order, held(sim)) == ([0, 1, 2, 3, 4], [0.0, 1.0, 2.0, 3.0, 4.0])


async def test_what_cannot_be_written_at_the_stop_stays_unsettled(
    sim: Simulator,
) -> None:
    node = await opened(sim)
    sim.faults.status(503, None)
    done = asyncio.ensure_future(await ack(node, sample(1.0)))
    await node.stop()
    assert not done.done()
    done.cancel()


async def test_large_messages_go_in_several_requests(sim: Simulator) -> None:
    node = await opened(sim, batch=100)
    await publish(node, *(sample(float(n), at=n) for n in range(250)))
    assert held(sim) == [float(n) for n in range(250)]
    assert node.statistics()["requests"] == 3
    await node.stop()


async def test_waiting_messages_go_into_one_request(sim: Simulator, node: PI) -> None:
    acks = [await ack(node, sample(float(n), at=n)) for n in range(20)]
    await asyncio.gather(*acks)
    assert node.statistics()["requests"] == 1
    assert node.statistics()["written"] == 20


async def test_long_texts_are_spread_over_requests(sim: Simulator, node: PI) -> None:
    texts = [str(n) * 300_000 for n in range(4)]
    name = "UNIT1.BATCH.ID"
    await publish(node, *(sample(t, name, at=n) for n, t in enumerate(texts)))
    assert held(sim, name) == texts
    assert node.statistics()["requests"] == 2


@pytest.mark.parametrize(
    "options",
    [
        {"tag": r"\\SIMSRV\{nome}"},
        {"tag": r"\\SIMSRV\{name"},
        {"tag": "{name}.copy"},
        {"tag": {"A": "B"}},
        {"tag": HERE, "update_option": "replace"},
        {"tag": HERE, "buffer_option": "No"},
        {"tag": HERE, "system_states": "drop"},
        {"tag": HERE, "batch": 0},
        {"tag": HERE, "auth": ("a", "b")},
    ],
)
def test_settings_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        PI(**options)


@pytest.mark.parametrize("options", [{}, {"tag": None}, {"tag": {}}])
def test_a_target_is_asked_for_in_words(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="has to be told where samples go") as told:
        PI(url="https://pi.example.com", **options)
    assert told.value.key == "tag" and told.value.allowed


async def test_a_server_has_to_be_known() -> None:
    with pytest.raises(SettingsError, match="which server"):
        await PI(HERE).start()


async def test_a_payload_without_samples_is_an_error(node: PI) -> None:
    with pytest.raises(UsageError, match="list of samples"):
        node.process(Message(payload={"temp": 1}))


async def test_a_probe_writes_nothing(sim: Simulator) -> None:
    found = await PI(HERE, url=sim.url).probe()
    assert found and all(one.ok for one in found)


async def test_a_probe_looks_for_the_targets_of_a_mapping(sim: Simulator) -> None:
    targets = {TEMP: "\\\\SIMSRV\\" + TEMP, FLOW: r"\\SIMSRV\NOWHERE"}
    *_, found = await PI(targets, url=sim.url).probe()
    assert not found.ok and found.text.startswith("1 of 2 targets")
    assert "NOWHERE" in found.text


async def test_a_probe_tells_that_nobody_is_there(sim: Simulator) -> None:
    await sim.close()
    (found,) = await PI(HERE, url=sim.url).probe()
    assert not found.ok
