"""The test case for unittest, used as users do."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pichannels.message import Message
from pichannels.testing import PichannelsTestCase, TestCase
from pichannels.testing.case import settings_near


def _failing(msg: Message) -> Message:
    raise OSError("no room")


class TestNumbers(TestCase):
    """Plain and async methods; `settings.py` is beside this file."""

    def setUp(self) -> None:
        super().setUp()
        self.get_channel("numbers").mute("sink", "aside_sink")

    def test_a_plain_method_waits(self) -> None:
        result = self.get_channel("numbers").handle_and_wait(Message(payload="[20]"))
        self.assertEqual(result.payload, 20)

    async def test_an_async_method_awaits(self) -> None:
        result = await self.get_channel("numbers").handle(Message(payload="[20]"))
        self.assertEqual(result.payload, 20)

    def test_counters_begin_anew(self) -> None:
        self.assertEqual(self.get_channel("numbers").received, 0)

    def test_all_is_finished_and_mocks_are_forgotten(self) -> None:
        self.get_channel("numbers").get_node("decode").mock(output=_failing)
        with self.assertRaises(OSError):
            self.get_channel("numbers").handle_and_wait(Message())
        (failure,) = self.finish_all_tasks()
        self.reset()
        self.get_channel("numbers").mute("sink", "aside_sink")
        self.test_a_plain_method_waits()
        self.assertEqual(failure["node"], "numbers.decode")

    async def test_the_loop_tells_what_holds_it_up(self) -> None:
        self.set_loop_to_debug(slow=60)
        loop = asyncio.get_running_loop()
        self.assertEqual((loop.get_debug(), loop.slow_callback_duration), (True, 60))

    def test_messages_are_replayed(self) -> None:
        replay = self.replay("numbers", [Message(payload="[20, 30]")])
        self.assertEqual([msg.payload for msg in replay.outputs("sink")], [20, 30])


class TestWithoutSuper(PichannelsTestCase):
    """A test case that forgets to call `super().setUp()`."""

    def setUp(self) -> None:
        self.numbers = self.get_channel("numbers")

    def test_it_works_all_the_same(self) -> None:
        self.numbers.mute("sink", "aside_sink")
        self.assertEqual(
            self.numbers.handle_and_wait(Message(payload="[20]")).payload, 20
        )


def test_settings_are_looked_for_beside_the_test_and_above(tmp_path: Path) -> None:
    deep = tmp_path / "tests" / "unit"
    deep.mkdir(parents=True)
    (tmp_path / "settings.py").touch()
    assert settings_near(deep / "test_x.py", "settings.py") == tmp_path / "settings.py"


def test_settings_that_are_nowhere_stay_a_name(tmp_path: Path) -> None:
    name = "no-such-settings.py"
    assert settings_near(tmp_path / "test_x.py", name) == Path(name)
