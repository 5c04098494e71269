"""`simulate` in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pichannels.simulator.command import simulate

START = "from pichannels.simulator.command import simulate; simulate()"


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, "-c", START, "--port", "0", *request.param]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as running:
        yield running
        running.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("process", [["--tags", "50"]], indirect=True)
@pytest.mark.skipif(sys.platform == "win32", reason="no signals to other processes")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_comes(
    process: subprocess.Popen[str], number: signal.Signals
) -> None:
    with urllib.request.urlopen(url_of(process) + "/system/status") as answer:
        assert answer.status == 200
    process.send_signal(number)
    assert process.wait(10) == 0


@pytest.mark.parametrize(
    "process",
    [["--fault", "stall:seconds=9", "--fault", "status:code=503", "--tags", "1"]],
    indirect=True,
)
def test_it_begins_with_the_faults_it_is_told(process: subprocess.Popen[str]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="503") as caught:
        urllib.request.urlopen(url_of(process))
    caught.value.close()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--port", "0", "--fault", "dorp"], "did you mean 'drop'"),
        (["--start", "soon"], "'soon' could not be parsed"),
        (["--user", "op1"], "NAME:PASSWORD"),
        (["--ntlm", "op1"], "NAME:PASSWORD"),
        (["--client", "plant"], "ID:SECRET"),
        (["--tags", "0"], "not in the range"),
        (["--host", "192.0.2.1", "--port", "1"], "192.0.2.1:1"),
    ],
)
def test_what_does_not_fit_is_told(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(simulate, arguments)
    assert result.exit_code != 0 and told in result.output


def test_help_tells_what_it_is() -> None:
    result = CliRunner().invoke(simulate, ["--help"])
    assert "stand-in PI Web API server" in result.output


def test_the_state_of_another_plant_is_told(tmp_path: Path) -> None:
    state = tmp_path / "truth"
    state.write_text(
        '{"type":"origin","seed":9,"tags":5,"activity":1.0,"start":0,"anchor":0,'
        '"speed":1.0}\n'
    )
    result = CliRunner().invoke(simulate, ["--port", "0", "--state", str(state)])
    assert "another plant" in result.output


@pytest.mark.parametrize(
    "process",
    [["--user", "op:x", "--token", "t", "--client", "a:b", "--ntlm", "P\\r:s"]],
    indirect=True,
)
def test_it_offers_the_logins_it_is_told(process: subprocess.Popen[str]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401") as caught:
        urllib.request.urlopen(url_of(process))
    offered = caught.value.headers.get_all("WWW-Authenticate")
    caught.value.close()
    assert offered == [
        "Negotiate",
        "NTLM",
        "Bearer",
        "Bearer",
        'Basic realm="piwebapi"',
    ]


@pytest.mark.parametrize("process", [["--members", "3", "--tags", "5"]], indirect=True)
def test_several_servers_of_the_plant_tell_their_urls(
    process: subprocess.Popen[str],
) -> None:
    urls = [url_of(process) for _ in range(3)]
    for url in urls:
        with urllib.request.urlopen(url + "/system/status") as answer:
            assert answer.status == 200
    assert len(set(urls)) == 3


def test_a_certificate_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "empty.pem"
    file.touch()
    result = CliRunner().invoke(simulate, ["--certificate", str(file)])
    assert result.exit_code == 2 and "--certificate" in result.output
