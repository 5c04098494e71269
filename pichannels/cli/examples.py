"""An example of each command, which its help ends with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

__all__ = ["EXAMPLES", "with_examples"]

EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "audit": ("", "--action replay --start '*-1d'"),
    "backfill budget": ("", "--rate 20", "--pause"),
    "backfill cancel": ("boiler-1",),
    "backfill create": (
        "boiler --start 2026-01-01 --end 2026-02-01 --priority low",
        "boiler --tag 'UNIT1.*' --start '*-2h' --again --wait",
    ),
    "backfill list": ("--watch",),
    "backfill pause": ("boiler-1",),
    "backfill priority": ("boiler-1 high",),
    "backfill resume": ("boiler-1 --wait",),
    "backfill show": ("boiler-1",),
    "channel pause": ("boiler",),
    "channel restart": ("boiler",),
    "channel resume": ("boiler",),
    "channel start": ("boiler",),
    "channel stop": ("boiler",),
    "check": ("", "--connect --strict"),
    "completion": ("bash > ~/.pichannels-completion",),
    "coverage": (
        "",
        "boiler --tag 'UNIT1.*' --start '*-1d'",
        "--check --max-hole 600",
    ),
    "dead discard": ("--channel boiler --error 'not a number' --reason 'a bad meter'",),
    "dead edit": ("4711", "4711 --file changes.json"),
    "dead groups": ("--channel boiler",),
    "dead list": ("--channel boiler --start '*-1d'",),
    "dead mute": ("ad6eb1e82ea6 --for 12h", "ad6eb1e82ea6 --until-change"),
    "dead redrive": ("--group ad6eb1e82ea6 --dry-run", "4711 4712"),
    "dead show": ("4711",),
    "dead unmute": ("ad6eb1e82ea6",),
    "graph": ("", "boiler --output boiler.svg"),
    "log": (
        "--level warning --count 20",
        "--channel boiler --follow",
        "--message 01a200ab9ce579dc800003e59d853f72",
    ),
    "pi listen": ("UNIT1.BOILER.TEMP --seconds 60",),
    "pi ping": ("--url https://pi.example.com/piwebapi --auth 'PLANT\\op1'",),
    "pi points": ("'UNIT1.*' --count 50",),
    "pi read": (
        "UNIT1.BOILER.TEMP",
        "'UNIT1.*' --start '*-1h' --csv",
    ),
    "pi whoami": ("--channel boiler",),
    "plugins": ("",),
    "print-settings": ("", "--json"),
    "reconcile": ("boiler --tag 'UNIT1.*' --start '*-2d'",),
    "reload": ("--plan", ""),
    "remote get": ("stores/boiler boiler.jsonl", "files/report.csv --range 0-999"),
    "remote list": ("'channels/*'", "--url https://other:8443"),
    "remote mv": ("files/report.part files/report.csv",),
    "remote put": ("report.csv files/report.csv --replace",),
    "remote rm": ("files/report.csv",),
    "remote streams": ("",),
    "remote token": ("",),
    "replay": (
        "--channel boiler --state error --dry-run",
        "--channel boiler --start '*-2h' --to-sink publish",
        "4711 4712 --from-node scale",
    ),
    "schema": ("--output channels.schema.json",),
    "shell": ("",),
    "simulate": ("--tags 1000 --port 8500", "--fault drop:how=reset"),
    "sink list": ("",),
    "sink pause": ("boiler.Kafka",),
    "sink resume": ("boiler.Kafka",),
    "start": ("", "--ui", "--dry-run"),
    "startproject": ("plant",),
    "status": ("", "--watch", "--json"),
    "store backup": ("journal-2026-11-22.sqlite",),
    "store export": ("boiler errors.jsonl.gz --state error --start '*-1d'",),
    "store import": ("boiler errors.jsonl.gz",),
    "store import-pypeman": ("boiler ../old/store --timezone Europe/Paris",),
    "store list": ("",),
    "store prune": ("--age 30d --dry-run", "--channel boiler --size 2GiB"),
    "store search": (
        "--channel boiler --state error --start '*-1h'",
        "'I/O Timeout' --count 100 --json",
    ),
    "store send": ("boiler archive --start '*-1h'", "boiler archive 4711 --to ../new"),
    "store show": ("4711",),
    "store test": ("boiler 4711",),
    "store trace": ("boiler 4711",),
    "store verify": ("",),
    "tags": ("boiler", "boiler --add UNIT2.FEED.FLOW"),
    "tail": ("boiler --filter 'not good'", "stores/boiler --from '*-1h'"),
    "tap": (
        "boiler --node decode",
        "boiler --node decode --count 100 --json > seen.jsonl",
    ),
    "test": ("", "tests/test_boiler.py"),
    "top": ("--sort lag",),
    "ui": ("--project ../other --port 8600",),
    "ui user add": ("anna --role operate",),
    "ui user list": ("",),
    "ui user passwd": ("anna", "anna --role admin"),
    "ui user remove": ("anna",),
    "ui user token": ("anna --about grafana --role view --days 90",),
    "version": ("--json",),
}
"""Words of a command -> what can stand behind them."""


def with_examples(name: str, command: click.Command) -> click.Command:
    """The command, and all below it, with examples at the end of their help."""
    if isinstance(command, click.Group):
        for below, each in command.commands.items():
            with_examples(f"{name} {below}", each)
    lines = EXAMPLES.get(name)
    if lines and command.epilog is None:
        calls = [f"  pichannels {name} {line}".rstrip() for line in lines]
        noun = "Example" if len(calls) == 1 else "Examples"
        command.epilog = "\n".join(["\b", f"{noun}:", *calls])
    return command
