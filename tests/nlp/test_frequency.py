"""Frequencies as FHIR Timing.repeat."""

from decimal import Decimal
from typing import Any

import pytest

from nlp.frequency import find_frequencies, number

D = Decimal


def per(frequency: int, period: int, unit: str, **more: Any) -> dict[str, Any]:
    return {"frequency": frequency, "period": D(period), "periodUnit": unit, **more}


@pytest.mark.parametrize(
    ("text", "repeat"),
    [
        ("daily", per(1, 1, "d")),
        ("once a day", per(1, 1, "d")),
        ("BID", per(2, 1, "d")),
        ("b.i.d.", per(2, 1, "d")),
        ("twice daily", per(2, 1, "d")),
        ("two times a day", per(2, 1, "d")),
        ("TID", per(3, 1, "d")),
        ("QID", per(4, 1, "d")),
        ("q8h", per(1, 8, "h")),
        ("every 8 hours", per(1, 8, "h")),
        ("every eight hours", per(1, 8, "h")),
        ("q4-6h", per(1, 4, "h", periodMax=D(6))),
        ("every 4 to 6 hours", per(1, 4, "h", periodMax=D(6))),
        ("qhs", per(1, 1, "d", when=["HS"])),
        ("at bedtime", per(1, 1, "d", when=["HS"])),
        ("every morning", per(1, 1, "d", when=["MORN"])),
        ("qAM", per(1, 1, "d", when=["MORN"])),
        ("nightly", per(1, 1, "d", when=["NIGHT"])),
        ("weekly", per(1, 1, "wk")),
        ("once weekly", per(1, 1, "wk")),
        ("every 2 weeks", per(1, 2, "wk")),
        ("every other day", per(1, 2, "d")),
        ("3 times a week", per(3, 1, "wk")),
        ("2-3 times daily", per(2, 1, "d", frequencyMax=3)),
        ("monthly", per(1, 1, "mo")),
        ("with meals", per(3, 1, "d", when=["C"])),
        ("x1", {"count": 1}),
    ],
)
def test_find_frequencies_reads(text: str, repeat: dict[str, Any]) -> None:
    found = find_frequencies(text, 0, len(text))
    assert len(found) == 1
    expected = dict(repeat)
    assert found[0].repeat == expected


@pytest.mark.parametrize("text", ["quick", "status", "the patient", "dayroom", "q", ""])
def test_find_frequencies_finds_none(text: str) -> None:
    assert find_frequencies(text, 0, len(text)) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1/2", "0.5"),
        ("½", "0.5"),
        ("1,000", "1000"),
        ("two", "2"),
        ("half", "0.5"),
        ("6.25", "6.25"),
    ],
)
def test_number_reads(text: str, value: str) -> None:
    assert number(text) == D(value)


@pytest.mark.parametrize("text", ["1/0", "abc", "1/3", ""])
def test_number_gives_none_for_what_is_not_exact(text: str) -> None:
    assert number(text) is None
