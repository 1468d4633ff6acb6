"""Dosages go to the right drug, in lists and in prose."""

import pytest

from nlp import Annotator, Mention


def drugs(annotator: Annotator, text: str) -> dict[str, Mention]:
    return {m.text.lower(): m for m in annotator.annotate(text) if m.category == "MEDICATION"}


def texts(mention: Mention, type: str) -> list[str]:
    return [a.text for a in mention.attributes if a.type == type]


@pytest.mark.parametrize(
    ("text", "drug", "expected"),
    [
        (
            "metformin 500 mg PO BID",
            "metformin",
            {"DOSE": ["500 mg"], "ROUTE": ["PO"], "FREQUENCY": ["BID"]},
        ),
        (
            "500 mg of metformin twice daily",
            "metformin",
            {"DOSE": ["500 mg"], "FREQUENCY": ["twice daily"]},
        ),
        (
            "takes lisinopril 10mg daily and atenolol 25mg nightly",
            "atenolol",
            {"DOSE": ["25mg"], "FREQUENCY": ["nightly"]},
        ),
        (
            "amoxicillin 250 mg/5 mL, 10 mL PO TID",
            "amoxicillin",
            {"STRENGTH": ["250 mg/5 mL"], "DOSE": ["10 mL"]},
        ),
        (
            "ibuprofen 400-600 mg q6h PRN",
            "ibuprofen",
            {"DOSE": ["400-600 mg"], "AS_NEEDED": ["PRN"]},
        ),
        ("a 10-day course of amoxicillin", "amoxicillin", {"DURATION": ["10-day course"]}),
        ("doxycycline 100 mg bid x 7 days", "doxycycline", {"DURATION": ["x 7 days"]}),
        ("warfarin 5 mg daily, INR 2.3", "warfarin", {"DOSE": ["5 mg"], "FREQUENCY": ["daily"]}),
        (
            "prednisone 40 mg daily, then taper",
            "prednisone",
            {"DOSE": ["40 mg"], "TAPER": ["taper"]},
        ),
        (
            "insulin glargine 20 units SC qhs",
            "insulin glargine",
            {"DOSE": ["20 units"], "ROUTE": ["SC"]},
        ),
    ],
)
def test_parts_of_a_dosage(
    annotator: Annotator, text: str, drug: str, expected: dict[str, list[str]]
) -> None:
    found = drugs(annotator, text)[drug]
    for type, words in expected.items():
        assert texts(found, type) == words, type


def test_several_clauses_are_kept_apart(annotator: Annotator) -> None:
    found = drugs(annotator, "gabapentin 300 mg: 1 tablet every morning and 2 at bedtime")
    assert texts(found["gabapentin"], "DOSE") == ["1 tablet", "2"]
    assert texts(found["gabapentin"], "FREQUENCY") == ["every morning", "at bedtime"]


def test_brand_in_parentheses_shares_the_dosage(annotator: Annotator) -> None:
    found = drugs(annotator, "metformin (Glucophage) 500 mg BID")
    assert texts(found["metformin"], "DOSE") == ["500 mg"]
    assert texts(found["glucophage"], "DOSE") == ["500 mg"]


def test_line_below_that_begins_with_take_belongs_to_the_drug(annotator: Annotator) -> None:
    text = (
        "Medications:\nmetformin 500 mg tablet\n"
        "  Take 1 tablet by mouth twice daily\nlisinopril 10 mg"
    )
    found = drugs(annotator, text)
    assert texts(found["metformin"], "FREQUENCY") == ["twice daily"]
    assert texts(found["lisinopril"], "FREQUENCY") == []


def test_dose_of_the_next_drug_is_not_taken(annotator: Annotator) -> None:
    found = drugs(annotator, "He takes aspirin, 20 mg lisinopril and metformin.")
    assert texts(found["aspirin"], "DOSE") == []
    assert texts(found["lisinopril"], "DOSE") == ["20 mg"]
    assert texts(found["metformin"], "DOSE") == []


