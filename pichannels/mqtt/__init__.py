"""MQTT 3.1.1 and 5: a pure protocol core, and a client on asyncio.

A client of our own, because what a broker has handed over must not be lost: the common
ones acknowledge QoS 2 before a message could be durable, drop what does not fit, and
need an event loop that Windows servers do not have by default. Here nothing but
`Connection.acknowledge` does so, and what is not taken stays in the network.
"""

from pichannels.mqtt.connection import Connection, Refused, Session
from pichannels.mqtt.login import Login, checked_url
from pichannels.mqtt.packets import Publish
from pichannels.mqtt.topics import check_filter, check_topic

__all__ = [
    "Connection",
    "Login",
    "Publish",
    "Refused",
    "Session",
    "check_filter",
    "check_topic",
    "checked_url",
]
