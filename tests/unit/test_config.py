"""Settings are checked as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pichannels.config import (
    Config,
    ControlConfig,
    JournalConfig,
    SettingsProblems,
    SimulatorConfig,
    is_loopback,
    read_config,
)
from pichannels.secrets import Secret

FILE = "/plant/settings.py"


def problems_of(**values: Any) -> list[str]:
    _, problems = read_config(values, FILE, ("CHANNELS",))
    return [str(problem) for problem in problems]


def test_no_settings_give_the_defaults() -> None:
    assert read_config({}, FILE) == (Config(), [])


def test_settings_replace_defaults() -> None:
    config, problems = read_config(
        {"PROJECT_NAME": "plant", "JOURNAL": {"durability": "normal"}}, FILE
    )
    assert (config.project_name, config.journal, problems) == (
        "plant",
        JournalConfig(durability="normal"),
        [],
    )


def test_all_problems_are_told_at_once() -> None:
    found = problems_of(
        PROJECT=1, JOURNAL={"durability": "ful", "budget": 1}, DRAIN_TIMEOUT="x"
    )
    assert len(found) == 4


def test_an_unknown_key_gets_the_nearest_name() -> None:
    (problem,) = problems_of(JOURNL={})
    assert problem.startswith(f"{FILE}: JOURNL: there is no such setting; did you mean")
    assert "'JOURNAL'" in problem


def test_an_unknown_key_inside_is_named_with_its_place() -> None:
    (problem,) = problems_of(SIMULATOR={"tag": 5})
    assert "SIMULATOR['tag']" in problem
    assert "did you mean 'tags'?" in problem


def test_a_wrong_value_is_told_with_what_is_allowed() -> None:
    (problem,) = problems_of(JOURNAL={"durability": "ful"})
    assert problem.endswith("(found 'ful'); allowed: 'full' or 'normal'")


def test_a_wrong_value_leaves_the_default() -> None:
    config, _ = read_config({"DRAIN_TIMEOUT": -1, "PROJECT_NAME": "plant"}, FILE)
    assert (config.drain_timeout, config.project_name) == (30.0, "plant")


def test_keys_that_others_check_are_left_to_them() -> None:
    assert problems_of(CHANNELS=object()) == []


def test_a_part_that_is_no_dictionary_is_told() -> None:
    (problem,) = problems_of(JOURNAL=3)
    assert "a dictionary with durability" in problem


def test_a_long_value_is_shortened() -> None:
    (problem,) = problems_of(PROJECT_NAME=list(range(1000)))
    assert len(problem) < 200


def test_a_token_is_never_shown() -> None:
    (problem,) = problems_of(CONTROL={"token": "secret"})
    assert "secret" not in problem


def test_a_path_is_taken_as_data_dir() -> None:
    config, problems = read_config({"DATA_DIR": Path("data")}, FILE)
    assert (config.data_dir, problems) == ("data", [])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, SimulatorConfig()),
        (False, None),
        (None, None),
        ({"port": 0}, SimulatorConfig(port=0)),
    ],
)
def test_the_simulator_is_switched_or_described(
    value: Any, expected: SimulatorConfig | None
) -> None:
    config, problems = read_config({"SIMULATOR": value}, FILE)
    assert (config.simulator, problems) == (expected, [])


def test_the_control_server_can_be_switched_off() -> None:
    config, problems = read_config({"CONTROL": False}, FILE)
    assert (config.control, problems) == (ControlConfig(enabled=False), [])


def test_a_token_may_be_a_secret() -> None:
    secret = Secret.env("CONTROL_TOKEN")
    config, problems = read_config({"CONTROL": {"token": secret}}, "settings.py")
    assert (config.control.token, problems) == (secret, [])
    assert "Secret(env:CONTROL_TOKEN)" in repr(config)


def test_the_control_server_needs_a_token_beyond_this_machine() -> None:
    (problem,) = problems_of(CONTROL={"host": "0.0.0.0"})
    assert "needs a token" in problem
    assert problems_of(CONTROL={"host": "0.0.0.0", "token": "x" * 16}) == []


def test_a_lease_needs_a_database_whose_url_is_never_shown() -> None:
    (missing,) = problems_of(LEASE={"name": "plant"})
    (wrong,) = problems_of(LEASE={"url": "mysql://me:hidden@db/plant"})
    assert "LEASE['url']" in missing
    assert "postgresql://user@host:port/database" in wrong
    assert "hidden" not in wrong


def test_a_lease_may_have_its_url_and_password_from_secrets() -> None:
    lease = {"url": Secret.env("DATABASE"), "password": Secret.env("PASSWORD")}
    assert problems_of(LEASE=lease) == []


def test_an_unknown_log_level_gets_the_nearest_one() -> None:
    (problem,) = problems_of(LOGGING="WARN1NG")
    assert "did you mean 'WARNING'?" in problem


def test_a_logging_dictionary_says_its_version() -> None:
    assert len(problems_of(LOGGING={"root": {}})) == 1
    assert problems_of(LOGGING={"version": 1}) == []


def test_problems_come_together_in_one_error() -> None:
    _, problems = read_config({"A": 1, "B": 2}, FILE)
    error = SettingsProblems(problems)
    assert (error.errors, str(error).count("\n")) == (problems, 1)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("example.com", False),
    ],
)
def test_loopback_hosts_are_known(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_days_are_kept_by_state() -> None:
    values = {"JOURNAL": {"state_days": {"dropped": 0.5}}}
    config, problems = read_config(values, "settings.py")
    assert (config.journal.state_days, problems) == ({"dropped": 0.5}, [])


def test_limits_of_a_server_add_to_those_of_all() -> None:
    given = {"rate": 100, "servers": {"old.test": {"concurrency": 2}}}
    config, problems = read_config({"PI_LIMITS": given}, FILE)
    of_old = config.pi_limits.special["old.test"]
    assert (of_old.rate, of_old.concurrency, problems) == (100, 2, [])


def test_batches_may_weigh_nothing_at_one_server() -> None:
    given = {"batch_weight": 0.5, "servers": {"pi.test": {"batch_weight": 0}}}
    config, _ = read_config({"PI_LIMITS": given}, FILE)
    limits = config.pi_limits
    weights = [limits.limits(host).batch_weight for host in ("pi.test", "other")]
    assert weights == [0, 0.5]


@pytest.mark.parametrize("own", [{"rate": 0}, {"rates": 1}, 5])
def test_limits_of_a_server_are_checked(own: Any) -> None:
    (problem,) = problems_of(PI_LIMITS={"servers": {"pi.test": own}})
    assert "PI_LIMITS['servers']" in problem


def test_own_settings_are_not_checked() -> None:
    own = {"OWN_SETTINGS": ["PLANT_*"], "PLANT_NAME": "north"}
    assert read_config(own, FILE)[1] == []


def test_a_pattern_hides_no_setting_that_is_known() -> None:
    _, problems = read_config({"OWN_SETTINGS": ["*"], "DRAIN_TIMEOUT": -1}, FILE)
    assert [each.key for each in problems] == ["DRAIN_TIMEOUT"]
