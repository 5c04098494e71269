"""The commands, through a proxy that speaks TLS and passes websockets only."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from msgstore.memory import MemoryMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.config import Config, ControlConfig
from pichannels.engine import Engine
from pichannels.message import Message
from pichannels.project import Project
from pichannels.remote_config import RemoteConfig, RemoteFolderConfig
from tests.integration.certificates import make_certificate
from tests.servers.gateway import Gateway

TOKEN = "the token of the control server"


async def command(folder: Path, *arguments: str) -> None:
    """Run a command there, which is to succeed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pichannels", *arguments),
        env={**os.environ, "PICHANNELS_TOKEN": TOKEN},
        cwd=folder,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await process.communicate()
    assert process.returncode == 0, told.decode()


async def test_commands_need_nothing_but_websockets(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    (here / "up").write_bytes(b"up")
    (there / "down").write_bytes(b"down")
    channel = BaseChannel("boiler", message_store_factory=MemoryMessageStoreFactory())
    folders = {"files": RemoteFolderConfig(path=str(there), write=True)}
    remote = RemoteConfig(folders=folders, keep=1)
    config = Config(control=ControlConfig(token=TOKEN), remote=remote)
    certificate = await asyncio.to_thread(make_certificate, tmp_path, "gateway")
    async with Engine(Project([channel], config), data_dir=tmp_path / "data") as engine:
        gateway = Gateway(f"{engine.control_url}/streams", certificate)
        await channel.handle(Message("text/plain", "stored"))
        async with gateway as url:
            options = ("--url", url, "--ca", str(certificate))
            await asyncio.gather(
                command(here, "remote", "get", "files/down", *options),
                command(here, "remote", "put", "up", "files/up", *options),
                command(here, "store", "export", "boiler", "lines.jsonl", *options),
                command(
                    here, "tail", "boiler", "--from", "start", "--count=1", *options
                ),
            )
    files = (here / "down", there / "up", here / "lines.jsonl")
    found = [await asyncio.to_thread(file.read_text) for file in files]
    assert found[:2] == ["down", "up"] and '"stored"' in found[2]
    assert (gateway.passed, gateway.refused) == (4, 0)
