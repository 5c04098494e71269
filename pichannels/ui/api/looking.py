"""Routes that only look at instances."""

from __future__ import annotations

from typing import Any

import msgspec

from pichannels.channels.job_reports import JobReport
from pichannels.control.archive import Archived, ArchiveWanted
from pichannels.control.backfills import JobsWanted
from pichannels.control.budgets import BudgetReport
from pichannels.control.chosen import Grouped, Listed
from pichannels.control.coverage_reports import CoverageReport, CoverageWanted
from pichannels.control.frames import MessageSamples, SamplesWanted
from pichannels.control.parked import Parked
from pichannels.control.pictures import GraphReport, GraphWanted
from pichannels.control.reports import ChannelReport, SinkReport, StatusReport
from pichannels.control.settings import SettingsReport
from pichannels.control.tags import TagsReport
from pichannels.reload import ReloadReport
from pichannels.ui.api.routing import Ask, Routes
from pichannels.ui.content import MessageView
from pichannels.ui.data import InstanceRow
from pichannels.ui.failures import GroupsFound
from pichannels.ui.roles import Role
from pichannels.ui.searches import MessagePage
from pichannels.ui.searching import MessagesWanted
from pichannels.ui.settings_delta import Delta
from pichannels.ui.settings_files import Difference, Version
from pichannels.ui.settings_texts import FILE, FileDiff
from pichannels.ui.tag_values import Values, ValuesWanted

__all__ = ["one", "routes"]

routes = Routes("instances")
one = Routes("instances", "/instances/{instance}")
"""Those of one instance."""


class StoreRow(msgspec.Struct, frozen=True, kw_only=True):
    """A message store: of which channel, its kind, how many messages it holds.

    Attributes:
        channel: its full name.
        store: the kind of store.
        messages: how many it holds.
        journal: whether they are in the journal of the instance.
    """

    channel: str
    store: str
    messages: int
    journal: bool = True


class DeadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter in short; error and payload are None where one may not see them.

    Attributes:
        id: its number.
        channel: its full name.
        timestamp: when the message was made, ISO 8601.
        uuid: tells the message from all others.
        lane: where it was accepted.
        node: where it failed.
        error: why.
        attempts: how often it was tried.
        samples: how many samples failed, where only samples did.
        payload: the beginning of its text.
    """

    id: str
    channel: str
    timestamp: str
    uuid: str
    lane: str
    node: str
    error: str | None
    attempts: int
    samples: int | None
    payload: str | None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter, whole: what became of it, and the message.

    Attributes:
        id: its number.
        channel: its full name.
        lane: where it was accepted.
        outcome: what became of it: `err_msg`, `node`, `attempts`, `stack`, ...
        message: `timestamp`, `uuid`, `content_type`, `meta`, `payload` and `ctx`.
    """

    id: str
    channel: str
    lane: str
    outcome: dict[str, Any]
    message: dict[str, Any]


class MessagePlace(msgspec.Struct, frozen=True, kw_only=True):
    """In the store of this channel; needed where several stores have the number.

    Attributes:
        channel: its full name.
    """

    channel: str | None = None


@routes.add("GET", "/instances", role=Role.VIEW, answer=list[InstanceRow])
async def list_instances(ask: Ask) -> Any:
    """All instances, also those that do not answer."""
    return await ask.console.data.instances(ask.who)


@one.add("GET", "/status", role=Role.VIEW, answer=StatusReport)
async def get_status(ask: Ask, instance: str) -> Any:
    """An instance at this moment."""
    return await ask.console.data.status(ask.who, instance)


@one.add("GET", "/channels", role=Role.VIEW, answer=list[ChannelReport])
async def list_channels(ask: Ask, instance: str) -> Any:
    """The channels, each followed by its sub-channels."""
    return (await ask.console.data.status(ask.who, instance))["channels"]


@one.add("GET", "/channels/{name}", role=Role.VIEW, answer=ChannelReport)
async def get_channel(ask: Ask, instance: str, name: str) -> Any:
    """One channel at this moment."""
    return await ask.console.data.channel(ask.who, instance, name)


@one.add("GET", "/graph", role=Role.VIEW, answer=GraphReport, query=GraphWanted)
async def get_graph(ask: Ask, instance: str, query: Any) -> Any:
    """The way of messages through the channels, as boxes and arrows."""
    return await ask.console.data.graph(ask.who, instance, query.channel)


