"""pypeman's modules and names, so that a project moves here by changing its imports.

`from pypeman import channels, nodes` becomes `from pichannels.pypeman import channels,
nodes`. What is behind the names is pichannels: its channels, its nodes, its journal.
As in pypeman, channels and nodes are known where they are made, options that a node
does not have are ignored (and logged), and names may be left out. Faults of pypeman are
not repeated; the page "Coming from pypeman" lists each difference.

A project is named in `settings.py`:

    from pichannels.pypeman import load

    CHANNELS = load("project")
"""

from __future__ import annotations

from pichannels.pypeman.project import load

__all__ = ["load"]
