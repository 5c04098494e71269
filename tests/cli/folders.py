"""Projects in folders, and the commands in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.commands import Result, run_command

__all__ = ["Folder", "MakePlant", "Result", "settings", "stop_twice"]

PLANT = """\
import asyncio
import time
from pathlib import Path

from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.errors import Rejected
from pichannels.message import Message
from pichannels.node import BaseNode

here = Path(__file__).parent


class Counted(BaseChannel):
    async def start_source(self):
        for number in range(COUNT):
            await self.accept(Message(payload=f"value {number}"))


class Sink(BaseNode):
    async def process(self, msg):
        if msg.payload == "value 2" and not (here / "mended").exists():
            raise Rejected("value 2 is refused")
        with (here / "out.txt").open("a") as file:
            file.write(f"{msg.payload} {msg.meta['lane']}\\n")
        return msg


class Stuck(BaseNode):
    async def process(self, msg):
        (here / "reached").touch()
        await asyncio.sleep(3600)
        return msg


class Blocked(BaseNode):
    async def process(self, msg):
        while not (here / "block").exists():
            await asyncio.sleep(0.01)
        (here / "reached").touch()
        while True:
            time.sleep(0.1)


PROJECT_NAME = "plant"
MESSAGE_STORE = SQLiteMessageStoreFactory()
MORE
CHANNELS = [Counted("values").add(NODE())]
"""


MakePlant = Callable[..., "Folder"]


class Folder:
    """A project's folder, and the commands run in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._process: subprocess.Popen[str] | None = None

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run(self, *args: str, env: dict[str, str] | None = None) -> Result:
        """Run a command to its end."""
        return run_command(self.path, *args, env=env or {})

    @contextmanager
    def start(self, *args: str) -> Iterator[subprocess.Popen[str]]:
        """Run the project; goes on when it says that it runs."""
        with subprocess.Popen(
            [sys.executable, "-m", "pichannels", "start", *args],
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                while not process.stdout.readline().startswith("Ctrl-C"):
                    assert process.poll() is None, process.communicate()
                self._process = process
                yield process
            finally:
                process.kill()

    def stop(self) -> int:
        """Stop the running instance: its exit code."""
        assert self._process is not None
        self._process.terminate()
        self._process.communicate(timeout=20)
        return self._process.returncode

    def wait_for_settled(self, count: int) -> None:
        """Until the running instance has settled so many messages."""
        while True:
            channel = self.run("status", "--json").json["channels"][0]
            if channel["processed"] + channel["rejected"] >= count:
                return

    def lines(self) -> list[str]:
        """What the sink got."""
        file = self.path / "out.txt"
        return file.read_text().splitlines() if file.exists() else []


def stop_twice(process: subprocess.Popen[str]) -> None:
    """Send two signals; of two that are the same the system may make one."""
    process.send_signal(signal.SIGINT)
    process.terminate()


def settings(node: str = "Sink", count: int = 3, more: str = "") -> str:
    """The settings of the plant."""
    text = PLANT.replace("COUNT", str(count)).replace("NODE", node)
    return text.replace("MORE", more)
