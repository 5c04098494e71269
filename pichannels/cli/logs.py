"""Where the log of a running instance goes."""

from __future__ import annotations

import logging
import logging.config
from typing import Any, Final

from pichannels.errors import SettingsError

__all__ = ["configure_logging"]

_FORMAT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def configure_logging(setting: str | dict[str, Any]) -> None:
    """Log to the error output from this level on, or as a dictionary says.

    Raises:
        SettingsError: the dictionary is no configuration.
    """
    if isinstance(setting, str):
        logging.basicConfig(level=setting.upper(), format=_FORMAT)
        return
    try:
        logging.config.dictConfig(setting)
    except (ValueError, TypeError, AttributeError, ImportError) as exc:
        cause = exc.__cause__ or exc
        raise SettingsError(f"{exc}: {cause}", key="LOGGING") from exc
