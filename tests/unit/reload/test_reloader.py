"""A running engine takes changed settings over, channel by channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pichannels.channels import BaseChannel
from pichannels.engine import Engine
from pichannels.errors import SettingsError, UsageError
from pichannels.events import Event
from pichannels.message import Message
from pichannels.project import Project, load
from pichannels.reload.plan import ReloadReport

SETTINGS = """\
import asyncio
from pathlib import Path

from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.node import BaseNode

here = Path(__file__).parent


class Sink(BaseNode):
    def __init__(self, mark, **options):
        super().__init__(**options)
        self.mark = mark

    async def start(self):
        if self.mark == "broken":
            raise OSError("no such device")

    async def process(self, msg):
        while self.mark == "stuck":
            await asyncio.sleep(1)
        await asyncio.to_thread(self.write, msg.payload)
        return msg

    def write(self, payload):
        with (here / "out").open("a") as file:
            file.write(f"{self.mark} {payload}\\n")


def channel(name, mark="plain"):
    made = BaseChannel(name, drain_timeout=0.1, message_store_factory=STORE)
    return made.add(Sink(mark, name="sink"))


STORE = SQLiteMessageStoreFactory(here / "messages.sqlite")
CHANNELS = [channel("a"), channel("b")]
""".replace("STORE", "store")

Write = Callable[..., Awaitable[Path]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the settings with other channels."""

    async def written(channels: str = "", more: str = "") -> Path:
        file = tmp_path / "settings.py"
        text = SETTINGS + (f"CHANNELS = [{channels}]\n" if channels else "") + more
        await asyncio.to_thread(file.write_text, text)
        return file

    return written


@asynccontextmanager
async def running(file: Path) -> AsyncIterator[Engine]:
    project = await asyncio.to_thread(load, file)
    engine = Engine(project, control=False, simulator=False)
    async with engine:
        yield engine


async def lines(file: Path) -> list[str]:
    out = file.parent / "out"
    return (await asyncio.to_thread(out.read_text)).splitlines()


def channel(engine: Engine, name: str) -> BaseChannel:
    return engine.project.channel(name)


async def taken_over(engine: Engine) -> ReloadReport:
    """Reload; tells why, where the changed settings are not taken over."""
    report = await engine.reload()
    assert report.applied, report.lines()
    return report


async def accept(engine: Engine, name: str, count: int) -> None:
    for number in range(count):
        await channel(engine, name).accept(Message(payload=str(number)))


async def test_only_what_differs_is_replaced(write: Write) -> None:
    async with running(await write()) as engine:
        before = list(engine.project.channels)
        await write('channel("a"), channel("b", "other")')
        report = await engine.reload()
        after = engine.project.channels
        assert (after[0] is before[0], after[1] is before[1]) == (True, False)
        assert (report.applied, before[1].is_stopped()) == (True, True)
        await channel(engine, "b").handle(Message(payload="x"))
    assert await lines(engine.project.folder / "settings.py") == ["other x"]


def revisions(engine: Engine) -> tuple[int, dict[str, tuple[int, int]]]:
    """The last apply, and of each channel its revision and by which apply."""
    status = engine.status()
    found = {n: (one.number, one.apply) for n, one in status.revisions.items()}
    return status.apply, found


async def test_revisions_are_counted_for_each_channel_also_over_starts(
    write: Write,
) -> None:
    file = await write()
    async with running(file) as engine:
        assert revisions(engine) == (1, {"a": (1, 1), "b": (1, 1)})
        await write('channel("a"), channel("b", "other")')
        report = await taken_over(engine)
        assert (report.apply, revisions(engine)[1]["b"]) == (2, (2, 2))
    async with running(file) as engine:
        assert revisions(engine) == (2, {"a": (1, 1), "b": (2, 2)})
    await write('channel("a", "other"), channel("b", "other")')
    async with running(file) as engine:
        assert revisions(engine) == (3, {"a": (2, 3), "b": (2, 2)})


async def test_a_plan_changes_nothing(write: Write) -> None:
    async with running(await write()) as engine:
        before = list(engine.project.channels)
        await write('channel("a")')
        report = await engine.reload(dry_run=True)
        assert (report.applied, report.channels[0].kind) == (False, "removed")
        assert engine.project.channels == before


async def test_settings_that_are_wrong_are_refused(write: Write) -> None:
    told: list[Event] = []
    async with running(await write()) as engine:
        engine.events.subscribe(told.append)
        before = list(engine.project.channels)
        await write(more="DRAIN_TIMOUT = 1\n")
        with pytest.raises(SettingsError, match="DRAIN_TIMEOUT"):
            await engine.reload()
        assert engine.project.channels == before
        assert not any(each.is_stopped() for each in before)
    assert "reload.refused" in [event.name for event in told]


async def test_unsettled_messages_go_over_to_the_new_channel(write: Write) -> None:
    async with running(await write('channel("a", "stuck")')) as engine:
        await accept(engine, "a", 3)
        file = await write('channel("a", "new")')
        await taken_over(engine)
        await channel(engine, "a").accept(Message(payload="3"))
        await channel(engine, "a").drain()
    assert await lines(file) == ["new 0", "new 1", "new 2", "new 3"]


