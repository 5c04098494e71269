"""Examples in the OpenAPI document: what may be sent, and what errors look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["BODIES", "ERRORS"]

_START: Final = "2026-03-01T06:00:00Z"
_END: Final = "2026-03-01T07:00:00Z"
_WHICH: Final = {"channel": "boilers", "state": "error", "start": _START, "end": _END}

BODIES: Final[Mapping[str, Any]] = {
    "Login": {"name": "ada", "password": "correct horse battery"},
    "Known": {"count": 42},
    "SavedSearch": {"name": "what fails", "query": "state=error&node=publish"},
    "NewUser": {"name": "robot", "role": "operate"},
    "ChangedUser": {"role": "data"},
    "NewToken": {"about": "night shift", "days": 90},
    "Injected": {"payload": {"pump": 7, "speed": 1480.5}, "meta": {"by": "hand"}},
    "Tags": {"add": ["UNIT2.BOILER.*"], "remove": ["UNIT1.BOILER.O2"]},
    "Replay": {**_WHICH, "count": 412},
    "Transfer": {**_WHICH, "target": "archive", "count": 412},
    "Redrive": {"channel": "boilers", "node": "publish", "count": 3},
    "Discard": {"ids": ["4711", "4712"], "reason": "sent by hand", "count": 2},
    "Pruned": {"channel": "boilers", "age": 2_592_000, "count": 90_210},
    "Changes": {"payload": '{"pump": 7, "speed": 1480.5}'},
    "Muted": {"seconds": 43_200, "until_change": True},
    "Traced": {"channel": "boilers", "id": "4711"},
    "Tested": {"channel": "boilers", "id": "4711"},
    "Exported": {"channel": "boilers", "path": "/data/march.jsonl.gz"},
    "Imported": {"channel": "boilers", "path": "/data/march.jsonl.gz"},
    "Backup": {"path": "/data/journal.sqlite"},
    "Apply": {"roll_back": True},
    "Stop": {"now": False},
    "Job": {"channel": "boilers", "tags": ["*"], "start": _START, "end": _END},
    "Priority": {"priority": "high"},
    "BudgetWanted": {"rate": 20},
    "ReconcileWanted": {
        "channel": "boilers",
        "tags": ["*"],
        "start": _START,
        "end": _END,
    },
}
"""A body by the name of its schema."""

ERRORS: Final[Mapping[str, Mapping[str, Any]]] = {
    "400": {
        "type": "UsageError",
        "message": "the query: Object contains unknown field `chanel`",
    },
    "401": {"type": "NotLoggedIn", "message": "log in, or show a token"},
    "403": {
        "type": "NotAllowed",
        "message": "this takes the role operate; ada has view",
    },
    "404": {
        "type": "NoSuchInstance",
        "message": "there is no instance 'plnt'; did you mean 'plant'?",
    },
    "408": {"type": "TooSlow", "message": "a body takes 20 seconds at most"},
    "409": {
        "type": "CountNeeded",
        "message": "replay concerns 412; give this count to do it",
        "count": 412,
    },
    "413": {"type": "TooLong", "message": "a body has 1048576 bytes at most"},
    "422": {"type": "PichannelsError", "message": "it took longer than 30 s"},
    "429": {
        "type": "OverBudget",
        "message": "too many searches just now; try again in 2 s",
    },
    "500": {"type": "InternalError", "message": "this failed; the log tells why"},
    "503": {"type": "NoInstance", "message": "no instance runs on this data"},
}
"""What is told with each status."""
