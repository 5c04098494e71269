"""Traces by OpenTelemetry, which the extra `otel` brings: spans to OTLP over HTTP.

The only module that imports opentelemetry. Nothing imports it before tracing is wanted:
it takes a while, and every command would pay for it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from pichannels.errors import Dropped, EndOfChain, SettingsError
from pichannels.tracing import (
    Attempt,
    Identity,
    Span,
    identity_of,
    incoming,
    outgoing,
    parsed,
    within as said_within,
)

try:
    from opentelemetry import context, trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
except ImportError:
    trace = None  # type: ignore[assignment]

__all__ = ["OtelTracer", "open_tracer"]

logger: Final = logging.getLogger("pichannels.tracing")

_PATH: Final = "/v1/traces"
_TIMEOUT: Final = 5.0
"""Seconds for a request to the collector."""
_LAST_SPANS: Final = 2.0
"""Seconds that what waits may take at the end."""
_DELAY: Final = 1000.0
"""Milliseconds after which spans are sent, however few."""
_NO_ERRORS: Final = (Dropped, EndOfChain)


def open_tracer(
    endpoint: str, *, sample: float, service: str, version: str, token: str = ""
) -> OtelTracer:
    """What makes spans, and sends them to a collector in the background.

    Args:
        endpoint: an URL; `/v1/traces` is added where it has no path.
        sample: the part of the traces that is recorded.
        service: what traces call us.
        version: of pichannels.
        token: a bearer token, or nothing.

    Raises:
        SettingsError: the extra is missing.
    """
    if trace is None:
        raise SettingsError(
            "tracing needs the extra `otel`: pip install 'pichannels[otel]'",
            key="TRACING",
        )
    ids = _Ids()
    exporter = OTLPSpanExporter(
        endpoint + _PATH if urlsplit(endpoint).path in ("", "/") else endpoint,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=_TIMEOUT,
    )
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(sample)),
        resource=Resource.create({"service.name": service}),
        id_generator=ids,  # type: ignore[arg-type]
        shutdown_on_exit=False,
    )
    processor = BatchSpanProcessor(exporter, schedule_delay_millis=_DELAY)
    provider.add_span_processor(processor)
    return OtelTracer(provider, exporter.shutdown, ids, sample, version)


class _Ids(threading.local):
    """Makes the ids of spans; those of one span can be set before."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self.next: Identity | None = None

    def generate_trace_id(self) -> int:
        if self.next is not None:
            return int(self.next.trace, 16)
        return self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        if self.next is not None:
            return int(self.next.span, 16)
        return self._random.generate_span_id()

    def is_trace_id_random(self) -> bool:
        return True


class OtelTracer:
    """Spans of OpenTelemetry.

    Args:
        provider: makes and exports them.
        give_up: lets an export that is under way end.
        ids: what the provider takes its ids from.
        sample: the part of the traces that is recorded.
        version: of pichannels.
    """

    def __init__(
        self,
        provider: TracerProvider,
        give_up: Callable[[], Any],
        ids: _Ids,
        sample: float,
        version: str,
    ) -> None:
        self._provider = provider
        self._give_up = give_up
        self._ids = ids
        self._recorded = round(sample * 2**64)
        self._tracer = provider.get_tracer("pichannels", version)

    def message(
        self, channel: str, meta: Mapping[str, Any], uuid: str, attempt: Attempt
    ) -> Span:
        parent = parsed(meta)
        links = [] if attempt.before is None else [parsed(attempt.before)]
        first: Identity | None = None
        if parent is None:
            links.append(_replayed(meta))
            first = identity_of(uuid)
            if attempt.is_again:
                # As the sampler has decided when the trace began.
                is_sampled = int(first.trace[16:], 16) < self._recorded
                parent, first = first._replace(is_sampled=is_sampled), None
        within = context.Context()
        if parent is not None:
            span = trace.NonRecordingSpan(_remote(parent))
            within = trace.set_span_in_context(span, within)
        self._ids.next = first
        try:
            found = self._tracer.start_span(
                channel,
                within,
                trace.SpanKind.CONSUMER,
                attributes=_facts(channel, meta, uuid, attempt),
                links=[trace.Link(_remote(each)) for each in links if each],
            )
        finally:
            self._ids.next = None
        return _Span(found, parent.state if parent else "")

    def node(self, path: str, kind: str, is_sink: bool) -> Span:
        if not trace.get_current_span().is_recording():
            return _UNRECORDED
        kinds = trace.SpanKind
        found = self._tracer.start_span(
            path,
            kind=kinds.CLIENT if is_sink else kinds.INTERNAL,
            attributes={"pichannels.node": path, "pichannels.node.kind": kind},
        )
        state = outgoing().get("tracestate", "")
        return _Span(found, state)

    async def close(self) -> None:
        """Send what waits; what a collector does not take in time is lost."""
        ending = asyncio.create_task(
            asyncio.to_thread(self._provider.shutdown), name="tracing: the last spans"
        )
        _, late = await asyncio.wait([ending], timeout=_LAST_SPANS)
        if late:
            logger.warning("the collector does not take the last spans in time")
            await asyncio.to_thread(self._give_up)
        await ending


class _Unrecorded:
    """A part of a span that is not recorded; so it is not either."""

    @property
    def headers(self) -> Mapping[str, str]:
        return outgoing()

    def enter(self) -> Any:
        return None

    def leave(self, entered: Any) -> None:
        return

    def end(self, error: BaseException | None = None) -> None:
        return


_UNRECORDED: Final = _Unrecorded()


class _Span:
    """One span; see `pichannels.tracing.Span`."""

    __slots__ = ("_span", "headers")

    def __init__(self, span: Any, state: str) -> None:
        self._span = span
        found = span.get_span_context()
        self.headers: Mapping[str, str] = Identity(
            f"{found.trace_id:032x}",
            f"{found.span_id:016x}",
            found.trace_flags.sampled,
            state,
        ).headers

    def enter(self) -> Any:
        said = said_within(self.headers)
        said.__enter__()
        return said, context.attach(trace.set_span_in_context(self._span))

    def leave(self, entered: Any) -> None:
        said, token = entered
        context.detach(token)
        said.__exit__(None, None, None)

    def end(self, error: BaseException | None = None) -> None:
        if isinstance(error, _NO_ERRORS):
            self._span.set_attribute("pichannels.outcome", type(error).__name__)
        elif error is not None:
            self._span.record_exception(error)
            failed = trace.Status(trace.StatusCode.ERROR, str(error))
            self._span.set_status(failed)
        self._span.end()


def _remote(identity: Identity) -> trace.SpanContext:
    return trace.SpanContext(
        int(identity.trace, 16),
        int(identity.span, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(identity.is_sampled)),
        trace_state=trace.TraceState.from_header([identity.state]),
    )


def _replayed(meta: Mapping[str, Any]) -> Identity | None:
    """The trace of what a message repeats."""
    original = meta.get("replay_of")
    if not isinstance(original, str):
        return None
    known = parsed(incoming({"traceparent": meta.get("replay_trace")}))
    return known or identity_of(original)


def _facts(
    channel: str, meta: Mapping[str, Any], uuid: str, attempt: Attempt
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "messaging.system": "pichannels",
        "messaging.destination.name": channel,
        "messaging.message.id": uuid,
        "pichannels.attempt": attempt.number,
        "pichannels.lane": str(meta.get("lane", "live")),
    }
    original = meta.get("replay_of")
    return found if original is None else found | {"pichannels.replay_of": original}
