"""Admin routes under `/simulator`: faults, changes and load from outside."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

from pichannels.errors import PichannelsError
from pichannels.simulator.controls import Controls
from pichannels.simulator.flood import Flood
from pichannels.simulator.gate import ADMIN
from pichannels.simulator.query import Query, Refused
from pichannels.simulator.simtime import parse_time, time_text
from pichannels.simulator.world import json_answer

__all__ = ["AdminRoutes"]


class AdminRoutes:
    """What `Controls` can do, over HTTP with JSON bodies.

    Times are ISO instants or PI times. Nobody is asked for a password: a
    simulator listens on the loopback address unless told otherwise.
    """

    def __init__(self, controls: Controls) -> None:
        self.controls = controls
        self._floods: set[asyncio.Task[int]] = set()

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to the application."""
        return [
            web.get(ADMIN, self.status),
            web.get(f"{ADMIN}/faults", self.faults),
            web.post(f"{ADMIN}/faults", self.inject),
            web.delete(f"{ADMIN}/faults", self.clear),
            web.get(f"{ADMIN}/truth", self.truth),
            *(
                web.post(f"{ADMIN}/{handler.__name__}", handler)
                for handler in (
                    self.push,
                    self.edit,
                    self.delete,
                    self.outage,
                    self.describe,
                    self.send,
                    self.clock,
                    self.flood,
                )
            ),
        ]

    async def status(self, request: web.Request) -> web.Response:
        """The plant, the clock, and the open channels with what they lost."""
        controls = self.controls
        channels = [
            one.describe() | {"Pending": one.pending, "Lost": one.lost}
            for one in controls.channels
        ]
        body = {
            "Seed": controls.plant.seed,
            "Tags": len(controls.plant.tags),
            "Time": time_text(controls.clock.now()),
            "Speed": controls.clock.speed,
            "Channels": channels,
            "Faults": controls.faults.active(),
        }
        return json_answer(body)

    async def faults(self, request: web.Request) -> web.Response:
        """The faults that are set."""
        return json_answer(self.controls.faults.active())

    async def inject(self, request: web.Request) -> web.Response:
        """Set a fault: `{"fault": "status", "code": 503, "count": 3}`."""
        body = await _body(request)
        self.controls.faults.inject(str(body.pop("fault", "")), **body)
        return await self.faults(request)

    async def clear(self, request: web.Request) -> web.Response:
        """End all faults."""
        self.controls.faults.clear()
        return await self.faults(request)

    async def truth(self, request: web.Request) -> web.Response:
        """What the archive holds of `tag` from `start` to `end`."""
        query = Query(request)
        now = self.controls.clock.now()
        start = await query.time("start", "*-1h", now)
        end = await query.time("end", "*", now)
        events = self.controls.truth(query.required("tag")[-1], start, end)
        return json_answer({"Events": events})

    async def push(self, request: web.Request) -> web.Response:
        """An event arrives now: `tag`, `value`, perhaps `time` and flags."""
        body = await _body(request)
        tag, value = _taken(body, "tag"), body.pop("value", None)
        time = body.pop("time", None)
        ticks = None if time is None else self._ticks(time)
        event = _called(self.controls.push, tag, value, ticks, **body)
        return json_answer(event)

    async def edit(self, request: web.Request) -> web.Response:
        """Change the event of `tag` at `time` to `value`."""
        body = await _body(request)
        ticks = self._ticks(_taken(body, "time"))
        return json_answer(
            self.controls.edit(_taken(body, "tag"), ticks, body.get("value"))
        )

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the events of `tag` from `start` to `end`."""
        body = await _body(request)
        start = self._ticks(_taken(body, "start"))
        end = self._ticks(body["end"]) if "end" in body else None
        gone = self.controls.delete(_taken(body, "tag"), start, end)
        return json_answer({"Deleted": gone})

    async def outage(self, request: web.Request) -> web.Response:
        """Cut the source of `tags` off for `duration` seconds."""
        body = await _body(request)
        tags, duration = _taken(body, "tags"), _taken(body, "duration")
        _called(self.controls.outage, tags, duration, **body)
        return json_answer({})

    async def describe(self, request: web.Request) -> web.Response:
        """Change facts of `subject`: `{"subject": "UNIT1.POWER", "units": "MW"}`."""
        body = await _body(request)
        _called(self.controls.describe, _taken(body, "subject"), **body)
        return json_answer({})

    async def send(self, request: web.Request) -> web.Response:
        """Send the body as it is on every open channel."""
        self.controls.send(await request.read())
        return json_answer({})

    async def clock(self, request: web.Request) -> web.Response:
        """Move the clock on by `advance` seconds, or change its `speed`."""
        body = await _body(request)
        if "speed" in body:
            self.controls.clock.set_speed(float(body["speed"]))
        now = self.controls.clock.advance(float(body.get("advance", 0)))
        return json_answer({"Time": time_text(now)})

    async def flood(self, request: web.Request) -> web.Response:
        """Load the open channels; answers 202 when the frames are rendered."""
        flood = _called(self.controls.make_flood, **await _body(request))
        await flood.prepare()
        task = asyncio.create_task(self._send(flood), name="simulator-flood")
        self._floods.add(task)
        task.add_done_callback(self._floods.discard)
        return json_answer({"Values": flood.total}, 202)

    async def _send(self, flood: Flood) -> int:
        await asyncio.sleep(0)
        return await flood.send()

    def _ticks(self, time: Any) -> int:
        return parse_time(str(time), self.controls.clock.now())

    async def close(self) -> None:
        """End floods that still run."""
        for task in list(self._floods):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        return msgspec.json.decode(await request.read(), type=dict[str, Any])
    except msgspec.MsgspecError as exc:
        raise Refused(400, f"The body is no JSON object: {exc}") from exc


def _taken(body: dict[str, Any], key: str) -> Any:
    if key not in body:
        raise Refused(400, f"The body has no '{key}'.")
    return body.pop(key)


def _called(function: Any, *args: Any, **options: Any) -> Any:
    """Call with options from outside; those it does not know are refused."""
    try:
        return function(*args, **options)
    except TypeError as exc:
        raise Refused(400, str(exc)) from exc
    except PichannelsError as exc:
        raise Refused(400, str(exc)) from exc
