"""Instructions as FHIR Dosage: the examples of practice, and what must hold of any."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlp.dosage import parse
from nlp.evaluation.dosage import TABLE, accuracy, compare, row, rows, score, wrong_amounts
from schemas.invariants import issues
from schemas.ucum import is_unit
from schemas.validate import validate

SIGS = [expected.sig for expected in rows(TABLE)]


@pytest.mark.parametrize(
    ("sig", "expected"),
    [
        ("metformin 500 mg PO BID with meals", "dose 500 mg; route PO; freq 2/d; when C"),
        (
            "prednisone taper 40 mg x3d then 20 mg x3d",
            "dose 40 mg; for 3d >> dose 20 mg; for 3d",
        ),
        ("insulin glargine 20 units qHS", "dose 20 unit; when HS"),
        ("1-2 tabs q4-6h prn pain", "dose 1-2 tablet; freq 1/4-6h; prn pain"),
        (
            "warfarin 5 mg MWF, 2.5 mg other days",
            "dose 5 mg; days mon,wed,fri | dose 2.5 mg; days tue,thu,sat,sun",
        ),
        ("1 every morning and 2 at bedtime", "dose 1; when MORN | dose 2; when HS"),
        (
            "take 2 tablets by mouth now, then 1 tablet every 8 hours for 5 days",
            "dose 2 tablet; route PO; count 1 >> dose 1 tablet; route PO; freq 1/8h; for 5d",
        ),
        ("one and a half tablets", "dose 1.5 tablet"),
        ("1/2 tab", "dose 0.5 tablet"),
        (
            "inject 0.3 mL (0.3 mg) into the muscle once as needed for anaphylaxis",
            "dose 0.3 mL; route IM; count 1; prn anaphylaxis",
        ),
        (
            "apply a thin layer to affected area twice daily",
            "route TOP; freq 2/d; note thin layer; site affected area",
        ),
        (
            "2 puffs inhaled every 4 to 6 hours as needed for wheezing",
            "dose 2 puff; route INH; freq 1/4-6h; prn wheezing",
        ),
        ("1 drop in each eye at bedtime", "dose 1 drop; route EYE; when HS; site each eye"),
        ("use as directed", "note use as directed"),
        ("hold if SBP < 100", "note hold if sbp < 100"),
        ("no more than 4 g/day", "max 4 g/1d"),
        ("every other day", "freq 1/2d"),
        ("q72h", "freq 1/72h"),
        ("weekly on Sundays", "freq 1/wk; days sun"),
        ("3 times a week", "freq 3/wk"),
        ("x 10 days", "for 10d"),
        ("until gone", "note until gone"),
        (
            "5 mL (250 mg) by mouth every 8 hours",
            "dose 5 mL; route PO; freq 1/8h",
        ),
        ("ut dict", "note ut dict"),
    ],
)
def test_parse_is_exact(sig: str, expected: str) -> None:
    result = compare(row(sig, expected), parse(sig))
    assert not result.wrong


def test_table_of_practice() -> None:
    """At least 300 instructions, 95 % of their fields right; no amount given is wrong."""
    scored = score(rows(TABLE))
    assert len(scored) >= 300
    assert accuracy(scored) >= 0.95
    assert wrong_amounts(scored) == []


def statement(dosage: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "resourceType": "MedicationStatement",
        "id": "m1",
        "status": "active",
        "medicationCodeableConcept": {"text": "a drug"},
        "subject": {"reference": "Patient/p1"},
        "dosage": dosage,
    }


def units(value: Any) -> list[str]:
    if isinstance(value, list):
        return [unit for item in value for unit in units(item)]
    if not isinstance(value, dict):
        return []
    own = [value["code"]] if value.get("system") == "http://unitsofmeasure.org" else []
    return own + [unit for item in value.values() for unit in units(item)]


def assert_valid(sig: str) -> None:
    found = parse(sig)
    resource = statement(found)
    assert validate(resource) == []
    assert issues(resource) == []
    assert all(is_unit(unit) for unit in units(found)), units(found)
    assert all(dosage["text"] == " ".join(sig.split()) for dosage in found)


@pytest.mark.parametrize("sig", SIGS)
def test_every_dosage_is_valid_fhir(sig: str) -> None:
    assert_valid(sig)


@given(
    st.lists(st.sampled_from(SIGS), min_size=1, max_size=2),
    st.sampled_from((" ", ", ", ". ", " and ", " then ", "; ", "\n")),
    st.integers(0, 60),
    st.integers(0, 60),
)
def test_any_piece_of_instructions_is_valid_fhir(
    sigs: list[str], joint: str, begin: int, cut: int
) -> None:
    text = joint.join(sigs)
    piece = text[begin : max(begin + 1, len(text) - cut)]
    if piece.strip():
        assert_valid(piece)


def test_clauses_at_the_same_time_share_a_sequence_and_later_ones_do_not() -> None:
    together = parse("1 tablet in the morning and 2 tablets at bedtime")
    after = parse("40 mg daily for 3 days, then 20 mg daily for 3 days")
    assert [d["sequence"] for d in together] == [1, 1]
    assert [d["sequence"] for d in after] == [1, 2]
    assert "sequence" not in parse("1 tablet daily")[0]


@pytest.mark.parametrize(
    ("sig", "code"),
    [
        ("500 mg BID", "BID"),
        ("1 tab q6h", "Q6H"),
        ("1 tab qhs", "BED"),
        ("1 tab qam", "AM"),
        ("500 mg BID with meals", None),
        ("1 tab twice daily for 5 days", "BID"),
        ("1 tab q4-6h", None),
    ],
)
def test_timing_code_is_a_whole_statement(sig: str, code: str | None) -> None:
    timing = parse(sig)[0]["timing"]
    assert (timing["code"]["coding"][0]["code"] if "code" in timing else None) == code


def test_total_of_a_day_is_a_rate_never_a_dose() -> None:
    (dosage,) = parse("45 mg/kg/day divided BID")
    assert "doseQuantity" not in dosage["doseAndRate"][0]
    assert dosage["doseAndRate"][0]["rateQuantity"]["code"] == "mg/kg/d"


@pytest.mark.parametrize(
    "sig",
    [
        "per sliding scale: 150-200 2 units, 201-250 4 units",
        "1 unit per 10 g of carbohydrate",
        "increase by 5 units every 3 days until fasting glucose < 130",
        "do not take more than 2 tablets",
        "may take an additional 20 mg for weight gain",
        "hold for glucose under 70, call if over 400",
    ],
)
def test_numbers_that_are_no_dose_stay_in_words(sig: str) -> None:
    for dosage in parse(sig):
        assert "doseAndRate" not in dosage
        assert dosage["text"] == sig


def test_blank_text_has_no_dosage() -> None:
    assert parse(" \n ") == []


def test_words_that_are_not_understood_are_kept() -> None:
    assert parse("take with grandma's blessing") == [
        {"text": "take with grandma's blessing", "method": {"text": "take"}}
    ]
