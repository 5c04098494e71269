"""When to try again."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given, strategies as st

from pichannels.errors import NotConnected, RetryLater, TryAgain
from pichannels.retry import NO_RETRY, RetryPolicy

POLICIES = st.builds(
    RetryPolicy,
    attempts=st.integers(0, 50),
    initial=st.floats(0.001, 10),
    factor=st.floats(1, 1e6),
    maximum=st.floats(0.001, 3600),
    jitter=st.floats(0, 1),
)


def test_waits_grow_by_the_factor_up_to_the_maximum() -> None:
    policy = RetryPolicy(attempts=6, initial=1, factor=3, maximum=20, jitter=0)
    assert list(policy.delays()) == [1, 3, 9, 20, 20]


def test_the_last_attempt_gives_up() -> None:
    policy = RetryPolicy(attempts=3)
    waits = [policy.delay(n, ValueError()) is None for n in (1, 2, 3, 4)]
    assert waits == [False, False, True, True]


def test_no_attempts_means_without_end() -> None:
    policy = RetryPolicy(attempts=0, maximum=7, jitter=0)
    assert policy.delay(10**9, ValueError()) == 7


def test_jitter_takes_off_its_part_of_the_wait() -> None:
    policy = RetryPolicy(initial=10, jitter=0.5)
    assert policy.delay(1, ValueError(), lambda: 0.0) == 10
    assert policy.delay(1, ValueError(), lambda: 1.0) == 5


def test_an_error_that_is_not_named_is_not_tried_again() -> None:
    policy = RetryPolicy(errors=(OSError,))
    assert policy.delay(1, ValueError()) is None


@pytest.mark.parametrize("error", [TryAgain(), NotConnected("x"), RetryLater()])
def test_try_again_errors_always_are(error: Exception) -> None:
    assert RetryPolicy(errors=()).delay(1, error) is not None


def test_retry_later_brings_its_own_delay() -> None:
    policy = RetryPolicy(maximum=1)
    assert policy.delay(1, RetryLater("busy", 30)) == 30


def test_retry_later_is_bounded_by_the_attempts() -> None:
    assert RetryPolicy(attempts=2).delay(2, RetryLater("busy", 30)) is None


def test_no_retry_gives_up_at_once_even_for_retry_later() -> None:
    assert NO_RETRY.delay(1, RetryLater()) is None and list(NO_RETRY.delays()) == []


@given(POLICIES, st.floats(0, 1))
def test_no_wait_exceeds_the_maximum_or_is_negative(
    policy: RetryPolicy, random: float
) -> None:
    waits = list(islice(policy.delays(lambda: random), 100))
    assert all(0 <= wait <= policy.maximum for wait in waits)
    assert len(waits) == (min(policy.attempts - 1, 100) if policy.attempts else 100)
