"""`pichannels sink` and `pichannels tap`: one node commanded, and one looked at."""

from __future__ import annotations

import json

from tests.cli.folders import Folder

SETTINGS = """\
from nodes.publish import Call
from pichannels.channels import BaseChannel

CHANNELS = [BaseChannel("boiler").add(Call(print, name="out"))]
"""


TICKING = """\
from nodes.publish import Call
from pichannels.channels.timer import TimerChannel

channel = TimerChannel("clock", interval=0.05)
CHANNELS = [channel.add(Call(str, what="payload", name="out"))]
"""


def test_messages_are_seen_at_a_node(empty: Folder) -> None:
    empty.write("settings.py", TICKING)
    with empty.start():
        seen = empty.run("tap", "clock", "--node", "out", "--count", "2", "--json")
        wrong = empty.run("tap", "clock", "--node", "oat")
        none = empty.run("tap", "clock")
        plain = empty.run("tap", "clock", "--node", "clock.out", "--count", "1")
    lines = [json.loads(line) for line in seen.out.splitlines()]
    assert [each["came"] == each["left"][0] for each in lines] == [True, True]
    assert (wrong.code, "did you mean 'clock.out'?" in wrong.err) == (2, True)
    assert (none.code, none.err) == (2, "Error: say which --node of 'clock': out\n")
    assert plain.out.splitlines()[-1] == "  out  as it came"


def test_a_sink_is_paused_before_and_while_it_runs(empty: Folder) -> None:
    empty.write("settings.py", SETTINGS)
    before = empty.run("sink", "pause", "boiler.out")
    assert (before.code, before.out, before.err) == (0, "boiler.out: paused\n", "")
    with empty.start():
        kept = empty.run("status", "--json").json["sinks"][0]["is_paused"]
        listed = empty.run("sink", "list").out.splitlines()[1].split()
        resumed = empty.run("sink", "resume", "boiler.out")
        wrong = empty.run("sink", "pause", "boiler.ot")
    assert (kept, resumed.out) == (True, "boiler.out: resumed\n")
    assert listed == ["boiler.out", "paused", "0", "0", "0", "0"]
    assert (wrong.code, "did you mean 'boiler.out'?" in wrong.err) == (2, True)
