"""What all controllers share: where the server is, and how a method is a request.

A method states its arguments in its signature and its URL in one line; `_get` and
its siblings make the request of both. Arguments keep their names: the ones in
braces go into the path, `body` becomes the body, the others go into the query.
What callers give is compared with the annotations before the method runs.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import wraps
from inspect import isfunction, signature
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias, TypeVar

import msgspec

from pichannels.errors import UsageError
from pichannels.piwebasync.exceptions import APIException, SerializationError
from pichannels.piwebasync.requests import HTTP, WEBSOCKET, APIRequest

__all__ = [
    "Bodies",
    "Body",
    "Count",
    "Flag",
    "Many",
    "Moment",
    "Resource",
    "Server",
    "Several",
    "Text",
    "Time",
    "Times",
]

Text: TypeAlias = str | None
Flag: TypeAlias = bool | None
Count: TypeAlias = int | None
Several: TypeAlias = str | Sequence[str]
"""One text or several."""
Many: TypeAlias = str | Sequence[str] | None
"""One text, several or none."""
Moment: TypeAlias = str | datetime
"""PI time (`*-1d`), ISO 8601 text or an aware datetime."""
Time: TypeAlias = str | datetime | None
"""A `Moment` or none."""
Times: TypeAlias = str | datetime | Sequence[str | datetime]
"""One `Moment` or several."""
Body: TypeAlias = Mapping[str, Any] | msgspec.Struct
"""An object under PI's own keys, or a struct of `bodies`."""
Bodies: TypeAlias = Sequence[Mapping[str, Any] | msgspec.Struct]
"""A list of objects."""

_Method = TypeVar("_Method", bound=Callable[..., Any])


class _Kind(NamedTuple):
    """What an annotation allows."""

    types: tuple[type, ...]
    said: str
    optional: bool = False
    several: bool = False
    one: bool = True


_SCHEMES: Final = ("http", "https", "ws", "wss")
_TEXT: Final = (str, enum.Enum)
_WHEN: Final = (str, enum.Enum, datetime)
_OBJECT: Final = (Mapping, msgspec.Struct)
_KINDS: Final = {
    "str": _Kind(_TEXT, "one text"),
    "Text": _Kind(_TEXT, "a text", optional=True),
    "Flag": _Kind((bool,), "True or False", optional=True),
    "Count": _Kind((int,), "an integer", optional=True),
    "Several": _Kind(_TEXT, "a text or several", several=True),
    "Many": _Kind(_TEXT, "a text or several", optional=True, several=True),
    "Moment": _Kind(_WHEN, "a text or a datetime"),
    "Time": _Kind(_WHEN, "a text or a datetime", optional=True),
    "Times": _Kind(_WHEN, "a text or a datetime, or several", several=True),
    "Body": _Kind(_OBJECT, "a mapping or a struct"),
    "Bodies": _Kind(_OBJECT, "a list of mappings or structs", several=True, one=False),
}


class Server(msgspec.Struct, frozen=True):
    """Where a PI Web API is."""

    scheme: str
    host: str
    port: int | str | None = None
    root: str = "/"

    def __post_init__(self) -> None:
        if self.scheme not in _SCHEMES:
            allowed = ", ".join(_SCHEMES)
            raise UsageError(f"the scheme is one of {allowed}, not {self.scheme!r}")
        if not isinstance(self.host, str):
            raise UsageError(f"the host is a name or an address, not {self.host!r}")
        if not isinstance(self.root, str):
            raise UsageError(f"the root is a path or '/', not {self.root!r}")


class Resource:
    """One controller of PI Web API, bound to a server.

    All methods raise `SerializationError`, which is an `APIException`, for an
    argument of another type than its annotation.
    """

    _name: ClassVar[str]

    def __init__(self, server: Server) -> None:
        self._server = server

    def __init_subclass__(cls) -> None:
        for name, method in list(vars(cls).items()):
            if isfunction(method) and not name.startswith("_"):
                setattr(cls, name, _checked(method))

    def _get(self, template: str, arguments: Mapping[str, Any]) -> APIRequest:
        return self._request("GET", HTTP, template, arguments)

    def _channel(self, template: str, arguments: Mapping[str, Any]) -> APIRequest:
        return self._request("GET", WEBSOCKET, template, arguments)

    def _post(self, template: str, arguments: Mapping[str, Any]) -> APIRequest:
        return self._request("POST", HTTP, template, arguments)

    def _put(self, template: str, arguments: Mapping[str, Any]) -> APIRequest:
        return self._request("PUT", HTTP, template, arguments)

    def _patch(self, template: str, arguments: Mapping[str, Any]) -> APIRequest:
        return self._request("PATCH", HTTP, template, arguments)

    def _delete(self, template: str, arguments: Mapping[str, Any]) -> APIRequest:
        return self._request("DELETE", HTTP, template, arguments)

    def _request(
        self, method: str, protocol: str, template: str, arguments: Mapping[str, Any]
    ) -> APIRequest:
        params = {name: arguments[name] for name in arguments if name != "self"}
        body = params.pop("body", None)
        parts = [self._part(part, params) for part in template.split("/") if part]
        web_id = parts.pop(0) if template.startswith("{webid}") else None
        if "webid" in params:
            params = {"web_id" if n == "webid" else n: v for n, v in params.items()}
        server = self._server
        return APIRequest(
            server.root,
            method,
            protocol,
            self._name,
            server.scheme,
            server.host,
            server.port,
            action=parts.pop(0) if parts else None,
            webid=web_id,
            add_path=parts,
            json=_json(body),
            **params,
        )

    def _part(self, part: str, params: dict[str, Any]) -> str:
        """A part of the path; what stands in braces is taken from `params`."""
        if not part.startswith("{"):
            return part
        name = part.strip("{}")
        value = params.pop(name)
        if isinstance(value, str) and value:
            return value
        raise APIException(f"{name} of {self._name} has to be one text")

    def _need(self, **given: Many | Times) -> None:
        """Refuse a request that names nothing."""
        if not any(given.values()):
            raise APIException(f"{self._name} needs {' or '.join(given)}")


def _json(body: Body | Bodies | None) -> Any:
    """The body as types that are written as JSON, whatever mapping it is."""
    if isinstance(body, Mapping):
        return dict(body)
    return [_json(one) for one in body] if isinstance(body, Sequence) else body


def _checked(method: _Method) -> _Method:
    """The method, which refuses arguments of other types than its annotations say."""
    names = list(signature(method).parameters)
    kinds = {name: _KINDS[method.__annotations__[name]] for name in names[1:]}

    @wraps(method)
    def checked(self: Resource, *args: Any, **kwargs: Any) -> Any:
        # Too few, too many and unknown arguments are told by the method itself.
        for name, value in [*zip(names[1:], args, strict=False), *kwargs.items()]:
            kind = kinds.get(name)
            if kind is not None and not _fits(kind, value):
                raise SerializationError(name, value, _allowed(name, kind))
        return method(self, *args, **kwargs)

    return checked  # type: ignore[return-value]


def _fits(kind: _Kind, value: Any) -> bool:
    if value is None:
        return kind.optional
    if kind.one and isinstance(value, kind.types):
        # True is an integer to Python, but no count to PI.
        return kind.types != (int,) or not isinstance(value, bool)
    if not kind.several or isinstance(value, (str, bytes)):
        return False
    return isinstance(value, Sequence) and all(
        isinstance(one, kind.types) for one in value
    )


def _allowed(name: str, kind: _Kind) -> str:
    if name == "webid" and not kind.several:
        return f"{kind.said} (the methods that end in _adhoc take several)"
    return kind.said
