"""Whose a resource is, where it names several patients."""

from __future__ import annotations

from typing import Any

import pytest

from storage.erase.ownership import OWN, SHARED, relation


def about(*patients: str) -> list[dict[str, str]]:
    return [{"reference": f"Patient/{id}"} for id in patients]


def document(**composition: Any) -> dict[str, Any]:
    first = {"resourceType": "Composition", **composition}
    entries = [first, {"resourceType": "Patient", "id": "b"}]
    return {
        "resourceType": "Bundle",
        "type": "document",
        "entry": [{"resource": resource} for resource in entries],
    }


A, B = about("a")[0], about("b")[0]

CASES: list[tuple[dict[str, Any], str | None]] = [
    ({"resourceType": "Patient", "id": "a"}, OWN),
    ({"resourceType": "Patient", "id": "b"}, None),
    # Another person's record is never part of this one, whatever links them.
    ({"resourceType": "Patient", "id": "b", "link": [{"other": A, "type": "seealso"}]}, SHARED),
    ({"resourceType": "Observation", "subject": A}, OWN),
    ({"resourceType": "Observation", "subject": B}, None),
    ({"resourceType": "Observation", "subject": A, "performer": [B]}, OWN),
    ({"resourceType": "Observation", "subject": B, "performer": [A]}, SHARED),
    ({"resourceType": "Observation", "performer": [A]}, OWN),
    ({"resourceType": "Observation", "subject": {"reference": "Group/g"}, "performer": [A]}, OWN),
    ({"resourceType": "Coverage", "policyHolder": A, "beneficiary": B}, SHARED),
    ({"resourceType": "Coverage", "policyHolder": B, "beneficiary": A}, OWN),
    ({"resourceType": "Group", "member": [{"entity": A}]}, OWN),
    ({"resourceType": "Group", "member": [{"entity": B}, {"entity": A}]}, SHARED),
    ({"resourceType": "Group", "member": [{"entity": A}, {"entity": B}]}, SHARED),
    ({"resourceType": "Appointment", "participant": [{"actor": A}, {"actor": B}]}, SHARED),
    ({"resourceType": "Appointment", "participant": [{"actor": A}]}, OWN),
    # Not in the compartment, and about one patient all the same.
    ({"resourceType": "Device", "patient": A}, OWN),
    ({"resourceType": "Device", "patient": B}, None),
    ({"resourceType": "Device", "owner": {"reference": "Organization/a"}}, None),
    ({"resourceType": "Task", "for": A, "requester": B}, OWN),
    ({"resourceType": "Task", "for": B, "requester": A}, None),
    ({"resourceType": "GuidanceResponse", "subject": A}, OWN),
    ({"resourceType": "Contract", "subject": [A, B]}, SHARED),
    # Another server's patient with that id is somebody else.
    (
        {"resourceType": "Observation", "subject": {"reference": "http://x.example/Patient/a"}},
        None,
    ),
    ({"resourceType": "Observation", "subject": {"reference": "Patient/a/_history/2"}}, OWN),
    ({"resourceType": "Observation", "subject": {"reference": "Patient/a2"}}, None),
    ({"resourceType": "Organization", "id": "a"}, None),
    (document(subject=A, author=[B]), OWN),
    (document(subject=B, author=[A]), SHARED),
    (document(subject=B), None),
    (document(subject=A) | {"type": "collection"}, None),
    ({"resourceType": "Bundle", "type": "document"}, None),
    (document(subject=A) | {"entry": [{"resource": {"resourceType": "Patient", "id": "a"}}]}, None),
]


@pytest.mark.parametrize(("resource", "expected"), CASES)
def test_relation(resource: dict[str, Any], expected: str | None) -> None:
    assert relation(resource, "a") == expected
