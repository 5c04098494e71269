"""`python -m pichannels`: the commands, where the script is not on the path."""

from __future__ import annotations

from pichannels.cli import main

if __name__ == "__main__":
    main()
