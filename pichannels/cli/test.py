"""`pichannels test`: run the tests of the project."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from pichannels.cli.common import ExitCode, common_options, settings_folder

__all__ = ["test"]

_WRONG_USAGE = 4


@click.command(
    short_help="Run the tests of the project.",
    context_settings={"ignore_unknown_options": True},
)
@click.option("--unittest", is_flag=True, help="With unittest, also with pytest.")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@common_options
@click.pass_context
def test(ctx: click.Context, unittest: bool, args: tuple[str, ...]) -> None:
    """Run the tests in the folder of the settings.

    With pytest where it is installed, else with unittest, which looks for test*.py. A
    tests.py beside the settings, as projects of pypeman have it, runs with both. ARGS
    are theirs: `pichannels test -- -x tests/test_boiler.py`. Exit code 0 when all
    of them pass, 1 when one fails or there are none.
    """
    runner = "unittest" if unittest or not _has_pytest() else "pytest"
    folder = settings_folder()
    tests = _found(runner, folder, args)
    code = subprocess.call([sys.executable, "-m", runner, *tests, *args], cwd=folder)
    if code == _WRONG_USAGE and runner == "pytest":
        ctx.exit(ExitCode.USAGE)
    ctx.exit(ExitCode.FAILED if code else ExitCode.OK)


def _found(runner: str, folder: Path, args: Sequence[str]) -> Sequence[str]:
    """The arguments that let a runner find the tests."""
    if runner == "unittest":
        where = "tests" if (folder / "tests").is_dir() else "."
        return () if args else ("discover", "-s", where)
    # pytest itself looks for test_*.py.
    if (folder / "tests.py").is_file():
        return ("-o", "python_files=test_*.py *_test.py tests.py")
    return ()


def _has_pytest() -> bool:
    return importlib.util.find_spec("pytest") is not None
