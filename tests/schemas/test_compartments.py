"""Patient compartments. https://hl7.org/fhir/R4/compartmentdefinition-patient.html"""

from __future__ import annotations

from typing import Any

import pytest

from schemas.compartments import PATIENT_PARAMS, patient_ids, patient_ids_in
from schemas.search_params import search_params
from schemas.search_values import extract_repeated
from schemas.structure import RESOURCE_TYPES


def _to(reference: str) -> dict[str, str]:
    return {"reference": reference}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"resourceType": "Patient", "id": "a"}, ["a"]),
        ({"resourceType": "Patient", "id": "a", "link": [{"other": _to("Patient/b")}]}, ["a", "b"]),
        ({"resourceType": "Patient"}, []),
        ({"resourceType": "Observation", "subject": _to("Patient/a")}, ["a"]),
        ({"resourceType": "Observation", "subject": _to("Patient/a/_history/3")}, ["a"]),
        # The owner is the subject, wherever it is written.
        (
            {
                "resourceType": "Observation",
                "performer": [_to("Patient/b"), _to("Practitioner/x"), _to("Patient/a")],
                "subject": _to("Patient/a"),
            },
            ["a", "b"],
        ),
        ({"resourceType": "Observation", "subject": _to("Group/a")}, []),
        ({"resourceType": "Observation", "subject": _to("http://other/fhir/Patient/a")}, []),
        ({"resourceType": "Observation", "subject": _to("urn:uuid:a")}, []),
        ({"resourceType": "Observation", "subject": _to("#a")}, []),
        ({"resourceType": "Observation"}, []),
        ({"resourceType": "AllergyIntolerance", "patient": _to("Patient/a")}, ["a"]),
        ({"resourceType": "DocumentReference", "subject": _to("Patient/a")}, ["a"]),
        (
            {
                "resourceType": "Appointment",
                "participant": [{"actor": _to("Location/l")}, {"actor": _to("Patient/a")}],
            },
            ["a"],
        ),
        (
            {"resourceType": "Provenance", "target": [_to("Patient/a"), _to("Patient/b")]},
            ["a", "b"],
        ),
        ({"resourceType": "Organization", "id": "o"}, []),
        ({"resourceType": "Location"}, []),
        ({}, []),
        ({"resourceType": "Observation", "subject": "Patient/a"}, []),
    ],
)
def test_compartments(resource: dict[str, Any], expected: list[str]) -> None:
    assert patient_ids(resource) == expected
    assert patient_ids_in(resource, extract_repeated(resource)) == expected


def test_the_definition_names_parameters_that_can_be_evaluated() -> None:
    assert set(PATIENT_PARAMS) <= RESOURCE_TYPES
    for kind, params in PATIENT_PARAMS.items():
        for code in params:
            assert search_params(kind)[code].type == "reference", (kind, code)
