"""Stream updates, PI's way over plain HTTP: what to ask, and what the answers say.

A signup for a stream has a marker, the place up to which its changes are known.
Asking with the marker gives what came after it, and a new marker. A server that has
lost the place says so, which tells that changes may be missing. Nothing here sends
anything; answers become messages in the form of a PI channel's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from pichannels.piwebasync.exceptions import APIException, shown
from pichannels.piwebasync.requests import HTTP, APIRequest, Request
from pichannels.piwebasync.timed_values import error_text

__all__ = [
    "HEARTBEAT",
    "Answer",
    "Registration",
    "Signup",
    "Target",
    "channel_message",
    "initial_streams",
    "read_registration",
    "read_updates",
]

HEARTBEAT: Final = b'{"Links":{},"Items":[]}'
"""The message of a channel on which nothing has changed."""
_SCHEMES: Final = {"ws": "http", "wss": "https"}
_NOT_ANSWERED: Final = "the answer leaves it out"
# How a channel shows that an event was deleted: no value, at its time.
_DELETED: Final = {
    "Value": {"Name": "No Data", "Value": 248, "IsSystem": True},
    "Good": False,
    "Substituted": True,
}

Object = Mapping[str, Any]


class Signup(msgspec.Struct):
    """One stream that is signed up for, and the place up to which it is known."""

    web_id: str
    name: str
    path: str
    marker: str

    @property
    def key(self) -> str:
        """What tells the stream from others, whatever form its WebID has."""
        return (self.path or self.web_id).upper()


class Registration(msgspec.Struct, frozen=True):
    """What came of signing up: signups, and sentences on the streams without."""

    signups: list[Signup]
    refused: dict[str, str]


class Answer(msgspec.Struct, frozen=True):
    """What came since some markers.

    Attributes:
        streams: those with changes, as a channel's message has them.
        markers: the new marker for each old one that was understood.
        lost: for each marker that the server does not know any more its reason.
    """

    streams: list[dict[str, Any]]
    markers: dict[str, str]
    lost: dict[str, str]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What the request of a channel asks for, and the requests for the same by HTTP.

    Attributes:
        web_ids: the streams; none where they are the attributes of `owner`.
        initial: whether the current values come first.
        heartbeat: silent polls after which an empty message is due; 0 for never.
    """

    root: str
    scheme: str
    host: str
    port: int | None
    web_ids: tuple[str, ...]
    owner: str | None
    filters: dict[str, str]
    web_id_type: str | None
    initial: bool
    heartbeat: int

    @classmethod
    def of(cls, request: Request) -> Target:
        """The target of a channel request.

        Raises:
            APIException: this is no request for a channel.
        """
        parts = urlsplit(request.absolute_url)
        path = parts.path.strip("/").split("/")
        known: dict[str, list[str]] = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            known.setdefault(name.lower(), []).append(value)
        web_ids = tuple(known.pop("webid", ()))
        params = {name: values[-1] for name, values in known.items()}
        root, owner = path[:-2], None
        if path[-2:-1] == ["streamsets"]:
            pass
        elif path[-3:-2] == ["streams"]:
            root, web_ids = path[:-3], (unquote(path[-2]),)
        elif path[-3:-2] == ["streamsets"]:
            root, owner = path[:-3], unquote(path[-2])
        if path[-1] != "channel" or not (web_ids or owner):
            raise APIException(f"{shown(request.absolute_url)} is no PI channel")
        return cls(
            root="/".join(map(unquote, root)),
            scheme=_SCHEMES.get(parts.scheme, parts.scheme),
            host=parts.hostname or "",
            port=parts.port,
            web_ids=tuple(dict.fromkeys(web_ids)),
            owner=owner,
            initial=params.pop("includeinitialvalues", "").lower() == "true",
            heartbeat=_number(params.pop("heartbeatrate", "")),
            web_id_type=params.pop("webidtype", None),
            filters=params,
        )

    def members(self) -> APIRequest:
        """What gives the attributes of the owner."""
        params = self.filters | {"selectedFields": "Items.WebId"}
        return self._request("GET", "value", params, self.owner)

    def registration(self, web_ids: Sequence[str]) -> APIRequest:
        """What signs up for these streams."""
        return self._request("POST", "updates", {"webId": web_ids})

    def retrieval(self, markers: Sequence[str]) -> APIRequest:
        """What gives the changes since these markers."""
        return self._request("GET", "updates", {"marker": markers})

    def values(self, web_ids: Sequence[str]) -> APIRequest:
        """What gives the current values of these streams."""
        return self._request("GET", "value", {"webId": web_ids})

    def _request(
        self,
        method: str,
        action: str,
        params: Mapping[str, str | Sequence[str]],
        web_id: str | None = None,
    ) -> APIRequest:
        return APIRequest(
            self.root,
            method,
            HTTP,
            "streamsets",
            self.scheme,
            self.host,
            self.port,
            action=action,
            webid=web_id,
            **params,
            webIdType=self.web_id_type,
        )


