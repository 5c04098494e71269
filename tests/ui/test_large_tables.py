"""A page of a table takes as little of the journal however long the table is.

What is counted are instructions of SQLite, which are the same on each machine. With
`PROOFS=full`, as in continuous integration, there are a million messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.history import CHANNEL, TAGS, fill
from pichannels.control.chosen import Grouped
from pichannels.ui.failures import LettersWanted, groups_in, letters_in
from pichannels.ui.reading import Timed
from pichannels.ui.searching import MessagesWanted, search_journal
from tests.strength import either

pytestmark = pytest.mark.timeout(400)

STORED = either(1_000_000, 20_000)
COUNT = 50
MOST = 250_000
"""Instructions for a page, also of a tag that one of a hundred messages names."""
_EACH = 100


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Messages of the last days, half of them dead letters."""
    path = tmp_path_factory.mktemp("large") / "journal.sqlite"
    fill(path, STORED, failed=2)
    return path


def middle(timed: Timed) -> str:
    """The cursor of a page in the middle."""
    sql = "SELECT ticks, seq FROM message WHERE seq = ?"
    ticks, seq = timed.conn.execute(sql, (STORED // 2,)).fetchone()
    return f"{ticks}.{seq}"


def messages(timed: Timed, *, deep: bool = False, **wanted: Any) -> int:
    cursor = middle(timed) if deep else None
    asked = MessagesWanted(count=COUNT, cursor=cursor, **wanted)
    return len(search_journal(timed, asked).records)


def letters(timed: Timed, *, deep: bool = False, is_group: bool = False) -> int:
    group = groups_in(timed, Grouped(count=1), None).groups[0].id if is_group else None
    cursor = middle(timed) if deep else None
    asked = LettersWanted(count=COUNT, cursor=cursor, group=group)
    return len(letters_in(timed, asked, None).letters)


PAGES: dict[str, Callable[[Timed], int]] = {
    "the newest messages": messages,
    "messages in the middle": lambda timed: messages(timed, deep=True),
    "the oldest messages": lambda timed: messages(timed, oldest_first=True),
    "messages of a channel": lambda timed: messages(timed, channel=CHANNEL),
    "messages that failed": lambda timed: messages(timed, deep=True, state="error"),
    "messages of a tag": lambda timed: messages(timed, deep=True, tag=TAGS[7]),
    "the newest dead letters": letters,
    "dead letters in the middle": lambda timed: letters(timed, deep=True),
    "dead letters of a group": lambda timed: letters(timed, deep=True, is_group=True),
}


@pytest.fixture
def timed(journal: Path) -> Iterator[Timed]:
    """Reads the journal."""
    with closing(Timed(journal, 60)) as found:
        yield found


@pytest.mark.parametrize("name", PAGES)
def test_a_page_takes_no_more_of_a_longer_table(timed: Timed, name: str) -> None:
    steps = 0

    def step() -> bool:
        nonlocal steps
        steps += _EACH
        return False

    timed.conn.set_progress_handler(step, _EACH)
    assert PAGES[name](timed) == COUNT
    assert steps <= MOST
