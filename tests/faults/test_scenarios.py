"""Whatever goes wrong, the promises are kept: each scenario, and then the oracle.

The short form is a part of all tests. `make faults` runs everything for
`FAULTS_SECONDS` in all, from `FAULTS_SEED`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.figures import BUDGET, Figures, seed_of
from tests.faults.preload import why_missing
from tests.faults.running import Scenario, opened
from tests.faults.scenarios import SCENARIOS

CHOSEN = [each for each in SCENARIOS if each.is_short or BUDGET]
SHARE = BUDGET / sum(each.weight for each in CHOSEN)
END = 10.0
"""Seconds that the end of a scenario takes."""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")


def limited(scenario: Scenario) -> object:
    """The scenario, with the time that pytest gives it at most."""
    seconds = (900 if BUDGET else 240) + 2 * SHARE * scenario.weight
    return pytest.param(scenario, id=scenario.name, marks=pytest.mark.timeout(seconds))


@pytest.mark.parametrize("scenario", [limited(each) for each in CHOSEN])
async def test_the_promises_are_kept(
    scenario: Scenario, tmp_path: Path, library: Path | None, figures: list[Figures]
) -> None:
    if scenario.needs_library and library is None:
        pytest.skip(why_missing())
    print("FAULTS_SEED and scenario:", seed_of(scenario.name))  # noqa: T201
    chosen = library if scenario.needs_library else None
    seconds = BUDGET and max(SHARE * scenario.weight - END, 1)
    async with opened(scenario, tmp_path, chosen, seconds) as run:
        await scenario.steps(run)
        found = await run.finish()
    figures.append(found)
    assert found.wrong == []
