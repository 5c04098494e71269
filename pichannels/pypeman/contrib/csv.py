"""CSV, by pypeman's names."""

from __future__ import annotations

from pichannels.pypeman.nodes import CSV2Python, CSVstr2Python, Python2CSVstr

__all__ = ["CSV2Python", "CSVstr2Python", "Python2CSVstr"]
