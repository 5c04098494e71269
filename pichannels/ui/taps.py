"""Live taps of nodes, for those who may see data, without what is masked."""

from __future__ import annotations

from typing import Any

import msgspec

from pichannels.control.masking import Mask
from pichannels.control.taps import Passed, TapReport, TapWanted
from pichannels.ui.data import ReadModel
from pichannels.ui.links import Links
from pichannels.ui.roles import Principal, Role

__all__ = ["NodeTaps"]


class NodeTaps:
    """What comes to nodes and leaves them, while somebody looks.

    Args:
        links: the instances.
        data: what hides payloads.
    """

    def __init__(self, links: Links, data: ReadModel) -> None:
        self._links = links
        self._data = data

    async def read(self, who: Principal, instance: str, wanted: TapWanted) -> TapReport:
        """What a node was seen to do after the answer before; see `TapWanted`.

        Raises:
            NotAllowed: the role is not enough.
            NoSuchInstance: there is none.
            PichannelsError: the instance does not answer, or has no such node.
        """
        who.need(Role.DATA)
        given = msgspec.structs.asdict(wanted)
        found = await self._links.get(instance).command("tap", **given)
        report = msgspec.convert(found, TapReport)
        mask = self._data.mask_for(who)
        if not mask:
            return report
        passed = [_hidden(each, mask) for each in report.passed]
        return msgspec.structs.replace(report, passed=passed)


def _hidden(passed: Passed, mask: Mask) -> Passed:
    return msgspec.structs.replace(
        passed,
        error=mask.applied(passed.error),
        came=_without(passed.came, mask),
        left=[_without(each, mask) for each in passed.left],
    )


def _without(shown: dict[str, Any], mask: Mask) -> dict[str, Any]:
    # The way to a field begins in the payload, and in what is around it.
    payload = mask.applied(shown.get("payload"))
    found: dict[str, Any] = mask.applied({**shown, "payload": payload})
    return found