@one.add("GET", "/sinks", role=Role.VIEW, answer=list[SinkReport])
async def list_sinks(ask: Ask, instance: str) -> Any:
    """Where messages leave the project."""
    return (await ask.console.data.status(ask.who, instance))["sinks"]


@one.add("GET", "/stores", role=Role.VIEW, answer=list[StoreRow])
async def list_stores(ask: Ask, instance: str) -> Any:
    """The message stores, and how many messages each holds."""
    return await ask.console.data.stores(ask.who, instance)


# Messages


@one.add("GET", "/messages", role=Role.VIEW, answer=MessagePage, query=MessagesWanted)
async def list_messages(ask: Ask, instance: str, query: Any) -> Any:
    """A page of stored messages, the newest first.

    Conditions on payloads and errors take the role `data`. A search has a few seconds;
    where `complete` is false it goes on with `next`.
    """
    return await ask.console.data.messages(ask.who, instance, query)


@one.add(
    "GET", "/messages/{id:path}", role=Role.VIEW, answer=MessageView, query=MessagePlace
)
async def get_message(ask: Ask, instance: str, id: str, query: Any) -> Any:
    """One stored message, whole; payloads take the role `data`."""
    return await ask.console.data.message(ask.who, instance, id, query.channel)


@one.add("GET", "/samples", role=Role.DATA, answer=MessageSamples, query=SamplesWanted)
async def list_samples(ask: Ask, instance: str, query: Any) -> Any:
    """The samples of a stored message with their event ids, also of documents of PI.

    What a sink has is found by its id: `messages?event_id=` gives the messages that
    brought it.
    """
    return await ask.console.data.samples(ask.who, instance, query)


@one.add("GET", "/dead-letters", role=Role.VIEW, answer=list[DeadRow], query=Listed)
async def list_dead_letters(ask: Ask, instance: str, query: Any) -> Any:
    """A page of dead letters, the newest first."""
    return await ask.console.data.dead_letters(ask.who, instance, query)


@one.add(
    "GET", "/dead-letter-groups", role=Role.VIEW, answer=GroupsFound, query=Grouped
)
async def list_dead_letter_groups(ask: Ask, instance: str, query: Any) -> Any:
    """Dead letters that are alike: node, exception, kind of tags; the most first."""
    return await ask.console.data.dead_groups(ask.who, instance, query)


@one.add("GET", "/parked-tags", role=Role.VIEW, answer=list[Parked], query=MessagePlace)
async def list_parked_tags(ask: Ask, instance: str, query: Any) -> Any:
    """The tags that wait behind a dead letter, in channels that keep the order."""
    return await ask.console.data.parked(ask.who, instance, query.channel)


@one.add("GET", "/dead-letters/{id}", role=Role.DATA, answer=DeadLetter)
async def get_dead_letter(ask: Ask, instance: str, id: str) -> Any:
    """One dead letter, whole, with the stack of the error."""
    return await ask.console.data.dead_letter(ask.who, instance, id)


# Tags


@one.add("GET", "/channels/{name}/tags", role=Role.VIEW, answer=TagsReport)
async def list_tags(ask: Ask, instance: str, name: str) -> Any:
    """The tags of a channel that receives from PI."""
    return await ask.console.data.tags(ask.who, instance, name)


@one.add("GET", "/channels/{name}/latest", role=Role.DATA, answer=Values)
async def list_latest(ask: Ask, instance: str, name: str) -> Any:
    """The last values of the tags of a channel, as far as they are stored."""
    return await ask.console.data.latest(ask.who, instance, name)


@one.add("GET", "/values", role=Role.DATA, answer=Values, query=ValuesWanted)
async def list_values(ask: Ask, instance: str, query: Any) -> Any:
    """The values of a tag as they were received, in the order of their time."""
    return await ask.console.data.values(ask.who, instance, query)


@one.add("GET", "/archive", role=Role.DATA, answer=Archived, query=ArchiveWanted)
async def get_archive(ask: Ask, instance: str, query: Any) -> Any:
    """What PI itself holds of a tag, as it is drawn; PI is asked behind live values."""
    return await ask.console.data.archive(ask.who, instance, query)


