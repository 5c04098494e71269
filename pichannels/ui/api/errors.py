"""Errors as answers: which status, what is told, when to come again."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from pichannels.control.client import CommandFailed, NoInstance
from pichannels.errors import (
    JournalError,
    MessageNotFound,
    NoSuchName,
    NotConnected,
    PichannelsError,
    SettingsError,
    UsageError,
)
from pichannels.ui.budget import OverBudget
from pichannels.ui.commands import CountNeeded
from pichannels.ui.data import NoSuchChannel
from pichannels.ui.guard import TooLong, TooSlow, error_body
from pichannels.ui.links import NoSuchInstance
from pichannels.ui.operations import NoSuchOperation
from pichannels.ui.roles import NotAllowed, NotLoggedIn
from pichannels.ui.sessions import Throttled

__all__ = ["answer_errors"]

_STATUS: Final[tuple[tuple[type[PichannelsError], int], ...]] = (
    (NotLoggedIn, 401),
    (NotAllowed, 403),
    (NoSuchChannel, 404),
    (NoSuchInstance, 404),
    (NoSuchOperation, 404),
    (MessageNotFound, 404),
    (NoSuchName, 404),
    (CountNeeded, 409),
    (TooSlow, 408),
    (TooLong, 413),
    (OverBudget, 429),
    (Throttled, 429),
    (NoInstance, 503),
    (NotConnected, 503),
    (JournalError, 503),
    (UsageError, 400),
    (SettingsError, 400),
)
_PASSED_ON: Final = (400, 404, 409, 503)
"""What the control server says that is told as it is."""


def answer_errors(app: FastAPI) -> None:
    """Let an application answer errors of ours as JSON; the guard sees to others."""
    app.add_exception_handler(PichannelsError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def _status_of(error: PichannelsError) -> int:
    if isinstance(error, CommandFailed):
        return error.status if error.status in _PASSED_ON else 422
    found = (status for kind, status in _STATUS if isinstance(error, kind))
    return next(found, 422)


async def _ours(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, PichannelsError)
    status = _status_of(exc)
    kind = exc.kind if isinstance(exc, CommandFailed) else type(exc).__name__
    facts: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if isinstance(exc, CountNeeded):
        facts["count"] = exc.count
    if isinstance(exc, OverBudget | Throttled):
        headers["Retry-After"] = str(exc.seconds)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return _answer(status, error_body(kind, str(exc), **facts), headers)


async def _invalid(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    said = "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in exc.errors()
    )
    return _answer(400, error_body("UsageError", said))


async def _http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    headers = dict(exc.headers or {})
    return _answer(exc.status_code, error_body("HTTPError", exc.detail), headers)


def _answer(
    status: int, body: bytes, headers: dict[str, str] | None = None
) -> Response:
    return Response(body, status, headers, media_type="application/json")
