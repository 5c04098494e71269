"""The numbers of an instance, as `docs/metrics.md` explains them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

from pichannels.control.coverage_metrics import coverage_families
from pichannels.control.node_metrics import node_families, quantiles, sink_families
from pichannels.control.reports import (
    STORE_WAITING,
    ChannelReport,
    LeaseReport,
    ServerReport,
    SinkReport,
    StatusReport,
)
from pichannels.journal import JournalStatistics
from pichannels.lifecycle import Status
from pichannels.metrics import Family, Point, Spread

__all__ = ["metrics"]


class _Fact(NamedTuple):
    """A number that some sources or sinks tell, under the name that they give it."""

    told_as: str
    name: str
    kind: Literal["counter", "gauge"]
    help: str


class _Number(NamedTuple):
    """A number that is worked out of a report."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    value: Callable[[Any], Any]


_SOURCES: Final = (
    _Fact("events", "values_total", "counter", "Values that came in."),
    _Fact("losses", "losses_total", "counter", "How often the connection was lost."),
    _Fact("behind", "behind", "gauge", "Records that are not read yet."),
    _Fact("under_way", "under_way", "gauge", "Requests that are being answered."),
    _Fact("refused", "refused_total", "counter", "What became no message."),
)
_SINKS: Final = (
    _Fact("written", "values_total", "counter", "Values that were written."),
    _Fact("failed", "failed_total", "counter", "Values that could not be written."),
    _Fact("errors", "errors_total", "counter", "Attempts to write that failed."),
    _Fact("queued", "queued", "gauge", "Values that wait to be written."),
    _Fact("queued_bytes", "queued_bytes", "gauge", "Bytes that wait to be written."),
    _Fact("connected", "connected", "gauge", "Whether there is a connection."),
)


def _is_running(report: ChannelReport) -> float:
    return report.state in (Status.WAITING.label, Status.PROCESSING.label)


def _is_paused(report: ChannelReport) -> float:
    return report.state in (Status.PAUSED.label, STORE_WAITING)


def _is_store_waiting(report: ChannelReport) -> float:
    return report.state == STORE_WAITING


_CHANNELS: Final = (
    _Number("running", "gauge", "Whether the channel runs.", _is_running),
    _Number("paused", "gauge", "Whether the channel is paused.", _is_paused),
    _Number(
        "store_waiting",
        "gauge",
        "Whether the channel waits for its message store.",
        _is_store_waiting,
    ),
    _Number(
        "received_total",
        "counter",
        "Messages that came to the first node.",
        lambda each: each.received,
    ),
    _Number(
        "in_memory",
        "gauge",
        "Messages on their way just now.",
        lambda each: each.in_memory,
    ),
    _Number(
        "unsettled",
        "gauge",
        "Accepted messages in the journal that are not settled.",
        lambda each: each.unsettled,
    ),
    _Number(
        "lag_seconds",
        "gauge",
        "How old the oldest accepted message on its way is.",
        lambda each: each.lag,
    ),
    _Number(
        "accepted_bytes_total",
        "counter",
        "Bytes of the accepted messages, as they are stored.",
        lambda each: each.bytes,
    ),
    _Number(
        "retries_total",
        "counter",
        "How often a message ran again after a failure.",
        lambda each: each.retries,
    ),
    _Number(
        "discarded_total",
        "counter",
        "Copies that a fork had no room for.",
        lambda each: each.discarded,
    ),
)
_BY_PRIORITY: Final = (
    _Number(
        "requests_total",
        "counter",
        "Requests and handshakes sent to the server.",
        lambda each: each.sent,
    ),
    _Number(
        "waiting",
        "gauge",
        "Requests that wait for their turn.",
        lambda each: each.waiting,
    ),
    _Number(
        "running",
        "gauge",
        "Requests that are under way.",
        lambda each: each.running,
    ),
)
_SERVERS: Final = (
    _Number(
        "rate",
        "gauge",
        "Requests in a second that are allowed just now.",
        lambda each: each.rate,
    ),
    _Number(
        "concurrency",
        "gauge",
        "Requests under way at once that are allowed just now.",
        lambda each: each.concurrency,
    ),
    _Number(
        "history_paused",
        "gauge",
        "Whether requests for history are held back.",
        lambda each: each.history_paused,
    ),
    _Number(
        "slowed_total",
        "counter",
        "How often the pace was taken back.",
        lambda each: each.slowed,
    ),
    _Number(
        "too_many_total",
        "counter",
        "Answers of the server that there were too many requests.",
        lambda each: each.too_many,
    ),
)


