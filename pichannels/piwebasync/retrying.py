"""Trying a read again: how often, after which answers, and how much later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from pichannels import clock
from pichannels.errors import NotConnected, TryAgain
from pichannels.limiter import retry_after_seconds
from pichannels.piwebasync.exceptions import HTTPClientError, HTTPStatusError
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.piwebasync.transport import AuthFailed
from pichannels.retry import RetryPolicy

__all__ = ["READS", "repeated"]

READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""The verbs that change nothing, however often they are sent."""

_TOO_MANY: Final = 429


async def repeated(
    attempt: Callable[[], Awaitable[HTTPResponse]],
    policy: RetryPolicy,
    is_closed: Callable[[], bool],
) -> HTTPResponse:
    """The first useful answer, or what the last attempt gave.

    There is another attempt after 429, where the server is not available (502, 503,
    504, a `WebException`), and where there was no answer. `Retry-After` is waited
    for, unless it is longer than `policy.maximum`: then the answer is given back at
    once.

    Raises:
        HTTPClientError: the last attempt got no answer.
    """
    tries = 0
    while True:
        tries += 1
        try:
            response = await attempt()
        except HTTPClientError as exc:
            wait = policy.delay(tries, _reason(exc))
            if wait is None or is_closed() or not _is_of_network(exc):
                raise
        else:
            wait = _wait_after(response, policy, tries)
            if wait is None:
                return response
        await asyncio.sleep(wait)


def _wait_after(
    response: HTTPResponse, policy: RetryPolicy, tries: int
) -> float | None:
    """Seconds until the next attempt; None where there is to be none."""
    if not (response.is_unavailable or response.http_status == _TOO_MANY):
        return None
    wait = policy.delay(tries, NotConnected(response.url, str(response.status_code)))
    wished = _retry_after(response.headers)
    if wait is None or wished > policy.maximum:
        return None
    return max(wait, wished)


def _retry_after(headers: Mapping[str, str]) -> float:
    return retry_after_seconds(headers.get("Retry-After"), clock.now()) or 0.0


def _reason(error: HTTPClientError) -> TryAgain:
    return NotConnected(error.url, error.reason)


def _is_of_network(error: HTTPClientError) -> bool:
    """Whether it may be gone by itself; a login that is missing is not."""
    answered = isinstance(error, HTTPStatusError)
    return not answered and not isinstance(error.__cause__, AuthFailed)
