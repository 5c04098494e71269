"""What an HTTP channel reads and writes: bodies of requests, answers from results."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from aiohttp import web

from pichannels.delivery import Outcome
from pichannels.endpoints.http import HEADERS, problem
from pichannels.errors import PichannelsError, RetryLater, TryAgain
from pichannels.message import Message
from pichannels.states import State

__all__ = ["Lost", "Refused", "answer_of", "read_body", "unavailable"]

_MEDIA_TYPE: Final = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SPOKEN: Final = {"application/text": "text/plain"}
"""Names of ours that are no media types, and what they are called outside."""


class Refused(PichannelsError):
    """A request that is answered before it becomes a message: status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"{status}: {reason}")


class Lost(PichannelsError):
    """The client has gone away before all of its request was there."""


# Requests


async def read_body(request: web.Request, limit: int, timeout: float) -> bytes:
    """The body of a request.

    Args:
        limit: its largest size in bytes, after decompression.
        timeout: seconds until all of it has to be there.

    Raises:
        Refused: it is too large, too slow, or broken.
        Lost: the client has gone away.
    """
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    is_known = length is not None and "Content-Encoding" not in request.headers
    try:
        if is_known and request.content.is_eof():
            # All of it is there, as that of most requests is.
            return await request.read()
        async with asyncio.timeout(timeout):
            return await (request.read() if is_known else _read_within(request, limit))
    except TimeoutError as exc:
        raise Refused(408, f"the body took more than {timeout:g} s") from exc
    except web.RequestPayloadError as exc:
        raise Refused(400, "the body is not as its headers say") from exc
    except OSError as exc:
        raise Lost("the client has gone away") from exc


async def _read_within(request: web.Request, limit: int) -> bytes:
    if request.content.at_eof():
        # A middleware has read it.
        return await request.read()
    found = bytearray()
    while chunk := await request.content.readany():
        found += chunk
        if len(found) > limit:
            raise _too_large(limit)
    return bytes(found)


def _too_large(limit: int) -> Refused:
    return Refused(413, f"the body is larger than {limit:,} bytes")


# Answers


def answer_of(outcome: Outcome, msg: Message, encoding: str) -> web.Response:
    """What is answered when `msg` is settled; errors inside are not told.

    Raises:
        Exception: the result cannot be written, or says what no answer can have.
    """
    if outcome.state is State.PROCESSED:
        return _result(outcome.message, encoding)
    if outcome.state is State.DROPPED:
        return web.Response(status=204, headers=HEADERS)
    if outcome.state is State.REJECTED:
        return problem(422, str(outcome.error) or "rejected", id=msg.uuid)
    if isinstance(outcome.error, TryAgain):
        return unavailable("try again later", _delay(outcome.error), id=msg.uuid)
    return problem(500, "the message failed", id=msg.uuid)


def unavailable(reason: str, delay: float = 1.0, **more: str) -> web.Response:
    """503, with the seconds after which it is worth another try."""
    after = {"Retry-After": str(max(math.ceil(delay), 1))}
    return problem(503, reason, headers=after, **more)


def _delay(error: TryAgain) -> float:
    delay = error.delay if isinstance(error, RetryLater) else None
    return 1.0 if delay is None or not math.isfinite(delay) else delay


def _result(result: Message, encoding: str) -> web.Response:
    meta = result.meta
    body, content_type = _written(result, encoding)
    headers = {**HEADERS, "Content-Type": content_type} if body else HEADERS
    answer = web.Response(body=body, status=_status(meta), headers=headers)
    if "response_headers" in meta:
        for name, value in _pairs(meta["response_headers"]).items():
            answer.headers[_clean(name)] = _clean(str(value))
    if "response_cookies" in meta:
        for name, value in _pairs(meta["response_cookies"]).items():
            options = value if isinstance(value, Mapping) else {"value": value}
            answer.set_cookie(name, **{**options, "value": str(options["value"])})
    return answer


def _clean(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError(f"{text!r} has characters that no header can have")
    return text


def _status(meta: Mapping[str, Any]) -> int:
    found = meta.get("status", meta.get("status_code", 200))
    if not isinstance(found, int) or not 200 <= found <= 599:
        raise ValueError(f"{found!r} is no status of an answer")
    return found


def _pairs(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise TypeError(f"{found!r} is no mapping of names to values")
    return found


@lru_cache(256)
def _media_type(content_type: str) -> tuple[str, bool]:
    """What it is called outside, and whether that is a media type."""
    said = _SPOKEN.get(content_type, content_type)
    return said, _MEDIA_TYPE.fullmatch(said) is not None


def _written(result: Message, encoding: str) -> tuple[bytes, str]:
    """The payload as bytes, and what they are."""
    payload = result.payload
    said, is_usable = _media_type(result.content_type)
    if payload is None:
        return b"", ""
    if isinstance(payload, bytes | bytearray | memoryview):
        return bytes(payload), said if is_usable else "application/octet-stream"
    if isinstance(payload, str):
        kind = said if is_usable else "text/plain"
        charset = f"; charset={encoding}" if kind.startswith("text/") else ""
        return payload.encode(encoding), kind + charset
    is_json = is_usable and (said == "application/json" or said.endswith("+json"))
    return msgspec.json.encode(payload), said if is_json else "application/json"
