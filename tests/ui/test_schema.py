"""The API keeps to its OpenAPI document, whatever it is asked.

`PICHANNELS_API_EXAMPLES` says how often each route is tried; few by default.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.ui.plants import Plant

EXAMPLES = int(os.environ.get("PICHANNELS_API_EXAMPLES", "1"))
LEFT_OUT = ("/events", "/stop", "/settings/", "/session", "/verifications", "/traces")
"""What does not end, ends the plant, or takes a process for each call."""
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def test_answers_are_those_of_the_document(plant: Plant) -> None:
    document = plant.client().get("/openapi.json").json()
    schema: Any = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=plant.url)
    headers = {"Authorization": f"Bearer {plant.tokens['admin']}"}
    tried = 0
    for found in schema.get_all_operations():
        operation: Any = found.ok()
        if any(part in operation.path for part in LEFT_OUT):
            continue

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def attempt(case: Any) -> None:
            if "instance" in case.path_parameters:
                case.path_parameters["instance"] = "plant"
            case.call_and_validate(headers=headers, checks=CHECKS)

        attempt()
        tried += 1
    assert tried > 40


def test_the_document_tells_who_may(plant: Plant) -> None:
    paths = plant.client("view").get("/openapi.json").json()["paths"]
    stop = paths["/api/v1/instances/{instance}/stop"]["post"]
    assert stop["x-role"] == "admin"
    assert paths["/api/v1/session"]["post"]["security"] == []


@pytest.mark.parametrize("role", ["view", "admin"])
def test_the_document_is_for_those_who_logged_in(plant: Plant, role: str) -> None:
    assert plant.client(role).get("/openapi.json").status_code == 200
