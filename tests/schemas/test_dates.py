"""Dates as intervals. https://hl7.org/fhir/R4/search.html#date"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dates import (
    MAX_US,
    MIN_US,
    date_range,
    period_range,
    timing_range,
    to_datetime,
    to_microseconds,
)


def _us(*parts: int) -> int:
    return to_microseconds(datetime(*parts, tzinfo=UTC))  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2024", _us(2024, 1, 1), _us(2025, 1, 1)),
        ("2024-02", _us(2024, 2, 1), _us(2024, 3, 1)),
        ("2024-12", _us(2024, 12, 1), _us(2025, 1, 1)),
        ("2024-02-29", _us(2024, 2, 29), _us(2024, 3, 1)),
        ("2024-02-29T23:59", _us(2024, 2, 29, 23, 59), _us(2024, 3, 1)),
        ("2024-05-01T10:00:05Z", _us(2024, 5, 1, 10, 0, 5), _us(2024, 5, 1, 10, 0, 6)),
        ("2024-05-01T10:00:05", _us(2024, 5, 1, 10, 0, 5), _us(2024, 5, 1, 10, 0, 6)),
        ("2024-05-01T10:00:05+02:00", _us(2024, 5, 1, 8, 0, 5), _us(2024, 5, 1, 8, 0, 6)),
        ("2024-01-01T00:00:00-05:30", _us(2024, 1, 1, 5, 30), _us(2024, 1, 1, 5, 30, 1)),
        ("2016-12-31T23:59:60Z", _us(2017, 1, 1), _us(2017, 1, 1, 0, 0, 1)),
        ("9999", _us(9999, 1, 1), _us(9999, 12, 31) + 86_400_000_000),
        ("0001-01-01", _us(1, 1, 1), _us(1, 1, 2)),
    ],
)
def test_precision_is_an_interval(text: str, low: int, high: int) -> None:
    assert date_range(text) == (low, high)


def test_fractions_of_a_second() -> None:
    start = _us(2024, 1, 1)
    assert date_range("2024-01-01T00:00:00.5Z") == (start + 500_000, start + 600_000)
    assert date_range("2024-01-01T00:00:00.123456Z") == (start + 123_456, start + 123_457)
    assert date_range("2024-01-01T00:00:00.123456789Z") == (start + 123_456, start + 123_457)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "24",
        "2023-02-30",
        "2023-02-29",
        "2023-13",
        "2023-00",
        "0000",
        "2023-1-1",
        "yesterday",
        "2023-01-01T24:00:00Z",
        "2023-01-01T10:60:00Z",
        "2023-01-01T10:00:61Z",
        "2023-01-01 10:00",
        "2023-01-01T10:00:00+15:00",
        "2023-01-01T10:00:00+14:30",
        "2023-01-01T10",
        "٢٠٢٣",
        "2023\n",
    ],
)
def test_what_is_no_date_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="not a FHIR date") as caught:
        date_range(text)
    assert text == "" or text not in str(caught.value)


@given(st.datetimes(), st.integers(-14 * 60, 14 * 60))
def test_agrees_with_the_standard_library(moment: datetime, offset_minutes: int) -> None:
    aware = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=offset_minutes)))
    low, high = date_range(aware.isoformat())
    assert low == (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert high - low == 1_000_000


@given(st.dates())
def test_a_day_is_within_its_month_and_year(day: object) -> None:
    text = str(day)
    low, high = date_range(text)
    for shorter in (text[:7], text[:4]):
        outer_low, outer_high = date_range(shorter)
        assert outer_low <= low < high <= outer_high


def test_periods_may_be_open() -> None:
    low, high = date_range("2020")
    assert period_range({"start": "2020", "end": "2020"}) == (low, high)
    assert period_range({"start": "2020"}) == (low, MAX_US)
    assert period_range({"end": "2020"}) == (MIN_US, high)
    for odd in ({}, None, "2020", {"start": 1}, {"start": "2020-99"}, {"start": None}):
        assert period_range(odd) is None
    assert date_range("0001")[0] > MIN_US and date_range("9999")[1] < MAX_US


def test_timing_is_its_outer_limits() -> None:
    timing = {
        "event": ["2020-05", "2019", 3, "x"],
        "repeat": {"boundsPeriod": {"start": "2018", "end": "2018-06"}},
    }
    assert timing_range(timing) == (date_range("2018")[0], date_range("2020-05")[1])
    assert timing_range({"repeat": {"frequency": 1}}) is None
    assert timing_range(None) is None


def test_microseconds_and_datetimes() -> None:
    assert to_datetime(_us(2024, 5, 1)) == datetime(2024, 5, 1, tzinfo=UTC)
    assert to_datetime(MAX_US) is None
    with pytest.raises(ValueError, match="zone"):
        to_microseconds(datetime(2024, 1, 1))
