"""`pichannels audit`: what was done, once each, with what came of it."""

from __future__ import annotations

import json

from tests.cli.folders import Folder

SETTINGS = """\
from pichannels.channels import BaseChannel

CHANNELS = [BaseChannel("boiler")]
"""


def test_what_was_done_is_told_with_and_without_an_instance(empty: Folder) -> None:
    empty.write("settings.py", SETTINGS)
    none = empty.run("audit")
    with empty.start():
        empty.run("channel", "pause", "boiler")
        empty.run("channel", "start", "boiler")
        shown = empty.run("audit", "--count", "2").out
        empty.stop()
    lines = empty.run("audit", "--json", "--start", "*-1h").out.splitlines()
    found = [json.loads(line) for line in lines]
    assert none.err == "nothing was done that fits\n"
    assert [line.split()[3:6] for line in shown.splitlines()[1:]] == [
        ["start-channel", '{"channel":"boiler"}', "failed"],
        ["pause-channel", '{"channel":"boiler"}', "done"],
    ]
    assert [each["action"] for each in found][-3:] == [
        *("start-channel", "pause-channel", "start")
    ]
