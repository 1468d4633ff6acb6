"""Number comparison: implied precision for eq and ne, exact for the others."""

from __future__ import annotations

from decimal import Decimal

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.index.prefixes import number_condition, split_prefix

CASES = [
    ("100", [99.5, 100, 100.49], [99.49, 100.5, 101]),
    ("100.00", [99.995, 100, 100.0049], [99.99, 100.005]),
    ("1e2", [95, 100, 104.9], [94.9, 105]),
    ("-5.4", [-5.45, -5.4, -5.351], [-5.46, -5.35, 5.4]),
    ("0.001", [0.0005, 0.001, 0.00149], [0.0004, 0.0015]),
    ("ne100", [99.4, 100.5], [100, 99.5]),
    ("gt100", [100.0001, 101], [100, 99]),
    ("lt100", [99.9999], [100, 101]),
    ("ge100", [100, 101], [99.99]),
    ("le100", [100, 99], [100.01]),
    ("sa100", [100.01], [100]),
    ("eb100", [99.99], [100]),
    ("ap100", [90, 100, 110], [89.9, 110.1]),
    ("ap-100", [-90, -110], [-111, 100]),
]


def matches(text: str, low: float, high: float) -> bool:
    sql, args = number_condition(text).sql()
    query = f"SELECT ({sql}) FROM (SELECT ? AS low, ? AS high)"
    return bool(apsw.Connection(":memory:").execute(query, (*args, low, high)).get)


@pytest.mark.parametrize(("text", "inside", "outside"), CASES)
def test_numbers(text: str, inside: list[float], outside: list[float]) -> None:
    assert [n for n in inside if not matches(text, n, n)] == []
    assert [n for n in outside if matches(text, n, n)] == []


def test_ranges_with_open_ends() -> None:
    infinity = float("inf")
    assert matches("gt5", 1, infinity) and matches("lt5", -infinity, 1)
    assert not matches("5", 1, infinity) and matches("ne5", 1, infinity)
    assert matches("sa5", 6, infinity) and not matches("sa5", 5, infinity)


@given(st.decimals(min_value=-(10**6), max_value=10**6, places=3))
def test_a_number_equals_itself_as_written(number: Decimal) -> None:
    value = float(number)
    assert matches(str(number), value, value)
    assert not matches(f"ne{number}", value, value)
    assert matches(f"ge{number}", value, value) and not matches(f"gt{number}", value, value)


@pytest.mark.parametrize("text", ["", "ge", "1,0", "1e9999", "inf", "0x1", " 1", "1.", "٣"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        number_condition(text)


def test_prefixes_are_taken_off() -> None:
    assert split_prefix("ge5") == ("ge", "5")
    assert split_prefix("5") == ("eq", "5")
    assert split_prefix("xx5") == ("eq", "xx5")
