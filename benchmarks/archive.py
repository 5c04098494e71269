"""A PI Web API that knows one call: recorded values of one stream, rendered ahead.

A process of its own; it says its URL on stdout, and ends when stdin does. All values
lie one second apart, so that a page follows from its start time.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import cache
from typing import Any, Final

from aiohttp import web

from pichannels.values import format_ticks, parse_ticks

__all__ = ["BEGIN", "WEB_ID"]

WEB_ID: Final = "F1DPUpo8Dw1vPk-aQSp9XBuOYABwAAAAU0lNU1JWXFVOSVQxLlRJMTAxLlBW"
"""The stream."""
BEGIN: Final = parse_ticks("2024-05-01T06:00:00.1234567Z")
"""When its values begin."""

_STEP: Final = 10_000_000
_BAD_OF: Final = 100


def _event(number: int) -> dict[str, Any]:
    is_good = (number + 1) % _BAD_OF != 0
    bad = {"Name": "Bad Input", "Value": 255, "IsSystem": True}
    return {
        "Timestamp": format_ticks(BEGIN + number * _STEP),
        "Value": number % 1000 + 0.25 if is_good else bad,
        "UnitsAbbreviation": "",
        "Good": is_good,
        "Questionable": False,
        "Substituted": False,
        "Annotated": False,
    }


@cache
def _page(first: int, end: int) -> bytes:
    items = [_event(number) for number in range(first, end)]
    answer = {"Links": {}, "Items": items, "UnitsAbbreviation": "degC"}
    return json.dumps(answer, separators=(",", ":")).encode()


async def _recorded(request: web.Request) -> web.Response:
    query = request.query
    first = (parse_ticks(query["startTime"]) - BEGIN) // _STEP
    last = (parse_ticks(query["endTime"]) - BEGIN) // _STEP
    end = min(first + int(query["maxCount"]), last + 1)
    return web.Response(body=_page(first, end), content_type="application/json")


async def _serve() -> None:
    app = web.Application()
    app.router.add_get("/piwebapi/streams/{web_id}/recorded", _recorded)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    sys.stdout.write(f"http://{host}:{port}/piwebapi\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve())
