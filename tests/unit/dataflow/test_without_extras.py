"""Without the libraries of the extras all is imported, and what needs one says it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {libraries}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from pichannels.errors import SettingsError
from pichannels.dataflow import *
from pichannels.dataflow.endpoints import sse
from pichannels.channels.kafka import KafkaChannel
from pichannels.dataflow.codecs import AvroCodec
from nodes import decode, publish

try:
    {call}
except SettingsError as exc:
    print(exc)
"""
LIBRARIES = {
    "aiokafka",
    "fastapi",
    "fastavro",
    "google",
    "nats",
    "rocksdict",
    "starlette",
    "uvicorn",
}


@pytest.mark.parametrize(
    ("call", "extra"),
    [
        ("Topic('emoji')", "kafka"),
        ("Cache('db')", "cache"),
        ("KafkaChannel('in', servers='k:9092', topics='t')", "kafka"),
        ("sse(Proxy())", "endpoints"),
        ("publish.Kafka('k:9092', 't')", "kafka"),
        ("publish.NATS('n:4222', 't')", "nats"),
        ("AvroCodec()", "schemas"),
        ("decode.Protobuf()", "schemas"),
    ],
)
def test_what_needs_an_extra_names_it(call: str, extra: str) -> None:
    program = PROGRAM.format(libraries=LIBRARIES, call=call)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50
    )
    assert f"pip install 'pichannels[{extra}]'" in done.stdout, done.stderr
