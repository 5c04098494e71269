"""`pichannels dead`, with and without an instance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.folders import Folder

SETTINGS = """\
from pathlib import Path

from pichannels.channels import BaseChannel
from pichannels.message import Message
from pichannels.node import BaseNode

here = Path(__file__).parent


class Counted(BaseChannel):
    async def start_source(self):
        if not (here / "made").exists():
            (here / "made").touch()
            for number in range(4):
                await self.accept(Message(payload=f"value {number}"))


class Sink(BaseNode):
    def process(self, msg):
        if msg.payload in ("value 1", "value 2") and not (here / "mended").exists():
            raise ValueError(f"{msg.payload} is odd")
        with (here / "out.txt").open("a") as file:
            file.write(f"{msg.payload}\\n")
        return msg


CHANNELS = [Counted("values").add(Sink())]
"""


@pytest.fixture(params=["running", "stopped"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    """Two of four messages have failed, in a running or a stopped instance."""
    folder = Folder(tmp_path)
    folder.write("settings.py", SETTINGS)
    with folder.start():
        while len(folder.run("dead", "list", "--json").json) < 2:
            pass
        if request.param == "stopped":
            folder.stop()
        yield folder


def test_dead_letters_are_listed_shown_mended_and_run_again(folder: Folder) -> None:
    listed = folder.run("dead", "list", "--json").json
    assert [row["error"] for row in listed] == ["value 2 is odd", "value 1 is odd"]
    table = folder.run("dead", "list")
    assert "values.Sink" in table.out
    (group,) = folder.run("dead", "groups", "--json").json
    muted = folder.run("dead", "mute", group["id"], "--for", "2h", "--until-change")
    assert muted.out.startswith("2 dead letters are muted until 20")
    assert "or until they change" in folder.run("dead", "groups").out
    assert folder.run("dead", "unmute", group["id"]).out.endswith(": unmuted\n")
    shown = folder.run("dead", "show", listed[1]["id"])
    assert "ValueError: value 1 is odd" in shown.out
    folder.write("change.json", json.dumps({"payload": "value 9"}))
    edited = folder.run("dead", "edit", listed[1]["id"], "--file", "change.json")
    assert edited.code == 0
    folder.write("mended", "")
    preview = folder.run("dead", "redrive", "-c", "values", "--dry-run")
    assert (preview.out, preview.err) == ("2 dead letters would run again\n", "")
    done = folder.run("dead", "redrive", "-c", "values", "--yes")
    assert (done.code, sorted(folder.lines())) == (
        0,
        ["value 0", "value 2", "value 3", "value 9"],
    )
    none = folder.run("dead", "list")
    assert (none.code, none.out, none.err) == (0, "", "no dead letters\n")
    wrong = folder.run("dead", "redrive", "-c", "valves", "--yes")
    assert (wrong.code, "did you mean 'values'?" in wrong.err) == (2, True)


def test_what_fails_again_is_told_and_can_be_given_up(folder: Folder) -> None:
    failed = folder.run("dead", "redrive", "--node", "Sink", "--yes")
    assert (failed.code, "value 1 is odd" in failed.err) == (1, True)
    assert failed.out.startswith("2 dead letters ran again: 0 settled, 2 failed")
    given_up = folder.run("dead", "discard", "--error", "value 1", "--yes")
    assert given_up.out == "1 dead letters given up\n"
    assert len(folder.run("dead", "list", "--json").json) == 1


def test_nothing_runs_before_somebody_has_said_yes(folder: Folder) -> None:
    refused = folder.run("dead", "redrive", "-c", "values")
    assert (refused.code, "Run again 2 dead letters?" in refused.out) == (1, True)
    missing = folder.run("dead", "show", "999")
    assert missing.code == 1
    assert "999" in missing.err
