"""Which errors lead to another member of a server, and which do not."""

from __future__ import annotations

import pytest

from pichannels.channels.membership import Membership
from pichannels.piwebasync.exceptions import (
    ChannelOpenTimeout,
    ChannelRefused,
    HTTPClientError,
    HTTPStatusError,
)
from pichannels.piwebasync.server import PIServer

ONE, OTHER = "https://pi1.test/piwebapi", "https://pi2.test/piwebapi"


def refused(status: int) -> ChannelRefused:
    return ChannelRefused(f"{ONE}/channel", status, "", "")


@pytest.mark.parametrize(
    "error",
    [
        refused(503),
        ChannelOpenTimeout(f"{ONE}/channel", 10.0),
        HTTPClientError("GET", ONE, "not reached"),
        HTTPStatusError("GET", ONE, 502, "Bad Gateway", []),
    ],
)
def test_a_member_that_does_not_work_is_left(error: Exception) -> None:
    membership = Membership(PIServer(url=ONE, others=(OTHER,)))
    assert membership.leave(error)
    assert (membership.current.url, membership.current.others) == (OTHER, ())
    assert membership.switches == 1


@pytest.mark.parametrize(
    "error", [refused(401), refused(404), refused(429), ValueError("no JSON")]
)
def test_what_every_member_would_say_is_no_reason(error: Exception) -> None:
    membership = Membership(PIServer(url=ONE, others=(OTHER,)))
    assert not membership.leave(error)
    assert membership.current.url == ONE


def test_a_server_without_others_is_never_left() -> None:
    membership = Membership(PIServer(url=ONE))
    assert not membership.leave(refused(503))
    assert membership.current.url == ONE
