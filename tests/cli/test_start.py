"""`pichannels start`: what it prints, and how signals end it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.cli.folders import Folder, MakePlant, stop_twice

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="sends POSIX signals to the process"
)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


def wait_for_node(folder: Folder) -> None:
    """Until a message is in the node."""
    while not (folder.path / "reached").exists():
        time.sleep(0.01)


def test_it_says_where_to_look(plant: Folder) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pichannels", "start"],
        cwd=plant.path,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        process.terminate()
    assert lines[0] == f"plant runs: {plant.path / 'settings.py'}\n"
    assert lines[1] == "  channel    values (waiting)\n"
    assert lines[2].startswith("  control    http://127.0.0.1:")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(make_plant: MakePlant, number: signal.Signals) -> None:
    folder = make_plant(count=500)
    with folder.start() as process:
        process.send_signal(number)
        code, out, err = ended(process)
    assert (code, out.endswith("stopped\n")) == (0, True)
    assert len(folder.lines()) == 499
    assert "Traceback" not in err


def test_what_is_not_drained_in_time_runs_at_the_next_start(
    make_plant: MakePlant,
) -> None:
    folder = make_plant("Stuck", more="DRAIN_TIMEOUT = 0.2")
    with folder.start() as process:
        wait_for_node(folder)
        process.terminate()
        code, _, err = ended(process)
    assert (code, "draining: values: 1 in flight" in err) == (0, False)
    assert "3 messages run again at the next start" in err
    make_plant(count=0)
    with folder.start() as process:
        process.terminate()
        ended(process)
    assert folder.lines() == ["value 0 live", "value 1 live"]


def test_draining_tells_what_is_in_flight(make_plant: MakePlant) -> None:
    folder = make_plant("Stuck", more="DRAIN_TIMEOUT = 0.2")
    with folder.start() as process:
        wait_for_node(folder)
        process.terminate()
        _, _, err = ended(process)
    assert "draining: values: 3 in flight, 3 in the journal" in err


@pytest.mark.parametrize("node", ["Stuck", "Blocked"])
def test_a_second_signal_stops_at_once(make_plant: MakePlant, node: str) -> None:
    folder = make_plant(node)
    with folder.start() as process:
        folder.write("block", "")
        wait_for_node(folder)
        start = time.monotonic()
        stop_twice(process)
        code, _, err = ended(process)
    assert code == 1
    assert time.monotonic() - start < 20
    assert "Traceback" not in err


def test_nothing_is_lost_by_a_second_signal(make_plant: MakePlant) -> None:
    folder = make_plant("Stuck")
    with folder.start() as process:
        wait_for_node(folder)
        stop_twice(process)
        ended(process)
    make_plant(count=0)
    with folder.start() as process:
        process.terminate()
        ended(process)
    assert folder.lines() == ["value 0 live", "value 1 live"]


def test_a_killed_instance_leaves_nothing_in_the_way(plant: Folder) -> None:
    with plant.start() as process:
        process.kill()
    result = plant.run("status")
    assert (result.code, "but is gone" in result.err) == (4, True)
    with plant.start():
        assert plant.run("status").code == 0


def test_a_second_instance_is_refused(plant: Folder) -> None:
    with plant.start():
        result = plant.run("start")
    assert result.code == 5
    assert "is in use by process" in result.err
    assert "Traceback" not in result.err


def test_a_channel_that_does_not_start_is_told(plant: Folder) -> None:
    text = (plant.path / "settings.py").read_text()
    plant.write(
        "settings.py",
        text + "async def start(): raise OSError('no such device')\n"
        "next(CHANNELS[0].nodes()).start = start\n",
    )
    result = plant.run("start")
    assert result.code == 1
    assert "channel 'values' did not start: no such device" in result.err
    assert "Traceback" not in result.err


def test_the_log_level_is_a_setting(make_plant: MakePlant) -> None:
    folder = make_plant(more="LOGGING = 'ERROR'")
    with folder.start() as process:
        process.terminate()
        _, _, err = ended(process)
    assert err == ""


def test_the_log_may_be_configured_as_a_whole(make_plant: MakePlant) -> None:
    folder = make_plant(more="LOGGING = {'version': 1, 'handlers': {'x': {}}}")
    result = folder.run("start")
    assert (result.code, "LOGGING" in result.err) == (3, True)
    assert "Traceback" not in result.err


def test_debug_mode_tells_what_holds_up_the_loop(make_plant: MakePlant) -> None:
    folder = make_plant("Blocked")
    with folder.start("--debug", "--profile", "profile") as process:
        (folder.path / "block").touch()
        wait_for_node(folder)
        assert process.stderr is not None
        told = ""
        while "time.sleep(0.1)" not in told:
            told += process.stderr.readline()
        stop_twice(process)
        ended(process)
    assert "nothing else can run for" in told
