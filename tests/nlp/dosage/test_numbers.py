"""Numbers of an instruction."""

from decimal import Decimal

import pytest

from nlp.dosage.numbers import number, number_range
from nlp.dosage.tokens import Tokens

D = Decimal


def tokens(text: str) -> Tokens:
    return Tokens(text, 0, len(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1/2", "0.5"),
        ("½", "0.5"),
        ("1½", "1.5"),
        ("1 1/2", "1.5"),
        ("1-1/2", "1.5"),
        ("1 and 1/2", "1.5"),
        ("one and a half", "1.5"),
        ("one and one-half", "1.5"),
        ("1,000", "1000"),
        (".5", "0.5"),
        ("two", "2"),
        ("twenty-one", "21"),
        ("half", "0.5"),
        ("one half", "0.5"),
        ("half of a", "0.5"),
        ("three quarters", "0.75"),
        ("6.25", "6.25"),
        ("two (2)", "2"),
        ("2 (two)", "2"),
    ],
)
def test_number_reads_all_of_it(text: str, value: str) -> None:
    t = tokens(text)
    assert number(t, 0) == (D(value), len(t))


@pytest.mark.parametrize("text", ["abc", "a", "-"])
def test_number_gives_none_for_what_is_none(text: str) -> None:
    assert number(tokens(text), 0) is None


@pytest.mark.parametrize("text", ["1/3", "5/325", "1/0"])
def test_number_reads_no_fraction_that_is_not_exact(text: str) -> None:
    found = number(tokens(text), 0)
    assert found is not None
    assert found[1] == 1


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("1-2", "1", "2"),
        ("1 to 2", "1", "2"),
        ("one or two", "1", "2"),
        ("1/2 to 1", "0.5", "1"),
        ("one-half to one", "0.5", "1"),
        ("4 (four) to 6 (six)", "4", "6"),
    ],
)
def test_number_range(text: str, low: str, high: str) -> None:
    t = tokens(text)
    assert number_range(t, 0) == (D(low), D(high), len(t))


def test_a_range_that_goes_down_is_none() -> None:
    assert number_range(tokens("5-3"), 0) == (D(5), None, 1)
