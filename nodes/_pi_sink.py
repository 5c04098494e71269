"""publish.PI: samples into the points and attributes of a PI Web API server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from nodes._batches import is_batch, no_batch
from nodes._options import at_least, is_async, one_of
from nodes._pi import server_of
from nodes._pi_sending import TEMPORARY, Row, Sending, ValueItem, is_later, parts
from nodes._pi_targets import Example, NoTarget, Target, Targets, place_of_sample
from nodes._pi_writing import Value, encoded
from nodes._queue import Item, QueueingSink
from pichannels import clock
from pichannels.errors import (
    DecodeError,
    NotConnected,
    Rejected,
    RetryLater,
    SampleErrors,
    SettingsError,
    TryAgain,
    UsageError,
)
from pichannels.limiter import retry_after_seconds
from pichannels.message import Message
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.exceptions import (
    HTTPClientError,
    HTTPStatusError,
    PIWebAsyncException,
)
from pichannels.piwebasync.health import examine, findings
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.limiting import limiter_for
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.piwebasync.server import PIServer
from pichannels.piwebasync.transport import Auth, Cert, Headers, Verify
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.secrets import reveal_in_thread
from pichannels.values import Sample

__all__ = ["PI"]

logger: Final = logging.getLogger("pichannels.nodes")

_AGAIN: Final = RetryPolicy(attempts=0, initial=0.5, maximum=60.0)
_LOGIN: Final = (401, 403)
_UPDATES: Final = (
    "Replace",
    "Insert",
    "NoReplace",
    "ReplaceOnly",
    "InsertNoCompression",
    "Remove",
)
_BUFFERS: Final = ("BufferIfPossible", "Buffer", "DoNotBuffer")
_STATES: Final = ("write", "skip", "reject")

Samples = Callable[[Message], Iterable[Sample]]


class PI(QueueingSink):
    r"""Write samples to points and attributes of PI, in order.

    Each value has its own answer: what PI refuses is set aside alone, and the
    message is settled with the others. A value that PI cannot take yet (5xx) is
    tried five times. Where the server is away or overloaded (no answer, 408, 425,
    429, 5xx, a `WebException`), everything waits and is tried again.

    With `update_option="Replace"` a value that comes again changes nothing; of
    several values of a target with one timestamp PI then keeps the last. Nothing is
    created unless `create=True`. Events in the lane `delete` are removed.

    Args:
        tag: where each sample goes: a template such as `\\SERVER\{name}.copy`
            (`name`, `path`, `server`, `key`, `units`), a mapping from names or paths
            of tags to paths, or a function from the sample to a path. None in its
            place leaves the sample out.
        url: of the server, such as `https://pi.example.com/piwebapi`; by default
            that of the `PIWebChannel` that the node is in, with its credentials.
        auth: `(user, password)`, a login of `pichannels.piwebasync.auth`, an
            `httpx.Auth`, headers, or a function that gives headers.
        headers: sent with each request.
        verify: False, or the path of a CA file, for certificates of one's own.
        cert: client certificate.
        samples: a function that makes samples of a message which has none.
        update_option: what PI does with a value that has the time of another one:
            `Replace`, `Insert`, `NoReplace`, `ReplaceOnly`, `InsertNoCompression`;
            `Remove` deletes it.
        buffer_option: `BufferIfPossible`, `Buffer` or `DoNotBuffer`. Of a buffered
            value PI says that it is accepted, and not that it is in the archive.
        system_states: `write` them by their name, `skip` them, or `reject` the
            message.
        units: whether values are sent with their units, which attributes convert.
        create: whether points that are not there are made, by what `enrich.PI` knows
            of the tag, or else by the value.
        batch: values in one request, at most.
        ttl: seconds for which the WebID of a target is good.
        retry: how often and how soon a request is tried again; by default without
            end, so that nothing fails because a server is away.
        retry_statuses: other answers to a whole request that are tried again too;
            by default refused logins, which may be mended.
        queue_bytes: how much may wait to be sent.
        options: those of every node.

    Raises:
        SettingsError: an option does not fit; at the start: no server is known, or a
            secret is missing.
        Rejected: there is a system state, and `system_states` is `reject`.
        UsageError: the payload is no list of samples.
        SampleErrors: through the acknowledgement: PI refused some values, or has no
            such targets, or there is no form for them.
    """

    def __init__(
        self,
        tag: Any = None,
        *,
        url: str | None = None,
        auth: Auth = None,
        headers: Headers | None = None,
        verify: Verify = True,
        cert: Cert = None,
        samples: Samples | None = None,
        update_option: str = "Replace",
        buffer_option: str = "BufferIfPossible",
        system_states: str = "write",
        units: bool = False,
        create: bool = False,
        batch: int = 1000,
        ttl: float = 3600.0,
        retry: RetryPolicy | None = None,
        retry_statuses: Sequence[int] = _LOGIN,
        queue_bytes: int = 8 * 2**20,
        **options: Any,
    ) -> None:
        super().__init__(queue_bytes=queue_bytes, **options)
        at_least("batch", batch, 1)
        at_least("ttl", ttl, 0)
        self.update_option = one_of("update_option", update_option, _UPDATES)
        self.buffer_option = one_of("buffer_option", buffer_option, _BUFFERS)
        self.system_states = one_of("system_states", system_states, _STATES)
        self._place = place_of_sample(tag)
        fixed = tag.values() if isinstance(tag, Mapping) else ()
        self._fixed = [path for path in fixed if path is not None]
        if samples is not None and (not callable(samples) or is_async(samples)):
            raise UsageError(f"samples is a plain function, not {samples!r}")
        self._samples = samples
        self._units = units
        self._create = create
        self._batch = batch
        self._ttl = ttl
        self._policy = retry or _AGAIN
        self._temporary = TEMPORARY | set(retry_statuses)
        self._server: PIServer | None = None
        if url is not None:
            self._server = PIServer(
                url=url, auth=auth, headers=headers, verify=verify, cert=cert
            )
            self._server.controller()
        elif auth or headers or cert or verify is not True:
            raise SettingsError("needs url beside it", key="auth")
        self._client: HTTPClient | None = None
        self._controller: Controller | None = None
        self._targets: Targets | None = None
        self._is_source = False
        self.requests = 0
        self.skipped = 0

    def _known_server(self) -> PIServer:
        server = self._server or server_of(self.channel)
        if server is None:
            raise SettingsError(
                f"{self.fullpath()} is in no PIWebChannel, so it has to be told which"
                " server it writes to",
                key="url",
            )
        return server

    async def start(self) -> None:
        """Take messages (again).

        Raises:
            SettingsError: no server is known, or a secret is missing.
        """
        server = self._known_server()
        await reveal_in_thread([server.auth, server.headers])
        await super().start()
        source = server_of(self.channel)
        self._is_source = source is not None and source.url == server.url
        self._controller = server.controller()
        self._client = server.client(limiter_for(self.channel, *server.urls))
        self._targets = Targets(
            self._client, self._controller, self._ttl, create=self._create
        )

    async def stop(self) -> None:
        """Write what is queued and close the connections."""
        await super().stop()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def statistics(self) -> dict[str, int]:
        """Counts of values, requests, failed requests, targets and created points."""
        targets = self._targets
        return super().statistics() | {
            "skipped": self.skipped,
            "requests": self.requests,
            "targets": len(targets) if targets is not None else 0,
            "created": targets.created if targets is not None else 0,
        }

    async def probe(self) -> list[Finding]:
        """Look whether the server takes us and has the targets of a mapping.

        Nothing is written.
        """
        found: list[Finding] = []
        try:
            server = self._known_server()
            limiter = limiter_for(self.channel, *server.urls)
            async with server.client(limiter) as client:
                controller = server.controller()
                found += findings(await examine(client, controller))
                targets = Targets(client, controller, self._ttl, create=False)
                known = await targets.find(self._fixed, {})
        except (PIWebAsyncException, DecodeError, TryAgain) as exc:
            return [*found, Finding(False, "server", str(exc))]
        return [*found, *_targets_findings(known, create=self._create)]

    # Taking messages

    def item(self, msg: Message) -> Item:
        samples = self._samples_of(msg)
        item = ValueItem(msg, samples)
        facts = msg.meta.get("tags") if self._create else None
        for index, sample in enumerate(samples):
            try:
                path = self._path(sample, removes=item.removes)
                if path is None:
                    item.skipped += 1
                    continue
                body = encoded(sample, units=self._units, removes=item.removes)
            except Exception as exc:
                # The user's own function is among what may fail here.
                item.causes[index] = exc
                continue
            known = facts.get(sample.tag.name) if isinstance(facts, Mapping) else None
            value = Value(index, sample, path, body, known or {})
            item.data.append(value)
            item.size += value.size
        return item

    def _samples_of(self, msg: Message) -> Sequence[Sample]:
        payload = msg.payload
        if self._samples is not None and not is_batch(payload):
            payload = list(self._samples(msg))
        if type(payload) is not list or any(type(one) is not Sample for one in payload):
            raise no_batch(self.fullpath(), payload)
        if self.system_states == "reject" and msg.meta.get("lane") != "delete":
            for sample in payload:
                if sample.is_system:
                    raise Rejected(
                        f"{sample.tag.name} is {sample.value.name!r}, a system state"
                    )
        return tuple(payload)

    def _path(self, sample: Sample, *, removes: bool) -> str | None:
        """Where the sample goes; None where it is left out.

        Raises:
            NoTarget: there is no such place.
        """
        if sample.is_system and self.system_states == "skip" and not removes:
            return None
        path = self._place(sample)
        if path is None:
            return None
        if not isinstance(path, str) or not path.startswith("\\\\"):
            raise NoTarget(str(path), r"a path looks like \\SERVER\TAG")
        if self._is_source and path.upper() == sample.tag.path.upper():
            # It would come back, and be written again, for ever.
            raise NoTarget(path, "the sample comes from there")
        return path

    # Writing

    def take(self) -> list[Item]:
        """One message, or several that together are not too many values."""
        group = [self._queue.popleft()]
        count = len(group[0].data)
        while self._queue:
            count += len(self._queue[0].data)
            if count > self._batch:
                break
            group.append(self._queue.popleft())
        return group

    async def deliver(self, group: Sequence[Item]) -> None:
        items = [item for item in group if isinstance(item, ValueItem)]
        rows = [(item, value) for item in items for value in item.data]
        for part in parts(rows, self._batch):
            await self._write(part)
        for item in items:
            self._conclude(item)

    async def _write(self, rows: list[Row]) -> None:
        """Write until each value is written or has failed."""
        tries = 0
        while rows:
            tries += 1
            try:
                rows = await self._try(rows)
                error: TryAgain = RetryLater("some values are not taken yet")
            except TryAgain as exc:
                self.not_written(exc)
                error = exc
            if not rows:
                return
            delay = self._policy.delay(tries, error)
            if delay is None:
                raise error
            logger.warning("%s: again in %.1f s: %s", self.fullpath(), delay, error)
            await self.pause(delay)

    async def _try(self, rows: list[Row]) -> list[Row]:
        """Write once; returns the values that are to be written again.

        Raises:
            TryAgain: none of them was written, as far as we know.
        """
        assert self._targets is not None
        try:
            ready = await self._resolved(rows)
            if not ready:
                return []
            option = "Remove" if rows[0][0].removes else self.update_option
            request = partial(self._request, option)
            return await Sending(request, self._targets.forget).send(ready)
        except HTTPStatusError as exc:
            if not self._is_temporary(exc.status_code):
                raise
            raise RetryLater(str(exc)) from exc
        except HTTPClientError as exc:
            raise NotConnected(exc.url.partition("?")[0], exc.reason) from exc
        except DecodeError as exc:
            raise RetryLater(str(exc)) from exc

    async def _resolved(self, rows: Sequence[Row]) -> list[tuple[Row, Target]]:
        """The rows with their targets; those without one have failed."""
        assert self._targets is not None
        examples: dict[str, Example] = {}
        if self._create:
            for _, value in rows:
                examples.setdefault(value.path, (value.sample, value.facts))
        paths = [value.path for _, value in rows]
        found = await self._targets.find(paths, examples)
        ready: list[tuple[Row, Target]] = []
        for item, value in rows:
            target = found[value.path]
            if isinstance(target, NoTarget):
                item.causes[value.index] = target
            elif target.holds_text and value.sample.is_system and not item.removes:
                reason = "a point of texts holds no system state"
                item.causes[value.index] = NoTarget(value.path, reason)
            else:
                ready.append(((item, value), target))
        return ready

    async def _request(
        self, option: str, body: Sequence[Mapping[str, Any]]
    ) -> HTTPResponse:
        """The answer to one request.

        Raises:
            RetryLater: it says that the server cannot do it now.
        """
        assert self._client is not None and self._controller is not None
        self.requests += 1
        response = await self._client.post(
            self._controller.streamsets.update_values_adhoc(
                list(body),
                update_option=option,
                buffer_option=self.buffer_option,
            )
        )
        status = response.status_code
        if self._is_temporary(status) or response.web_exception:
            after = retry_after_seconds(
                response.headers.get("Retry-After"), clock.now()
            )
            said = "; ".join(response.error_messages)
            raise RetryLater(f"PI answered {status} {said}".rstrip(), after)
        return response

    def _is_temporary(self, status: int) -> bool:
        """Whether a request as a whole is worth another try after this answer."""
        return status in self._temporary or is_later(status)

    def _conclude(self, item: ValueItem) -> None:
        """Settle a message, but for the values that have failed."""
        self.skipped += item.skipped
        item.count -= item.skipped
        if not item.causes:
            self.settle([item])
            return
        causes = dict(sorted(item.causes.items()))
        error = SampleErrors(causes)
        if len(causes) == len(item.samples):
            self.fail([item], error)
            return
        item.failed.payload = [item.samples[index] for index in causes]
        for left in self._leave([item]):
            self.failed += len(causes)
            self.written += left.count - len(causes)
            if not left.ack.done():
                left.ack.set_exception(SampleErrors(causes, failed=item.failed))


def _targets_findings(
    known: Mapping[str, Target | NoTarget], *, create: bool
) -> list[Finding]:
    """How many of the targets are there, and which are not."""
    if not known:
        return []
    missing = [one for one in known.values() if isinstance(one, NoTarget)]
    text = f"{len(known) - len(missing)} of {len(known)} targets are there"
    if missing:
        text += f"; {missing[0].path}: {missing[0].reason}"
    return [Finding(not missing or create, "targets", text)]
