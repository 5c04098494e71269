"""One program that reads recorded values in pages, in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import httpx
from yarl import URL

from benchmarks.archive import BEGIN, WEB_ID
from benchmarks.decoders import samples_of_events
from benchmarks.measure import Measured, Stopwatch
from benchmarks.worker import work
from pichannels.piwebasync import Controller, HTTPClient
from pichannels.piwebasync.history import recorded
from pichannels.values import Sample, Tag, format_ticks

__all__ = ["WAYS", "run"]

Read: TypeAlias = Callable[[str, str, str], Awaitable[list[Sample]]]
"""All samples of the server at a URL, from the first to the last instant."""

_PAGE: Final = 10_000
_TAG: Final = Tag("UNIT1.TI101.PV", web_id=WEB_ID)


async def by_hand(url: str, start: str, end: str) -> list[Sample]:
    """httpx and json: page after page, each from the last instant of the one before."""
    samples: list[Sample] = []
    resource = f"{url}/streams/{WEB_ID}/recorded"
    # There is no TLS here, for which httpx would read all certificates.
    async with httpx.AsyncClient(verify=False) as client:
        while True:
            query = {"startTime": start, "endTime": end, "maxCount": str(_PAGE)}
            answer = await client.get(resource, params=query)
            answer.raise_for_status()
            page = json.loads(answer.content)
            events = page["Items"]
            found = samples_of_events(events, _TAG, page["UnitsAbbreviation"])
            # What has the last instant of the page before came with that page.
            last = samples[-1].ticks if samples else -1
            samples += [sample for sample in found if sample.ticks > last]
            if len(events) < _PAGE:
                return samples
            start = events[-1]["Timestamp"]


async def with_pichannels(url: str, start: str, end: str) -> list[Sample]:
    """`recorded` of our client."""
    address = URL(url)
    pi = Controller("http", str(address.host), address.port, address.path)
    samples: list[Sample] = []
    async with HTTPClient() as client:
        reading = recorded(
            client, pi, WEB_ID, start, end, tags={WEB_ID: _TAG}, page=_PAGE
        )
        async for page in reading.pages():
            samples += page
    return samples


WAYS: Final[dict[str, Read]] = {
    "httpx and json": by_hand,
    "pichannels": with_pichannels,
}
"""Programs by what they are made of."""


async def run(url: str, way: str, values: int) -> Measured:
    """Read so many values of the archive at `url`."""
    start, end = BEGIN, BEGIN + (values - 1) * 10_000_000
    with Stopwatch() as watch:
        samples = await WAYS[way](url, format_ticks(start), format_ticks(end))
    assert (samples[0].ticks, samples[-1].ticks) == (start, end)
    return watch.measured(len(samples))


if __name__ == "__main__":
    work(run)
