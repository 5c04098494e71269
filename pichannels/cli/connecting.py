"""Looking whether the sources and sinks of a project are there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import msgspec

from pichannels.engine import make_simulator
from pichannels.piwebasync.limiting import Limiters
from pichannels.probes import Finding
from pichannels.project import Project

__all__ = ["Place", "probe_project"]

_PATIENCE: Final = 60.0
_AT_ONCE: Final = 8

Probe = Callable[[], Awaitable[list[Finding]]]


class Place(msgspec.Struct, frozen=True):
    """A channel or node that has another side, and what was found there."""

    name: str
    kind: str
    findings: list[Finding]


async def probe_project(project: Project) -> list[Place]:
    """What all channels and nodes find on their other sides.

    The embedded simulator runs meanwhile, unless its port is taken: then mostly by
    that of the running instance.
    """
    limit = asyncio.Semaphore(_AT_ONCE)

    async def look(name: str, kind: str, probe: Probe) -> Place:
        async with limit:
            return Place(name, kind, await _probed(probe))

    limits = project.config.pi_limits
    limiters = Limiters(limits.limits(), limits.special)
    for channel in project.channels:
        channel.attach(limiters=limiters)
    async with contextlib.AsyncExitStack() as stack:
        if project.config.simulator is not None:
            with contextlib.suppress(OSError):
                await stack.enter_async_context(
                    make_simulator(project.config.simulator)
                )
        places = await asyncio.gather(*(look(*each) for each in _sides(project)))
    return [place for place in places if place.findings]


def _sides(project: Project) -> Iterator[tuple[str, str, Probe]]:
    # Those of the inputs of merged channels too.
    for channel in project.all_channels():
        yield channel.name, type(channel).__name__, channel.probe
        for node in channel.own_nodes():
            yield node.fullpath(), type(node).__name__, node.probe


async def _probed(probe: Probe) -> list[Finding]:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await probe()
    except TimeoutError:
        return [Finding(False, "answer", f"none within {_PATIENCE:g} s")]
    except Exception as exc:
        return [Finding(False, "look", f"failed: {type(exc).__name__}: {exc}")]
