"""The rules that protect a server: rate, places, shares, and what makes it slower."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from pichannels.errors import UsageError
from pichannels.limiter import Limits, Priority, Throttle, retry_after_seconds

FAST = Limits(rate=1000.0, concurrency=1000)


def admitted(
    throttle: Throttle, until: float, live: int, history: int, took: float = 0.0
) -> list[tuple[float, Priority]]:
    """Who goes when, while so many of each always wait and answers are good."""
    gone: list[tuple[float, Priority]] = []
    now = 0.0
    while now < until:
        chosen = throttle.next(now, live, history)
        if chosen is None:
            wait = throttle.wait(now) if live else throttle.history_wait(now)
            now += max(wait, 1e-4)
            continue
        throttle.started(now, chosen, history > 0)
        throttle.given_back(chosen)
        gone.append((now, chosen))
        now += took
    return gone


def busiest_second(times: list[float]) -> int:
    return max(sum(start <= t < start + 1.0 for t in times) for start in times)


@settings(deadline=None)
@given(st.integers(1, 40), st.floats(0.0, 0.2))
def test_no_second_sees_more_than_the_rate(rate: int, took: float) -> None:
    throttle = Throttle(Limits(rate=rate))
    times = [at for at, _ in admitted(throttle, 3.0, 1, 0, took)]
    assert busiest_second(times) <= rate


def test_nearly_the_whole_rate_is_given() -> None:
    assert len(admitted(Throttle(Limits(rate=50)), 10.0, 1, 0)) >= 490


def test_history_keeps_a_tenth_while_live_requests_wait() -> None:
    gone = [who for _, who in admitted(Throttle(FAST), 1.0, 5, 5)]
    assert gone.count("history") == pytest.approx(len(gone) / 10, abs=1)


def test_history_gets_all_that_live_requests_leave() -> None:
    gone = admitted(Throttle(Limits(rate=50)), 2.0, 0, 1)
    assert {who for _, who in gone} == {"history"}
    assert len(gone) > 95


@settings(deadline=None)
@given(st.floats(0.5, 60.0), st.integers(0, 3))
def test_a_budget_is_never_exceeded_and_is_used(rate: float, live: int) -> None:
    throttle = Throttle(Limits(rate=60, history_rate=rate))
    gone = admitted(throttle, 20.0, live, 1)
    count = [who for _, who in gone].count("history")
    assert count <= 20 * rate + 1
    assert count >= min(rate, 30 if live else 60) * 20 * 0.9 - 1


def test_a_budget_is_not_above_what_the_server_may_be_asked() -> None:
    throttle = Throttle(Limits(rate=50))
    with pytest.raises(UsageError, match="at most the rate, 50"):
        throttle.give_history(51)
    assert throttle.limits.history_rate is None


def test_paused_history_gets_nothing() -> None:
    throttle = Throttle(FAST)
    throttle.history_paused = True
    assert throttle.next(0.0, 0, 1) is None
    assert {who for _, who in admitted(throttle, 0.1, 1, 1)} == {"live"}


def test_only_so_many_are_under_way_and_history_leaves_a_place_free() -> None:
    throttle = Throttle(Limits(rate=1000, concurrency=3))
    for number in range(2):
        assert throttle.next(float(number), 0, 1) == "history"
        throttle.started(float(number), "history", False)
    assert throttle.next(5.0, 0, 1) is None
    assert throttle.next(5.0, 1, 1) == "live"
    throttle.started(5.0, "live", True)
    assert throttle.next(6.0, 1, 1) is None


def refused(throttle: Throttle, now: float, status: int | None = 429) -> None:
    throttle.started(now, "live", False)
    throttle.answered(now, "live", 0.0, status)


@pytest.mark.parametrize("status", [429, 500, 503, None])
def test_a_failing_server_is_asked_half_as_often(status: int | None) -> None:
    throttle = Throttle(Limits(rate=50, concurrency=8))
    refused(throttle, 0.0, status)
    assert (throttle.rate, throttle.concurrency) == (25, 4)


def test_answers_to_what_was_sent_before_say_nothing_new() -> None:
    throttle = Throttle(Limits(settle=0.5))
    refused(throttle, 10.0)
    throttle.started(9.9, "live", False)
    throttle.answered(12.0, "live", 2.1, 429)
    assert throttle.pace == 0.5


def recovering(throttle: Throttle, start: float, seconds: int) -> list[float]:
    """The pace after each second of good answers."""
    paces = []
    for second in range(1, seconds + 1):
        throttle.started(start + second, "live", False)
        throttle.answered(start + second, "live", 0.01, 200)
        paces.append(throttle.pace)
    return paces


def fallen(limits: Limits) -> Throttle:
    """One that has seen nothing but errors for 20 s."""
    throttle = Throttle(limits)
    for second in range(10):
        refused(throttle, float(second) * 2)
    assert throttle.pace == limits.slowest
    return throttle


def test_after_an_outage_the_pace_doubles_to_half_of_what_it_was() -> None:
    paces = recovering(fallen(Limits(slowest=0.1)), 18.0, 4)
    assert paces == pytest.approx([0.2, 0.4, 0.5, 0.55])


def test_above_half_the_pace_comes_back_by_and_by() -> None:
    paces = recovering(fallen(Limits(slowest=0.02, rise=0.05)), 18.0, 16)
    rises = [b - a for a, b in zip(paces, paces[1:], strict=False) if a >= 0.5]
    assert paces[-1] == 1.0
    assert max(rises) < 0.051


def test_errors_while_the_pace_doubles_halve_how_far_it_does() -> None:
    throttle = fallen(Limits(slowest=0.1))
    assert recovering(throttle, 18.0, 2)[-1] == pytest.approx(0.4)
    refused(throttle, 22.0)
    assert recovering(throttle, 22.0, 2) == pytest.approx([0.25, 0.3])


def test_a_server_that_errs_now_and_then_is_never_rushed() -> None:
    throttle = Throttle(Limits(rise=0.05))
    paces = [1.0]
    for start in range(0, 40, 4):
        refused(throttle, float(start))
        paces += [throttle.pace, *recovering(throttle, float(start), 3)]
    assert max(b - a for a, b in zip(paces, paces[1:], strict=False)) < 0.051


def test_a_refusal_of_one_request_slows_nothing() -> None:
    throttle = Throttle(Limits())
    refused(throttle, 0.0, 404)
    assert throttle.pace == 1.0


def test_rising_latency_slows_down_and_steady_slowness_does_not() -> None:
    steady, rising = Throttle(Limits()), Throttle(Limits())
    for second in range(60):
        for throttle, took in ((steady, 2.0), (rising, 0.1 if second < 30 else 3.0)):
            throttle.started(float(second), "history", False)
            throttle.answered(second + took, "history", took, 200)
    assert steady.pace == 1.0
    assert rising.counts["slowed"] > 1


def test_retry_after_holds_everything_up_to_a_limit() -> None:
    throttle = Throttle(Limits(longest_pause=60))
    throttle.started(0.0, "live", False)
    throttle.answered(0.0, "live", 0.0, 503, retry_after=3600)
    assert throttle.next(59.0, 1, 1) is None
    assert throttle.wait(0.0) == 60
    assert throttle.next(60.0, 1, 1) == "live"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0.5", 0.5),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 30.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("nan", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(
    text: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(text, 30 * 10_000_000) == seconds


@pytest.mark.parametrize("name", ["rate", "concurrency", "fall", "history_share"])
def test_limits_that_stop_everything_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        Limits(**{name: 0})


# PI batches


def test_what_follows_a_batch_waits_as_long_as_its_parts_take() -> None:
    throttle = Throttle(Limits(rate=100))
    throttle.started(0.0, "live", False, throttle.limits.weight(50))
    assert throttle.wait(0.0) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("weight", "parts", "counts"),
    [(1.0, 200, 200), (0.1, 200, 20), (0.1, 3, 1), (0.0, 200, 1), (1.0, 0, 1)],
)
def test_parts_of_a_batch_count_as_it_is_set(
    weight: float, parts: int, counts: float
) -> None:
    assert Limits(batch_weight=weight).weight(parts) == counts


def test_history_pays_for_its_batches_before_it_gets_its_share_again() -> None:
    throttle = Throttle(FAST)
    throttle.started(0.0, "history", True, 10.0)
    gone = [who for _, who in admitted(throttle, 0.2, 5, 5)]
    assert gone[:90].count("history") == 0
    assert gone[90:].count("history") == pytest.approx(len(gone[90:]) / 10, abs=1)


@pytest.mark.parametrize(("rate", "parts"), [(200.0, 50), (4.0, 10)])
def test_batches_are_so_small_that_others_wait_a_moment_only(
    rate: float, parts: int
) -> None:
    assert Throttle(Limits(rate=rate)).largest_batch == parts


def test_a_weight_of_batches_lies_between_0_and_1() -> None:
    with pytest.raises(UsageError, match="batch_weight is 0 to 1, not 2"):
        Limits(batch_weight=2)
