"""`pichannels startproject`: a project that runs as it is."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

import click

from pichannels.cli.output import say
from pichannels.errors import UsageError

__all__ = ["startproject"]

_FILES: Final = {
    "settings.py": "settings.py.txt",
    "nodes/example.py": "example.py.txt",
    "tests/test_project.py": "test_project.py.txt",
    "README.md": "README.md.txt",
    "setup.cfg": "setup.cfg.txt",
    ".gitignore": "gitignore.txt",
}
"""File of the project -> its template. No `nodes/__init__.py`: it would hide ours."""


@click.command(short_help="Make a new project.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def startproject(folder: Path) -> None:
    """Make a project in the new FOLDER that runs, and is tested, as it is."""
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; name a new folder")
    name = folder.absolute().name
    templates = resources.files("pichannels.cli") / "templates"
    try:
        for target, template in _FILES.items():
            text = (templates / template).read_text("utf-8")
            file = folder / target
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("{{name}}", name), "utf-8")
    except OSError as exc:
        raise UsageError(f"{exc.filename}: {exc.strerror}") from exc
    say(f"{folder} is ready:")
    say(f"  cd {folder}")
    say("  pichannels start")
    say("  pytest            (once: pip install 'pichannels[test]')")
