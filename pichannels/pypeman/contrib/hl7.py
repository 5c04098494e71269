"""HL7, by pypeman's names."""

from __future__ import annotations

from pichannels.pypeman.channels import MLLPChannel
from pichannels.pypeman.endpoints import MLLPEndpoint
from pichannels.pypeman.nodes import HL7ToPython, PythonToHL7

__all__ = ["HL7ToPython", "MLLPChannel", "MLLPEndpoint", "PythonToHL7"]