def read_registration(document: Any) -> Registration:
    """The answer to signing up for several streams."""
    found = Registration([], {})
    for item in _items(document):
        source, name, path = _source(item)
        marker = item.get("LatestMarker")
        if source and isinstance(marker, str) and marker and not _failure(item):
            found.signups.append(Signup(source, name, path, marker))
        else:
            found.refused[path or source] = _failure(item) or "it has no marker"
    return found


def read_updates(document: Any, markers: Iterable[str]) -> Answer:
    """The answer to what came since `markers`; each of them is told or lost."""
    found = Answer([], {}, dict.fromkeys(markers, _NOT_ANSWERED))
    for item in _items(document):
        asked, latest = item.get("RequestedMarker"), item.get("LatestMarker")
        if not isinstance(asked, str) or asked not in found.lost:
            continue
        if _failure(item) or not isinstance(latest, str) or not latest:
            found.lost[asked] = _failure(item) or "it has no new marker"
            continue
        del found.lost[asked]
        found.markers[asked] = latest
        events = item.get("Events")
        if isinstance(events, list) and events:
            found.streams.append(_stream(item, list(map(_event, events))))
    return found


def initial_streams(document: Any) -> list[dict[str, Any]]:
    """The streams of a `value` answer, as a channel's message has them."""
    return [
        {key: value for key, value in item.items() if key != "Value"}
        | {"Items": [item["Value"]]}
        for item in _items(document)
        if isinstance(item.get("Value"), dict)
    ]


def channel_message(streams: Sequence[Object]) -> bytes:
    """The message of a channel with these streams."""
    return msgspec.json.encode({"Links": {}, "Items": streams})


def _items(document: Any) -> list[dict[str, Any]]:
    items = document.get("Items") if isinstance(document, dict) else None
    found = items if isinstance(items, list) else ()
    return [one for one in found if isinstance(one, dict)]


def _source(item: Object) -> tuple[str, str, str]:
    texts = (item.get(key) for key in ("Source", "SourceName", "SourcePath"))
    source, name, path = (text if isinstance(text, str) else "" for text in texts)
    return source, name, path


def _failure(item: Object) -> str:
    """Why there are no updates of a stream; nothing where there are."""
    report = item.get("Exception")
    if not report and item.get("Status") != "Failed":
        return ""
    sentence = error_text(report) if isinstance(report, dict) else ""
    return sentence or "the server gives no reason"


def _stream(item: Object, events: list[Any]) -> dict[str, Any]:
    source, name, path = _source(item)
    first = events[0] if isinstance(events[0], dict) else {}
    return {
        "WebId": source,
        "Name": name,
        "Path": path,
        "Links": {},
        "Items": events,
        "UnitsAbbreviation": first.get("UnitsAbbreviation") or "",
    }


def _event(event: Any) -> Any:
    deleted = isinstance(event, dict) and event.get("Action") == "Delete"
    return event | _DELETED if deleted else event


def _number(text: str) -> int:
    try:
        return max(int(text), 0)
    except ValueError:
        return 0
