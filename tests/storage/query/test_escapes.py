"""Escaped separators. https://hl7.org/fhir/R4/search.html#escaping"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.query.escapes import split, unescape

CASES = [
    ("a,b", ["a", "b"]),
    (r"a\,b,c", ["a,b", "c"]),
    (r"a\\,b", ["a\\", "b"]),
    (r"a\|b", ["a|b"]),
    (r"\$", ["$"]),
    (r"a\b", [r"a\b"]),
    ("", [""]),
    (",", ["", ""]),
    ("\\", ["\\"]),
]


@pytest.mark.parametrize(("text", "parts"), CASES)
def test_cases(text: str, parts: list[str]) -> None:
    assert [unescape(part) for part in split(text, ",")] == parts


def test_limit() -> None:
    assert split("a|b|c", "|", 1) == ["a", "b|c"]


@given(st.lists(st.text(alphabet="ab,|$\\"), min_size=1))
def test_escaping_and_splitting_gives_the_parts_again(parts: list[str]) -> None:
    text = ",".join(re.sub(r"([,|$\\])", r"\\\1", part) for part in parts)
    assert [unescape(part) for part in split(text, ",")] == parts
