"""The log beside tables: short, complete where it can be, and never in the way."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from pichannels.cli.logs import change_logging, configure_logging, log_beside_tables
from pichannels.config import read_config
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


def test_lines_for_programs_are_json(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    root.handlers[:] = []
    configure_logging({"format": "json", "levels": {"quiet": "ERROR"}})
    logging.getLogger("loud").info("heard")
    logging.getLogger("quiet").warning("not heard")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "heard"


def test_levels_of_single_loggers_change_while_it_runs(root: logging.Logger) -> None:
    root.handlers[:] = []
    configure_logging({"level": "warning", "levels": {"a": "debug", "b": "error"}})
    change_logging({"level": "error", "levels": {"b": "info"}})
    levels = [logging.getLogger(name).level for name in ("a", "b")]
    assert (root.level, levels) == (logging.ERROR, [logging.NOTSET, logging.INFO])
    change_logging("INFO")
    assert logging.getLogger("b").level == logging.NOTSET


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ({"level": "LOUD"}, "LOGGING['level']"),
        ({"format": "xml"}, "LOGGING['format']"),
        ({"levels": {"a": 3}}, "LOGGING['levels']['a']"),
        ({"levels": ["a"]}, "LOGGING['levels']"),
        ({"levl": "INFO"}, "LOGGING['levl']"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(setting: dict[str, Any], key: str) -> None:
    _, problems = read_config({"LOGGING": setting}, "settings.py")
    assert [problem.key for problem in problems] == [key]
