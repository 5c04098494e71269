"""The simulator beside a test, whatever event loop the test has."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from pichannels.simulator import Plant, Simulator
from pichannels.simulator.plant import UnknownTag
from pichannels.testing import RunningSimulator


def test_it_answers_a_test_without_event_loop(simulator: RunningSimulator) -> None:
    connection = HTTPConnection(urlsplit(simulator.url).netloc, timeout=10)
    with closing(connection):
        connection.request("GET", "/piwebapi/dataservers")
        assert "Items" in json.load(connection.getresponse())


@pytest.mark.pichannels_simulator(plant=Plant(tags=7), poll=0.5)
def test_a_marker_makes_it_otherwise(simulator: RunningSimulator) -> None:
    assert simulator.call(lambda s: (len(s.tags), s.poll)) == (7, 0.5)


def test_async_work_runs_in_its_loop(simulator: RunningSimulator) -> None:
    async def where(_: Simulator) -> str:
        return threading.current_thread().name

    assert simulator.call(where) == "pichannels-simulator"


def test_errors_of_the_work_are_raised(simulator: RunningSimulator) -> None:
    with pytest.raises(UnknownTag):
        simulator.call(lambda s: s.push("NO.SUCH.TAG", 1))


def test_a_port_that_is_taken_is_told(simulator: RunningSimulator) -> None:
    port = simulator.call(lambda s: s.port)
    with pytest.raises(OSError), RunningSimulator(port=port):
        pytest.fail("it listens on a port that is taken")


def test_nothing_is_left_when_it_ends() -> None:
    with RunningSimulator():
        pass
    names = [thread.name for thread in threading.enumerate()]
    assert "pichannels-simulator" not in names
