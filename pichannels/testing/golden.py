"""A test of what becomes of a stored message, with the files that it needs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final

import msgspec

from pichannels.delivery import Outcome
from pichannels.errors import UsageError
from pichannels.message import Message
from pichannels.states import State
from pichannels.testing.expected import write_expected
from pichannels.testing.replays import Replay
from pichannels.testing.running import ChannelUnderTest
from pichannels.testing.stored import export_messages

__all__ = ["TestFiles", "save_as_test"]

_FOLDER: Final = "tests"
_TEST: Final = '''\
"""What becomes of a stored message."""

from __future__ import annotations

from typing import Any


def test_{name}(get_channel: Any, replay: Any) -> None:
    get_channel({channel!r}).mute({sinks})
    result = replay({channel!r}, {message!r})
    (outcome,) = result.outcomes
    {assertion}
'''


class TestFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What was written; paths from the folder of the project on.

    Attributes:
        test: the test.
        message: what goes in.
        expected: what has to come out; "" where nothing does.
        state: what became of the message, and what the test asks for.
    """

    __test__ = False

    test: str
    message: str
    expected: str
    state: str


async def save_as_test(
    channel: ChannelUnderTest,
    msg: Message,
    id: str,
    *,
    replace: bool = False,
    timeout: float = 20.0,
) -> TestFiles:
    """Run a message through a channel, and write a test that asks for the same again.

    Sinks are not asked. The files are in `tests` of the folder of the project: the
    test, the message, and what came out where it was processed.

    Args:
        channel: one that has not started.
        msg: what goes in.
        id: its number in the store, which names the files.
        replace: whether files that exist are written anew.
        timeout: seconds until it is settled.

    Raises:
        CodecError: a message cannot be written.
        OSError: a file cannot be written.
        UsageError: it was not settled in time, or files exist.
    """
    name = f"{_word(channel.name)}_{_word(id)}"
    files = TestFiles(
        test=f"{_FOLDER}/test_{name}.py",
        message=f"{_FOLDER}/messages/{name}.jsonl",
        expected=f"{_FOLDER}/expected/{name}.jsonl",
        state="",
    )
    folder = channel.owner.project.folder
    await asyncio.to_thread(_refuse_existing, folder, files, replace)
    sinks = [node.name for node in channel.channel.nodes() if node.is_sink]
    channel.mute(*sinks)
    await asyncio.to_thread(export_messages, [msg], folder / files.message)
    played = await Replay(channel, [msg], timeout=timeout)
    (outcome,) = played.outcomes
    is_processed = outcome.state is State.PROCESSED
    if is_processed:
        came = played.outputs()
        await asyncio.to_thread(write_expected, came, folder / files.expected)
    text = _TEST.format(
        channel=channel.name,
        name=name,
        sinks=", ".join(map(repr, sinks)),
        message=files.message,
        assertion=_assertion(outcome, files.expected),
    )
    await asyncio.to_thread((folder / files.test).write_text, text, "utf-8")
    return msgspec.structs.replace(
        files,
        expected=files.expected if is_processed else "",
        state=str(outcome.state),
    )


def _word(text: str) -> str:
    return re.sub(r"\W+", "_", text)


def _refuse_existing(folder: Path, files: TestFiles, replace: bool) -> None:
    if (folder / files.test).exists() and not replace:
        raise UsageError(f"{files.test} exists; say that it is to be replaced")


def _assertion(outcome: Outcome, expected: str) -> str:
    state = f"assert outcome.state == {str(outcome.state)!r}"
    if outcome.state is State.PROCESSED:
        return f"{state}\n    result.assert_matches({expected!r})"
    if outcome.node:
        return f"{state}\n    assert outcome.node == {outcome.node!r}"
    return state
