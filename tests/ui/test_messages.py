"""Messages are found, shown, traced, replayed and redriven through the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.ui.plants import Plant


@pytest.fixture(scope="module")
def orders(plant: Plant) -> list[Any]:
    """Some messages in the store, the newest first."""
    for payload in (
        '{"pump": {"speed": 7}, "secret": "s3cret"}',
        '{"pump": {"speed": 9}}',
        "plain text",
        "poison one",
        "poison two",
    ):
        plant.give(payload)
    found: list[Any] = plant.get("/messages", channel="orders")["messages"]
    return found


def test_messages_come_newest_first(orders: list[Any]) -> None:
    assert [row["payload"] for row in orders[:2]] == ["poison two", "poison one"]
    assert [row["state"] for row in orders[1:3]] == ["error", "processed"]


def test_pages_go_on_where_the_last_one_ended(plant: Plant, orders: list[Any]) -> None:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = plant.get("/messages", channel="orders", count=2, **cursor)
        seen += [row["id"] for row in page["messages"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == [row["id"] for row in orders]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"state": "error"}, 2),
        ({"lane": "replay"}, 5),
        ({"node": "check"}, 2),
        ({"error": "poison two"}, 1),
        ({"error_class": "ValueError"}, 2),
        ({"attempts": "2"}, 0),
        ({"meta": "lane=replay"}, 5),
        ({"meta": "lane=live"}, 0),
        ({"text": "plain"}, 1),
        ({"regex": "^poison t.o$"}, 1),
        ({"json_path": "$.pump.speed"}, 2),
        ({"json_path": "$.pump.speed", "json_value": "9"}, 1),
        ({"json_path": "$..speed", "text": "s3cret"}, 1),
        ({"start": "2200-01-01"}, 0),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_messages_are_found_by(
    plant: Plant, orders: list[Any], query: dict[str, str], count: int
) -> None:
    page = plant.get("/messages", channel="orders", oldest_first=True, **query)
    assert len(page["messages"]) == count
    assert page["complete"]


@pytest.mark.parametrize(
    "change", [str, lambda uuid: str(UUID(uuid)).upper()], ids=["logged", "dashes"]
)
def test_a_message_is_found_by_what_logs_call_it(
    plant: Plant, orders: list[Any], change: Callable[[str], str]
) -> None:
    row = orders[1]
    found = plant.get("/messages", uuid=change(row["uuid"]))["messages"]
    assert [each["id"] for each in found] == [row["id"]]


def test_messages_are_found_by_tag(plant: Plant) -> None:
    tags = plant.get("/channels/boiler/tags")["streams"]
    page = plant.get("/messages", tag=tags[0]["web_id"])
    while not page["messages"]:
        page = plant.get("/messages", tag=tags[0]["web_id"])
    assert {row["channel"] for row in page["messages"]} == {"boiler"}


def test_a_sample_is_traced_to_the_frames_that_brought_it(plant: Plant) -> None:
    page = plant.get("/messages", channel="boiler", count=3)
    while len(page["messages"]) < 3:
        page = plant.get("/messages", channel="boiler", count=3)
    id = page["messages"][2]["id"]
    (sample, *_) = plant.get("/samples", id=id, channel="boiler")["samples"]
    found = plant.get("/messages", event_id=sample["event_id"])
    assert id in [row["id"] for row in found["messages"]]
    other = sample["event_id"][:-1] + "9"
    assert plant.get("/messages", event_id=other)["messages"] == []


@pytest.mark.parametrize("by", ["web_id", "path", "name"])
def test_values_of_a_tag_are_read_from_messages(plant: Plant, by: str) -> None:
    tag = plant.get("/channels/boiler/tags")["streams"][0]
    path = tag["tag"]
    asked = {"web_id": tag["web_id"], "path": path, "name": path.rpartition("\\")[2]}
    found: list[Any] = []
    while not found:
        found = plant.get("/values", tag=asked[by])["values"]
    assert {row["web_id"] for row in found} == {tag["web_id"]}
    assert [row["time"] for row in found] == sorted(row["time"] for row in found)


def test_the_latest_values_have_each_tag_once(plant: Plant) -> None:
    found = plant.get("/channels/boiler/latest")["values"]
    assert found
    assert len({row["web_id"] for row in found}) == len(found)


def test_the_archive_of_pi_is_asked_for_a_tag(plant: Plant) -> None:
    tag = plant.get("/channels/boiler/tags")["streams"][0]
    newest = plant.get("/values", tag=tag["web_id"])["values"][-1]["time"]
    wanted = {"tag": tag["tag"], "start": f"{newest[:13]}:00:00Z", "end": newest}
    found = plant.get("/archive", channel="boiler", **wanted)
    assert found["tag"] == tag["tag"]
    assert found["values"]


def test_a_message_is_shown_whole(plant: Plant, orders: list[Any]) -> None:
    found = plant.get(f"/messages/{orders[0]['id']}")
    assert found["message"]["payload"] == "poison two"
    assert found["outcome"]["node"] == "orders.check"


def test_dead_letters_that_are_alike_are_one_group(
    plant: Plant, orders: list[Any]
) -> None:
    (group,) = plant.get("/dead-letter-groups", channel="orders")["groups"]
    letters = plant.get("/dead-letters", group=group["id"])
    assert (group["error"], group["node"]) == ("ValueError", "orders.check")
    assert len(letters) == group["count"] >= 2
    assert plant.get("/dead-letters", group="of-none") == []
    assert plant.post("/redrives/preview", {"group": group["id"]}).json() == {
        "count": group["count"]
    }


def test_viewers_are_not_told_what_exceptions_say(
    plant: Plant, orders: list[Any]
) -> None:
    (group,) = plant.get("/dead-letter-groups", "view", channel="orders")["groups"]
    assert group["message"] is None


def test_no_tag_waits_where_the_order_is_not_kept(plant: Plant) -> None:
    assert plant.get("/parked-tags") == []


def test_searches_are_kept_for_who_saves_them(plant: Plant) -> None:
    client = plant.client("view")
    saved = {"name": "what fails", "query": "state=error"}
    assert client.post("/searches", json=saved).json() == saved
    assert client.get("/searches").json() == [saved]
    assert plant.client("data").get("/searches").json() == []
    client.delete("/searches/what fails").raise_for_status()
    assert client.get("/searches").json() == []


def test_viewers_see_no_payloads(plant: Plant, orders: list[Any]) -> None:
    row = plant.get("/messages", "view", channel="orders")["messages"][0]
    whole = plant.get(f"/messages/{orders[0]['id']}", "view")
    assert (row["payload"], whole["message"]["payload"]) == (None, None)
    assert "poison" not in f"{row}{whole}"


def test_only_administrators_see_what_is_masked(
    plant: Plant, orders: list[Any]
) -> None:
    shown = plant.get(f"/messages/{orders[4]['id']}", "operate")
    assert "s3cret" not in str(shown)
    assert "s3cret" in str(plant.get(f"/messages/{orders[4]['id']}"))


def test_what_is_masked_cannot_be_found(plant: Plant, orders: list[Any]) -> None:
    page = plant.get("/messages", "data", channel="orders", text="s3cret")
    assert page["messages"] == []


def test_a_viewer_cannot_search_payloads(plant: Plant) -> None:
    answer = plant.client("view").get("/instances/plant/messages?text=a")
    assert answer.status_code == 403


def test_other_stores_are_searched_by_the_instance(plant: Plant) -> None:
    for number in range(3):
        plant.give(f"note {number}", "notes")
    first = plant.get("/messages", channel="notes", count=2)
    second = plant.get("/messages", channel="notes", count=2, cursor=first["next"])
    rows = first["messages"] + second["messages"]
    assert [row["payload"] for row in rows] == ["note 2", "note 1", "note 0"]
    assert second["next"] is None


def test_other_stores_are_searched_by_all_conditions(plant: Plant) -> None:
    plant.give('{"quay": {"berth": 4}, "secret": "s3cret"}', "notes")
    (row,) = plant.get("/messages", channel="notes", json_path="$.quay.berth")[
        "messages"
    ]
    found = {
        name: len(plant.get("/messages", "data", channel="notes", **query)["messages"])
        for name, query in {
            "all": {"lane": "replay", "meta": "lane=replay", "text": "quay"},
            "failed": {"node": "shout", "text": "quay"},
            "masked": {"text": "s3cret"},
            "masked value": {"json_path": "$.secret", "json_value": "s3cret"},
        }.items()
    }
    assert row["lane"] == "replay"
    assert found == {"all": 1, "failed": 0, "masked": 0, "masked value": 0}


def test_all_channels_are_searched_wherever_they_are_kept(plant: Plant) -> None:
    for number in range(6):
        plant.give(f"everywhere {number}", ("notes", "orders", "scratch")[number % 3])
    seen: list[tuple[str, str]] = []
    query: dict[str, Any] = {"text": "everywhere", "lane": "replay", "count": 2}
    while True:
        page = plant.get("/messages", **query)
        seen += [(row["channel"], row["payload"]) for row in page["messages"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    channels = ("scratch", "orders", "notes")
    payloads = [f"everywhere {number}" for number in range(5, -1, -1)]
    assert seen == list(zip(channels * 2, payloads, strict=True))


def test_a_bulk_action_needs_the_count(plant: Plant, orders: list[Any]) -> None:
    wanted = {"channel": "orders", "state": "processed", "text": "plain"}
    refused = plant.post("/replays", wanted)
    assert refused.status_code == 409
    assert refused.json()["error"]["count"] == 1
    assert plant.post("/replays/preview", wanted).json() == {"count": 1}


def test_a_replay_goes_on_by_itself(plant: Plant, orders: list[Any]) -> None:
    wanted = {"channel": "orders", "text": "speed", "count": 2}
    begun = plant.post("/replays", wanted)
    assert begun.status_code == 202, begun.text
    ended = plant.ended(begun.json())
    assert (ended["state"], ended["report"]["processed"]) == ("done", 2)
    assert ended["progress"]["replayed"] == 2


def test_a_single_message_is_replayed_without_a_count(
    plant: Plant, orders: list[Any]
) -> None:
    begun = plant.post("/replays", {"ids": [orders[2]["id"]], "channel": "orders"})
    assert plant.ended(begun.json())["report"]["replayed"] == 1


def test_dead_letters_fail_again_where_nothing_is_mended(
    plant: Plant, orders: list[Any]
) -> None:
    letters = plant.get("/dead-letters", channel="orders")
    begun = plant.post("/redrives", {"channel": "orders", "count": len(letters)})
    ended = plant.ended(begun.json())
    assert ended["report"]["failed"] == len(letters)


def test_dead_letters_are_told_without_what_one_may_not_see(
    plant: Plant, orders: list[Any]
) -> None:
    whole = plant.get("/dead-letters", channel="orders", node="check", count=1)
    short = plant.get("/dead-letters", "view", channel="orders", count=1)
    assert "poison" in whole[0]["error"] and "poison" in whole[0]["payload"]
    assert (short[0]["error"], short[0]["payload"]) == (None, None)
    assert whole[0]["node"] == "orders.check"


def test_a_dead_letter_is_mended_and_redriven(plant: Plant, orders: list[Any]) -> None:
    id = plant.get("/dead-letters", channel="orders")[0]["id"]
    new = plant.post(f"/dead-letters/{id}", {"payload": "mended"}).json()["id"]
    begun = plant.post("/redrives", {"ids": [new]})
    assert plant.ended(begun.json())["report"]["settled"] == 1


def test_messages_are_given_to_another_channel(plant: Plant, orders: list[Any]) -> None:
    before = plant.get("/channels/notes")["received"]
    wanted = {"channel": "orders", "target": "notes", "ids": [orders[2]["id"]]}
    ended = plant.ended(plant.post("/transfers", wanted).json())
    assert ended["report"] == {"sent": 1}
    while plant.get("/channels/notes")["received"] == before:
        continue


def test_the_way_of_a_message_tells_each_node(plant: Plant, orders: list[Any]) -> None:
    wanted = {"channel": "orders", "id": orders[2]["id"]}
    way = plant.post("/traces", wanted).json()
    assert [step["node"] for step in way["steps"]] == [
        "orders.check",
        "orders.upper",
        "orders.out",
    ]
    assert '+  "payload": "PLAIN TEXT"' in way["steps"][1]["diff"]


def test_the_way_of_a_message_ends_where_it_fails(
    plant: Plant, orders: list[Any]
) -> None:
    wanted = {"channel": "orders", "id": orders[1]["id"]}
    way = plant.post("/traces", wanted).json()
    assert way["state"] == "error"
    assert way["steps"][-1]["error"] == "this is poison: poison one"
