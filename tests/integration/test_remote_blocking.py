"""What an instance publishes, read by code without an event loop, and by pandas."""

from __future__ import annotations

import asyncio
import configparser
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped,unused-ignore]
import pandas  # type: ignore[import-untyped,unused-ignore]
import pytest

from msgstore.memory import MemoryMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.config import Config, ControlConfig
from pichannels.engine import Engine
from pichannels.errors import NotConnected
from pichannels.message import Message
from pichannels.project import Project
from pichannels.remote import AccessDenied, BlockingLink, StreamClosed
from pichannels.remote_config import RemoteConfig, RemoteFolderConfig
from pichannels.streaming.filesystem import RemoteFileSystem
from tests.integration.certificates import make_certificate

TOKEN = "the token of the control server"
ROWS = "".join(f"{number},{number * number}\n" for number in range(50_000))
CSV = ("a,b\n" + ROWS).encode()
ROOT = Path(__file__).parents[2]

Files = Callable[..., Any]


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """An instance that publishes a table and a folder to write to."""
    files = tmp_path / "files"
    (files / "deep").mkdir(parents=True)
    (files / "x.csv").write_bytes(CSV)
    (files / "deep" / "y.csv").write_bytes(b"a,b\n1,2\n")
    folders = {"files": RemoteFolderConfig(path=str(files), write=True)}
    channel = BaseChannel("boiler", message_store_factory=MemoryMessageStoreFactory())
    config = Config(
        control=ControlConfig(token=TOKEN), remote=RemoteConfig(folders=folders)
    )
    async with Engine(Project([channel], config), data_dir=tmp_path / "data") as made:
        yield made


@pytest.fixture
async def link(engine: Engine) -> AsyncIterator[BlockingLink]:
    """A blocking link of who may do everything."""
    assert engine.control_url is not None
    made = await asyncio.to_thread(BlockingLink, engine.control_url, token=TOKEN)
    yield made
    await asyncio.to_thread(made.close)


@pytest.fixture
async def place(engine: Engine) -> AsyncIterator[str]:
    """Where the files are, as a URL of fsspec."""
    # As its entry point does where the package is installed.
    fsspec.register_implementation("pichannels", RemoteFileSystem, clobber=True)
    assert engine.control_url is not None
    yield engine.control_url.replace("http", "pichannels")
    for made in RemoteFileSystem._cache.values():
        await asyncio.to_thread(made.link.close)
    RemoteFileSystem.clear_instance_cache()


def test_the_file_system_is_registered_with_fsspec() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    given = setup["options.entry_points"]["fsspec.specs"].split("=")[1].strip()
    assert given == f"{RemoteFileSystem.__module__}:{RemoteFileSystem.__name__}"


async def test_a_script_reads_messages_with_their_places(
    engine: Engine, link: BlockingLink
) -> None:
    for payload in "abc":
        await engine.project.channel("boiler").handle(Message("text/plain", payload))

    def read() -> list[str]:
        with link.entities("stores/boiler") as stream:
            first = next(iter(stream)).payload
            bookmark = stream.bookmark
        with link.entities("stores/boiler", start=bookmark) as stream:
            return [first, *(message.payload for message in stream)]

    assert await asyncio.to_thread(read) == ["a", "b", "c"]


async def test_a_stream_of_bytes_is_a_file_of_python(link: BlockingLink) -> None:
    def read() -> list[str]:
        raw = link.bytes("files/x.csv")
        with io.TextIOWrapper(io.BufferedReader(raw)) as file:
            head = file.readline()
            file.seek(0)
            return [head, file.read()]

    assert await asyncio.to_thread(read) == ["a,b\n", CSV.decode()]


async def test_a_file_is_written_and_cut(link: BlockingLink, tmp_path: Path) -> None:
    def write() -> bytes:
        with link.bytes("files/new.bin", "r+b") as file:
            file.write(b"0123456789")
            file.sync()
            file.truncate(4)
            file.seek(0)
            return file.readall()

    assert await asyncio.to_thread(write) == b"0123"


async def test_errors_come_as_they_are(engine: Engine) -> None:
    assert engine.control_url is not None
    with pytest.raises(AccessDenied):
        await asyncio.to_thread(BlockingLink, engine.control_url, token="wrong")


async def test_a_link_that_was_closed_says_so(link: BlockingLink) -> None:
    await asyncio.to_thread(link.close)
    with pytest.raises(StreamClosed):
        await asyncio.to_thread(link.list)


