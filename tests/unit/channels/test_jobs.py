"""What backfill jobs make of a ledger, in each of their states."""

from __future__ import annotations

from pichannels.channels import jobs
from pichannels.channels.jobs import CANCELLED, NOT_ASKED, PAUSED, Job, Left, Part
from pichannels.coverage.ledger import Ledger, Margins
from pichannels.coverage.repair import LOST_AT_SOURCE
from pichannels.coverage.tags import TagState
from pichannels.coverage.views import coverage

NOW = 1000


def ledger_of(*origins: int) -> Ledger:
    """Tags `0`, `1`, ... of which all is delivered from their origin on."""
    ledger = Ledger(Margins(settle=0, overlap=0, ahead=0))
    for number, origin in enumerate(origins):
        tag = ledger.add_tag(str(number), origin)
        ledger.joined([tag], origin, NOW)
    return ledger


def job_of(ledger: Ledger, start: int, end: int, *, again: bool = False) -> Job:
    tags = range(len(ledger.tags))
    parts = jobs.parts_of(ledger, tags, start, end, again=again)
    return Job(
        number=1,
        patterns=["*"],
        tags=len(tags),
        start=start,
        end=end,
        again=again,
        who="",
        reason="",
        created=NOW,
        parts=parts,
        total=1,
        left=1,
    )


def begun(ledger: Ledger, start: int, end: int, *, again: bool = False) -> Job:
    job = job_of(ledger, start, end, again=again)
    jobs.begin(ledger, job, NOW)
    return job


def holes(ledger: Ledger, tag: int = 0) -> list[tuple[int, int, str]]:
    return [hole[:3] for hole in coverage(ledger, tag, NOW).holes]


def excluded(ledger: Ledger, tag: int = 0) -> list[tuple[int, int, str]]:
    return [label[:3] for label in coverage(ledger, tag, NOW).excluded]


def left(ledger: Ledger, job: Job) -> Left:
    found = Left()
    for some in jobs.left(ledger, job, NOW):
        found = found.plus(some)
    return found


def test_tags_with_the_same_origin_are_one_part() -> None:
    job = job_of(ledger_of(100, 200, 100), 50, 150)
    assert sorted(job.parts, key=lambda part: part.keys) == [
        Part(["0", "2"], [(50, 100)]),
        Part(["1"], [(50, 150)]),
    ]


def test_time_before_the_origin_becomes_a_hole_and_the_rest_is_excluded() -> None:
    ledger = ledger_of(100)
    begun(ledger, 10, 40)
    assert holes(ledger) == [(10, 40, "backfill")]
    assert excluded(ledger) == [(40, 100, NOT_ASKED)]


def test_what_nobody_asked_for_can_be_asked_for_later() -> None:
    ledger = ledger_of(100)
    begun(ledger, 10, 40)
    ledger.joined([0], 10, 40)
    begun(ledger, 10, 100)
    assert (holes(ledger), excluded(ledger)) == ([(40, 100, "backfill")], [])


def test_what_is_delivered_is_no_part_of_a_job_unless_it_is_to_come_again() -> None:
    ledger = ledger_of(100)
    assert job_of(ledger, 200, 300).parts == []
    begun(ledger, 200, 300, again=True)
    assert holes(ledger) == [(200, 300, "backfill")]


def test_holes_with_other_reasons_are_no_part_of_a_job() -> None:
    ledger = ledger_of(100)
    ledger.reopen([0], 200, 300, "network", NOW)
    begun(ledger, 50, 400)
    assert holes(ledger) == [(50, 100, "backfill"), (200, 300, "network")]


def test_what_was_lost_at_the_source_is_asked_again_only_on_request() -> None:
    ledger = ledger_of(100)
    ledger.exclude([0], 200, 300, LOST_AT_SOURCE, NOW)
    assert job_of(ledger, 200, 300).parts == []
    begun(ledger, 200, 300, again=True)
    assert (holes(ledger), excluded(ledger)) == ([(200, 300, "backfill")], [])


def test_a_paused_job_is_excluded_and_still_left_to_deliver() -> None:
    ledger = ledger_of(100)
    job = begun(ledger, 0, 100)
    ledger.joined([0], 0, 30)
    jobs.hold(ledger, job, PAUSED, NOW)
    assert (holes(ledger), excluded(ledger)) == ([], [(30, 100, PAUSED)])
    assert left(ledger, job) == Left(70)


def test_a_resumed_job_is_a_hole_again() -> None:
    ledger = ledger_of(100)
    job = begun(ledger, 0, 100)
    jobs.hold(ledger, job, PAUSED, NOW)
    ledger.joined([0], 0, 30)
    jobs.release(ledger, job)
    assert (holes(ledger), excluded(ledger)) == ([(30, 100, "backfill")], [])


def test_what_is_left_of_a_cancelled_job_is_no_hole_but_other_holes_stay() -> None:
    ledger = ledger_of(100)
    job = begun(ledger, 0, 150)
    ledger.reopen([0], 120, 140, "network", NOW)
    jobs.hold(ledger, job, CANCELLED, NOW)
    assert holes(ledger) == [(120, 140, "network")]
    assert (excluded(ledger), left(ledger, job)) == ([(0, 100, CANCELLED)], Left())


def test_a_new_job_does_not_take_what_a_paused_one_has() -> None:
    ledger = ledger_of(100)
    jobs.hold(ledger, begun(ledger, 0, 100), PAUSED, NOW)
    assert job_of(ledger, 0, 100).parts == []


def test_dead_letters_leave_nothing_to_deliver() -> None:
    ledger = ledger_of(100)
    job = begun(ledger, 0, 100)
    ledger.dead.add(7, [(0, 40, 60)], NOW)
    ledger.joined([0], 0, 40)
    ledger.joined([0], 60, 100)
    assert left(ledger, job) == Left()


def test_tags_that_cannot_be_read_are_told_of() -> None:
    ledger = ledger_of(100, 100)
    job = begun(ledger, 0, 100)
    ledger.set_state([1], TagState.NO_ACCESS, NOW)
    assert left(ledger, job) == Left(200, 100, 1)


def test_a_ledger_that_began_anew_is_extended_for_the_job() -> None:
    job = begun(ledger_of(100), 0, 50)
    ledger = ledger_of(500)
    jobs.extend(ledger, job, NOW)
    assert holes(ledger) == [(0, 50, "backfill")]
    assert excluded(ledger) == [(50, 500, NOT_ASKED)]
