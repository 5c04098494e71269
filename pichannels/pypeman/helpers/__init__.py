"""pypeman's helpers that settings name."""
