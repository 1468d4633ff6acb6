"""Definitions of short forms among words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlp.models.short_forms import Defined, defined


@pytest.mark.parametrize(
    ("text", "long", "short"),
    [
        ("treated for acute renal failure ( ARF ) today", "acute renal failure", "ARF"),
        ("the Wiskott - Aldrich syndrome ( WAS ) gene", "Wiskott - Aldrich syndrome", "WAS"),
        ("given valproic acid ( VPA ; 20 mg )", "valproic acid", "VPA"),
        ("in non - small cell lung cancer ( NSCLC )", "non - small cell lung cancer", "NSCLC"),
    ],
)
def test_the_long_form_is_found(text: str, long: str, short: str) -> None:
    words = text.split()
    (found,) = defined(words)
    assert " ".join(words[found.begin : found.end]) == long
    assert words[found.short] == short


@pytest.mark.parametrize(
    "text",
    [
        "seen on Monday ( BP 120 / 80 )",  # Not one word.
        "he took aspirin ( see below )",
        "a dose of 20 ( mg ) daily",
        "( ARF )",
        "two patients ( XQZ ) died",
        "ARF ( ARF )",
    ],
)
def test_other_parentheses_define_nothing(text: str) -> None:
    assert list(defined(text.split())) == []


@given(st.lists(st.sampled_from(["(", ")", "ab", "AB", "a", "acid", "base", ";", "A-B"])))
def test_a_definition_stands_right_before_its_short_form(words: list[str]) -> None:
    for found in defined(words):
        assert isinstance(found, Defined)
        assert 0 <= found.begin < found.end == found.short - 1
        assert words[found.end] == "("
