"""The process that `pichannels start` looks after: `python -m pichannels.ui`.

The first line of the input is what to serve; where it listens is the first line of the
output. When the input ends, nobody looks after it any more, and it ends too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from typing import Final

import msgspec

from pichannels.errors import PichannelsError
from pichannels.ui.console import ConsolePlan
from pichannels.ui.pages import PAGES
from pichannels.ui.serving import Started, serve

__all__: list[str] = []

_NICER: Final = 10
_PATIENCE: Final = 10.0


def _main() -> int:
    # Who looks after this process takes the level from the line.
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    if hasattr(os, "nice"):
        # The instance comes first where there is not enough time for both.
        os.nice(_NICER)
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=ConsolePlan)
    try:
        return 0 if asyncio.run(_serve(plan)) else 1
    except PichannelsError as exc:
        logging.getLogger("pichannels.ui").error("%s", exc)
        return 1


async def _serve(plan: ConsolePlan) -> bool:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait_for_end() -> None:
        # Not `sys.stdin`, whose lock would be held when the interpreter ends.
        while os.read(sys.stdin.fileno(), 1024):
            continue
        last = threading.Timer(_PATIENCE, os._exit, (1,))
        last.daemon = True
        last.start()
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait_for_end, name="end of the input", daemon=True).start()
    return await serve(plan, _tell, stop, PAGES)


def _tell(started: Started) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(started) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(_main())
