"""Channels from YAML are what Python would have made."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from msgstore.memory import MemoryMessageStoreFactory
from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode, publish
from pichannels.channels.base import BaseChannel
from pichannels.channels.branches import Case, Fork, When
from pichannels.channels.pi import CoverageOptions, PIWebChannel
from pichannels.delivery import Outcome
from pichannels.errors import Dropped, NotConnected
from pichannels.expressions import parse_expression
from pichannels.fingerprint import options_of
from pichannels.message import Message
from pichannels.piwebasync.auth import (
    NTLM,
    Basic,
    Bearer,
    ClientCredentials,
    Negotiate,
)
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from pichannels.values import Sample, Tag

if TYPE_CHECKING:
    from tests.unit.declarative.conftest import Folder


def outcomes(channel: BaseChannel, *messages: Message) -> list[Outcome]:
    """What becomes of messages, one after the other."""

    async def run() -> list[Outcome]:
        await channel.start()
        found = [await channel.run(msg) for msg in messages]
        await channel.stop()
        return found

    return asyncio.run(run())


PI = """
channels:
- name: plant
  lanes: 2
  key: meta['tag']
  retry: {attempts: 3, initial: 1}
  source:
    pi:
      url: https://pi.example.com/piwebapi
      tags: [A, 'B*']
      auth: [joe, '${env:PI_PASSWORD}']
      headers: {X-Key: 'k ${file:secrets/key}'}
      heartbeat: 3
  store: {sqlite: {durability: normal}}
"""


CLIENT = """{client_credentials: {token_url: 'https://id/token', client_id: pi,
        client_secret: '${env:P}', scope: pi}}"""
CREDENTIALS = ClientCredentials("https://id/token", "pi", Secret.env("P"), "pi")
NEGOTIATE = Negotiate("me", Secret.env("P"), protocol="kerberos")


def test_a_source_and_its_options(folder: Folder) -> None:
    (channel,) = folder.declare(PI).channels
    assert isinstance(channel, PIWebChannel)
    options = options_of(channel)
    assert options["tags"] == ["A", "B*"]
    assert options["auth"] == ("joe", Secret.env("PI_PASSWORD"))
    assert (options["heartbeat"], channel.name) == (3, "plant")


@pytest.mark.parametrize(
    ("written", "login"),
    [
        (
            "{negotiate: {user: me, password: '${env:P}', protocol: kerberos}}",
            NEGOTIATE,
        ),
        ("negotiate", Negotiate()),
        ("{negotiate: }", Negotiate()),
        ("{ntlm: {user: 'A\\b', password: '${env:P}'}}", NTLM("A\\b", Secret.env("P"))),
        ("{basic: {user: me, password: '${env:P}'}}", Basic("me", Secret.env("P"))),
        ("{bearer: {token: '${env:P}'}}", Bearer(Secret.env("P"))),
        (CLIENT, CREDENTIALS),
        ("{Authorization: '${env:P}'}", {"Authorization": Secret.env("P")}),
    ],
)
def test_a_source_may_log_in_in_all_ways(
    folder: Folder, written: str, login: object
) -> None:
    text = PI.replace("[joe, '${env:PI_PASSWORD}']", written)
    (channel,) = folder.declare(text).channels
    assert options_of(channel)["auth"] == login


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{settle: 30, repair: false}", CoverageOptions(settle=30.0, repair=False)),
        ("false", False),
    ],
)
def test_how_a_ledger_is_kept_is_a_mapping(
    folder: Folder, written: str, meant: object
) -> None:
    text = PI.replace("heartbeat: 3", f"coverage: {written}")
    assert options_of(folder.declare(text).channels[0])["coverage"] == meant


def test_options_of_every_channel(folder: Folder) -> None:
    options = options_of(folder.declare(PI).channels[0])
    assert options["key"](Message(meta={"tag": "x"})) == "x"
    assert options["retry"] == RetryPolicy(attempts=3, initial=1.0)
    assert options["lanes"] == 2


def test_a_secret_file_is_relative_to_the_settings(folder: Folder) -> None:
    headers = options_of(folder.declare(PI).channels[0])["headers"]
    folder.write("secrets/key", "1234\n")
    assert headers["X-Key"].reveal() == "k 1234"


def test_a_store_with_options(folder: Folder) -> None:
    factory = folder.declare(PI).channels[0].message_store_factory
    assert isinstance(factory, SQLiteMessageStoreFactory)
    assert options_of(factory) == {"durability": "normal"}


def test_equal_stores_share_their_file(folder: Folder) -> None:
    project = folder.declare(
        "channels:\n"
        "- {name: a, store: {sqlite: {path: x.db}}}\n"
        "- {name: b, store: {sqlite.SQLiteMessageStoreFactory: {path: x.db}}}\n"
        "- {name: c, store: {sqlite: {path: y.db}}}\n"
    )
    a, b, c = (channel.message_store_factory for channel in project.channels)
    assert a is b and a is not c


def test_a_channel_without_a_source_or_nodes(folder: Folder) -> None:
    (channel,) = folder.declare("channels: [{name: a}]").channels
    assert (type(channel).__name__, channel.steps) == ("BaseChannel", [])


def test_several_files_in_order_beside_channels_of_python(folder: Folder) -> None:
    for name in ("b", "a"):
        folder.write(f"channels/{name}.yaml", f"channels: [{{name: {name}}}]")
    folder.write(
        "settings.py",
        "from pathlib import Path\n"
        "from pichannels.channels import BaseChannel\n"
        "CHANNELS = [BaseChannel('x'), 'channels/*.yaml', BaseChannel('y')]\n",
    )
    project = folder.load()
    assert [channel.name for channel in project.channels] == ["x", "a", "b", "y"]
    assert project.files == [folder.path / "channels" / f"{n}.yaml" for n in "ab"]


def test_a_file_that_two_entries_name_is_read_once(folder: Folder) -> None:
    folder.write("channels/a.yaml", "channels: [{name: a}]")
    folder.write(
        "settings.py",
        "from pathlib import Path\n"
        "CHANNELS = [Path('channels/a.yaml'), 'channels/*.yaml']\n",
    )
    assert [channel.name for channel in folder.load().channels] == ["a"]


# Nodes


def test_nodes_with_and_without_options(folder: Folder) -> None:
    channel = folder.chain("- decode.PI\n- nodes.publish.Console: {name: shown}\n")
    assert [type(step) for step in channel.steps] == [decode.PI, publish.Console]
    assert [step.name for step in channel.steps] == ["PI", "shown"]


def test_paths_are_relative_to_the_settings(folder: Folder) -> None:
    node = folder.chain("- publish.File: {path: out/values.jsonl}").get_node("File")
    assert isinstance(node, publish.File)
    assert node.path == folder.path / "out" / "values.jsonl"


def test_a_node_of_the_project(folder: Folder) -> None:
    folder.write(
        "nodes/boiler.py",
        "from pichannels.node import BaseNode\n"
        "class ToKelvin(BaseNode):\n"
        "    def __init__(self, offset: float = 273.15, **options):\n"
        "        super().__init__(**options)\n"
        "        self.offset = offset\n",
    )
    channel = folder.chain("- nodes.boiler.ToKelvin: {offset: 1}\n- boiler.ToKelvin")
    first, second = channel.nodes()
    assert (vars(first)["offset"], vars(second)["offset"]) == (1.0, 273.15)


def test_a_condition_is_an_expression(folder: Folder) -> None:
    channel = folder.chain("""
