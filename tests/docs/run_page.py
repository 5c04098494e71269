"""Runs the Python of one page, in the order of the page, in the present folder.

A process of its own, because a page may have modules in `nodes` and `msgstore`.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import sys
from pathlib import Path
from types import CodeType
from typing import Any

from pichannels import project
from pichannels.simulator import Member, Plant, Simulator
from tests.docs.pages import Block, blocks

PYTHON_WITH_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


class Page:
    """A page on its way.

    Args:
        path: of the page.
        simulator: the PI server that stands in for that of the example.
        member: another one of the same plant.
    """

    def __init__(self, path: Path, simulator: Simulator, member: Simulator) -> None:
        self.path = path
        # What the examples say, and what it is here.
        self.stand_ins = {
            '"https", "pi.example.org"': f'"http", "127.0.0.1", port={simulator.port}',
            "https://pi1.example.org/piwebapi": simulator.url,
            "https://pi2.example.org/piwebapi": member.url,
            ', verify="plant-ca.pem"': "",
            "PISRV": "SIMSRV",
        }
        self.names: dict[str, Any] = {"__name__": "__main__", "simulator": simulator}

    async def run(self) -> None:
        """Run all blocks."""
        for block in blocks(self.path):
            if block.language == "python" and not block.note.startswith("fragment, "):
                await self._run_block(block)

    async def _run_block(self, block: Block) -> None:
        if block.file:
            await asyncio.to_thread(_write, block.file, block.code)
        if block.is_settings:
            await asyncio.to_thread(_write, "settings.py", block.code)
            await asyncio.to_thread(project.load, "settings.py")
        elif not block.file:
            await self._execute(block)

    async def _execute(self, block: Block) -> None:
        code = self._compiled(block)
        if not block.note.startswith("for "):
            await _result(eval(code, self.names))
            return
        seconds = float(block.note.split()[1])
        try:
            async with asyncio.timeout(seconds):
                await _result(eval(code, self.names))
        except TimeoutError:
            return
        raise AssertionError(f"line {block.line}: it ended before {seconds} s")

    def _compiled(self, block: Block) -> CodeType:
        text = block.code
        for example, here in self.stand_ins.items():
            text = text.replace(example, here)
        # Errors then name the line of the page.
        text = "\n" * block.line + text
        found: CodeType = compile(text, str(self.path), "exec", PYTHON_WITH_AWAIT)
        return found


async def _result(found: Any) -> None:
    if inspect.isawaitable(found):
        await found


def _write(file: str, code: str) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(code, "utf-8")


async def main(page: str) -> None:
    """Run a page beside a PI server."""
    async with (
        Simulator(Plant(tags=50), poll=0.05) as simulator,
        Member(simulator) as member,
    ):
        await Page(Path(page), simulator, member).run()


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    asyncio.run(main(sys.argv[1]))
