"""What `pichannels top` shows, and what keys do to it."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from pichannels.cli.keyboard import END, keys_of
from pichannels.cli.live import Rates
from pichannels.cli.top_page import QUIT, SORTS, View, page


def channel(name: str, **facts: Any) -> dict[str, Any]:
    counts = ("received", "processed", "dropped", "rejected", "failed", "unsettled")
    more = {"state": "waiting", "lag": 0.0, "source": {}, "bytes": 0, "retries": 0}
    return {"name": name, **dict.fromkeys(counts, 0), **more, **facts}


def status(*channels: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {
        "project": "plant",
        "state": "running",
        "uptime": 60.0,
        "pid": 1,
        "cpu": 0.0,
        "journal": None,
        "channels": list(channels),
        "sinks": [],
        "pi_servers": [],
        **facts,
    }


def shown(found: dict[str, Any] | None, view: View | None = None, **more: int) -> str:
    rates = Rates()
    if found is not None:
        rates.note(found, 0.0)
    out = StringIO()
    drawn = page(found, rates, view or View(), more.get("height", 24))
    Console(file=out, width=more.get("width", 120)).print(drawn)
    return out.getvalue()


def order(view: View, *channels: dict[str, Any]) -> list[str]:
    found = status(*channels)
    rates = Rates()
    rates.note(found, 0.0)
    return [each["name"] for each in view.ordered(found, rates)]


def test_numbers_begin_with_the_largest_and_names_with_the_first() -> None:
    channels = channel("b", lag=1.0), channel("a", lag=3.0), channel("c", lag=2.0)
    assert order(View("name"), *channels) == ["a", "b", "c"]
    assert order(View("lag"), *channels) == ["a", "c", "b"]


def test_rates_are_sorted_by_how_fast_counters_grow() -> None:
    rates = Rates()
    rates.note(status(channel("a"), channel("b")), 0.0)
    grown = status(channel("a", received=10), channel("b", received=90))
    rates.note(grown, 1.0)
    found = View("in").ordered(grown, rates)
    assert [each["name"] for each in found] == ["b", "a"]


def test_keys_change_the_order() -> None:
    view = View("state")
    view.press("s")
    assert view.sort == "in"
    view.press("S")
    view.press("S")
    view.press("r")
    assert (view.sort, view.is_reversed) == ("name", True)
    assert order(view, channel("a"), channel("b")) == ["b", "a"]


def test_all_orders_are_reached_by_one_key() -> None:
    view = View()
    seen = set()
    for _ in SORTS:
        view.press("s")
        seen.add(view.sort)
    assert seen == set(SORTS)


def test_sub_channels_can_be_left_out() -> None:
    view = View()
    view.press("c")
    channels = channel("a.b"), channel("a.b.fork"), channel("c")
    assert order(view, *channels) == ["a.b", "c"]


def test_it_scrolls_as_far_as_there_are_channels() -> None:
    found = status(*(channel(f"channel {number:02d}") for number in range(40)))
    view = View()
    assert "channel 39" not in shown(found, view)
    for key in keys_of("j\x1b[B" * 50):
        view.press(key)
    assert "channel 39" in (text := shown(found, view))
    assert len(text.splitlines()) == 24
    view.press("k")
    assert "channel 39" not in shown(found, view)


def test_what_does_not_work_is_told_first() -> None:
    troubles = [{"part": f"sink {n}", "reason": "refused"} for n in range(5)]
    lines = shown(status(channel("a"), troubles=troubles)).splitlines()
    assert lines[1:5] == [
        "! sink 0: refused",
        "! sink 1: refused",
        "! sink 2: refused",
        "! and 2 more",
    ]


def test_what_is_received_from_pi_is_told() -> None:
    source = {"tags": 1200, "open": 1, "pi_channels": 2, "unresolved": 3, "losses": 4}
    text = shown(status(channel("a", source=source, is_ready=False)))
    told = "a  1,200 tags, 3 unresolved  1 of 2 open  - values/s  4 losses"
    assert told in text.splitlines()


def test_numbers_are_not_far_from_their_names() -> None:
    lines = shown(status(channel("a")), width=300).splitlines()
    assert max(map(len, lines)) <= 120


def test_the_limiter_and_sinks_are_shown() -> None:
    server = {
        "name": "pi:443",
        "rate": 200.0,
        "sent": {"live": 1, "history": 2},
        "waiting": {"live": 0, "history": 7},
        "too_many": 3,
        "history_paused": True,
        "full_rate": 200.0,
        "latency": {"p50": 0.012, "p99": 0.1},
    }
    sink = {
        "name": "a.sink",
        "processed": 1,
        "statistics": {"failed": 4},
        "in_flight": 12,
        "acks": {"p50": 0.1, "p99": 3.0},
        "retries": 5,
        "is_paused": True,
    }
    text = shown(status(channel("a"), pi_servers=[server], sinks=[sink]))
    answers = "-/s of 200  answers in 12.0ms  waiting 7  429 3  history paused"
    assert f"PI pi:443  {answers}" in text
    row = next(line.split() for line in text.splitlines() if line[:6] == "a.sink")
    assert row == ["a.sink", "paused", "-", "-", "12", "3.0s", "4", "5"]


def test_nodes_are_shown_by_their_share_of_the_time() -> None:
    counts = {"came": 10, "left": 8, "dropped": 1, "failed": 1, "rejected": 0}
    times = {"times": {"p50": 0.000012, "p99": 0.0034}}
    nodes = [
        {"name": "a.fast", "share": 0.1, **counts, **times},
        {"name": "a.slow", "share": 0.9, **counts, **times},
    ]
    view = View()
    view.press("n")
    text = shown(status(channel("a", nodes=nodes)), view)
    rows = [line.split() for line in text.splitlines() if line.startswith("a.")]
    assert [row[0] for row in rows] == ["a.slow", "a.fast"]
    assert rows[0][1:] == ["-", "10", "8", "1", "1", "12us", "3.4ms", "90%"]


def test_holes_are_shown_where_there_is_a_ledger() -> None:
    holes = [{"reason": "network", "age": 125.0}]
    ledger = {"tags_with_holes": 5, "is_running": True, "reads": 0, "holes": holes}
    covered = [{"channel": "a", **ledger}]
    text = shown(status(channel("a"), channel("b"), coverage=covered))
    rows = {line.split()[0]: line.split() for line in text.splitlines()}
    assert (rows["a"][-3:], rows["b"][-2:]) == (["5", "2m", "5s"], ["-", "-"])


def test_no_instance_is_no_failure() -> None:
    assert "no instance answers" in shown(None)


@pytest.mark.parametrize(
    ("text", "keys"),
    [("ssr", ["s", "s", "r"]), ("\x1b[A\x1bOBq", ["\x1b[A", "\x1bOB", "q"])],
)
def test_keys_that_come_together_are_told_apart(text: str, keys: list[str]) -> None:
    assert keys_of(text) == keys
    assert {*keys_of("\x1b"), END} <= QUIT


def test_a_narrow_terminal_has_whole_names_and_what_tells_most() -> None:
    name = "plant.numbers.publish"
    found = status(channel(name, state="processing", lag=12.0), coverage=[])
    wide, narrow = shown(found), shown(found, width=80)
    assert "BYTES/S" in wide and "BYTES/S" not in narrow
    (line,) = [line for line in narrow.splitlines() if name in line]
    assert ("processing" in line, "12.0 s" in line, len(line) <= 80) == (
        True,
        True,
        True,
    )


def test_all_keys_are_told_on_a_narrow_terminal() -> None:
    view = View()
    view.press("?")
    told = shown(status(channel("a")), view, width=80)
    assert "quit" in told and "scroll" in told and "\u2026" not in told


def test_a_low_terminal_has_channels_and_keys_before_sinks() -> None:
    acks = {"p99": None}
    counts = {"processed": 0, "statistics": {}, "retries": 0, "in_flight": 0}
    counts |= {"is_paused": False, "acks": acks}
    sinks = [{"name": f"s{n}", "kind": "File", **counts} for n in range(8)]
    lines = shown(status(channel("a"), sinks=sinks), height=10).splitlines()
    assert len(lines) <= 10
    assert lines[-1].startswith("sorted by name")
