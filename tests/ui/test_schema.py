"""The API keeps to its OpenAPI document, whatever it is asked.

`PICHANNELS_API_EXAMPLES` says how often each route is tried; few by default.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pichannels.ui.api.examples import BODIES
from pichannels.ui.app import DECLARED
from tests.ui.plants import Plant

EXAMPLES = int(os.environ.get("PICHANNELS_API_EXAMPLES", "1"))
ELSEWHERE = ("/events", "/stop")
"""What does not end, or ends the plant, is asked of an instance that is not there."""
SLOW = ("/session", "/settings/", "/verifications", "/traces", "/tests")
"""What takes a process or a password each time, or reads all: tried once."""
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def can_be_wrong(operation: Any) -> bool:
    """Whether there is anything to be wrong, beside the names in a path."""
    return bool(operation.body or operation.query)


def trying(
    operation: Any, mode: GenerationMode, examples: int, headers: dict[str, str]
) -> Callable[[], None]:
    """What asks a route with generated data, and looks at the answers."""
    place = "nowhere" if operation.path.endswith(ELSEWHERE) else "plant"

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def attempt(case: Any) -> None:
        if "instance" in case.path_parameters:
            case.path_parameters["instance"] = place
        case.call_and_validate(headers=headers, checks=CHECKS)

    return attempt


@pytest.mark.timeout(60 + 4 * EXAMPLES)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_answers_are_those_of_the_document(plant: Plant, mode: GenerationMode) -> None:
    document = plant.client().get("/openapi.json").json()
    schema: Any = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=plant.url)
    headers = {"Authorization": f"Bearer {plant.tokens['admin']}"}
    is_wrong = mode is GenerationMode.NEGATIVE
    tried, most = 0, EXAMPLES // 5 or 1 if is_wrong else EXAMPLES
    for found in schema.get_all_operations():
        operation: Any = found.ok()
        if is_wrong and not can_be_wrong(operation):
            continue
        is_slow = any(part in operation.path for part in SLOW)
        trying(operation, mode, 1 if is_slow else most, headers)()
        tried += 1
    assert tried > (40 if is_wrong else 70)


def test_the_document_tells_who_may(plant: Plant) -> None:
    paths = plant.client("view").get("/openapi.json").json()["paths"]
    stop = paths["/api/v1/instances/{instance}/stop"]["post"]
    assert stop["x-role"] == "admin"
    assert paths["/api/v1/session"]["post"]["security"] == []


@pytest.mark.parametrize("role", ["view", "admin"])
def test_the_document_is_for_those_who_logged_in(plant: Plant, role: str) -> None:
    assert plant.client(role).get("/openapi.json").status_code == 200


def test_all_that_goes_in_and_out_is_described(plant: Plant) -> None:
    document = plant.client("view").get("/openapi.json").json()
    operations = [
        (f"{method} {path}", one)
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    ]
    missing = [
        (name, each["name"])
        for name, one in operations
        for each in one.get("parameters", ())
        if not each.get("description")
    ]
    schemas = document["components"]["schemas"].items()
    missing += [
        (name, field)
        for name, schema in schemas
        for field, one in schema.get("properties", {}).items()
        if not one.get("description")
    ]
    missing += [(name, "") for name, one in operations if not one["description"]]
    assert missing == []
    tagged = {tag for _, one in operations for tag in one["tags"]}
    assert tagged == {each["name"] for each in document["tags"]}


def test_the_document_tells_of_feeds_and_of_when_to_come_again(plant: Plant) -> None:
    paths = plant.client("view").get("/openapi.json").json()["paths"]
    answers = paths["/api/v1/instances/{instance}/events"]["get"]["responses"]
    assert list(answers["200"]["content"]) == ["text/event-stream"]
    assert list(answers["429"]["headers"]) == ["Retry-After"]


def test_bodies_have_examples_that_can_be_sent() -> None:
    bodies = {each.body.__name__: each.body for each in DECLARED if each.body}
    assert set(BODIES) == set(bodies)
    for name, body in bodies.items():
        assert msgspec.convert(BODIES[name], body)


def test_errors_have_examples(plant: Plant) -> None:
    document = plant.client("view").get("/openapi.json").json()
    answers = document["paths"]["/api/v1/instances/{instance}/replays"]["post"]
    told = answers["responses"]["409"]["content"]["application/json"]["example"]
    assert told["error"]["count"] == 412
    (example,) = document["components"]["schemas"]["Replay"]["examples"]
    assert example["count"] == 412
