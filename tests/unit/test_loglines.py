"""The last lines of the log: what is kept, what fits, and who waits for more."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from pichannels.control.masking import Mask
from pichannels.loglines import LogRing, LogWanted
from pichannels.ui.log_lines import without_masked

logger = logging.getLogger("plant.ring")
logger.setLevel(logging.DEBUG)


@pytest.fixture
def ring() -> Iterator[LogRing]:
    made = LogRing(most=5)
    made.channels = {"plant", "plant.alarms"}
    made.attach()
    yield made
    made.detach()


def texts(ring: LogRing, **wanted: object) -> list[str]:
    found = ring.read(LogWanted(**wanted))  # type: ignore[arg-type]
    return [line.text for line in found.lines]


def test_only_the_last_lines_are_kept_and_what_is_lost_is_told(ring: LogRing) -> None:
    for number in range(8):
        logger.warning("line %d", number)
    found = ring.read(LogWanted(after=1))
    assert [line.number for line in found.lines] == [4, 5, 6, 7, 8]
    assert (found.last, found.lost) == (8, 2)


def test_lines_are_chosen_by_level_channel_message_and_text(ring: LogRing) -> None:
    logger.info("plant: repair has begun")
    logger.debug("by number", extra={"message_id": "m1"})
    logger.warning("of a part", extra={"channel": "plant.alarms"})
    try:
        raise ValueError("too HOT")
    except ValueError:
        logger.exception("of another", extra={"channel": "plants"})
    both = ["plant: repair has begun", "of a part"]
    assert texts(ring, channel="plant") == both
    assert texts(ring, level="WARNING") == ["of a part", "of another"]
    assert texts(ring, message_id="m1") == ["by number"]
    assert texts(ring, text="too hot") == ["of another"]
    assert texts(ring, count=1, level="INFO") == ["of another"]


async def test_a_line_belongs_to_the_channel_of_its_task(ring: LogRing) -> None:
    async def work() -> None:
        logger.warning("connection lost")

    await asyncio.create_task(work(), name="plant: repair 7")
    (line,) = ring.read(LogWanted()).lines
    assert line.channel == "plant"


async def test_who_waits_is_woken_by_a_line_of_another_thread(ring: LogRing) -> None:
    waiting = asyncio.create_task(ring.wait(0, 50.0))
    await asyncio.sleep(0)
    speaking = threading.Thread(target=logger.warning, args=("from elsewhere",))
    speaking.start()
    await waiting
    speaking.join()
    assert texts(ring) == ["from elsewhere"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('got {"name": "Bob", "t": 1} [x', 'got {"name":"(masked)","t":1} [x'),
        ("card 1234-5678", "card (masked)"),
        ("{'name': 'Bob'} and {", "{'name': (masked)} and {"),
    ],
)
def test_what_is_masked_is_hidden_inside_of_lines(
    ring: LogRing, text: str, shown: str
) -> None:
    logger.error("%s", text)
    (line,) = ring.read(LogWanted()).lines
    mask = Mask(["name"], [r"\d{4}-\d{4}"])
    assert without_masked(line, mask).text == shown


def test_several_threads_may_log_at_once(ring: LogRing) -> None:
    logger.warning("here")
    speaking = threading.Thread(target=logger.warning, args=("there",))
    speaking.start()
    speaking.join(30)
    assert texts(ring) == ["here", "there"]
