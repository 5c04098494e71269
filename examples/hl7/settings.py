"""A laboratory that sends HL7: results become samples, admissions become JSON lines.

    pichannels start --settings examples/hl7

listens on port 2100. The extra `hl7` brings a sender:

    mllp_send --loose --port 2100 --file examples/hl7/result.hl7 127.0.0.1

Results are answered as soon as they are durable, admissions when they are written. What
is no number, or has no ward, is refused, and the sender is told why.
"""

from __future__ import annotations

import os
from datetime import UTC
from pathlib import Path
from typing import Any

import hl7

from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode, filter, mapping, publish, python
from pichannels.channels.mllp import MLLPChannel
from pichannels.endpoints.mllp import MLLPEndpoint
from pichannels.errors import Rejected
from pichannels.values import Sample, Tag, ticks_from_datetime

here = Path(__file__).parent
output = here / ".pichannels" / "output"

PROJECT_NAME = "laboratory"
DATA_DIR = here / ".pichannels"
MESSAGE_STORE = SQLiteMessageStoreFactory()

endpoint = MLLPEndpoint(host="127.0.0.1", port=int(os.environ.get("HL7_PORT", "2100")))


def samples(message: Any) -> list[Sample]:
    """One sample for each number among the observations."""
    patient = str(message["PID.F3.R1.C1"])
    return [sample(patient, obx) for obx in message.segments("OBX")]


def sample(patient: str, obx: Any) -> Sample:
    """An observation as a value of the tag `LAB.<patient>.<code>`."""
    code = str(obx(3)(1)(1))
    try:
        value = float(str(obx(5)))
        moment = hl7.parse_datetime(str(obx(14)))
    except ValueError as exc:
        raise Rejected(f"{code} is no number with a time: {exc}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    tag = Tag(f"LAB.{patient}.{code}")
    return Sample(tag, ticks_from_datetime(moment), value, units=str(obx(6)))


def admission(message: Any) -> dict[str, str]:
    """What has to be known of a patient who comes, moves or goes."""
    try:
        ward = str(message["PV1.F3.R1.C1"])
    except KeyError:
        raise Rejected("no ward is named (PV1-3)") from None
    return {
        "patient": str(message["PID.F3.R1.C1"]),
        "family": str(message["PID.F5.R1.C1"]),
        "given": str(message["PID.F5.R1.C2"]),
        "ward": ward,
    }


results = MLLPChannel("results", endpoint=endpoint, types=["ORU"], accepted=True)
results.add(
    decode.HL7(name="decode"),
    python.Function(samples, content_type=decode.SAMPLES),
    filter.Duplicates(name="once"),
    publish.File(output / "results.jsonl", name="keep"),
)

admissions = MLLPChannel("admissions", endpoint=endpoint, types=["ADT"])
admissions.add(
    decode.HL7(name="decode"),
    python.Function(admission),
    mapping.Map(
        [
            mapping.MapItem("patient"),
            mapping.MapItem("ward", "place.ward"),
            mapping.JoinMapItem(["given", "family"], "name", sep=" "),
        ],
        name="shape",
    ),
    publish.File(output / "admissions.jsonl", name="keep"),
)

CHANNELS = [results, admissions]