async def test_pandas_reads_a_table(place: str) -> None:
    table = await asyncio.to_thread(
        pandas.read_csv, f"{place}/files/x.csv", storage_options={"token": TOKEN}
    )
    assert len(table) == 50_000 and int(table["b"].iloc[-1]) == 49_999**2


async def test_pandas_writes_a_table(place: str, tmp_path: Path) -> None:
    table = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    options = {"token": TOKEN}
    await asyncio.to_thread(
        table.to_csv, f"{place}/files/z.csv", index=False, storage_options=options
    )
    written = await asyncio.to_thread((tmp_path / "files" / "z.csv").read_text)
    assert written == "a,b\n1,x\n2,y\n"


async def files(place: str) -> Any:
    """The file system at a URL."""

    def make() -> Any:
        return fsspec.core.url_to_fs(place, token=TOKEN)[0]

    return await asyncio.to_thread(make)


async def test_folders_are_listed(place: str) -> None:
    system = await files(place)
    found = await asyncio.to_thread(system.ls, "files", detail=False)
    inside = await asyncio.to_thread(system.find, "")
    assert found == ["files/deep", "files/x.csv"]
    assert inside == ["files/deep/y.csv", "files/x.csv"]


async def test_only_a_part_is_read(place: str) -> None:
    system = await files(place)
    middle = await asyncio.to_thread(system.cat_file, "files/x.csv", 4, 14)
    end = await asyncio.to_thread(system.cat_file, "files/x.csv", -6, None)
    assert (middle, end) == (CSV[4:14], CSV[-6:])


async def test_what_is_not_there_is_no_file(place: str) -> None:
    system = await files(place)
    assert not await asyncio.to_thread(system.exists, "files/none")
    with pytest.raises(FileNotFoundError):
        await asyncio.to_thread(system.cat_file, "files/none")


async def test_a_file_is_appended_to(place: str, tmp_path: Path) -> None:
    def append() -> None:
        with fsspec.open(f"{place}/files/deep/y.csv", "ab", token=TOKEN) as file:
            file.write(b"3,4\n")

    await asyncio.to_thread(append)
    found = await asyncio.to_thread((tmp_path / "files/deep/y.csv").read_bytes)
    assert found == b"a,b\n1,2\n3,4\n"


async def test_files_are_renamed_copied_and_removed(place: str, tmp_path: Path) -> None:
    system = await files(place)

    def change() -> list[str]:
        system.mv("files/deep/y.csv", "files/z.csv")
        system.copy("files/z.csv", "files/deep/copy.csv")
        system.rm("files/x.csv")
        system.rm("files/deep", recursive=True)
        with pytest.raises(FileNotFoundError):
            system.rm("files/x.csv")
        found: list[str] = system.find("")
        return found

    assert await asyncio.to_thread(change) == ["files/z.csv"]
    found = await asyncio.to_thread((tmp_path / "files/z.csv").read_bytes)
    assert found == b"a,b\n1,2\n"


async def test_tls_asks_for_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    file = await asyncio.to_thread(make_certificate, tmp_path, "hub")
    remote = RemoteConfig(port=0, cert=str(file), key=str(file))
    config = Config(control=ControlConfig(token=TOKEN), remote=remote)
    async with Engine(Project([], config), data_dir=tmp_path / "data") as engine:
        assert engine.remote_url is not None and engine.remote_url.startswith("https:")
        with pytest.raises(NotConnected, match="certificate is not trusted: self"):
            await asyncio.to_thread(BlockingLink, engine.remote_url, token=TOKEN)
        with pytest.raises(NotConnected, match="it may speak TLS"):
            plain = engine.remote_url.replace("https", "http")
            await asyncio.to_thread(BlockingLink, plain, token=TOKEN)
        made = await asyncio.to_thread(
            BlockingLink, engine.remote_url, token=TOKEN, ca=file
        )
        assert await asyncio.to_thread(made.list) == []
        port = int(engine.remote_url.rpartition(":")[2].partition("/")[0])
        files = await asyncio.to_thread(
            RemoteFileSystem, "127.0.0.1", port, TOKEN, ca=file
        )
        assert await asyncio.to_thread(files.ls, "") == []
        await asyncio.to_thread(files.link.close)
        await asyncio.to_thread(made.close)
