"""From what `CHANNELS` names to channels."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pichannels.channels import BaseChannel
from pichannels.declarative.building import Builder
from pichannels.declarative.catalogue import Catalogue
from pichannels.declarative.source import Problems
from pichannels.errors import SettingsError, nearest
from pichannels.lint_codes import Ignored

__all__ = ["Declared", "read_files"]

_KINDS = (".yaml", ".yml")


class Declared(msgspec.Struct):
    """What files declare.

    Attributes:
        channels: for each pattern its channels, in the order of files and lines.
        problems: all that is wrong with the files.
        files: the files that were read.
        origins: full name of a channel, branch or node -> file and line.
        ignored: parts of them in which some lints do not count.
    """

    channels: list[list[BaseChannel]] = []
    problems: Problems = []
    files: list[Path] = []
    origins: dict[str, str] = {}
    ignored: list[Ignored] = []


def read_files(
    patterns: Sequence[tuple[str, str | os.PathLike[str]]], settings: Path
) -> Declared:
    """Build the channels of YAML files.

    Args:
        patterns: what each is called in errors (`CHANNELS[1]`), and the path of a
            file or, with `*`, `?` and `**`, of several.
        settings: the settings file; paths are relative to its folder.
    """
    folder = settings.parent
    builder = Builder(Catalogue(folder))
    declared = Declared()
    for key, pattern in patterns:
        files = _matching(os.fspath(pattern), folder)
        if not files:
            declared.problems.append(_no_file(key, os.fspath(pattern), settings))
        channels: list[BaseChannel] = []
        for file in files:
            if file not in declared.files:
                declared.files.append(file)
                channels += builder.read(file)
        declared.channels.append(channels)
    declared.problems += builder.problems
    declared.origins = builder.origins
    declared.ignored = builder.ignored
    return declared


def _matching(pattern: str, folder: Path) -> list[Path]:
    exact = folder / pattern
    if exact.is_file():
        return [exact]
    found = glob.glob(str(pattern), root_dir=folder, recursive=True)
    return sorted(folder / name for name in found if (folder / name).is_file())


def _no_file(key: str, pattern: str, settings: Path) -> SettingsError:
    beside = (settings.parent / pattern).parent
    there = beside.glob("*") if beside.is_dir() else ()
    parent = Path(pattern).parent
    names = [str(parent / file.name) for file in there if file.suffix in _KINDS]
    return SettingsError(
        f"no file is there{nearest(pattern, names)}",
        file=str(settings),
        key=key,
        found=pattern,
        allowed="the path of a YAML file, or a pattern such as channels/*.yaml",
    )
