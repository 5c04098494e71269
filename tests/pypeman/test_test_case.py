"""Tests written for pypeman run here."""

from __future__ import annotations

import sys
import unittest
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = """
from pichannels.pypeman import channels, msgstore, nodes

chan = channels.BaseChannel(
    name="chan", message_store_factory=msgstore.MemoryMessageStoreFactory()
)
chan.add(nodes.FuncNode(str.upper, name="upper"), nodes.Log(name="log"))
small = chan.when(lambda msg: msg.payload == "DROP", name="small")
small.add(nodes.Drop())
beside = chan.fork(name="beside")
beside.add(nodes.FuncNode(lambda text: 1 / (text != "FAIL"), name="divide"))
"""
TESTS = """
from pichannels.pypeman.exceptions import Dropped
from pichannels.pypeman.message import Message
from pichannels.pypeman.test import PypeTestCase

class MovedTests(PypeTestCase):
    def test_result(self):
        channel = self.get_channel("chan")
        result = channel.handle_and_wait(Message(payload="x"))
        self.assertEqual(result.payload, "X")
        self.assertEqual(channel.get_node("log").processed, 1)
        self.assertEqual(channel.get_node("log").last_input().payload, "X")

    def test_mock(self):
        channel = self.get_channel("chan")
        channel.get_node("upper").mock(output=Message(payload="mocked"))
        result = channel.handle_and_wait(Message(payload="x"))
        self.assertEqual(result.payload, "mocked")

    def test_mocks_add_up(self):
        channel = self.get_channel("chan")
        node = channel.get_node("upper")
        node.mock(input=Message(payload="given"))
        node.mock(output=lambda msg: Message(payload=msg.payload + "!"))
        result = channel.handle_and_wait(Message(payload="x"))
        self.assertEqual((result.payload, node.last_input().payload), ("given!", "x"))

    def test_mocks_are_gone(self):
        self.get_channel("chan").get_node("upper").mock(output=Message())
        result = self.get_channel("chan").handle_and_wait(Message(payload="x"))
        self.assertEqual(result.payload, "X")

    def test_dropped(self):
        with self.assertRaises(Dropped):
            self.get_channel("chan").handle_and_wait(Message(payload="drop"))

    def test_errors_of_forks(self):
        with self.assertRaises(ZeroDivisionError):
            self.get_channel("chan").handle_and_wait(Message(payload="fail"))

    def test_loop(self):
        handled = self.get_channel("chan").handle(Message(payload="x"))
        self.assertEqual(self.loop.run_until_complete(handled).payload, "X")
        self.set_loop_to_debug()
        self.get_channel("chan").handle_and_wait(Message(payload="y"))

    def test_history(self):
        channel = self.get_channel("chan")
        channel.handle_and_wait(Message(payload="x"))
        run = self.loop.run_until_complete
        (entry,) = run(channel.message_store.search())
        self.assertEqual(entry["state"], "processed")
        self.assertEqual(run(channel.replay(entry["id"])).payload, "X")
        self.assertEqual((channel.processed_msgs, channel.is_stopped()), (2, False))
        self.assertEqual(channel.to_dict()["processed"], 2)

    def test_unknown(self):
        with self.assertRaises(NameError):
            self.get_channel("other")
"""
SETTINGS = 'from pichannels.pypeman import load\n\nCHANNELS = load("moved_chan")\n'


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    files = {"moved_chan": PROJECT, "moved_tests": TESTS, "settings": SETTINGS}
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    path = list(sys.path)
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path[:] = path
    for name in files:
        sys.modules.pop(name, None)


def test_tests_of_a_moved_project_pass(folder: Path) -> None:
    suite = unittest.defaultTestLoader.loadTestsFromName("moved_tests")
    result = unittest.TestResult()
    suite.run(result)
    assert (result.testsRun, result.errors + result.failures) == (9, [])
