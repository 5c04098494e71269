"""Settings are evaluated in a process that they may end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pichannels.config import SettingsProblems
from pichannels.errors import SettingsError
from pichannels.project import load
from pichannels.reload.definition import define
from pichannels.reload.evaluation import evaluate

GOOD = """\
from nodes import log
from pichannels.channels import BaseChannel

LEVELS = {"a", "b", "c"}
CHANNELS = [BaseChannel("a").add(log.Log())]
CHANNELS[0].when(lambda msg: msg.payload in {"x", "y", "z"}, "w")
"""


async def write(folder: Path, text: str) -> Path:
    file = folder / "settings.py"
    await asyncio.to_thread(file.write_text, text)
    return file


async def test_a_process_of_its_own_finds_the_same_definition(tmp_path: Path) -> None:
    file = await write(tmp_path, GOOD.replace("LEVELS", "levels"))
    here = define(await asyncio.to_thread(load, file))
    assert await evaluate(file) == here


async def test_what_the_settings_print_does_no_harm(tmp_path: Path) -> None:
    text = "import os\nprint('hello')\nos.write(1, b'hello')\n" + GOOD
    file = await write(tmp_path, text.replace("LEVELS", "levels"))
    assert [each.name for each in (await evaluate(file)).channels] == ["a"]


async def test_all_problems_are_told(tmp_path: Path) -> None:
    file = await write(tmp_path, GOOD + "DRAIN_TIMOUT = 3\n")
    with pytest.raises(SettingsProblems) as caught:
        await evaluate(file)
    told = str(caught.value)
    assert ("LEVELS: there is no" in told, "DRAIN_TIMEOUT'?" in told) == (True, True)


async def test_settings_that_end_the_process_are_refused(tmp_path: Path) -> None:
    file = await write(tmp_path, "import os\nos.write(2, b'why')\nos._exit(3)\n")
    with pytest.raises(SettingsError, match=r"exit code 3\): why"):
        await evaluate(file)


async def test_settings_that_never_end_are_refused(tmp_path: Path) -> None:
    file = await write(tmp_path, "import time\nwhile True: time.sleep(1)\n")
    with pytest.raises(SettingsError, match="not evaluated in 0.5 s"):
        await evaluate(file, timeout=0.5)
