"""The page of the client has a row for each controller, with all of its actions."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from pichannels.piwebasync import Controller
from pichannels.piwebasync.controllers_base import Resource
from tests.docs.pages import DOCS

PAGE = DOCS / "piwebasync.md"
PI = Controller("https", "pi")
IN_COMMON = {
    "one": {"get", "get_by_path"},
    "change": {"update", "delete"},
    "several": {"get_multiple"},
    "rights": {
        "get_security",
        "get_security_entries",
        "get_security_entry_by_name",
    },
    "security": {
        "create_security_entry",
        "update_security_entry",
        "delete_security_entry",
    },
}


def rows() -> Iterator[str]:
    """What the page has to say, row by row."""
    for name, value in vars(Controller).items():
        resource = getattr(PI, name)
        if isinstance(resource, Resource):
            yield row(name, inspect.getdoc(value) or "", resource)


def row(name: str, meaning: str, resource: Resource) -> str:
    found = inspect.getmembers(resource, inspect.ismethod)
    actions = {action for action, _ in found if not action.startswith("_")}
    groups = [group for group, shared in IN_COMMON.items() if shared <= actions]
    own = actions.difference(*(IN_COMMON[group] for group in groups))
    listed = ", ".join(f"`{action}`" for action in sorted(own))
    return f"| `{name}` | {meaning} | {', '.join(groups)} | {listed} |"


def test_every_controller_has_a_row_with_its_actions() -> None:
    page = PAGE.read_text("utf-8").splitlines()
    assert [one for one in rows() if one not in page] == []


def test_actions_in_common_are_told_once() -> None:
    page = PAGE.read_text("utf-8")
    shared = {action for some in IN_COMMON.values() for action in some}
    assert {a for a in shared if not re.search(rf"^\| .*`{a}\b", page, re.M)} == set()
