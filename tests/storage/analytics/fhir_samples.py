"""Small FHIR resources for the tests of this folder."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from schemas import codes


def concept(system: str, code: str, display: str | None = None) -> dict[str, Any]:
    coding = {"system": system, "code": code}
    return {"coding": [coding | ({"display": display} if display else {})]}


def patient(id: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, **more}


def about(resource_type: str, id: str, patient_id: str, **more: Any) -> dict[str, Any]:
    who = "patient" if resource_type in ("AllergyIntolerance", "Immunization") else "subject"
    reference = {who: {"reference": f"Patient/{patient_id}"}}
    return {"resourceType": resource_type, "id": id, **reference, **more}


def condition(
    id: str,
    patient_id: str,
    code: str,
    *,
    system: str = codes.ICD10CM,
    clinical: str | None = "active",
    verification: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    found = about("Condition", id, patient_id, code=concept(system, code), **more)
    if clinical:
        found["clinicalStatus"] = concept(codes.CONDITION_CLINICAL, clinical)
    if verification:
        found["verificationStatus"] = concept(codes.CONDITION_VERIFICATION, verification)
    return found


def observation(
    id: str,
    patient_id: str,
    value: Any = None,
    unit: str | None = None,
    *,
    code: str = "4548-4",
    when: str | None = None,
    status: str = "final",
    comparator: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    found = about(
        "Observation", id, patient_id, status=status, code=concept(codes.LOINC, code), **more
    )
    if when:
        found["effectiveDateTime"] = when
    if value is not None:
        found["valueQuantity"] = {"value": Decimal(str(value))} | ({"unit": unit} if unit else {})
        if comparator:
            found["valueQuantity"]["comparator"] = comparator
    return found


def medication_request(
    id: str, patient_id: str, text: str | None, *, status: str = "active", **more: Any
) -> dict[str, Any]:
    about_what = {"medicationCodeableConcept": {"text": text}} if text else {}
    return about(
        "MedicationRequest", id, patient_id, status=status, intent="order", **about_what, **more
    )


def mention(resource: dict[str, Any], *traits: str) -> dict[str, Any]:
    """The resource as if read in note `n1`."""
    parts = [{"url": "trait", "valueCode": trait} for trait in traits]
    source = {"url": "source", "valueReference": {"reference": "DocumentReference/n1"}}
    return resource | {
        "meta": {"tag": [codes.NLP_DERIVED_TAG], "source": "DocumentReference/n1"},
        "extension": [{"url": codes.NLP_MENTION, "extension": [source, *parts]}],
    }
