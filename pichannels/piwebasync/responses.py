"""What PI answers, with PI's own keys and with attributes in snake case."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final, TypeAlias

import msgspec

from pichannels.errors import DecodeError
from pichannels.piwebasync.exceptions import HTTPStatusError, shown
from pichannels.piwebasync.login import offer
from pichannels.piwebasync.parsing import (
    Samples,
    TagLookup,
    channel_samples,
    parse_stream,
    parse_stream_set,
    to_samples,
)
from pichannels.piwebasync.rows import Row, rows_of
from pichannels.piwebasync.timed_values import error_text
from pichannels.piwebasync.webids import path_in

__all__ = ["APIResponse", "HTTPResponse", "WebsocketMessage", "snake_case"]

Object: TypeAlias = dict[str, Any]
"""A JSON object."""
Columns: TypeAlias = dict[str, list[Any]]
"""The values of each selected field."""

_WORD_STARTS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_passed_over: Final = msgspec.json.Decoder(msgspec.Raw).decode
_STREAM: Final = re.compile(r"/streams/([FIPLD]1[\w-]+)/")
_BAD: Final = 400
_UNAVAILABLE: Final = frozenset({502, 503, 504})
_READABLE: Final = re.compile(r"json|^text/|^$")


def snake_case(key: str) -> str:
    """PI's key as an attribute name: `PIServerName` is `pi_server_name`."""
    return _WORD_STARTS.sub("_", key).lower()


class APIResponse:
    """A JSON document of PI Web API.

    The keys of the top level are attributes in snake case (`response.web_id`);
    `dict()` has everything under PI's own keys. A key that is also the name of a
    member (`Url`) is only in `dict()`.
    """

    def __init__(self, raw_response: bytes, url: str) -> None:
        self.raw_response = raw_response
        """The bytes as they came."""
        self.url = url
        """Where they came from."""

    @cached_property
    def data(self) -> Any:
        """The JSON document of any kind; None where the body is none."""
        try:
            return msgspec.json.decode(self.raw_response)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._data_of_any_json()

    def _data_of_any_json(self) -> Any:
        try:
            return json.loads(self.raw_response)
        except (ValueError, RecursionError):
            return None

    @property
    def is_json(self) -> bool:
        """Whether the body is a JSON document other than `null`."""
        return self.data is not None

    def dict(self) -> Object:
        """The document under PI's own keys.

        A list becomes `{"Items": [...]}`. A body that is no JSON becomes
        `{"Errors": [...], "ResponseContent": text}`, an empty body `{}`.
        """
        if isinstance(self.data, dict):
            return dict(self.data)
        if isinstance(self.data, list):
            return {"Items": self.data}
        if not self.raw_response or self.data == "":
            return {}
        text = self.raw_response.decode("utf-8", "replace")
        errors = ["the content of the response is no JSON object"]
        return {"Errors": errors, "ResponseContent": text}

    def select(self, *fields: str) -> Columns:
        """The values of each field, such as `Items.Timestamp`, in PI's order.

        Lists are walked through: `Items.Value` is one list, `Items.Items.Value`
        one list for each stream. An item without the field gives None, so that
        the lists of several fields stay in step. A field at the top is a list of
        one; what is not there at all is an empty list. The state of a digital
        value is the object itself; `Items.Value.Name` selects from it.

        Raises:
            DecodeError: the document is nested too deeply.
        """
        document = self.dict()
        try:
            return {field: _selected(document, field.split(".")) for field in fields}
        except RecursionError as exc:
            size = f"{len(self.raw_response)} bytes are nested too deeply"
            raise DecodeError("a response of PI", size, self.raw_response) from exc

    def rows(self) -> list[Row]:
        """A flat row for each value of streams and stream sets, as tables want them.

        See `rows.rows_of`; timestamps stay as PI writes them.
        """
        return rows_of(self.dict())

    def samples(self, tags: TagLookup | None = None) -> Samples:
        """The values of streams and stream sets as samples.

        `tags` are known by WebID and by path. Events that cannot be understood are
        among the failures.

        Raises:
            DecodeError: the document is of no streams.
        """
        web_id = _STREAM.search(self.url)
        if web_id is None:
            return to_samples(parse_stream_set(self.raw_response), tags)
        path = path_in(web_id[1])
        name = path.rpartition("\\")[2] or web_id[1]
        message = parse_stream(self.raw_response, web_id[1], path, name)
        return to_samples(message, tags)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        keys = {snake_case(key): key for key in reversed(self.dict())}
        if name not in keys:
            raise AttributeError(f"the response has no {name!r}; it has {sorted(keys)}")
        return self.dict()[keys[name]]

    def __repr__(self) -> str:
        size = len(self.raw_response)
        return f"<{type(self).__name__} of {size} bytes from {shown(self.url)}>"


