"""The reference project."""

from __future__ import annotations
