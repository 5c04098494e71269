"""publish.File on real files: order, groups, rotation, and every kind of failure."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nodes.publish import File
from pichannels import clock
from pichannels.channels.base import BaseChannel
from pichannels.clock import SystemClock
from pichannels.errors import (
    ChannelStopped,
    CodecError,
    SampleErrors,
    SettingsError,
    UsageError,
)
from pichannels.message import Message
from pichannels.node import Pending
from pichannels.values import TICKS_PER_SECOND, DigitalState, Sample, Tag, ValueFailure

T0 = 17_145_648_001_234_567
TAG = Tag("TI1", r"\\SRV\TI1", units="C")


def batch(*values: Any, lane: str = "live", tag: Tag = TAG) -> Message:
    samples = [Sample(tag, T0 + n, value) for n, value in enumerate(values)]
    return Message(payload=samples, meta={"lane": lane})


def lines(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8")
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def values(path: Path) -> list[Any]:
    return [line["value"] for line in lines(path)]


async def publish(node: File, *msgs: Message) -> None:
    """Hand over all messages at once, and wait until all are acknowledged."""
    await asyncio.gather(*[await offered(node, msg) for msg in msgs])


async def offered(node: File, msg: Message) -> Awaitable[Any]:
    result = node.process(msg)
    pending = result if isinstance(result, Pending) else await result
    return pending.ack


async def written(path: Path, *msgs: Message, **options: Any) -> File:
    node = File(path, **options)
    await node.start()
    await publish(node, *msgs)
    await node.stop()
    return node


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what changes is a counter
        await asyncio.sleep(0.005)


async def test_a_sample_is_one_line_with_all_facts(tmp_path: Path) -> None:
    msg = batch(71.5, lane="repair")
    await written(tmp_path / "v.jsonl", msg)
    assert lines(tmp_path / "v.jsonl") == [
        {
            "tag": "TI1",
            "path": r"\\SRV\TI1",
            "time": msg.payload[0].iso,
            "value": 71.5,
            "good": True,
            "questionable": False,
            "substituted": False,
            "annotated": False,
            "units": "C",
            "event_id": msg.payload[0].event_id,
            "lane": "repair",
        }
    ]


@pytest.mark.parametrize("ticks", [T0, T0 // 10**7 * 10**7, T0 // 100 * 100, -1])
async def test_times_are_exact(tmp_path: Path, ticks: int) -> None:
    sample = Sample(TAG, ticks, 1)
    await written(tmp_path / "v.jsonl", Message(payload=[sample]))
    assert lines(tmp_path / "v.jsonl")[0]["time"] == sample.iso


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (DigitalState("OPEN", 1), {"name": "OPEN", "code": 1, "is_system": False}),
        (ValueFailure("no point"), {"error": "no point"}),
        (None, None),
        (True, True),
        ("text \u2028 \n", "text \u2028 \n"),
        ([1, 2], [1, 2]),
        (float("nan"), None),
    ],
)
async def test_values_of_all_kinds(tmp_path: Path, value: Any, shown: Any) -> None:
    await written(tmp_path / "v.jsonl", batch(value))
    assert json.loads((tmp_path / "v.jsonl").read_bytes())["value"] == shown


async def test_a_message_that_is_no_batch_is_one_line(tmp_path: Path) -> None:
    msg = Message("application/json", {"a": 1})
    await written(tmp_path / "v.jsonl", msg)
    (line,) = lines(tmp_path / "v.jsonl")
    assert (line["uuid"], line["payload"]) == (msg.uuid, {"a": 1})


async def test_messages_keep_their_order_and_share_syncs(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    await written(path, *[batch(n) for n in range(1000)])
    assert values(path) == list(range(1000))


async def test_the_line_is_on_the_disk_when_the_message_settles(
    tmp_path: Path,
) -> None:
    path = tmp_path / "v.jsonl"
    channel = BaseChannel("to_file")
    channel.add(File(path))
    await channel.start()
    await channel.handle(batch(1))
    assert values(path) == [1]
    await channel.stop()


async def test_lines_are_added_to_what_is_there(tmp_path: Path) -> None:
    for value in (1, 2):
        await written(tmp_path / "deep" / "v.jsonl", batch(value))
    assert values(tmp_path / "deep" / "v.jsonl") == [1, 2]


async def test_a_full_queue_makes_the_channel_wait(tmp_path: Path) -> None:
    node = File(tmp_path / "v.jsonl", queue_bytes=1000)
    acks = []
    for n in range(100):
        acks.append(await offered(node, batch(n)))
        assert node.statistics()["queued_bytes"] <= 1000
    await asyncio.gather(*acks)
    await node.stop()
    assert values(tmp_path / "v.jsonl") == list(range(100))


async def test_a_message_larger_than_the_queue_is_written_alone(
    tmp_path: Path,
) -> None:
    await written(tmp_path / "v.jsonl", batch(*range(100)), queue_bytes=10)
    assert values(tmp_path / "v.jsonl") == list(range(100))


async def test_those_who_wait_for_room_keep_their_order(tmp_path: Path) -> None:
    node = File(tmp_path / "v.jsonl", queue_bytes=1)
    await asyncio.gather(*[publish(node, batch(n)) for n in range(20)])
    await node.stop()
    assert values(tmp_path / "v.jsonl") == list(range(20))


async def test_who_waits_for_room_can_be_cancelled(tmp_path: Path) -> None:
    node = File(tmp_path / "v.jsonl", queue_bytes=1)
    tasks = [asyncio.create_task(publish(node, batch(n))) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await node.stop()
    assert values(tmp_path / "v.jsonl") == [0, 2]


async def test_statistics_count_values(tmp_path: Path) -> None:
    node = await written(tmp_path / "v.jsonl", batch(1, 2, 3), batch(4))
    assert node.statistics() == {
        "queued": 0,
        "queued_bytes": 0,
        "written": 4,
        "failed": 0,
        "errors": 0,
        "rotations": 0,
    }


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def all_values(folder: Path) -> list[Any]:
    """The values in all files, in the order in which they were put aside."""
    return [value for path in files(folder) for value in values(path)]


async def test_a_full_file_is_put_aside(tmp_path: Path) -> None:
    node = await written(
        tmp_path / "v.jsonl", *[batch(n) for n in range(50)], rotate_bytes=1000
    )
    sizes = [path.stat().st_size for path in files(tmp_path)]
    assert max(sizes) <= 1000
    assert node.statistics()["rotations"] == len(sizes) - 1 > 5
    assert all_values(tmp_path) == list(range(50))


async def test_a_message_larger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    node = await written(
        tmp_path / "v.jsonl", batch(1), batch(*range(9)), batch(2), rotate_bytes=300
    )
    assert node.statistics()["rotations"] == 2
    assert all_values(tmp_path) == [1, *range(9), 2]


@pytest.mark.skipif(os.name != "nt", reason="elsewhere open files are put aside")
async def test_a_file_that_somebody_has_open_grows_on(tmp_path: Path) -> None:
    node = File(tmp_path / "v.jsonl", rotate_bytes=1)
    await publish(node, batch(0))
    with (tmp_path / "v.jsonl").open("rb"):
        await publish(node, batch(1), batch(2))
        assert node.statistics()["rotations"] == 0
    await publish(node, batch(3))
    await node.stop()
    assert node.statistics()["rotations"] == 1
    assert all_values(tmp_path) == [0, 1, 2, 3]


async def test_only_so_many_files_are_kept(tmp_path: Path) -> None:
    (tmp_path / "v-mine.jsonl").write_text("not ours")
    await written(
        tmp_path / "v.jsonl", *[batch(n) for n in range(9)], rotate_bytes=1, keep=2
    )
    kept = [path for path in files(tmp_path) if path.name.startswith("v-2")]
    assert [values(path) for path in kept] == [[6], [7]]
    assert (tmp_path / "v-mine.jsonl").exists()


async def test_files_put_aside_are_in_order_when_the_clock_goes_back(
    tmp_path: Path,
) -> None:
    node = File(tmp_path / "v.jsonl", rotate_bytes=1)
    with clock.use(SettableClock()) as time:
        assert isinstance(time, SettableClock)
        for n in range(5):
            await publish(node, batch(n))
            time.at -= TICKS_PER_SECOND
    await node.stop()
    assert all_values(tmp_path) == [0, 1, 2, 3, 4]


class SettableClock(SystemClock):
    at = T0

    def now(self) -> int:
        return self.at


async def test_an_old_file_is_put_aside_when_the_hour_ends(tmp_path: Path) -> None:
    node = File(tmp_path / "v.jsonl", rotate_interval=3600)
    with clock.use(SettableClock()) as time:
        assert isinstance(time, SettableClock)
        for _ in range(2):
            await publish(node, batch(1), batch(2))
            time.at += 3600 * TICKS_PER_SECOND
        await publish(node, batch(3))
    await node.stop()
    assert all_values(tmp_path) == [1, 2, 1, 2, 3]
    assert node.statistics()["rotations"] == 2


async def test_an_old_file_is_put_aside_after_a_restart_too(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    await written(path, batch(1), rotate_interval=3600)
    hours_ago = path.stat().st_mtime - 7200
    os.utime(path, (hours_ago, hours_ago))
    await written(path, batch(2), rotate_interval=3600)
    assert values(path) == [2]


@pytest.mark.parametrize(
    ("found", "left"),
    [
        (b'{"value": 1}\n{"value": 2', [1]),
        (b'{"value": 1}\n{"value": 2}', [1, 2]),
        (b'{"val', []),
        (b'{"value": 1}\n\0\0\0\0', [1]),
        (b'{"value": 1}\n{"value": "' + b"x" * 200_000, [1]),
        (b"", []),
    ],
)
async def test_a_torn_last_line_is_mended_at_the_start(
    tmp_path: Path, found: bytes, left: list[int]
) -> None:
    (tmp_path / "v.jsonl").write_bytes(found)
    await written(tmp_path / "v.jsonl", batch(9))
    assert values(tmp_path / "v.jsonl") == [*left, 9]


async def test_while_the_folder_is_gone_messages_wait(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    node = File(folder / "v.jsonl")
    await publish(node, batch(1))
    folder.rename(tmp_path / "away")
    waiting = asyncio.create_task(publish(node, batch(2), batch(3)))
    await until(lambda: node.errors > 0)
    assert not waiting.done() and not folder.exists()
    (tmp_path / "away").rename(folder)
    await waiting
    await node.stop()
    assert values(folder / "v.jsonl") == [1, 2, 3]


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no open file")
async def test_a_removed_file_begins_anew(tmp_path: Path) -> None:
    node = File(tmp_path / "v.jsonl")
    await publish(node, batch(1))
    (tmp_path / "v.jsonl").unlink()
    await publish(node, batch(2))
    await node.stop()
    assert values(tmp_path / "v.jsonl") == [2]


async def test_at_a_stop_what_cannot_be_written_stays_unsettled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "out"
    node = File(folder / "v.jsonl")
    await publish(node, batch(1))
    folder.rename(tmp_path / "away")
    ack = await offered(node, batch(2))
    await until(lambda: node.errors > 0)
    await node.stop()
    assert not asyncio.ensure_future(ack).done()
    assert "1 messages could not be written" in caplog.text


async def test_after_a_stop_a_start_writes_again(tmp_path: Path) -> None:
    node = await written(tmp_path / "v.jsonl", batch(1))
    with pytest.raises(ChannelStopped):
        node.process(batch(2))
    await node.start()
    await publish(node, batch(3))
    await node.stop()
    assert values(tmp_path / "v.jsonl") == [1, 3]


class Odd:
    pass


async def test_a_payload_that_json_has_nothing_for_fails(tmp_path: Path) -> None:
    node = File(tmp_path / "v.jsonl")
    with pytest.raises(CodecError, match="type Odd"):
        await offered(node, Message(payload=Odd()))


@pytest.mark.parametrize("odd", [Odd(), "\ud800"])
async def test_a_sample_that_cannot_be_written_does_not_cost_the_others(
    tmp_path: Path, odd: Any
) -> None:
    channel = BaseChannel("to_file")
    channel.add(File(tmp_path / "v.jsonl"))
    await channel.start()
    outcome = await channel.run(batch(1, odd, 3))
    await channel.stop()
    assert (outcome.error, outcome.sample_errors) == (None, 1)
    assert values(tmp_path / "v.jsonl") == [1, 3]


async def test_a_batch_of_which_nothing_can_be_written_fails(tmp_path: Path) -> None:
    node = File(tmp_path / "v.jsonl")
    with pytest.raises(SampleErrors):
        await offered(node, batch(Odd()))


async def test_a_path_that_is_a_folder_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be written"):
        await File(tmp_path).start()


async def test_a_folder_that_is_a_file_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SettingsError, match="cannot be written"):
        await File(tmp_path / "out" / "v.jsonl").start()


@pytest.mark.parametrize(
    "options",
    [
        {"path": ""},
        {"path": 7},
        {"rotate_bytes": 0},
        {"rotate_interval": "1h"},
        {"keep": -1},
        {"format": "csv"},
        {"queue_bytes": 0},
        {"rotate": 1},
    ],
)
def test_options_that_make_no_sense_are_told_at_once(options: dict[str, Any]) -> None:
    with pytest.raises((SettingsError, UsageError)):
        File(**({"path": "v.jsonl"} | options))


# In processes of their own: a full disk and the end by SIGKILL.

ROOT = Path(__file__).parents[3]


class Ended(NamedTuple):
    returncode: int
    out: list[str]
    err: str


PRELUDE = """
import asyncio, sys
from pathlib import Path
from nodes.publish import File
from pichannels.message import Message
from pichannels.values import Sample, Tag

