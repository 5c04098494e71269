"""Which of several servers is used follows from who answered and who failed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from pichannels.errors import UsageError
from pichannels.piwebasync.members import Members, Switched, WebIds

A, B, C = (f"https://{name}/piwebapi" for name in "abc")


def a_group(first_rest: float = 60.0) -> tuple[Members, list[Switched]]:
    members = Members([A, B, C], first_rest=first_rest)
    told: list[Switched] = []
    members.listen(told.append)
    return members, told


def test_the_first_is_used_and_asked_first() -> None:
    members, told = a_group()
    assert (members.current, members.order(), told) == (A, [A, B, C], [])


def test_another_is_used_once_it_has_answered() -> None:
    members, told = a_group()
    members.failed(A, "refused")
    assert (members.current, members.order()) == (A, [B, C, A])
    members.answered(B)
    assert (members.current, members.order()) == (B, [B, C, A])
    assert [(s.before, s.after, s.reason) for s in told] == [(A, B, "refused")]


def test_a_late_answer_of_the_one_in_use_keeps_it() -> None:
    members, told = a_group()
    members.failed(A, "refused")
    members.answered(A)
    members.answered(B)
    assert (members.current, told) == (A, [])


def test_one_that_has_rested_is_asked_when_the_one_in_use_fails() -> None:
    members, _ = a_group(first_rest=0.0)
    members.failed(A, "refused")
    members.answered(B)
    assert members.order() == [B, A, C]


def test_those_that_rest_are_asked_last_in_the_order_of_waking() -> None:
    members, told = a_group()
    for url in (B, C, A):
        members.failed(url, "refused")
    assert (members.order(), told) == ([B, C, A], [])


def test_who_keeps_a_connection_is_sent_to_another_at_once() -> None:
    members, told = a_group()
    assert members.leave(A, "lost") == B
    assert members.leave(B, "lost") == C
    assert members.leave(C, "lost") == C
    assert [switch.after for switch in told] == [B, C]


def test_who_left_long_ago_moves_nobody() -> None:
    members, told = a_group()
    members.leave(A, "lost")
    assert (members.leave(A, "lost"), len(told)) == (B, 1)


def test_a_rest_doubles_and_ends_with_an_answer() -> None:
    members = Members([A, B], first_rest=0.0, longest_rest=10.0)
    members.failed(A, "one")
    members.failed(A, "two")
    assert members.statistics()[A]["failures"] == 2
    members.answered(A)
    assert members.statistics()[A] == {
        "in_use": True,
        "failures": 0,
        "rests": 0.0,
        "reason": "",
    }


def test_one_is_chosen_by_hand() -> None:
    members, told = a_group()
    members.failed(C, "refused")
    members.use(f"{C}/")
    assert (members.current, told[0].reason) == (C, "chosen")


def test_who_listens_no_more_is_told_nothing() -> None:
    members, _ = a_group()
    told: list[Switched] = []
    stop = members.listen(told.append)
    stop()
    members.use(B)
    assert told == []


@pytest.mark.parametrize("urls", [[], [A, A], [A, "https://a"], ["pi.example.com"]])
def test_members_are_different_urls(urls: list[str]) -> None:
    with pytest.raises(UsageError):
        Members(urls)


def test_an_unknown_member_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'https://b/piwebapi'"):
        a_group()[0].use("https://b/piwebap")


@pytest.mark.parametrize(
    ("url", "base"),
    [(f"{B}/points?path=x", B), (B, B), ("https://b/piwebapi2/x", None)],
)
def test_a_url_belongs_to_the_member_below_which_it_is(
    url: str, base: str | None
) -> None:
    assert a_group()[0].base_of(url) == base


def test_an_object_is_found_at_each_member_by_its_path() -> None:
    table = WebIds()
    table.learn_all(A, {r"\\S\Tag": "WA"})
    table.learn(B, r"\\s\TAG", "WB")
    path = table.path("WA")
    assert path is not None and table.at(B, path) == "WB"
    assert table.missing(C, [r"\\S\tag"]) == [r"\\S\tag"]


def test_a_listener_that_fails_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    members, told = a_group()
    members.listen(lambda event: 1 / 0)  # type: ignore[arg-type]
    also: list[Switched] = []
    members.listen(also.append)
    members.use(B)
    assert (len(told), len(also)) == (1, 1)
    assert "a listener to switches has failed" in caplog.text


def test_a_web_id_that_means_another_object_elsewhere_has_no_path() -> None:
    table = WebIds()
    table.learn(A, r"\\S\ONE", "L1DPAQAAAA")
    table.learn(B, r"\\S\TWO", "L1DPAQAAAA")
    assert table.path("L1DPAQAAAA") is None


def test_a_renamed_object_has_its_new_path() -> None:
    table = WebIds()
    table.learn(A, r"\\S\OLD", "I1DPx")
    table.learn(A, r"\\S\NEW", "I1DPx")
    assert table.path("I1DPx") == r"\\S\NEW"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["failed", "answered", "leave", "use"]),
            st.sampled_from([A, B, C]),
        ),
        max_size=30,
    ),
    st.sampled_from([0.0, 60.0]),
)
def test_whatever_happens_one_member_is_used_and_each_switch_is_told(
    steps: list[tuple[str, str]], rest: float
) -> None:
    members, told = a_group(first_rest=rest)
    for what, url in steps:
        args = (url, "why") if what in ("failed", "leave") else (url,)
        getattr(members, what)(*args)
        assert sorted(members.order()) == [A, B, C]
    used = [A, *(switch.after for switch in told)]
    assert used[-1] == members.current
    assert used[:-1] == [switch.before for switch in told]
    assert all(one != other for one, other in pairwise(used))
