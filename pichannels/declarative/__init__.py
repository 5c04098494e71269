"""Channels that are written in YAML instead of Python.

An entry of `CHANNELS` that is text or a path names one file or, with `*` and `?`,
several. See `docs/yaml.md`.
"""

from __future__ import annotations

from pichannels.declarative.loading import Declared, read_files

__all__ = ["Declared", "read_files"]
