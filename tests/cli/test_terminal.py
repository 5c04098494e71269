"""What `start` and `status --watch` show on a terminal of 80 columns."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.cli.folders import Folder, MakePlant

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo terminals", allow_module_level=True)

from tests.cli.pty_folder import in_terminal


def logging_plant(make_plant: MakePlant) -> Folder:
    """A project that logs long lines while it starts, and prints some."""
    folder = make_plant()
    text = (folder.path / "settings.py").read_text()
    more = (
        "import logging\n"
        "class Loud(Counted):\n"
        "    async def start_source(self):\n"
        "        await super().start_source()\n"
        "        logging.getLogger('plant').warning('long: %s', 'abcdefg ' * 30)\n"
        "        print('printed ' * 30)\n"
        f"CHANNELS.append(Loud({'a_very_long_name_' * 6!r}).add(Sink()))\n"
    )
    folder.write("settings.py", text + more)
    return folder


def test_tables_and_log_fit_the_terminal(make_plant: MakePlant) -> None:
    folder = logging_plant(make_plant)
    with in_terminal(folder.path, "start") as terminal:
        terminal.read_until("running")
        terminal.read_until("abcdefg")
        terminal.read_until("printed")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.read_to_end() == 0
    assert [line for line in terminal.lines if len(line) > 80] == []
    heads = [line.split() for line in terminal.lines if line.startswith("CHANNEL")]
    assert heads[0] == "CHANNEL STATE IN/S DONE/S LAG UNSETTLED ERRORS".split()


def test_tables_show_what_became_of_messages(plant: Folder) -> None:
    with in_terminal(plant.path, "start") as terminal:
        terminal.read_until("running")
        plant.wait_for_settled(3)
        terminal.process.send_signal(signal.SIGTERM)
        terminal.read_to_end()
    row = [line.split() for line in terminal.lines if line.startswith("values ")][-1]
    assert (row[1], row[-2:]) == ("stopped", ["0", "1"])
    assert "stopped" in terminal.lines[-2:]


def test_ctrl_c_drains(plant: Folder) -> None:
    with in_terminal(plant.path, "start") as terminal:
        terminal.read_until("running")
        plant.wait_for_settled(3)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.read_to_end() == 0


NOISY = """\
import logging
class Noisy(Sink):
    async def process(self, msg):
        logging.getLogger('plant').warning('noise: %s', 'abcdefg ' * 50)
        return await super().process(msg)
CHANNELS = [Counted('values').add(Noisy())]
"""


def test_a_terminal_that_stands_still_holds_up_nothing(make_plant: MakePlant) -> None:
    folder = make_plant(count=600)
    text = (folder.path / "settings.py").read_text()
    folder.write("settings.py", text + NOISY)
    with in_terminal(folder.path, "start") as terminal:
        terminal.read_until("running")
        # Nobody reads from here on, and there is far more than a terminal takes.
        folder.wait_for_settled(600)
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.read_to_end() == 0
    assert len(folder.lines()) == 599


def test_plain_writes_lines_only(plant: Folder) -> None:
    with in_terminal(plant.path, "start", "--plain") as terminal:
        terminal.read_until("Ctrl-C drains and stops; a second one stops at once")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.read_to_end() == 0
    assert b"\x1b[" not in terminal.written
    assert "  channel    values (waiting)" in terminal.lines


def test_a_failing_start_leaves_no_table(plant: Folder) -> None:
    text = (plant.path / "settings.py").read_text()
    plant.write(
        "settings.py",
        text + "async def start(): raise OSError('no such device')\n"
        "next(CHANNELS[0].nodes()).start = start\n",
    )
    with in_terminal(plant.path, "start") as terminal:
        assert terminal.read_to_end() == 1
    assert "did not start: no such device" in " ".join(terminal.lines[-3:])


def test_status_can_be_watched(plant: Folder) -> None:
    with plant.start():
        plant.wait_for_settled(3)
        with in_terminal(plant.path, "status", "--watch") as terminal:
            terminal.read_until("CHANNEL")
            plant.stop()
            assert terminal.read_to_end() == 4
    assert "the instance has stopped" in terminal.lines
    assert [line for line in terminal.lines if len(line) > 80] == []
