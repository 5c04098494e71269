"""Who may talk to the control server, and the file that says how."""

from __future__ import annotations

import getpass
import secrets
from pathlib import Path
from typing import Final

import msgspec

from pichannels.access import has_token, is_known_host
from pichannels.holding import remove
from pichannels.private_files import write_private

__all__ = [
    "SERVER_NAME",
    "Address",
    "has_token",
    "is_known_host",
    "make_token",
    "os_user",
    "read_address",
    "remove_address",
    "write_address",
]

SERVER_NAME: Final = "pichannels"
"""What the header `Server` says; tells ours from another program at this port."""

_FILE: Final = "control.json"


class Address(msgspec.Struct, frozen=True):
    """Where a running instance is commanded, and the token for it.

    Attributes:
        settings: the file that it runs; empty where it was not made from one.
    """

    url: str
    token: str
    pid: int
    settings: str = ""


def os_user() -> str:
    """The name of the user of the operating system; "" where it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        # As in some containers.
        return ""


def make_token() -> str:
    """A new secret of 256 bits."""
    return secrets.token_urlsafe(32)


def write_address(data_dir: Path, address: Address) -> None:
    """Leave the address where the commands look; only the owner can read it."""
    write_private(data_dir / _FILE, msgspec.json.encode(address))


def read_address(data_dir: Path) -> Address | None:
    """The address that an instance left there, which may be gone since."""
    try:
        data = (data_dir / _FILE).read_bytes()
        return msgspec.json.decode(data, type=Address)
    except (OSError, msgspec.DecodeError):
        return None


def remove_address(data_dir: Path, address: Address) -> None:
    """Take the address away, unless it is another instance's by now."""
    if read_address(data_dir) == address:
        remove(data_dir / _FILE)
