"""publish.Console and publish.Call."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from typing import Any

import pytest

from nodes.publish import Call, Console
from pichannels.errors import SampleErrors, SettingsError, UsageError
from pichannels.message import Message
from pichannels.values import DigitalState, Sample, Tag, ValueFailure

T0 = 17_145_648_001_234_567


def batch(*values: Any, **fields: Any) -> Message:
    return Message(payload=[Sample(Tag("TI1"), T0, v, **fields) for v in values])


async def shown(*msgs: Message, **options: Any) -> list[str]:
    stream = io.StringIO()
    node = Console(stream, **options)
    for msg in msgs:
        node.process(msg)
    await node.stop()
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(
    ("msg", "text"),
    [
        (batch(71.5, units="°C"), "TI1  71.5 °C"),
        (batch(DigitalState("OPEN", 1)), "TI1  OPEN"),
        (batch(ValueFailure("gone"), good=False), "TI1  failed: gone  (bad)"),
        (
            batch(1, questionable=True, substituted=True),
            "TI1  1  (questionable, substituted)",
        ),
    ],
)
async def test_a_sample_is_one_readable_line(msg: Message, text: str) -> None:
    assert await shown(msg) == [f"2024-05-01T12:00:00.1234567Z  {text}"]


async def test_any_other_message_is_a_line() -> None:
    (line,) = await shown(Message(payload={"a": 1}))
    assert line.endswith("Z".ljust(1) + line[line.index("Z") + 1 :])
    assert "{'a': 1}" in line


async def test_lines_keep_their_order() -> None:
    lines = await shown(*[batch(n) for n in range(50)])
    assert [int(line.split()[-1]) for line in lines] == list(range(50))


async def test_the_console_is_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    node = Console()
    node.process(batch(71.5))
    await node.stop()
    assert "TI1  71.5" in capsys.readouterr().out


async def test_what_does_not_fit_is_counted_and_told() -> None:
    lines = await shown(batch(*range(30)), batch(1), queue_lines=10)
    assert len(lines) == 11
    assert lines[-1] == "... 21 lines left out"


async def test_a_blocked_console_holds_nobody_up() -> None:
    read_end, write_end = os.pipe()
    stream = os.fdopen(write_end, "w", encoding="utf-8")
    node = Console(stream, queue_lines=2000)
    for _ in range(5):
        node.process(batch(*range(2000)))
        await asyncio.sleep(0.01)
    assert node.statistics()["written"] < 10_000
    drained = threading.Thread(target=_drain, args=(read_end,))
    drained.start()
    await node.stop()
    stream.close()
    await asyncio.to_thread(drained.join)
    assert node.skipped + node.written == 10_000


def _drain(read_end: int) -> None:
    while os.read(read_end, 65536):
        pass
    os.close(read_end)


async def test_a_closed_console_costs_nothing_but_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream = io.StringIO()
    stream.close()
    node = Console(stream)
    assert node.process(batch(1)) is not None
    await node.stop()
    assert "shows nothing" in caplog.text


@pytest.mark.parametrize("options", [{"stream": 7}, {"queue_lines": 0}])
def test_console_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises((SettingsError, UsageError)):
        Console(**options)


def test_a_function_gets_the_message() -> None:
    got: list[Any] = []
    msg = Message(payload=1)
    assert Call(got.append).process(msg) is msg
    assert got == [msg]


def test_a_function_gets_the_payload() -> None:
    got: list[Any] = []
    Call(got.append, what="payload").process(Message(payload=1))
    assert got == [1]


async def test_a_function_gets_each_sample() -> None:
    got: list[Any] = []
    msg = batch(1, 2)
    await Call(got.append, what="samples").handle(msg)
    assert got == msg.payload


async def test_an_async_function_is_awaited() -> None:
    got: list[Any] = []

    async def later(payload: Any) -> None:
        await asyncio.sleep(0)
        got.append(payload)

    msg = Message(payload=1)
    assert await Call(later, what="payload").handle(msg) is msg
    assert got == [1]


async def test_an_async_function_gets_samples_in_turn() -> None:
    got: list[Any] = []

    async def later(sample: Sample) -> None:
        await asyncio.sleep(0)
        got.append(sample.value)

    await Call(later, what="samples").handle(batch(1, 2, 3))
    assert got == [1, 2, 3]


@pytest.mark.parametrize("what", ["message", "payload", "samples"])
async def test_a_function_that_blocks_runs_in_a_thread(what: str) -> None:
    threads = []
    node = Call(
        lambda _: threads.append(threading.current_thread()), what, in_thread=True
    )
    await node.handle(batch(1))
    assert threads != [threading.current_thread()]


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_sample_that_fails_is_set_aside_alone(in_thread: bool) -> None:
    got: list[Any] = []
    node = Call(lambda s: got.append(10 / s.value), "samples", in_thread=in_thread)
    with pytest.raises(SampleErrors) as caught:
        await node.handle(batch(1, 0, 2))
    assert got == [10, 5]
    assert [s.value for s in caught.value.message.payload] == [1, 2]


def test_a_failure_of_the_function_is_that_of_the_node() -> None:
    with pytest.raises(ZeroDivisionError):
        Call(lambda payload: 1 / payload, "payload").process(Message(payload=0))


async def test_samples_are_asked_of_batches_only() -> None:
    with pytest.raises(UsageError, match="works on a list of samples"):
        await Call(id, "samples").handle(Message(payload={"a": 1}))


def test_the_name_comes_from_the_function() -> None:
    assert (Call(print).name, Call(lambda m: m).name) == ("print", "Call")


async def _later(_: Any) -> None:
    return


@pytest.mark.parametrize(
    "options",
    [
        {"function": 7},
        {"function": id, "what": "sample"},
        {"function": _later, "in_thread": True},
        {"function": id, "thread": True},
    ],
)
def test_call_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises((SettingsError, UsageError)):
        Call(**options)