PATH = Path(sys.argv[1])

def batch(n):
    return Message(payload=[Sample(Tag("T"), 10**16 + n, n) for n in range(n, n + 20)])
"""

FULL_DISK = """
import resource

async def main():
    node = File(PATH)
    await node.start()
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
    pending = [node.process(batch(20 * n)) for n in range(5)]
    while not node.errors:
        await asyncio.sleep(0.01)
    sys.stdout.write(PATH.read_text()[-1:] + str(node.written) + "\\n")
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    await asyncio.gather(*[p.ack for p in pending])
    await node.stop()

asyncio.run(main())
"""

ENDLESS = """
async def main():
    node = File(PATH, rotate_bytes=200_000)
    await node.start()
    for n in range(0, 10**9, 20):
        result = node.process(batch(n))
        ack = (await result if asyncio.iscoroutine(result) else result).ack
        ack.add_done_callback(lambda _, n=n: sys.stdout.write(f"{n}\\n"))
        if n % 200 == 0:
            await asyncio.sleep(0)
            sys.stdout.flush()

asyncio.run(main())
"""


def child(script: str, path: Path) -> subprocess.Popen[str]:
    source = textwrap.dedent(PRELUDE) + script
    return subprocess.Popen(
        [sys.executable, "-c", source, str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit for file sizes")
def test_a_full_disk_leaves_no_half_line_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    out, err = child(FULL_DISK, path).communicate(timeout=30)
    assert "cannot write, again in" in err
    assert out == "0\n"  # an empty file and nothing settled while it was full
    assert values(path) == list(range(100))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("attempt", range(3))
async def test_nothing_settled_is_lost_by_a_kill(tmp_path: Path, attempt: int) -> None:
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    path = tmp_path / "v.jsonl"
    process = child(ENDLESS, path)
    assert process.stdout is not None and process.stdout.readline()
    await asyncio.sleep(random.Random(seed).uniform(0.05, 0.3))
    process.send_signal(signal.SIGKILL)
    out, _ = process.communicate(timeout=30)
    settled = [int(n) for n in out.splitlines(keepends=True) if n.endswith("\n")]
    await written(path, Message(payload=[Sample(Tag("T"), 10**16, -1)]))
    found = all_values(tmp_path)
    assert found == [*range(len(found) - 1), -1]
    assert len(found) >= (settled or [0])[-1] + 20