- filter.Where: {predicate: "meta['kind'] == 'x'"}
""")
    kept, dropped = outcomes(
        channel, Message(payload=1, meta={"kind": "x"}), Message(payload=2)
    )
    assert (kept.error, type(dropped.error)) == (None, Dropped)


def test_a_function_of_the_project(folder: Folder) -> None:
    folder.write("own_functions.py", "def double(payload):\n    return payload * 2\n")
    channel = folder.chain("""
- python.Function:
    function: {python: own_functions.double}
""")
    assert [step.name for step in channel.steps] == ["double"]


def test_a_variable_gives_a_number(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH", "7")
    channel = folder.chain("""
- publish.HTTP:
    url: 'http://${HOST_OF_TEST:-localhost}/'
    batch: ${BATCH}
    timeout: ${TIMEOUT_OF_TEST:-1.5}
""")
    (node,) = channel.nodes()
    assert options_of(node) == {
        "url": "http://localhost/",
        "batch": 7,
        "timeout": 1.5,
    }


def test_anchors_and_merges_are_plain_yaml(folder: Folder) -> None:
    channel = folder.chain("""
- publish.Console: &shown {name: one, queue_lines: 5}
- publish.Console: {<<: *shown, name: two}
""")
    assert [options_of(node) for node in channel.nodes()] == [
        {"name": "one", "queue_lines": 5},
        {"name": "two", "queue_lines": 5},
    ]


# Branches

BRANCHES = """
- fork: {name: f, required: false, store: memory, nodes: [log.Log]}
- when:
    if: value > 5
    each: true
    nodes: [log.Log]
- case:
    branches:
    - {if: "meta['a'] == 1", name: one, nodes: [log.Log]}
    - {if: true, nodes: [log.Log, {fork: {nodes: [log.Log]}}]}
