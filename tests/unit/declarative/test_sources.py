"""Channels that take others, or a broker, from YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jsonschema
import yaml

from pichannels.channels.kafka import KafkaChannel
from pichannels.channels.merge import MergeChannel
from pichannels.channels.mqtt import MQTTChannel
from pichannels.channels.timer import TimerChannel
from pichannels.declarative.catalogue import Catalogue
from pichannels.declarative.schema import schema_of
from pichannels.fingerprint import options_of
from pichannels.secrets import Secret

if TYPE_CHECKING:
    from tests.unit.declarative.conftest import Folder

MERGED = """
channels:
- name: readings
  lanes: 1
  source:
    merge:
      chans:
      - name: polled
        source: {timer: {interval: 60}}
      - name: pushed
        drain_timeout: 3
        nodes: [decode.JSON]
        source:
          mqtt:
            url: mqtts://broker.plant
            topics: {plant/alarms: 2, plant/+/meters/#: 1}
            password: ${env:MQTT_PASSWORD}
  nodes: [log.Log]
"""


def test_a_merged_channel_declares_its_inputs(folder: Folder) -> None:
    project = folder.declare(MERGED)
    (channel,) = project.channels
    assert isinstance(channel, MergeChannel)
    polled, pushed = channel.inputs
    assert isinstance(polled, TimerChannel) and isinstance(pushed, MQTTChannel)
    assert pushed.filters == {"plant/alarms": 2, "plant/+/meters/#": 1}
    assert options_of(pushed)["password"] == Secret.env("MQTT_PASSWORD")
    assert [each.name for each in project.all_channels()] == [
        "readings",
        "polled",
        "pushed",
    ]
    assert (pushed.drain_timeout, pushed.steps[0].name) == (3, "JSON")
    assert project.origins["pushed"].endswith("a.yaml:10")


def test_what_is_wrong_with_an_input_is_told_with_its_line(folder: Folder) -> None:
    text = MERGED.replace("interval: 60", "interval: 0").replace("JSON", "JSN")
    found = folder.problems(text)
    assert [each.partition(":")[2].partition(":")[0] for each in found] == ["9", "12"]
    assert "0.001 or more" in found[0] and "decode.JSON" in found[1]


def test_an_input_is_a_channel(folder: Folder) -> None:
    text = "channels: [{name: a, source: {merge: {chans: [polled]}}}]"
    (problem,) = folder.problems(text)
    assert "a channel, with name, source and nodes" in problem


def test_the_schema_knows_inputs(folder: Folder) -> None:
    schema = schema_of(Catalogue(folder.path))
    jsonschema.validate(yaml.safe_load(MERGED), schema)
    wrong = yaml.safe_load(MERGED.replace("name: polled", "nmae: polled"))
    assert list(jsonschema.Draft7Validator(schema).iter_errors(wrong))


KAFKA = """
channels:
- name: readings
  source:
    kafka:
      servers: broker.plant:9093
      topics: [meters, alarms]
      start: 2026-11-21T00:00:00+01:00
      password: ${env:KAFKA_PASSWORD}
  nodes: [log.Log]
"""


def test_topics_of_kafka_are_a_source(folder: Folder) -> None:
    (channel,) = folder.declare(KAFKA).channels
    assert isinstance(channel, KafkaChannel)
    assert (channel.topics, channel.group) == (["meters", "alarms"], READERS)
    assert options_of(channel)["password"] == Secret.env("KAFKA_PASSWORD")


READERS = "pichannels-readings"
