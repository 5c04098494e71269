"""Metrics come out as Prometheus reads them."""

from __future__ import annotations

from math import inf, nan

import pytest

from pichannels.metrics import Family, Histogram, Point, render


def one(value: float, **labels: str) -> str:
    family = Family("level", "gauge", "The level.", [Point(value, labels)])
    return render([family]).splitlines()[-1]


def test_a_family_has_its_help_its_type_and_a_line_for_each_point() -> None:
    points = [Point(3, {"channel": "a"}), Point(0.5, {"channel": "b"})]
    family = Family("messages_total", "counter", "Messages that came in.", points)
    assert render([family]) == (
        "# HELP pichannels_messages_total Messages that came in.\n"
        "# TYPE pichannels_messages_total counter\n"
        'pichannels_messages_total{channel="a"} 3\n'
        'pichannels_messages_total{channel="b"} 0.5\n'
    )


def test_a_point_without_labels_has_no_braces() -> None:
    assert one(7) == "pichannels_level 7"


@pytest.mark.parametrize(
    ("label", "written"),
    [('say "hi"', r"say \"hi\""), ("a\\b", r"a\\b"), ("two\nlines", r"two\nlines")],
)
def test_label_values_are_escaped(label: str, written: str) -> None:
    assert one(1, tag=label) == f'pichannels_level{{tag="{written}"}} 1'


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (2.0, "2"),
        (-3, "-3"),
        (0.1, "0.1"),
        (1e300, str(int(1e300))),
    ],
)
def test_numbers_are_exact(value: float, written: str) -> None:
    assert one(value) == f"pichannels_level {written}"


def test_several_families_follow_each_other() -> None:
    families = [Family("a", "gauge", "A.", []), Family("b", "gauge", "B.", [Point(1)])]
    assert render(families).count("# TYPE") == 2


@pytest.mark.parametrize(
    ("value", "text"), [(inf, "+Inf"), (-inf, "-Inf"), (nan, "NaN")]
)
def test_what_is_no_finite_number_has_its_word(value: float, text: str) -> None:
    family = Family("lag", "gauge", "How late.", [Point(value)])
    assert render([family]).splitlines()[-1] == f"pichannels_lag {text}"


def test_a_histogram_counts_up_to_each_bound() -> None:
    times = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        times.note(seconds)
    spread = times.spread(channel="a")
    family = Family("took_seconds", "histogram", "How long.", spreads=[spread])
    assert render([family]).splitlines()[1:] == [
        "# TYPE pichannels_took_seconds histogram",
        'pichannels_took_seconds_bucket{channel="a",le="0.1"} 2',
        'pichannels_took_seconds_bucket{channel="a",le="1"} 3',
        'pichannels_took_seconds_bucket{channel="a",le="+Inf"} 4',
        'pichannels_took_seconds_sum{channel="a"} 7.65',
        'pichannels_took_seconds_count{channel="a"} 4',
    ]
    assert spread.count == 4
