"""Log writes what people can read, and formats nothing when it is off."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from nodes.log import Log
from pichannels.errors import SettingsError, UsageError
from pichannels.message import Message
from pichannels.values import DigitalState, Sample, Tag


class Unprintable:
    def __repr__(self) -> str:
        raise AssertionError("formatted")


def test_a_message_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pichannels.nodes")
    msg = Message(payload={"a": 1}, meta={"b": 2})
    assert Log().process(msg) is msg
    assert "payload: {'a': 1}" in caplog.text


def test_nothing_is_formatted_when_the_level_is_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pichannels.nodes")
    msg = Message(payload=Unprintable())
    assert Log(logging.DEBUG).process(msg) is msg
    assert caplog.records == []


def test_the_context_is_shown_on_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pichannels.nodes")
    msg = Message(payload=1)
    msg.add_context("before", Message(payload="kept"))
    Log(show_ctx=True).process(msg)
    assert "ctx before" in caplog.text


def test_a_batch_is_shown_by_its_first_samples(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "plant")
    samples = [Sample(Tag("TI1"), 10**16 + n, 71.5, units="C") for n in range(5)]
    Log(logger="plant", samples=1).process(Message(payload=samples))
    assert "TI1  71.5 C" in caplog.text
    assert "and 4 more of 5 samples" in caplog.text


def test_flags_and_states_are_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pichannels.nodes")
    state = DigitalState("I/O Timeout", 246, True)
    Log().process(Message(payload=[Sample(Tag("XV1"), 10**16, state, good=False)]))
    assert "XV1  I/O Timeout  (bad)" in caplog.text


@pytest.mark.parametrize("level", ["info", "INFO", 20])
def test_levels_have_names_and_numbers(level: Any) -> None:
    assert Log(level).level == logging.INFO


@pytest.mark.parametrize("level", ["loud", None, True])
def test_a_level_that_is_none_is_told(level: Any) -> None:
    with pytest.raises(SettingsError, match="level"):
        Log(level)


def test_a_logger_that_is_none_is_told() -> None:
    with pytest.raises(UsageError, match="logger"):
        Log(logger=7)  # type: ignore[arg-type]
