"""The import contracts in setup.cfg: every module has its floor, and they hold."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import grimp
import pytest
from importlinter.api import read_configuration
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.contracts.layers import LayersContract
from importlinter.domain.contract import Contract

ROOTS = ("pichannels", "nodes", "msgstore")
KINDS: dict[str, type[Contract]] = {
    "layers": LayersContract,
    "forbidden": ForbiddenContract,
    "independence": IndependenceContract,
}
INPUT_AND_OUTPUT = {"aiohttp", "asyncio", "socket", "ssl", "sqlite3", "subprocess"}
PROTOCOLS = ("pichannels.piwebasync.", "pichannels.coverage.", "pichannels.remote.")


@pytest.fixture(scope="module")
def built() -> grimp.ImportGraph:
    return grimp.build_graph(*ROOTS, include_external_packages=True, cache_dir=None)


@pytest.fixture
def graph(built: grimp.ImportGraph) -> grimp.ImportGraph:
    """The imports of the three packages; a test may add its own."""
    return copy.deepcopy(built)


def contracts() -> list[dict[str, Any]]:
    return [dict(options) for options in read_configuration()["contracts_options"]]


def broken(graph: grimp.ImportGraph) -> set[str]:
    """The contracts of setup.cfg that the graph breaks."""
    session: dict[str, Any] = dict(read_configuration()["session_options"])
    found = set()
    for options in contracts():
        contract = KINDS[options["type"]](options["name"], session, options)
        if not contract.check(copy.deepcopy(graph), verbose=False).kept:
            found.add(options["name"].split(";")[0])
    return found


def floors() -> set[str]:
    """Every module that the floors name."""
    lines = contracts()[0]["layers"]
    return {
        name.strip(" ()")
        for line in lines
        for name in line.replace("|", ":").split(":")
    }


def strays(graph: grimp.ImportGraph) -> list[str]:
    """What is wrong with modules that are on no floor."""
    known = floors()
    found = []
    for module in sorted(graph.modules):
        if module.partition(".")[0] not in ROOTS or _is_on_floor(module, known):
            continue
        # The contracts see through a package: whoever imports it imports what it
        # hands on. So it needs no floor when all that is in it has one.
        if not graph.find_children(module):
            found.append(
                f"{module} is on no floor; write it into [importlinter:contract:floors]"
                " of setup.cfg where DESIGN's table has it"
            )
    return found


def _is_on_floor(module: str, known: Iterable[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in known)


def test_every_module_is_on_a_floor(graph: grimp.ImportGraph) -> None:
    assert strays(graph) == []


@pytest.mark.parametrize(
    "module", ["pichannels.stray", "pichannels.channels.stray", "pichannels.new.part"]
)
def test_a_module_on_no_floor_is_told(graph: grimp.ImportGraph, module: str) -> None:
    graph.add_module(module)
    told = f"{module} is on no floor; write it into [importlinter:contract:floors]"
    assert any(text.startswith(told) for text in strays(graph))


def test_all_contracts_hold(graph: grimp.ImportGraph) -> None:
    assert broken(graph) == set()


FLOORS = "A module imports only from lower floors"
NAMES = "Nothing in pichannels imports nodes or stores"
SIMULATOR = "The simulator and the client share no code"
PURE = "Pure rules do no input and no output"


@pytest.mark.parametrize(
    ("importer", "imported", "contract"),
    [
        ("pichannels.errors", "pichannels.message", FLOORS),
        ("pichannels.values", "pichannels.codecs", FLOORS),
        ("pichannels.states", "pichannels.store", FLOORS),
        ("pichannels.node", "pichannels.store", FLOORS),
        ("pichannels.journal.schema", "pichannels.channels", FLOORS),
        ("pichannels.piwebasync.client", "pichannels.journal", FLOORS),
        ("nodes.decode", "msgstore.sqlite", FLOORS),
        ("nodes.decode", "pichannels.engine", FLOORS),
        ("pichannels.channels.base", "nodes.decode", NAMES),
        (
            "pichannels.simulator.webids",
            "pichannels.piwebasync.webids",
            SIMULATOR,
        ),
        (
            "pichannels.piwebasync.webids",
            "pichannels.simulator.webids",
            SIMULATOR,
        ),
        ("pichannels.piwebasync.parsing", "aiohttp", PURE),
        ("pichannels.retry", "asyncio", PURE),
    ],
)
def test_an_import_against_the_floors_is_caught(
    graph: grimp.ImportGraph, importer: str, imported: str, contract: str
) -> None:
    graph.add_import(importer=importer, imported=imported)
    assert contract in broken(graph)


def test_every_part_of_a_protocol_is_pure_or_needs_the_loop(
    graph: grimp.ImportGraph,
) -> None:
    pure = next(c for c in contracts() if c["name"].startswith("Pure"))
    unlisted = {
        module
        for module in graph.modules
        if module.startswith(PROTOCOLS) and module not in pure["source_modules"]
    }
    idle = {
        m for m in unlisted if not graph.find_upstream_modules(m) & INPUT_AND_OUTPUT
    }
    assert not idle, f"list in [importlinter:contract:pure] of setup.cfg: {idle}"
