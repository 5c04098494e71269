"""Mail and Sparkplug without their libraries: the project loads, the extra is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

MADE = """
import sys
sys.modules[{library!r}] = None
from nodes import decode, publish
from pichannels.channels.mqtt import MQTTChannel
MQTTChannel("in", url="mqtt://broker", topics="#").add(publish.MQTT("mqtt://b", "a"))
{made}
"""


@pytest.mark.parametrize(
    ("library", "made", "extra"),
    [
        ("aiosmtplib", "publish.Email(sender='a@x', recipients='b@x')", "mail"),
        ("aiokafka", "publish.Kafka('k:9092', 't')", "kafka"),
        ("google.protobuf", "decode.Sparkplug()", "mqtt"),
    ],
)
def test_a_missing_extra_is_named_when_a_node_needs_it(
    library: str, made: str, extra: str
) -> None:
    code = MADE.format(library=library, made=made)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert f"pip install 'pichannels[{extra}]'" in done.stderr
