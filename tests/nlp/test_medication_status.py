"""What became of a drug."""

import pytest

from nlp import Annotator


def statuses(annotator: Annotator, text: str) -> dict[str, str | None]:
    found = {}
    for mention in annotator.annotate(text):
        if mention.category == "MEDICATION":
            status = mention.attribute("STATUS")
            found[mention.text.lower()] = status.value["status"] if status else None
    return found


@pytest.mark.parametrize(
    ("text", "drug", "status"),
    [
        ("metformin was discontinued", "metformin", "stopped"),
        ("D/C'd lisinopril", "lisinopril", "stopped"),
        ("He stopped taking sertraline", "sertraline", "stopped"),
        ("warfarin was held", "warfarin", "on-hold"),
        ("start lisinopril 10 mg", "lisinopril", "intended"),
        ("He was started on lisinopril", "lisinopril", "active"),
        ("She refuses insulin", "insulin", "not-taken"),
        ("was not prescribed Advil", "advil", "not-taken"),
        ("not taking aspirin", "aspirin", "not-taken"),
        ("allergic to penicillin", "penicillin", "allergy"),
        ("Allergies: sulfa (rash)", "sulfa", "allergy"),
        ("increase metoprolol to 50 mg", "metoprolol", "active"),
        ("stopped metformin and started glipizide", "metformin", "stopped"),
        ("stopped metformin and started glipizide", "glipizide", "active"),
        ("metformin was stopped and glipizide was started", "metformin", "stopped"),
        ("metformin was stopped and glipizide was started", "glipizide", "active"),
        ("switched from atenolol to carvedilol", "atenolol", "stopped"),
        ("switched from atenolol to carvedilol", "carvedilol", "active"),
        ("Discontinued medications: simvastatin 40 mg", "simvastatin", "stopped"),
        ("given aspirin 325 mg", "aspirin", "completed"),
        ("No known drug allergies. Takes aspirin.", "aspirin", "active"),
    ],
)
def test_status_of_a_drug(annotator: Annotator, text: str, drug: str, status: str) -> None:
    assert statuses(annotator, text)[drug] == status
