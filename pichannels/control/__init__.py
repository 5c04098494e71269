"""How a running instance is watched and commanded.

The server runs inside the instance, the client in the commands; `history` reads
stores and replays from them, with or without an instance.
"""
