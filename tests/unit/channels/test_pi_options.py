"""What a channel of PI tags says of options that it cannot work with."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.channels.pi import CoverageOptions, PIWebChannel
from pichannels.errors import UsageError

URL = "https://pi.example.com/piwebapi"


def made(**options: Any) -> PIWebChannel:
    return PIWebChannel("x", **{"url": URL, "tags": ["A"]} | options)


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("buffer_bytes", 0, "1 or more"),
        ("batch_bytes", 0, "1 or more"),
        ("tags_per_channel", 0, "1 or more"),
        ("tags_per_channel", 1.5, "a whole number"),
        ("tags_per_channel", None, "1 or more"),
        ("url_length", 10, "256 or more"),
        ("heartbeat", -1, "0 or more"),
        ("heartbeat", True, "0 or more"),
        ("poll_interval", 0, "above 0"),
        ("poll_interval", -1, "above 0"),
        ("poll_interval", float("nan"), "above 0"),
        ("max_block", -1, "0 or more"),
        ("max_block", "10", "a number"),
        ("cache_ttl", -1, "0 or more"),
        ("coverage", "yes", "True, False or CoverageOptions"),
        ("reconnect", 3, "a RetryPolicy"),
        ("tags", None, "a tag or a list of tags"),
        ("tags", 5, "a tag or a list of tags"),
    ],
)
def test_an_option_that_is_not_usable_is_told(
    option: str, value: Any, allowed: str
) -> None:
    with pytest.raises(UsageError) as told:
        made(**{option: value})
    assert str(told.value).startswith(f"{option} is ")
    assert allowed in str(told.value) and repr(value) in str(told.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [("settle", -1), ("overlap", "1"), ("ahead", -0.1), ("patience", None)]
    + [("backfill", -60), ("repair", "no")],
)
def test_no_ledger_is_kept_by_options_that_are_none(option: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"^{option} is .* not "):
        CoverageOptions(**{option: value})


def test_the_least_that_is_allowed_is_taken() -> None:
    assert made(
        buffer_bytes=1, batch_bytes=1, tags_per_channel=1, url_length=256, heartbeat=0
    )


def test_an_option_with_a_slip_is_answered_with_the_right_one() -> None:
    with pytest.raises(UsageError, match="did you mean 'heartbeat'"):
        made(hearbeat=1)
