"""Samples become tables whose times are exact and whose states are no numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd  # type: ignore[import-untyped,unused-ignore]
import polars as pl
import pytest

from pichannels.adapters.pandas_tables import to_pandas
from pichannels.adapters.polars_tables import to_polars
from pichannels.adapters.tables import MissingExtra, table_of
from pichannels.values import OPEN_END, DigitalState, Sample, Tag, ValueFailure
from tests.docs.processes import in_process

TAG = Tag("TEMP", r"\\S\TEMP", "W", units="bar")
RUNNING = DigitalState("RUNNING", 1)
TIMEOUT = DigitalState("I/O Timeout", 246, is_system=True)
AT = 16_759_008_001_234_567
BOTH = pytest.mark.parametrize("make", [to_pandas, to_polars])
Make = Callable[[list[Sample]], Any]


def samples(*values: Any, at: int = AT) -> list[Sample]:
    return [Sample(TAG, at + n, value, units="bar") for n, value in enumerate(values)]


def listed(column: Any) -> list[Any]:
    """Values of either library; gaps are None."""
    found = column.to_list()
    return [None if one is pd.NA or one is None or one != one else one for one in found]


@BOTH
def test_a_row_is_a_sample_and_its_time_is_exact(make: Make) -> None:
    frame = make(samples(1.5, 2.5))
    assert frame.shape == (2, 11)
    assert listed(frame["value"]) == [1.5, 2.5]
    assert [listed(frame[name])[0] for name in ("tag", "units")] == ["TEMP", "bar"]


def test_pandas_keeps_100_ns_and_the_time_zone() -> None:
    times = to_pandas(samples(1.0, 2.0))["timestamp"]
    assert str(times.dtype) == "datetime64[ns, UTC]"
    assert [moment.value for moment in times] == [AT * 100, AT * 100 + 100]


def test_polars_keeps_100_ns_and_the_time_zone() -> None:
    times = to_polars(samples(1.0, 2.0))["timestamp"]
    assert times.dtype == pl.Datetime("ns", "UTC")
    assert times.cast(pl.Int64).to_list() == [AT * 100, AT * 100 + 100]


@BOTH
def test_a_system_state_is_a_gap_with_its_name_beside_it(make: Make) -> None:
    frame = make(samples(1.5, TIMEOUT, ValueFailure("no data"), None))
    assert listed(frame["value"]) == [1.5, None, None, None]
    assert listed(frame["state"]) == [None, "I/O Timeout", None, None]
    assert listed(frame["error"]) == [None, None, "no data", None]


@BOTH
def test_a_digital_state_is_its_name(make: Make) -> None:
    frame = make(samples(RUNNING, TIMEOUT))
    assert listed(frame["value"]) == ["RUNNING", None]
    assert listed(frame["state"]) == ["RUNNING", "I/O Timeout"]


@pytest.mark.parametrize(
    ("values", "in_pandas", "in_polars"),
    [
        ((1.5, 2), "float64", pl.Float64),
        ((2**53 + 1, 2), "int64", pl.Int64),
        ((2**53 + 1, None), "Int64", pl.Int64),
        ((2**70, 1), "float64", pl.Float64),
        ((True, False), "bool", pl.Boolean),
        ((True, None), "boolean", pl.Boolean),
        (("a", RUNNING), "string", pl.String),
        ((TIMEOUT,), "float64", pl.Float64),
        ((), "float64", pl.Float64),
        ((1.5, "a"), "object", pl.Float64),
    ],
)
def test_the_type_follows_from_the_values(
    values: tuple[Any, ...], in_pandas: str, in_polars: Any
) -> None:
    assert to_pandas(samples(*values))["value"].dtype == in_pandas
    assert to_polars(samples(*values))["value"].dtype == in_polars


def test_mixed_values_are_all_there() -> None:
    mixed = samples(1.5, "a", True, RUNNING, [1, 2])
    assert to_pandas(mixed)["value"].to_list() == [1.5, "a", True, "RUNNING", [1, 2]]
    frame = to_polars(mixed)
    assert frame["value"].to_list() == [1.5, None, None, None, None]
    assert frame["text"].to_list() == [None, "a", "true", "RUNNING", "[1,2]"]


@BOTH
def test_the_text_nan_beside_numbers_is_one(make: Make) -> None:
    column = make(samples(1.0, "NaN", "Infinity"))["value"].to_list()
    assert math.isnan(column[1]) and column[2] == math.inf


@BOTH
def test_a_time_that_nanoseconds_do_not_reach_is_a_gap(make: Make) -> None:
    column = make(samples(1.0, at=OPEN_END))["timestamp"]
    assert column.is_null().all() if make is to_polars else column.isna().all()


def test_a_table_of_a_hundred_thousand_is_made_in_columns() -> None:
    table = table_of(samples(*range(100_000)))
    assert (table.kind, len(table.value), table.state[-1]) == ("int", 100_000, None)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_missing_library_is_told_with_its_extra(library: str, tmp_path: Any) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        f"from pichannels.adapters.{library}_tables import to_{library} as make\n"
        "from pichannels.adapters.tables import MissingExtra\n"
        "try:\n    make([])\n"
        "except MissingExtra as exc:\n    sys.stderr.write(str(exc))\n"
    )
    done = in_process(tmp_path, "-c", code)
    assert f"pip install 'pichannels[{library}]'" in done.stderr


def test_the_error_is_an_import_error_too() -> None:
    assert isinstance(MissingExtra("pandas"), ImportError)
