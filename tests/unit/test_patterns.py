"""Names with placeholders."""

from __future__ import annotations

import pytest

from pichannels.patterns import matching


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("UNIT1.*", "unit1.temp", True),
        ("UNIT?.TEMP", "UNIT12.TEMP", False),
        ("A[1].X", "A[1].X", True),
    ],
)
def test_patterns_are_those_of_pi(pattern: str, name: str, fits: bool) -> None:
    assert bool(matching([pattern])(name)) is fits
