"""Dates and times of any precision against Python's own, where Python has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fhirpath import FhirPathError
from schemas.fhirpath.boundaries import decimal_boundary, temporal_boundary
from schemas.fhirpath.temporal import SECOND, Temporal, add, compare, read_temporal

MOMENTS = st.datetimes(
    min_value=datetime(1900, 1, 1),
    max_value=datetime(2100, 1, 1),
    timezones=st.integers(-12 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))),
)


def written(moment: datetime) -> Temporal:
    found = read_temporal(moment.isoformat(timespec="microseconds"), "DateTime")
    assert found is not None
    return found


def pythonic(moment: Temporal) -> datetime:
    return datetime.fromisoformat(moment.text).astimezone(UTC)


@given(MOMENTS)
def test_a_text_comes_back_as_it_was(moment: datetime) -> None:
    text = moment.isoformat(timespec="microseconds")
    found = read_temporal(text, "DateTime")
    assert found is not None and found.text == text


@given(MOMENTS, MOMENTS)
def test_instants_are_compared_as_python_compares_them(left: datetime, right: datetime) -> None:
    assert compare(written(left), written(right)) == (left > right) - (left < right)


@given(MOMENTS, MOMENTS, st.integers(1, 6), st.integers(1, 6))
def test_a_comparison_of_partial_moments_never_contradicts_the_whole_ones(
    left: datetime, right: datetime, left_precision: int, right_precision: int
) -> None:
    a, b = written(left), written(right)
    partial = compare(a.cut(left_precision), b.cut(right_precision))
    if left_precision != right_precision and partial is not None:
        assert partial == compare(a, b)
    if partial is not None:
        reverse = compare(b.cut(right_precision), a.cut(left_precision))
        assert reverse == -partial


@given(MOMENTS, st.decimals(-100_000, 100_000, places=3), st.sampled_from(
    ["second", "minute", "hour", "day", "week"]))  # fmt: skip
def test_adding_is_adding_a_length_of_time(moment: datetime, amount: Decimal, unit: str) -> None:
    if unit != "second":
        amount = Decimal(int(amount))
    if unit in ("day", "week"):
        amount = amount % 3650
    moved = add(written(moment), amount, unit)
    assert pythonic(moved) == moment + timedelta(**{f"{unit}s": float(amount)})


@pytest.mark.parametrize(
    ("text", "months", "expected"),
    [
        ("2024-01-31", 1, "2024-02-29"),
        ("2023-01-31", 1, "2023-02-28"),
        ("2024-03-31", -1, "2024-02-29"),
        ("2024-12", 1, "2025-01"),
        ("2024", 13, "2025"),
        ("2024", -1, "2024"),
    ],
)
def test_months_end_on_the_last_day_there_is(text: str, months: int, expected: str) -> None:
    moment = read_temporal(text, "Date")
    assert moment is not None
    assert add(moment, Decimal(months), "month").text == expected


def test_the_calendar_has_an_end() -> None:
    moment = read_temporal("9999-12-31", "Date")
    assert moment is not None
    for amount, unit in ((1, "day"), (1, "year"), (10**9, "month"), (-(10**9), "day")):
        with pytest.raises(FhirPathError, match="years 1 to 9999"):
            add(moment, Decimal(amount), unit)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("2023-02-29", "Date"), ("2023-13", "Date"), ("0000", "Date"), ("2023-00", "Date"),
        ("2023-01-01T24:00", "DateTime"), ("2023-01-01T10:60", "DateTime"),
        ("2023-01-01T10:00+15:00", "DateTime"), ("2023-01-01Z", "DateTime"), ("25", "Time"),
        ("10:00:61", "Time"), ("10:00Z", "Time"), ("", "Time"),
    ],
)  # fmt: skip
def test_what_the_calendar_or_the_clock_lacks_is_none(text: str, kind: str) -> None:
    assert read_temporal(text, kind) is None


@given(MOMENTS, st.integers(1, 6))
def test_boundaries_enclose_what_is_known(moment: datetime, precision: int) -> None:
    whole = written(moment.replace(microsecond=moment.microsecond // 1000 * 1000))
    partial = whole.cut(precision)
    low, high = (temporal_boundary(partial, None, high=high) for high in (False, True))
    assert low is not None and high is not None
    if precision >= 4 and precision < SECOND:
        assert compare(low, whole) in (-1, 0)
        assert compare(high, whole) in (1, 0)


@given(st.decimals(-10_000, 10_000, places=4), st.integers(0, 12))
def test_boundaries_enclose_a_decimal(value: Decimal, places: int) -> None:
    low, high = (decimal_boundary(value, places, high=high) for high in (False, True))
    assert low is not None and high is not None
    assert low <= high
    if places >= 5:
        assert high - low == Decimal("0.0001")
