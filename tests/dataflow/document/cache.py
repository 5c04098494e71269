# mypy: ignore-errors
# ruff: noqa: T201
from pichannels.dataflow import Cache  # was: slipstream

cache = Cache("db")

cache["prize"] = "🏆"  # the document's emoji were UTF-8 read as another encoding
cache["phone"] = "📞"

for x, y in cache.items():
    print(x, y)

# From "prevent race conditions": an example that goes on with this cache.
with cache.transaction("fish"):
    cache["fish"] = "🐟"

# Not in the document, so that the next example may open it.
cache.close()
