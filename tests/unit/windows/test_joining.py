"""As-of joins against brute force."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from pichannels.errors import UsageError
from pichannels.windows import AsOf, Joined, Reference

SECOND = 10**7
# Who: 0 is the value to be joined, 1 and 2 are references.
streams = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 4), st.integers(-10, 10)),
        st.integers(0, 2),
        st.integers(0, 9),
    ),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(
    streams,
    st.integers(0, 10),
    st.one_of(st.none(), st.integers(1, 6)),
    st.integers(0, 40),
)
def test_each_value_gets_what_was_there(
    steps: list[tuple[int, int, int]],
    lateness: int,
    tolerance: int | None,
    restart_at: int,
) -> None:
    rules = AsOf(["a", "b"], tolerance=tolerance, lateness=lateness)
    state, out, mark, second = rules.state(), list[Joined](), -(10**9), 1000
    wanted: list[tuple[int, int]] = []
    known: dict[str, list[tuple[int, int | None]]] = {"a": [], "b": []}

    def last(name: str, second: int) -> Reference | None:
        before = sorted(
            (p for p in known[name] if p[0] <= second), key=lambda pair: pair[0]
        )
        if not before or before[-1][1] is None:
            return None
        at, value = before[-1]
        if tolerance is not None and second - at > tolerance:
            return None
        return Reference(at * SECOND, value)

    for number, (step, who, value) in enumerate(steps):
        if number == restart_at:
            data = msgspec.msgpack.decode(msgspec.msgpack.encode(state.dump()))
            state = rules.state()
            state.load(data)
        second += step
        ticks = second * SECOND
        # What is older than the watermark would need what is forgotten.
        if who and second >= mark:
            state.put("ab"[who - 1], ticks, value, value > 1, out)
            known["ab"[who - 1]].append((second, value if value > 1 else None))
        elif not who:
            late: list[Joined] = []
            is_late = second < mark
            assert state.add(ticks, number, late if is_late else out) is not is_late
            if is_late:
                # Of what it is joined with nothing came later, up to the watermark.
                assert all(
                    r in (None, last(name, second)) for name, r in late[0].found.items()
                )
            else:
                wanted.append((second, number))
        mark = max(mark, second - lateness)
    state.finish(out)

    assert out == [
        Joined(s * SECOND, n, {name: last(name, s) for name in ("a", "b")})
        for s, n in sorted(wanted, key=lambda pair: pair[0])
    ]


def test_a_join_has_references() -> None:
    with pytest.raises(UsageError, match="one reference"):
        AsOf([])
