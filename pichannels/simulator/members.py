"""Further servers of one plant, as behind a load balancer or in a collective."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from pichannels.errors import UsageError
from pichannels.simulator.assets import Assets
from pichannels.simulator.making import restructure
from pichannels.simulator.plant import Plant
from pichannels.simulator.server import Simulator

__all__ = ["Member"]

# Point ids of a member begin so far above those of the first server.
_POINTS_APART = 1_000_000


class Member(Simulator):
    """Another server of the plant of `first`: the same paths and values.

    Both tell of the same events, and what is pushed, edited, deleted or renamed at
    one is so at all. Point ids and WebIDs are its own, and so are its faults: it
    goes on when `first` is closed. Open it after `first`.

    Args:
        first: the server whose plant it is.
        name: tells it from other members.
        options: as of `Simulator`; `poll` and the login as of `first`.

    Raises:
        UsageError: an option belongs to the plant, which is the one of `first`.
    """

    def __init__(self, first: Simulator, name: str = "b", **options: Any) -> None:
        for option in {"plant", "speed", "start", "state"} & options.keys():
            raise UsageError(f"{option} of a member is that of the first server")
        plant, server = first.plant, first.plant.server
        own = Plant(
            plant.seed,
            plant.size,
            activity=plant.activity,
            server=msgspec.structs.replace(
                server,
                id=uuid.uuid5(server.id, name),
                first_point=server.first_point + _POINTS_APART,
            ),
            created=plant.created,
        )
        shared = {"poll": first.poll, "auth": first._auth}
        super().__init__(own, **(shared | options))
        self._first = first
        asset_server = first.assets.server
        self.assets = Assets(
            own,
            msgspec.structs.replace(asset_server, id=uuid.uuid5(asset_server.id, name)),
        )
        self._group = first._group

    async def open(self) -> None:
        """Take up the present of the first server, and listen.

        Raises:
            OSError: the port is taken.
        """
        self._truth, self.clock = self._first._truth, self._first.clock
        if self._world not in self._group:
            for change in self._truth.structure:
                restructure(self.plant, self.assets, change)
        await super().open()
