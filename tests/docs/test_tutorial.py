"""The tutorial works, done as its reader would do it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, blocks
from tests.docs.processes import environment, in_process

TUTORIAL = DOCS / "tutorial.md"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_until(folder: Path, file: str) -> None:
    """Start the project, and stop it when it has written."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pichannels", "start"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        while process.poll() is None and not (folder / file).is_file():
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, told


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the reader, after the last but one section."""
    folder = tmp_path_factory.mktemp("plant")
    port = str(free_port())
    for block in blocks(TUTORIAL):
        if block.file:
            code = block.code.replace(
                "SIMULATOR = True", f'SIMULATOR = {{"port": {port}}}'
            )
            (folder / block.file).parent.mkdir(exist_ok=True)
            (folder / block.file).write_text(code.replace("8500", port), "utf-8")
    run_until(folder, "output/boilers.jsonl")
    (export,) = re.findall(
        r"^\$ pichannels (store export .*)$", TUTORIAL.read_text(), re.M
    )
    done = in_process(folder, "-m", "pichannels", *export.split())
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process at once")
@pytest.mark.timeout(180)
def test_the_tests_of_the_tutorial_pass(plant: Path) -> None:
    update = in_process(plant, "-m", "pytest", "--pichannels-update")
    again = in_process(plant, "-m", "pytest")
    assert "2 passed" in update.stdout and "2 passed" in again.stdout, again.stdout
