"""XML, by pypeman's names."""

from __future__ import annotations

from pichannels.pypeman.nodes import PythonToXML, XMLToPython

__all__ = ["PythonToXML", "XMLToPython"]
