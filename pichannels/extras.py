"""Which extras a project's settings need, and whether they are installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from pichannels.config import Config
from pichannels.errors import SettingsError

__all__ = ["missing_extras"]


def missing_extras(config: Config, file: str) -> Iterator[SettingsError]:
    """One problem for each setting that needs an extra which is not there."""
    needed = (
        ("LEASE", config.lease, "a lease", "postgres", "asyncpg"),
        ("TRACING", config.tracing, "tracing", "otel", "opentelemetry"),
    )
    for key, part, what, extra, module in needed:
        if part is not None and importlib.util.find_spec(module) is None:
            yield SettingsError(
                f"{what} needs the extra `{extra}`: pip install 'pichannels[{extra}]'",
                file=file,
                key=key,
            )
