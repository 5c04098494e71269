# mypy: ignore-errors
# ruff: noqa: T201
from asyncio import run, sleep
from time import localtime, strftime  # the document forgot localtime

from pichannels.dataflow import handle, stream  # was: slipstream


async def timer(interval=1.0):
    while True:
        yield
        await sleep(interval)


@handle(timer(0.05))  # was: timer(), a second; tests have no time
def handler():
    print(strftime("%H:%M:%S", localtime()), flush=True)


run(stream())
