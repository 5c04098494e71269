"""A stand-in PI Web API server with a plant behind it and faults on demand.

It shares no parsing, WebID or JSON code with `pichannels.piwebasync`: what one
of them gets wrong, the other shows.
"""

from __future__ import annotations

from pichannels.simulator.acceptors import Kerberos, NTLMUsers
from pichannels.simulator.events import SYSTEM_STATES, Event, State
from pichannels.simulator.faults import Faults
from pichannels.simulator.guard import Rules
from pichannels.simulator.members import Member
from pichannels.simulator.plant import Plant
from pichannels.simulator.server import Simulator
from pichannels.simulator.sockets import Channel
from pichannels.simulator.tags import Server, Tag
from pichannels.simulator.tokens import Tokens

__all__ = [
    "SYSTEM_STATES",
    "Channel",
    "Event",
    "Faults",
    "Kerberos",
    "NTLMUsers",
    "Member",
    "Plant",
    "Rules",
    "Server",
    "Simulator",
    "State",
    "Tag",
    "Tokens",
]
