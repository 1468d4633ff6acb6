"""Changes of a drug, and from when to when it was taken."""

from typing import Any

import pytest

from nlp import Annotator, NoteSource, to_resources


def statement(annotator: Annotator, source: NoteSource, text: str) -> dict[str, Any]:
    (found,) = [
        r
        for r in to_resources(annotator.annotate(text), source)
        if r["resourceType"] == "MedicationStatement"
    ]
    return found


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("Lisinopril 20 mg daily since March 2020.", {"start": "2020-03"}),
        ("Amoxicillin 500 mg TID, started 3/1/2024", {"start": "2024-03-01"}),
        ("Prednisone was stopped on 5/1/2023.", {"end": "2023-05-01"}),
        ("Lisinopril 20 mg daily, started today", None),
        ("Metformin 500 mg BID", None),
    ],
)
def test_period_is_what_the_note_states(
    annotator: Annotator, source: NoteSource, text: str, period: dict[str, str] | None
) -> None:
    assert statement(annotator, source, text).get("effectivePeriod") == period


@pytest.mark.parametrize(
    ("text", "dose", "note"),
    [
        ("Decrease gabapentin to 300 mg qhs.", 300, "Dose decreased"),
        ("Warfarin dose was increased from 5 mg to 7.5 mg daily.", 7.5, "Dose increased"),
        ("Metoprolol 25 mg BID.", 25, None),
    ],
)
def test_change_of_dose(
    annotator: Annotator, source: NoteSource, text: str, dose: float, note: str | None
) -> None:
    found = statement(annotator, source, text)
    assert found["dosage"][0]["doseAndRate"][0]["doseQuantity"]["value"] == dose
    assert ([n["text"] for n in found["note"]] if "note" in found else None) == (
        [note] if note else None
    )


def test_reason_is_what_the_drug_is_for(annotator: Annotator, source: NoteSource) -> None:
    found = statement(annotator, source, "Keflex 500 mg QID x 7 days for cellulitis")
    assert found["reasonCode"] == [{"text": "cellulitis"}]
