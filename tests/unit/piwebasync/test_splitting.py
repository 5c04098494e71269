"""Large wishes become requests that a server takes, and nothing is lost between."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from pichannels.errors import DecodeError
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.exceptions import APIException
from pichannels.piwebasync.parsing import ChannelMessage, parse_stream_set
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.splitting import (
    ListPager,
    NumberedPager,
    RecordedPager,
    split,
)
from pichannels.piwebasync.timed_values import StreamEvents, TimedValue

CONTROLLER = Controller("https", "pi.example.org", root="piwebapi")
Archive = dict[str, list[tuple[str, int]]]


def by_path(paths: Sequence[str]) -> APIRequest:
    return CONTROLLER.points.get_multiple(path=paths)


def recorded(web_ids: Sequence[str], start: str, count: int) -> APIRequest:
    return CONTROLLER.streamsets.get_recorded_adhoc(
        web_ids, start_time=start, end_time="*", max_count=count
    )


def answer(archive: Archive, request: APIRequest) -> ChannelMessage:
    """What a PI server answers."""
    start, count = (
        str(request.params["startTime"]),
        int(str(request.params["maxCount"])),
    )
    streams = [
        {
            "WebId": web_id,
            "Items": [
                {"Timestamp": at, "Value": value, "Good": True}
                for at, value in archive[web_id]
                if at >= start
            ][:count],
        }
        for web_id in request.params["webId"]
    ]
    return parse_stream_set(json.dumps({"Items": streams}).encode())


def read_all(archive: Archive, pager: RecordedPager, most: int = 200) -> Archive:
    found: Archive = {web_id: [] for web_id in archive}
    for _ in range(most):
        if pager.request is None:
            return found
        for stream in pager.feed(answer(archive, pager.request)).streams:
            found[stream.web_id] += [(e.timestamp, e.value) for e in stream.events]
    raise AssertionError(f"not done after {most} pages")


@given(
    st.lists(st.text("AB\\ä ", min_size=1, max_size=30), max_size=60),
    st.integers(100, 600),
)
def test_split_keeps_every_item_in_order_within_the_limit(
    items: list[str], limit: int
) -> None:
    parts = list(split(by_path, items, url_limit=limit))
    assert [item for part in parts for item in part.items] == items
    assert all(len(p.request.absolute_url) <= limit or len(p.items) == 1 for p in parts)


def test_split_fills_each_request_as_far_as_it_goes() -> None:
    items = [f"TAG{n:04d}" for n in range(200)]
    first, second, *_ = split(by_path, items, url_limit=500)
    longer = by_path([*first.items, second.items[0]])
    assert len(longer.absolute_url) > 500


def test_split_limits_the_items_of_one_request() -> None:
    parts = split(by_path, list("ABCDE"), max_items=2)
    assert [len(part.items) for part in parts] == [2, 2, 1]


@pytest.mark.parametrize(("total", "pages"), [(0, 1), (9, 1), (10, 2), (25, 3)])
def test_a_list_is_read_until_a_page_is_short(total: int, pages: int) -> None:
    pager = ListPager(
        lambda start, count: CONTROLLER.dataservers.get_points(
            "S", "*", "", start, count
        ),
        max_count=10,
    )
    asked = []
    while pager.request:
        asked.append(int(str(pager.request.params["startIndex"])))
        pager.feed(min(10, total - asked[-1]))
    assert asked == list(range(0, 10 * pages, 10))


@given(st.integers(0, 2**32), st.integers(1, 7), st.integers(1, 3))
def test_recorded_pages_give_every_event_once_in_order(
    seed: int, max_count: int, streams: int
) -> None:
    rng = random.Random(seed)
    archive: Archive = {
        f"W{n}": [
            (f"2023-01-01T00:00:{second:02d}Z", rng.randrange(3))
            for second in sorted(rng.choices(range(12), k=rng.randrange(25)))
        ]
        for n in range(streams)
    }
    pager = RecordedPager(
        recorded, list(archive), "2023-01-01T00:00:00Z", max_count=max_count
    )
    assert read_all(archive, pager) == archive


def test_more_events_at_one_timestamp_than_the_server_gives_are_told() -> None:
    archive = {"W": [("2023-01-01T00:00:00Z", n) for n in range(50)]}
    pager = RecordedPager(recorded, ["W"], "2023", max_count=4, item_limit=20)
    with pytest.raises(APIException, match="more than 20 events at 2023-01-01"):
        read_all(archive, pager)


def test_a_refused_answer_is_asked_for_in_halves() -> None:
    archive: Archive = {f"W{n}": [("2023-01-01T00:00:00Z", n)] for n in range(5)}
    pager = RecordedPager(recorded, list(archive), "2023")
    pager.refused()
    assert pager.request is not None and pager.request.params["webId"] == ["W0", "W1"]
    assert read_all(archive, pager) == archive


def test_one_stream_that_is_refused_is_asked_for_fewer_events() -> None:
    pager = RecordedPager(recorded, ["W"], "2023", max_count=2)
    pager.refused()
    assert pager.request is not None and pager.request.params["maxCount"] == "1"
    with pytest.raises(APIException, match="no single event of W"):
        pager.refused()


def test_a_stream_that_pi_cannot_answer_is_a_failure_and_not_empty() -> None:
    pager = RecordedPager(recorded, ["W", "V"], "2023")
    raw = b'{"Items":[{"WebId":"W","Items":[]},{"WebId":"V","Items":null}]}'
    assert len(pager.feed(parse_stream_set(raw)).streams) == 1
    assert list(pager.failures) == ["V"]


def test_an_answer_of_other_streams_is_refused() -> None:
    pager = RecordedPager(recorded, ["W", "V"], "2023")
    with pytest.raises(DecodeError, match="0 streams instead of 2"):
        pager.feed(ChannelMessage([]))


def numbered(web_ids: Sequence[str], first: int, count: int) -> APIRequest:
    return CONTROLLER.streamsets.get_interpolated_adhoc(
        web_ids, start_time=str(first), end_time=str(first + count), interval="1s"
    )


def numbers(pager: NumberedPager, most: int = 10**9) -> dict[str, list[int]]:
    """What a server answers that gives at most so many values at once."""
    found: dict[str, list[int]] = {}
    while (request := pager.request) is not None:
        start, end = (int(str(request.params[key])) for key in ("startTime", "endTime"))
        if (end - start) * len(pager.asked) > most:
            pager.refused(most if start % 2 else None)
            continue
        streams = [
            StreamEvents(
                web_id, items=[TimedValue("2023", value=n) for n in range(start, end)]
            )
            for web_id in pager.asked
        ]
        for stream in pager.feed(ChannelMessage(streams)).streams:
            found.setdefault(stream.web_id, []).extend(e.value for e in stream.events)
    return found


@given(st.integers(1, 6), st.integers(0, 50), st.integers(1, 40), st.integers(1, 40))
def test_numbered_values_come_once_in_order_however_few_at_once(
    streams: int, count: int, limit: int, most: int
) -> None:
    web_ids = [f"W{n}" for n in range(streams)]
    pager = NumberedPager(numbered, web_ids, count, item_limit=limit)
    expected = {web_id: list(range(count)) for web_id in web_ids} if count else {}
    assert numbers(pager, most) == expected


def test_a_stream_that_spoils_a_request_is_found() -> None:
    pager = NumberedPager(numbered, ["A", "B", "C"], 2)
    pager.unknown("B or C is not there")
    assert pager.asked == ["A"]
    assert list(numbers(pager)) == ["A", "B", "C"]


def test_a_stream_that_has_failed_is_asked_for_no_more() -> None:
    pager = NumberedPager(numbered, ["A", "B"], 4, item_limit=4)
    broken = StreamEvents("B", errors="gone")
    pager.feed(ChannelMessage([StreamEvents("A", items=[]), broken]))
    assert (pager.asked, pager.failures) == (["A"], {"B": "gone"})


def test_a_server_that_gives_no_value_at_all_is_told() -> None:
    pager = NumberedPager(numbered, ["A"], 1)
    with pytest.raises(APIException, match="no single value of A"):
        pager.refused()


def test_what_the_server_allows_is_asked_for() -> None:
    pager = RecordedPager(recorded, ["W", "V"], "2023", max_count=1000)
    pager.refused(600)
    assert pager.request is not None and pager.request.params["maxCount"] == "300"


def test_a_stream_that_spoils_a_page_is_found_and_left_out() -> None:
    archive: Archive = {f"W{n}": [("2023-01-01T00:00:00Z", n)] for n in range(3)}
    pager = RecordedPager(recorded, ["W0", "BAD", "W1", "W2"], "2023")
    found: Archive = {web_id: [] for web_id in archive}
    while pager.request is not None:
        if "BAD" in pager.asked:
            pager.unknown("not there")
            continue
        for stream in pager.feed(answer(archive, pager.request)).streams:
            found[stream.web_id] += [(e.timestamp, e.value) for e in stream.events]
    assert (found, list(pager.failures)) == (archive, ["BAD"])


def test_a_stream_that_goes_on_alone_has_a_whole_page() -> None:
    pager = RecordedPager(recorded, ["W", "V"], "2023", max_count=50, item_limit=60)
    events = [TimedValue(f"2023-01-01T00:00:{n:02d}Z") for n in range(30)]
    answers = [StreamEvents("W", items=events), StreamEvents("V", items=[])]
    pager.feed(ChannelMessage(answers))
    assert pager.request is not None and pager.request.params["maxCount"] == "50"
