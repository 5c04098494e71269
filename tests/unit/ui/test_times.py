"""Times in the zone of a site, also where its clocks are set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import tzinfo

import pytest

from pichannels.ui.pages.formats import site_zone, time_text
from pichannels.ui.pages.tables import absolute
from pichannels.ui.pages.timescale import times
from pichannels.values import parse_ticks

pytestmark = pytest.mark.skipif(
    not hasattr(time, "tzset"), reason="the zone of a process cannot be set here"
)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[tzinfo]:
    """A site in the middle of Europe."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield site_zone()
    monkeypatch.undo()
    time.tzset()


def test_a_time_is_shown_as_the_clocks_of_the_site_were_then(zone: tzinfo) -> None:
    assert time_text("2026-07-01T10:00:00Z", zone)[:16] == "2026-07-01 12:00"
    assert time_text("2026-12-01T10:00:00Z", zone)[:16] == "2026-12-01 11:00"


@pytest.mark.parametrize("month", ["03", "10"], ids=["to summer", "to winter"])
def test_days_of_a_scale_begin_at_midnight_when_clocks_are_set(
    zone: tzinfo, month: str
) -> None:
    first = parse_ticks(f"2026-{month}-24T12:00:00Z")
    last = parse_ticks(f"2026-{month}-30T12:00:00Z")
    found = [time_text(at, zone)[5:16] for at, _ in times(first, last, zone)]
    assert found == [f"{month}-{day} 00:00" for day in range(25, 31)]


def test_a_typed_time_means_the_same_in_all_zones(zone: tzinfo) -> None:
    typed = {"state": "error", "start": "2026-07-01 12:00", "end": "soon"}
    found = absolute(typed, zone)
    assert found == {**typed, "start": "2026-07-01T12:00:00+02:00"}
    assert absolute(found, zone) is None
