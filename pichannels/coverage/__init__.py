"""The rules of the coverage ledger: what was delivered, what is missing, and why.

Nothing here does input or output or looks at a clock: facts and times come in as
arguments, decisions go out. Instants are ticks of 100 ns since 1970 UTC; ranges hold
their start and not their end.

- `ledger`: what happened to PI channels and messages, and what is delivered by that.
- `claims`: what of it is kept, and how it comes back after a crash.
- `repair`: what to read from the archive next.
- `reconcile`, `expected`: whether what was delivered is all, and who is too quiet.
"""
