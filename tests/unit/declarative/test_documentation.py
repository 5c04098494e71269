"""The page on YAML shows what works, and names all that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from nodes import publish
from pichannels.channels.pi import PIWebChannel
from pichannels.declarative.building import BRANCHES, common_options
from pichannels.expressions import Subject, names_of
from pichannels.fingerprint import options_of
from pichannels.secrets import Secret

if TYPE_CHECKING:
    from tests.unit.declarative.conftest import Folder

PAGE = (Path(__file__).parents[3] / "docs" / "yaml.md").read_text("utf-8")
FILE, STEPS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)


def test_the_file_of_the_page_works(folder: Folder) -> None:
    (channel,) = folder.declare(FILE).channels
    assert isinstance(channel, PIWebChannel)
    options = options_of(channel)
    assert options["auth"] == ("reader", Secret.env("PI_PASSWORD"))
    assert options["url"] == "https://pi.example.com/piwebapi"
    node = channel.get_node("boiler.hot.alarm")
    assert isinstance(node, publish.HTTP)


def test_the_steps_of_the_page_work(folder: Folder) -> None:
    names = [node.fullpath() for node in folder.chain(STEPS).nodes()]
    assert names == ["a.states.Log", "a.numbers.Log"]


@pytest.mark.parametrize("subject", get_args(Subject))
def test_names_in_expressions_are_documented(subject: Subject) -> None:
    assert [name for name in names_of(subject) if f"`{name}`" not in PAGE] == []


def test_keys_are_documented() -> None:
    keys = {key for its in BRANCHES.values() for key in its}
    missing = {
        key for key in (*keys, *common_options().fields) if f"`{key}`" not in PAGE
    }
    assert missing == set()
