"""The errors keep piwebasync's tree and say what a reader needs."""

from __future__ import annotations

import pytest

from pichannels.errors import PichannelsError, UsageError
from pichannels.piwebasync import exceptions as exc

PARENTS = {
    "PIWebAsyncException": PichannelsError,
    "APIException": exc.PIWebAsyncException,
    "SerializationError": exc.APIException,
    "HTTPClientError": exc.PIWebAsyncException,
    "HTTPStatusError": exc.HTTPClientError,
    "WebsocketClientError": exc.PIWebAsyncException,
    "ChannelClosed": exc.WebsocketClientError,
    "ChannelClosedOK": exc.ChannelClosed,
    "ChannelClosedError": exc.ChannelClosed,
    "ChannelUpdateError": exc.WebsocketClientError,
    "ChannelRollback": exc.WebsocketClientError,
    "WatchdogTimeout": exc.WebsocketClientError,
}


@pytest.mark.parametrize(("name", "parent"), PARENTS.items())
def test_each_name_stands_where_piwebasync_has_it(name: str, parent: type) -> None:
    assert issubclass(getattr(exc, name), parent)


def test_callers_of_the_standard_errors_catch_ours_too() -> None:
    assert issubclass(exc.APIException, ValueError)
    assert issubclass(exc.ChannelOpenTimeout, TimeoutError)
    assert issubclass(exc.ChannelInUse, RuntimeError | UsageError)


def test_a_status_error_tells_status_request_and_reasons() -> None:
    error = exc.HTTPStatusError("GET", "https://h/x", 404, "Not Found", ["No tag."])
    assert str(error) == "404 Not Found from GET https://h/x: No tag."


def test_the_url_of_a_large_channel_does_not_fill_the_log() -> None:
    url = "wss://h/channel?" + "webId=W&" * 5000
    error = exc.ChannelClosedError(url, "network", 1011)
    assert len(str(error)) < 300 and error.url == url
