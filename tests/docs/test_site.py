"""The site is built without a warning, has every page, and needs no internet."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import DOCS, ROOT
from tests.docs.processes import in_process
from tests.docs.sources import STAMP, digest, is_current

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
NEEDED = ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]

# Whoever is first builds the site.
pytestmark = pytest.mark.timeout(240)
with_mkdocs = pytest.mark.skipif(
    bool(MISSING), reason="the site is built with MkDocs: pip install -e '.[docs]'"
)


def in_nav(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
        return
    for each in entry.values() if isinstance(entry, dict) else entry:
        yield from in_nav(each)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site: what `make docs` has built of the same sources, or built now."""
    built = ROOT / str(CONFIG["site_dir"])
    if is_current(built):
        return built
    folder = tmp_path_factory.mktemp("site")
    options = ("build", "--strict", "--quiet", "--site-dir", str(folder))
    done = in_process(ROOT, "-m", "mkdocs", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_site_of_other_sources_is_not_taken(tmp_path: Path) -> None:
    root, site = tmp_path / "root", tmp_path / "site"
    for folder in (root / "docs", site):
        folder.mkdir(parents=True)
    for name in ("mkdocs.yml", "setup.cfg", "docs/index.md"):
        (root / name).write_text(name)
    assert not is_current(site, root)
    (site / STAMP).write_text(digest(root))
    assert is_current(site, root)
    (root / "docs" / "index.md").write_text("changed")
    assert not is_current(site, root)


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def test_every_page_is_in_the_navigation() -> None:
    there = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert there - {*in_nav(CONFIG["nav"])} == set()


@with_mkdocs
def test_every_page_is_built(site: Path) -> None:
    built = {
        page.relative_to(site).with_suffix(".md").as_posix() for page in pages(site)
    }
    assert {*in_nav(CONFIG["nav"])} <= built


@with_mkdocs
def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    loads = re.compile(
        r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?(https?:[^\" >]+)"
    )
    found = {page.name: loads.findall(page.read_text("utf-8")) for page in pages(site)}
    assert {name: urls for name, urls in found.items() if urls} == {}


@with_mkdocs
@pytest.mark.parametrize(
    ("page", "anchor"),
    [
        ("reference/nodes", "compressdeadband"),
        ("reference/channels", "pipiwebchannel"),
        ("reference/stores", "sqlitesqlitemessagestorefactory"),
        ("reference/commands", "pichannels-store-search"),
        ("reference/settings", "journal"),
        ("reference/api/nodes", "pichannels.node.BaseNode.process"),
        ("reference/api/client", "pichannels.piwebasync.HTTPClient.get"),
    ],
)
def test_the_reference_is_made(site: Path, page: str, anchor: str) -> None:
    assert f'id="{anchor}"' in (site / f"{page}.html").read_text("utf-8")


@with_mkdocs
def test_no_marker_is_left(site: Path) -> None:
    texts = [page.read_text("utf-8") for page in pages(site)]
    assert not [text for text in texts if re.search(r"<!-- (generated|example):", text)]
