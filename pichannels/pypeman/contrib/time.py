"""Channels that run at times, by pypeman's names."""

from __future__ import annotations

from pichannels.pypeman.channels import CronChannel

__all__ = ["CronChannel"]
