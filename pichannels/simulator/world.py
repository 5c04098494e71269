"""What every route of the simulator needs: plant, archive, clock and limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from aiohttp import web

from pichannels.simulator.archive import Archive, Entry
from pichannels.simulator.assets import Assets, Attribute, Element
from pichannels.simulator.events import DELETED, SYSTEM_STATES, Event, Value
from pichannels.simulator.faults import Faults, TagFault
from pichannels.simulator.feed import Feed
from pichannels.simulator.making import restructure
from pichannels.simulator.plant import Plant
from pichannels.simulator.query import Query, Refused
from pichannels.simulator.render import encode, select
from pichannels.simulator.signups import Signups
from pichannels.simulator.simtime import SimClock
from pichannels.simulator.sockets import Hub, Subject
from pichannels.simulator.tags import Tag
from pichannels.simulator.truth import Described, Gone, Structural, Truth
from pichannels.simulator.webids import Reference, WebIdError, read_web_id

__all__ = ["World", "json_answer"]

JSON: Final = "application/json"


class World:
    """The plant, its archive and channels, as the routes see them.

    `group` are the servers of the plant, this one among them.
    """

    def __init__(
        self,
        plant: Plant,
        truth: Truth,
        clock: SimClock,
        faults: Faults,
        assets: Assets,
        group: Sequence[World],
        *,
        max_items: int,
        overflow: int,
    ) -> None:
        self.plant = plant
        self.truth = truth
        self.clock = clock
        self.faults = faults
        self.assets = assets
        self.group = group
        self.max_items = max_items
        self.overflow = overflow
        self.archive = Archive(plant, truth)
        self.feed = Feed(plant, truth)
        self.hub = Hub(self.archive, self.feed, faults)
        self.signups = Signups(self.hub, overflow)
        self.started = clock.now()
        self.url = ""
        self._last_push = 0

    def answer(self, body: Any, query: Query, *, status: int = 200) -> web.Response:
        """The body as JSON, reduced to the selected fields."""
        fields = query.fields
        if fields:
            body = select(body, fields)
        return json_answer(body, status)

    def check(self, tag: Tag) -> Tag:
        """The tag itself, refused where a fault says so."""
        fault = self.faults.of_tag(tag.path)
        if fault is not None:
            raise Refused(fault.status, fault.sentence)
        return tag

    def tag_by_path(self, path: str) -> Tag:
        """The tag with this path; 404 without."""
        found = self.plant.find(path) if path.startswith("\\\\") else None
        if found is None:
            raise Refused(404, "The specified path was not found.")
        return self.check(found)

    def tag_by_web_id(self, web_id: str) -> Tag:
        """The tag with this WebID; 400 for no WebID, 404 without a tag."""
        return self.check(self.known_tag(web_id))

    def known_tag(self, web_id: str) -> Tag:
        """The tag with this WebID, whatever faults it has."""
        found = _reference(web_id)
        tag = None
        if found.marker == "DP" and found.server in (None, self.plant.server.id):
            if found.point_id is not None:
                tag = self.plant.point(found.point_id)
            elif found.path is not None:
                tag = self.plant.find("\\\\" + found.path)
        if tag is None:
            raise Refused(404, f"PI Point not found '{web_id}'.")
        return tag

    def fault_of(self, subject: Subject) -> TagFault | None:
        """The fault of a stream: its own, or of the tag behind it."""
        tag = subject.source
        fault = self.faults.of_tag(subject.path)
        if fault is None and tag is not None:
            fault = self.faults.of_tag(tag.path)
            if fault is None and self.plant.is_gone(tag):
                fault = TagFault(404, f"PI Point not found '{tag.path}'.")
        return fault

    def stream(self, web_id: str) -> Subject:
        """The point or attribute with this WebID; refused where a fault says so."""
        subject = self.known_stream(web_id)
        fault = self.fault_of(subject)
        if fault is not None:
            raise Refused(fault.status, fault.sentence)
        return subject

    def known_stream(self, web_id: str) -> Subject:
        """The point or attribute with this WebID, whatever faults it has."""
        if web_id[2:4] == "Ab":
            return self.attribute(web_id)
        return self.known_tag(web_id)

    def asset(self, web_id: str, *markers: str) -> Element | Attribute | None:
        """The AF object with this WebID; None for the server and the database.

        400 for no WebID, 404 without an object of one of these kinds.
        """
        found = _reference(web_id)
        server = self.assets.server
        if found.marker not in markers or found.server not in (None, server.id):
            raise Refused(404, f"The object '{web_id}' was not found.")
        if found.marker in ("RS", "RD"):
            ids = () if found.marker == "RS" else (server.database_id,)
            path = server.path if found.marker == "RS" else server.database_path
            known = found.ids == ids if found.path is None else _same(found, path)
            asset = None
        else:
            asset = self._asset_at(found)
            known = asset is not None
        if not known:
            raise Refused(404, f"The object '{web_id}' was not found.")
        return asset

    def _asset_at(self, found: Reference) -> Element | Attribute | None:
        if found.path is not None:
            path = "\\\\" + found.path
            if found.marker == "Em":
                return self.assets.element(path)
            return self.assets.attribute(path)
        element = self.assets.element_by_id(found.ids[0])
        if found.marker == "Em" or element is None:
            return element
        return element.attribute_by_id(found.ids[1])

    def element(self, web_id: str) -> Element:
        """The element with this WebID; 400 for no WebID, 404 without an element."""
        found = self.asset(web_id, "Em")
        assert isinstance(found, Element)
        return found

    def attribute(self, web_id: str) -> Attribute:
        """The attribute with this WebID; 400 for no WebID, 404 without one."""
        found = self.asset(web_id, "Ab")
        assert isinstance(found, Attribute)
        return found

    def element_by_path(self, path: str) -> Element:
        """The element with this path; 404 without."""
        found = self.assets.element(path)
        if found is None:
            raise Refused(404, "The specified path was not found.")
        return found

    def attribute_by_path(self, path: str) -> Attribute:
        """The attribute with this path; 404 without."""
        found = self.assets.attribute(path)
        if found is None:
            raise Refused(404, "The specified path was not found.")
        return found

    def multiple(
        self,
        query: Query,
        by_web_id: Callable[[str], dict[str, Any]],
        by_path: Callable[[str], dict[str, Any]],
    ) -> web.Response:
        """An answer for many objects by WebID or path; 207 where some fail."""
        wanted = [("WebId", one, by_web_id) for one in query.all("webId")]
        wanted += [("Path", one, by_path) for one in query.all("path")]
        if not wanted:
            raise Refused(400, "The parameter 'webId' or 'path' is required.")
        items = [_item(*one) for one in wanted]
        failed = any("Exception" in item for item in items)
        mode = query.choice(
            "includeMode", ("All", "ItemsWithException", "ItemsWithoutException")
        )
        if mode != "All":
            bad = mode == "ItemsWithException"
            items = [item for item in items if ("Exception" in item) is bad]
        return self.answer({"Items": items}, query, status=207 if failed else 200)

    def push(self, tag: Tag, event: Event) -> None:
        """Have an event arrive now: on the channels and in the archive."""
        if not event.error:
            self.truth.put(tag.made, event)
        self._arrive(tag, event)

    def _arrive(self, tag: Tag, event: Event) -> None:
        """Have the event come on the channels of all servers of the plant."""
        now = self.clock.now()
        for world in self.group:
            world.feed.inject(world.plant.tags[tag.index], event, now)

    def next_ticks(self) -> int:
        """The present, and never the same twice."""
        self._last_push = max(self.clock.now(), self._last_push + 1)
        return self._last_push

    def edit(self, tag: Tag, ticks: int, value: Value, *, good: bool = True) -> Event:
        """Replace the first event at `ticks`, or add one where there is none."""
        now = self.clock.now()
        for event, nth, number in self.archive.entries(tag, ticks, ticks, now):
            self.truth.remove(tag.made, event.ticks, nth, number)
            break
        edited = Event(ticks, value, good=good, substituted=True)
        self.push(tag, edited)
        return edited

    def delete(self, tag: Tag, start: int, end: int) -> int:
        """Delete the archived events in `[start, end]`; returns how many.

        A channel carries for each of them a bad `No Data` at its timestamp.
        """
        now = self.clock.now()
        start = max(start, self.plant.created + 1)
        gone = list(self.archive.entries(tag, start, end, now))
        for entry in gone:
            self.take_away(tag, entry)
        return len(gone)

    def take_away(self, tag: Tag, entry: Entry) -> None:
        """Delete one archived event."""
        event, nth, number = entry
        self.truth.remove(tag.made, event.ticks, nth, number)
        marker = Event(event.ticks, DELETED, good=False, substituted=True)
        self._arrive(tag, marker)

    def restructure(self, change: Structural) -> None:
        """Change, make or delete a point or an AF object at all servers.

        Raises:
            UsageError: see `making.restructure`.
        """
        for world in self.group:
            restructure(world.plant, world.assets, change)
            if isinstance(change, Described | Gone):
                is_gone = isinstance(change, Gone)
                world.signups.changed(change.subject, is_gone=is_gone)
        self.truth.note(change)

    def outage(self, tags: Iterable[Tag], start: int, end: int, arrive: int) -> None:
        """Hold back what the source of these tags measures in `[start, end)`."""
        for tag in tags:
            self.truth.outage(tag.made, start, end, arrive)

    def value_of(self, tag: Tag, value: Any) -> tuple[Value, bool]:
        """The value as the tag holds it, and whether it is good.

        The name of a digital state stands for the state, and on other tags than
        strings the name of a system state for that.
        """
        if not isinstance(value, str) or tag.kind == "string":
            system = getattr(value, "is_system", False)
            return value, not system
        if value in SYSTEM_STATES:
            return SYSTEM_STATES[value], False
        states = tag.template.states
        state = states.state(value) if states else None
        return (state if state is not None else value), True


def _reference(web_id: str) -> Reference:
    try:
        return read_web_id(web_id)
    except WebIdError as exc:
        raise Refused(400, str(exc)) from exc


def _same(found: Reference, path: str) -> bool:
    return "\\\\" + (found.path or "") == path.upper()


def _item(
    kind: str, text: str, find: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    item: dict[str, Any] = {"Identifier": text, "IdentifierType": kind}
    try:
        item["Object"] = find(text)
    except Refused as refused:
        item["Exception"] = {"Errors": list(refused.sentences)}
    return item


def json_answer(body: Any, status: int = 200) -> web.Response:
    """A JSON answer as the server sends it."""
    return web.Response(
        body=encode(body), status=status, content_type=JSON, charset="utf-8"
    )
