"""The log beside tables: short, complete where it can be, and never in the way."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from pichannels.cli.logs import log_beside_tables
from pichannels.errors import SettingsError


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    """The root logger, as it is before and after."""
    found = logging.getLogger()
    handlers, level = found.handlers[:], found.level
    yield found
    found.handlers[:] = handlers
    found.setLevel(level)


def test_lines_are_short(capsys: pytest.CaptureFixture[str]) -> None:
    with log_beside_tables("info"):
        logging.getLogger("pichannels.engine").info("a channel %s", "starts")
    line = capsys.readouterr().err
    assert line[8:] == " INFO    a channel starts\n"


def test_all_that_waits_is_written_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with log_beside_tables("INFO"):
        for number in range(500):
            logging.getLogger("x").warning("%d", number)
    assert len(capsys.readouterr().err.splitlines()) == 500


def test_the_root_logger_is_left_as_it_was(root: logging.Logger) -> None:
    before = root.handlers[:]
    with log_beside_tables("INFO"):
        assert root.handlers != before
    assert root.handlers == before


def test_a_dictionary_is_the_users_own() -> None:
    with pytest.raises(SettingsError, match="LOGGING"):
        with log_beside_tables({"version": 1, "handlers": {"x": {}}}):
            pass
