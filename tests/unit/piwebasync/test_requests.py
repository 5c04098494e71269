"""Requests say in their URL exactly what their arguments say."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given, strategies as st
from yarl import URL

from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.exceptions import APIException, SerializationError
from pichannels.piwebasync.requests import APIRequest, with_safe_chars

CONTROLLER = Controller("https", "pi.example.org", root="piwebapi")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def sent(request: APIRequest) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(request.absolute_url).query, keep_blank_values=True)


def a_request(**params: Any) -> APIRequest:
    return APIRequest("/", "GET", "HTTP", "points", "https", "h", **params)


def test_a_point_by_path_is_the_url_that_pi_expects() -> None:
    request = CONTROLLER.points.get_by_path(r"\\SRV\A+B&C#1%")
    assert request.absolute_url == (
        "https://pi.example.org/piwebapi/points?path=%5C%5CSRV%5CA%2BB%26C%231%25"
    )


@given(TEXT, st.lists(TEXT, min_size=1, max_size=4), TEXT)
def test_every_text_comes_back_out_of_the_url(
    web_id: str, names: list[str], other: str
) -> None:
    request = a_request(web_id=names, name_filter=other, sort_field="", add_path=None)
    expected = [("webId", name) for name in names]
    assert sent(request) == [*expected, ("nameFilter", other), ("sortField", "")]


@given(TEXT.filter(lambda text: text not in (".", "..")))
def test_a_web_id_stays_one_part_of_the_path(web_id: str) -> None:
    path = CONTROLLER.streams.get_end(web_id).path
    assert [unquote(part) for part in path.split("/")[1:]] == [
        "piwebapi",
        "streams",
        web_id,
        "end",
    ]


@given(st.dictionaries(st.sampled_from(["path", "name_filter", "time"]), TEXT))
def test_an_http_library_does_not_change_the_url(params: dict[str, str]) -> None:
    url = a_request(**params).absolute_url
    assert str(URL(url, encoded=True)) == url
    assert dict(URL(url, encoded=True).query) == dict(sent(a_request(**params)))


def test_false_and_zero_are_sent_and_none_is_not() -> None:
    request = CONTROLLER.streamsets.get_channel(
        "W", include_initial_values=False, heartbeat_rate=0, show_hidden=True
    )
    assert request.query == (
        "showHidden=true&includeInitialValues=false&heartbeatRate=0"
    )


def test_lists_repeat_their_key_but_two_are_joined() -> None:
    request = CONTROLLER.streams.get_recorded(
        "W", selected_fields=["Items.Value", "Links.Next"], associations=["Annotations"]
    )
    assert request.params["selectedFields"] == "Items.Value;Links.Next"
    summary = CONTROLLER.streams.get_summary("W", summary_type=["Total", "Count"])
    assert summary.query == "summaryType=Total&summaryType=Count"


def test_one_text_is_taken_as_a_list_of_one() -> None:
    sets = CONTROLLER.streamsets
    assert sets.get_end_adhoc("W") == sets.get_end_adhoc(["W"])
    assert sets.get_end_adhoc("W").query == "webId=W"


def test_times_are_sent_as_utc_with_z() -> None:
    plus_two = datetime(2023, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert a_request(time=plus_two).params == {"time": "2023-01-01T00:00:00Z"}
    half = datetime(2023, 1, 1, microsecond=500_000, tzinfo=UTC)
    assert a_request(time=half).params == {"time": "2023-01-01T00:00:00.500000Z"}


def test_a_channel_request_uses_the_websocket_scheme() -> None:
    request = CONTROLLER.streamsets.get_channel_adhoc(["A", "B"])
    assert request.protocol == "Websocket"
    assert request.absolute_url == (
        "wss://pi.example.org/piwebapi/streamsets/channel?webId=A&webId=B"
    )
    assert Controller("wss", "h").points.get("W").scheme == "https"


def test_port_and_address_stand_in_the_url() -> None:
    request = Controller("http", "::1", 8080).dataservers.list()
    assert request.absolute_url == "http://[::1]:8080/dataservers"


@pytest.mark.parametrize(
    "value", [object(), datetime(2023, 1, 1), float("nan"), {"a"}, "\ud800", [None]]
)
def test_a_parameter_without_a_form_is_named(value: Any) -> None:
    with pytest.raises(SerializationError, match="time cannot be"):
        a_request(time=value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: APIRequest("/", "FETCH", "HTTP", "points", "https", "h"),
        lambda: APIRequest("/", "GET", "FTP", "points", "https", "h"),
        lambda: APIRequest("/", "GET", "HTTP", "points", "gopher", "h"),
        lambda: APIRequest("/", "GET", "HTTP", "points", "https", "h/x"),
        lambda: APIRequest("/", "GET", "HTTP", "points", "https", "h", "0"),
        lambda: CONTROLLER.points.get_multiple(),
        lambda: CONTROLLER.streamsets.get_end_adhoc([]),
        lambda: CONTROLLER.streams.get_end("").path,
        lambda: CONTROLLER.streams.get_end("..").path,
    ],
)
def test_a_request_that_cannot_be_sent_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(APIException):
        make()


def test_a_list_where_one_web_id_belongs_names_the_other_method() -> None:
    several: Any = ["A", "B"]
    with pytest.raises(APIException, match="_adhoc take several"):
        CONTROLLER.streamsets.get_end(several)


def test_editors_see_the_arguments_in_pi_s_order() -> None:
    names = list(inspect.signature(CONTROLLER.dataservers.get_points).parameters)
    assert names[:5] == [
        "webid",
        "name_filter",
        "source_filter",
        "start_index",
        "max_count",
    ]


def test_safe_characters_go_bare_without_changing_the_request() -> None:
    url = CONTROLLER.points.get_by_path(r"\\SRV\A&B").absolute_url
    bare = with_safe_chars(url, "/?:=&%;\\")
    assert bare.endswith(r"points?path=\\SRV\A%26B")
    assert parse_qsl(urlsplit(bare).query) == [("path", r"\\SRV\A&B")]
