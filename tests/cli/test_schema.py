"""`pichannels schema` and `check --strict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pichannels.declarative.catalogue import Catalogue
from pichannels.declarative.schema import schema_of
from tests.cli.folders import Folder

EXAMPLE = Path(__file__).parents[2] / "examples" / "yaml" / "channels" / "plant.yaml"
NODE = """\
from pichannels.node import BaseNode

class ToKelvin(BaseNode):
    '''Degrees Celsius to Kelvin.

    Args:
        offset: what is added.
    '''
    def __init__(self, offset: float = 273.15, **options):
        super().__init__(**options)
"""


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return schema_of(Catalogue(EXAMPLE.parents[1]))


def errors(schema: dict[str, Any], text: str) -> list[str]:
    validator = jsonschema.Draft7Validator(schema)
    return [error.message for error in validator.iter_errors(yaml.safe_load(text))]


def test_it_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(schema)


def test_the_example_fits(schema: dict[str, Any]) -> None:
    assert errors(schema, EXAMPLE.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "nodes",
    [
        "decode.PI",
        "decode.PI: {server: x}",
        "decode.PI:",
        "publish.HTTP: {url: 'http://x', auth: [joe, '${env:X}'], batch: '${N}'}",
        "publish.HTTP: {url: 'http://x', auth: '${env:X}', ssl: false}",
        "filter.Samples: {predicate: value > 3}",
        "python.Function: {function: {python: nodes.mine.f}}",
        "log.Log: {retry: {attempts: 3}}",
        "fork: {name: x, store: sqlite, nodes: [decode.PI]}",
        "when: {if: true, each: true}",
        "case: {branches: [{if: good, nodes: []}]}",
    ],
)
def test_steps_that_fit(schema: dict[str, Any], nodes: str) -> None:
    assert errors(schema, f"channels: [{{name: a, nodes: [{nodes}]}}]") == []


@pytest.mark.parametrize(
    "nodes",
    [
        "decode.IP",
        "publish.File",
        "publish.File: {}",
        "publish.File: {path: x, kep: 1}",
        "publish.File: {path: x, keep: many}",
        "when: {nodes: []}",
        "case: {}",
        "{decode.PI: {}, name: x}",
        "log.Log: {retry: {atempts: 3}}",
    ],
)
def test_steps_that_do_not_fit(schema: dict[str, Any], nodes: str) -> None:
    assert errors(schema, f"channels: [{{name: a, nodes: [{nodes}]}}]")


def test_options_have_their_meaning_and_default(schema: dict[str, Any]) -> None:
    step = schema["definitions"]["step"]["anyOf"][1]["properties"]["publish.HTTP"]
    assert step["description"] == "Send messages to a web server, one request at a" + (
        " time and in order."
    )
    method = step["properties"]["method"]
    assert (method["description"], method["default"]) == ("the request method.", "POST")


def test_the_command_writes_the_projects_own_nodes(empty: Folder) -> None:
    empty.write("settings.py", "this is no Python yet")
    empty.write("nodes/own.py", NODE)
    result = empty.run("schema", "--output", "s.json")
    assert (result.code, result.out) == (0, "s.json: written\n")
    schema = yaml.safe_load((empty.path / "s.json").read_text("utf-8"))
    own = schema["definitions"]["step"]["anyOf"][1]["properties"]["own.ToKelvin"]
    assert own["description"] == "Degrees Celsius to Kelvin."
    assert own["properties"]["offset"]["default"] == 273.15


def test_the_schema_goes_to_the_output(empty: Folder) -> None:
    assert empty.run("schema").json["required"] == ["channels"]


def test_settings_that_are_named_have_to_be_there(empty: Folder) -> None:
    assert empty.run("schema", "--settings", "nothing.py").code == 3


# check --strict

ODD = "from pichannels.channels import BaseChannel\na = BaseChannel('a')\na.fork()\n"


@pytest.fixture
def odd(empty: Folder) -> Folder:
    """A project with a fork that does nothing."""
    empty.write("settings.py", f"{ODD}CHANNELS = [a]\n")
    return empty


def test_oddities_do_not_matter_unless_asked_for(odd: Folder) -> None:
    assert odd.run("check").code == 0


def test_strict_tells_oddities(odd: Folder) -> None:
    result = odd.run("check", "--strict")
    assert (result.code, result.out) == (1, "")
    assert "settings.py: PC101 a.fork: this fork has no nodes" in result.err
    assert result.err.endswith("1 finding\n")


def test_programs_get_the_findings(odd: Folder) -> None:
    result = odd.run("check", "--strict", "--json")
    (finding,) = result.json["findings"]
    assert (result.code, result.json["ok"]) == (1, False)
    assert (finding["code"], finding["what"]) == ("PC101", "a.fork")


def test_a_rule_can_be_ignored(odd: Folder) -> None:
    result = odd.run("check", "--strict", "--ignore", "PC101")
    assert (result.code, result.err) == (0, "")


def test_a_rule_that_is_none_is_wrong_usage(odd: Folder) -> None:
    result = odd.run("check", "--strict", "--ignore", "PC9")
    assert result.code == 2 and "there is no rule 'PC9'" in result.err
