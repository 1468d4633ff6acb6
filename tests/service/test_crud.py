"""create, read, vread, update, delete, history over HTTP (R4 http.html)."""

from __future__ import annotations

import json

import pytest

from schemas.structure import RESOURCE_TYPES

from .conftest import FHIR, Service, assert_outcome

PATIENT = {
    "resourceType": "Patient",
    "name": [{"family": "Okonkwo", "given": ["Ifeoma"]}],
    "_birthDate": {"extension": [{"url": "http://example.org/when", "valueTime": "10:00:00"}]},
    "birthDate": "1961-04-03",
}


def test_create_answers_with_location_etag_and_the_stored_resource(service: Service) -> None:
    response = service.post(PATIENT)
    assert response.status_code == 201
    body = response.json()
    assert response.headers["location"].endswith(f"/fhir/Patient/{body['id']}/_history/1")
    assert response.headers["etag"] == 'W/"1"'
    assert response.headers["last-modified"].endswith("GMT")
    assert response.headers["content-type"].startswith("application/fhir+json")
    assert body["meta"]["versionId"] == "1"
    assert {k: body[k] for k in PATIENT} == PATIENT


def test_decimals_come_back_to_their_last_zero(service: Service) -> None:
    patient = service.patient()
    body = (
        '{"resourceType":"Observation","status":"final","code":{"text":"x"},'
        f'"subject":{{"reference":"Patient/{patient}"}},'
        '"valueQuantity":{"value":1.50,"unit":"mg"}}'
    )
    created = service.http.post("/fhir/Observation", content=body, headers=FHIR)
    read = service.http.get(f"/fhir/Observation/{created.json()['id']}")
    assert '"value":1.50,' in read.text


def test_update_keeps_every_version(service: Service) -> None:
    id = service.patient(active=True)
    changed = {"resourceType": "Patient", "id": id, "active": False}
    response = service.http.put(f"/fhir/Patient/{id}", json=changed, headers=FHIR)
    assert response.status_code == 200
    assert response.headers["etag"] == 'W/"2"'
    assert service.http.get(f"/fhir/Patient/{id}").json()["active"] is False
    assert service.http.get(f"/fhir/Patient/{id}/_history/1").json()["active"] is True


def test_update_creates_under_the_client_s_id(service: Service) -> None:
    body = {"resourceType": "Organization", "id": "my-own.id-1", "name": "Ward 9"}
    response = service.http.put("/fhir/Organization/my-own.id-1", json=body, headers=FHIR)
    assert response.status_code == 201


def test_if_match_refuses_a_stale_version(service: Service) -> None:
    id = service.patient()
    body = {"resourceType": "Patient", "id": id}
    url = f"/fhir/Patient/{id}"
    assert service.http.put(url, json=body, headers={**FHIR, "If-Match": 'W/"1"'}).is_success
    stale = service.http.put(url, json=body, headers={**FHIR, "If-Match": 'W/"1"'})
    assert_outcome(stale, 412)


def test_delete_hides_and_history_stays(service: Service) -> None:
    id = service.patient(gender="other")
    assert service.http.delete(f"/fhir/Patient/{id}").status_code == 204
    assert_outcome(service.http.get(f"/fhir/Patient/{id}"), 410)
    assert service.found("Patient", _id=id) == []
    history = service.http.get(f"/fhir/Patient/{id}/_history").json()
    assert history["type"] == "history"
    assert [e["request"]["method"] for e in history["entry"]] == ["DELETE", "POST"]
    assert "resource" not in history["entry"][0]
    assert history["entry"][1]["resource"]["gender"] == "other"
    assert_outcome(service.http.get(f"/fhir/Patient/{id}/_history/2"), 410)
    assert service.http.delete(f"/fhir/Patient/{id}").status_code == 204
    again = {"resourceType": "Patient", "id": id}
    assert service.http.put(f"/fhir/Patient/{id}", json=again, headers=FHIR).is_success
    assert service.http.get(f"/fhir/Patient/{id}").json()["meta"]["versionId"] == "3"


def test_history_pages_reach_every_version(service: Service) -> None:
    id = service.patient()
    for _ in range(4):
        body = {"resourceType": "Patient", "id": id}
        service.http.put(f"/fhir/Patient/{id}", json=body, headers=FHIR)
    seen: list[str] = []
    url = f"{service.url}/fhir/Patient/{id}/_history?_count=2"
    while url:
        page = service.http.get(url).json()
        assert page["total"] == 5
        seen += [e["resource"]["meta"]["versionId"] for e in page["entry"]]
        url = next((x["url"] for x in page["link"] if x["relation"] == "next"), "")
    assert seen == ["5", "4", "3", "2", "1"]


def test_read_with_if_none_match_is_304(service: Service) -> None:
    id = service.patient()
    response = service.http.get(f"/fhir/Patient/{id}", headers={"If-None-Match": 'W/"1"'})
    assert response.status_code == 304


def test_conditional_create_makes_one(service: Service) -> None:
    identifier = {"system": "urn:test", "value": "cc-1"}
    body = {"resourceType": "Patient", "identifier": [identifier]}
    condition = {"If-None-Exist": "identifier=urn:test|cc-1"}
    first = service.post(body, **condition)
    second = service.post(body, **condition)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]


def test_prefer_return(service: Service) -> None:
    minimal = service.post({"resourceType": "Patient"}, Prefer="return=minimal")
    assert minimal.status_code == 201
    assert minimal.content == b""
    outcome = service.post({"resourceType": "Patient"}, Prefer="return=OperationOutcome")
    assert outcome.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("path", ["Patient/nobody", "Patient/nobody/_history", "Nothing/1"])
def test_what_is_not_there_is_404(service: Service, path: str) -> None:
    assert_outcome(service.http.get(f"/fhir/{path}"), 404)


def test_every_resource_type_can_be_searched_and_is_listed(service: Service) -> None:
    statement = service.http.get("/fhir/metadata").json()
    listed = {resource["type"] for resource in statement["rest"][0]["resource"]}
    assert listed == set(RESOURCE_TYPES)
    for resource_type in sorted(RESOURCE_TYPES):
        assert service.http.get(f"/fhir/{resource_type}?_count=1").status_code == 200


def test_pretty(service: Service) -> None:
    id = service.patient()
    text = service.http.get(f"/fhir/Patient/{id}?_pretty=true").text
    assert text.startswith('{\n  "')
    assert json.loads(text)["id"] == id


def test_a_strict_read_refuses_what_it_has_no_use_for(service: Service) -> None:
    id = service.patient()
    strict = {"Prefer": "handling=strict"}
    for path in (f"/fhir/Patient/{id}", f"/fhir/Patient/{id}/_history/1"):
        found = service.http.get(path, params={"_include": "*"}, headers=strict)
        assert_outcome(found, 400, "_include")
        assert service.http.get(path, params={"_include": "*"}).status_code == 200
        used = {
            "_elements": "gender",
            "_pretty": "true",
            "at": service.http.get("/status").json()["t"],
        }
        assert service.http.get(path, params=used, headers=strict).status_code == 200
