"""The rules of `check --strict`: what they find, and what they leave alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from msgstore.memory import MemoryMessageStoreFactory
from nodes import decode, filter, log, publish, python
from pichannels.channels.base import BaseChannel
from pichannels.config import SettingsProblems
from pichannels.errors import UsageError
from pichannels.expressions import parse_expression
from pichannels.lints import RULES, lint
from pichannels.message import Message
from pichannels.project import Project, load
from pichannels.values import DigitalState, Sample

YAML = """\
channels:
- name: a
  nodes:
  - when: {if: true, name: all}
  - log.Log
"""


def found(*channels: BaseChannel, code: str | None = None) -> list[str]:
    """Code and place of what is odd."""
    findings = lint(Project(channels))
    return [f"{f.code} {f.what}" for f in findings if code in (None, f.code)]


def write(folder: Path, settings: str, **files: str) -> Project:
    (folder / "settings.py").write_text(settings)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return load(folder / "settings.py")


def is_state(sample: Sample) -> bool:
    return isinstance(sample.value, DigitalState)


def is_hot(sample: Sample) -> bool:
    return bool(sample.value > 80)


# PC101


@pytest.mark.parametrize("kind", ["fork", "when", "case"])
def test_a_branch_without_nodes_is_found(kind: str) -> None:
    channel = BaseChannel("a")
    conditions = {"fork": (), "when": (is_hot,), "case": (is_hot,)}[kind]
    getattr(channel, kind)(*conditions)
    channel.add(log.Log())
    assert [f.split()[0] for f in found(channel)] == ["PC101"]


def test_a_branch_that_keeps_messages_is_used() -> None:
    channel = BaseChannel("a")
    channel.fork("kept", MemoryMessageStoreFactory())
    assert found(channel) == []


# PC102


def sink() -> publish.HTTP:
    return publish.HTTP("http://x/", name="sink")


def test_a_sink_that_may_get_states_is_found() -> None:
    assert found(BaseChannel("a").add(decode.PI(), sink())) == ["PC102 a.sink"]


def test_messages_that_are_not_decoded_have_no_states() -> None:
    assert found(BaseChannel("a").add(decode.JSON(), sink())) == []


def test_a_file_takes_states_as_they_are() -> None:
    assert found(BaseChannel("a").add(decode.PI(), publish.File("x"))) == []


@pytest.mark.parametrize(
    "policy",
    [
        filter.SystemStates("keep"),
        filter.Quality(),
        filter.Samples(lambda sample: not sample.is_system),
        filter.Samples(parse_expression("is_number", "sample")),
    ],
    ids=["states", "quality", "function", "expression"],
)
def test_a_policy_before_the_sink_is_enough(policy: Any) -> None:
    assert found(BaseChannel("a").add(decode.PI(), policy, sink())) == []


@pytest.mark.parametrize(
    "other", [filter.Quality(good=None), filter.Samples(is_hot), log.Log()]
)
def test_other_nodes_are_no_policy(other: Any) -> None:
    assert found(BaseChannel("a").add(decode.PI(), other, sink())) == ["PC102 a.sink"]


def test_a_branch_for_states_is_a_policy_for_what_follows() -> None:
    channel = BaseChannel("a").add(decode.PI())
    channel.when(is_state, each=True).add(log.Log())
    channel.add(sink())
    assert found(channel) == []


def test_a_policy_in_a_branch_is_none_for_the_others() -> None:
    channel = BaseChannel("a").add(decode.PI())
    channel.fork("f").add(filter.SystemStates(), sink())
    channel.add(publish.Call(print, name="last"))
    assert found(channel) == ["PC102 a.last"]


def test_the_conditions_of_a_case_are_policies_for_their_branches() -> None:
    channel = BaseChannel("a").add(decode.PI())
    state, hot = channel.case(is_state, is_hot, names=["state", "hot"], each=True)
    state.add(sink())
    hot.add(sink())
    assert found(channel) == ["PC102 a.hot.sink"]


# PC103

CLEAR = """\
from nodes import publish
from pichannels.channels import BaseChannel
CONTROL = {"token": "0123456789abcdef"}
password: str = "hunter2"
a = BaseChannel("a").add(
    publish.HTTP("http://x/", auth=("joe", "hunter2"), headers={
        "X-Plant": "1",
        "X-Api-Key": "hunter2",
    }),
    publish.HTTP("http://joe:hunter2@x/"),
)
CHANNELS = [a]
"""
REFERRED = """\
import os
from nodes import publish
from pichannels.channels import BaseChannel
from pichannels.secrets import Secret
CONTROL = {"token": os.environ.get("NO_SUCH_TOKEN") or ""}
password = Secret.env("PI_PASSWORD")
author, key, tokens = "joe", "x", 3
a = BaseChannel("a").add(
    publish.HTTP("http://x:80/a@b", auth=("joe", password), headers={"X-Plant": "1"})
)
CHANNELS = [a]
"""
CLEAR_YAML = """\
channels:
- name: a
  nodes:
  - publish.HTTP:
      url: http://joe:hunter2@x/
      auth: [joe, hunter2]
      headers:
        Authorization: Bearer hunter2
  - publish.HTTP:
      url: http://x/
      auth: [joe, '${env:PI_PASSWORD}']
      headers: {X-Plant: a, Authorization: 'Bearer ${env:PI_TOKEN}'}
