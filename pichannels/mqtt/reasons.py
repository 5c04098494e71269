"""What the numbers mean by which a broker says no; pure."""

from __future__ import annotations

from typing import Final

from pichannels.mqtt.properties import Properties

__all__ = ["in_words", "is_temporary"]

_OLD: Final = {
    1: "it does not speak this version of MQTT",
    2: "it does not take the client id",
    3: "it is not available",
    4: "it does not accept the login",
    5: "the login may not connect",
}
_WORDS: Final = {
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "implementation specific error",
    0x84: "it does not speak this version of MQTT",
    0x85: "it does not take the client id",
    0x86: "it does not accept the login",
    0x87: "not authorized",
    0x88: "it is not available",
    0x89: "it is busy",
    0x8A: "the client is banned",
    0x8B: "it shuts down",
    0x8C: "bad authentication method",
    0x8D: "nothing came for too long",
    0x8E: "another client connected with the same client id",
    0x8F: "it does not take the topic filter",
    0x90: "it does not take the topic",
    0x91: "the packet number is in use",
    0x92: "the packet number is unknown",
    0x93: "too many messages without acknowledgement",
    0x94: "the topic alias is invalid",
    0x95: "the packet is too large",
    0x96: "too many messages at once",
    0x97: "the quota is exceeded",
    0x98: "an administrator ended the connection",
    0x99: "the payload is not what was announced",
    0x9A: "it retains no messages",
    0x9B: "it does not have this QoS",
    0x9C: "another server has to be used",
    0x9D: "the server has moved",
    0x9E: "it has no shared subscriptions",
    0x9F: "connections come too fast",
    0xA0: "the connection has lasted long enough",
    0xA1: "it has no subscription identifiers",
    0xA2: "it has no wildcards",
}
# Of a message that was refused: another try may go better.
_TEMPORARY: Final = frozenset({0x83, 0x88, 0x89, 0x91, 0x93, 0x96, 0x97})


def in_words(code: int, properties: Properties | None = None) -> str:
    """What a code says, with what the broker adds to it."""
    words = _OLD.get(code) or _WORDS.get(code) or f"reason {code}"
    said = (properties or {}).get("reason_string")
    return f"{words} ({said})" if said else words


def is_temporary(code: int) -> bool:
    """Whether a message that was refused so is worth another try."""
    return code in _TEMPORARY
