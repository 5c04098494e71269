"""`pichannels sink`: one sink paused and resumed."""

from __future__ import annotations

from tests.cli.folders import Folder

SETTINGS = """\
from nodes.publish import Call
from pichannels.channels import BaseChannel

CHANNELS = [BaseChannel("boiler").add(Call(print, name="out"))]
"""


def test_a_sink_is_paused_before_and_while_it_runs(empty: Folder) -> None:
    empty.write("settings.py", SETTINGS)
    before = empty.run("sink", "pause", "boiler.out")
    assert (before.code, before.out, before.err) == (0, "boiler.out: paused\n", "")
    with empty.start():
        kept = empty.run("status", "--json").json["sinks"][0]["is_paused"]
        resumed = empty.run("sink", "resume", "boiler.out")
        wrong = empty.run("sink", "pause", "boiler.ot")
    assert (kept, resumed.out) == (True, "boiler.out: resumed\n")
    assert (wrong.code, "did you mean 'boiler.out'?" in wrong.err) == (2, True)
