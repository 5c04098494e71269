"""Apache Kafka for tests: one node in KRaft mode, started, killed, started again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from pichannels.adapters.kafka_admin import Administration

__all__ = ["PASSWORD", "USER", "Kafka", "why_missing"]

USER: Final = "plant"
PASSWORD: Final = "s3cret"
_WAIT: Final = 40.0
_CLUSTER: Final = "MkU3OEVBNTcwNTJENDM2Qg"
_ROOT: Final = Path(__file__).parent
_OPTIONS: Final = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


def _jars() -> Path:
    """Where `kafka_jars.sh` puts them."""
    if named := os.environ.get("PICHANNELS_KAFKA_JARS"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "pichannels" / "kafka"


def why_missing() -> str:
    """Why no broker can be started here; empty where it can."""
    if os.environ.get("PICHANNELS_KAFKA") == "mock":
        return "PICHANNELS_KAFKA is `mock`"
    if shutil.which("java") is None:
        return "Java is not installed"
    there = _jars() / "kafka.xml"
    wanted = (_ROOT / "kafka.xml").read_text()
    if not there.exists() or there.read_text() != wanted:
        return "Kafka's jars are not there: run tests/servers/kafka_jars.sh"
    return ""


class Kafka:
    """A broker on loopback ports with a folder of its own.

    Args:
        certificate: a file with certificate and key; with one there is a second port
            that speaks TLS and asks for USER and PASSWORD (PLAIN).

    Attributes:
        certificate: that file; its certificate is its own authority.
        port: stays the same when the broker is started again.
        secure_port: the one with TLS.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.certificate = certificate
        self._folder = Path(tempfile.mkdtemp(prefix="pichannels-kafka-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self.secure_port, controller = _free_ports(3)
        listeners = f"PLAINTEXT://127.0.0.1:{self.port}"
        if certificate is not None:
            listeners += f",SECURE://127.0.0.1:{self.secure_port}"
        lines = [
            "process.roles=broker,controller",
            "node.id=1",
            f"controller.quorum.voters=1@127.0.0.1:{controller}",
            f"listeners={listeners},CONTROLLER://127.0.0.1:{controller}",
            f"advertised.listeners={listeners}",
            "listener.security.protocol.map="
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
            "controller.listener.names=CONTROLLER",
            f"log.dirs={self._folder / 'data'}",
            "num.partitions=4",
            "offsets.topic.num.partitions=4",
            "offsets.topic.replication.factor=1",
            "transaction.state.log.num.partitions=2",
            "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1",
            "group.initial.rebalance.delay.ms=0",
            "group.min.session.timeout.ms=1000",
            # What was killed is soon given up, and started again without a wait.
            "broker.heartbeat.interval.ms=200",
            "broker.session.timeout.ms=1500",
            "controlled.shutdown.enable=false",
        ]
        if certificate is not None:
            module = "org.apache.kafka.common.security.plain.PlainLoginModule"
            lines += [
                "ssl.keystore.type=PEM",
                f"ssl.keystore.location={certificate}",
                "sasl.enabled.mechanisms=PLAIN",
                f"listener.name.secure.plain.sasl.jaas.config={module} required"
                f' user_{USER}="{PASSWORD}";',
            ]
        self._config = self._folder / "server.properties"
        self._config.write_text("\n".join(lines) + "\n")
        self._run("kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c").wait(_WAIT)

    @property
    def address(self) -> str:
        """Where it is."""
        return f"127.0.0.1:{self.port}"

    @property
    def secure_address(self) -> str:
        """Where it speaks TLS."""
        return f"127.0.0.1:{self.secure_port}"

    async def make_topic(self, name: str, partitions: int = 4) -> None:
        """Make a topic."""
        administration = Administration({"bootstrap_servers": self.address}, "Kafka")
        assert await administration.create(name, partitions=partitions)

    def needs(self, what: str) -> None:
        """Go on: a broker has it."""

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self._process is not None:
            return
        self._process = self._run("kafka.Kafka")
        deadline = time.monotonic() + _WAIT
        while not self._answers():
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        java = shutil.which("java")
        assert java is not None
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    *(java, *_OPTIONS, "-cp", str(_jars() / "*")),
                    *(program, *arguments, str(self._config)),
                ],
                stdout=log,
                stderr=log,
            )

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_WAIT)
            self._process = None

    def kill(self) -> None:
        """End it without any warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_WAIT)
            self._process = None

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self._folder / "log").read_text("utf-8", "replace")


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
