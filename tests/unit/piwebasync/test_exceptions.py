"""The errors keep piwebasync's tree and say what a reader needs."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

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


URL = "https://h/x"
ONES: list[exc.PIWebAsyncException] = [
    exc.PIWebAsyncException("wrong"),
    exc.APIException("wrong"),
    exc.SerializationError("path", 5, "a text"),
    exc.NotARequest("http://h"),
    exc.AuthFailed("no ticket"),
    exc.HTTPClientError("GET", URL, "too late"),
    exc.HTTPStatusError("GET", URL, 404, "Not Found", ["No tag."], "Negotiate"),
    exc.WebsocketClientError("wrong"),
    exc.ChannelRefused(URL, 503, "Busy", "later", "", 7.0),
    exc.ChannelOpenTimeout(URL, 5.0),
    exc.ChannelInUse(),
    exc.StreamStateError("it runs"),
    exc.ChannelClosed(URL, "gone", 1011),
    exc.ChannelClosedOK(URL, "gone"),
    exc.ChannelClosedError(URL, "gone", 1006),
    exc.ChannelNotOpen(URL),
    exc.ChannelUpdateError(URL, "refused"),
    exc.ChannelRollback(URL, "https://h/y", "refused"),
    exc.WatchdogTimeout(URL, 60.0),
]


def kinds(root: type[exc.PIWebAsyncException]) -> Iterator[type]:
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def test_each_error_of_this_module_is_among_those_that_are_pickled() -> None:
    found = set(kinds(exc.PIWebAsyncException))
    assert {one for one in found if one.__module__ == exc.__name__} == set(
        map(type, ONES)
    )


@pytest.mark.parametrize("error", ONES, ids=lambda error: type(error).__name__)
def test_an_error_can_be_sent_between_processes(
    error: exc.PIWebAsyncException,
) -> None:
    error.add_note("noted")
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found)) == (type(error), str(error))
    assert (vars(found), found.args) == (vars(error), error.args)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://bob:pw@h/points?a=@b", "http://...@h/points?a=@b"),
        ("wss://bob@h:443", "wss://...@h:443"),
        ("http://bob:p@w@h/", "http://...@h/"),
        ("http://h/points?path=x@y", "http://h/points?path=x@y"),
    ],
)
def test_a_login_in_a_url_is_not_shown(url: str, said: str) -> None:
    assert exc.shown(url) == said
    assert said in str(exc.HTTPClientError("GET", url, "too late"))
