"""Windows in YAML are what Python would have made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nodes import window
from pichannels.errors import SettingsError
from pichannels.fingerprint import options_of

if TYPE_CHECKING:
    from tests.unit.declarative.conftest import Folder

STEPS = """
- window.Tumbling: {size: 60, aggregates: [time_average], late: update, keep: 600}
- window.Hopping: {size: 60, every: 20, aggregates: [p95], lateness: 5, late: side}
- window.Sliding: {size: 60, aggregates: [min, max], late: update, keep: 60}
- window.Session: {gap: 30, longest: 3600, aggregates: [count], output: rows}
- window.Join: {tags: FLOW, references: {density: DENSITY}, tolerance: 600}
"""


def test_each_window_has_its_options(folder: Folder) -> None:
    steps = folder.chain(STEPS.strip()).steps
    kinds = [getattr(window, kind) for kind in sorted(window.__all__)]
    assert sorted(map(type, steps), key=lambda kind: kind.__name__) == kinds
    assert isinstance(steps[0], window.Tumbling)
    assert options_of(steps[0])["keep"] == 600


def test_options_that_do_not_go_together_are_told(folder: Folder) -> None:
    with pytest.raises(SettingsError, match="takes keep"):
        folder.chain("- window.Session: {gap: 30, late: update}")
