"""What the errors of aiokafka mean, by their names."""

from __future__ import annotations

from typing import Final

from pichannels.errors import (
    MessageError,
    NotConnected,
    RetryLater,
    SettingsError,
    TryAgain,
)

__all__ = ["Refused", "error_of"]

_REFUSED: Final = (
    "InvalidTimestampError",
    "InvalidTopicError",
    "MessageSizeTooLargeError",
    "PolicyViolationError",
    "RecordListTooLargeError",
    "RecordTooLargeError",
    "UnsupportedForMessageFormatError",
)
_SETTINGS: Final = (
    "AuthenticationFailedError",
    "AuthenticationMethodNotSupported",
    "ClusterAuthorizationFailedError",
    "GroupAuthorizationFailedError",
    "IllegalArgumentError",
    "IllegalSaslStateError",
    "IncompatibleBrokerVersion",
    "InvalidGroupIdError",
    "InvalidSessionTimeoutError",
    "KafkaConfigurationError",
    "SaslAuthenticationFailed",
    "TopicAuthorizationFailedError",
    "UnrecognizedBrokerVersion",
    "UnsupportedCodecError",
    "UnsupportedSaslMechanismError",
    "UnsupportedVersionError",
)


class Refused(MessageError):
    """The broker does not take a message."""


def error_of(exc: BaseException, target: str) -> Refused | TryAgain | SettingsError:
    """An error of the library as ours."""
    name, reason = type(exc).__name__, str(exc) or type(exc).__name__
    if name in _REFUSED:
        return Refused(reason)
    if name in _SETTINGS:
        return SettingsError(f"{target}: {reason}")
    if name == "UnknownTopicOrPartitionError":
        return RetryLater(f"{target} has no such topic: {reason}")
    return NotConnected(target, reason)
