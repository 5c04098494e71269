"""The bound that the sketch of quantiles states."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from pichannels.errors import UsageError
from pichannels.windows import QuantileSketch, Tumbling, Windowing
from pichannels.windows.sketch import place_of

numbers = st.one_of(
    st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6),
    st.integers(-1000, 1000),
    st.floats(1, 2),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(numbers, min_size=1, max_size=200),
    st.floats(0, 1),
    st.sampled_from([0.001, 0.01, 0.05, 0.3]),
    st.integers(0, 200),
)
def test_a_quantile_is_within_its_error(
    found: list[float], part: float, error: float, cut: int
) -> None:
    sketch, other = QuantileSketch(error), QuantileSketch(error)
    for place, number in enumerate(found):
        (sketch if place < cut else other).add(number)
    # Put together, and read back, it is as good as one that got all.
    sketch.merge(other)
    data = msgspec.msgpack.encode(sketch.dump())
    quantile = QuantileSketch.load(msgspec.msgpack.decode(data, strict=False))
    exact = sorted(found)[place_of(part, len(found))]
    estimate = quantile.quantile(part)
    assert estimate is not None
    assert abs(estimate - exact) <= error * abs(exact) * (1 + 1e-9)


def test_a_quantile_is_the_nearest_rank() -> None:
    assert [place_of(part, 100) for part in (0, 0.07, 0.5, 0.99, 1)] == [
        0,
        6,
        49,
        98,
        99,
    ]
    assert [place_of(part, 2) for part in (0.5, 0.51, 0.99)] == [0, 1, 1]


def test_nothing_has_no_quantile() -> None:
    assert QuantileSketch().quantile(0.5) is None


def test_it_stays_small_whatever_comes() -> None:
    sketch = QuantileSketch()
    for exponent in range(-300, 300, 3):
        for part in range(20):
            sketch.add((1 + part / 10) * 10.0**exponent)
    assert sketch.count == 4000
    assert sum(map(len, sketch.dump()[2:])) <= 2048
    found = sketch.quantile(1)
    assert found == pytest.approx(2.9e297, rel=0.01)


def test_percentiles_of_a_window_lie_within_it() -> None:
    state = Windowing(Tumbling(60), ["p0", "p50", "p100"]).state()
    for number in range(1, 100):
        state.add(number, float(number), True, [])
    out: list[tuple[int, int, dict[str, float], int]] = []
    state.finish(out)  # type: ignore[arg-type]
    values = out[0][2]
    assert (values["p0"], values["p100"]) == pytest.approx((1, 99), rel=0.011)
    assert values["p50"] == pytest.approx(50, rel=0.011)


@pytest.mark.parametrize("error", [0, 1, -0.1])
def test_an_error_is_a_part(error: float) -> None:
    with pytest.raises(UsageError):
        QuantileSketch(error)


def test_sketches_of_different_errors_do_not_add_up() -> None:
    with pytest.raises(UsageError, match="different"):
        QuantileSketch(0.01).merge(QuantileSketch(0.02))
