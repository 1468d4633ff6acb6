"""Parts of a dosage and how they are grouped."""

from decimal import Decimal

import pytest

from nlp.dosage import clauses, find_parts, unit_of


def kinds(text: str) -> list[tuple[str, str]]:
    return [(p.kind, text[p.begin : p.end]) for p in find_parts(text, 0, len(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500 mg BID", [("DOSE", "500 mg"), ("FREQUENCY", "BID")]),
        ("5/325 1 tab", [("STRENGTH", "5/325"), ("DOSE", "1 tab")]),
        ("100 units/mL", [("STRENGTH", "100 units/mL")]),
        ("1/2 tablet", [("DOSE", "1/2 tablet")]),
        ("0.5% cream", [("STRENGTH", "0.5%"), ("FORM", "cream")]),
        ("10 mg/kg IV", [("DOSE", "10 mg/kg"), ("ROUTE", "IV")]),
        ("by mouth for 2 weeks", [("ROUTE", "by mouth"), ("DURATION", "for 2 weeks")]),
        ("glucose 210 mg/dL", []),
    ],
)
def test_find_parts(text: str, expected: list[tuple[str, str]]) -> None:
    assert kinds(text) == expected


def test_mass_with_a_counted_dose_is_a_strength() -> None:
    assert kinds("500 mg tablet, take 2 tablets")[0] == ("STRENGTH", "500 mg")


def test_clauses_of_a_split_dose() -> None:
    text = "1 tablet every morning and 2 tablets at bedtime"
    first, second = clauses(find_parts(text, 0, len(text)))
    assert first.dose is not None and second.dose is not None
    assert (first.dose["value"], second.dose["value"]) == (Decimal(1), Decimal(2))


def test_twice_daily_with_meals_is_one_clause() -> None:
    text = "500 mg twice daily with meals"
    (clause,) = clauses(find_parts(text, 0, len(text)))
    assert clause.repeat == {
        "frequency": 2,
        "period": Decimal(1),
        "periodUnit": "d",
        "when": ["C"],
    }


@pytest.mark.parametrize(
    ("written", "unit"),
    [("mcg", ("mcg", "ug")), ("tabs", ("tablet", None)), ("Units", ("unit", None))],
)
def test_unit_of(written: str, unit: tuple[str, str | None]) -> None:
    assert unit_of(written) == unit
