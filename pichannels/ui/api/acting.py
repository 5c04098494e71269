"""What routes that change something have in common."""

from __future__ import annotations

from typing import Any

import msgspec

from pichannels.ui.api.routing import Asked
from pichannels.ui.operations import Operation

__all__ = ["Counted", "begin_action", "given_by", "preview_action", "run_action"]


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How many it concerns; this is the `count` to give.

    Attributes:
        count: how many.
    """

    count: int


async def run_action(ask: Asked, instance: str, action: str, given: Any) -> Any:
    """Do something, and give what the instance tells; raises as `Commands.run`."""
    arguments = given if isinstance(given, dict) else given_by(given)
    found = await ask.console.commands.run(ask.who, instance, action, arguments)
    ask.console.data.forget()
    return found


async def begin_action(ask: Asked, instance: str, action: str, given: Any) -> Operation:
    """Begin something that takes long; raises as `Commands.begin`."""
    arguments = given_by(given)
    count = arguments.pop("count", None)
    begin = ask.console.commands.begin
    return await begin(ask.who, instance, action, arguments, count)


async def preview_action(ask: Asked, instance: str, action: str, given: Any) -> Counted:
    """How many it would concern; raises as `Commands.preview`."""
    arguments = given_by(given)
    arguments.pop("count", None)
    preview = ask.console.commands.preview
    return Counted(count=await preview(ask.who, instance, action, arguments))


def given_by(body: msgspec.Struct) -> dict[str, Any]:
    """What a body says, by name."""
    found = msgspec.structs.asdict(body)
    return {k: v for k, v in found.items() if v is not msgspec.UNSET}
