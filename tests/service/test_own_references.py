"""References by this server's own address: stored and searched as what is here."""

from __future__ import annotations

from typing import Any

import pytest

from service.own_references import relative_to

from .conftest import FHIR, Service

OWN = "http://here.example/fhir"


def weight(subject: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "weight"},
        "subject": {"reference": subject},
        **more,
    }


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (f"{OWN}/Patient/1", "Patient/1"),
        (f"{OWN}/Patient/1/_history/2", "Patient/1/_history/2"),
        (f"{OWN}/Patient?identifier=1", f"{OWN}/Patient?identifier=1"),
        (f"{OWN}/Nothing/1", f"{OWN}/Nothing/1"),
        (f"{OWN}x/Patient/1", f"{OWN}x/Patient/1"),
        ("http://there.example/fhir/Patient/1", "http://there.example/fhir/Patient/1"),
    ],
)
def test_only_an_address_below_the_base_is_here(text: str, meant: str) -> None:
    assert relative_to(OWN, text) == meant
    assert relative_to("", text) == text


def test_a_reference_by_the_servers_address_is_part_of_the_record(service: Service) -> None:
    id = service.patient()
    own = f"{service.url}/fhir/Patient/{id}"
    created = service.post(weight(own)).json()
    assert created["subject"]["reference"] == f"Patient/{id}"
    updated = {**created, "subject": {"reference": own}}
    address = f"/fhir/Observation/{created['id']}"
    service.http.put(address, json=updated, headers=FHIR).raise_for_status()
    patch = [{"op": "replace", "path": "/subject/reference", "value": own}]
    service.http.patch(
        address, json=patch, headers={"Content-Type": "application/json-patch+json"}
    ).raise_for_status()
    entry = {"resource": weight(own), "request": {"method": "POST", "url": "Observation"}}
    for kind in ("transaction", "batch"):
        bundle = {"resourceType": "Bundle", "type": kind, "entry": [entry]}
        service.http.post("/fhir", json=bundle, headers=FHIR).raise_for_status()
    assert len(service.found("Observation", patient=id)) == 3
    everything = service.http.get(f"/fhir/Patient/{id}/$everything").json()
    assert len(everything["entry"]) == 4


def test_another_servers_reference_stays(service: Service) -> None:
    there = "http://there.example/fhir/Patient/1"
    assert service.post(weight(there)).json()["subject"]["reference"] == there


def test_a_stored_bundle_keeps_its_addresses(service: Service) -> None:
    own = f"{service.url}/fhir/Patient/1"
    document = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": weight(own)}],
    }
    stored = service.post(document).json()
    assert stored["entry"][0]["resource"]["subject"]["reference"] == own


@pytest.mark.parametrize(
    "name", ["subject", "subject:Patient", "patient", "_has:Observation:has-member:subject"]
)
def test_a_search_by_the_servers_address_finds_what_is_here(service: Service, name: str) -> None:
    id = service.patient()
    part = service.post(weight(f"Patient/{id}")).json()["id"]
    panel = weight(f"Patient/{id}", hasMember=[{"reference": f"Observation/{part}"}])
    service.post(panel).raise_for_status()
    by_id = {r["id"] for r in service.found("Observation", **{name: f"Patient/{id}"})}
    own = f"{service.url}/fhir/Patient/{id}"
    assert by_id
    for value in (own, f"Patient/none,{own}"):
        assert {r["id"] for r in service.found("Observation", **{name: value})} == by_id


def test_pages_of_such_a_search_go_on(service: Service) -> None:
    id = service.patient()
    for _ in range(3):
        service.post(weight(f"Patient/{id}")).raise_for_status()
    own = f"{service.url}/fhir/Patient/{id}"
    url = "/fhir/Observation"
    page = service.http.get(url, params={"subject": own, "_count": "2"}).json()
    follow = next(link["url"] for link in page["link"] if link["relation"] == "next")
    assert len(service.http.get(follow).json()["entry"]) == 1


def test_a_canonical_of_this_server_is_found_as_it_is_written(service: Service) -> None:
    url = f"{service.url}/fhir/Questionnaire/own"
    answers = {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": url,
    }
    id = service.post(answers).json()["id"]
    assert [r["id"] for r in service.found("QuestionnaireResponse", questionnaire=url)] == [id]


def test_a_condition_by_the_servers_address_sees_what_is_here(service: Service) -> None:
    id = service.patient()
    service.post(weight(f"Patient/{id}")).raise_for_status()
    condition = f"subject={service.url}/fhir/Patient/{id}"
    again = service.post(weight(f"Patient/{id}"), **{"If-None-Exist": condition})
    assert again.status_code == 200
