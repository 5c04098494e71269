"""Apache Kafka for tests: one node in KRaft mode, started, killed, started again."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from pichannels.adapters.kafka_admin import Administration
from pichannels.errors import TryAgain
from tests.servers.process import ServerProcess

__all__ = ["PASSWORD", "USER", "Kafka", "why_missing"]

USER: Final = "plant"
PASSWORD: Final = "s3cret"
_WAIT: Final = 120.0
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


class Kafka(ServerProcess):
    """A broker on loopback ports with a folder of its own.

    Args:
        certificate: a file with certificate and key; with one there is a second port
            that speaks TLS and asks for USER and PASSWORD (PLAIN).

    Attributes:
        certificate: that file; its certificate is its own authority.
        secure_port: the one with TLS.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        super().__init__("kafka", wait=_WAIT, ports=3)
        self.certificate = certificate
        _, self.secure_port, controller = self._ports
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
        formatting = ("kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c")
        assert self._popen(*self._java(*formatting)).wait(_WAIT) == 0, self.log

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
        async with asyncio.timeout(40):
            while True:
                # On a machine with much else to do a broker may not be in time.
                with suppress(TryAgain):
                    await administration.create(name, partitions=partitions)
                    return
                await asyncio.sleep(0.1)

    def needs(self, what: str) -> None:
        """Go on: a broker has it."""

    def command(self) -> list[str]:
        return self._java("kafka.Kafka")

    def _java(self, program: str, *arguments: str) -> list[str]:
        java = shutil.which("java")
        assert java is not None
        classes = ("-cp", str(_jars() / "*"))
        return [java, *_OPTIONS, *classes, program, *arguments, str(self._config)]
