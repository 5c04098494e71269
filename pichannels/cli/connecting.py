"""Looking whether the sources and sinks of a project are there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final

import msgspec

from pichannels.channels.listening import sharing
from pichannels.control.access import read_address
from pichannels.endpoints.base import IN_USE
from pichannels.engine import make_simulator
from pichannels.piwebasync.limiting import Limiters
from pichannels.probes import Finding, folder_finding
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
        sides = [*_sides(project), *_stores(project), *_ports(project)]
        places = await asyncio.gather(*(look(*each) for each in sides))
    return [place for place in places if place.findings]


def _sides(project: Project) -> Iterator[tuple[str, str, Probe]]:
    # Those of the inputs of merged channels too.
    for channel in project.all_channels():
        yield channel.name, type(channel).__name__, channel.probe
        for node in channel.own_nodes():
            yield node.fullpath(), type(node).__name__, node.probe


def _stores(project: Project) -> Iterator[tuple[str, str, Probe]]:
    """Where messages are kept; what several channels share once."""

    async def data() -> list[Finding]:
        return [await asyncio.to_thread(folder_finding, project.data_dir)]

    yield "DATA_DIR", "Journal", data
    seen: list[object] = []
    for channel in project.all_channels():
        store, factory = channel.message_store, channel.message_store_factory
        if store is None or any(factory is each for each in seen):
            continue
        seen += [factory] if factory is not None else []
        yield f"store of {channel.name}", type(store).__name__, store.probe


def _ports(project: Project) -> Iterator[tuple[str, str, Probe]]:
    """Where channels and the control server listen."""
    is_running = read_address(project.data_dir) is not None
    listening = {
        (each.endpoint.host, each.endpoint.port): type(each.endpoint).__name__
        for each in sharing(project.channels)
    }
    control = project.config.control
    if control.enabled:
        listening[control.host, control.port] = "Control server"
    for (host, port), kind in listening.items():
        if port:
            yield f"{host}:{port}", kind, partial(_port, host, port, is_running)


async def _port(host: str, port: int, is_running: bool) -> list[Finding]:
    """Whether a port is free, or taken by the instance that runs."""
    try:
        server = await asyncio.start_server(_nobody, host, port)
    except OSError as exc:
        if is_running and exc.errno in IN_USE:
            return [Finding(True, "port", "taken, while an instance runs")]
        return [Finding(False, "port", exc.strerror or str(exc))]
    server.close()
    await server.wait_closed()
    return [Finding(True, "port", "free")]


async def _nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _probed(probe: Probe) -> list[Finding]:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await probe()
    except TimeoutError:
        return [Finding(False, "answer", f"none within {_PATIENCE:g} s")]
    except Exception as exc:
        return [Finding(False, "look", f"failed: {type(exc).__name__}: {exc}")]
