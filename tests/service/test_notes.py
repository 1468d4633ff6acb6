"""A note in, facts out: what the NLP finds is FHIR like any other."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from .conftest import FHIR, Service

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
NOTE = """CHIEF COMPLAINT: Cough.

HISTORY OF PRESENT ILLNESS: 58-year-old woman with type 2 diabetes mellitus and hypertension.
She denies chest pain. Lisinopril was discontinued because of cough.

FAMILY HISTORY: Mother had breast cancer.

MEDICATIONS:
1. Metformin 500 mg by mouth twice daily
2. Aspirin 81 mg daily

LABORATORY: HbA1c 8.4 %.

PLAN: Return if she develops pneumonia.
"""


@pytest.fixture(scope="module")
def read_note(service: Service) -> dict[str, Any]:
    """The note above, read; with its patient."""
    patient = service.patient()
    return {"patient": patient, **service.note(patient, NOTE)}


def codes(resource: dict[str, Any], element: str = "code") -> set[str]:
    return {f"{c['system']}|{c['code']}" for c in resource[element].get("coding", [])}


def test_spans_are_the_text(read_note: dict[str, Any]) -> None:
    assert read_note["entities"]
    for entity in read_note["entities"]:
        begin, end = entity["span"]
        assert NOTE[begin:end] == entity["text"]


def test_medication_with_dose_route_and_frequency(
    service: Service, read_note: dict[str, Any]
) -> None:
    found = service.found(
        "MedicationStatement", patient=read_note["patient"], code=f"{RXNORM}|6809"
    )
    assert len(found) == 1
    dosage = found[0]["dosage"][0]
    assert dosage["doseAndRate"][0]["doseQuantity"]["value"] == 500
    assert dosage["doseAndRate"][0]["doseQuantity"]["unit"] == "mg"
    assert dosage["timing"]["repeat"]["frequency"] == 2
    assert "oral" in str(dosage["route"]).lower()
    assert found[0]["status"] == "active"


def test_stopped_drug_is_not_active(service: Service, read_note: dict[str, Any]) -> None:
    found = service.found(
        "MedicationStatement", patient=read_note["patient"], code=f"{RXNORM}|29046"
    )
    assert [resource["status"] for resource in found] == ["stopped"]


def test_conditions_are_coded_and_active(service: Service, read_note: dict[str, Any]) -> None:
    patient = read_note["patient"]
    active = service.found("Condition", patient=patient, **{"clinical-status": "active"})
    found = set().union(*(codes(resource) for resource in active))
    assert f"{ICD10CM}|E11.9" in found
    assert "http://snomed.info/sct|44054006" in found
    assert f"{ICD10CM}|I10" in found


def test_negated_family_and_hypothetical_are_no_active_conditions(
    service: Service, read_note: dict[str, Any]
) -> None:
    patient = read_note["patient"]
    active = service.found("Condition", patient=patient, **{"clinical-status": "active"})
    texts = " ".join(str(resource["code"]).lower() for resource in active)
    for word in ("breast", "chest pain", "pneumonia"):
        assert word not in texts
    family = service.found("FamilyMemberHistory", patient=patient)
    assert any("breast" in str(resource["condition"]).lower() for resource in family)


def test_lab_value(service: Service, read_note: dict[str, Any]) -> None:
    found = service.found(
        "Observation", patient=read_note["patient"], code="http://loinc.org|4548-4"
    )
    assert [resource["valueQuantity"]["value"] for resource in found] == [8.4]


def test_provenance_names_every_derived_resource(
    service: Service, read_note: dict[str, Any]
) -> None:
    resources = {r for r in read_note["resources"] if not r.startswith("Provenance/")}
    for reference in resources:
        provenance = service.found("Provenance", target=reference)
        assert len(provenance) == 1
    targets = {target["reference"] for target in provenance[0]["target"]}
    assert targets == resources
    source = provenance[0]["entity"][0]["what"]["reference"]
    assert source == f"DocumentReference/{read_note['id']}/_history/1"


def test_derived_resources_are_tagged_and_placed(
    service: Service, read_note: dict[str, Any]
) -> None:
    for reference in read_note["resources"]:
        resource = service.http.get(f"/fhir/{reference}").json()
        assert "nlp-derived" in [tag["code"] for tag in resource["meta"]["tag"]]
        assert resource["meta"]["source"].startswith(f"DocumentReference/{read_note['id']}")


def test_changed_note_replaces_its_facts(service: Service) -> None:
    patient = service.patient()
    note = service.note(patient, "Medications: metformin 500 mg twice daily.")
    stored = service.http.get(f"/fhir/DocumentReference/{note['id']}").json()
    new_text = b"Medications: atorvastatin 20 mg daily."
    stored["content"][0]["attachment"]["data"] = base64.b64encode(new_text).decode()
    del stored["content"][0]["attachment"]["size"]
    url = f"/fhir/DocumentReference/{note['id']}"
    assert service.http.put(url, json=stored, headers=FHIR).status_code == 200
    service.http.get(f"/notes/{note['id']}/findings?wait=30")
    found = service.found("MedicationStatement", patient=patient)
    assert [codes(r, "medicationCodeableConcept") for r in found] == [{f"{RXNORM}|83367"}]
    assert service.http.delete(url).status_code == 204
    service.wait_read()
    assert service.found("MedicationStatement", patient=patient) == []


def test_note_in_a_binary(service: Service) -> None:
    patient = service.patient()
    text = base64.b64encode(b"Assessment: asthma.").decode()
    binary = service.post({"resourceType": "Binary", "contentType": "text/plain", "data": text})
    attachment = {"contentType": "text/plain", "url": f"Binary/{binary.json()['id']}"}
    note = service.post(
        {
            "resourceType": "DocumentReference",
            "status": "current",
            "subject": {"reference": f"Patient/{patient}"},
            "content": [{"attachment": attachment}],
        }
    )
    assert note.status_code == 201, note.text
    service.wait_read()
    found = service.found("Condition", patient=patient)
    assert [f"{ICD10CM}|J45.909" in codes(resource) for resource in found] == [True]


def test_long_note_is_read_whole(service: Service) -> None:
    patient = service.patient()
    text = "The patient walked in the garden and felt well.\n" * 4_000
    findings = service.note(patient, text + "Assessment: gout.\n", wait=60)
    assert len(text) > 150_000
    assert [e["text"] for e in findings["entities"] if e["category"] == "CONDITION"] == ["gout"]
    assert findings["entities"][-1]["span"][0] == len(text) + len("Assessment: ")


@pytest.mark.slow
def test_annotate_stores_nothing(service: Service) -> None:
    before = service.http.get("/status").json()["t"]
    response = service.http.post(
        "/nlp/annotate", content="No evidence of pneumonia.", headers={"Content-Type": "text/plain"}
    )
    entity = response.json()["entities"][0]
    assert (entity["text"], entity["traits"]) == ("pneumonia", ["NEGATED"])
    assert service.http.get("/status").json()["t"] == before


def test_timeline_holds_record_and_note(service: Service, read_note: dict[str, Any]) -> None:
    patient = read_note["patient"]
    service.post(
        {
            "resourceType": "Condition",
            "subject": {"reference": f"Patient/{patient}"},
            "code": {"text": "Migraine"},
            "onsetDateTime": "2019-05-01",
        }
    )
    events = service.http.get(f"/patients/{patient}/timeline").json()
    sources = {event["source"] for event in events}
    assert sources == {"structured", "nlp"}
    dates = [event["date"] for event in events if event["date"]]
    assert dates == sorted(dates)
    parameters = service.http.get(f"/fhir/Patient/{patient}/$timeline")
    assert parameters.headers["content-type"].startswith("application/fhir+json")
    assert len(parameters.json()["parameter"]) == len(events)
