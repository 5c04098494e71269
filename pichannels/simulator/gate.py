"""What stands before every route: login, rate limit, faults, error bodies."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from email.utils import formatdate
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from pichannels import clock
from pichannels.errors import UsageError
from pichannels.simulator.acceptors import Auth, Verdict, acceptors_of
from pichannels.simulator.faults import Faults, HttpFault
from pichannels.simulator.query import Refused
from pichannels.simulator.simtime import SECOND
from pichannels.simulator.subrequests import Subrequest
from pichannels.simulator.world import json_answer

__all__ = ["Gate", "user"]

ADMIN: Final = "/simulator"
_NOBODY: Final = Verdict(True)
_VERDICT: Final = ContextVar("_VERDICT", default=_NOBODY)
_DENIED: Final = "Authorization has been denied for this request."
_ROUTE: Final = "No HTTP resource was found that matches the request URI '{}'."
_METHOD: Final = "The requested resource does not support http method '{}'."


def user() -> str:
    """Who sends the present request; "" where that is all the same."""
    return _VERDICT.get().user


class Gate:
    """A middleware: everything but the admin routes passes through it.

    `rate_limit` is the number of requests that one client address may send in a
    second; 0 for any number. Parts of a batch pass through it as well; the login of
    the batch is theirs.
    """

    def __init__(
        self, faults: Faults, now: Callable[[], int], auth: Auth, rate_limit: int
    ) -> None:
        self.faults = faults
        self.requests = 0
        self._now = now
        self._acceptors = acceptors_of(auth)
        offered = [each for one in self._acceptors for each in one.challenges]
        self._challenges = offered or ['Basic realm="piwebapi"']
        self._limit = rate_limit
        self._recent: dict[str, deque[float]] = {}

    async def stamp(self, _: web.Request, response: web.StreamResponse) -> None:
        """Set what HTTP.SYS sets; the date is the simulated one."""
        if _VERDICT.get().answer:
            response.headers["WWW-Authenticate"] = _VERDICT.get().answer
        response.headers["Server"] = "Microsoft-HTTPAPI/2.0"
        seconds = self._now() // SECOND
        response.headers["Date"] = formatdate(seconds, usegmt=True)

    @property
    def middleware(self) -> Middleware:
        """What the application takes."""

        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not isinstance(request, Subrequest):
                # The requests of one connection have one context.
                _VERDICT.set(_NOBODY)
            if request.path.startswith(ADMIN):
                return await _told(request, handler)
            return await self._pass(request, handler)

        return gate

    async def _pass(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests += not isinstance(request, Subrequest)
        later: HttpFault | None = None
        for fault in self.faults.strikes(request.path, request.method):
            if fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
            elif fault.kind == "status":
                return _failure(fault, self._challenges)
            else:
                later = fault
        refused = await self._unknown_user(request) or self._too_many(request)
        if refused is not None:
            return refused
        response = await _told(request, handler)
        return response if later is None else await _spoilt(request, response, later)

    async def _unknown_user(self, request: web.Request) -> web.Response | None:
        if not self._acceptors or isinstance(request, Subrequest):
            return None
        for acceptor in self._acceptors:
            verdict = await acceptor.check(request)
            if verdict.accepted:
                _VERDICT.set(verdict)
                return None
            if verdict.answer:
                return _denied([verdict.answer])
        return _denied(self._challenges)

    def withdraw(self) -> None:
        """Let no token be good any more, and connections log in anew."""
        for acceptor in self._acceptors:
            acceptor.withdraw()

    def _too_many(self, request: web.Request) -> web.Response | None:
        if not self._limit:
            return None
        recent = self._recent.setdefault(request.remote or "", deque())
        present = clock.monotonic()
        while recent and recent[0] <= present - 1.0:
            recent.popleft()
        if len(recent) >= self._limit:
            return json_answer({"Errors": ["Rate limit was reached."]}, 429)
        recent.append(present)
        return None


def _denied(challenges: Sequence[str]) -> web.Response:
    answer = json_answer({"Message": _DENIED}, 401)
    for challenge in challenges:
        answer.headers.add("WWW-Authenticate", challenge)
    return answer


def _failure(fault: HttpFault, challenges: Sequence[str]) -> web.Response:
    headers: dict[str, str] = {}
    if fault.status == 401:
        return _denied(challenges)
    if fault.retry_after is not None:
        headers["Retry-After"] = f"{fault.retry_after:g}"
    if fault.status in (502, 503, 504):
        text = f"<html><body><h1>{fault.status}</h1></body></html>"
        return web.Response(
            status=fault.status, text=text, content_type="text/html", headers=headers
        )
    sentence = (
        "Rate limit was reached."
        if fault.status == 429
        else "An error has occurred. Contact your administrator for help in enabling"
        " debug mode."
    )
    answer = json_answer({"Errors": [sentence]}, fault.status)
    answer.headers.update(headers)
    return answer


async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's answer, with errors as PI writes them."""
    try:
        return await handler(request)
    except Refused as refused:
        return json_answer({"Errors": list(refused.sentences)}, refused.status)
    except UsageError as exc:
        return json_answer({"Errors": [str(exc)]}, 400)
    except web.HTTPNotFound:
        return json_answer({"Message": _ROUTE.format(request.url)}, 404)
    except web.HTTPMethodNotAllowed as exc:
        answer = json_answer({"Message": _METHOD.format(request.method)}, 405)
        answer.headers["Allow"] = ",".join(sorted(exc.allowed_methods))
        return answer


async def _spoilt(
    request: web.Request, response: web.StreamResponse, fault: HttpFault
) -> web.StreamResponse:
    """The answer cut in half, or an exception in place of the body."""
    if not isinstance(response, web.Response):
        return response
    if fault.kind == "web_exception":
        sentence = "The connection to the PI Data Archive was lost."
        body = {"WebException": {"Errors": [sentence], "StatusCode": fault.status}}
        return json_answer(body)
    if not isinstance(response.body, bytes):
        return response
    half = response.body[: len(response.body) // 2]
    if not fault.abort or isinstance(request, Subrequest):
        response.body = half
        return response
    cut = web.StreamResponse(status=response.status, headers=response.headers)
    cut.content_length = len(response.body)
    await cut.prepare(request)
    await cut.write(half)
    if request.transport is not None:
        request.transport.close()
    return cut
