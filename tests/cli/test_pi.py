"""`pichannels pi`: ping, whoami, points, read and listen, against the simulator."""

from __future__ import annotations

import csv
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pichannels.cli import cli
from pichannels.simulator import NTLMUsers, Plant
from pichannels.testing.simulators import RunningSimulator
from pichannels.values import parse_ticks

TAG = "UNIT1.BOILER.TEMP"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningSimulator]:
    with RunningSimulator(Plant(tags=100), auth=("op", "secret")) as found:
        yield found


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a project."""
    monkeypatch.chdir(tmp_path)


def run(server: RunningSimulator, *args: str, auth: str = "op:secret") -> Result:
    env = {"PICHANNELS_PI_URL": f"{server.url}", "PICHANNELS_PI_AUTH": auth}
    return CliRunner().invoke(cli, ["pi", *args], env=env)


def lines(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_ping_tells_that_all_is_well(server: RunningSimulator) -> None:
    result = run(server, "ping")
    assert result.exit_code == 0, result.output
    assert "accepted, as SIM\\op1" in result.stdout
    assert "0.0 s" in result.stdout


def test_ping_gives_facts_for_programs(server: RunningSimulator) -> None:
    found = json.loads(run(server, "ping", "--json").stdout)
    assert (found["data_servers"], found["user"]) == (["SIMSRV"], "SIM\\op1")
    assert abs(found["offset"]) < 1


def test_a_clock_that_is_off_is_told() -> None:
    with RunningSimulator(start=10**16) as server:
        result = run(server, "ping")
    assert result.exit_code == 1
    assert "let both follow the same time server" in result.stdout


@pytest.mark.parametrize("auth", ["op:wrong", "Bearer x", ""])
def test_a_refused_login_tells_how_to_give_one(
    server: RunningSimulator, auth: str
) -> None:
    result = run(server, "ping", auth=auth or "nobody:")
    assert result.exit_code == 1
    assert "it offers Basic); give one: --auth USER:PASSWORD" in result.stderr


@pytest.fixture(scope="module")
def windows() -> Iterator[RunningSimulator]:
    users = NTLMUsers({"PLANT\\op": "secret"})
    with RunningSimulator(Plant(tags=1), auth=users) as found:
        yield found


@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate", "negotiate"])
def test_a_windows_login_is_given_by_its_name(
    windows: RunningSimulator, scheme: str
) -> None:
    result = run(windows, "whoami", "--json", auth=f"{scheme} PLANT\\op:secret")
    assert json.loads(result.stdout)["Name"] == "PLANT\\op"


def test_a_refused_windows_login_tells_how_to_give_one(
    windows: RunningSimulator,
) -> None:
    result = run(windows, "ping", auth="NTLM PLANT\\op:wrong")
    assert "it offers NTLM, Negotiate); give one: --auth Negotiate" in result.stderr


def test_a_login_may_be_referred_to(
    server: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANT_LOGIN", "op:secret")
    assert run(server, "whoami", auth="${env:PLANT_LOGIN}").exit_code == 0
    missing = run(server, "whoami", auth="${env:NO_SUCH_LOGIN}")
    assert (missing.exit_code, "NO_SUCH_LOGIN is not set" in missing.stderr) == (
        3,
        True,
    )


def test_a_password_is_asked_for(server: RunningSimulator) -> None:
    env = {"PICHANNELS_PI_URL": server.url}
    result = CliRunner().invoke(
        cli, ["pi", "whoami", "--auth", "op", "--json"], env=env, input="secret\n"
    )
    assert json.loads(result.stdout)["Name"] == "SIM\\op1"
    assert "secret" not in result.output


@pytest.mark.parametrize(
    ("url", "helps"),
    [
        ("{url}/wrong", "mostly https://HOST/piwebapi"),
        ("https://127.0.0.1:{port}/piwebapi", "there is no TLS at that port"),
        ("http://127.0.0.1:{free}/piwebapi", "whether the server runs"),
        ("ftp://x", "it looks like https://pi.example.com/piwebapi"),
    ],
)
def test_what_helps_is_told(server: RunningSimulator, url: str, helps: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = server.url.split(":")[2].split("/")[0]
        free = unused.getsockname()[1]
        named = url.format(url=server.url, port=port, free=free)
        result = run(server, "ping", "--url", named)
    assert result.exit_code in (1, 2)
    assert helps in result.stderr, result.output


def test_a_name_that_is_not_known_is_told(server: RunningSimulator) -> None:
    result = run(server, "ping", "--url", "http://no-such-host.invalid/piwebapi")
    assert (result.exit_code, "the name of the host" in result.stderr) == (1, True)


def test_the_server_may_be_that_of_a_channel(
    server: RunningSimulator, tmp_path: Path
) -> None:
    (tmp_path / "settings.py").write_text(
        "from pichannels.channels.pi import PIWebChannel\n"
        f"CHANNELS = [PIWebChannel('live', url={server.url!r}, tags=['*'],\n"
        "    auth=('op', 'secret'))]\n"
    )
    result = CliRunner().invoke(cli, ["pi", "whoami", "--json"])
    assert json.loads(result.stdout)["Name"] == "SIM\\op1"


def test_without_a_server_it_is_asked_for() -> None:
    result = CliRunner().invoke(cli, ["pi", "ping"])
    assert (result.exit_code, "name the server with --url" in result.stderr) == (
        2,
        True,
    )


def test_points_are_listed_with_type_and_units(server: RunningSimulator) -> None:
    result = run(server, "points", "UNIT1.BOILER.*")
    row = next(line for line in result.stdout.splitlines() if line.startswith(TAG))
    assert row.split()[:3] == [TAG, "Float32", "°C"]


def test_more_points_than_shown_are_told(server: RunningSimulator) -> None:
    result = run(server, "points", "--count", "3")
    assert len(result.stdout.splitlines()) == 5
    assert "and more: --count 30" in result.stdout


def test_no_points_are_told(server: RunningSimulator) -> None:
    result = run(server, "points", "NOSUCH*")
    assert (result.exit_code, "no point fits 'NOSUCH*'" in result.stderr) == (1, True)


def test_an_unknown_data_server_is_told(server: RunningSimulator) -> None:
    result = run(server, "points", "--data-server", "OTHER")
    assert result.exit_code == 2
    assert "there is no data server 'OTHER'; SIMSRV" in result.stderr


def test_the_current_value_is_read(server: RunningSimulator) -> None:
    # Of one that gets no other value for hours.
    tag = "UNIT1.LAB.VISCOSITY"
    server.call(lambda s: s.push(tag, 42.5))
    (found,) = lines(run(server, "read", tag, "--json"))
    assert (found["tag"], found["value"], found["units"]) == (tag, 42.5, "mPa.s")


def test_digital_states_are_read_by_name(server: RunningSimulator) -> None:
    result = run(server, "read", "UNIT1.VALVE1.STATE")
    assert result.stdout.split()[2] in ("OPEN", "CLOSED", "MOVING", "FAULT")
    (found,) = lines(run(server, "read", "UNIT1.VALVE1.STATE", "--json"))
    assert found["value"].keys() == {"name", "code", "is_system"}


def test_unknown_tags_are_told_beside_the_others(server: RunningSimulator) -> None:
    result = run(server, "read", TAG, "NOSUCH")
    assert result.exit_code == 0
    assert (TAG in result.stdout, "NOSUCH: " in result.stderr) == (True, True)


def test_only_unknown_tags_are_an_error(server: RunningSimulator) -> None:
    assert run(server, "read", "NOSUCH").exit_code == 1


def test_archived_values_are_read_whole(server: RunningSimulator) -> None:
    span = ("--start", "*-1d", "--end", "*-1h")
    result = run(server, "read", TAG, *span, "--csv")
    rows = list(csv.DictReader(result.stdout.splitlines()))
    times = [parse_ticks(row["time"]) for row in rows]
    assert len(rows) > 10_000  # which is more than one page
    assert times == sorted(times)


def test_a_time_that_is_none_is_told(server: RunningSimulator) -> None:
    result = run(server, "read", TAG, "--start", "foo")
    assert result.exit_code == 1
    assert "The specified time 'foo' could not be parsed" in result.stderr


def test_live_values_are_shown_as_they_come(server: RunningSimulator) -> None:
    found = lines(run(server, "listen", "UNIT1.BOILER.*", "--count", "5", "--json"))
    assert len(found) == 5
    assert {each["tag"].rpartition(".")[0] for each in found} == {"UNIT1.BOILER"}


def test_listening_may_end_by_time(server: RunningSimulator) -> None:
    result = run(server, "listen", TAG, "--seconds", "0.3")
    assert (result.exit_code, TAG in result.stdout) == (0, True)
    assert "connected" in result.stderr
