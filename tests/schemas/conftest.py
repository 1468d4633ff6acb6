"""Small resources of our own to try things on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

MENTION = "https://chartlake.org/fhir/StructureDefinition/nlp-mention"

RESOURCES: dict[str, dict[str, Any]] = {
    "Patient": {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [{"system": "urn:mrn", "value": "42", "type": {"text": "MRN"}}],
        "name": [{"family": "Müller", "given": ["Ann", "Zoë"], "use": "official"}],
        "telecom": [
            {"system": "phone", "value": "555-0100"},
            {"system": "email", "value": "ann@example.org"},
        ],
        "gender": "female",
        "birthDate": "1950-02",
        "_birthDate": {"extension": [{"url": "http://x.org/e", "valueString": "about"}]},
        "deceasedDateTime": "2020-03-04",
        "address": [{"line": ["1 High St"], "city": "Ulm", "state": "BW", "postalCode": "89073"}],
        "extension": [
            {
                "url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race",
                "extension": [
                    {"url": "ombCategory", "valueCoding": {"code": "2106-3", "display": "White"}},
                    {"url": "text", "valueString": "White"},
                ],
            }
        ],
    },
    "Observation": {
        "resourceType": "Observation",
        "id": "o1",
        "meta": {"profile": ["http://x.org/p"], "tag": [{"system": "http://x.org", "code": "t"}]},
        "status": "final",
        "category": [{"coding": [{"system": "http://cat", "code": "laboratory"}]}],
        "code": {
            "coding": [
                {"system": "http://loinc.org", "code": "4548-4", "display": "Hemoglobin A1c"},
                {"system": "http://local", "code": "A1C"},
            ],
            "text": "HbA1c",
        },
        "subject": {"reference": "Patient/p1"},
        "encounter": {"reference": "Encounter/e1"},
        "effectiveDateTime": "2024-05-01T10:00:00+02:00",
        "valueQuantity": {
            "value": Decimal("7.50"),
            "unit": "%",
            "system": "http://unitsofmeasure.org",
            "code": "%",
        },
        "component": [
            {"code": {"text": "part"}, "valueCodeableConcept": {"text": "high"}},
            {"code": {"text": "other"}, "valueQuantity": {"value": 3, "code": "mg"}},
        ],
    },
    "Condition": {
        "resourceType": "Condition",
        "id": "c1",
        "clinicalStatus": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                    "code": "active",
                }
            ]
        },
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]},
        "subject": {"reference": "Patient/p1"},
        "onsetPeriod": {"start": "2019-11"},
    },
    "MedicationRequest": {
        "resourceType": "MedicationRequest",
        "id": "m1",
        "status": "active",
        "intent": "order",
        "contained": [
            {
                "resourceType": "Medication",
                "id": "drug",
                "code": {"coding": [{"system": "http://rx", "code": "860975"}]},
            }
        ],
        "medicationReference": {"reference": "#drug"},
        "subject": {"reference": "Patient/p1"},
        "authoredOn": "2024-01-02",
        "dosageInstruction": [
            {
                "text": "one tablet twice a day",
                "timing": {"repeat": {"frequency": 1, "period": 12, "periodUnit": "h"}},
                "doseAndRate": [{"doseQuantity": {"value": 500, "unit": "mg"}}],
            }
        ],
    },
    "MedicationStatement": {
        "resourceType": "MedicationStatement",
        "id": "s1",
        "meta": {
            "tag": [
                {"system": "https://chartlake.org/fhir/CodeSystem/origin", "code": "nlp-derived"}
            ],
            "source": "DocumentReference/d1",
        },
        "extension": [
            {
                "url": MENTION,
                "extension": [
                    {"url": "begin", "valueInteger": 10},
                    {"url": "end", "valueInteger": 19},
                    {"url": "text", "valueString": "metformin"},
                    {"url": "score", "valueDecimal": Decimal("0.93")},
                    {"url": "category", "valueCode": "MEDICATION"},
                    {"url": "trait", "valueCode": "NEGATED"},
                    {"url": "trait", "valueCode": "HISTORICAL"},
                    {"url": "section", "valueString": "Medications"},
                    {
                        "url": "source",
                        "valueReference": {"reference": "DocumentReference/d1/_history/1"},
                    },
                ],
            }
        ],
        "status": "not-taken",
        "medicationCodeableConcept": {"text": "metformin"},
        "subject": {"reference": "Patient/p1"},
    },
    "DocumentReference": {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "subject": {"reference": "Patient/p1"},
        "author": [{"reference": "Practitioner/x"}],
        "content": [{"attachment": {"contentType": "text/plain", "data": "SGVsbG8="}}],
    },
    "Bundle": {
        "resourceType": "Bundle",
        "type": "document",
        "entry": [
            {
                "fullUrl": "urn:uuid:0b4dc9f4-59ea-4ca9-9b4c-3c1d5d1d8f10",
                "resource": {
                    "resourceType": "Composition",
                    "id": "comp",
                    "status": "final",
                    "type": {"text": "note"},
                    "date": "2024-01-01",
                    "author": [{"reference": "Practitioner/x"}],
                    "title": "T",
                    "subject": {"reference": "Patient/p1"},
                },
            }
        ],
    },
    "Questionnaire": {
        "resourceType": "Questionnaire",
        "status": "active",
        "item": [
            {
                "linkId": "1",
                "type": "group",
                "item": [{"linkId": "1.1", "type": "string", "item": [{"linkId": "1.1.1"}]}],
            }
        ],
    },
}
# The innermost item is complete only with a type.
RESOURCES["Questionnaire"]["item"][0]["item"][0]["item"][0]["type"] = "display"


@pytest.fixture
def sample() -> Callable[[str], dict[str, Any]]:
    """A fresh copy of a sample resource by its type."""
    return lambda kind: copy.deepcopy(RESOURCES[kind])


@pytest.fixture(params=sorted(RESOURCES))
def any_sample(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each of the sample resources."""
    return copy.deepcopy(RESOURCES[request.param])