async def test_channels_come_and_go(write: Write) -> None:
    async with running(await write()) as engine:
        b = channel(engine, "b")
        await write('channel("c"), channel("a")')
        await taken_over(engine)
        names = [each.name for each in engine.project.channels]
        assert (names, b.is_stopped()) == (["c", "a"], True)
        assert not channel(engine, "c").is_stopped()


async def test_what_a_removed_channel_leaves_is_told(write: Write) -> None:
    async with running(await write('channel("a"), channel("b", "stuck")')) as engine:
        await accept(engine, "b", 3)
        await write('channel("a")')
        report = await engine.reload()
        assert report.unsettled == {"b": 3}


async def test_the_old_channel_comes_back_where_the_new_one_fails(
    write: Write,
) -> None:
    async with running(await write()) as engine:
        before = channel(engine, "a")
        await write('channel("a", "broken"), channel("b", "new")')
        report = await engine.reload()
        assert report.failures == ["a: channel 'a' did not start: no such device"]
        assert channel(engine, "a") is before
        assert not before.is_stopped()
        again = await engine.reload(dry_run=True)
        assert [change.name for change in again.channels] == ["a"]


async def test_an_added_channel_that_fails_is_not_there(write: Write) -> None:
    async with running(await write('channel("a")')) as engine:
        await write('channel("a"), channel("b", "broken")')
        report = await engine.reload()
        assert (len(report.failures), len(engine.project.channels)) == (1, 1)


async def test_a_stopped_channel_stays_stopped(write: Write) -> None:
    async with running(await write()) as engine:
        await engine.stop_channel("a")
        await write('channel("a", "new"), channel("b")')
        await taken_over(engine)
        assert channel(engine, "a").is_stopped()
        await engine.start_channel("a")


async def test_a_paused_channel_stays_paused(write: Write) -> None:
    file = await write()
    async with running(file) as engine:
        await engine.pause_channel("a")
        await accept(engine, "a", 1)
        await write('channel("a", "new"), channel("b")')
        await taken_over(engine)
        assert channel(engine, "a").status.label == "paused"
        await engine.resume_channel("a")
        await channel(engine, "a").drain()
    assert await lines(file) == ["new 0"]


async def test_a_change_of_end_nodes_is_one(write: Write) -> None:
    async with running(await write()) as engine:
        more = 'CHANNELS[0].add_fail_nodes(Sink("alarm", name="alarm"))'
        await write(more=more)
        report = await engine.reload()
        assert [change.name for change in report.channels] == ["a"]
        await write(more=more.replace('"alarm",', '"bell",'))
        report = await engine.reload()
        assert [change.name for change in report.channels] == ["a"]


async def test_counts_go_on(write: Write) -> None:
    async with running(await write()) as engine:
        await channel(engine, "a").handle(Message(payload="x"))
        await write('channel("a", "new"), channel("b")')
        await taken_over(engine)
        await channel(engine, "a").handle(Message(payload="x"))
        assert channel(engine, "a").processed == 2


async def test_settings_beside_the_channels_take_effect(write: Write) -> None:
    async with running(await write()) as engine:
        await write(more="DRAIN_TIMEOUT = 5\nPROJECT_NAME = 'other'\n")
        await taken_over(engine)
        config = engine.project.config
        assert (engine.status().project, config.drain_timeout) == ("other", 5)


async def test_nothing_is_changed_where_a_restart_is_needed(write: Write) -> None:
    async with running(await write()) as engine:
        await write('channel("a")', more="JOURNAL = {'durability': 'normal'}\n")
        report = await engine.reload()
        assert (report.applied, len(engine.project.channels)) == (False, 2)
        assert report.restart == ["JOURNAL is read at the start only"]


async def test_changed_code_needs_a_restart(write: Write, tmp_path: Path) -> None:
    module = tmp_path / "limits_of_a_test.py"
    await asyncio.to_thread(module.write_text, "limit = 1\n")
    more = "import limits_of_a_test\n"
    async with running(await write(more=more)) as engine:
        await asyncio.to_thread(module.write_text, "limit = 22\n")
        await write('channel("a")', more=more)
        report = await engine.reload()
        assert report.restart == [f"{module} has changed"]
        assert (report.applied, len(engine.project.channels)) == (False, 2)


async def test_settings_of_earlier_reloads_are_what_the_next_one_compares_with(
    write: Write,
) -> None:
    async with running(await write()) as engine:
        await write('channel("a", "new"), channel("b")')
        await engine.reload()
        assert (await engine.reload()).is_empty
        await write()
        report = await engine.reload()
        assert [change.name for change in report.channels] == ["a"]


async def test_the_reloads_of_an_engine_that_stops_end(write: Write) -> None:
    async with running(await write()) as engine:
        await write('channel("a")')
        reloading = asyncio.create_task(engine.reload())
        await asyncio.sleep(0)
    with pytest.raises(UsageError, match="the instance stops"):
        await reloading
    assert all(each.is_stopped() for each in engine.project.channels)


async def test_without_a_file_there_is_nothing_to_reload(tmp_path: Path) -> None:
    project = Project([BaseChannel("a")])
    engine = Engine(project, data_dir=tmp_path, control=False)
    async with engine:
        with pytest.raises(UsageError, match="from a file"):
            await engine.reload()


async def test_only_what_runs_can_be_reloaded(write: Write) -> None:
    engine = Engine(await asyncio.to_thread(load, await write()), control=False)
    with pytest.raises(UsageError, match="stopped"):
        await engine.reload()
