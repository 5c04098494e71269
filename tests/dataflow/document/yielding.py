# mypy: ignore-errors
from asyncio import run

from pichannels.dataflow import handle, stream  # was: slipstream


async def numbers():
    for x in range(5):
        yield x


@handle(numbers(), sink=[print])
def handler(n):
    if n == 0:
        yield f"zero: {n}"
    if n % 2 == 0:
        yield f"even: {n}"


run(stream())
