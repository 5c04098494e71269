"""The names of pypeman's modules are here, also those of its inner parts."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from pichannels.message import Message
from pichannels.pypeman import nodes
from pichannels.pypeman.registry import fresh

NAMES: Final = """
import inspect, sys
from importlib import import_module
for short in sys.argv[1:]:
    module = import_module(f"pypeman.{short}")
    for name, found in vars(module).items():
        if inspect.isclass(found) or inspect.isfunction(found):
            if name[0] != "_" and found.__module__ == f"pypeman.{short}":
                print(short, name)
"""
MODULES: Final = (
    *("channels", "nodes", "message", "msgstore", "endpoints", "persistence"),
    *("events", "exceptions", "errors", "conf", "test"),
    *("contrib.csv", "contrib.ctx", "contrib.ftp", "contrib.hl7", "contrib.http"),
    *("contrib.time", "contrib.xml", "map_item", "project"),
    *("helpers.aio_compat", "helpers.itertools", "helpers.logging"),
    *("helpers.sleeper", "helpers.tempfile", "retry"),
)


def test_what_pypeman_s_modules_define_is_here(tmp_path: Path) -> None:
    pytest.importorskip("pypeman", reason="pypeman is not installed")
    theirs = subprocess.run(
        [sys.executable, "-c", NAMES, *MODULES],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert [each for each in theirs if not _has(*each.split())] == []


def _has(module: str, name: str) -> bool:
    return hasattr(import_module(f"pichannels.pypeman.{module}"), name)


def test_names_that_nodes_takes_from_elsewhere_are_there() -> None:
    assert nodes.HttpRequest.__name__ == "HttpRequest"
    assert issubclass(nodes.Rejected, Exception)


def test_a_node_without_process_passes_messages_on() -> None:
    msg = Message(payload="x")
    with fresh():
        made = nodes.BaseNode(), nodes.ThreadNode()
    assert [each.process(msg) for each in made] == [msg, msg]
