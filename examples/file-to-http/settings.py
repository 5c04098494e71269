"""Files to HTTP: readings in CSV files go to a web server as JSON.

    pichannels start --settings examples/file-to-http

watches the folder `incoming` beside this file. Make it, and put `readings.csv` into it:

    mkdir examples/file-to-http/incoming
    cp examples/file-to-http/readings.csv examples/file-to-http/incoming/

Each file is posted to `TARGET` (http://127.0.0.1:8080/readings) as one JSON array, and
moved to `done`: its content is durable here by then. While the server is away, messages
wait. A file with a reading that is no number is moved to `wrong` instead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode, files, python
from nodes.publish import HTTP
from pichannels.channels.files import FileWatcherChannel
from pichannels.message import Message

here = Path(__file__).parent

PROJECT_NAME = "file-to-http"
DATA_DIR = here / ".pichannels"
MESSAGE_STORE = SQLiteMessageStoreFactory()


def is_wrong(msg: Message) -> bool:
    """Whether a reading is no number."""
    try:
        return not [float(row["value"]) for row in msg.payload]
    except (KeyError, ValueError):
        return True


def reading(row: dict[str, str]) -> dict[str, Any]:
    """A row as the web server wants it."""
    return {"tag": row["tag"], "time": row["time"], "value": float(row["value"])}


readings = FileWatcherChannel(
    "readings",
    basedir=here / "incoming",
    regex=r".*\.csv$",
    settle=float(os.environ.get("SETTLE", "1")),
)
readings.add(decode.CSV(to_dict=True, headers=True))
wrong = readings.when(is_wrong, name="wrong")
wrong.add(files.Move(here / "wrong"))
readings.add(
    files.Move(here / "done"),
    python.Function(lambda rows: [reading(row) for row in rows], name="readings"),
    HTTP(os.environ.get("TARGET", "http://127.0.0.1:8080/readings")),
)

CHANNELS = [readings]
