"""Taking over what pypeman has stored."""

from __future__ import annotations

from pichannels.moving.stored import Refusal, read_stored

__all__ = ["Refusal", "read_stored"]
