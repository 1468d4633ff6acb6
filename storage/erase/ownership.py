"""Whose a resource is, where several patients are named in it.

R4's Patient compartment holds whatever names the patient in one of many parameters: also another
patient's observation that this one performed, and a Group of a thousand. Erasing those with one
patient would take away the others' records.
https://hl7.org/fhir/R4/compartmentdefinition-patient.html

It leaves out four types that can be about one patient (an implant's Device, a Task, a
GuidanceResponse, a Contract), and documents, which hold copies of a record (a Bundle that
`$document` stored): a record that was purged must not go on in them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from schemas.compartments import PATIENT_PARAMS
from schemas.index_values import ReferenceValue
from schemas.search_params import search_params
from schemas.search_values import extract_params
from schemas.structure import RESOURCE_TYPES

OWN, SHARED = "own", "shared"

# Parameters that say whom a resource is about, before those that say who did or paid it.
_ABOUT = ("patient", "subject", "beneficiary", "individual")


@cache
def _params(kind: str) -> tuple[str, ...]:
    """The parameters that can make a resource part of a patient's record."""
    in_compartment = PATIENT_PARAMS.get(kind)
    if in_compartment:
        return in_compartment
    known = search_params(kind) if kind in RESOURCE_TYPES else {}
    return tuple(code for code in _ABOUT if code in known and "Patient" in known[code].targets)


def relation(resource: dict[str, Any], patient_id: str) -> str | None:
    """How a version belongs to the patient: `OWN`, `SHARED` with another one, or None.

    It is the patient's own when whom it is about is this patient alone. A Patient is its own, and
    shared with those that it links to. A document is whose its Composition is.
    """
    kind = resource.get("resourceType")
    if kind == "Bundle" and resource.get("type") == "document":
        composition = _composition(resource)
        return None if composition is None else relation(composition, patient_id)
    if kind == "Patient" and resource.get("id") == patient_id:
        return OWN
    if not isinstance(kind, str):
        return None
    by_param = _patients(resource, kind)
    if not any(patient_id in ids for ids in by_param.values()):
        return None
    if kind == "Patient":
        return SHARED
    for param in (*_ABOUT, *_params(kind)):
        if by_param.get(param):
            return OWN if by_param[param] == {patient_id} else SHARED
    return SHARED


def _composition(document: dict[str, Any]) -> dict[str, Any] | None:
    """The Composition that a document begins with; what was stored although invalid has none."""
    match document.get("entry"):
        case [{"resource": {"resourceType": "Composition"} as composition}, *_]:
            return dict(composition)
    return None


def _patients(resource: dict[str, Any], kind: str) -> dict[str, set[str]]:
    """Ids of the patients of this lake that each compartment parameter names."""
    found: dict[str, set[str]] = {}
    for value in extract_params(resource, _params(kind)):
        if (
            isinstance(value, ReferenceValue)
            and value.resource_type == "Patient"
            and value.url is None
            and value.id is not None
        ):
            found.setdefault(value.param, set()).add(value.id)
    return found