def metrics(status: StatusReport) -> list[Family]:
    """The numbers of a status under the names that `docs/metrics.md` explains."""
    return [
        *_instance_families(status),
        *_channel_families(status.channels),
        *coverage_families(status.coverage),
        *node_families(status.channels),
        *_source_families(status.channels),
        *_sink_families(status.sinks),
        *sink_families(status.sinks),
        *_server_families(status.pi_servers),
        *(_journal_families(status.journal) if status.journal else ()),
        *_lease_families([status.lease] if status.lease else []),
    ]


def _instance_families(status: StatusReport) -> list[Family]:
    info = {"project": status.project, "version": status.version}
    return [
        Family("info", "gauge", "What runs here; always 1.", [Point(1, info)]),
        _gauge("ready", "Whether all of it works.", status.is_ready),
        _gauge("uptime_seconds", "Seconds since the start.", status.uptime),
        _counter("cpu_seconds_total", "Seconds of processors.", status.cpu),
        _histogram(
            "loop_lag_seconds",
            "How late the event loop did what was due.",
            [status.loop_lag],
        ),
    ]


def _channel_families(reports: Sequence[ChannelReport]) -> list[Family]:
    settling = [each.settling for each in reports]
    return [
        *(_of_channels(number, reports) for number in _CHANNELS),
        _settled_family(reports),
        _histogram(
            "channel_settling_seconds",
            "How long accepted messages took until they were settled.",
            settling,
        ),
    ]


def _of_channels(number: _Number, reports: Sequence[ChannelReport]) -> Family:
    points = [Point(number.value(each), {"channel": each.name}) for each in reports]
    return Family(f"channel_{number.name}", number.kind, number.help, points)


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


def _server_families(reports: Sequence[ServerReport]) -> list[Family]:
    return [
        *(_by_priority(number, reports) for number in _BY_PRIORITY),
        *(_of_servers(number, reports) for number in _SERVERS),
        quantiles(
            "pi_latency_seconds",
            "How long the server took to answer.",
            "server",
            [(each.name, each.latency) for each in reports],
        ),
    ]


def _by_priority(number: _Number, reports: Sequence[ServerReport]) -> Family:
    points = [
        Point(count, {"server": each.name, "priority": priority})
        for each in reports
        for priority, count in number.value(each).items()
    ]
    return Family(f"pi_{number.name}", number.kind, number.help, points)


def _of_servers(number: _Number, reports: Sequence[ServerReport]) -> Family:
    points = [Point(number.value(each), {"server": each.name}) for each in reports]
    return Family(f"pi_{number.name}", number.kind, number.help, points)


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
        _histogram(
            "journal_commits_seconds",
            "How long commits took.",
            [journal.commit_seconds],
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


def _histogram(name: str, help: str, spreads: Iterable[Spread]) -> Family:
    return Family(name, "histogram", help, spreads=list(spreads))


def _source_families(channels: Sequence[ChannelReport]) -> list[Family]:
    sources = [each for each in channels if each.source]
    ready = [Point(each.is_ready, {"channel": each.name}) for each in sources]
    told = [(each.name, each.source) for each in sources]
    return [
        Family("source_ready", "gauge", "Whether the source is connected.", ready),
        *(_told("source", "channel", fact, told) for fact in _SOURCES),
    ]


def _sink_families(sinks: Sequence[SinkReport]) -> list[Family]:
    taken = [Point(each.processed, {"sink": each.name}) for each in sinks]
    told = [(each.name, each.statistics) for each in sinks]
    return [
        Family("sink_messages_total", "counter", "Messages that it took.", taken),
        *(_told("sink", "sink", fact, told) for fact in _SINKS),
    ]


def _told(
    part: str, label: str, fact: _Fact, told: Iterable[tuple[str, dict[str, Any]]]
) -> Family:
    points = [
        Point(facts[fact.told_as], {label: name})
        for name, facts in told
        if isinstance(facts.get(fact.told_as), int | float)
    ]
    return Family(f"{part}_{fact.name}", fact.kind, fact.help, points)
