"""The example with HL7 does what it says; the hl7 library sends to it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pichannels.engine import Engine
from pichannels.project import load

EXAMPLE = Path(__file__).parents[1] / "examples" / "hl7"
HOW_TO = Path(__file__).parents[1] / "docs" / "how-to" / "hl7.md"
SEND = "from hl7.client import mllp_send; mllp_send()"


@pytest.fixture
async def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example, which listens on a free port."""
    monkeypatch.setenv("HL7_PORT", "0")
    found = tmp_path / "hl7"
    await asyncio.to_thread(shutil.copytree, EXAMPLE, found)
    return found


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[int]:
    """The port on which the example listens."""
    project = await asyncio.to_thread(load, folder / "settings.py")
    async with Engine(project, control=False):
        endpoint: Any = project.channel("results")
        yield endpoint.endpoint.bound_port


async def send(port: int, file: Path) -> str:
    """What the sender prints: the answers."""
    options = ("--loose", "--port", str(port), "--file", str(file), "127.0.0.1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SEND, *options), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def lines(file: Path) -> list[Any]:
    text = await asyncio.to_thread(file.read_text, "utf-8")
    return [json.loads(line) for line in text.splitlines()]


async def test_results_become_samples_and_admissions_lines(folder: Path) -> None:
    async with running(folder) as port:
        told = [
            await send(port, folder / name)
            for name in ("result.hl7", "admission.hl7", "result.hl7")
        ]
    output = folder / ".pichannels" / "output"
    answers = [each.split("MSA|")[1].strip("\x1c\r\n") for each in told]
    assert answers == ["AA|1001", "AA|1002", "AA|1001"]
    found = await lines(output / "results.jsonl")
    assert [(line["tag"], line["value"], line["units"]) for line in found] == [
        ("LAB.4711.GLU", 5.4, "mmol/L"),
        ("LAB.4711.NA", 139.0, "mmol/L"),
    ]
    admitted = await lines(output / "admissions.jsonl")
    assert [line["payload"] for line in admitted] == [
        {"patient": "4711", "place": {"ward": "W12"}, "name": "Jane Doe"}
    ]


async def test_an_admission_without_a_ward_is_refused(folder: Path) -> None:
    file = folder / "admission.hl7"
    text = await asyncio.to_thread(file.read_bytes)
    await asyncio.to_thread(file.write_bytes, text.partition(b"PV1")[0])
    async with running(folder) as port:
        assert "MSA|AR|1002|no ward is named (PV1-3)" in await send(port, file)


def test_what_is_told_to_send_with_is_what_is_tested() -> None:
    for file in (EXAMPLE / "settings.py", HOW_TO):
        text = file.read_text("utf-8")
        assert "\n" + "mllp_send --loose --port 2100 --file" in text.replace("    ", "")
