"""Changed settings for an instance that runs: what differs, and the change itself.

`definition` says what a project is, `plan` compares two of them, `evaluation` has
a child process look at changed settings first, `code` knows which modules have
changed on disk, and `reloader` does it.
"""

from pichannels.reload.plan import ChannelChange, ReloadReport

__all__ = ["ChannelChange", "ReloadReport"]
