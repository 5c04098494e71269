"""A plan names what differs between two settings, and only that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pichannels.project import load
from pichannels.reload.definition import define
from pichannels.reload.plan import ReloadReport, compare

SETTINGS = """\
from msgstore.memory import MemoryMessageStoreFactory
from nodes import filter, log
from nodes.python import Function
from pichannels.channels import BaseChannel
from pichannels.channels.pi import PIWebChannel
from pichannels.node import BaseNode

limit = 5


def is_big(msg):
    return msg.payload > limit


class Doubled(BaseNode):
    def process(self, msg):
        msg.payload *= 2
        return msg


a = BaseChannel("a", drain_timeout=5)
a.add(Doubled(name="doubled"), log.Log(name="log"))
a.when(is_big, "big").add(Function(lambda payload: payload + 1, name="one"))
a.fork("copy", MemoryMessageStoreFactory())
b = BaseChannel("b").add(Doubled())
pi = PIWebChannel("pi", url="https://pi/piwebapi", tags=["X", "Y"], auth=("me", "pw"))
CHANNELS = [a, b, pi]
"""

Plan = Callable[..., ReloadReport]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """What is planned where each text of the settings becomes another one."""
    file = tmp_path / "settings.py"

    def made(*changes: tuple[str, str], more: str = "") -> ReloadReport:
        file.write_text(SETTINGS)
        old = define(load(file))
        text = SETTINGS
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        file.write_text(text + more)
        return compare(old, define(load(file)))

    return made


def kinds(report: ReloadReport) -> dict[str, str]:
    return {change.name: change.kind for change in report.channels}


def test_the_same_settings_change_nothing(plan: Plan) -> None:
    report = plan()
    assert (report.is_empty, report.unchanged) == (True, ["a", "b", "pi"])


def test_comments_and_moved_lines_change_nothing(plan: Plan) -> None:
    assert plan(("limit = 5", "# how much\n\n\nlimit = 5")).is_empty


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("drain_timeout=5", "drain_timeout=6", "drain_timeout: 5 -> 6"),
        ('name="log"', 'name="log", level="DEBUG"', "log.level: 20 -> 'DEBUG'"),
        ("limit = 5", "limit = 6", "big.condition: is_big() has changed"),
        ("payload + 1", "payload + 2", "big.one.function: <lambda>() has changed"),
        (
            "Factory())",
            "Factory(9))",
            "copy.message_store_factory: a MemoryMessageStoreFactory has changed",
        ),
        ('fork("copy",', 'fork("copy", required=False, message_store_factory=', ""),
        ("CHANNELS =", "a.steps.reverse()\nCHANNELS =", ""),
        ("CHANNELS =", "a.add(log.Log())\nCHANNELS =", ""),
        ("CHANNELS =", "a.drain_timeout = 7\nCHANNELS =", ""),
    ],
)
def test_what_differs_is_told(plan: Plan, before: str, after: str, words: str) -> None:
    report = plan((before, after))
    assert kinds(report) == {"a": "changed"}
    assert words in ("", *report.channels[0].differences)


def test_a_class_of_the_settings_changes_all_channels_with_it(plan: Plan) -> None:
    assert kinds(plan(("*= 2", "*= 3"))) == {"a": "changed", "b": "changed"}


def test_channels_come_and_go(plan: Plan) -> None:
    report = plan(("[a, b, pi]", '[a, pi, BaseChannel("c")]'))
    assert kinds(report) == {"b": "removed", "c": "added"}


def test_the_order_of_channels_is_no_change_of_them(plan: Plan) -> None:
    assert plan(("[a, b, pi]", "[pi, b, a]")).is_empty


def test_tags_alone_change_in_the_running_channel(plan: Plan) -> None:
    change = plan(('["X", "Y"]', '["Y", "Z", "W"]')).channels[0]
    assert (change.name, change.kind, change.differences) == (
        "pi",
        "tags",
        ["tags: +2/-1"],
    )


def test_tags_beside_other_options_need_another_channel(plan: Plan) -> None:
    report = plan(('["X", "Y"], ', '["X"], heartbeat=2, '))
    assert kinds(report) == {"pi": "changed"}
    assert report.channels[0].differences == ["heartbeat: 2 added", "tags: +0/-1"]


def test_a_password_is_compared_and_not_shown(plan: Plan) -> None:
    report = plan(('"pw"', '"other"'))
    assert report.channels[0].differences == ["auth: (not shown) has changed"]


USING = """
from nodes.python import MessageFunction
user = BaseChannel("user").add(MessageFunction(lambda msg: b.handle(msg)))
CHANNELS.append(user)
"""


def test_channels_that_refer_to_each_other_change_together(plan: Plan) -> None:
    report = plan(more=USING)
    assert kinds(report) == {"b": "changed", "user": "added"}
    assert report.channels[0].differences == ["goes together with 'user'"]


def test_settings_that_take_effect_are_told(plan: Plan) -> None:
    report = plan(more="DRAIN_TIMEOUT = 5\n")
    assert report.settings == {"DRAIN_TIMEOUT": "DRAIN_TIMEOUT: 30.0 -> 5.0"}


@pytest.mark.parametrize(
    "setting",
    [
        "DATA_DIR = 'other'",
        "JOURNAL = {'retention_days': 1}",
        "CONTROL = False",
        "SIMULATOR = True",
    ],
)
def test_what_is_read_at_the_start_needs_a_restart(plan: Plan, setting: str) -> None:
    name = setting.split()[0]
    assert plan(more=setting).restart == [f"{name} is read at the start only"]


def test_changed_code_needs_a_restart(plan: Plan, tmp_path: Path) -> None:
    same = define(load(tmp_path / "settings.py")) if plan() else None
    assert same is not None
    report = compare(same, same, ["nodes/boiler.py"])
    assert report.restart == ["nodes/boiler.py has changed"]
    assert not report.is_empty


YAML = """\
channels:
  - name: boiler
    nodes:
      - when: {if: payload > 80, name: hot, nodes: [log.Log]}
"""


def test_channels_in_yaml_are_compared_too(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text("CHANNELS = ['boiler.yaml']\n")
    (tmp_path / "boiler.yaml").write_text(YAML)
    old = define(load(tmp_path / "settings.py"))
    assert compare(old, define(load(tmp_path / "settings.py"))).is_empty
    (tmp_path / "boiler.yaml").write_text(YAML.replace("80", "90"))
    report = compare(old, define(load(tmp_path / "settings.py")))
    assert report.channels[0].differences == ["hot.condition: a Expression has changed"]


MERGED = """\
from nodes import log
from pichannels.channels.merge import MergeChannel
from pichannels.channels.timer import TimerChannel

timer = TimerChannel("timer", interval=60)
timer.add(log.Log(level="INFO"))
CHANNELS = [MergeChannel("merged", chans=[timer])]
"""


@pytest.mark.parametrize(
    "change", [("60", "30"), ("INFO", "DEBUG"), ("timer.add", "#")]
)
def test_inputs_of_a_merged_channel_are_a_part_of_it(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    file = tmp_path / "settings.py"
    file.write_text(MERGED)
    old = define(load(file))
    assert compare(old, define(load(file))).is_empty
    file.write_text(MERGED.replace(*change))
    (changed,) = compare(old, define(load(file))).channels
    assert (changed.name, changed.kind) == ("merged", "changed")
