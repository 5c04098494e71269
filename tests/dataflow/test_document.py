"""The examples of slipstream's own document do here what it says.

Each is a program in `document/`; comments there say what was corrected.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
import signal
import socket
import sys
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from tests.servers.kafka import Kafka

PROGRAMS = Path(__file__).parent / "document"
PRINTED = {
    "cache": "phone 📞\nprize 🏆\n",
    "yielding": "zero: 0\neven: 0\neven: 2\neven: 4\n",
    "conf": (
        "{'bootstrap_servers': 'localhost:29092', 'group_id': 'default-demo'}\n"
        "{'bootstrap_servers': 'localhost:29091', 'group_id': 'demo',"
        " 'security_protocol': 'SASL_SSL', 'sasl_mechanism': 'PLAIN',"
        " 'sasl_plain_username': 'myuser', 'sasl_plain_password': 'mypass'}\n"
    ),
    "avro_codec": "{'msg': '🐟'}\n",
}
NEEDED = {
    "avro_codec": ["avro"],
    "conf": ["aiokafka"],
    "endpoint": ["fastapi", "uvicorn"],
}
SCHEMA = (
    '{"type": "record", "name": "Emoji", "fields": [{"name": "msg", "type": "string"}]}'
)


def skip_without(program: str) -> None:
    for library in NEEDED.get(program, []):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")


async def started(name: str, folder: Path, *args: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "utf8", str(PROGRAMS / f"{name}.py"), *args),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()


@pytest.mark.parametrize("name", PRINTED)
async def test_an_example_prints_what_the_document_says(
    name: str, tmp_path: Path
) -> None:
    skip_without(name)
    (tmp_path / "emoji.avsc").write_text(SCHEMA, "utf-8")
    process = await started(name, tmp_path)
    out, errors = await asyncio.wait_for(process.communicate(), 20)
    assert (out.decode(), process.returncode) == (PRINTED[name], 0), errors.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
async def test_the_timer_prints_until_it_is_told_to_end(tmp_path: Path) -> None:
    process = await started("timer", tmp_path)
    lines = [await line_of(process) for _ in range(3)]
    process.send_signal(signal.SIGTERM)
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", line) for line in lines)
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.parametrize(
    ("name", "printed"),
    [("topic", ["trophy 🏆", "fish 🐟"]), ("codec", ["{'msg': '🐟'}"])],
)
async def test_what_is_written_to_a_topic_is_read_from_it(
    name: str, printed: list[str], tmp_path: Path, kafka: Kafka
) -> None:
    emoji = uuid4().hex
    # One partition, so that the order is that of the document.
    await kafka.make_topic(emoji, partitions=1)
    process = await started(name, tmp_path, kafka.address, emoji)
    try:
        assert [await line_of(process) for _ in printed] == printed
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), 20)


async def test_the_endpoint_gives_updates_of_the_cache(tmp_path: Path) -> None:
    skip_without("endpoint")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await started("endpoint", tmp_path, str(port))
    url = f"http://127.0.0.1:{port}/updates"
    try:
        async with aiohttp.ClientSession() as session:
            async with asyncio.timeout(50):
                while True:
                    try:
                        answer = await session.get(url)
                        break
                    except aiohttp.ClientConnectionError:
                        await asyncio.sleep(0.05)
            lines = [(await answer.content.readline()).decode() for _ in range(3)]
            answer.close()
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), 20)
    assert answer.content_type == "text/event-stream"
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\n", line) for line in lines)
