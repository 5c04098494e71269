"""The pages that are served beside the API."""

from __future__ import annotations

from pichannels.ui.app import Pages

__all__ = ["PAGES"]

PAGES: Pages | None = None
"""None serves the API alone."""
