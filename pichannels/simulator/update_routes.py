"""Routes of stream updates: signing up for them, and asking what has come."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from pichannels.simulator.events import DELETED, Event
from pichannels.simulator.query import Query, Refused
from pichannels.simulator.render import timed
from pichannels.simulator.sockets import Subject
from pichannels.simulator.world import World

__all__ = ["UpdateRoutes"]


class UpdateRoutes:
    """`streams/{webId}/updates`, `streams/updates/{marker}`, `streamsets/updates`."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to the application."""
        root = "/piwebapi"
        return [
            web.post(f"{root}/streams/{{webId}}/updates", self.register),
            web.get(f"{root}/streams/updates/{{marker}}", self.retrieve),
            web.post(f"{root}/streamsets/updates", self.register_set),
            web.get(f"{root}/streamsets/updates", self.retrieve_set),
        ]

    async def register(self, request: web.Request) -> web.Response:
        """Sign up for one stream."""
        query, now = Query(request), self._polled()
        subject = self.world.stream(request.match_info["webId"])
        return self.world.answer(self._registered(subject, now, query.form), query)

    async def register_set(self, request: web.Request) -> web.Response:
        """Sign up for several streams; one that fails says so."""
        query, now = Query(request), self._polled()
        found = [self.world.known_stream(one) for one in query.required("webId")]
        items: list[dict[str, Any]] = []
        for subject in dict.fromkeys(found):
            try:
                items.append(self._registered(subject, now, query.form))
            except Refused as refused:
                items.append(_source(subject, query.form) | _failed(refused))
        return self.world.answer({"Items": items}, query)

    async def retrieve(self, request: web.Request) -> web.Response:
        """What has come for one stream since a marker."""
        query, now = Query(request), self._polled()
        body = self._retrieved(request.match_info["marker"], now, query.form)
        return self.world.answer(body, query)

    async def retrieve_set(self, request: web.Request) -> web.Response:
        """What has come for several streams, each since its marker."""
        query, now = Query(request), self._polled()
        markers = query.required("marker")
        if not self.world.signups:
            raise Refused(404, "The cache instance was not found.")
        items: list[dict[str, Any]] = []
        for marker in markers:
            try:
                items.append(self._retrieved(marker, now, query.form))
            except Refused as refused:
                items.append({"RequestedMarker": marker} | _failed(refused))
        return self.world.answer({"Items": items}, query)

    def _polled(self) -> int:
        """The present; the signups have what has come by then."""
        now = self.world.clock.now()
        self.world.signups.expire(now)
        self.world.hub.poll(now)
        return now

    def _registered(self, subject: Subject, now: int, form: str) -> dict[str, Any]:
        fault = self.world.fault_of(subject)
        if fault is not None:
            raise Refused(fault.status, fault.sentence)
        signup, known = self.world.signups.register(subject, now)
        return {
            **_source(subject, form),
            "LatestMarker": signup.marker,
            "Status": "AlreadyRegistered" if known else "Succeeded",
        }

    def _retrieved(self, marker: str, now: int, form: str) -> dict[str, Any]:
        signup, number = self.world.signups.find(marker, now)
        events = signup.since(number)
        return {
            **_source(signup.subject, form),
            "RequestedMarker": marker,
            "LatestMarker": signup.marker,
            "Status": "Created",
            "Events": [_event(one, signup.subject.units) for one in events],
        }


def _source(subject: Subject, form: str) -> dict[str, Any]:
    return {
        "Source": subject.web_id_as(form),
        "SourceName": subject.name,
        "SourcePath": subject.path,
    }


def _failed(refused: Refused) -> dict[str, Any]:
    return {"Status": "Failed", "Exception": {"Errors": list(refused.sentences)}}


def _event(event: Event, units: str) -> dict[str, Any]:
    """The event as stream updates write it; what was deleted has its action."""
    body: dict[str, Any] = msgspec.to_builtins(timed(event, units))
    edited = "Delete" if event.value is DELETED else "Update"
    body["Action"] = edited if event.substituted else "Add"
    body["PreviousEventAction"] = (
        "PreviousEventArchived" if event.kept else "PreviousEventNotArchived"
    )
    return body
