"""A laboratory with a file server: results are fetched, and receipts given back.

    export LAB_PASSWORD=...
    pichannels start --settings examples/ftp

looks at the folder `results` of the server `LAB_HOST` once a minute. Each new or
changed file becomes a line in `.pichannels/output/results.jsonl`, and a receipt in the
folder `receipts` of the server says how many results it had; then it is deleted from
`results`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode, ftp, publish, python
from pichannels.channels.ftp import FTPWatcherChannel
from pichannels.message import Message
from pichannels.secrets import Secret

here = Path(__file__).parent

PROJECT_NAME = "laboratory"
DATA_DIR = here / ".pichannels"
MESSAGE_STORE = SQLiteMessageStoreFactory()

server: dict[str, Any] = {
    "protocol": os.environ.get("LAB_PROTOCOL", "ftps"),
    "host": os.environ.get("LAB_HOST", "files.example.org"),
    "port": int(os.environ.get("LAB_PORT", "21")),
    "credentials": (os.environ.get("LAB_USER", "plant"), Secret.env("LAB_PASSWORD")),
}


def receipt(msg: Message) -> Message:
    """What the laboratory is told of a file."""
    return msg.derive(f"{msg.meta['filename']}: {len(msg.payload)} results\n")


results = FTPWatcherChannel(
    "results",
    basedir="/results",
    regex=r".*\.csv$",
    interval=float(os.environ.get("LAB_INTERVAL", "60")),
    settle=float(os.environ.get("LAB_SETTLE", "2")),
    delete_after=True,
    **server,
)
results.add(
    decode.CSV(to_dict=True, headers=True),
    publish.File(DATA_DIR / "output" / "results.jsonl", name="keep"),
    python.MessageFunction(receipt),
    ftp.Write(filepath=lambda msg: f"/receipts/{msg.meta['filename']}.txt", **server),
)

CHANNELS = [results]
