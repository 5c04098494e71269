"""The states of a channel and which may follow which."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest

from pichannels.errors import UsageError
from pichannels.lifecycle import Status, check_change

ALLOWED = {
    "stopped": {"starting"},
    "starting": {"waiting", "stopping"},
    "waiting": {"processing", "paused", "stopping"},
    "processing": {"waiting", "paused", "stopping"},
    "paused": {"waiting", "processing", "stopping"},
    "stopping": {"stopped"},
}
PAIRS = [(old, new) for old in Status for new in Status]


def test_the_numbers_are_those_of_pypeman() -> None:
    numbers = {status.label: int(status) for status in Status}
    assert numbers == {
        "starting": 0,
        "waiting": 1,
        "processing": 2,
        "stopping": 3,
        "stopped": 4,
        "paused": 5,
    }


def test_only_a_change_along_the_way_is_allowed() -> None:
    found: dict[str, set[str]] = {old.label: set() for old in Status}
    for old, new in PAIRS:
        with suppress(UsageError):
            check_change(old, new)
            found[old.label].add(new.label)
    assert found == {label: {label, *after} for label, after in ALLOWED.items()}


@pytest.mark.parametrize(
    ("old", "new"),
    [(o, n) for o, n in PAIRS if n != o and n.label not in ALLOWED[o.label]],
)
def test_any_other_change_is_refused(old: Status, new: Status) -> None:
    sentence = f"a channel that is {old.label} cannot become {new.label}; only "
    with pytest.raises(UsageError, match=re.escape(sentence)):
        check_change(old, new)
