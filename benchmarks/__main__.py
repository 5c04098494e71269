"""The command: `python -m benchmarks [name ...]`."""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from benchmarks.measure import COLLECT_AT, Result, measure
from benchmarks.options import Options
from benchmarks.processes import ProcessFailed
from benchmarks.report import as_data, as_table

ALL: Final = {
    "chain": "chain",
    "durable": "durable",
    "endtoend": "endtoend",
    "coverage": "coverage",
    "repair": "repair",
    "ledger": "ledger",
    "startup": "startup",
    "filters": "filters",
    "windows": "windows",
    "decode": "decoding",
    "receive": "receiving",
    "recorded": "reading",
    "http": "http",
    "mllp": "mllp",
    "store": "stores",
    "dataflow": "dataflow",
    "cache": "cache",
    "kafka": "kafka",
    "remote": "remote",
    "console": "console",
}
"""Names, and their modules: each is loaded when it runs, as each needs other extras."""


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(ALL)))
@click.option(
    "--runs", type=click.IntRange(1), default=5, show_default=True, help="Of each case."
)
@click.option("--quick", is_flag=True, help="Tiny counts, to see that all of it works.")
@click.option("--json", "as_json", is_flag=True, help="All runs as JSON.")
@click.option(
    "--peer/--no-peer",
    default=True,
    help="Measure peers too; installs them in benchmarks/.peer* when needed.",
)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=".pichannels",
    show_default=True,
    help="Files are written below; its disk is what is measured.",
)
def main(
    names: Sequence[str],
    runs: int,
    quick: bool,
    as_json: bool,
    peer: bool,
    directory: Path,
) -> None:
    """Measure the hot paths as ratios to the bare floor and to the peer.

    Medians of interleaved runs; other work on the machine disturbs rates far
    more than ratios.
    """
    gc.set_threshold(COLLECT_AT)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=directory) as folder:
        options = Options(Path(folder), quick, peer)
        for name in names or ALL:
            try:
                result = asyncio.run(_run(name, options, runs))
            except ProcessFailed as exc:
                raise click.ClickException(str(exc)) from exc
            _show(result, as_json)


async def _run(name: str, options: Options, runs: int) -> Result:
    async with _loaded(ALL[name]).prepare(options) as benchmark:
        return await measure(benchmark, runs, _tell)


def _loaded(name: str) -> Any:
    try:
        return importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as exc:
        needed = f"{exc.name} is missing; pip install 'pichannels[test]'"
        raise click.ClickException(needed) from exc


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _show(result: Result, as_json: bool) -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if as_json:
        print(json.dumps(as_data(result)))
    else:
        Console(width=None if sys.stdout.isatty() else 110).print(as_table(result))


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
