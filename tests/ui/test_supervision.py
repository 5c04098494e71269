"""The pages begin again when they end, and end with their instance."""

from __future__ import annotations

import os
import signal

import httpx

from tests.ui.plants import Plant


def own_pid(plant: Plant) -> int | None:
    """The process of the pages; None while nobody listens."""
    try:
        answer = plant.client().get("/load")
    except httpx.TransportError:
        return None
    return int(answer.json()["pid"])


def test_pages_that_are_killed_begin_again(plant: Plant) -> None:
    before = own_pid(plant)
    assert before is not None and plant.process is not None
    assert before != plant.process.pid
    os.kill(before, signal.SIGKILL)
    while own_pid(plant) in (before, None):
        continue
    assert plant.get("/status")["pid"] == plant.process.pid


def test_pages_end_with_an_instance_that_is_killed(plant: Plant) -> None:
    assert plant.process is not None
    plant.process.kill()
    while own_pid(plant) is not None:
        continue
    assert plant.process.wait() == -signal.SIGKILL
