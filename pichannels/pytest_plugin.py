"""The pytest plugin of the test kit: fixtures for tests of a project."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, Protocol

import pytest

from pichannels.testing.case import settings_near
from pichannels.testing.expected import UPDATE_VARIABLE
from pichannels.testing.replays import Replay
from pichannels.testing.running import ChannelUnderTest, ProjectUnderTest
from pichannels.testing.simulators import RunningSimulator
from pichannels.testing.stored import Source

__all__ = [
    "ReplayMessages",
    "finish_all_tasks",
    "get_channel",
    "pichannels_project",
    "replay",
    "simulator",
]

_PROJECT: Final = pytest.StashKey[ProjectUnderTest]()
_UPDATE_BEFORE: Final = pytest.StashKey[str | None]()


class ReplayMessages(Protocol):
    """What the fixture `replay` gives."""

    def __call__(self, channel: str, source: Source, **options: Any) -> Replay:
        """Run stored messages through a channel; see `pichannels.testing.Replay`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("pichannels").addoption(
        "--pichannels-update",
        action="store_true",
        help="write what comes out of replays as what is expected",
    )
    parser.addini(
        "pichannels_settings",
        "the settings file of the project: beside the tests or in a folder above",
        default="settings.py",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "pichannels(settings): the settings file of the project under test"
    )
    config.addinivalue_line(
        "markers",
        "pichannels_simulator(plant=None, **options): how the simulator is made",
    )
    if config.getoption("--pichannels-update"):
        config.stash[_UPDATE_BEFORE] = os.environ.get(UPDATE_VARIABLE)
        os.environ[UPDATE_VARIABLE] = "1"


def pytest_unconfigure(config: pytest.Config) -> None:
    before = config.stash.get(_UPDATE_BEFORE, None)
    if config.getoption("--pichannels-update"):
        os.environ.pop(UPDATE_VARIABLE, None)
        if before is not None:
            os.environ[UPDATE_VARIABLE] = before


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    # The channels belong to the loop of the test, which is still there now. When
    # fixtures end, it may be gone.
    try:
        return (yield)
    finally:
        project = pyfuncitem.stash.get(_PROJECT, None)
        if project is not None:
            project.close()


@pytest.fixture
def pichannels_project(request: pytest.FixtureRequest) -> Iterator[ProjectUnderTest]:
    """The project of the nearest settings file, for this test alone.

    `@pytest.mark.pichannels(settings="other.py")` names another file.
    """
    marker = request.node.get_closest_marker("pichannels")
    name = request.config.getini("pichannels_settings")
    if marker is not None:
        name = _settings_of(*marker.args, **marker.kwargs)
    project = ProjectUnderTest(settings_near(request.path, name))
    request.node.stash[_PROJECT] = project
    yield project
    project.close()


def _settings_of(settings: str) -> str:
    return settings


@pytest.fixture
def get_channel(
    pichannels_project: ProjectUnderTest,
) -> Callable[[str], ChannelUnderTest]:
    """A channel of the project under test, by its full name."""
    return pichannels_project.get_channel


@pytest.fixture
def finish_all_tasks(
    pichannels_project: ProjectUnderTest,
) -> Callable[[], list[dict[str, Any]]]:
    """Wait until nothing is under way in any channel; what has failed meanwhile.

    For tests without an event loop; others write
    `await pichannels_project.finish_all_tasks()`.
    """
    return lambda: pichannels_project.wait(pichannels_project.finish_all_tasks())


@pytest.fixture
def replay(pichannels_project: ProjectUnderTest) -> ReplayMessages:
    """Run stored messages through a channel of the project under test."""

    def run(channel: str, source: Source, **options: Any) -> Replay:
        return Replay(pichannels_project.get_channel(channel), source, **options)

    return run


@pytest.fixture
def simulator(request: pytest.FixtureRequest) -> Iterator[RunningSimulator]:
    """A PI Web API server with a small plant behind it.

    `@pytest.mark.pichannels_simulator(plant=Plant(tags=500), poll=0.1)` makes it
    otherwise.
    """
    marker = request.node.get_closest_marker("pichannels_simulator")
    options = marker.kwargs if marker is not None else {}
    with RunningSimulator(**options) as running:
        yield running
