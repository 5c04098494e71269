"""What `pichannels check --strict` looks for: settings that are valid, and odd.

Each rule has a code and is described in `docs/lints.md`.
"""

from __future__ import annotations

from pichannels.lints.rules import RULES, Finding, Rule, lint

__all__ = ["RULES", "Finding", "Rule", "lint"]
