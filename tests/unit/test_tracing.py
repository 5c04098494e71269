"""Headers of W3C Trace Context: what is taken, and what is not."""

from __future__ import annotations

import pytest

from pichannels.tracing import Identity, identity_of, incoming, outgoing, parsed, within

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_what_is_said_is_understood() -> None:
    for sampled in (True, False):
        identity = Identity(TRACE, SPAN, sampled, "vendor=1")
        assert parsed(identity.headers) == identity


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        b"bytes",
    ],
)
def test_what_is_not_well_formed_is_no_trace(text: object) -> None:
    assert incoming({"traceparent": text, "tracestate": "vendor=1"}) == {}


def test_a_later_version_may_say_more() -> None:
    found = parsed({"traceparent": f"01-{TRACE}-{SPAN}-01-more"})
    assert found == Identity(TRACE, SPAN)


def test_a_state_that_is_too_long_is_left_out() -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=" + "b" * 600}
    assert incoming(headers) == {"traceparent": f"00-{TRACE}-{SPAN}-01"}


def test_the_trace_of_a_message_is_always_the_same_and_well_mixed() -> None:
    first, second = identity_of("0" * 31 + "1"), identity_of("0" * 31 + "2")
    assert first == identity_of("0" * 31 + "1")
    assert sum(a != b for a, b in zip(first.trace, second.trace, strict=True)) > 16


def test_what_is_sent_belongs_to_what_was_entered_last() -> None:
    with within({"traceparent": "outer"}):
        with within({"traceparent": "inner"}):
            assert outgoing() == {"traceparent": "inner"}
        assert outgoing() == {"traceparent": "outer"}
    assert outgoing() == {}
