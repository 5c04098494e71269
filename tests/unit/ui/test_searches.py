"""Pages of the journal and of other stores become one, in the order of time."""

from __future__ import annotations

from pichannels.control.fitting import MessagesWanted
from pichannels.control.walking import Spot
from pichannels.ui.content import MessageRow
from pichannels.ui.searches import MessagePage, merged
from pichannels.values import format_ticks


def row(id: int, ticks: int, channel: str = "a", uuid: str = "") -> MessageRow:
    return MessageRow(
        id=str(id),
        channel=channel,
        state="error",
        timestamp=format_ticks(ticks),
        uuid=uuid or f"{channel} {id}",
    )


def ids(page: MessagePage) -> list[str]:
    return [f"{row.channel}{row.id}" for row in page.messages]


def test_what_may_come_between_waits_for_the_next_page() -> None:
    here = MessagePage(messages=[row(9, 90), row(8, 80)], next="80.8", complete=False)
    there = MessagePage(messages=[row(1, 85, "b"), row(2, 70, "b")])
    page = merged(MessagesWanted(count=5), [here, there], ("", ""))
    assert (ids(page), page.complete) == (["a9", "b1", "a8"], False)
    assert page.next == f"80.8~{Spot(85, 'b', '1').text}"


def test_a_page_that_gave_nothing_is_asked_for_again() -> None:
    here = MessagePage(messages=[row(9, 90), row(8, 80)], next="80.8")
    there = MessagePage(messages=[row(1, 50, "b")])
    page = merged(MessagesWanted(count=2), [here, there], ("99.9", "before"))
    assert (ids(page), page.next) == (["a9", "a8"], "80.8~before")


def test_after_the_last_of_both_there_is_no_more() -> None:
    pages = [MessagePage(messages=[row(1, 10)]), MessagePage(messages=[])]
    page = merged(MessagesWanted(oldest_first=True), pages, ("", "-"))
    assert (ids(page), page.next) == (["a1"], None)


def test_what_both_have_is_shown_once() -> None:
    here = MessagePage(messages=[row(96, 10, "b", "same"), row(7, 5)])
    there = MessagePage(messages=[row(1, 10, "b", "same")])
    page = merged(MessagesWanted(), [here, there], ("", ""))
    assert (ids(page), page.next) == (["b1", "a7"], None)
