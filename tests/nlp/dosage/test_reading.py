"""Parts of an instruction, in order and in place."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlp.dosage import instruction, read
from nlp.dosage.parts import MARKS, METHOD

_VOCABULARY = """
take 1 2 1/2 mg tablets ( ) , . ; - / and then q every 4 6 h hours for x days daily bid prn pain max
of up to mL per units at bedtime with meals on Monday except MWF day # day 1 week : one half a if >
100 until 08:00 am drops OU patch 5% each"""
_WORDS = _VOCABULARY.split()


def kinds(text: str, *, bare: bool = False) -> list[tuple[str, str]]:
    said = instruction(text, read(text, 0, len(text), bare=bare))
    return [
        (p.kind, text[p.begin : p.end])
        for p in said.parts
        if p.kind not in MARKS and p.kind != METHOD
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500 mg BID", [("DOSE", "500 mg"), ("FREQUENCY", "BID")]),
        ("5/325 1 tab", [("STRENGTH", "5/325"), ("DOSE", "1 tab")]),
        ("100 units/mL", [("STRENGTH", "100 units/mL")]),
        ("1/2 tablet", [("DOSE", "1/2 tablet")]),
        ("0.5% cream", [("STRENGTH", "0.5%"), ("FORM", "cream")]),
        ("10 mg/kg IV", [("DOSE", "10 mg/kg"), ("ROUTE", "IV")]),
        ("5 mcg/kg/min", [("RATE", "5 mcg/kg/min")]),
        ("by mouth for 2 weeks", [("ROUTE", "by mouth"), ("DURATION", "for 2 weeks")]),
        ("5 mL (250 mg)", [("DOSE", "5 mL"), ("STRENGTH", "250 mg")]),
        ("40 mg (2 tablets)", [("DOSE", "40 mg"), ("STRENGTH", "2 tablets")]),
        ("max 4 g/day", [("MAX_DOSE", "max 4 g/day")]),
        ("prn pain", [("AS_NEEDED", "prn pain")]),
        ("hold if SBP < 100", [("INSTRUCTION", "hold if SBP < 100")]),
        ("glucose 210 mg/dL", []),
        ("disp 30 tablets", [("DISPENSE", "disp 30 tablets")]),
    ],
)
def test_read(text: str, expected: list[tuple[str, str]]) -> None:
    assert kinds(text) == expected


def test_mass_with_a_counted_dose_is_a_strength() -> None:
    assert kinds("500 mg tablet, take 2 tablets")[0] == ("STRENGTH", "500 mg")


@given(
    st.lists(
        st.sampled_from(_WORDS),
        max_size=14,
    ),
    st.text(max_size=20),
)
def test_any_words_are_read_in_place_and_in_order(words: list[str], noise: str) -> None:
    text = " ".join(words) + noise
    for bare in (False, True):
        parts = read(text, 0, len(text), bare=bare)
        assert all(0 <= p.begin < p.end <= len(text) for p in parts)
        assert all(a.end <= b.begin for a, b in pairwise(parts))
