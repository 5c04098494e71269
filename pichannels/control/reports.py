"""What an instance tells about itself: its status."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from pichannels.channels import BaseChannel
from pichannels.control.coverage_reports import ChannelCoverage
from pichannels.control.figures import NodeReport, Shares, node_report
from pichannels.journal import JournalStatistics
from pichannels.lifecycle import Status
from pichannels.metrics import Spread
from pichannels.node import BaseNode
from pichannels.reload.revisions import Revision
from pichannels.tallies import Times
from pichannels.values import format_ticks

__all__ = [
    "STORE_WAITING",
    "ChannelReport",
    "LeaseReport",
    "ServerReport",
    "SinkReport",
    "SinkState",
    "StatusReport",
    "Unready",
    "channel_report",
    "server_reports",
    "sink_reports",
    "sink_state",
]

STORE_WAITING: Final = "store waiting"


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
        bytes: of the accepted messages, as they are stored.
        retries: how often a message ran again after a failure.
        settling: how many seconds accepted messages took until they were settled.
        nodes: what each of its own nodes does, in order.
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
    bytes: int = 0
    retries: int = 0
    settling: Spread = Spread()
    nodes: list[NodeReport] = []


class SinkReport(msgspec.Struct, frozen=True, kw_only=True):
    """One node where messages leave the project.

    Attributes:
        name: its full name.
        kind: the name of its class.
        processed: messages that it took.
        statistics: its own counts.
        is_paused: whether messages wait for it, on command.
        in_flight: messages that it took and has not acknowledged.
        acks: how long acknowledgements took; where a sink is done when it gives the
            message on, how long that took, of those that were measured.
        retries: how often it has tried again.
        error: what it failed with last, or "".
        error_time: when, ISO 8601, or "".
    """

    name: str
    kind: str
    processed: int
    statistics: dict[str, int]
    is_paused: bool = False
    in_flight: int = 0
    acks: Times = Times()
    retries: int = 0
    error: str = ""
    error_time: str = ""


class SinkState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a sink is paused.

    Attributes:
        name: its full name.
        is_paused: whether messages wait for it, on command.
        in_flight: messages that it took and has not acknowledged.
    """

    name: str
    is_paused: bool
    in_flight: int


class ServerReport(msgspec.Struct, frozen=True, kw_only=True):
    """One PI Web API server that the instance asks, as its limiter sees it.

    Attributes:
        name: host and port.
        full_rate: requests in a second, at most.
        rate: those that are allowed just now.
        concurrency: requests under way at once that are allowed just now.
        pause: seconds until the next one may go.
        running, waiting: requests by priority (`live`, `history`), just now.
        sent: requests by priority.
        slowed: how often the pace was taken back.
        too_many: how often the server has answered 429.
        history_paused: whether requests for history are held back.
        history_rate: requests in a second that history gets at most; None for all that
            live ones leave.
        history_used: those that it had of late.
        latency: how long its answers took.
    """

    name: str
    full_rate: float
    rate: float
    concurrency: int
    pause: float
    running: dict[str, int]
    waiting: dict[str, int]
    sent: dict[str, int]
    slowed: int
    too_many: int
    history_paused: bool
    history_rate: float | None
    history_used: float
    latency: Times = Times()


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


class Unready(msgspec.Struct, frozen=True):
    """One thing that does not work.

    Attributes:
        part: the full name of a channel or node, or `instance` or `journal`.
        kind: `instance`, `channel`, `source`, `sink` or `journal`.
        reason: what is wrong with it.
    """

    part: str
    kind: str
    reason: str


class StatusReport(msgspec.Struct, frozen=True, kw_only=True):
    """An instance at this moment.

    Attributes:
        project, settings: what runs, and its settings file.
        version: of pichannels.
        pid: of the process.
        state: starting, running, draining or stopped.
        is_ready: whether all channels run, and have their message stores. The control
            server adds what it knows of sources and sinks.
        troubles: what does not work; the control server adds it.
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
        loop_lag: how many seconds too late the event loop did what was due.
        revisions: how often each channel was changed, by name.
        apply: the number of the last apply of settings that changed something.
        cpu: seconds of processors that the process has taken.
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
    troubles: list[Unready] = []
    loop_lag: Spread = Spread()
    revisions: dict[str, Revision] = {}
    apply: int = 0
    cpu: float = msgspec.field(default_factory=time.process_time)


def channel_report(
    channel: BaseChannel, unsettled: int, shares: Shares | None = None
) -> ChannelReport:
    """What a channel does at this moment; the journal knows what is unsettled."""
    shares = shares or Shares()
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
        bytes=channel.counts.bytes,
        retries=channel.counts.retries,
        settling=channel.counts.settling.spread(channel=channel.name),
        nodes=[node_report(channel, node, shares) for node in channel.own_nodes()],
    )


def _state(channel: BaseChannel) -> str:
    is_paused = channel.status is Status.PAUSED and not channel.gate.is_held
    if is_paused and channel.is_store_waiting:
        return STORE_WAITING
    return channel.status.label


def sink_reports(channels: Iterable[BaseChannel]) -> list[SinkReport]:
    """The sinks of these channels and of their sub-channels."""
    return [
        _sink_report(node)
        for channel in channels
        for node in channel.nodes()
        if node.is_sink
    ]


def sink_state(node: BaseNode) -> SinkState:
    """Whether a sink is paused at this moment."""
    return SinkState(
        name=node.fullpath(),
        is_paused=node.is_paused,
        in_flight=node.tally.in_flight,
    )


def _sink_report(node: BaseNode) -> SinkReport:
    """What a sink does at this moment."""
    tally = node.tally
    acks = tally.acks or tally.times
    return SinkReport(
        name=node.fullpath(),
        kind=type(node).__name__,
        processed=node.processed,
        statistics=node.statistics(),
        is_paused=node.is_paused,
        in_flight=tally.in_flight,
        acks=acks.times() if acks else Times(),
        retries=tally.retries,
        error=tally.error,
        error_time=format_ticks(tally.error_ticks) if tally.error else "",
    )


def server_reports(limiters: Mapping[str, Mapping[str, Any]]) -> list[ServerReport]:
    """The servers, from the statistics of their limiters by name."""
    return [
        ServerReport(
            name=name,
            full_rate=facts["full_rate"],
            rate=facts["rate"],
            concurrency=facts["concurrency"],
            pause=facts["pause"],
            running=_by_priority(facts, "running_"),
            waiting=_by_priority(facts, "waiting_"),
            sent=_by_priority(facts, ""),
            slowed=facts["slowed"],
            too_many=facts["too_many"],
            history_paused=facts["history_paused"],
            history_rate=facts["history_rate"],
            history_used=facts["history_used"],
            latency=facts["latency"],
        )
        for name, facts in limiters.items()
    ]


def _by_priority(facts: Mapping[str, Any], prefix: str) -> dict[str, int]:
    return {name: facts[prefix + name] for name in ("live", "history")}
