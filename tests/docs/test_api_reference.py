"""The reference of the HTTP API has every route, and the guide names only those."""

from __future__ import annotations

import re

from pichannels.ui.app import DECLARED
from tests.docs.pages import DOCS
from tests.docs.test_reference import part

PATHS = {each.path for each in DECLARED}


def test_every_route_is_in_the_reference() -> None:
    text = part("routes")
    missing = [
        each for each in DECLARED if f"### {each.method} {each.path}\n" not in text
    ]
    assert missing == []


def test_every_route_says_what_it_does() -> None:
    assert [
        each.path for each in DECLARED if not each.about.endswith((".", ")."))
    ] == []


def test_the_guide_names_routes_that_there_are() -> None:
    text = (DOCS / "api.md").read_text("utf-8")
    named = re.findall(r"`(?:GET|POST) \.\.\.(/[\w/-]+)", text)
    ends = {f"/api/v1/instances/{{instance}}{place}" for place in named}
    known = {re.sub(r"\{(name|id|id:path|group)\}", "X", path) for path in PATHS}
    shown = {re.sub(r"/(CHANNEL|ID|GROUP)\b", "/X", end) for end in ends}
    assert len(shown) > 8
    assert shown - known == set()
