"""The benchmarks run: tiny counts, whose times mean nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.decoders import DECODERS
from benchmarks.decoding import SHAPES, TAGS, messages
from benchmarks.endtoend import Shape
from benchmarks.measure import Aim, Benchmark, Case, Measured, measure
from benchmarks.payloads import TEXTS
from benchmarks.report import as_data, missed

ROOT = Path(__file__).parents[1]


async def quick(name: str, folder: Path) -> dict[str, Any]:
    """What the command prints, as data."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", name, "--quick", "--runs", "1"),
        *("--no-peer", "--json", "--directory", str(folder)),
        cwd=ROOT,
        # Brokers take long to start.
        env={**os.environ, "PICHANNELS_KAFKA": "mock"},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    data: dict[str, Any] = json.loads(out)
    return data


# `.ci/run` tries those that start many processes: coverage, endtoend, startup.
@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("chain", 8),
        ("durable", 3),
        ("repair", 2),
        ("filters", 12),
        ("windows", 7),
        ("ledger", 7),
        ("decode", 12),
        ("receive", 8),
        ("recorded", 2),
        ("http", 3),
        ("mllp", 3),
        ("store", 12),
        ("dataflow", 5),
        ("cache", 11),
        ("kafka", 11),
        ("remote", 10),
    ],
)
async def test_each_benchmark_measures_all_its_cases(
    name: str, cases: int, tmp_path: Path
) -> None:
    found = await quick(name, tmp_path)

    assert len([case for case in found["cases"] if case["per_second"] > 0]) == cases


def recorded(name: str, seconds: list[float], calls: list[str], **aims: Aim) -> Case:
    """A case that takes one of these times after the other for ten."""

    async def run(count: int) -> Measured:
        calls.append(name)
        return Measured(count, seconds[calls.count(name) - 1], 1.0)

    return Case(name, run, 10, **aims)


async def test_each_run_begins_with_another_case() -> None:
    calls: list[str] = []
    cases = [recorded(name, [1.0] * 3, calls) for name in "abc"]

    await measure(Benchmark("x", "X", "things", ("wall",), cases), 3)

    assert "".join(calls) == "abcbcacab"


async def test_a_ratio_is_the_median_of_the_ratios_of_each_run() -> None:
    calls: list[str] = []
    slow_machine = [2.0, 20.0, 2.0]
    cases = [
        recorded("floor", [1.0, 10.0, 4.0], calls),
        recorded("ours", slow_machine, calls, floor=Aim("floor", 0.6)),
    ]

    result = await measure(Benchmark("x", "X", "things", ("wall",), cases), 3)

    assert as_data(result)["cases"][1]["floor"]["wall"] == 0.5
    assert missed(result) == ["ours"]


def test_payloads_have_the_size_that_the_peer_was_measured_with() -> None:
    assert {len(text) for text in TEXTS} == {277}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_libraries_give_the_same_samples(shape: Shape) -> None:
    few = messages(Shape(shape.streams, shape.events, max(1, 40 // shape.streams)))
    found = [[decode(raw, TAGS) for raw in few] for decode in DECODERS.values()]
    assert all(samples == found[0] for samples in found)


async def test_the_help_needs_no_extra() -> None:
    program = (
        "import runpy, sys; sys.modules.update(rocksdict=None, pydantic=None);"
        "sys.argv[1:] = ['--help']; runpy.run_module('benchmarks', run_name='__main__')"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0 and b"--quick" in out