"""


def test_branches(folder: Folder) -> None:
    fork, when, case = folder.chain(BRANCHES).steps
    assert isinstance(fork, Fork) and isinstance(when, When) and isinstance(case, Case)
    assert (fork.required, fork.channels[0].name) == (False, "a.f")
    assert isinstance(fork.channels[0].message_store_factory, MemoryMessageStoreFactory)
    assert (when.each, when.condition) == (
        True,
        parse_expression("value > 5", "sample"),
    )
    assert [sub.name for sub in case.channels] == ["a.one", "a.case1"]
    assert case.conditions == [parse_expression("meta['a'] == 1", "message"), True]


def test_branches_in_branches(folder: Folder) -> None:
    names = [node.fullpath() for node in folder.chain(BRANCHES).nodes()]
    assert names == [
        "a.f.Log",
        "a.when.Log",
        "a.one.Log",
        "a.case1.Log",
        "a.case1.fork.Log",
    ]


def test_a_batch_is_split_by_an_expression(folder: Folder) -> None:
    folder.write(
        "nodes/own_sink.py",
        "from pichannels.node import BaseNode\n"
        "class Sink(BaseNode):\n"
        "    def process(self, msg):\n"
        "        self.got = [sample.value for sample in msg.payload]\n"
        "        return msg\n",
    )
    channel = folder.chain("""
- when: {if: is_number and value > 5, each: true, nodes: [own_sink.Sink: {name: high}]}
- own_sink.Sink: {name: low}
""")
    batch = [Sample(Tag("t"), 10**16 + n, n) for n in (1, 9, 3, 7)]
    outcomes(channel, Message(payload=batch))
    high, low = (vars(node)["got"] for node in channel.nodes())
    assert (high, low) == ([9, 7], [1, 3])


def test_lines_of_parts_are_known(folder: Folder) -> None:
    project = folder.declare("channels:\n- name: a\n  nodes:\n  - log.Log\n")
    file = Path(folder.path, "channels", "a.yaml")
    assert project.origins == {"a": f"{file}:2", "a.Log": f"{file}:4"}


SOURCES = """\
from pichannels.channels.base import BaseChannel

class Every(BaseChannel):
    def __init__(self, *args, seconds: float, unit: str, **options):
        super().__init__(*args, **options)
        self.seconds = seconds

class Hourly(Every):
    def __init__(self, *args, offset: float = 0.0, **options):
        super().__init__(*args, seconds=3600.0, **options)
        self.offset = offset
"""


def test_a_class_may_give_options_of_the_one_above(folder: Folder) -> None:
    folder.write("own_sources.py", SOURCES)
    project = folder.declare(
        "channels: [{name: a, source: {own_sources.Hourly: {offset: 5, unit: s}}}]"
    )
    facts = vars(project.channels[0])
    assert (facts["seconds"], facts["offset"]) == (3600.0, 5.0)


def test_what_it_does_not_give_is_missed_by_its_constructor(folder: Folder) -> None:
    folder.write("own_sources.py", SOURCES)
    (problem,) = folder.problems("channels: [{name: a, source: own_sources.Hourly}]")
    assert "missing 1 required keyword-only argument: 'unit'" in problem


def test_special_nodes_stand_beside_the_chain(folder: Folder) -> None:
    (channel,) = folder.declare("""
channels:
- name: a
  init_nodes: [decode.JSON]
  nodes:
  - when: {if: true, name: b, fail_nodes: [log.Log: {name: c}]}
  - case: {branches: [{if: true, final_nodes: [log.Log]}]}
  final_nodes: [log.Log]
  fail_nodes: [log.Log, log.Log: {name: last}]
""").channels
    when, case = channel.subchannels()
    assert [node.name for node in channel.own_nodes()] == [
        *("JSON", "Log", "last", "Log_2")
    ]
    assert when.special["fail"][0].name == "c" and len(case.special["final"]) == 1


def test_no_branch_stands_among_special_nodes(folder: Folder) -> None:
    text = "channels: [{name: a, fail_nodes: [fork: {nodes: [log.Log]}]}]"
    assert "no node 'fork'" in "\n".join(folder.problems(text))


def test_exceptions_are_named(folder: Folder) -> None:
    channel = folder.chain("""
- log.Log: {pause_on: [OSError, NotConnected]}
- log.Log: {retry: {errors: [ValueError]}}
""")
    first, second = channel.nodes()
    assert first.pause_on == (OSError, NotConnected)
    assert second.retry.errors == (ValueError,)


def test_an_exception_that_is_none_is_told(folder: Folder) -> None:
    told = folder.chain_problems("- log.Log: {pause_on: [OSErorr]}")
    assert "no exception 'OSErorr'; did you mean 'OSError'?" in "\n".join(told)
