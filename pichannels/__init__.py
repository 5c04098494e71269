"""Channels, nodes and message stores for OSIsoft/AVEVA PI System data."""

__all__ = ["__version__"]

__version__ = "0.1.0"
