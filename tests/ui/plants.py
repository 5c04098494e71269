"""An instance with pages and API, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from pichannels.ui.roles import Role
from pichannels.ui.users import Users

SETTINGS = """\
from msgstore.memory import MemoryMessageStoreFactory
from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode
from pichannels.channels import BaseChannel
from pichannels.channels.pi import PIWebChannel
from pichannels.node import BaseNode


class Check(BaseNode):
    def process(self, msg):
        if "poison" in str(msg.payload):
            raise ValueError("this is poison: " + str(msg.payload))
        return msg


class Upper(BaseNode):
    def process(self, msg):
        msg.payload = str(msg.payload).upper()
        return msg


class Sink(BaseNode):
    is_sink = True

    def process(self, msg):
        return msg


PROJECT_NAME = "plant"
SIMULATOR = {"port": PORT, "tags": 8, "poll": 0.1}
UI = {"port": OWN, "mask": ["secret"], "mask_text": ["hush-[0-9]+"]}
MESSAGE_STORE = SQLiteMessageStoreFactory()
boiler = PIWebChannel("boiler", url="http://127.0.0.1:PORT/piwebapi", tags=["*"])
boiler.add(decode.PI(), Sink(name="taken"))
orders = BaseChannel("orders").add(
    Check(name="check"), Upper(name="upper"), Sink(name="out")
)
notes = BaseChannel(
    "notes", message_store_factory=MemoryMessageStoreFactory()
).add(Upper(name="shout"))
scratch = BaseChannel("scratch").add(Check(name="check"))
CHANNELS = [boiler, orders, notes, scratch]
"""

ROLES = ("view", "data", "operate", "admin")
PATIENCE = 60.0
"""Seconds for an answer; other tests run beside these."""
_BETWEEN = 0.05


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
        return port


class Plant:
    """One that runs.

    Attributes:
        folder: of its project.
        url: of the pages and the API.
        tokens: of a user of each role.
        process: the instance.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.tokens: dict[str, str] = {}
        self.process: subprocess.Popen[str] | None = None
        self._clients: dict[str, httpx.Client] = {}

    def client(self, role: str = "admin") -> httpx.Client:
        """A client with the token of a user of this role."""
        if role not in self._clients:
            self._clients[role] = httpx.Client(
                base_url=f"{self.url}/api/v1",
                headers={"Authorization": f"Bearer {self.tokens[role]}"},
                timeout=PATIENCE,
            )
        return self._clients[role]

    def get(self, path: str, role: str = "admin", **query: Any) -> Any:
        """What a route of the instance answers, when its budget allows."""
        place = f"/instances/plant{path}"
        while (answer := self.client(role).get(place, params=query)).is_error:
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                answer.raise_for_status()
            time.sleep(float(answer.headers["Retry-After"]))
        return answer.json()

    def post(self, path: str, body: Any = None, role: str = "admin") -> httpx.Response:
        """What a command of the instance answers."""
        return self.client(role).post(f"/instances/plant{path}", json=body or {})

    def messages(self, count: int, **query: Any) -> list[Any]:
        """The newest messages of a search, as soon as there are so many."""
        while True:
            found = self.get("/messages", **query)["messages"]
            if len(found) >= count:
                return list(found[:count])
            time.sleep(_BETWEEN)

    def give(self, payload: Any, channel: str = "orders") -> None:
        """Give a channel a message, and wait until it is settled."""
        done = self._settled(channel)
        answer = self.post(f"/channels/{channel}/messages", {"payload": payload})
        assert answer.status_code == 200, answer.text
        while self._settled(channel) <= done:
            time.sleep(_BETWEEN)

    def _settled(self, channel: str) -> int:
        found = self.get(f"/channels/{channel}")
        return int(found["processed"] + found["failed"] + found["rejected"])

    def ended(self, operation: Any) -> Any:
        """The operation, when it has ended."""
        while operation["state"] == "running":
            operation = self.client().get(f"/operations/{operation['id']}").json()
        return operation


def _put_first(pid: int) -> None:
    """Let its pages give way to nobody, where that is possible.

    They come after the instance and all other programs, and tests leave them nothing.
    """
    with contextlib.suppress(OSError, AttributeError):
        known = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        for child in map(int, known.split()):
            os.setpriority(os.PRIO_PROCESS, child, os.getpriority(os.PRIO_PROCESS, 0))


@contextlib.contextmanager
def running(
    folder: Path, settings: str = SETTINGS, *, gives_way: bool = False
) -> Iterator[Plant]:
    """Run a plant; ends with the block.

    Args:
        folder: of its project.
        settings: text of the file.
        gives_way: whether its pages come after all else, as they do elsewhere.
    """
    plant = Plant(folder)
    text = settings.replace("PORT", str(free_port()))
    (folder / "settings.py").write_text(text.replace("OWN", str(free_port())))
    users = Users(folder / ".pichannels" / "ui" / "users.json")
    for role in ROLES:
        users.add(f"{role}-user", Role(role))
        plant.tokens[role] = users.make_token(f"{role}-user")
    users.change("admin-user", password="correct horse battery")
    out = folder / "out.txt"
    with (
        (folder / "log.txt").open("w") as log,
        # Not a pipe, which would be full at some time.
        out.open("w") as said,
        subprocess.Popen(
            [sys.executable, "-m", "pichannels", "start", "--plain"],
            cwd=folder,
            stdout=said,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            while not (found := re.search(r"pages +(http\S+)\n", out.read_text())):
                assert process.poll() is None, (folder / "log.txt").read_text()
                time.sleep(0.05)
            plant.url = found[1]
            if not gives_way:
                _put_first(process.pid)
            plant.process = process
            yield plant
        finally:
            for client in plant._clients.values():
                client.close()
            process.kill()
