"""What a running instance publishes, and for whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from msgstore.memory import MemoryMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.config import Config, ControlConfig
from pichannels.control.remote_access import hash_token, read_tokens
from pichannels.engine import Engine, StartError
from pichannels.errors import NotConnected, SettingsError
from pichannels.message import Message
from pichannels.project import Project, load
from pichannels.remote import (
    END,
    AccessDenied,
    CallFailed,
    Link,
    RefusedError,
    StreamNotFound,
    connect,
)
from pichannels.remote_config import (
    RemoteConfig,
    RemoteFolderConfig,
    RemoteTokenConfig,
)
from pichannels.secrets import Secret

TOKEN = "the token of the control server"
READER = "the token of who follows channels"
CALLER = "the token of who exports other stores"


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """An instance that publishes a channel, its store, an inbox and two folders."""
    files = tmp_path / "exports"
    (files / "deep").mkdir(parents=True)
    (files / "a.csv").write_bytes(b"one,two\n1,2\n")
    (files / "deep" / "b.csv").write_bytes(b"3")
    (tmp_path / "secret.txt").write_text("not for others")
    (files / "out").symlink_to(tmp_path / "secret.txt")
    remote = RemoteConfig(
        inboxes=("boiler",),
        folders={
            "files": RemoteFolderConfig(path=str(files)),
            "spool": RemoteFolderConfig(path=str(tmp_path / "spool"), write=True),
        },
        tokens={
            "reader": RemoteTokenConfig(
                sha256=hash_token(READER), allow={"channels/*": ("read",)}
            ),
            "caller": RemoteTokenConfig(
                sha256=hash_token(CALLER),
                allow={"stores": ("call",), "stores/other": ("read", "write")},
            ),
        },
        port=0,
    )
    channel = BaseChannel("boiler", message_store_factory=MemoryMessageStoreFactory())
    config = Config(control=ControlConfig(token=TOKEN), remote=remote)
    async with Engine(Project([channel], config), data_dir=tmp_path / "data") as made:
        yield made


@pytest.fixture
async def link(engine: Engine) -> AsyncIterator[Link]:
    """A link of who may do everything, by the control server."""
    assert engine.control_url is not None
    async with connect(engine.control_url, token=TOKEN) as link:
        yield link


async def accept(engine: Engine, *payloads: str) -> None:
    """Let the channel process messages."""
    for payload in payloads:
        await engine.project.channel("boiler").handle(Message("text/plain", payload))


async def test_all_that_is_there_is_listed(link: Link) -> None:
    assert [each.name for each in await link.list()] == [
        "channels/boiler",
        "files/a.csv",
        "files/deep/b.csv",
        "inboxes/boiler",
        "stores/boiler",
    ]


async def test_a_channel_is_followed_live(engine: Engine, link: Link) -> None:
    async with link.entities("channels/boiler", start=END, follow=True) as stream:
        await accept(engine, "now")
        assert (await anext(stream)).payload == "now"


async def test_a_store_is_read_as_a_replay(engine: Engine, link: Link) -> None:
    await accept(engine, "first", "second")
    async with link.entities("stores/boiler") as stream:
        found = [message async for message in stream]
    assert [(msg.payload, "replay_of" in msg.meta) for msg in found] == [
        ("first", True),
        ("second", True),
    ]


async def test_the_lines_of_an_export_come_by_conditions(
    engine: Engine, link: Link
) -> None:
    await accept(engine, "first", "second")
    ref = await link.service("stores").export("boiler", {"text": "sec"})
    async with link.entities(ref) as stream:
        lines = [line async for line in stream]
    assert len(lines) == 1 and '"state":"processed"' in lines[0].replace(" ", "")


async def test_an_unknown_condition_is_told(link: Link) -> None:
    with pytest.raises(CallFailed, match="these conditions cannot be used"):
        await link.service("stores").export("boiler", {"texts": "sec"})


async def test_a_store_is_replayed_there_by_who_may_write_to_it(
    engine: Engine, link: Link
) -> None:
    await accept(engine, "first", "second")
    stores = link.service("stores")
    counted = await stores.replay("boiler", {"text": "sec"}, dry_run=True)
    report = await stores.replay("boiler", {"text": "sec"})
    assert (counted["selected"], counted["replayed"]) == (1, 0)
    assert (report["selected"], report["processed"]) == (1, 1)
    async with link.entities("stores/boiler") as stream:
        found = [message async for message in stream]
    assert [msg.payload for msg in found] == ["first", "second", "second"]
    assert engine.control_url is not None
    async with connect(engine.control_url, token=CALLER) as caller:
        with pytest.raises(AccessDenied, match="write stores/boiler"):
            await caller.service("stores").replay("boiler", {"text": "sec"})


async def test_an_inbox_takes_messages(engine: Engine, link: Link) -> None:
    async with link.entities("inboxes/boiler", mode="w") as stream:
        await stream.write([Message("text/plain", "from elsewhere")])
        await stream.flush(durable=True)
    async with link.entities("stores/boiler", follow=True) as stream:
        assert (await anext(stream)).payload == "from elsewhere"


async def test_a_file_is_written_into_a_folder_that_takes_files(
    link: Link, tmp_path: Path
) -> None:
    async with link.bytes("spool/new/x.bin", "wb") as stream:
        await stream.write(b"data")
        await stream.flush(durable=True)
    assert await asyncio.to_thread((tmp_path / "spool/new/x.bin").read_bytes) == b"data"


@pytest.mark.parametrize(
    "name", ["files/../secret.txt", "files//a.csv", "files/C:a", "files/a\\b", "files/"]
)
async def test_a_name_leads_nowhere_else(link: Link, name: str) -> None:
    with pytest.raises(StreamNotFound):
        await link.bytes(name)


async def test_a_link_out_of_a_folder_is_not_followed(
    engine: Engine, link: Link
) -> None:
    with pytest.raises(RefusedError):
        async with link.bytes("files/out") as stream:
            await stream.read()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(f"{engine.control_url}/streams/files/out") as answer:
            assert answer.status == 404


async def test_a_file_is_downloaded_by_plain_http(engine: Engine) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Range": "bytes=0-2"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(f"{engine.control_url}/streams/files/a.csv") as answer:
            assert (answer.status, await answer.read()) == (206, b"one")


async def test_a_token_sees_and_opens_only_what_it_is_for(engine: Engine) -> None:
    assert engine.control_url is not None
    async with connect(engine.control_url, token=READER) as link:
        names = [each.name for each in await link.list()]
        with pytest.raises(AccessDenied):
            await link.entities("stores/boiler")
        with pytest.raises(AccessDenied):
            await link.service("stores").export("boiler", {})
    assert names == ["channels/boiler"]


async def test_no_store_is_exported_that_may_not_be_read(engine: Engine) -> None:
    assert engine.control_url is not None
    async with connect(engine.control_url, token=CALLER) as link:
        with pytest.raises(AccessDenied, match="stores/boiler"):
            await link.service("stores").export("boiler", {})


async def test_the_token_of_a_reader_commands_nothing(engine: Engine) -> None:
    headers = {"Authorization": f"Bearer {READER}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(f"{engine.control_url}/status") as answer:
            assert answer.status == 401


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_nobody_is_let_in_without_a_token(
    engine: Engine, token: str | None
) -> None:
    assert engine.control_url is not None
    with pytest.raises(AccessDenied):
        async with connect(engine.control_url, token=token):
            pass


async def test_a_secret_that_is_too_short_for_a_token_is_told(tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "token").write_text, "short")
    secret = Secret.file(str(tmp_path / "token"))
    token = RemoteTokenConfig(token=secret, allow={"*": ("read",)})
    with pytest.raises(SettingsError, match="too short") as caught:
        await read_tokens(RemoteConfig(tokens={"hq": token}), TOKEN)
    assert caught.value.key == "REMOTE['tokens']['hq']['token']"


async def test_it_listens_by_itself_where_it_is_told(engine: Engine) -> None:
    assert engine.remote_url is not None
    async with connect(engine.remote_url, token=READER) as link:
        assert len(await link.list()) == 1


async def test_the_newest_messages_are_kept_where_that_is_wanted(
    tmp_path: Path,
) -> None:
    config = Config(control=ControlConfig(token=TOKEN), remote=RemoteConfig(keep=2))
    project = Project([BaseChannel("boiler")], config)
    async with Engine(project, data_dir=tmp_path) as engine:
        await accept(engine, "a", "b", "c")
        assert engine.control_url is not None
        async with connect(engine.control_url, token=TOKEN) as link:
            async with link.entities("channels/boiler") as stream:
                assert [msg.payload async for msg in stream] == ["b", "c"]


async def test_nothing_is_published_where_that_is_switched_off(tmp_path: Path) -> None:
    config = Config(
        control=ControlConfig(token=TOKEN), remote=RemoteConfig(enabled=False)
    )
    async with Engine(Project([], config), data_dir=tmp_path) as engine:
        assert engine.control_url is not None
        with pytest.raises((NotConnected, AccessDenied)):
            async with connect(engine.control_url, token=TOKEN):
                pass


async def test_a_port_that_is_taken_is_told(engine: Engine, tmp_path: Path) -> None:
    assert engine.remote_url is not None
    port = int(engine.remote_url.rpartition(":")[2].partition("/")[0])
    config = Config(remote=RemoteConfig(port=port))
    with pytest.raises((SettingsError, StartError), match="can be published"):
        async with Engine(Project([], config), data_dir=tmp_path / "other"):
            pass


CHANGING = """\
from pichannels.channels import BaseChannel
from pichannels.node import BaseNode

