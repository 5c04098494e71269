"""Where there is no Java tests go on with librdkafka's mock cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest

from pichannels.dataflow import Topic, fresh
from tests.servers.kafka_mock import KafkaMock, why_missing


@pytest.fixture(scope="module")
def mock() -> Iterator[KafkaMock]:
    if reason := why_missing():
        pytest.skip(reason)
    server = KafkaMock()
    yield server
    server.close()


async def test_a_topic_is_written_and_read_also_after_a_break(mock: KafkaMock) -> None:
    name = uuid4().hex
    await mock.make_topic(name, partitions=2)
    with fresh():
        settings = {"bootstrap_servers": mock.address, "group_id": name}
        topic = Topic(name, settings | {"auto_offset_reset": "earliest"})
    async with topic, asyncio.timeout(20):
        await topic("k", "before")
        found = [(await anext(topic)).value]
        await asyncio.to_thread(mock.kill)
        await asyncio.to_thread(mock.start)
        await topic("k", "after")
        found.append((await anext(topic)).value)
    assert found == ["before", "after"]


def test_what_it_cannot_do_is_a_reason_to_skip(mock: KafkaMock) -> None:
    with pytest.raises(pytest.skip.Exception, match="no offsets by time"):
        mock.needs("offsets by time")
