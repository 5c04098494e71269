"""What tests get: a failure when code blocks the event loop, and servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from tests.integration.certificates import make_certificate
from tests.loops import Loop
from tests.servers.kafka import Kafka, why_missing as why_no_kafka
from tests.servers.kafka_mock import KafkaMock, why_missing as why_no_kafka_mock
from tests.servers.mosquitto import Mosquitto, why_missing as why_no_mosquitto
from tests.servers.nats import NatsServer, why_missing as why_no_nats
from tests.servers.postgres import PostgresServer, why_missing
from tests.workers import Sharing, place, workers


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` stands for."""
    return workers()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Sharing:
    """How tests are shared out among them: in their order, by files."""
    config.option.loadscopereorder = False
    return Sharing(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], Loop]]:
    """What makes the event loop of each test."""
    return {"loop": Loop}


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Let what takes longest be first, where several processes run tests."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: place(item.nodeid))


@pytest.fixture(autouse=True)
def loop_is_never_blocked() -> Iterator[BlockBuster]:
    """Fail a test in which our code blocks inside a coroutine."""
    with blockbuster_ctx(["pichannels", "nodes", "msgstore"]) as blockbuster:
        # asyncpg looks for the user's files with passwords and certificates, once for
        # each connection.
        for function in blockbuster.functions.values():
            function.can_block_in(
                "asyncpg/connect_utils.py", {"_parse_connect_dsn_and_args"}
            )
            # The semaphores of a test before are given back when garbage is collected.
            function.can_block_in(
                "multiprocessing/resource_tracker.py", {"_check_alive", "_send"}
            )
            # What a library does while it is imported, once, by the first who uses it.
            function.can_block_in(
                "pichannels/adapters/later.py", {"is_there", "__getattr__"}
            )
        yield blockbuster


@pytest.fixture(scope="session")
def postgres_of_session() -> Iterator[PostgresServer]:
    if reason := why_missing():
        pytest.skip(reason)
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def postgres(postgres_of_session: PostgresServer) -> PostgresServer:
    """A PostgreSQL server that runs; a test may kill and start it."""
    postgres_of_session.start()
    return postgres_of_session


@pytest.fixture(scope="session")
def mosquitto_of_session() -> Iterator[Mosquitto]:
    if reason := why_no_mosquitto():
        pytest.skip(reason)
    server = Mosquitto()
    yield server
    server.close()


@pytest.fixture
def mosquitto(mosquitto_of_session: Mosquitto) -> Mosquitto:
    """An MQTT broker that runs; a test may kill and start it."""
    mosquitto_of_session.start()
    return mosquitto_of_session


@pytest.fixture(scope="session")
def kafka_of_session(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Kafka | KafkaMock]:
    server: Kafka | KafkaMock
    if not (reason := why_no_kafka()):
        server = Kafka(make_certificate(tmp_path_factory.mktemp("kafka"), "broker"))
    elif mock_reason := why_no_kafka_mock():
        pytest.skip(f"{reason}, and {mock_reason}")
    else:
        server = KafkaMock()
    yield server
    server.close()


@pytest.fixture
def kafka(kafka_of_session: Kafka | KafkaMock) -> Kafka | KafkaMock:
    """A Kafka broker that runs; a test may kill and start it.

    Without Java it is librdkafka's mock cluster, and what that cannot do is skipped.
    """
    kafka_of_session.start()
    return kafka_of_session


@pytest.fixture(scope="session")
def nats_of_session() -> Iterator[NatsServer]:
    if reason := why_no_nats():
        pytest.skip(reason)
    server = NatsServer()
    yield server
    server.close()


@pytest.fixture
def nats_server(nats_of_session: NatsServer) -> NatsServer:
    """A NATS server with JetStream that runs; a test may kill and start it."""
    nats_of_session.start()
    return nats_of_session
