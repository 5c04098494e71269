"""Commands in processes of their own, of which none imports everything again.

`python commands.py` imports the commands once, and forks for each request that it reads
from its input.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["Result", "run_command"]

_PLACE: Final = Path(__file__).parents[2] / "pichannels" / "cli"
_TIMEOUT: Final = 50.0


class Result:
    """What a command wrote, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        """What it wrote for programs."""
        return json.loads(self.out)


def run_command(folder: Path, *args: str, env: Mapping[str, str] = {}) -> Result:
    """Run `pichannels` in a folder to its end.

    Args:
        folder: where.
        args: of the command.
        env: variables of its environment, beside ours.
    """
    everything = {**os.environ, **env}
    if hasattr(os, "fork") and not any(name.startswith("PYTHON") for name in env):
        return _forks().run(folder, args, everything)
    done = subprocess.run(
        [sys.executable, "-m", "pichannels", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        env=everything,
    )
    return Result(done.returncode, done.stdout, done.stderr)


class _Forks:
    """The process that forks."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What was read and not wanted yet would be hidden from `select`.
            bufsize=0,
        )
        atexit.register(self._close)

    def run(
        self, folder: Path, args: tuple[str, ...], env: Mapping[str, str]
    ) -> Result:
        """Run a command.

        Raises:
            subprocess.TimeoutExpired: it does not end.
        """
        with tempfile.TemporaryDirectory() as place:
            files = [Path(place, name) for name in ("out", "err")]
            request = [str(folder), args, dict(env), *map(str, files)]
            code = self._ask(json.dumps(request))
            out, err = (file.read_text() for file in files)
        return Result(code, out, err)

    def _ask(self, request: str) -> int:
        there, back = self._process.stdin, self._process.stdout
        assert there is not None and back is not None
        there.write(f"{request}\n".encode())
        child = int(back.readline())
        if not select.select([back], [], [], _TIMEOUT)[0]:
            os.kill(child, 9)
            back.readline()
            raise subprocess.TimeoutExpired(request, _TIMEOUT)
        return int(back.readline())

    def _close(self) -> None:
        self._process.communicate()


@functools.cache
def _forks() -> _Forks:
    return _Forks()


def _serve() -> None:
    """Fork for each request; the answers are the process, and then its exit code."""
    names = [f"pichannels.cli.{file.stem}" for file in _PLACE.glob("[a-z]*.py")]
    for name in [*names, "pichannels.channels", "msgstore.sqlite"]:
        importlib.import_module(name)
    # What was imported is no garbage at the end of a command.
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            _become(*request)
            return
        print(child, flush=True)  # noqa: T201
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


def _become(
    folder: str, args: list[str], env: dict[str, str], out: str, err: str
) -> None:
    """What `python -m pichannels` does there."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    for number, path in enumerate((os.devnull, out, err)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    sys.path[0] = folder
    sys.argv[1:] = args
    importlib.invalidate_caches()
    importlib.import_module("pichannels.cli").main()


if __name__ == "__main__":
    _serve()
