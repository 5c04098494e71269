"""What an instance tells about itself: its status and its metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from pichannels.channels import BaseChannel
from pichannels.control.coverage_metrics import coverage_families
from pichannels.control.coverage_reports import ChannelCoverage
from pichannels.journal import JournalStatistics
from pichannels.lifecycle import Status
from pichannels.metrics import Family, Point

__all__ = [
    "ChannelReport",
    "LeaseReport",
    "ServerReport",
    "SinkReport",
    "StatusReport",
    "channel_report",
    "metrics",
    "server_reports",
    "sink_reports",
]

_STORE_WAITING: Final = "store waiting"


class ChannelReport(msgspec.Struct, frozen=True, kw_only=True):
    """One channel at this moment; the counts are since the instance started.

    Attributes:
        name: its full name.
        verbose_name: what it is called for people; by default the same.
        state: stopped, starting, waiting, processing, stopping, paused or `store
            waiting` (what comes is accepted, and processed when the store is there).
        received: messages that came to the first node.
        processed, dropped, rejected, failed: messages settled so.
        in_memory: messages on their way just now.
        unsettled: accepted messages in the journal that are not settled.
        discarded: copies that a fork which is not required had no room for.
        lag: how old the oldest accepted message on its way is, in seconds.
        is_ready: whether the source, if there is one, is connected.
        source: facts about the source.
    """

    name: str
    verbose_name: str
    state: str
    received: int
    processed: int
    dropped: int
    rejected: int
    failed: int
    in_memory: int
    unsettled: int
    discarded: int
    lag: float
    is_ready: bool
    source: dict[str, Any]


class SinkReport(msgspec.Struct, frozen=True, kw_only=True):
    """One node where messages leave the project.

    Attributes:
        name: its full name.
        kind: the name of its class.
        processed: messages that it took.
        statistics: its own counts.
    """

    name: str
    kind: str
    processed: int
    statistics: dict[str, int]


class ServerReport(msgspec.Struct, frozen=True, kw_only=True):
    """One PI Web API server that the instance asks, as its limiter sees it.

    Attributes:
        name: host and port.
        rate: requests in a second that are allowed just now.
        concurrency: requests under way at once that are allowed just now.
        pause: seconds until the next one may go.
        running, waiting: requests by priority (`live`, `history`), just now.
        sent: requests by priority.
        slowed: how often the pace was taken back.
        too_many: how often the server has answered 429.
        history_paused: whether requests for history are held back.
    """

    name: str
    rate: float
    concurrency: int
    pause: float
    running: dict[str, int]
    waiting: dict[str, int]
    sent: dict[str, int]
    slowed: int
    too_many: int
    history_paused: bool


class LeaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """The lease that an instance holds.

    Attributes:
        name: which.
        database: where it is.
        is_held: False when it was lost, and the instance stops.
        age: seconds since it was granted last.
        takeover: seconds after which another may take over.
    """

    name: str
    database: str
    is_held: bool
    age: float
    takeover: float


class StatusReport(msgspec.Struct, frozen=True, kw_only=True):
    """An instance at this moment.

    Attributes:
        project, settings: what runs, and its settings file.
        version: of pichannels.
        pid: of the process.
        state: starting, running, draining or stopped.
        is_ready: whether all channels run, and have their message stores.
        started: when, in ISO 8601.
        uptime: seconds since then.
        data_dir: where the journal is.
        control, simulator: their addresses, or None.
        channels: each followed by its sub-channels.
        sinks: where messages leave the project.
        pi_servers: the PI Web API servers that are asked.
        journal: what it does at this moment, or None while it is not open.
        lease: what keeps other hosts out, or None.
        coverage: of the channels that keep a ledger; the control server adds it.
    """

    project: str
    settings: str | None
    version: str
    pid: int
    state: str
    is_ready: bool
    started: str
    uptime: float
    data_dir: str
    control: str | None
    simulator: str | None
    channels: list[ChannelReport]
    sinks: list[SinkReport]
    pi_servers: list[ServerReport]
    journal: JournalStatistics | None
    lease: LeaseReport | None = None
    coverage: list[ChannelCoverage] = []


def channel_report(channel: BaseChannel, unsettled: int) -> ChannelReport:
    """What a channel does at this moment; the journal knows what is unsettled."""
    return ChannelReport(
        name=channel.name,
        verbose_name=channel.verbose_name,
        state=_state(channel),
        received=channel.received,
        processed=channel.processed,
        dropped=channel.dropped,
        rejected=channel.rejected,
        failed=channel.failed,
        in_memory=channel.in_memory,
        unsettled=unsettled,
        discarded=channel.discarded,
        lag=channel.lag,
        is_ready=channel.is_ready,
        source=channel.statistics(),
    )


def _state(channel: BaseChannel) -> str:
    is_paused = channel.status is Status.PAUSED and not channel.gate.is_held
    if is_paused and channel.is_store_waiting:
        return _STORE_WAITING
    return channel.status.label


def sink_reports(channels: Iterable[BaseChannel]) -> list[SinkReport]:
    """The sinks of these channels and of their sub-channels."""
    return [
        SinkReport(
            name=node.fullpath(),
            kind=type(node).__name__,
            processed=node.processed,
            statistics=node.statistics(),
        )
        for channel in channels
        for node in channel.nodes()
        if node.is_sink
    ]


def server_reports(limiters: Mapping[str, Mapping[str, Any]]) -> list[ServerReport]:
    """The servers, from the statistics of their limiters by name."""
    return [
        ServerReport(
            name=name,
            rate=facts["rate"],
            concurrency=facts["concurrency"],
            pause=facts["pause"],
            running=_by_priority(facts, "running_"),
            waiting=_by_priority(facts, "waiting_"),
            sent=_by_priority(facts, ""),
            slowed=facts["slowed"],
            too_many=facts["too_many"],
            history_paused=facts["history_paused"],
        )
        for name, facts in limiters.items()
    ]


def _by_priority(facts: Mapping[str, Any], prefix: str) -> dict[str, int]:
    return {name: facts[prefix + name] for name in ("live", "history")}


def metrics(status: StatusReport) -> list[Family]:
    """The numbers of a status under the names that `docs/metrics.md` explains."""
    return [
        *_instance_families(status),
        *_channel_families(status.channels),
        *coverage_families(status.coverage),
        *_server_families(status.pi_servers),
        *(_journal_families(status.journal) if status.journal else ()),
        *_lease_families([status.lease] if status.lease else []),
    ]


def _instance_families(status: StatusReport) -> list[Family]:
    info = {"project": status.project, "version": status.version}
    return [
        Family("info", "gauge", "What runs here; always 1.", [Point(1, info)]),
        _gauge("ready", "Whether all channels run.", status.is_ready),
        _gauge("uptime_seconds", "Seconds since the start.", status.uptime),
    ]


def _channel_families(channels: Iterable[ChannelReport]) -> list[Family]:
    reports = list(channels)

    def family(
        name: str,
        kind: Literal["counter", "gauge"],
        help: str,
        value: Callable[[ChannelReport], float],
    ) -> Family:
        points = [Point(value(each), {"channel": each.name}) for each in reports]
        return Family(f"channel_{name}", kind, help, points)

    return [
        family("running", "gauge", "Whether the channel runs.", _is_running),
        family("paused", "gauge", "Whether the channel is paused.", _is_paused),
        family(
            "store_waiting",
            "gauge",
            "Whether the channel waits for its message store.",
            _is_store_waiting,
        ),
        family(
            "received_total",
            "counter",
            "Messages that came to the first node.",
            lambda each: each.received,
        ),
        _settled_family(reports),
        family(
            "in_memory",
            "gauge",
            "Messages on their way just now.",
            lambda each: each.in_memory,
        ),
        family(
            "unsettled",
            "gauge",
            "Accepted messages in the journal that are not settled.",
            lambda each: each.unsettled,
        ),
        family(
            "lag_seconds",
            "gauge",
            "How old the oldest accepted message on its way is.",
            lambda each: each.lag,
        ),
        family(
            "discarded_total",
            "counter",
            "Copies that a fork had no room for.",
            lambda each: each.discarded,
        ),
    ]


def _is_running(report: ChannelReport) -> float:
    return report.state in (Status.WAITING.label, Status.PROCESSING.label)


def _is_paused(report: ChannelReport) -> float:
    return report.state in (Status.PAUSED.label, _STORE_WAITING)


def _is_store_waiting(report: ChannelReport) -> float:
    return report.state == _STORE_WAITING


def _settled_family(channels: Iterable[ChannelReport]) -> Family:
    points = [
        Point(count, {"channel": each.name, "state": state})
        for each in channels
        for state, count in (
            ("processed", each.processed),
            ("dropped", each.dropped),
            ("rejected", each.rejected),
            ("error", each.failed),
        )
    ]
    help = "Messages that are settled, by what became of them."
    return Family("channel_settled_total", "counter", help, points)


def _server_families(servers: Iterable[ServerReport]) -> list[Family]:
    reports = list(servers)

    def family(
        name: str,
        kind: Literal["counter", "gauge"],
        help: str,
        value: Callable[[ServerReport], float],
    ) -> Family:
        points = [Point(value(each), {"server": each.name}) for each in reports]
        return Family(f"pi_{name}", kind, help, points)

    def by_priority(
        name: str,
        kind: Literal["counter", "gauge"],
        help: str,
        value: Callable[[ServerReport], dict[str, int]],
    ) -> Family:
        points = [
            Point(count, {"server": each.name, "priority": priority})
            for each in reports
            for priority, count in value(each).items()
        ]
        return Family(f"pi_{name}", kind, help, points)

    return [
        by_priority(
            "requests_total",
            "counter",
            "Requests and handshakes sent to the server.",
            lambda each: each.sent,
        ),
        by_priority(
            "waiting",
            "gauge",
            "Requests that wait for their turn.",
            lambda each: each.waiting,
        ),
        family(
            "rate",
            "gauge",
            "Requests in a second that are allowed just now.",
            lambda each: each.rate,
        ),
        family(
            "slowed_total",
            "counter",
            "How often the pace was taken back.",
            lambda each: each.slowed,
        ),
        family(
            "too_many_total",
            "counter",
            "Answers of the server that there were too many requests.",
            lambda each: each.too_many,
        ),
    ]


def _journal_families(journal: JournalStatistics) -> list[Family]:
    return [
        _counter("journal_commits_total", "Commits that succeeded.", journal.commits),
        _counter("journal_failures_total", "Commits that failed.", journal.failures),
        _counter("journal_messages_total", "Messages made durable.", journal.rows),
        _gauge(
            "journal_commit_seconds",
            "How long the last commit took.",
            journal.last_commit,
        ),
        _gauge(
            "journal_lag_seconds",
            "How long the oldest thing has waited to be committed.",
            journal.commit_lag,
        ),
        _gauge(
            "journal_buffered_bytes",
            "Bytes that wait to be committed.",
            journal.buffered_bytes,
        ),
        _gauge(
            "journal_used_bytes", "Bytes of all stored messages.", journal.used_bytes
        ),
        _gauge(
            "journal_budget_bytes",
            "Bytes beyond which no more is taken.",
            journal.budget_bytes,
        ),
        _gauge("journal_file_bytes", "Size of the journal file.", journal.file_bytes),
        _gauge("journal_full", "Whether no more is taken now.", journal.is_full),
    ]


def _lease_families(leases: Sequence[LeaseReport]) -> list[Family]:
    held = [Point(each.is_held, {"lease": each.name}) for each in leases]
    ages = [Point(each.age, {"lease": each.name}) for each in leases]
    help = "Seconds since the lease was granted last."
    return [
        Family("lease_held", "gauge", "Whether the lease is ours.", held),
        Family("lease_age_seconds", "gauge", help, ages),
    ]


def _gauge(name: str, help: str, value: float) -> Family:
    return Family(name, "gauge", help, [Point(value)])


def _counter(name: str, help: str, value: float) -> Family:
    return Family(name, "counter", help, [Point(value)])
