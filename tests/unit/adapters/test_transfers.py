"""Links to file servers: the same over FTP, FTPS and SFTP, and what fails."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aioftp
import pytest

from pichannels.adapters.remote_files import FileLink, FileRefused, TooLarge
from pichannels.adapters.transfers import file_server, link_to
from pichannels.errors import NotConnected, SettingsError, UsageError
from pichannels.secrets import Secret
from tests.integration.certificates import make_certificate
from tests.servers.ftp import PASSWORD, USER, FTPServer
from tests.servers.sftp import SFTPServer
from tests.servers.transfers import PROTOCOLS, Served, serving

LIMIT = 10**7


@pytest.fixture(params=PROTOCOLS)
async def served(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    async with serving(request.param, tmp_path) as served:
        yield served


@pytest.fixture
async def link(served: Served) -> AsyncIterator[FileLink]:
    link = link_of(**served.options)
    yield link
    await link.close()


def link_of(host: str, port: int, credentials: Any, **options: Any) -> FileLink:
    return link_to(file_server(host, port, credentials, **options))


async def test_files_are_listed_read_written_and_deleted(
    served: Served, link: FileLink
) -> None:
    content = bytes(range(256)) * 1000
    await link.write("a ü.bin", content)
    found = await link.list("")
    assert {name: file.size for name, file in found.items()} == {"a ü.bin": 256_000}
    assert await link.read("a ü.bin", LIMIT) == content
    await link.delete("a ü.bin")
    assert served.names() == []


async def test_a_written_file_takes_the_place_of_another(
    served: Served, link: FileLink
) -> None:
    served.write("a", "old")
    await link.write("a", b"new")
    assert (served.names(), await link.read("a", LIMIT)) == (["a"], b"new")


async def test_a_version_is_told_alike_by_a_listing_and_a_look(
    served: Served, link: FileLink
) -> None:
    served.write("a", "one")
    (listed,) = (await link.list("/")).values()
    assert await link.look("/a") == listed
    assert await link.look("/b") is None


async def test_a_file_that_is_not_there_is_refused_and_the_link_goes_on(
    served: Served, link: FileLink
) -> None:
    served.write("a", "one")
    with pytest.raises(FileRefused, match="nothing"):
        await link.read("nothing", LIMIT)
    await link.delete("nothing")
    assert link.is_open
    assert await link.read("a", LIMIT) == b"one"


async def test_a_file_is_read_to_the_limit(served: Served, link: FileLink) -> None:
    served.write("a", "x" * 200_000)
    with pytest.raises(TooLarge, match="100000 bytes"):
        await link.read("a", 100_000)
    assert len(await link.read("a", 200_000)) == 200_000


async def test_a_server_that_went_away_is_told_and_found_again(
    served: Served, link: FileLink
) -> None:
    served.write("a", "one")
    await link.list("")
    await served.stop()
    with pytest.raises(NotConnected, match=r"127\.0\.0\.1:\d+ is not connected: "):
        await link.list("")
    await served.start()
    assert await link.read("a", LIMIT) == b"one"


async def test_a_server_that_hung_up_meanwhile_is_no_failure(
    served: Served, link: FileLink
) -> None:
    await link.list("")
    await served.stop()
    await served.start()
    assert await link.list("") == {}


async def test_a_refused_login_is_told_without_the_password(
    served: Served, link: FileLink
) -> None:
    served.refuse_login()
    with pytest.raises(NotConnected, match="the login is refused") as caught:
        await link.list("")
    assert PASSWORD not in f"{caught.value} {link.server!r}"
    served.refuse_login(False)
    assert await link.list("") == {}


@pytest.mark.parametrize("command", ["RETR", "EPSV", "TYPE"])
async def test_a_connection_lost_in_the_midst_is_made_again(
    tmp_path: Path, command: str
) -> None:
    async with serving("ftp", tmp_path) as served:
        link = link_of(**served.options)
        served.write("a", "one")
        await link.list("")
        assert isinstance(served.server, FTPServer)
        served.server.drop_at = command
        assert await link.read("a", LIMIT) == b"one"
        await link.close()


async def test_half_a_transfer_is_no_file(tmp_path: Path) -> None:
    async with serving("ftp", tmp_path) as served:
        link = link_of(**served.options)
        served.write("a", "x" * 500_000)
        assert isinstance(served.server, FTPServer)
        served.server.cut_at = 1
        with pytest.raises(NotConnected):
            await link.read("a", LIMIT)
        assert len(await link.read("a", LIMIT)) == 500_000
        await link.close()


@pytest.mark.parametrize("protocol", ["ftp", "sftp"])
async def test_a_silent_server_is_given_up(protocol: str) -> None:
    # The system takes connections, and nobody answers.
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        options: dict[str, Any] = {"timeout": 0.1, "known_hosts": os.devnull}
        link = link_of("127.0.0.1", port, "", protocol=protocol, **options)
        with pytest.raises(NotConnected, match="does not answer"):
            await link.list("")


async def test_names_in_another_encoding_cost_only_themselves(tmp_path: Path) -> None:
    async with serving("ftp", tmp_path) as served:
        link = link_of(**served.options)
        served.write("fine", "x")
        link.server = link.server._replace(encoding="ascii")
        served.write("gr\u00fcn", "x")
        assert len(await link.list("")) == 2
        await link.close()


# TLS


async def test_ftps_from_the_beginning(tmp_path: Path) -> None:
    # pyftpdlib has none; the server of aioftp does.
    pem = await asyncio.to_thread(make_certificate, tmp_path, "implicit")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    user = aioftp.User(USER, PASSWORD, base_path=tmp_path)
    server = aioftp.Server([user], ssl=context)
    server.commands_mapping |= {"pbsz": _fine, "prot": _fine}
    await server.start("127.0.0.1", 0)
    options: dict[str, Any] = {"protocol": "ftps-implicit", "timeout": 5}
    options |= {"host": "127.0.0.1", "port": server.server_port}
    link = link_of(credentials=f"{USER}:{PASSWORD}", **options)
    with pytest.raises(NotConnected, match="certificate verify failed"):
        await link.list("")
    link.server = link.server._replace(verify=str(pem))
    assert "implicit.pem" in await link.list("")
    await link.close()
    await server.close()


async def _fine(connection: Any, rest: str) -> bool:
    connection.response("200", "fine")
    return True


# SFTP


@pytest.fixture
async def sftp(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving("sftp", tmp_path) as served:
        yield served


async def test_a_key_opens_the_door(sftp: Served) -> None:
    assert isinstance(sftp.server, SFTPServer)
    path = sftp.folder.parent / "key"
    await asyncio.to_thread(path.write_text, sftp.server.client_key)
    for key in (str(path), Secret.file(path)):
        options = sftp.options | {"credentials": (USER, ""), "key": key}
        link = link_of(**options)
        assert await link.list("") == {}
        await link.close()


async def test_a_host_is_known_by_its_key(sftp: Served) -> None:
    assert isinstance(sftp.server, SFTPServer)
    hosts = sftp.folder.parent / "known_hosts"
    line = f"[127.0.0.1]:{sftp.server.port} {sftp.server.host_key}\n"
    await asyncio.to_thread(hosts.write_text, line)
    link = link_of(**sftp.options | {"host_key": "", "known_hosts": hosts})
    assert await link.list("") == {}
    await link.close()


async def test_another_key_of_the_host_is_refused(
    sftp: Served, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = await asyncio.to_thread(SFTPServer, sftp.folder)
    link = link_of(**sftp.options | {"host_key": other.host_key})
    with pytest.raises(NotConnected, match="not that of a known host"):
        await link.list("")
    link = link_of(**sftp.options | {"host_key": "", "known_hosts": "nowhere"})
    with pytest.raises(NotConnected, match="known hosts cannot be read"):
        await link.list("")


async def test_a_key_that_is_none_is_a_wrong_setting(sftp: Served) -> None:
    path = sftp.folder.parent / "key"
    await asyncio.to_thread(path.write_text, "no key")
    link = link_of(**sftp.options | {"key": path})
    with pytest.raises(SettingsError, match="key"):
        await link.list("")


# Options


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"host": ""}, SettingsError, "no server"),
        ({"port": 0}, SettingsError, "port"),
        ({"protocol": "sfpt"}, SettingsError, "did you mean 'sftp'"),
        ({"credentials": ("a", "b", "c")}, UsageError, "user, password"),
        ({"encoding": "utf-9"}, SettingsError, "encoding"),
        ({"timeout": 0}, SettingsError, "timeout"),
    ],
)
def test_an_option_that_cannot_work_is_told(
    options: dict[str, Any], error: type[Exception], told: str
) -> None:
    defaults: dict[str, Any] = {"host": "h", "port": 21, "credentials": ""}
    with pytest.raises(error, match=told):
        link_of(**defaults | options)


@pytest.mark.parametrize(
    ("protocol", "library"), [("ftp", "aioftp"), ("sftp", "asyncssh")]
)
def test_an_extra_that_is_missing_is_named(protocol: str, library: str) -> None:
    code = f"""
import sys
sys.modules[{library!r}] = None
from nodes import ftp
from pichannels.channels.ftp import FTPWatcherChannel
from pichannels.errors import SettingsError
for kind in (FTPWatcherChannel, ftp.Read):
    try:
        kind(host="h", protocol={protocol!r})
    except SettingsError as exc:
        assert "pip install 'pichannels[{protocol}]'" in str(exc)
    else:
        raise AssertionError("no error")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


@pytest.mark.parametrize(
    ("protocol", "target"),
    [("ftp", "ftp://h:21"), ("ftps-implicit", "ftps://h:990"), ("sftp", "sftp://h:22")],
)
def test_the_usual_port_follows_the_protocol(protocol: str, target: str) -> None:
    assert link_of("h", 21, "", protocol=protocol).target == target
