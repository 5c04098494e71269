"""librdkafka's mock cluster in a process of its own, where there is no Java for Kafka.

It speaks the protocol of brokers and keeps records in memory. What it cannot do tests
skip: they ask by `needs`. As a program it is the process: it prints where it listens,
and then answers each line of its input.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

__all__ = ["KafkaMock", "why_missing"]

_ROOT: Final = Path(__file__).parents[2]
_PRODUCER: Final = 0


def _library() -> Path | None:
    """The library that the wheel of confluent-kafka brings."""
    found = importlib.util.find_spec("confluent_kafka")
    if found is None or found.origin is None:
        return None
    package = Path(found.origin).parent
    folders = package.parent / "confluent_kafka.libs", package / ".dylibs"
    files = (file for folder in folders for file in folder.glob("*rdkafka*"))
    return next((file for file in files if "++" not in file.name), None)


def why_missing() -> str:
    """Why there is no mock cluster; empty where there is one."""
    if _library() is None:
        return "confluent-kafka with its librdkafka is not installed"
    return ""


class KafkaMock:
    """A broker that is none; it has the names of `tests.servers.kafka.Kafka`.

    Attributes:
        port: where it listens.
    """

    certificate = None
    secure_address = ""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.address = self._line()
        self.port = int(self.address.rpartition(":")[2])

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _ask(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer = self._line()
        assert answer == "0", f"{command}: {answer}"

    async def make_topic(self, name: str, partitions: int = 4) -> None:
        """Make a topic."""
        await asyncio.to_thread(self._ask, f"create {name} {partitions}")

    def needs(self, what: str) -> None:
        """Skip the test that needs this, which only brokers have."""
        pytest.skip(f"librdkafka's mock cluster has no {what}")

    def start(self) -> None:
        """Answer (again)."""
        self._ask("up")

    def kill(self) -> None:
        """Break all connections, and take none."""
        self._ask("down")

    stop = kill

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Be the cluster, until the input ends."""
    path = _library()
    assert path is not None
    # Its own libraries are found when the package is there.
    importlib.import_module("confluent_kafka")
    cluster = _Cluster(ctypes.CDLL(str(path)))
    _say(cluster.address)
    for line in sys.stdin:
        name, *arguments = line.split()
        _say(str(getattr(cluster, name)(*arguments)))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class _Cluster:
    """One broker; each method gives the error code of the library."""

    def __init__(self, library: Any) -> None:
        self._library = library
        new = self._function("rd_kafka_conf_new", pointer=True)
        error = ctypes.create_string_buffer(512)
        client = self._function("rd_kafka_new", pointer=True)(
            _PRODUCER, ctypes.c_void_p(new()), error, len(error)
        )
        assert client, error.value.decode()
        make = self._function("rd_kafka_mock_cluster_new", pointer=True)
        self._cluster = ctypes.c_void_p(make(ctypes.c_void_p(client), 1))
        at_once = self._function("rd_kafka_mock_group_initial_rebalance_delay_ms")
        at_once(self._cluster, 0)
        address = self._library.rd_kafka_mock_cluster_bootstraps
        address.restype = ctypes.c_char_p
        self.address = address(self._cluster).decode()

    def _function(self, name: str, *, pointer: bool = False) -> Callable[..., Any]:
        function = getattr(self._library, name)
        function.restype = ctypes.c_void_p if pointer else ctypes.c_int
        found: Callable[..., Any] = function
        return found

    def create(self, name: str, partitions: str) -> int:
        """Make a topic."""
        create = self._function("rd_kafka_mock_topic_create")
        return int(create(self._cluster, name.encode(), int(partitions), 1))

    def up(self) -> int:
        """Take connections."""
        return int(self._function("rd_kafka_mock_broker_set_up")(self._cluster, 1))

    def down(self) -> int:
        """Take none, and break those that are."""
        return int(self._function("rd_kafka_mock_broker_set_down")(self._cluster, 1))


if __name__ == "__main__":
    main()
