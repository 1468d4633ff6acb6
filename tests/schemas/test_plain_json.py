"""What is said to be as parsed is what comes back from its bytes."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.parse import canonical_bytes, parse_json
from schemas.plain_json import is_as_parsed


class Code(StrEnum):
    FINAL = "final"


def _json(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    words = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    values = st.recursive(
        st.none() | st.booleans() | words | numbers,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.tuples(inner)
            | st.dictionaries(st.text("ab", max_size=2), inner, max_size=4)
        ),
        max_leaves=12,
    )
    return st.dictionaries(st.text("abc", max_size=2), values, max_size=4)


_ANY_NUMBERS = (
    st.integers(-(2**70), 2**70)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.just(Code.FINAL)
)
_NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1) | st.decimals(-(10**6), 10**6) | st.floats(-1, 1)


def _same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if type(a) is dict:
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    if type(a) is list:
        return len(a) == len(b) and all(map(_same, a, b))
    return str(a) == str(b)


@given(_json(_ANY_NUMBERS))
def test_what_is_as_parsed_comes_back(value: dict[str, Any]) -> None:
    if is_as_parsed(value):
        assert _same(parse_json(canonical_bytes(value)), value)


@given(_json(_NUMBERS))
def test_what_was_parsed_is_as_parsed(value: dict[str, Any]) -> None:
    assert is_as_parsed(parse_json(canonical_bytes(value)))


@pytest.mark.parametrize(
    "value",
    [1.5, (1,), Decimal(100), Decimal("NaN"), Decimal("Infinity"), 2**63, -(2**64), Code.FINAL,
     {1: "a"}, {Code.FINAL: 1}, b"x"],
)  # fmt: skip
def test_what_is_not_as_parsed(value: Any) -> None:
    assert not is_as_parsed({"a": [value]})


def test_what_is_very_deep_is_left_to_the_parser() -> None:
    value: dict[str, Any] = {}
    for _ in range(60):
        value = {"a": value}
    assert not is_as_parsed(value)
    assert is_as_parsed(value["a"]["a"]["a"]["a"]["a"]["a"]["a"]["a"]["a"]["a"]["a"])
