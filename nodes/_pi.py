"""enrich.PI: what a PI Web API server knows of tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar

from nodes._batches import keep, no_batch, set_aside
from nodes._options import at_least, one_of
from nodes._pi_facts import Entry, FactCache
from nodes._places import MISSING, place_in, place_of
from pichannels.errors import Rejected, SettingsError, UsageError
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.facts import TagFacts, fetch_facts
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.limiting import limiter_for
from pichannels.piwebasync.server import PIServer
from pichannels.piwebasync.transport import Auth, Cert, Headers, Verify
from pichannels.values import Tag

__all__ = ["PI", "server_of"]


class PI(BaseNode):
    """Add what PI knows of each tag: descriptor, units, range, element, limits.

    Works on batches. The facts are put into `meta["tags"]` once for each tag, with
    `meta_version`, which counts up when they change; then the event
    `metadata.changed` is fired, too. They are fetched in bulk and in the background
    for the tags that come, renewed before they are older than `ttl`, and kept over a
    restart. While the server does not answer, the old ones stay in use.

    A message waits at most `first_wait` seconds for tags that were never met before,
    and a tag makes messages wait only that long altogether; then `missing` decides.

    Args:
        url: of the server, such as `https://pi.example.com/piwebapi`; by default
            that of the `PIWebChannel` that the node is in, with its credentials.
        auth: `(user, password)`, a login of `pichannels.piwebasync.auth`, an
            `httpx.Auth`, headers, or a function that gives headers.
        headers: sent with each request.
        verify: False, or the path of a CA file, for certificates of one's own.
        cert: client certificate.
        point_attributes: of points also these (`excdev`, `compdev`, ...), under
            their names in lower case; takes a part of a PI batch for each point.
        limits: of attributes also the values of their limit traits, as `limits`;
            takes a part of a PI batch for each element.
        ttl: seconds for which facts are good.
        first_wait: seconds, see above.
        missing: what happens without facts: `keep` goes on without, `drop` leaves
            the sample out, `reject` refuses the message, `fail` sets the sample aside.
        to: where the facts go, a place in the meta; by default `meta.tags`.
        options: those of every node.

    Raises:
        SettingsError: at the start, no server is known.
        Rejected: facts are missing, and `missing` is `reject`.
        SampleErrors: facts of some samples are missing, and `missing` is `fail`.
    """

    changes: ClassVar = frozenset({"meta", "payload"})

    def __init__(
        self,
        *,
        url: str | None = None,
        auth: Auth = None,
        headers: Headers | None = None,
        verify: Verify = True,
        cert: Cert = None,
        point_attributes: str | Sequence[str] = (),
        limits: bool = False,
        ttl: float = 3600.0,
        first_wait: float = 5.0,
        missing: str = "keep",
        to: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        at_least("ttl", ttl, 0.05)
        at_least("first_wait", first_wait, 0)
        self.missing = one_of("missing", missing, MISSING)
        self.ttl = ttl
        self.first_wait = first_wait
        self._to = place_of(to, is_batch=True)
        if isinstance(point_attributes, str):
            point_attributes = (point_attributes,)
        self._point_attributes = tuple(name.lower() for name in point_attributes)
        self._limits = limits
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
        self._cache: FactCache | None = None

    async def start(self) -> None:
        """Take up the facts that were kept, and begin to fetch.

        Raises:
            SettingsError: no server is known.
        """
        server = self._server or server_of(self.channel)
        if server is None:
            raise SettingsError(
                f"{self.fullpath()} is in no PIWebChannel, so it has to be told which"
                " server it asks",
                key="url",
            )
        self._controller = server.controller()
        self._client = server.client(limiter_for(self.channel, *server.urls))
        of = (server.url, self._point_attributes, self._limits)
        self._cache = FactCache(self, of, self.ttl, self.first_wait)
        await self._cache.start()

    async def stop(self) -> None:
        """End fetching and keep what is known."""
        cache, client = self._cache, self._client
        self._cache = self._client = None
        try:
            if cache is not None:
                await cache.stop()
        finally:
            if client is not None:
                await client.close()

    def statistics(self) -> dict[str, int]:
        """Counts of tags, fetched facts, changes, and requests without answer."""
        return self._cache.statistics() if self._cache else {}

    async def fetch_facts(self, tags: Sequence[Tag]) -> TagFacts:
        """What PI knows of these tags now."""
        assert self._client is not None and self._controller is not None
        return await fetch_facts(
            self._client,
            self._controller,
            tags,
            point_attributes=self._point_attributes,
            limits=self._limits,
        )

    def facts_changed(self, entry: Entry, before: Mapping[str, Any]) -> None:
        """Tell that the facts of a tag are no longer those from before."""
        after = entry.facts or {}
        names = before.keys() | after.keys()
        events = getattr(self.channel, "events", None)
        if events is not None and entry.tag is not None:
            events.fire(
                "metadata.changed",
                channel=self.channel.name if self.channel else "",
                node=self.fullpath(),
                tag=entry.tag.name,
                path=entry.tag.path,
                version=entry.version,
                changed=sorted(n for n in names if before.get(n) != after.get(n)),
            )

    def process(self, msg: Message) -> Any:
        cache = self._cache
        if cache is None:
            raise UsageError(f"{self.fullpath()} has not been started")
        known = cache.entries(_distinct(self.fullpath(), msg.payload))
        if cache.may_come(known.values()):
            return self._process_later(msg, cache, known)
        return self._enriched(msg, known)

    async def _process_later(
        self, msg: Message, cache: FactCache, known: dict[Tag, Entry]
    ) -> Message:
        await cache.wait_for(list(known.values()))
        return self._enriched(msg, known)

    def _enriched(self, msg: Message, known: Mapping[Tag, Entry]) -> Message:
        place = place_in(msg, self._to)
        absent = {}
        for tag, entry in known.items():
            if entry.facts is None:
                absent[tag] = f"no facts of {tag.path or tag.name}: {entry.reason}"
            else:
                before = place.get(tag.name)
                facts = entry.copy()
                place[tag.name] = facts if before is None else {**before, **facts}
        if not absent or self.missing == "keep":
            return msg
        return self._without(msg, absent)

    def _without(self, msg: Message, absent: Mapping[Tag, str]) -> Message:
        if self.missing == "reject":
            raise Rejected(next(iter(absent.values())))
        samples = msg.payload
        kept = [sample for sample in samples if sample.tag not in absent]
        if self.missing == "drop":
            return keep(msg, kept, "PI has no facts of any tag")
        causes = {
            index: absent[sample.tag]
            for index, sample in enumerate(samples)
            if sample.tag in absent
        }
        raise set_aside(msg, causes, kept)


def server_of(channel: Any) -> PIServer | None:
    """The server that the channel, or one above it, receives from."""
    while channel is not None:
        server = getattr(channel, "pi_server", None)
        if isinstance(server, PIServer):
            return server
        channel = getattr(channel, "parent", None)
    return None


def _distinct(node: str, samples: Any) -> Iterable[Tag]:
    """The tags of a batch, each once.

    Raises:
        UsageError: the payload is no list of samples.
    """
    try:
        if type(samples) is list:
            # By identity first: samples of one tag mostly share it.
            by_id = {id(tag): tag for tag in map(attrgetter("tag"), samples)}
            return by_id.values()
    except AttributeError:
        pass
    raise no_batch(node, samples)
