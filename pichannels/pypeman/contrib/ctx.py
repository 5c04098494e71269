"""Nodes for what is kept in the context, by pypeman's names."""

from __future__ import annotations

from pichannels.pypeman.nodes import CombineCtx, EmptyMeta, UseMetaFromCtx

__all__ = ["CombineCtx", "EmptyMeta", "UseMetaFromCtx"]
