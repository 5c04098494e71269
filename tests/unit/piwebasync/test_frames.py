"""Frames and events wait in one line, within bounds."""

from __future__ import annotations

import asyncio

from pichannels.piwebasync.frames import ChannelEvent, Connected, FrameBuffer

EVENT = Connected("wss://h", 1)


def a_buffer(
    told: list[ChannelEvent] | None = None, frames: int = 10, size: int = 100
) -> FrameBuffer:
    events: list[ChannelEvent] = [] if told is None else told
    return FrameBuffer(frames, size, events.append)


async def test_frames_before_an_event_are_taken_before_it_is_told() -> None:
    told: list[ChannelEvent] = []
    buffer = a_buffer(told)
    buffer.put(b"1")
    buffer.tell(EVENT)
    buffer.put(b"2")
    assert (buffer.take(100, 100), told) == ([b"1"], [])
    assert (buffer.take(100, 100), told) == ([b"2"], [EVENT])


async def test_one_frame_is_taken_though_it_is_too_large() -> None:
    buffer = a_buffer()
    for frame in (b"123456", b"78", b"9"):
        buffer.put(frame)
    assert buffer.take(3, 100) == [b"123456"]
    assert buffer.take(3, 100) == [b"78", b"9"]


async def test_it_is_full_by_number_and_by_size() -> None:
    few, small = a_buffer(frames=2), a_buffer(size=3)
    for buffer in (few, small):
        buffer.put(b"")
        buffer.put(b"123")
    assert few.is_full and small.is_full


async def test_events_count_against_the_limit() -> None:
    buffer = a_buffer(size=2000)
    buffer.tell(EVENT)
    assert not buffer.is_full
    buffer.tell(EVENT)
    assert buffer.is_full


async def test_taking_makes_room_for_the_reader() -> None:
    buffer = a_buffer(frames=1)
    buffer.put(b"1")
    waiting = asyncio.create_task(buffer.wait_room())
    await asyncio.sleep(0)
    assert not waiting.done()
    buffer.take(1, 1)
    await waiting


async def test_closing_wakes_the_user_and_keeps_what_waits() -> None:
    buffer = a_buffer()
    waiting = asyncio.create_task(buffer.wait_item())
    await asyncio.sleep(0)
    buffer.put(b"1")
    end = ValueError("the end")
    buffer.close(end)
    buffer.close(ValueError("a later end"))
    await waiting
    assert (buffer.take(1, 1), buffer.end) == ([b"1"], end)


async def test_one_frame_is_popped_and_never_past_an_event() -> None:
    told: list[ChannelEvent] = []
    buffer = a_buffer(told)
    buffer.put(b"12")
    buffer.tell(EVENT)
    buffer.put(b"3")
    assert [buffer.pop(), buffer.pop(), told] == [b"12", None, []]
    assert (buffer.take(1, 1), told, buffer.pop()) == ([b"3"], [EVENT], None)


async def test_popping_counts_and_makes_room_as_taking_does() -> None:
    buffer = a_buffer(frames=1)
    buffer.put(b"123")
    waiting = asyncio.create_task(buffer.wait_room())
    await asyncio.sleep(0)
    buffer.pop()
    await waiting
    assert (buffer.frame_bytes, buffer.bytes_waiting, len(buffer)) == (3, 0, 0)
