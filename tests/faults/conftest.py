"""The library for the scenarios, and a table of what they have shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.figures import Figures, seed_of
from tests.faults.preload import build, why_missing

_FIGURES = pytest.StashKey[list[Figures]]()
_COLUMNS = (
    f"{'scenario':<12}{'seconds':>8}{'faults':>7}{'accepted':>10}{'delivered':>10}"
    f"{'twice':>7}{'again':>9}{'aside':>7}{'out':>6}{'whole':>6}{'MiB':>5}  notes"
)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FIGURES] = []


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """The built library; None where it cannot be."""
    if why_missing():
        yield None
        return
    path = tmp_path_factory.mktemp("library") / "faults.so"
    build(path)
    yield path


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> list[Figures]:
    """Where a scenario leaves what it has shown."""
    return request.config.stash[_FIGURES]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    found = config.stash.get(_FIGURES, [])
    if not found:
        return
    terminalreporter.section(f"faults, FAULTS_SEED={seed_of('')[:-1]}")
    terminalreporter.write_line(_COLUMNS)
    for each in found:
        notes = ", ".join(f"{key} {value}" for key, value in each.notes.items())
        terminalreporter.write_line(
            f"{each.name:<12}{each.seconds:>8.1f}{each.faults:>7}{each.accepted:>10,}"
            f"{each.delivered:>10,}{each.duplicates:>7,}{each.again:>9,}"
            f"{each.aside:>7,}{each.outage:>6.0f}{each.whole_after:>6.1f}"
            f"{each.peak / 2**20:>5.0f}  {notes}"
        )
        for problem in each.wrong:
            terminalreporter.write_line(f"  {problem}", red=True)
