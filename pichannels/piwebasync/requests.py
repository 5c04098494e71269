"""One request to PI Web API as a value: where it goes and what it asks."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import quote

from pichannels.piwebasync.exceptions import (
    APIException,
    NotARequest,
    SerializationError,
)

__all__ = [
    "HTTP",
    "WEBSOCKET",
    "APIRequest",
    "Param",
    "Request",
    "check_request",
    "encoded",
    "with_safe_chars",
]

HTTP: Final = "HTTP"
WEBSOCKET: Final = "Websocket"

Scalar: TypeAlias = str | int | float | bool | datetime | enum.Enum
Param: TypeAlias = Scalar | Sequence[Scalar] | None
"""What a parameter may be; None leaves it out."""

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_REQUIRED: Final = ("method", "protocol", "absolute_url")
_PROTOCOLS: Final = (HTTP, WEBSOCKET)
_WEBSOCKET_SCHEMES: Final = {"http": "ws", "https": "wss"}
_HTTP_SCHEMES: Final = {"ws": "http", "wss": "https"}
# PI reads these two as one text; all other lists repeat their key.
_JOINED: Final = frozenset({"selectedFields", "associations"})
_QUERY_SAFE: Final = "*:;,/"
# WebIDs and most else; this is much cheaper than to quote them.
_PLAIN: Final = re.compile(r"[\w.~*:;,/-]*", re.ASCII)
_NO_PART: Final = ("", ".", "..")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_ESCAPE: Final = re.compile("%([0-7][0-9A-Fa-f])")
# Characters that end or split something; bare they would change the request.
_STRUCTURAL: Final = frozenset("%#&+?=; ")


class Request(Protocol):
    """What the clients need of a request; any object that has it will do."""

    @property
    def method(self) -> str:
        """The HTTP verb."""

    @property
    def protocol(self) -> str:
        """`HTTP` or `Websocket`."""

    @property
    def absolute_url(self) -> str:
        """Where it goes, percent-encoded."""


class APIRequest:
    """A request of one method of one controller.

    `params` are given in snake case and kept as PI spells them, with values as
    text (or lists of texts). None leaves a parameter out; False and 0 are sent.
    `json` is the body of a write: anything that msgspec encodes.

    Raises:
        APIException: the method, the protocol or a part of the path is none.
        SerializationError: a parameter has no form in a URL.
    """

    __slots__ = (
        "action",
        "add_path",
        "controller",
        "host",
        "json",
        "method",
        "params",
        "port",
        "protocol",
        "root",
        "scheme",
        "webid",
    )

    def __init__(
        self,
        root: str,
        method: str,
        protocol: str,
        controller: str,
        scheme: str,
        host: str,
        port: int | str | None = None,
        action: str | None = None,
        webid: str | None = None,
        add_path: Sequence[str] | None = None,
        json: Any = None,
        **params: Param,
    ) -> None:
        self.method = _one_of("method", method, _METHODS)
        self.protocol = _one_of("protocol", protocol, _PROTOCOLS)
        self.scheme = _scheme(scheme, protocol)
        self.host = _host(host)
        self.port = _port(port)
        self.root = "/".join(["", *filter(None, root.split("/")), ""])
        self.controller = controller
        self.action = action
        self.webid = webid
        self.add_path = list(add_path or ())
        self.json = json
        self.params = _texts(params)

    @property
    def path(self) -> str:
        """The percent-encoded path, with the root."""
        parts = [self.controller or None, self.webid, self.action, *self.add_path]
        given = [_segment(part) for part in parts if part is not None]
        return quote(self.root) + "/".join(given)

    @property
    def query(self) -> str:
        """The percent-encoded query without `?`, in the order of the arguments."""
        return "&".join(
            f"{key}={encoded(value)}"
            for name, values in self.params.items()
            for key in [quote(name)]
            for value in ([values] if isinstance(values, str) else values)
        )

    @property
    def raw_path(self) -> str:
        """Path and query as they stand in the request line."""
        query = self.query
        return f"{self.path}?{query}" if query else self.path

    @property
    def absolute_url(self) -> str:
        """The whole URL, percent-encoded."""
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.raw_path}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, APIRequest):
            return NotImplemented
        mine = (self.method, self.protocol, self.absolute_url, self.json)
        return mine == (other.method, other.protocol, other.absolute_url, other.json)

    def __hash__(self) -> int:
        return hash((self.method, self.protocol, self.absolute_url))

    def __repr__(self) -> str:
        return f"<APIRequest {self.protocol} {self.method} {self.absolute_url}>"


def check_request(request: object) -> None:
    """See that it is a request.

    Raises:
        NotARequest: it lacks what `Request` has.
    """
    if isinstance(request, APIRequest):
        return
    if not all(isinstance(getattr(request, name, None), str) for name in _REQUIRED):
        raise NotARequest(request)


def encoded(value: str) -> str:
    """A value as it stands in a query, percent-encoded."""
    return value if _PLAIN.fullmatch(value) else quote(value, safe=_QUERY_SAFE)


def with_safe_chars(url: str, safe_chars: str | None) -> str:
    """The URL with the characters of `safe_chars` bare instead of escaped.

    Some servers want `\\` bare. Characters that would change the meaning of the
    URL (`&`, `=`, `%`, `#`, `+`, `?`, `;`, space) stay escaped although listed.
    """
    bare = set(safe_chars or ()) - _STRUCTURAL
    if not bare:
        return url

    def unescape(found: re.Match[str]) -> str:
        char = chr(int(found[1], 16))
        return char if char in bare else found[0]

    return _ESCAPE.sub(unescape, url)


def _texts(params: Mapping[str, Param]) -> dict[str, str | list[str]]:
    texts: dict[str, str | list[str]] = {}
    for name, value in params.items():
        key = _spelling(name)
        if value is None:
            continue
        if isinstance(value, str) or not isinstance(value, Sequence):
            texts[key] = _text(name, value)
            continue
        several = [_text(name, one) for one in value]
        texts[key] = ";".join(several) if key in _JOINED else several
    return texts


def _spelling(name: str) -> str:
    """A parameter's name as PI spells it: `web_id_type` is `webIdType`."""
    if name == "webid":
        return "webId"
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _text(name: str, value: Scalar) -> str:
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str) and not _SURROGATE.search(value):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return repr(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        moment = value.astimezone(UTC).replace(tzinfo=None)
        return moment.isoformat() + "Z"
    allowed = "a text, a number, a bool, a datetime with time zone, a list of these"
    raise SerializationError(name, value, allowed)


def _one_of(what: str, found: str, allowed: Sequence[str]) -> str:
    if found not in allowed:
        raise APIException(
            f"the {what} cannot be {found!r}; allowed: {', '.join(allowed)}"
        )
    return found


def _scheme(scheme: str, protocol: str) -> str:
    """The scheme that suits the protocol, so that one controller serves both."""
    _one_of("scheme", scheme, (*_WEBSOCKET_SCHEMES, *_HTTP_SCHEMES))
    other = _WEBSOCKET_SCHEMES if protocol == WEBSOCKET else _HTTP_SCHEMES
    return other.get(scheme, scheme)


def _host(host: str) -> str:
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or set(bare) & set("/\\?#@[] "):
        raise APIException(f"the host cannot be {host!r}; give a name or an address")
    return f"[{bare}]" if ":" in bare else bare


def _port(port: int | str | None) -> int | None:
    if port is None:
        return None
    if not str(port).isdecimal() or not 0 < int(port) < 65536:
        raise APIException(f"the port cannot be {port!r}; allowed: 1 to 65535")
    return int(port)


def _segment(part: str) -> str:
    if not isinstance(part, str) or part in _NO_PART or _SURROGATE.search(part):
        raise APIException(f"{part!r} cannot be a part of the path; give a text")
    return quote(part, safe="")