def test_dispense_and_refills_are_no_dose(annotator: Annotator) -> None:
    found = drugs(annotator, "lisinopril 10 mg daily, dispense 30 tablets, refills 2")
    assert texts(found["lisinopril"], "DOSE") == ["10 mg"]


@pytest.mark.parametrize(
    "text",
    [
        "Lisinopril 10 mg daily was increased to 20 mg daily.",
        "Increase lisinopril from 10 to 20 mg daily.",
        "Lisinopril was changed from 10 mg once a day to 20 mg daily.",
    ],
)
def test_dose_before_a_change_is_not_the_dose(annotator: Annotator, text: str) -> None:
    (found,) = drugs(annotator, text).values()
    assert texts(found, "DOSE") == ["20 mg"]
    assert texts(found, "FREQUENCY") == ["daily"]


@pytest.mark.parametrize(
    ("text", "drug", "expected"),
    [
        (
            "continue lisinopril but increase metformin to 1000 mg BID",
            "metformin",
            {"DOSE": ["1000 mg"], "FREQUENCY": ["BID"], "CHANGE": ["increase"]},
        ),
        (
            "continue lisinopril but increase metformin to 1000 mg BID",
            "lisinopril",
            {"DOSE": [], "CHANGE": []},
        ),
        (
            "switched from atenolol 50 mg daily to carvedilol 12.5 mg BID",
            "atenolol",
            {"DOSE": ["50 mg"], "FREQUENCY": ["daily"]},
        ),
        (
            "switched from atenolol 50 mg daily to carvedilol 12.5 mg BID",
            "carvedilol",
            {"DOSE": ["12.5 mg"], "FREQUENCY": ["BID"]},
        ),
        (
            "She was started on furosemide. The dose is 40 mg daily.",
            "furosemide",
            {"DOSE": ["40 mg"], "FREQUENCY": ["daily"]},
        ),
        (
            "He takes aspirin and furosemide. The dose is 40 mg daily.",
            "furosemide",
            {"DOSE": []},
        ),
        (
            "Treated with IV vancomycin 1 g q12h and PO Flagyl 500 mg TID",
            "vancomycin",
            {"ROUTE": ["IV"], "DOSE": ["1 g"], "FREQUENCY": ["q12h"]},
        ),
        (
            "Treated with IV vancomycin 1 g q12h and PO Flagyl 500 mg TID",
            "flagyl",
            {"ROUTE": ["PO"], "DOSE": ["500 mg"], "FREQUENCY": ["TID"]},
        ),
        (
            "metoprolol 25 mg BID, hold for SBP < 100",
            "metoprolol",
            {"DOSE": ["25 mg"], "INSTRUCTION": ["hold for SBP < 100"]},
        ),
        (
            "nitroglycerin 0.4 mg SL every 5 minutes up to 3 doses",
            "nitroglycerin",
            {"DOSE": ["0.4 mg"], "CHANGE": []},
        ),
        ("warfarin, will monitor INR", "warfarin", {"INSTRUCTION": [], "SIG": []}),
        ("lisinopril 10 mg for further management", "lisinopril", {"INDICATION": []}),
        (
            "lisinopril 10 mg daily for hypertension",
            "lisinopril",
            {"INDICATION": ["for hypertension"]},
        ),
    ],
)
def test_attribute_belongs_to_its_drug(
    annotator: Annotator, text: str, drug: str, expected: dict[str, list[str]]
) -> None:
    found = drugs(annotator, text)[drug]
    for type, words in expected.items():
        assert texts(found, type) == words, type


def test_sig_has_the_dosage(annotator: Annotator) -> None:
    sig = drugs(annotator, "prednisone 40 mg x3d then 20 mg x3d")["prednisone"].attribute("SIG")
    assert sig is not None
    assert [d["sequence"] for d in sig.value["dosage"]] == [1, 2]
