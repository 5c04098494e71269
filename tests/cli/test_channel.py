"""`pichannels channel`: one channel started, stopped, paused and resumed."""

from __future__ import annotations

from tests.cli.folders import Folder

SETTINGS = """\
from pichannels.channels import BaseChannel

CHANNELS = [BaseChannel("boiler"), BaseChannel("feed")]
"""


def test_a_channel_is_paused_before_and_while_it_runs(empty: Folder) -> None:
    empty.write("settings.py", SETTINGS)
    before = empty.run("channel", "pause", "boiler")
    assert (before.code, before.out) == (0, "boiler: paused\n")
    with empty.start():
        again = empty.run("channel", "restart", "boiler", "--json")
        other = empty.run("channel", "pause", "feed")
        resumed = empty.run("channel", "resume", "boiler")
    assert (again.json["state"], resumed.out) == ("paused", "boiler: waiting\n")
    assert other.out == "feed: paused\n"


def test_a_channel_is_stopped_and_started(empty: Folder) -> None:
    empty.write("settings.py", SETTINGS)
    with empty.start():
        told = [empty.run("channel", what, "feed").out for what in ("stop", "start")]
        wrong = empty.run("channel", "stop", "feet")
    assert told == ["feed: stopped\n", "feed: waiting\n"]
    assert (wrong.code, "did you mean 'feed'?" in wrong.err) == (2, True)
    assert empty.run("channel", "stop", "feed").code == 4


TELLS = """\
import logging

from pichannels.channels import BaseChannel


class Tells(BaseChannel):
    async def start(self):
        logging.getLogger("own").warning("%s: begins", self.name)
        await super().start()


CHANNELS = [Tells("boiler"), Tells("feed")]
"""


def test_what_was_logged_of_a_channel_is_told(empty: Folder) -> None:
    empty.write("settings.py", TELLS)
    with empty.start():
        shown = empty.run("log", "--channel", "boiler")
        none = empty.run("log", "--level", "error")
        one = empty.run("log", "--json", "--text", "FEED: begins")
        wrong = empty.run("log", "--channel", "boilr")
    assert (shown.err, shown.out.partition(" ")[2]) == (
        "",
        "WARNING own: boiler: begins [channel=boiler]\n",
    )
    assert (none.code, none.out, one.json["channel"]) == (0, "", "feed")
    assert none.err.startswith("no lines of level ERROR and above; ")
    assert (wrong.code, "did you mean 'boiler'?" in wrong.err) == (2, True)
    assert empty.run("log").code == 4
