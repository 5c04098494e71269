"""What is wrong in YAML files is told with file, line, key and what is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.declarative.conftest import Folder


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "channels/a.yaml: the file is empty"),
        ("a: [", "this is no YAML: "),
        ("a: !!python/object:os.system x", "channels/a.yaml:1: this is no YAML: "),
        ("a: !own x", "could not determine a constructor"),
        ("- 1", "channels/a.yaml:1: this is a list; allowed: a mapping, channels:"),
        ("chanels: []", "did you mean 'channels'?; allowed: channels"),
        ("channels: 3", "a.yaml:1: channels: this is 3; allowed: a list"),
        ("channels: [3]", "channels[0]: this is 3; allowed: a mapping with name"),
        ("channels: [{nodes: []}]", "channels[0]: a channel needs a name"),
        ("channels: [{name: 3}]", "this is 3, and no text; put it in quotes"),
        ("channels: [{name: on}]", "this is True, and no text; put it in quotes"),
        (
            "channels:\n- {name: a, lains: 2}",
            "a.yaml:2: channels[0].lains: there is no 'lains' here;"
            " did you mean 'lanes'?; allowed: name, source, store, nodes, init_nodes",
        ),
        (
            "channels:\n- name: a\n  name: b",
            "a.yaml:3: channels[0].name: 'name' stands",
        ),
        ("channels:\n- name: a\n- name: a", "a.yaml:2 has a channel 'a' already"),
        ("channels: [{name: a, lanes: 0}]", "channels[0]: lanes is 1, or more"),
        ("a: &x [*x]", "there is no end to this"),
        ("? [1]\n: 2", "keys are texts or numbers"),
    ],
)
def test_files_and_channels(folder: Folder, text: str, told: str) -> None:
    assert told in "\n".join(folder.problems(text))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("pie", "there is no source 'pie'; did you mean 'pi'?; allowed: "),
        ("3", "this is 3; allowed: the name of a source, alone or with its options"),
        ("pi", "PIWebChannel needs 'url' and 'tags'"),
        (
            "{pi: {url: 'http://x', tags: [a], hartbeat: 2}}",
            "a.yaml:1: channels[0].source.pi.hartbeat: PIWebChannel has no option"
            " 'hartbeat'; did you mean 'heartbeat'?; allowed: url, tags",
        ),
        (
            "{pi: {url: 'http://x', tags: [a], coverage: {setle: 1}}}",
            "there is no 'setle' here; did you mean 'settle'?",
        ),
        (
            "{pi: {url: 'http://x', tags: [a], coverage: {settle: -1}}}",
            "settle is a number, 0 or more, not -1",
        ),
        ("{pi: {url: x, tags: [a]}}", "no address of a PI Web API server"),
        ("{pi: {url: 'http://x', tags: [a], lanes: 2}}", "write it beside 'source'"),
        ("{pi: {url: 'http://x', tags: []}}", "tags is empty"),
        ("base.BaseChannel", "there is no source"),
        ("os.path", "there is no source 'os.path'"),
        ("pichannels.channels.pi.logger", "there is no source"),
    ],
)
def test_sources(folder: Folder, source: str, told: str) -> None:
    problems = folder.problems(f"channels: [{{name: a, source: {source}}}]")
    assert told in "\n".join(problems)


def test_what_is_under_a_wrong_source_is_checked_too(folder: Folder) -> None:
    problems = folder.problems("channels: [{name: a, source: pie, nodes: [log.Lok]}]")
    assert len(problems) == 2 and "'log.Log'" in problems[1]


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ("sqlit", "there is no store 'sqlit'; did you mean 'sqlite'?"),
        ("{sqlite: {durability: fulll}}", "no such choice; did you mean 'full'?"),
        ("{sqlite: {retention_bytes: 1.5}}", "this is 1.5; allowed: a whole number"),
        ("{sqlite: {path: [x]}}", "this is a list; allowed: the path of a file"),
        ("{sqlite: 3}", "store.sqlite: this is 3; allowed: a mapping"),
    ],
)
def test_stores(folder: Folder, store: str, told: str) -> None:
    problems = folder.problems(f"channels: [{{name: a, store: {store}}}]")
    assert told in "\n".join(problems)


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ("- decode.IP", "a.yaml:4: channels[0].nodes[0]: there is no node 'decode.IP'"),
        ("- decode.Pi", "did you mean 'decode.PI'?; allowed: "),
        ("- decode", "there is no node 'decode'"),
        ("- decode.BaseNode", "there is no node"),
        ("- decode._Tags", "there is no node 'decode._Tags'"),
        ("- _file.File", "there is no node"),
        ("- os.system", "there is no node 'os.system'"),
        ("- 3", "this is 3; allowed: the name of a node, alone or with its options"),
        ("- decode.PI: {}\n  name: x", "a step has one name, and this has decode.PI"),
        ("- log.Log\n- log.Log: {name: Log}", "has two steps named 'Log'"),
        (
            "- log.Log:\n    level: INFO\n    sampels: 3",
            "a.yaml:6: channels[0].nodes[0].log.Log.sampels: Log has no option"
            " 'sampels'; did you mean 'samples'?; allowed: level, show_ctx, logger",
        ),
        (
            "- log.Log:\n    level: LOUD",
            "a.yaml:5: channels[0].nodes[0].log.Log.level: no such level",
        ),
        ("- log.Log: {show_ctx: 'yes'}", "this is 'yes'; allowed: true or false"),
        ("- publish.File", "a.yaml:4: channels[0].nodes[0]: File needs 'path'"),
        (
            "- publish.File: {path: a, keep: 1.5}",
            "this is 1.5; allowed: a whole number",
        ),
        ("- publish.HTTP: {url: '${env:X}'}", "no secret can be given here"),
        ("- publish.HTTP: {url: '${NO_SUCH_X}'}", "NO_SUCH_X is not set"),
        ("- publish.HTTP: {url: 'http://x', auth: 3}", "this is 3; allowed: null or $"),
        ("- publish.HTTP: {url: 'http://x', auth: [a]}", "or a list of 2: "),
        ("- enrich.PI: {auth: {ntlm: {usr: a}}}", "no 'usr' here; did you mean 'user'"),
        ("- enrich.PI: {auth: {ntlm: {user: a}}}", "argument 'password'"),
        ("- enrich.PI: {auth: {negotiate: {protocol: x}}}", "allowed: negotiate, k"),
        ("- enrich.PI: {auth: ntlm}", "this is 'ntlm'; allowed: "),
        ("- log.Log: {retry: {atempts: 3}}", "did you mean 'attempts'?"),
        ("- log.Log: {store_meta: lane}", "this is 'lane'; allowed: a list"),
        ("- log.Log: {store_meta: [1]}", "store_meta[0]: this is 1, and no text"),
        ("- filter.Samples: {predicate: vale > 3}", "did you mean 'value'?, at column"),
        ("- filter.Samples: {predicate: 3}", "an expression about a sample, or"),
        ("- python.Function: {function: 'payload'}", "{python: module.name} that n"),
        ("- python.Function: {function: {python: os.system}}", "no module of this pro"),
        ("- python.Function: {function: {python: own.f}}", "no module of this project"),
        ("- python.Function: {function: {python: 3}}", "this is no dotted name"),
        ("- enrich.Table: {table: t.csv, types: {a: flot}}", "float, int, str, or"),
        ("- python.MessageFunction: {function: payload}", "this is 'payload'; allowed"),
    ],
)
def test_nodes(folder: Folder, nodes: str, told: str) -> None:
    assert told in "\n".join(folder.chain_problems(nodes))


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ("- fork: {requird: true}", "there is no 'requird' here; did you mean 'requ"),
        ("- fork: 3", "fork: this is 3; allowed: a mapping"),
        ("- fork: {nodes: log.Log}", "this is 'log.Log'; allowed: a list, each item"),
        (
            "- when: {nodes: [log.Log]}",
            "the condition is missing; allowed: if: an",
        ),
        ("- when: {if: value > 3}", "a message has no 'value'"),
        ("- when: {if: payload > 3, each: true}", "a sample has no 'payload'"),
        ("- when: {if: 3}", "true or false or an expression about a message"),
        ("- when: {if: 'open(1)'}", "the function 'open' cannot be used here"),
        ("- case: {each: true}", "a case needs branches"),
        ("- case: {branches: [{nodes: []}]}", "the condition is missing"),
        ("- case: {branches: [3]}", "branches[0]: this is 3; allowed: a mapping"),
        (
            "- case: {branches: [{if: true, name: x}, {if: true, name: x}]}",
            "case got a name twice",
        ),
    ],
)
def test_branches(folder: Folder, nodes: str, told: str) -> None:
    assert told in "\n".join(folder.chain_problems(nodes))


def test_all_problems_are_told_at_once(folder: Folder) -> None:
    folder.write("channels/b.yaml", "channel: []")
    problems = folder.chain_problems("- decode.IP\n- log.Log: {x: 1, samples: y}\n")
    assert [problem.partition(": ")[0] for problem in problems] == [
        "channels/a.yaml:4",
        "channels/a.yaml:5",
        "channels/a.yaml:5",
        "channels/b.yaml:1",
        "channels/b.yaml:1",
    ]


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("chanels/*.yaml", "settings.py: CHANNELS[0]: no file is there (found 'chan"),
        ("channels/aa.yaml", "no file is there; did you mean 'channels/a.yaml'?"),
    ],
)
def test_a_pattern_that_finds_nothing(folder: Folder, pattern: str, told: str) -> None:
    folder.write("settings.py", f"CHANNELS = [{pattern!r}]")
    assert told in folder.problems("channels: [{name: a}]")[0]


def test_a_name_that_python_has_too(folder: Folder) -> None:
    folder.write(
        "settings.py",
        "from pichannels.channels import BaseChannel\n"
        "CHANNELS = ['channels/a.yaml', BaseChannel('a')]\n",
    )
    (problem,) = folder.problems("channels: [{name: x}, {name: a}]")
    assert "CHANNELS[1]: CHANNELS[0] has a channel 'a' too" in problem


def test_a_module_of_the_project_that_fails(folder: Folder) -> None:
    folder.write("nodes/own_broken.py", "import json\n\n1 / 0\n")
    (problem,) = folder.chain_problems("- own_broken.Node")
    assert "own_broken.py:3): ZeroDivisionError" in problem


def test_a_module_of_the_project_that_is_no_python(folder: Folder) -> None:
    folder.write("nodes/own_syntax.py", "x = 1\ndef\n")
    (problem,) = folder.chain_problems("- own_syntax.Node")
    assert "own_syntax.py:2: SyntaxError" in problem


def test_a_constructor_that_fails_in_its_own_way(folder: Folder) -> None:
    folder.write(
        "nodes/own_odd.py",
        "from pichannels.node import BaseNode\n"
        "class Odd(BaseNode):\n"
        "    def __init__(self):\n"
        "        raise KeyError('x')\n",
    )
    (problem,) = folder.chain_problems("- own_odd.Odd")
    assert "a.yaml:4: channels[0].nodes[0]: KeyError: 'x'" in problem


def test_no_secret_is_shown(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PI_PASSWORD", "pa55w0rd")
    problems = folder.chain_problems("- log.Log: {samples: '${env:PI_PASSWORD}'}")
    assert "found 'Secret(env:PI_PASSWORD)'" in problems[0]
    assert "pa55w0rd" not in problems[0]
