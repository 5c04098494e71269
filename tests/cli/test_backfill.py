"""`pichannels backfill` and `reconcile`: jobs, and whether all was delivered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pichannels.simulator import Plant
from pichannels.testing.simulators import RunningSimulator
from tests.cli.folders import Folder

TAG = "UNIT1.BOILER.TEMP"

SETTINGS = """\
from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode
from pichannels.channels import BaseChannel
from pichannels.channels.covering import CoverageOptions
from pichannels.channels.pi import PIWebChannel

MESSAGE_STORE = {store}
live = PIWebChannel(
    "live", url={url!r}, tags=[{tag!r}], poll_interval=0.1,
    coverage=CoverageOptions(settle=0.5, overlap=1, ahead=0.5, patience=0.5),
)
CHANNELS = [live.add(decode.PI()), BaseChannel("none")]
"""


def settings(url: str, store: str = "SQLiteMessageStoreFactory()") -> str:
    return SETTINGS.format(url=url, tag=TAG, store=store)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningSimulator]:
    with RunningSimulator(Plant(tags=50), poll=0.1) as found:
        yield found


@pytest.fixture
def project(empty: Folder, server: RunningSimulator) -> Iterator[Folder]:
    """A project that runs and knows its tags."""
    empty.write("settings.py", settings(server.url))
    with empty.start():
        while not empty.run("coverage", "--json").json["channels"]:
            pass
        yield empty


def ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()


def test_a_job_is_waited_for_and_told_of_after_the_instance(project: Folder) -> None:
    made = project.run(
        *("backfill", "create", "live", "--tag", "UNIT1.*", "--start", ago(2)),
        *("--end", ago(1), "--reason", "first", "--wait"),
    )
    assert (made.code, "job live-1: done" in made.out) == (0, True), made.err
    assert "100 %  done" in made.out
    project.stop()
    (job,) = project.run("backfill", "list", "--json").json
    assert (job["state"], job["done"], job["reason"]) == ("done", 1, "first")


def test_a_job_is_paused_resumed_and_cancelled(project: Folder) -> None:
    start = ("backfill", "create", "live", "--start", ago(24 * 365), "--json")
    assert project.run(*start).json["state"] == "running"
    assert "live-1: paused" in project.run("backfill", "pause", "live-1").out
    twice = project.run("backfill", "pause", "live-1")
    assert (twice.code, "job live-1 is paused" in twice.err) == (2, True)
    assert "live-1: running" in project.run("backfill", "resume", "live-1").out
    first = project.run("backfill", "priority", "live-1", "high").out
    assert "live-1: running, priority high" in first
    cancelled = project.run("backfill", "cancel", "live-1", "--json").json
    assert (cancelled["state"], cancelled["ended"] is None) == ("cancelled", False)
    shown = project.run("backfill", "show", "live-1", "--wait").out
    assert "cancelled" in shown
    listed = project.run("backfill", "list", "live", "--state", "running", "--watch")
    assert listed.out == "no jobs\n"


def test_the_budget_is_told_and_changed_within_what_pi_may_be_asked(
    project: Folder,
) -> None:
    project.run("backfill", "create", "live", "--start", ago(24 * 365))
    changed = project.run("backfill", "budget", "--rate", "5", "--pause").out
    assert "for history   5 requests/s, paused" in changed
    assert "job live-1: " in changed
    again = project.run("backfill", "budget", "--no-limit", "--resume", "--json").json
    assert (again["server"]["history_rate"], again["server"]["history_paused"]) == (
        None,
        False,
    )
    much = project.run("backfill", "budget", "--rate", "500")
    assert (much.code, "at most the rate, 200" in much.err) == (2, True)


def test_what_cannot_be_done_is_told(project: Folder) -> None:
    other = project.run("backfill", "create", "none", "--start", ago(1))
    assert (other.code, "reads nothing from an archive" in other.err) == (2, True)
    absent = project.run("backfill", "show", "live-7")
    assert (absent.code, "there is no job 'live-7'" in absent.err) == (2, True)


def test_without_an_instance_no_job_is_created(empty: Folder) -> None:
    empty.write("settings.py", settings("https://pi.test"))
    assert empty.run("backfill", "create", "live", "--start", ago(1)).code == 4
    assert empty.run("backfill", "list").out == "no jobs\n"


def test_what_a_job_has_delivered_is_what_the_archive_holds(project: Folder) -> None:
    project.run("backfill", "create", "live", "--start", ago(3), "--wait")
    start = ago(2.5)
    found = project.run("reconcile", "live", "--start", start, "--json").json
    assert (found["equal"] >= 1, found["missing"]) == (True, 0)
    shown = project.run("reconcile", "live", "--tag", "UNIT1.*", "--start", start)
    assert (shown.code, "hours of tags compared" in shown.out) == (0, True)


def test_what_cannot_be_compared_is_told(
    empty: Folder, server: RunningSimulator
) -> None:
    empty.write("settings.py", settings(server.url, "None"))
    with empty.start():
        plain = empty.run("reconcile", "live")
        assert (plain.code, "message store that shares" in plain.err) == (2, True)
        other = empty.run("reconcile", "none")
        assert (other.code, "reads nothing" in other.err) == (2, True)
        short = empty.run("reconcile", "live", "--start", ago(0.1))
        assert (short.code, "no whole hour" in short.err) == (2, True)
