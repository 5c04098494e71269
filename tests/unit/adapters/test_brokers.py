"""The libraries of brokers: imported when they are used, their slips made ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from pichannels.adapters.kafka_admin import Administration
from pichannels.errors import NotConnected
from tests.servers.kafka_mock import KafkaMock, why_missing


def test_who_publishes_elsewhere_does_not_wait_for_the_libraries_of_brokers() -> None:
    program = (
        "import sys; from nodes import publish; publish.Console();"
        " print({'aiokafka', 'nats'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50
    )
    assert done.stdout.strip() == "set()", done.stderr


@pytest.fixture
def cluster() -> Iterator[KafkaMock]:
    if reason := why_missing():
        pytest.skip(reason)
    mock = KafkaMock()
    yield mock
    mock.close()


async def test_a_cluster_without_a_controller_makes_no_topics(
    cluster: KafkaMock,
) -> None:
    asked = Administration({"bootstrap_servers": cluster.address}, "Kafka")
    with pytest.raises(NotConnected, match="there is no controller"):
        await asked.create("readings")
