"""What a PI channel finds when it looks at its server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pichannels.channels.pi import PIWebChannel
from pichannels.probes import Finding
from pichannels.testing.simulators import RunningSimulator


@pytest.fixture(scope="module")
def server() -> Iterator[RunningSimulator]:
    with RunningSimulator(auth=("op", "secret")) as found:
        yield found


async def look(server: RunningSimulator, *tags: str, password: str) -> list[Finding]:
    channel = PIWebChannel("x", url=server.url, tags=tags, auth=("op", password))
    return await channel.probe()


async def test_a_server_with_all_tags_is_well(server: RunningSimulator) -> None:
    found = await look(server, "UNIT1.BOILER.TEMP", password="secret")
    assert all(finding.ok for finding in found)
    assert found[-1] == Finding(True, "tags", "all 1 found")


async def test_missing_tags_are_counted_and_named(server: RunningSimulator) -> None:
    missing = [f"NO{number}" for number in range(7)]
    found = await look(server, "UNIT1.BOILER.TEMP", *missing, password="secret")
    assert not found[-1].ok
    assert found[-1].text.startswith("1 found, 7 not: NO0 (")
    assert found[-1].text.endswith(" and 2 more")


async def test_a_refused_login_is_told(server: RunningSimulator) -> None:
    found = await look(server, "*", password="wrong")
    assert [finding.ok for finding in found] == [False]
    assert "401" in found[0].text
