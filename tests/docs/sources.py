"""Of what a site was built: `make docs` writes it down, so that no test builds again.

`python -m tests.docs.sources SITE` takes it down; this needs nothing but Python.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["STAMP", "digest", "is_current"]

STAMP: Final = ".sources"
_ROOT: Final = Path(__file__).parents[2]
_FOLDERS: Final = ("docs", "pichannels", "nodes", "msgstore")
_FILES: Final = ("mkdocs.yml", "setup.cfg")


def _sources(root: Path) -> Iterator[Path]:
    for folder in _FOLDERS:
        found = (root / folder).rglob("*")
        yield from sorted(
            path for path in found if path.is_file() and path.suffix != ".pyc"
        )
    yield from (root / name for name in _FILES)


def digest(root: Path = _ROOT) -> str:
    """Of names and contents of all that pages are made from."""
    found = hashlib.sha256()
    for path in _sources(root):
        for part in (path.relative_to(root).as_posix().encode(), path.read_bytes()):
            found.update(b"%d:%b" % (len(part), part))
    return found.hexdigest()


def is_current(site: Path, root: Path = _ROOT) -> bool:
    """Whether a site was built of the sources as they are."""
    stamp = site / STAMP
    return stamp.exists() and stamp.read_text("ascii") == digest(root)


if __name__ == "__main__":
    (Path(sys.argv[1]) / STAMP).write_text(digest(), "ascii")
