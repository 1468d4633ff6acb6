"""A ward of patients whose records hang together, in both tiers, changed and deleted."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from schemas.codes import NLP_DERIVED_TAG
from storage.lake import Delete, Lake, Put

Resource = dict[str, Any]

SYSTEM = "http://hospital.example/mrn"


def reference(text: str) -> dict[str, str]:
    return {"reference": text}


def person(id: str) -> Resource:
    return {
        "resourceType": "Patient",
        "id": id,
        "identifier": [{"system": SYSTEM, "value": f"MRN-{id}-4711"}],
        "name": [{"family": f"Family{id}", "given": [f"Given{id}"]}],
        "photo": [{"url": f"Binary/photo-{id}"}],
    }


def observation(id: str, patient: str, **more: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}], "text": f"T{id}"},
        "subject": reference(f"Patient/{patient}"),
        "valueString": f"Value of {id} of {patient}",
        **more,
    }


def note_text(patient: str) -> str:
    return f"The patient Family{patient} coughs privately."


def record(patient: str) -> list[Resource]:
    """What belongs to one patient, the NLP's findings and their Provenance with it."""
    note = f"DocumentReference/note-{patient}"
    derived = {"source": note, "tag": [dict(NLP_DERIVED_TAG)]}
    text = base64.b64encode(note_text(patient).encode()).decode()
    subject = reference(f"Patient/{patient}")
    return [
        person(patient),
        {
            "resourceType": "Binary",
            "id": f"photo-{patient}",
            "contentType": "image/png",
            "data": base64.b64encode(f"pixels of {patient}".encode()).decode(),
        },
        {
            "resourceType": "Binary",
            "id": f"text-{patient}",
            "contentType": "text/plain",
            "data": text,
        },
        {
            "resourceType": "DocumentReference",
            "id": f"note-{patient}",
            "status": "current",
            "subject": subject,
            "content": [{"attachment": {"url": f"Binary/text-{patient}"}}],
        },
        {
            "resourceType": "Condition",
            "id": f"nlp-{patient}",
            "meta": derived,
            "subject": subject,
            "code": {"text": f"cough of Family{patient}"},
        },
        {
            "resourceType": "Provenance",
            "id": f"nlp-provenance-{patient}",
            "meta": derived,
            "target": [reference(f"Condition/nlp-{patient}")],
            "recorded": "2024-01-01T00:00:00Z",
            "agent": [{"who": {"display": "NLP"}}],
            "entity": [{"role": "source", "what": reference(note)}],
        },
        {
            "resourceType": "Provenance",
            "id": f"provenance-{patient}",
            "target": [subject, reference(note)],
            "recorded": "2024-01-01T00:00:00Z",
            "agent": [{"who": {"display": "Clerk"}}],
        },
        *(observation(f"o{n}-{patient}", patient) for n in range(12)),
        observation(f"gone-{patient}", patient),
    ]


@pytest.fixture
def fill() -> Callable[[Lake, list[str]], None]:
    """Fills a lake: flushed, updated, moved to another patient, deleted, partly hot."""

    def into(lake: Lake, patients: list[str]) -> None:
        first, second = patients[0], patients[1]
        for patient in patients:
            lake.transact([Put(resource) for resource in record(patient)])
        lake.transact([Put(observation("moved", first))])
        lake.flush()
        for patient in patients:
            lake.transact([Put({**person(patient), "active": True})])
            lake.transact([Put(observation(f"o0-{patient}", patient, note=[{"text": "again"}]))])
            lake.transact([Delete("Observation", f"gone-{patient}")])
        # Filed under the wrong patient at first; its older version is in a segment.
        lake.transact([Put(observation("moved", second))])
        lake.flush()
        group = [{"entity": reference(f"Patient/{patient}")} for patient in reversed(patients)]
        shared = {"resourceType": "Group", "id": "ward", "type": "person", "actual": True}
        lake.transact([Put({**shared, "member": group})])
        lake.transact([Put(observation(f"hot-{patient}", patient)) for patient in patients])

    return into
