"""Events come as they happen; settings are compared, applied and put back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.ui.plants import Plant


def events(lines: Iterator[str]) -> Iterator[Any]:
    """What a feed of server-sent events tells."""
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def pause(plant: Plant) -> None:
    """Let something happen."""
    plant.post("/channels/scratch/pause")
    plant.post("/channels/scratch/resume")


def test_events_are_sent_by_the_server(plant: Plant) -> None:
    with plant.client("view").stream("GET", "/instances/plant/events") as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": following"
        acting = threading.Thread(target=pause, args=(plant,))
        acting.start()
        one = next(e for e in events(lines) if e["event"] == "channel.state")
        acting.join()
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (one["instance"], one["facts"]["channel"]) == ("plant", "scratch")


def test_events_come_over_a_websocket(plant: Plant) -> None:
    url = plant.url.replace("http", "ws") + "/api/v1/instances/plant/socket"
    token = {"Authorization": f"Bearer {plant.tokens['view']}"}
    with connect(url, additional_headers=token) as socket:
        pause(plant)
        while (one := json.loads(socket.recv()))["event"] != "channel.state":
            continue
    assert (one["instance"], one["facts"]["channel"]) == ("plant", "scratch")


def test_who_comes_again_is_told_what_has_happened_meanwhile(plant: Plant) -> None:
    place = "/instances/plant/events"
    with plant.client("view").stream("GET", place) as answer:
        lines = answer.iter_lines()
        next(lines)
        acting = threading.Thread(target=pause, args=(plant,))
        acting.start()
        first = next(e for e in events(lines) if e["event"] == "channel.state")
        acting.join()
    again = {"Last-Event-ID": first["id"]}
    with plant.client("view").stream("GET", place, headers=again) as answer:
        found = events(answer.iter_lines())
        second = next(e for e in found if e["event"] == "channel.state")
    url = (
        plant.url.replace("http", "ws") + f"/api/v1{place.replace('events', 'socket')}"
    )
    token = {"Authorization": f"Bearer {plant.tokens['view']}"}
    with connect(f"{url}?after={first['id']}", additional_headers=token) as socket:
        while (one := json.loads(socket.recv()))["event"] != "channel.state":
            continue
    assert first["id"] != second["id"] == one["id"]
    assert (first["facts"]["new"], second["facts"]["old"]) == ("paused", "paused")


def test_viewers_are_told_of_errors_without_what_they_say(plant: Plant) -> None:
    with plant.client("view").stream("GET", "/instances/plant/events") as answer:
        lines = answer.iter_lines()
        next(lines)
        acting = threading.Thread(target=plant.give, args=("poison pill", "scratch"))
        acting.start()
        one = next(e for e in events(lines) if e["event"] == "message.failed")
        acting.join()
    assert "pill" not in str(one)


def test_lines_of_the_log_come_as_they_are_written_without_what_is_masked(
    plant: Plant,
) -> None:
    query = {"channel": "scratch", "level": "ERROR"}
    route = "/instances/plant/log/events"
    with plant.client("data").stream("GET", route, params=query) as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": following"
        given = {"secret": 1, "of": "poison log"}
        acting = threading.Thread(target=plant.give, args=(given, "scratch"))
        acting.start()
        one = next(events(lines))
        acting.join()
    assert (one["node"], one["channel"]) == ("scratch.check", "scratch")
    kept = plant.get("/log", "data", message_id=one["message_id"])["lines"]
    assert one["number"] in [line["number"] for line in kept]
    refused = plant.client("view").get("/instances/plant/log")
    assert refused.status_code == 403


def test_a_tap_shows_what_passes_a_node_without_what_is_masked(plant: Plant) -> None:
    route = "/instances/plant/nodes/scratch.check/events"
    with plant.client("data").stream("GET", route) as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": following"
        given = {"secret": "hidden", "n": 1}
        acting = threading.Thread(target=plant.give, args=(given, "scratch"))
        acting.start()
        one = next(events(lines))
        acting.join()
    shown = {"secret": "(masked)", "n": 1}
    payloads = [each["payload"] for each in (one["came"], *one["left"])]
    assert (payloads, one["error"]) == ([shown, shown], "")
    assert plant.client("view").get(route).status_code == 403


def test_a_sink_is_paused_and_has_its_figures(plant: Plant) -> None:
    paused = plant.post("/sinks/boiler.taken/pause", role="operate").json()
    kept = {each["name"]: each["is_paused"] for each in plant.get("/sinks", "view")}
    resumed = plant.post("/sinks/boiler.taken/resume", role="operate").json()
    assert (paused["is_paused"], kept["boiler.taken"]) == (True, True)
    assert not resumed["is_paused"]
    while not (sink := plant.get("/channels/boiler", "view")["nodes"][-1])["came"]:
        continue
    assert sink["name"] == "boiler.taken"


def test_commands_reach_the_instance(plant: Plant) -> None:
    stopped = plant.post("/channels/scratch/stop", role="operate").json()
    assert stopped["state"] == "stopped"
    refused = plant.post("/channels/scratch/messages", {"payload": "x"})
    assert refused.status_code == 409
    assert "start it" in refused.json()["error"]["message"]
    assert plant.post("/channels/scratch/start").json()["state"] == "waiting"


def test_what_was_done_is_in_the_audit_log(plant: Plant) -> None:
    plant.post("/channels/notes/restart", role="operate")
    query = {"action": "restart-channel", "user": "operate-user"}
    found = plant.client().get("/audit", params=query).json()["entries"]
    assert [each["result"] for each in found[:2]] == ["done", "asked"]
    assert found[0]["arguments"] == '{"channel":"notes"}'


def test_coverage_tells_of_tags(plant: Plant) -> None:
    found = plant.get("/coverage", channel="boiler", count=3)
    assert found["matching"] == 8
    assert len(found["tags"]) == 3


def test_an_unknown_channel_is_not_found(plant: Plant) -> None:
    answer = plant.client("view").get("/instances/plant/channels/order")
    assert answer.status_code == 404
    assert "did you mean 'orders'" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "what", ["messages", "dead-letters", "dead-letter-groups", "coverage"]
)
def test_a_search_of_an_unknown_channel_says_so(plant: Plant, what: str) -> None:
    query = {"channel": "order"}
    answer = plant.client("view").get(f"/instances/plant/{what}", params=query)
    assert answer.status_code == 404
    assert "did you mean 'orders'" in answer.json()["error"]["message"]


def test_the_graph_has_all_nodes(plant: Plant) -> None:
    found = plant.get("/graph", channel="orders")
    kinds = {box["id"]: box["kind"] for box in found["boxes"]}
    assert kinds["orders.check"] == "node"
    assert kinds["orders.out"] == "sink"
    ends = {arrow["end"] for arrow in found["arrows"]}
    assert {"orders.check", "orders.upper", "orders.out"} <= ends


def test_a_job_is_created_and_cancelled(plant: Plant) -> None:
    body = {"channel": "boiler", "tags": ["*"], "start": "2020-01-01"}
    job = plant.post("/jobs", body, "operate").json()
    assert job["who"] == "operate-user"
    assert plant.post(f"/jobs/{job['id']}/cancel").json()["state"] == "cancelled"


# Settings


def test_changed_settings_are_compared_applied_and_put_back(plant: Plant) -> None:
    file = plant.folder / "settings.py"
    before = file.read_text()
    file.chmod(0o600)
    (version,) = plant.get("/settings/versions")
    file.write_text(before + "\nDRAIN_TIMEOUT = 7\n")
    assert plant.get("/settings/differences") == [
        {"name": "DRAIN_TIMEOUT", "running": 30.0, "file": 7.0}
    ]
    assert "DRAIN_TIMEOUT" in plant.get("/settings/plan")["settings"]
    while (delta := plant.get("/settings/delta", "view"))["state"] != "differs":
        continue
    assert (delta["settings"], delta["channels"]) == (["DRAIN_TIMEOUT"], {})
    (texts,) = plant.get("/settings/texts", before=version["id"])
    assert texts["lines"][-1]["text"] == "DRAIN_TIMEOUT = 7"
    applied = plant.post("/settings/apply").json()
    assert applied["report"]["applied"] and not applied["rolled_back"]
    assert plant.get("/settings/versions")[0]["apply"] == applied["report"]["apply"]
    back = plant.post(f"/settings/versions/{version['id']}/apply").json()
    assert back["rolled_back"] == version["id"]
    assert (file.read_text(), file.stat().st_mode & 0o777) == (before, 0o600)
    query = {"action": "roll-back", "count": "1"}
    assert version["id"] in plant.client().get("/audit", params=query).text


def test_settings_that_cannot_be_used_are_put_back(plant: Plant) -> None:
    file = plant.folder / "settings.py"
    before = file.read_text()
    file.write_text(before + "\nDRAIN_TIMEUOT = 7\n")
    assert plant.get("/settings/check")["ok"] is False
    applied = plant.post("/settings/apply").json()
    assert "DRAIN_TIMEOUT" in applied["error"]
    assert applied["rolled_back"]
    assert file.read_text() == before
