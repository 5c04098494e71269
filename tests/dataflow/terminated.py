"""A program that SIGTERM ends: a value under way, an exit hook, and a task beside.

`python terminated.py SECONDS`: how long it works on a value.
"""

from __future__ import annotations

import asyncio
import sys

from pichannels.dataflow import Timer, exit_hook, handle, stream


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@handle(Timer(0.001), sink=[say])
async def slow(now: int) -> str:
    say("begun")
    await asyncio.sleep(float(sys.argv[1]))
    return "done"


@exit_hook
async def hook() -> None:
    await asyncio.sleep(0)
    say("hook")


async def beside() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        say("beside")


async def main() -> None:
    await asyncio.gather(stream(), beside())


asyncio.run(main())
