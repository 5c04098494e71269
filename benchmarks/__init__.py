"""How fast the hot paths are, as ratios to the bare floor and to the peer.

`python -m benchmarks` runs all of it; docs/performance.md says what is measured.
"""
