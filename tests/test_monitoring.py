"""The dashboard and the alerts ask only for what an instance tells."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nodes import publish
from pichannels.channels import BaseChannel
from pichannels.channels.measuring import measure
from pichannels.engine import Engine
from pichannels.message import Message
from pichannels.metrics import render
from pichannels.project import Project

FOLDER = Path(__file__).parents[1] / "docs/monitoring"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text("utf-8"))
ALERTS: dict[str, Any] = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))
EXPECTED = Path(__file__).parent / "fixtures/alerts_test.yml"
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

LABELS = {
    "channel",
    "instance",
    "job",
    "le",
    "lease",
    "mark",
    "node",
    "priority",
    "quantile",
    "reason",
    "server",
    "sink",
    "state",
}


NOT_SHOWN = {
    "pichannels_channel_settling_seconds_count",
    "pichannels_channel_settling_seconds_sum",
    "pichannels_journal_commits_seconds_count",
    "pichannels_journal_commits_seconds_sum",
    "pichannels_loop_lag_seconds_count",
    "pichannels_loop_lag_seconds_sum",
    # Others tell the same, and better.
    "pichannels_channel_store_waiting",
    "pichannels_journal_commit_seconds",
    "pichannels_journal_full",
    "pichannels_lease_held",
    "pichannels_node_left_total",
}


def names_in(text: str) -> set[str]:
    return set(re.findall(r"pichannels_\w+", text))


def queries() -> list[str]:
    asked = [target["expr"] for panel in PANELS for target in panel["targets"]]
    asked += [each.get("definition", "") for each in DASHBOARD["templating"]["list"]]
    return asked + [rule["expr"] for rule in RULES]


@pytest.fixture
async def known(tmp_path: Path) -> set[str]:
    """The names of all series that an instance has."""
    engine = Engine(Project([BaseChannel("a")]), data_dir=tmp_path, control=False)
    async with engine:
        families = engine.metrics()
    found = {f"pichannels_{f.name}" for f in families if f.kind != "histogram"}
    for family in families:
        if family.kind == "histogram":
            ends = ("bucket", "sum", "count")
            found |= {f"pichannels_{family.name}_{end}" for end in ends}
    return found


def test_every_series_that_is_asked_for_exists(known: set[str]) -> None:
    asked = set().union(*(names_in(query) for query in queries()))
    assert sorted(asked - known) == []
    assert len(asked) > 30


def test_the_dashboard_shows_whatever_an_instance_has(known: set[str]) -> None:
    shown = names_in(json.dumps(DASHBOARD))
    assert sorted(known - shown) == sorted(NOT_SHOWN)


def test_only_known_labels_are_asked_for() -> None:
    text = "\n".join(queries())
    grouped = re.findall(r"by \(([\w, ]+)\)", text)
    selected = re.findall(r"(\w+)=~?\"", text)
    labels = {name for each in grouped for name in each.split(", ")} | set(selected)
    assert labels <= LABELS


def test_counters_are_asked_for_by_how_fast_they_grow() -> None:
    bare = [
        query
        for query in queries()
        if re.search(r"_total", query) and not re.search(r"rate\(|increase\(", query)
    ]
    assert bare == []


def test_the_dashboard_can_be_imported() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(PANELS))) - {"__rate_interval"}
    assert used == {each["name"] for each in DASHBOARD["templating"]["list"]}


def test_each_alert_says_what_to_do() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}


def promtool(*arguments: str | Path, text: str | None = None) -> str:
    """What it complains about; "" where all is well."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run(
        [tool, *arguments], capture_output=True, text=True, input=text, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_prometheus_takes_the_rules() -> None:
    assert promtool("check", "rules", FOLDER / "alerts.yml") == ""


def test_each_alert_is_told_when_it_should_and_never_else(tmp_path: Path) -> None:
    for file in (FOLDER / "alerts.yml", EXPECTED):
        shutil.copy(file, tmp_path)
    named = set(re.findall(r'alertname="(\w+)"', EXPECTED.read_text("utf-8")))
    assert named == {rule["alert"] for rule in RULES}
    assert promtool("test", "rules", tmp_path / EXPECTED.name) == ""


async def test_prometheus_finds_nothing_odd_about_the_metrics(tmp_path: Path) -> None:
    channel = BaseChannel("a").add(publish.Console(name="sink"))
    engine = Engine(Project([channel]), data_dir=tmp_path, control=False)
    async with engine:
        for chain in channel.chains():
            measure(chain)
        await channel.handle(Message(payload="1"))
        text = render(engine.metrics())
    assert 'pichannels_node_seconds{node="a.sink",quantile="0.99"}' in text
    assert await asyncio.to_thread(promtool, "check", "metrics", text=text) == ""
