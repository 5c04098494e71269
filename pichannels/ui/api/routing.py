"""How routes of the API are declared: the role that they take, what goes in and out.

What goes in and out are plain structs of the house; the OpenAPI document has their
schemas. A route without a role cannot be declared.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, NamedTuple, TypeVar, get_args, get_origin

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from pichannels.errors import UsageError
from pichannels.ui.console import Console
from pichannels.ui.guard import API
from pichannels.ui.roles import NotLoggedIn, Principal, Role

__all__ = ["Ask", "Asked", "Declared", "Routes", "reply"]

T = TypeVar("T", bound=msgspec.Struct)
Endpoint = Callable[..., Awaitable[Any]]


class Asked(NamedTuple):
    """A request: who asks, and what answers.

    Attributes:
        console: what answers.
        request: the request itself.
    """

    console: Console
    request: Request

    @property
    def who(self) -> Principal:
        """Who asks.

        Raises:
            NotLoggedIn: nobody knows.
        """
        found: Principal | None = self.request.state.who
        if found is None:
            raise NotLoggedIn
        return found


def _asked(request: Request) -> Asked:
    return Asked(request.app.state.console, request)


Ask = Annotated[Asked, Depends(_asked)]
"""The first parameter of an endpoint."""


class Declared(NamedTuple):
    """What a route was declared with, for the OpenAPI document and for tests.

    Attributes:
        method, path: of the route.
        role: that it takes; None for nobody in particular.
        answer, body, query: the types of what goes out and in.
        status: of an answer.
        about: what it does.
    """

    method: str
    path: str
    role: Role | None
    answer: Any
    body: type[msgspec.Struct] | None
    query: type[msgspec.Struct] | None
    status: int
    about: str


def reply(found: Any, status: int = 200) -> Response:
    """An answer as JSON."""
    if found is None:
        return Response(status_code=204)
    data = msgspec.json.encode(found, enc_hook=str)
    return Response(data, status, media_type="application/json")


class Routes:
    """Routes of one subject.

    Args:
        subject: how the document calls it.
        prefix: of all paths.
    """

    def __init__(self, subject: str, prefix: str = "") -> None:
        self.router = APIRouter(prefix=API + prefix, tags=[subject])
        self.declared: list[Declared] = []
        self._prefix = API + prefix

    def add(
        self,
        method: str,
        path: str,
        *,
        role: Role | None,
        answer: Any = None,
        body: type[msgspec.Struct] | None = None,
        query: type[msgspec.Struct] | None = None,
        status: int = 200,
    ) -> Callable[[Endpoint], Endpoint]:
        """Declare a route; the endpoint gets `body` and `query` by these names.

        Args:
            role: that it takes; None takes no login at all.
            answer: the type of what it gives; None for an answer without a body.
            body, query: what it is given.
            status: of the answer.
        """

        def declare(endpoint: Endpoint) -> Endpoint:
            about = inspect.getdoc(endpoint) or ""
            told = status if answer is not None else 204
            whole = self._prefix + path
            name = endpoint.__name__.strip("_")
            told_as = "" if method == "GET" else name.removeprefix("begin_")
            self.declared.append(
                Declared(method, whole, role, answer, body, query, told, about)
            )
            self.router.add_api_route(
                path,
                _answering(endpoint, told, body, query),
                methods=[method],
                dependencies=[] if role is None else [Depends(_needs(role, told_as))],
                response_model=None,
                status_code=told,
                summary=about.partition("\n")[0],
                description=about,
                operation_id=name,
            )
            return endpoint

        return declare


def _needs(role: Role, told_as: str) -> Callable[..., Awaitable[None]]:
    async def check(ask: Ask) -> None:
        who, place = ask.who, dict(ask.request.path_params)
        if told_as and not who.role.may(role):
            instance = place.pop("instance", "")
            action = told_as.replace("_", "-")
            note = ask.console.commands.note
            await note(who, action, place, instance=instance, result="refused")
        who.need(role)

    return check


def _answering(
    endpoint: Endpoint,
    status: int,
    body: type[msgspec.Struct] | None,
    query: type[msgspec.Struct] | None,
) -> Endpoint:
    """The endpoint with its answer as JSON, and what it is given read for it."""

    @functools.wraps(endpoint)
    async def answer(**given: Any) -> Response:
        found = await endpoint(**given)
        return found if isinstance(found, Response) else reply(found, status)

    readers: Mapping[str, Any] = {
        **({"body": _body(body)} if body else {}),
        **({"query": _query(query)} if query else {}),
    }
    signature = inspect.signature(endpoint, eval_str=True)
    parameters = [
        each.replace(annotation=Annotated[Any, Depends(readers[name])])
        if name in readers
        else each
        for name, each in signature.parameters.items()
    ]
    answer.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return answer


def _body(kind: type[T]) -> Callable[..., Awaitable[T]]:
    async def read(request: Request) -> T:
        data = await request.body()
        try:
            return msgspec.json.decode(data or b"{}", type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise UsageError(f"the body: {exc}") from exc

    return read


def _query(kind: type[T]) -> Callable[..., T]:
    lists = {f.name for f in msgspec.structs.fields(kind) if _is_list(f.type)}

    def read(request: Request) -> T:
        params = request.query_params
        given = {
            name: params.getlist(name) if name in lists else params[name]
            for name in params
        }
        try:
            return msgspec.convert(given, kind, strict=False)
        except msgspec.ValidationError as exc:
            raise UsageError(f"the query: {exc}") from exc

    return read


_LIST: Final = list


def _is_list(kind: Any) -> bool:
    if get_origin(kind) is _LIST:
        return True
    return any(get_origin(option) is _LIST for option in get_args(kind))
