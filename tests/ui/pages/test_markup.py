"""HTML as text, and numbers and times as pages show them."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest

from pichannels.ui.pages.formats import (
    bytes_text,
    count_text,
    seconds_text,
    span_text,
    time_text,
)
from pichannels.ui.pages.markup import Markup, join, tag

HOSTILE = "<script>\"'&"
ESCAPED = "&lt;script&gt;&quot;&#x27;&amp;"


def test_texts_and_attributes_are_escaped() -> None:
    shown = tag("p", HOSTILE, title=HOSTILE, data={"key": HOSTILE})
    assert shown == f'<p title="{ESCAPED}" data-key="{ESCAPED}">{ESCAPED}</p>'


def test_markup_stays_and_text_joined_to_it_is_text_again() -> None:
    bold = tag("b", "x")
    assert join([bold, "<"]) == "<b>x</b>&lt;"
    assert tag("p", "<" + bold) == "<p>&lt;&lt;b&gt;x&lt;/b&gt;</p>"


def test_attributes_that_are_off_are_left_out() -> None:
    shown = tag("input", name="a", disabled=False, required=True, aria_label=None)
    assert shown == Markup('<input name="a" required>')


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (count_text(-1234567), "\u22121 234 567"),
        (seconds_text(0.0123), "12 ms"),
        (seconds_text(90), "90.0 s"),
        (seconds_text(7200), "2.0 h"),
        (span_text(93_784), "1 d 2 h"),
        (span_text(0.2), "0 s"),
        (bytes_text(1023), "1023 B"),
        (bytes_text(1536), "1.5 KiB"),
    ],
    ids=lambda value: str(value),
)
def test_numbers_are_short(found: str, wanted: str) -> None:
    assert found.replace("\u202f", " ") == wanted


def test_times_are_shown_in_a_zone() -> None:
    moment = "2026-03-01T23:30:00.1239Z"
    zone = timezone(timedelta(hours=1))
    assert time_text(moment, UTC) == "2026-03-01 23:30:00.123"
    assert time_text(moment, zone) == "2026-03-02 00:30:00.123"


def test_what_is_no_time_stays_as_it_is() -> None:
    assert time_text("never") == "never"
