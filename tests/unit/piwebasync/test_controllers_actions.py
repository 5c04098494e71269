"""Every action of PI Web API has a method, and what the methods make is sound."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from yarl import URL

from pichannels.piwebasync import Controller
from pichannels.piwebasync.controllers_base import Resource
from pichannels.piwebasync.exceptions import APIException, SerializationError
from pichannels.piwebasync.requests import APIRequest

ACTIONS = Path(__file__).parents[2] / "fixtures" / "piwebapi_actions.txt"
CONTROLLER = Controller("https", "pi", root="/piwebapi")
# Paths that came after 2018 SP1; the seed's client has them.
NEWER = {
    ("GET", "/eventframes/{webid}/annotations/{id}/attachment/media"),
    ("GET", "/eventframes/{webid}/annotations/{id}/attachment/media/mediadata"),
}
IN_PATHS = {
    "webid": "{webId}",
    "name": "{name}",
    "id": "{id}",
    "search_id": "{searchId}",
    "marker": "{marker}",
    "key": "{key}",
}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
PARTS = TEXTS.filter(lambda text: text not in (".", ".."))
MOMENTS = TEXTS | st.datetimes(
    datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)
)
OBJECTS = st.dictionaries(TEXTS, st.integers() | TEXTS, max_size=3)
# Some controllers take arguments by the hundred.
LARGE = [
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.large_base_example,
]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "str": PARTS,
    "Text": TEXTS,
    "Flag": st.booleans(),
    "Count": st.integers(),
    "Several": st.lists(TEXTS, min_size=1, max_size=3) | TEXTS,
    "Many": st.lists(TEXTS, min_size=1, max_size=3) | TEXTS,
    "Moment": MOMENTS,
    "Time": MOMENTS,
    "Times": st.lists(MOMENTS, min_size=1, max_size=3),
    "Body": OBJECTS,
    "Bodies": st.lists(OBJECTS, max_size=3),
}


def methods() -> Iterator[tuple[str, Callable[..., APIRequest]]]:
    for name in sorted(vars(Controller)):
        resource = getattr(CONTROLLER, name)
        if isinstance(resource, Resource):
            for action, method in inspect.getmembers(resource, inspect.ismethod):
                if not action.startswith("_"):
                    yield f"{name}.{action}", method


METHODS = dict(methods())


def parameters(method: Callable[..., APIRequest]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(method).parameters)


def kind(parameter: inspect.Parameter) -> str:
    assert isinstance(parameter.annotation, str)
    return parameter.annotation


def example(method: Callable[..., APIRequest]) -> APIRequest:
    """The request with what has to be given, and WebIDs where one is needed."""
    given = {
        name: _needed(name, parameter)
        for name, parameter in parameters(method).items()
        if parameter.default is parameter.empty or name == "webid"
    }
    return method(**given)


def _needed(name: str, parameter: inspect.Parameter) -> Any:
    found = kind(parameter)
    if found == "Body":
        return {}
    return [] if found == "Bodies" else IN_PATHS.get(name, "x")


def actions() -> set[tuple[str, str]]:
    """Verb and path of each action of the swagger, in lower case, as PI reads them."""
    lines = ACTIONS.read_text("utf-8").splitlines()
    pairs = (line.split(" ", 1) for line in lines if not line.startswith("#"))
    return {(verb, path.partition("#")[0].lower()) for verb, path in pairs}


def made() -> set[tuple[str, str]]:
    found = set()
    for method in METHODS.values():
        request = example(method)
        path = unquote(request.path.removeprefix("/piwebapi")).lower()
        found.add((request.method, path))
    return found


def test_the_swagger_has_all_its_paths() -> None:
    lines = ACTIONS.read_text("utf-8").splitlines()
    paths = {line.split(" ", 1)[1] for line in lines if not line.startswith("#")}
    assert len(paths) == 263


def test_every_action_of_the_swagger_has_a_method() -> None:
    assert sorted(actions() - made()) == []


def test_every_method_is_an_action_of_the_swagger() -> None:
    assert made() - actions() == NEWER


@pytest.mark.parametrize("name", METHODS)
def test_methods_say_what_they_are_for(name: str) -> None:
    assert (inspect.getdoc(METHODS[name]) or "").partition("\n")[0].endswith(".")


def meant(value: Any) -> list[str]:
    """What stands in the query for a value, before it is encoded."""
    if isinstance(value, list):
        return [text for one in value for text in meant(one)]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, datetime):
        return [value.replace(tzinfo=None).isoformat() + "Z"]
    return [str(value)]


def camel(name: str) -> str:
    spelled = {"webid": "web_id", "is_acknowleged": "is_acknowledged"}.get(name, name)
    first, *rest = spelled.split("_")
    return first + "".join(part.capitalize() for part in rest)


def parts_of(path: str) -> list[str]:
    return [unquote(part) for part in path.split("/")]


def in_its_place(name: str, value: Any, template: list[str]) -> str:
    """What stands in the path; security entries have no backslash in theirs."""
    is_entry = name == "name" and "securityentries" in template
    return str(value).replace("\\", "*") if is_entry else str(value)


def query_of(asked: dict[str, Any]) -> dict[str, list[str]]:
    """Keys and texts of what is not in the path."""
    found = {}
    for name, value in asked.items():
        texts = meant(value)
        if camel(name) in ("selectedFields", "associations"):
            texts = [";".join(texts)]
        found[camel(name)] = texts
    return found


def drawn(method: Callable[..., APIRequest], data: st.DataObject) -> dict[str, Any]:
    kinds = {name: kind(found) for name, found in parameters(method).items()}
    return {name: data.draw(VALUES[kinds[name]], name) for name in kinds}


def check_url(method: Callable[..., APIRequest], asked: dict[str, Any]) -> None:
    """Path and query, taken apart by the standard library, have what was asked."""
    request = method(**asked)
    path, query = urlsplit(request.absolute_url)[2:4]
    template = parts_of(example(method).path)
    places = {IN_PATHS[n]: n for n in asked if IN_PATHS.get(n) in template}
    expected = [
        in_its_place(n, asked[n], template) if (n := places.get(p, "")) else p
        for p in template
    ]
    assert parts_of(path) == expected
    rest = {n: v for n, v in asked.items() if n not in (*places.values(), "body")}
    sent = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
    assert sent == query_of(rest)
    # An HTTP library would change what is not encoded as it would itself.
    assert str(URL(request.absolute_url, encoded=True)) == request.absolute_url


@pytest.mark.parametrize("controller", sorted({n.partition(".")[0] for n in METHODS}))
@settings(max_examples=5, deadline=None, suppress_health_check=LARGE)
@given(data=st.data())
def test_what_is_asked_comes_back_out_of_the_url(
    controller: str, data: st.DataObject
) -> None:
    for name, method in METHODS.items():
        if name.startswith(f"{controller}."):
            check_url(method, drawn(method, data))


WRONG: dict[str, Any] = {
    "Text": 5,
    "Flag": "yes",
    "Count": "ten",
    "Many": [1],
    "Time": 1.5,
    "Times": 7,
    "Several": {"W"},
    "Moment": 1,
    "str": ["W"],
    "Body": "{}",
    "Bodies": {},
}


@pytest.mark.parametrize("name", METHODS)
def test_arguments_of_another_type_are_named(name: str) -> None:
    method = METHODS[name]
    for argument, parameter in parameters(method).items():
        with pytest.raises(SerializationError, match=f"^{argument} cannot be"):
            method(**{argument: WRONG[kind(parameter)]})


def test_true_is_no_count() -> None:
    with pytest.raises(SerializationError, match="max_count cannot be True"):
        CONTROLLER.dataservers.get_points("W", max_count=True)


def test_a_required_text_cannot_be_left_out() -> None:
    nothing: Any = None
    with pytest.raises(APIException, match="path cannot be None"):
        CONTROLLER.points.get_by_path(nothing)


def test_a_missing_argument_is_told_by_python() -> None:
    get: Any = CONTROLLER.points.get
    with pytest.raises(TypeError, match="webid"):
        get()


def test_the_body_travels_with_the_request() -> None:
    request = CONTROLLER.elements.create_element("W", {"Name": "Pump1"})
    assert (request.method, request.json) == ("POST", {"Name": "Pump1"})
    assert request != CONTROLLER.elements.create_element("W", {"Name": "Pump2"})


def test_names_of_security_entries_have_no_backslash() -> None:
    request = CONTROLLER.elements.delete_security_entry("W", r"PLANT\operator")
    assert unquote(request.path).endswith("/elements/W/securityentries/PLANT*operator")


def test_the_home_page_is_the_root_itself() -> None:
    assert CONTROLLER.home.get().absolute_url == "https://pi/piwebapi/"


@pytest.mark.parametrize(
    "make",
    [
        lambda: CONTROLLER.streamsets.register_stream_set_updates([]),
        lambda: CONTROLLER.streamsets.retrieve_stream_set_updates([]),
        lambda: CONTROLLER.streamsets.get_plot_adhoc([]),
        lambda: CONTROLLER.attributetraits.get_by_category([]),
    ],
)
def test_requests_that_name_nothing_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(APIException, match="needs"):
        make()


def test_markers_repeat_their_key() -> None:
    request = CONTROLLER.streamsets.retrieve_stream_set_updates(["m_1", "n_1"])
    assert parse_qs(urlsplit(request.absolute_url).query) == {"marker": ["m_1", "n_1"]}


SF = "selected_fields web_id_type"
FRAMES = (
    "search_mode start_time end_time name_filter referenced_element_name_filter"
    " {more}severity can_be_acknowledged is_acknowleged search_full_hierarchy"
    f" sort_field sort_order start_index max_count {SF}"
)
OF_THE_SEED = {
    "get": f"webid {SF}",
    "get_by_path": f"path {SF}",
    "acknowledge": "webid",
    "execute_search_by_attribute": "search_id " + FRAMES.format(more=""),
    "get_annotation_by_id": f"webid id {SF}",
    "get_annotation_attachment_media_by_id": f"webid id disposition {SF}",
    "get_annotation_attachment_media_data_by_id": "webid id disposition",
    "get_annotation_attachment_media_metadata_by_id": f"webid id disposition {SF}",
    "get_annotations": f"webid {SF}",
    "get_categories": f"webid {SF}",
    "get_event_frames": "webid "
    + FRAMES.format(
        more="category_name template_name referenced_element_template_name "
    ),
    "get_event_frames_query": f"database_web_id query start_index max_count {SF}",
    "get_multiple": f"webid path include_mode as_parallel {SF} associations",
    "get_referenced_elements": f"webid {SF} associations",
    "get_security": f"webid user_identity force_refresh {SF}",
    "get_security_entries": f"webid name_filter {SF}",
    "get_security_entry_by_name": f"webid name {SF}",
}


@pytest.mark.parametrize("name", OF_THE_SEED)
def test_event_frames_have_the_arguments_of_the_seed(name: str) -> None:
    method = getattr(CONTROLLER.eventframes, name)
    assert list(parameters(method)) == OF_THE_SEED[name].split()
