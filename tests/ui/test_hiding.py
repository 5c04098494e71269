"""What is masked is found nowhere: not by searching, counting, reports or the audit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.ui.plants import Plant

HIDDEN = "hush-4711"


@pytest.fixture(scope="module")
def leaky(plant: Plant) -> Iterator[Plant]:
    """A plant with a dead letter whose error quotes what is masked."""
    plant.give(f"poison {HIDDEN}", "scratch")
    yield plant
    body = {"error": HIDDEN, "reason": "of a test", "count": 1}
    plant.ended(plant.post("/discards", body).json())


def found(plant: Plant, path: str, role: str) -> int:
    """How many an error is found in."""
    answer = plant.get(path, role, error=HIDDEN)
    return len(answer["messages"] if isinstance(answer, dict) else answer)


@pytest.mark.parametrize("path", ["/messages", "/dead-letters"])
def test_errors_are_searched_as_they_are_shown(leaky: Plant, path: str) -> None:
    assert [found(leaky, path, role) for role in ("data", "admin")] == [0, 1]


def test_a_store_that_cannot_mask_is_not_searched(leaky: Plant) -> None:
    query = {"error": HIDDEN, "ids": "0"}
    path = "/instances/plant/dead-letters"
    assert leaky.client("data").get(path, params=query).status_code == 400


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("/redrives", {"error": HIDDEN}),
        ("/replays", {"channel": "scratch", "text": HIDDEN}),
        ("/transfers", {"channel": "scratch", "target": "notes", "regex": "hush"}),
    ],
)
def test_what_is_masked_is_not_counted(
    leaky: Plant, path: str, given: dict[str, Any]
) -> None:
    refused = leaky.post(f"{path}/preview", given, "operate")
    assert (refused.status_code, "masked" in refused.text) == (400, True)
    assert leaky.post(path, {**given, "count": 1}, "operate").status_code == 400
    assert leaky.post(f"{path}/preview", given).json() == {"count": 1}


def test_reports_of_operations_tell_what_one_may_see(leaky: Plant) -> None:
    given = {"channel": "scratch", "state": "error"}
    count = leaky.post("/redrives/preview", {"channel": "scratch"}).json()["count"]
    assert leaky.post("/replays/preview", given).json()["count"] == count
    begun = leaky.post("/redrives", {"channel": "scratch", "count": count}, "operate")
    done = leaky.ended(begun.json())
    told = {
        role: leaky.client(role).get(f"/operations/{done['id']}").json()
        for role in ("view", "operate", "admin")
    }
    reports = {role: one["report"] for role, one in told.items()}
    errors = {role: one["failures"][-1]["error"] for role, one in reports.items()}
    assert errors["view"] is None
    assert "(masked)" in errors["operate"]
    assert HIDDEN in errors["admin"]
    listed = leaky.client("view").get("/operations").text
    assert "poison" not in listed


def test_the_audit_log_quotes_no_payload(leaky: Plant) -> None:
    body = {"channel": "scratch"}
    count = leaky.post("/redrives/preview", body).json()["count"]
    leaky.ended(leaky.post("/redrives", {**body, "count": count}).json())
    text = leaky.client().get("/audit", params={"action": "dead-redrive"}).text
    assert '\\"failed\\"' in text
    assert "poison" not in text
