"""Events of stored messages: the same ids as a sink gets, and what a mask leaves."""

from __future__ import annotations

import msgspec
import pytest

from nodes import decode
from pichannels.channels.intake import Intake
from pichannels.control import frames
from pichannels.control.frames import SamplesWanted, event_id_of, holds, page_of
from pichannels.control.masking import HIDDEN, Mask
from pichannels.errors import UsageError
from pichannels.message import Message
from pichannels.piwebasync.webids import point_web_id

ID = point_web_id("7d3c1f0a-0000-4000-8000-000000000001", 4711, r"\\S\FLOW")


def frame(value: float) -> bytes:
    event = {"Timestamp": "2026-05-01T06:00:00Z", "Value": value, "Good": True}
    item = {"WebId": ID, "Name": "UNIT1.FLOW", "Path": "\\\\S\\UNIT1.FLOW"}
    return msgspec.json.encode({"Items": [{**item, "Items": [event]}]})


def stored(*values: float, by_path: bool = False) -> Message:
    """What an intake makes of frames, as a store gives it back."""
    intake = Intake("SIMSRV", by_path=by_path)
    ((msg, _),) = intake.messages([frame(value) for value in values])
    return Message.decode(msg.encode(), msg.uuid, msg.ticks)


@pytest.mark.parametrize("by_path", [False, True])
@pytest.mark.parametrize("values", [(1.0,), (1.0, 2.0, 1.0)], ids=len)
def test_ids_are_those_that_a_sink_gets(
    values: tuple[float, ...], by_path: bool
) -> None:
    msg = stored(*values, by_path=by_path)
    shown = [each.event_id for each in frames.samples_in(msg)]
    given = [each.event_id for each in decode.PI().process(msg.copy()).payload]
    assert shown == given
    assert all(holds(msg, event_id_of(id), None) for id in given)


def test_the_id_of_a_masked_value_is_neither_shown_nor_found() -> None:
    msg, mask = stored(7.0), Mask(["value"])
    (sample,) = frames.samples_in(msg)
    (row,) = page_of(msg, SamplesWanted(id="1"), mask).samples
    assert (row.value, row.event_id) == (HIDDEN, HIDDEN)
    assert not holds(msg, event_id_of(sample.event_id), mask)


@pytest.mark.parametrize("text", ["", "4711", "S/1/x/1a2b3c4d.1.0", "S/1/17/1a2b"])
def test_what_is_no_event_id_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="is no event id"):
        event_id_of(text)


def test_values_of_a_frame_are_told_in_a_line() -> None:
    msg = stored(1.0, 2.0, 3.0, 4.5)
    told = ", ".join(f"UNIT1.FLOW {value}" for value in (1.0, 2.0, 3.0))
    assert frames.summary_of(msg, Mask()) == f"4 values: {told}, …"
    assert frames.summary_of(stored(7.0), Mask(["value"])) == (
        f"1 value: UNIT1.FLOW {HIDDEN}"
    )


@pytest.mark.parametrize(
    "payload",
    ["text", b"{", 7, None, b" " * 70_000],
    ids=["text", "bytes", "number", "nothing", "large"],
)
def test_what_holds_no_values_has_no_line(payload: object) -> None:
    assert frames.summary_of(Message(payload=payload), Mask()) == ""
