"""What is saved of a ledger is little, and enough."""

from __future__ import annotations

import msgspec
import pytest

from pichannels.coverage.claims import Claims, restore
from pichannels.coverage.ledger import Ledger, Margins
from pichannels.coverage.tags import PAGE, TagState
from pichannels.coverage.views import coverage
from pichannels.errors import CodecError
from pichannels.manifest import ManifestEntry

MARGINS = Margins(settle=10, overlap=20, ahead=5)
SUBS, EACH = 4, 1000


class Kept:
    """A ledger of many tags, and what was saved of it."""

    def __init__(self) -> None:
        self.ledger = Ledger(MARGINS)
        self.claims = Claims(self.ledger)
        self.records: dict[str, bytes] = {}
        for sub in range(SUBS):
            keys = (f"T{sub * EACH + n}" for n in range(EACH))
            tags = [self.ledger.add_tag(key, 0) for key in keys]
            self.ledger.subscribed(f"x{sub}", tags, 95)
        self.save()

    def save(self) -> dict[str, int]:
        """The size of each record that is saved now; -1 where one is deleted."""
        changes = self.claims.changes()
        for name, record in changes.items():
            self.records.pop(name, None)
            if record is not None:
                self.records[name] = record
        return {n: -1 if data is None else len(data) for n, data in changes.items()}

    def heard(self, at: int) -> None:
        for sub in range(SUBS):
            self.ledger.heartbeat(f"x{sub}", at)

    def arrived(self, message: int, at: int, *tags: int) -> list[ManifestEntry]:
        entries = [ManifestEntry(f"T{tag}", at, at, 1) for tag in tags]
        self.ledger.arrived("x0", message, entries, at)
        return entries

    def back(
        self, *unsettled: tuple[int, list[ManifestEntry]], now: int = 500
    ) -> Ledger:
        return restore(self.records, unsettled, now, MARGINS)


def delivered(ledger: Ledger, tag: int = 0) -> list[tuple[int, int]]:
    return list(coverage(ledger, tag, 1000).delivered)


def test_while_all_goes_well_only_the_watermarks_are_saved() -> None:
    kept = Kept()
    kept.heard(200)
    kept.arrived(1, 200, *range(EACH))
    kept.ledger.settled(1)
    sizes = kept.save()
    assert list(sizes) == ["watermarks"]
    assert sizes["watermarks"] < 10 * SUBS


def test_nothing_new_saves_nothing() -> None:
    assert Kept().save() == {}


def test_a_lost_channel_saves_pages_of_tags_and_not_tags() -> None:
    kept = Kept()
    kept.heard(200)
    kept.save()
    kept.ledger.lost("x0", "network", 200)
    sizes = kept.save()
    assert len(sizes) <= EACH // PAGE + 3
    assert sum(sizes.values()) < 500


def test_a_stopped_ledger_comes_back() -> None:
    kept = Kept()
    kept.heard(200)
    for sub in range(SUBS):
        kept.ledger.unsubscribed(f"x{sub}", "stopped", 200)
    kept.ledger.set_state([3], TagState.NO_ACCESS, 210)
    kept.ledger.exclude([4], 0, 50, "policy", 210)
    kept.save()
    back = kept.back()
    assert [coverage(back, n, 500) for n in range(SUBS * EACH)] == [
        coverage(kept.ledger, n, 500) for n in range(SUBS * EACH)
    ]
    assert back.tags.keys == kept.ledger.tags.keys


def test_a_crash_claims_what_was_saved_less_the_overlap() -> None:
    kept = Kept()
    kept.heard(200)
    kept.save()
    kept.heard(300)
    back = kept.back()
    assert delivered(back) == [(100, 170)]
    assert coverage(back, 0, 600).holes[-1] == (170, 600, "restart", 200)


def test_what_was_not_settled_is_in_flight_after_a_crash() -> None:
    kept = Kept()
    entries = kept.arrived(1, 150, 0)
    kept.heard(200)
    kept.save()
    back = kept.back((1, entries))
    assert delivered(back) == [(100, 150)]
    assert list(coverage(back, 0, 500).in_flight) == [(150, 170)]
    assert delivered(back, 1) == [(100, 170)]
    back.settled(1)
    assert delivered(back) == [(100, 170)]


def test_what_was_in_flight_at_a_loss_is_so_after_a_crash() -> None:
    kept = Kept()
    entries = kept.arrived(1, 150, 0)
    kept.heard(200)
    kept.ledger.lost("x0", "network", 200)
    kept.save()
    back = kept.back((1, entries))
    back.settled(1)
    assert delivered(back) == [(100, 170)]


def test_a_loss_from_before_the_watermark_has_to_be_saved_at_once() -> None:
    kept = Kept()
    kept.heard(300)
    kept.save()
    assert not kept.claims.is_urgent
    kept.ledger.lost("x0", "marker", 300, since=200)
    assert kept.claims.is_urgent
    kept.save()
    assert not kept.claims.is_urgent
    assert delivered(kept.back()) == [(100, 170)]


def test_dead_letters_come_back() -> None:
    kept = Kept()
    kept.ledger.failed(1, kept.arrived(1, 150, 0), 160)
    kept.heard(300)
    kept.save()
    back = kept.back()
    assert coverage(back, 0, 500).excluded == ((150, 151, "dead letter", 160),)
    back.redriven(1)
    assert delivered(back) == [(100, 270)]


def test_a_message_that_was_redriven_is_forgotten() -> None:
    kept = Kept()
    kept.ledger.failed(1, kept.arrived(1, 150, 0), 160)
    kept.save()
    kept.ledger.redriven(1)
    assert kept.save()["dead/1"] == -1


def test_new_segments_have_new_names_after_a_crash() -> None:
    kept = Kept()
    kept.save()
    before = {name for name in kept.records if name.startswith("segment/")}
    back = kept.back((1, kept.arrived(1, 101, 0)))
    back.subscribed("x0", [0], 500)
    claims = Claims(back)
    saved = {n for n, data in claims.changes().items() if data is not None}
    assert {n for n in saved if n.startswith("segment/")} - before == {"segment/4"}


def test_tags_of_the_future_are_known_again() -> None:
    kept = Kept()
    tag = kept.ledger.add_tag("forecast", 0, is_future=True)
    kept.ledger.set_state([tag], TagState.NO_ACCESS, 100)
    kept.save()
    assert kept.back().tags.is_future(tag)
    assert kept.back().tags.state(tag) is TagState.NO_ACCESS


def test_there_may_be_nothing_to_come_back() -> None:
    assert len(restore({}, [], 100, MARGINS).tags) == 0


def test_records_of_a_newer_program_are_refused() -> None:
    with pytest.raises(CodecError, match="upgrade"):
        restore({"form": msgspec.msgpack.encode((2, 256))}, [], 100)


@pytest.mark.parametrize("name", ["keys/0", "tags/0", "segment/0", "watermarks"])
@pytest.mark.parametrize("damage", [b"", b"\xc1", b"\x00"])
def test_damaged_records_are_refused(name: str, damage: bytes) -> None:
    kept = Kept()
    kept.heard(200)
    kept.save()
    kept.records[name] = damage
    with pytest.raises(CodecError):
        kept.back()


def test_missing_keys_are_told() -> None:
    kept = Kept()
    del kept.records["keys/0"]
    with pytest.raises(CodecError, match="keys"):
        kept.back()
