"""Frequencies as FHIR Timing.repeat."""

from decimal import Decimal
from typing import Any

import pytest

from nlp.dosage.frequencies import frequency_at
from nlp.dosage.tokens import Tokens

D = Decimal


def per(frequency: int, period: int, unit: str, **more: Any) -> dict[str, Any]:
    return {"frequency": frequency, "period": D(period), "periodUnit": unit, **more}


def read(text: str) -> tuple[dict[str, Any], str] | None:
    tokens = Tokens(text, 0, len(text))
    found = frequency_at(tokens, 0) if len(tokens) else None
    return (found[0], text[: tokens.ends[found[1] - 1]]) if found else None


@pytest.mark.parametrize(
    ("text", "repeat"),
    [
        ("daily", per(1, 1, "d")),
        ("once a day", per(1, 1, "d")),
        ("BID", per(2, 1, "d")),
        ("b.i.d.", per(2, 1, "d")),
        ("b. i. d.", per(2, 1, "d")),
        ("twice daily", per(2, 1, "d")),
        ("two times a day", per(2, 1, "d")),
        ("2 (two) times daily", per(2, 1, "d")),
        ("TID", per(3, 1, "d")),
        ("QID", per(4, 1, "d")),
        ("bds", per(2, 1, "d")),
        ("bid-tid", per(2, 1, "d", frequencyMax=3)),
        ("3x/day", per(3, 1, "d")),
        ("q8h", per(1, 8, "h")),
        ("q 8 hrs", per(1, 8, "h")),
        ("q.8h", per(1, 8, "h")),
        ("q12", per(1, 12, "h")),
        ("every 8 hours", per(1, 8, "h")),
        ("every eight (8) hours", per(1, 8, "h")),
        ("q4-6h", per(1, 4, "h", periodMax=D(6))),
        ("q4h-q6h", per(1, 4, "h", periodMax=D(6))),
        ("every 4 to 6 hours", per(1, 4, "h", periodMax=D(6))),
        ("every 5 minutes", per(1, 5, "min")),
        ("q72h", per(1, 72, "h")),
        ("qhs", per(1, 1, "d", when=["HS"])),
        ("at bedtime", per(1, 1, "d", when=["HS"])),
        ("once at bedtime", per(1, 1, "d", when=["HS"])),
        ("every morning", per(1, 1, "d", when=["MORN"])),
        ("qAM", per(1, 1, "d", when=["MORN"])),
        ("nightly", per(1, 1, "d", when=["NIGHT"])),
        ("in the morning and at bedtime", per(2, 1, "d", when=["MORN", "HS"])),
        ("weekly", per(1, 1, "wk")),
        ("once weekly", per(1, 1, "wk")),
        ("every 2 weeks", per(1, 2, "wk")),
        ("every other day", per(1, 2, "d")),
        ("every third day", per(1, 3, "d")),
        ("qod", per(1, 2, "d")),
        ("3 times a week", per(3, 1, "wk")),
        ("5 days a week", per(5, 1, "wk")),
        ("2-3 times daily", per(2, 1, "d", frequencyMax=3)),
        ("up to 4 times a day", per(1, 1, "d", frequencyMax=4)),
        ("once every 3 months", per(1, 3, "mo")),
        ("monthly", per(1, 1, "mo")),
        ("with meals", per(3, 1, "d", when=["C"])),
        ("with breakfast and dinner", per(2, 1, "d", when=["CM", "CV"])),
        ("30 minutes before breakfast", per(1, 1, "d", when=["ACM"], offset=30)),
        ("1 hour before bedtime", per(1, 1, "d", when=["HS"], offset=60)),
        ("at 8 am and 8:30 pm", per(2, 1, "d", timeOfDay=["08:00:00", "20:30:00"])),
        ("MWF", {"dayOfWeek": ["mon", "wed", "fri"]}),
        ("M/W/F", {"dayOfWeek": ["mon", "wed", "fri"]}),
        ("T/Th/Sa/Su", {"dayOfWeek": ["tue", "thu", "sat", "sun"]}),
        ("Monday through Friday", {"dayOfWeek": ["mon", "tue", "wed", "thu", "fri"]}),
        ("on Mon. and Thu.", {"dayOfWeek": ["mon", "thu"]}),
        ("except Sunday", {"dayOfWeek": ["mon", "tue", "wed", "thu", "fri", "sat"]}),
        ("x1", None),
        ("once", {"count": 1}),
    ],
)
def test_frequency_at_reads(text: str, repeat: dict[str, Any] | None) -> None:
    found = read(text)
    assert (found[0] if found else None) == repeat


def test_frequency_at_leaves_a_full_stop_of_the_sentence() -> None:
    assert read("daily. Then")[1] == "daily"  # type: ignore[index]


@pytest.mark.parametrize(
    "text", ["quick", "status", "the patient", "dayroom", "q", "", "biweekly", "mf", "fri ed"[:0]]
)
def test_frequency_at_finds_none(text: str) -> None:
    assert read(text) is None
