"""`pichannels coverage`, with and without an instance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pichannels.simulator import Plant
from pichannels.testing.simulators import RunningSimulator
from tests.cli.folders import Folder

# Twenty tags, covered for three hours; one of them has a hole of an hour, that is known
# for half an hour.
SETTINGS = """\
from pichannels import clock
from pichannels.channels import BaseChannel
from pichannels.channels.covering import CoverageOptions, Covering
from pichannels.channels.resolving import Found, Resolver
from pichannels.coverage.tags import TagState
from pichannels.piwebasync.resolve import Point
from pichannels.piwebasync.server import PIServer
from pichannels.values import TICKS_PER_SECOND as SECOND

hour = 3600 * SECOND
points = [
    Point(web_id=f"W{n}", name=f"UNIT1.TAG{n}", path=f"PI|{n}", id=n + 1)
    for n in range(20)
]


class Covered(BaseChannel):
    def __init__(self, name):
        super().__init__(name)
        self.covering = Covering(name, CoverageOptions())

    async def start_source(self):
        covering = self.covering
        await covering.open(self.journal, points)
        now, ledger = covering.server.now(), covering.ledger
        ledger.backfill(range(20), now - 3 * hour, now)
        ledger.joined(range(20), now - 4 * hour, now + 9 * SECOND)
        ledger.reopen([7], now - 2 * hour, now - hour, "network", now - hour // 2)
        ledger.set_state([3], TagState.NO_ACCESS, now)
        covering.connected("s", [point.web_id for point in points], None)
        resolver = Resolver(PIServer(url="https://pi.test"), None, 8000, 3600)
        await resolver.keep(self.journal, self.name, ["*"], Found(points, {}))

    async def stop_source(self):
        self.covering.closed("s")
        await self.covering.close()


CHANNELS = [Covered("boiler"), BaseChannel("plain")]
"""


LIVE = """\
from nodes import decode
from pichannels.channels.pi import PIWebChannel

tags = ["UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW"]
live = PIWebChannel("live", url={url!r}, tags=tags, poll_interval=0.1)
CHANNELS = [live.add(decode.PI())]
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningSimulator]:
    with RunningSimulator(Plant(tags=50), poll=0.1) as found:
        yield found


@contextmanager
def started(path: Path) -> Iterator[Folder]:
    folder = Folder(path)
    folder.write("settings.py", SETTINGS)
    with folder.start():
        yield folder


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """A project with a ledger, that runs."""
    with started(tmp_path_factory.mktemp("running")) as folder:
        yield folder


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A project with a ledger, that has run."""
    with started(tmp_path_factory.mktemp("stopped")) as folder:
        folder.stop()
    return folder


@pytest.fixture(params=["running", "stopped"])
def folder(request: pytest.FixtureRequest) -> Folder:
    """One of them."""
    found: Folder = request.getfixturevalue(request.param)
    return found


def test_channels_are_told_of_with_holes_and_reasons(
    folder: Folder, stopped: Folder
) -> None:
    done = folder.run("coverage")
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0][:3] == ["channel", "tags", "delivered"]
    assert lines[1][:2] == ["boiler", "20"]
    assert any(line[:4] == ["boiler", "hole", "network", "1"] for line in lines)
    assert ("does not run" in done.out) == (folder is stopped)
    (found,) = folder.run("coverage", "--json").json["channels"]
    assert (found["tags"], found["states"]) == (20, {"live": 19, "no access": 1})
    assert found["longest_hole"] == 3600


def test_tags_are_drawn_with_their_holes(folder: Folder) -> None:
    plain = {"PYTHONIOENCODING": "ascii"}
    drawn = ("coverage", "boiler", "--tag", "*tag7", "--width", "72")
    done = folder.run(*drawn, env=plain)
    *_, times, chart, legend = done.out.splitlines()
    assert chart.startswith("UNIT1.TAG7 =====")
    assert 18 <= chart.count("X") <= 22
    assert times.count("|") >= 4
    assert legend == "= delivered  - in flight  X hole  . excluded"
    assert max(map(len, (times, chart, legend))) <= 72


def test_tags_are_chosen_and_counted(folder: Folder) -> None:
    worst = folder.run("coverage", "--holes", "--count", "1", "--json").json
    assert [tag["tag"] for tag in worst["tags"]] == ["UNIT1.TAG7"]
    state = folder.run("coverage", "--state", "no access", "--json").json
    assert [tag["tag"] for tag in state["tags"]] == ["UNIT1.TAG3"]
    some = folder.run("coverage", "--tag", "UNIT1.*", "--skip", "1", "--count", "3")
    assert "and 16 more tags: --skip 4" in some.out
    assert folder.run("coverage", "--tag", "UNIT2.*").out == "no such tag\n"


def test_a_part_of_the_time_can_be_looked_at(folder: Folder) -> None:
    every = folder.run("coverage", "--tag", "*TAG7", "--json").json["tags"][0]
    hole = next(one for one in every["holes"] if one["reason"] == "network")
    window = ("--start", hole["start"], "--end", hole["end"])
    (tag,) = folder.run("coverage", "--tag", "*TAG7", *window, "--json").json["tags"]
    assert (tag["hole_seconds"], tag["delivered"]) == (3600, [])


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ((), 1),
        (("--max-hole", "3500", "--max-age", "7200"), 1),
        (("--max-hole", "3700"), 0),
        (("--max-age", "1700"), 1),
    ],
)
def test_monitoring_gets_a_line_and_an_exit_code(
    running: Folder, limits: tuple[str, ...], code: int
) -> None:
    done = running.run("coverage", "--check", *limits)
    word = "WARNING" if code else "OK"
    assert (done.code, done.out.count("\n"), done.err) == (code, 1, "")
    assert done.out.startswith(f"COVERAGE {word}: ")
    assert "tags=20 tags_with_holes=1 longest_hole=3600s" in done.out


def test_a_channel_of_pi_tags_is_told_of_while_it_runs_and_afterwards(
    empty: Folder, server: RunningSimulator
) -> None:
    empty.write("settings.py", LIVE.format(url=server.url))
    ask = ("coverage", "live", "--tag", "*BOILER*", "--json")
    with empty.start():
        while not (found := empty.run(*ask).json)["tags"]:
            pass
        assert found["channels"][0]["is_running"]
        empty.stop()
    after = empty.run(*ask).json
    assert [tag["tag"] for tag in found["tags"]] == ["UNIT1.BOILER.TEMP"]
    assert after["tags"][0]["path"] == found["tags"][0]["path"]
    assert not after["channels"][0]["is_running"]


def test_without_a_ledger_nothing_is_covered(empty: Folder) -> None:
    empty.write(
        "settings.py",
        "from pichannels.channels import BaseChannel\nCHANNELS = [BaseChannel('a')]\n",
    )
    assert empty.run("coverage").out == (
        "no channel has a coverage ledger yet; channels of PI tags begin one\n"
    )
    checked = empty.run("coverage", "--check", "--json")
    assert (checked.code, checked.json["ok"]) == (1, False)
    assert empty.run("coverage", "b").code == 2
    assert empty.run("coverage", "--max-age", "5").code == 2
    assert empty.run("coverage", "--start", "soon").code == 2


def test_status_tells_of_holes(running: Folder) -> None:
    out = running.run("status").out
    assert "boiler: 1 of 20 tags have holes (network), the longest of 1h 0m" in out
