"""Evaluates settings in a process of its own: `python -m pichannels.reload.child`.

The result goes to what was the standard output; all that the settings print goes to
the error output.
"""

from __future__ import annotations

import os
import sys

import msgspec

from pichannels.config import SettingsProblems
from pichannels.errors import SettingsError
from pichannels.project import load
from pichannels.reload.definition import ProjectDefinition, define

__all__ = ["Evaluation", "evaluated"]


class Evaluation(msgspec.Struct, frozen=True):
    """What the settings define, or what is wrong with them."""

    definition: ProjectDefinition | None = None
    problems: list[str] = []


def evaluated(path: str) -> Evaluation:
    """The settings in this file."""
    try:
        return Evaluation(define(load(path)))
    except SettingsProblems as exc:
        return Evaluation(problems=[str(error) for error in exc.errors])
    except SettingsError as exc:
        return Evaluation(problems=[str(exc)])


def _main() -> None:
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as result:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        result.write(msgspec.json.encode(evaluated(sys.argv[1])))


if __name__ == "__main__":
    _main()
