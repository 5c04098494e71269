"""The errors that older projects import from here; see `exceptions`."""

from __future__ import annotations

from pichannels.pypeman.exceptions import (
    PypemanConfigError,
    PypemanError,
    PypemanParamError,
)

__all__ = ["PypemanConfigError", "PypemanError", "PypemanParamError"]