class HTTPResponse(APIResponse):
    """The answer to one HTTP request."""

    def __init__(
        self,
        http_status: int,
        url: str,
        headers: Mapping[str, str],
        raw_response: bytes,
        *,
        method: str = "GET",
        reason: str = "",
    ) -> None:
        super().__init__(raw_response, url)
        self.http_status = http_status
        """The status on the wire."""
        self.headers = headers
        self.method = method
        self.reason = reason

    @cached_property
    def status_code(self) -> int:
        """The status; of a 200 that turned into a failure, that failure's."""
        status = self.web_exception.get("StatusCode")
        return status if isinstance(status, int) else self.http_status

    @cached_property
    def error_messages(self) -> list[str]:
        """What PI reports as wrong with the whole request."""
        if self._is_unreadable:
            return ["the body is no JSON: " + self.text[:200]]
        body = self.data if isinstance(self.data, dict) else {}
        reports = [self.web_exception, body]
        if self.http_status < 400 and not self.web_exception:
            return []
        return [text for report in reports if (text := error_text(report))]

    @property
    def text(self) -> str:
        """The body as text."""
        return self.raw_response.decode("utf-8", "replace")

    def raise_for_status(self) -> None:
        """Raise unless the request succeeded.

        202, 204 (no body) and 207 (each part answers for itself) are successes; a
        200 whose `WebException` says that the answer broke off is none.

        Raises:
            HTTPStatusError: with the status and PI's reasons.
        """
        succeeded = 200 <= self.http_status < 300 and not self.web_exception
        if succeeded and not self._is_unreadable:
            return
        raise HTTPStatusError(
            self.method,
            self.url,
            self.status_code,
            self._said_reason,
            self.error_messages,
            offer(self.challenges) if self.http_status == 401 else "",
        )

    @property
    def _said_reason(self) -> str:
        """The words of `status_code`, which may be another one than on the wire."""
        if not self.web_exception:
            return self.reason
        known = {one.value: one.phrase for one in HTTPStatus if one >= _BAD}
        return known.get(self.status_code, "broken off")

    @property
    def challenges(self) -> list[str]:
        """How the server wants us to log in: its `WWW-Authenticate` headers."""
        items = self.headers.items()
        return [text for name, text in items if name.lower() == "www-authenticate"]

    @property
    def is_unavailable(self) -> bool:
        """Whether the server is at fault, and not the request.

        It is with 502, 503 and 504, and where a `WebException` broke the answer off,
        unless that has a status below 500.
        """
        if broken := self.web_exception:
            status = broken.get("StatusCode")
            return not isinstance(status, int) or status >= 500
        return self.http_status in _UNAVAILABLE

    @property
    def web_exception(self) -> Object:
        """What broke the answer off after PI had begun it with a 200, or `{}`."""
        # A large answer is not read a second time for what is hardly ever there.
        if b'"WebException"' not in self.raw_response:
            return {}
        body = self.data if isinstance(self.data, dict) else {}
        found = body.get("WebException")
        return found if isinstance(found, dict) else {}

    @property
    def _is_unreadable(self) -> bool:
        """A body that should be JSON and is not (a proxy's page, a cut answer)."""
        media = self.headers.get("Content-Type", "")
        if not self.raw_response.strip() or not _READABLE.search(media):
            return False
        return not (_is_valid(self.raw_response) or self.is_json)


class WebsocketMessage(APIResponse):
    """One message of a PI channel; `url` is the channel's."""

    def samples(self, tags: TagLookup | None = None) -> Samples:
        """The values of the message as samples; none of a heartbeat.

        Raises:
            DecodeError: this is no message of a channel.
        """
        return channel_samples(self.raw_response, tags)


def _is_valid(raw: bytes) -> bool:
    """Whether it is JSON, which is told without reading what it says."""
    try:
        _passed_over(raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return raw[:9].strip() != b"null"


def _selected(document: dict[str, Any], keys: list[str]) -> list[Any]:
    if keys[0] not in document:
        return []
    found = _walk(document, keys)
    return found if isinstance(found, list) else [found]


def _walk(found: Any, keys: list[str]) -> Any:
    if isinstance(found, list):
        return [_walk(item, keys) for item in found]
    if not keys:
        return found
    if not isinstance(found, dict):
        return None
    key, *rest = keys
    # A stream without Items has no values; None would break the nesting.
    missing: list[Any] | None = [] if rest and key == "Items" else None
    inner = found.get(key)
    return missing if inner is None else _walk(inner, rest)
