"""Nodes in processes of their own: messages and errors come back as they should."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pichannels.delivery import Delivery
from pichannels.errors import (
    CodecError,
    Dropped,
    MessageError,
    PauseChannel,
    PichannelsError,
    Rejected,
    RetryLater,
    UsageError,
)
from pichannels.message import Message
from pichannels.process_node import ProcessFailed, ProcessNode
from tests.unit.working import Unwilling, Worker


@pytest.fixture(scope="module")
def pool() -> Any:
    """One process for all tests, as starting one takes its time."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as found:
        yield found


@pytest.fixture
async def node(pool: ProcessPoolExecutor) -> AsyncIterator[Worker]:
    made = Worker("hi", name="w", process_pool=pool)
    await made.start()
    yield made
    await made.stop()


async def test_a_message_is_processed_elsewhere_and_comes_back(node: Worker) -> None:
    msg = Message("text/x", "work", {"a": (1, 2)})
    msg.delivery = Delivery()
    msg.store_id = "7"
    found = await node.handle(msg)
    assert found.payload[0] == "hi"
    assert found.payload[1] != os.getpid()
    assert (found.uuid, found.meta, found.content_type) == (
        msg.uuid,
        msg.meta,
        "text/x",
    )
    assert (found.delivery, found.store_id) == (msg.delivery, "7")


async def test_the_node_is_made_once_in_a_process(node: Worker) -> None:
    seen = [(await node.handle(Message(payload="x"))).payload[2] for _ in range(3)]
    assert seen == [1, 2, 3]


async def test_messages_may_be_yielded(node: Worker) -> None:
    found = await node.handle(Message(payload="each"))
    assert [msg.payload for msg in found] == [0, 1, 2]


@pytest.mark.parametrize(
    ("payload", "kind", "told"),
    [
        ("drop", Dropped, "not ours"),
        ("reject", Rejected, "no"),
        ("later", RetryLater, "try again in 7 s: busy"),
        ("pause", PauseChannel, "try again in 5 s: gone"),
        ("special", ProcessFailed, "w failed in its process: Special: ab"),
        ("none", UsageError, "end process"),
    ],
)
async def test_errors_mean_what_they_meant_there(
    node: Worker, payload: str, kind: type[PichannelsError], told: str
) -> None:
    with pytest.raises(kind, match=told) as caught:
        await node.handle(Message(payload=payload))
    assert type(caught.value) is kind


async def test_a_failure_tells_where_it_was(node: Worker) -> None:
    with pytest.raises(ProcessFailed) as caught:
        await node.handle(Message(payload="special"))
    assert "working.py" in caught.value.stack


async def test_what_no_codec_knows_fails_its_message_alone(node: Worker) -> None:
    with pytest.raises(CodecError):
        await node.handle(Message(payload=object()))


async def test_a_process_that_ends_fails_its_message_and_is_replaced() -> None:
    node = Worker()
    await node.start()
    try:
        with pytest.raises(MessageError, match="the process has ended"):
            await node.handle(Message(payload="end"))
        found = await node.handle(Message(payload="x"))
        assert found.payload[0] == "hello"
    finally:
        await node.stop()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
async def test_a_signal_to_all_processes_of_a_service_holds_up_no_drain() -> None:
    node = Worker()
    await node.start()
    try:
        worker = (await node.handle(Message(payload="x"))).payload[1]
        os.kill(worker, signal.SIGTERM)
        assert (await node.handle(Message(payload="x"))).payload[1] == worker
    finally:
        await node.stop()


KILLED = """
import asyncio, os, signal
from tests.unit.working import Worker

async def main():
    await Worker().start()
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
async def test_no_process_outlives_an_instance_that_was_killed(tmp_path: Path) -> None:
    program = tmp_path / "killed.py"
    program.write_text(KILLED)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(program)),
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": "."},
        stdout=subprocess.PIPE,
    )
    assert await process.wait() == -signal.SIGKILL
    assert process.stdout is not None
    # The others have it, too: it ends with the last of them.
    assert await process.stdout.read() == b""


async def test_a_node_that_cannot_be_made_there_says_so_at_the_start(
    pool: ProcessPoolExecutor,
) -> None:
    node = Unwilling(os.getpid(), process_pool=pool)
    with pytest.raises(UsageError, match="in its process: only at home"):
        await node.start()


async def test_a_class_that_cannot_be_imported_there_is_told(
    pool: ProcessPoolExecutor,
) -> None:
    class Local(ProcessNode):
        """Of no module."""

    with pytest.raises(UsageError, match="a module that can be imported"):
        await Local(process_pool=pool).start()


def test_no_process_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="workers"):
        Worker(workers=0)


async def test_cancelling_leaves_the_node_usable(node: Worker) -> None:
    task = asyncio.create_task(node.handle(Message(payload="x")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await node.handle(Message(payload="x"))).payload[0] == "hi"
