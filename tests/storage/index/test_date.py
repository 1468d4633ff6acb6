"""Date comparison in SQL against the definition in words, over random intervals."""

from __future__ import annotations

from collections.abc import Callable

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.index import date

Interval = tuple[int, int]

# The definitions of https://hl7.org/fhir/R4/search.html#prefix on sets of moments.
MEANING: dict[str, Callable[[set[int], set[int], int, int], bool]] = {
    "eq": lambda mine, asked, low, high: mine <= asked,
    "ne": lambda mine, asked, low, high: not mine <= asked,
    "gt": lambda mine, asked, low, high: any(m >= high for m in mine),
    "lt": lambda mine, asked, low, high: any(m < low for m in mine),
    "ge": lambda mine, asked, low, high: any(m >= low for m in mine),
    "le": lambda mine, asked, low, high: any(m < high for m in mine),
    "sa": lambda mine, asked, low, high: all(m >= high for m in mine),
    "eb": lambda mine, asked, low, high: all(m < low for m in mine),
    "ap": lambda mine, asked, low, high: bool(mine & asked),
}

intervals = st.tuples(st.integers(0, 12), st.integers(1, 6)).map(lambda p: (p[0], p[0] + p[1]))


@pytest.fixture(scope="module")
def connection() -> apsw.Connection:
    return apsw.Connection(":memory:")


@pytest.mark.parametrize("prefix", sorted(MEANING))
@given(mine=intervals, asked=intervals)
def test_conditions_mean_what_the_prefixes_say(
    connection: apsw.Connection, prefix: str, mine: Interval, asked: Interval
) -> None:
    sql, args = date.condition(prefix, *asked).sql()
    got = connection.execute(
        f"SELECT ({sql}) FROM (SELECT ? AS low, ? AS high)", (*args, *mine)
    ).get
    expected = MEANING[prefix](set(range(*mine)), set(range(*asked)), *asked)
    assert bool(got) == expected


def test_bounds_of_partial_dates() -> None:
    prefix, low, high = date.bounds("ge1970-01")
    assert (prefix, low, high) == ("ge", 0, 31 * 86_400_000_000)
    assert date.bounds("1970-01-01T00:00:01Z") == ("eq", 1_000_000, 2_000_000)


def test_approximately_is_a_tenth_of_the_distance_from_now() -> None:
    _, low, high = date.bounds("ap1970-01-01")
    exact_low, exact_high = date.bounds("1970-01-01")[1:]
    year_us = 365 * 86_400_000_000
    assert exact_low - low > 5 * year_us
    assert high - exact_high > 5 * year_us


@pytest.mark.parametrize("text", ["", "ge", "2024-1", "2024-02-30", "gele2024", "2024|x"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        date.bounds(text)