# Coverage


@one.add(
    "GET", "/coverage", role=Role.VIEW, answer=CoverageReport, query=CoverageWanted
)
async def get_coverage(ask: Ask, instance: str, query: Any) -> Any:
    """What the coverage ledgers say."""
    return await ask.console.data.coverage(ask.who, instance, query)


@one.add("GET", "/holes", role=Role.VIEW, answer=CoverageReport, query=CoverageWanted)
async def get_holes(ask: Ask, instance: str, query: Any) -> Any:
    """The same of tags that have holes, those with the longest first."""
    wanted = msgspec.structs.replace(query, holes=True, count=query.count or 100)
    return await ask.console.data.coverage(ask.who, instance, wanted)


@one.add("GET", "/jobs", role=Role.VIEW, answer=list[JobReport], query=JobsWanted)
async def list_jobs(ask: Ask, instance: str, query: Any) -> Any:
    """Backfill jobs."""
    wanted = msgspec.structs.asdict(query)
    return await ask.console.data.jobs(ask.who, instance, **wanted)


@one.add("GET", "/jobs/{id}", role=Role.VIEW, answer=JobReport)
async def get_job(ask: Ask, instance: str, id: str) -> Any:
    """One backfill job."""
    return await ask.console.data.job(ask.who, instance, id)


class ServerWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Of this PI server, host and port; needed where several are asked.

    Attributes:
        server: host and port.
    """

    server: str = ""


@one.add("GET", "/pi-budget", role=Role.VIEW, answer=BudgetReport, query=ServerWanted)
async def get_pi_budget(ask: Ask, instance: str, query: Any) -> Any:
    """What repair and backfill get of a PI server, and when jobs will be ready."""
    return await ask.console.data.budget(ask.who, instance, query.server)


# Settings


@one.add("GET", "/settings", role=Role.VIEW, answer=SettingsReport)
async def get_settings(ask: Ask, instance: str) -> Any:
    """What holds, and where it is from; what may be secret is not shown."""
    return await ask.console.data.settings(ask.who, instance)


@one.add("GET", "/settings/differences", role=Role.OPERATE, answer=list[Difference])
async def list_differences(ask: Ask, instance: str) -> Any:
    """What the settings file says otherwise than what runs."""
    return await ask.console.settings.compare(ask.who, instance)


@one.add("GET", "/settings/plan", role=Role.OPERATE, answer=ReloadReport)
async def get_plan(ask: Ask, instance: str) -> Any:
    """What applying the settings file would change."""
    return await ask.console.settings.plan(ask.who, instance)


class CheckWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """How much is looked at.

    Attributes:
        connect: also ask whether sources and sinks are there.
    """

    connect: bool = False


@one.add(
    "GET",
    "/settings/check",
    role=Role.OPERATE,
    answer=dict[str, Any],
    query=CheckWanted,
)
async def get_check(ask: Ask, instance: str, query: Any) -> Any:
    """What `pichannels check --strict --json` says of the settings file."""
    check = ask.console.settings.check
    return await check(ask.who, instance, connect=query.connect)


@one.add("GET", "/settings/versions", role=Role.OPERATE, answer=list[Version])
async def list_versions(ask: Ask, instance: str) -> Any:
    """Versions of the settings files that were applied, the newest first."""
    return await ask.console.settings.versions(ask.who, instance)


class TextsWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Which two texts to compare.

    Attributes:
        before: number of a version, or `file` for the files as they are.
        after: the same.
    """

    before: str
    after: str = FILE


@one.add(
    "GET", "/settings/texts", role=Role.ADMIN, answer=list[FileDiff], query=TextsWanted
)
async def get_settings_texts(ask: Ask, instance: str, query: Any) -> Any:
    """What differs between the texts of two versions of the settings files.

    What looks like a secret is not shown.
    """
    text_diff = ask.console.settings.text_diff
    return await text_diff(ask.who, instance, query.before, query.after)


@one.add("GET", "/settings/delta", role=Role.VIEW, answer=Delta)
async def get_settings_delta(ask: Ask, instance: str) -> Any:
    """Which channels would change if the settings file was applied, in short."""
    return await ask.console.settings.delta(ask.who, instance)