class Say(BaseNode):
    def __init__(self, text):
        super().__init__()
        self.text = text

    def process(self, msg):
        return msg.derive(self.text)

CONTROL = {{"token": {token!r}}}
CHANNELS = [BaseChannel("boiler").add(Say({text!r}))]
"""


async def test_who_has_what_open_is_told(engine: Engine, link: Link) -> None:
    assert engine.control_url is not None
    async with connect(engine.control_url, token=READER) as reader:
        async with reader.entities("channels/boiler", follow=True) as stream:
            await accept(engine, "a", "b")
            assert [await anext(stream) for _ in "ab"]
            (found,) = await link.call("links", "streams")
            with pytest.raises(AccessDenied):
                await reader.call("links", "streams")
    told = [found[name] for name in ("client", "name", "mode", "sent", "lag")]
    assert told == ["reader", "channels/boiler", "read", 2, 0]


async def test_who_follows_a_channel_goes_on_after_a_reload(tmp_path: Path) -> None:
    file = tmp_path / "settings.py"

    def write(text: str) -> Project:
        file.write_text(CHANGING.format(token=TOKEN, text=text))
        return load(file)

    project = await asyncio.to_thread(write, "before")
    async with Engine(project) as engine:
        assert engine.control_url is not None
        async with connect(engine.control_url, token=TOKEN) as link:
            async with link.entities("channels/boiler", follow=True) as stream:
                await accept(engine, "x")
                found = [(await anext(stream)).payload]
                await asyncio.to_thread(write, "after")
                report = await engine.reload()
                await accept(engine, "x")
                found.append((await anext(stream)).payload)
    assert [change.kind for change in report.channels] == ["changed"]
    assert found == ["before", "after"]
