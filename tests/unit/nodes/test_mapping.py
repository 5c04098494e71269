"""Dicts with other names: what goes where, and what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from nodes._paths import NoSuchPlace
from nodes.mapping import JoinMapItem, Map, MapItem, ToOrderedDict
from pichannels.errors import UsageError
from pichannels.message import Message
from pichannels.node import BaseNode

PERSON = {"name": {"first": "Jane", "last": "Doe"}, "age": 0, "note": "", "tags": ["x"]}


def given_to(node: BaseNode, payload: Any) -> Any:
    return node.process(Message(payload=payload, meta={"unit": 7})).payload


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (MapItem("age"), {"age": 0}),
        (MapItem("name.last", "surname"), {"surname": "Doe"}),
        (MapItem("name.last", "who.surname"), {"who": {"surname": "Doe"}}),
        (MapItem("tags.0", "tag"), {"tag": "x"}),
        (MapItem("tags.1", "tag"), {"tag": None}),
        (MapItem("gone.deep", "x"), {"x": None}),
        (MapItem("gone", "x", default=5), {"x": 5}),
        (MapItem("note", default="none"), {"note": "none"}),
        (MapItem("age", default=5), {"age": 0}),
        (MapItem(new="kind", default="person"), {"kind": "person"}),
        (MapItem("age", transform=lambda age, msg: age + msg.meta["unit"]), {"age": 7}),
        (JoinMapItem(["name.first", "name.last"], "n", " "), {"n": "Jane Doe"}),
        (JoinMapItem(["gone", "note", "age"], "n", "-"), {"n": "0"}),
        (JoinMapItem([], "a.b"), {"a": {"b": ""}}),
    ],
)
def test_a_field_goes_where_its_item_says(
    item: MapItem | JoinMapItem, expected: dict[str, Any]
) -> None:
    assert given_to(Map([item]), PERSON) == expected


def test_fields_that_came_stay_on_request_behind_the_mapping() -> None:
    node = Map([MapItem("b", "a.x"), MapItem("c", "b")], recopy=True)
    payload = {"a": {"y": 1}, "b": 2, "c": 3}
    assert given_to(node, payload) == {"a": {"y": 1, "x": 2}, "b": 3, "c": 3}


def test_what_comes_last_goes_before() -> None:
    assert given_to(Map([MapItem("a"), MapItem("b", "a")]), {"a": 1, "b": 2}) == {
        "a": 2
    }


@pytest.mark.parametrize(("path", "place"), [("in", 0), ("list.1", 1), ("", 2)])
def test_a_dict_inside_the_payload_is_mapped(path: str, place: int) -> None:
    payloads: list[Any] = [
        {"in": {"a": 1}, "b": 2},
        {"list": [0, {"a": 1}]},
        {"a": 1},
    ]
    expected = [{"in": {"z": 1}, "b": 2}, {"list": [0, {"z": 1}]}, {"z": 1}]
    node = Map([MapItem("a", "z")], path=path)
    assert given_to(node, payloads[place]) == expected[place]


@pytest.mark.parametrize(
    ("path", "payload", "told"),
    [
        ("", [1], "a dict as the payload, and got list"),
        ("a.b", {"a": {}}, "a dict at 'a.b' of the payload, and got nothing"),
        ("a.5", {"a": [1]}, "and got nothing"),
    ],
)
def test_a_payload_without_the_dict_fails_alone(
    path: str, payload: Any, told: str
) -> None:
    with pytest.raises(NoSuchPlace, match=told):
        given_to(Map([MapItem("a")], path=path), payload)


def test_an_item_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(UsageError, match="needs old or new"):
        MapItem(default=1)


def test_a_mapping_of_something_else_is_refused() -> None:
    wrong: Any = [("a", "b")]
    with pytest.raises(UsageError, match="takes MapItem and JoinMapItem"):
        Map(wrong)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"c": 3, "a": 1, "x": 9}, {"a": 1, "b": 0, "c": 3}),
        ({}, {"b": 0}),
        ({"b": None}, {"b": None}),
    ],
)
def test_fields_are_put_in_order(
    payload: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = given_to(ToOrderedDict(["a", "b", "c"], {"b": 0}), payload)
    assert (found, list(found)) == (expected, list(expected))


def test_a_dict_inside_the_payload_is_put_in_order() -> None:
    node = ToOrderedDict(["b", "a"], path="in")
    assert list(given_to(node, {"in": {"a": 1, "b": 2}})["in"]) == ["b", "a"]
