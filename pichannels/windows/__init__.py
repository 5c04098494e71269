"""Windows over values, and joins by time: pure rules, no input or output.

`Windowing` and `AsOf` make the state of one key. A state takes values and gives
results; the time that it knows is that of the values.
"""

from __future__ import annotations

from pichannels.windows.aggregates import AGGREGATES, Aggregates
from pichannels.windows.joining import AsOf, Joined, JoinState, Reference
from pichannels.windows.keyed import KeyState, Result
from pichannels.windows.reading import Get, Read, Reader, instant
from pichannels.windows.shapes import Hopping, Session, Shape, Sliding, Tumbling
from pichannels.windows.sketch import DEFAULT_ERROR, QuantileSketch
from pichannels.windows.windowing import LATE, Windowing

__all__ = [
    "AGGREGATES",
    "DEFAULT_ERROR",
    "LATE",
    "Aggregates",
    "AsOf",
    "Get",
    "Hopping",
    "JoinState",
    "Joined",
    "KeyState",
    "QuantileSketch",
    "Read",
    "Reader",
    "Reference",
    "Result",
    "Session",
    "Shape",
    "Sliding",
    "Tumbling",
    "Windowing",
    "instant",
]
