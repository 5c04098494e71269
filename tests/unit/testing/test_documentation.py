"""The project in docs/testing.md, run by pytest and unittest as its reader would."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pichannels.journal import Journal
from pichannels.message import Message

PAGE = Path(__file__).parents[3] / "docs" / "testing.md"
STRICT = ("-W", "error", "--strict-markers")
ASYNCIO = (
    *("-o", "asyncio_mode=strict"),
    *("-o", "asyncio_default_fixture_loop_scope=function"),
)
FILE = re.compile(r"^`([\w/]+\.py)`\n\n```python\n(.*?)^```$", re.M | re.S)


async def run_for_a_while(data_dir: Path) -> None:
    """What an instance in production leaves in its journal."""
    journal = Journal(data_dir / "journal.sqlite", durability="normal")
    await journal.open()
    for celsius in (20, 21.5):
        msg = Message("application/json", f'{{"celsius": {celsius}}}')
        await journal.append("temperatures", msg).durable
    await journal.close()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the page shows, after production, export and a first update."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in FILE.findall(PAGE.read_text("utf-8")):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    asyncio.run(run_for_a_while(folder / ".pichannels"))
    run(folder, "export.py")
    run(folder, "-m", "pytest", "-p", "no:asyncio", "--pichannels-update")
    return folder


def run(folder: Path, *args: str, is_ok: bool = True) -> str:
    """What Python says, in an environment without anything of these tests."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PY", "PICH"))}
    done = subprocess.run(
        [sys.executable, *args],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=50,
    )
    said = done.stdout + done.stderr
    assert (done.returncode == 0) is is_ok, said
    return said


def test_the_pages_tests_pass_with_pytest(project: Path) -> None:
    assert "9 passed" in run(project, "-m", "pytest", *STRICT, *ASYNCIO)


def test_async_tests_pass_in_strict_mode(project: Path) -> None:
    (project / "tests" / "test_async.py").write_text(
        "import pytest\n"
        "from pichannels.message import Message\n"
        "@pytest.mark.asyncio\n"
        "async def test_it(get_channel, replay):\n"
        "    channel = get_channel('temperatures')\n"
        "    channel.mute('publish')\n"
        "    await channel.accept(Message(payload='{\"celsius\": 1}'))\n"
        "    await channel.drain()\n"
        "    assert channel.processed == 1\n"
        "    result = await replay('temperatures', '.pichannels', count=1)\n"
        "    assert len(result.outputs('kelvin')) == 1\n"
    )
    args = ("tests/test_async.py", *STRICT, *ASYNCIO)
    assert "1 passed" in run(project, "-m", "pytest", *args)


def test_the_pages_tests_pass_with_unittest(project: Path) -> None:
    args = ("-W", "error", "-m", "unittest", "-v", "tests/test_with_unittest.py")
    assert "Ran 3 tests" in run(project, *args)


def test_the_real_sink_is_not_touched(project: Path) -> None:
    assert not (project / "temperatures.jsonl").exists()


def test_a_change_of_a_node_is_shown_readably(project: Path) -> None:
    node = project / "nodes" / "boiler.py"
    before = node.read_text()
    node.write_text(before.replace("273.15, 2)", "273, 2)"))
    try:
        said = run(project, "-m", "pytest", "-k", "stored", is_ok=False)
    finally:
        node.write_text(before)
    assert "message 2: payload.kelvin: expected 294.65, got 294.5" in said


def test_another_settings_file_can_be_named(project: Path) -> None:
    settings = (project / "settings.py").read_text()
    (project / "other.py").write_text(settings.replace('"temp', '"other_temp'))
    (project / "tests" / "test_other.py").write_text(
        "import pytest\n"
        "@pytest.mark.pichannels(settings='other.py')\n"
        "def test_it(get_channel):\n"
        "    assert get_channel('other_temperatures').name == 'other_temperatures'\n"
    )
    assert "1 passed" in run(
        project, "-m", "pytest", "tests/test_other.py", *STRICT, *ASYNCIO
    )
