"""pypeman's exceptions, by pypeman's names."""

from __future__ import annotations

from pichannels.errors import (
    ChannelPaused,
    ChannelStopped,
    Dropped,
    EndOfChain,
    PauseChannel,
    PichannelsError,
    Rejected,
    SettingsError,
    UsageError,
)

__all__ = [
    "ChannelStopped",
    "Dropped",
    "EndChanProcess",
    "PausedChanException",
    "PypemanConfigError",
    "PypemanError",
    "PypemanParamError",
    "Rejected",
    "RetryException",
]

EndChanProcess = EndOfChain
RetryException = PauseChannel
PausedChanException = ChannelPaused
PypemanError = PichannelsError
PypemanConfigError = SettingsError
PypemanParamError = UsageError
