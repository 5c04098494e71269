"""The reference project: live values of a small plant, decoded, sorted, published.

`make start` runs it. The plant is simulated, by a PI Web API server inside the same
process; to read from yours, put its address and tags in and take SIMULATOR out.
"""

from __future__ import annotations

import os
from pathlib import Path

from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode, enrich, filter, publish
from pichannels.channels.pi import PIWebChannel
from pichannels.values import DigitalState, Sample

here = Path(__file__).parent
output = here / ".pichannels" / "output"
port = int(os.environ.get("SIMULATOR_PORT", "8500"))


def is_bad(sample: Sample) -> bool:
    """Whether PI says that this is no good value (`Bad Input`, `I/O Timeout`, ...)."""
    return not sample.good or sample.is_system


def is_state(sample: Sample) -> bool:
    """Whether a digital tag changed its state."""
    return isinstance(sample.value, DigitalState)


def is_number(sample: Sample) -> bool:
    """Whether this is a measurement or a counter."""
    return isinstance(sample.value, int | float)


PROJECT_NAME = "plant"
DATA_DIR = here / ".pichannels"
SIMULATOR = {"port": port, "tags": 1000, "seed": 1}

plant = PIWebChannel(
    "plant",
    url=f"http://127.0.0.1:{port}/piwebapi",
    tags=["UNIT*"],
    server="SIMSRV",
    message_store_factory=SQLiteMessageStoreFactory(),
)
plant.add(decode.PI(name="decode"))

# Everything as it came, whatever happens to it further on.
everything = plant.fork("everything")
everything.add(publish.File(output / "everything.jsonl", name="keep"))

plant.add(filter.Tags(exclude="*.SPARE.*", name="used"))

# Bad values leave here; a number is never made of them.
bad = plant.when(is_bad, "bad", each=True)
bad.add(publish.File(output / "bad.jsonl", name="publish_bad"))

plant.add(enrich.Table(here / "examples" / "plant.csv", name="facts"))

states, numbers = plant.case(
    is_state, is_number, names=["states", "numbers"], each=True
)
states.add(publish.File(output / "states.jsonl", name="publish_states"))
numbers.add(publish.File(output / "numbers.jsonl", name="publish_numbers"))

# A few of them for the eye; this fork never holds up the others.
console = plant.fork("console", required=False)
console.add(filter.Tags("UNIT1.BOILER.*", "UNIT1.FEED.FLOW"), publish.Console())

plant.add(publish.File(output / "values.jsonl", name="publish", rotate_bytes=2**26))

CHANNELS = [plant]