"""


def lines(project: Project, code: str = "PC103") -> list[tuple[str, int]]:
    places = [f.where.rsplit(":", 1) for f in lint(project) if f.code == code]
    return sorted((Path(file).name, int(line)) for file, line in places)


LOGINS = """\
from pichannels.channels import BaseChannel
from pichannels.piwebasync import auth
from pichannels.piwebasync.auth import ClientCredentials
from pichannels.secrets import Secret
CHANNELS = [BaseChannel("a")]
one = auth.NTLM("joe", "hunter2")
two = ClientCredentials("https://id/token", "pi", "hunter2")
three = auth.Negotiate("joe", password="hunter2")
four = auth.Bearer(Secret.env("TOKEN"))
five = ClientCredentials(
    token_url="https://id/token", client_id="pi", client_secret=Secret.env("X")
)
"""
LOGINS_YAML = """\
channels:
- name: a
  nodes:
  - enrich.PI: {url: 'http://x', auth: {ntlm: {user: joe, password: hunter2}}}
  - enrich.PI:
      url: http://x
      auth:
        client_credentials:
          token_url: https://id/token
          client_id: pi
          client_secret: '${env:X}'
"""


def test_secrets_in_logins_are_found(tmp_path: Path) -> None:
    assert lines(write(tmp_path, LOGINS)) == [("settings.py", n) for n in (6, 7, 8)]


def test_secrets_in_logins_are_found_in_yaml(tmp_path: Path) -> None:
    project = write(tmp_path, "CHANNELS = ['a.yaml']", a=LOGINS_YAML)
    assert lines(project) == [("a.yaml", 4)]


def test_secrets_in_clear_are_found_in_python(tmp_path: Path) -> None:
    assert lines(write(tmp_path, CLEAR)) == [
        ("settings.py", line) for line in (3, 4, 6, 8, 10)
    ]


def test_references_in_python_are_left_alone(tmp_path: Path) -> None:
    assert lines(write(tmp_path, REFERRED)) == []


def test_secrets_in_clear_are_found_in_yaml(tmp_path: Path) -> None:
    project = write(tmp_path, "CHANNELS = ['a.yaml']", a=CLEAR_YAML)
    assert lines(project) == [("a.yaml", line) for line in (5, 6, 8)]


def test_modules_of_the_project_are_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_lint_channels.py").write_text(CLEAR)
    project = write(tmp_path, "from own_lint_channels import CHANNELS")
    assert {file for file, _ in lines(project)} == {"own_lint_channels.py"}


def test_a_finding_shows_no_secret(tmp_path: Path) -> None:
    project = write(tmp_path, CLEAR.replace("['a']", ""))
    assert not any("hunter2" in str(finding) for finding in lint(project))


# PC104


@pytest.mark.parametrize("always", [True, parse_expression("1 < 2", "message")])
def test_what_follows_a_when_that_is_always_true_is_found(always: Any) -> None:
    channel = BaseChannel("a")
    channel.when(always).add(log.Log())
    channel.add(log.Log(name="first"), log.Log(name="second"))
    assert found(channel) == ["PC104 a.first"]


def test_a_function_may_be_false() -> None:
    channel = BaseChannel("a")
    channel.when(lambda msg: True).add(log.Log())
    assert found(channel.add(log.Log())) == []


def test_branches_of_a_case_that_are_never_taken_are_found() -> None:
    channel = BaseChannel("a")
    conditions = (is_hot, False, is_hot, True, is_state)
    for branch in channel.case(*conditions):
        branch.add(log.Log())
    assert found(channel) == ["PC104 a.case1", "PC104 a.case2", "PC104 a.case4"]


def test_equal_expressions_take_the_same() -> None:
    channel = BaseChannel("a")
    twice = [parse_expression("meta['x'] == 1", "message") for _ in range(2)]
    for branch in channel.case(*twice):
        branch.add(log.Log())
    assert found(channel) == ["PC104 a.case1"]


# All rules


def test_findings_of_yaml_have_their_lines(tmp_path: Path) -> None:
    project = write(tmp_path, "CHANNELS = ['a.yaml']", a=YAML)
    assert [str(finding).partition(": ")[0] for finding in lint(project)] == [
        f"{tmp_path / 'a.yaml'}:4",
        f"{tmp_path / 'a.yaml'}:5",
    ]


def test_a_rule_can_be_ignored() -> None:
    channel = BaseChannel("a")
    channel.fork()
    assert lint(Project([channel]), ignore=["PC101"]) == []


def test_a_rule_that_is_none_is_told() -> None:
    with pytest.raises(UsageError, match="did you mean 'PC101'.*there are: PC101, "):
        lint(Project([BaseChannel("a")]), ignore=["PC1O1"])


def test_a_project_without_oddities_has_no_findings() -> None:
    async def store(msg: Message) -> None:
        return

    channel = BaseChannel("a").add(decode.PI(), filter.SystemStates("drop"))
    channel.when(is_hot, "hot", each=True).add(publish.Call(store))
    channel.add(python.Function(len))
    assert found(channel) == []


def test_each_rule_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "lints.md").read_text("utf-8")
    assert [r.code for r in RULES if f"## {r.code}: {r.name}" not in text] == []


# What does not count


IGNORING = """\
channels:
- name: a
  ignore_lints: [PC104, PC103]
  source: {pi: {url: https://pi.test/piwebapi, tags: X, auth: [me, s3cret]}}
  nodes:
  - when: {if: true, name: all, ignore_lints: [PC101]}
  - log.Log
- name: b
  nodes:
  - fork: {name: empty}
  - case:
      branches:
      - {if: true, name: empty2, ignore_lints: [PC101]}
"""


def test_rules_do_not_count_where_the_file_says_so(tmp_path: Path) -> None:
    project = write(tmp_path, "CHANNELS = ['a.yaml']", a=IGNORING)
    assert [f"{f.code} {f.what}" for f in lint(project)] == ["PC101 b.empty"]


def test_without_that_they_count(tmp_path: Path) -> None:
    text = re.sub(r",? *ignore_lints: \[.*?\]", "", IGNORING)
    project = write(tmp_path, "CHANNELS = ['a.yaml']", a=text)
    assert sorted(f.code for f in lint(project)) == [
        *("PC101", "PC101", "PC101", "PC103", "PC104")
    ]


@pytest.mark.parametrize("given", ["[PC1O1]", "[[PC101]]", "PC101"])
def test_what_is_no_rule_cannot_be_ignored(tmp_path: Path, given: str) -> None:
    text = f"channels:\n- {{name: a, ignore_lints: {given}}}\n"
    with pytest.raises(SettingsProblems, match="ignore_lints"):
        write(tmp_path, "CHANNELS = ['a.yaml']", a=text)


def test_the_nearest_rule_is_offered(tmp_path: Path) -> None:
    text = "channels:\n- {name: a, ignore_lints: [PC1O1]}\n"
    with pytest.raises(SettingsProblems, match="did you mean 'PC101'"):
        write(tmp_path, "CHANNELS = ['a.yaml']", a=text)
