"""Transactions: whole or not at all, references rewritten (R4 http.html#transaction)."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from .conftest import FHIR, Service, assert_outcome

URN = "urn:uuid:6f8c5a4e-0000-4000-8000-00000000000"


def post(
    url: str, resource: dict[str, Any], full_url: str | None = None, **request: str
) -> dict[str, Any]:
    entry = {"resource": resource, "request": {"method": "POST", "url": url, **request}}
    return {"fullUrl": full_url, **entry} if full_url else entry


def bundle(*entries: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def observation(subject: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
        "subject": {"reference": subject},
        **more,
    }


def send(service: Service, body: dict[str, Any]) -> Any:
    return service.http.post("/fhir", json=body, headers=FHIR)


def test_urn_references_are_rewritten_whatever_the_order(service: Service) -> None:
    response = send(
        service,
        bundle(
            post("Observation", observation(f"{URN}1"), f"{URN}2"),
            post("Patient", {"resourceType": "Patient"}, f"{URN}1"),
        ),
    )
    assert response.status_code == 200, response.text
    assert response.json()["type"] == "transaction-response"
    locations = [entry["response"]["location"] for entry in response.json()["entry"]]
    assert [entry["response"]["status"] for entry in response.json()["entry"]] == [
        "201 Created"
    ] * 2
    stored = service.http.get(f"/fhir/{locations[0]}").json()
    assert stored["subject"]["reference"] == locations[1].split("/_history")[0]


def test_identifiers_that_look_like_full_urls_stay(service: Service) -> None:
    identifier = {"system": "urn:ietf:rfc:3986", "value": f"{URN}1"}
    response = send(
        service,
        bundle(post("Patient", {"resourceType": "Patient", "identifier": [identifier]}, f"{URN}1")),
    )
    stored = service.http.get(f"/fhir/{response.json()['entry'][0]['response']['location']}").json()
    assert stored["identifier"] == [identifier]


@pytest.mark.parametrize(
    ("bad", "status", "expression"),
    [
        (
            post("Observation", {**observation(f"{URN}1"), "status": "fine"}),
            422,
            "Bundle.entry[1].resource.status",
        ),
        (post("Observation", observation(f"{URN}9")), 400, None),
        (post("Patient", observation(f"{URN}1")), 400, "Bundle.entry[1].request.url"),
        ({"resource": {"resourceType": "Patient"}}, 400, "Bundle.entry[1].request"),
        (
            {"request": {"method": "PATCH", "url": "Patient/1"}},
            400,
            "Bundle.entry[1].resource",
        ),
        (
            post("Observation", observation("Patient?identifier=urn:none|none")),
            412,
            "Bundle.entry[1].resource.subject",
        ),
    ],
)
def test_one_bad_entry_stores_nothing(
    service: Service, bad: dict[str, Any], status: int, expression: str | None
) -> None:
    before = service.http.get("/status").json()["t"]
    good = post("Patient", {"resourceType": "Patient"}, f"{URN}1")
    assert_outcome(send(service, bundle(good, bad)), status, expression)
    assert service.http.get("/status").json()["t"] == before


def test_conditional_references(service: Service) -> None:
    org = {"resourceType": "Organization", "identifier": [{"system": "urn:o", "value": "1"}]}
    made = service.post(org).json()
    encounter = {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"code": "AMB"},
        "serviceProvider": {"reference": "Organization?identifier=urn:o|1"},
        "participant": [{"individual": {"reference": "Practitioner?identifier=urn:npi|none"}}],
    }
    response = send(service, bundle(post("Encounter", encounter)))
    assert response.status_code == 200, response.text
    answer = response.json()["entry"][0]["response"]
    stored = service.http.get(f"/fhir/{answer['location']}").json()
    assert stored["serviceProvider"] == {"reference": f"Organization/{made['id']}"}
    assert stored["participant"][0]["individual"] == {
        "type": "Practitioner",
        "identifier": {"system": "urn:npi", "value": "none"},
    }
    assert answer["outcome"]["issue"][0]["severity"] == "warning"
    service.post(org)
    assert_outcome(send(service, bundle(post("Encounter", encounter))), 412)


def test_if_none_exist_inside_a_transaction(service: Service) -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:t", "value": "77"}]}
    body = bundle(post("Patient", patient, f"{URN}1", ifNoneExist="identifier=urn:t|77"))
    first, second = send(service, body).json(), send(service, body).json()
    assert first["entry"][0]["response"]["status"] == "201 Created"
    assert second["entry"][0]["response"]["status"] == "200 OK"
    assert first["entry"][0]["response"]["location"] == second["entry"][0]["response"]["location"]


def test_put_delete_and_get_in_one_transaction(service: Service) -> None:
    old = service.patient()
    put = {
        "resource": {"resourceType": "Patient", "id": "tx-put"},
        "request": {"method": "PUT", "url": "Patient/tx-put"},
    }
    response = send(
        service,
        bundle(
            {"request": {"method": "GET", "url": "Patient/tx-put"}},
            put,
            {"request": {"method": "DELETE", "url": f"Patient/{old}"}},
        ),
    )
    assert response.status_code == 200, response.text
    assert response.json()["entry"][0]["resource"]["id"] == "tx-put"
    assert_outcome(service.http.get(f"/fhir/Patient/{old}"), 410)


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("Patient/nobody", 404),
        ("Patient?birthdate=xx", 400),
        ("Patient/nobody/_history/1", 404),
        ("Patient/tx-get/_history/²", 400),
        ("http://[x", 400),
    ],
)
def test_a_get_that_fails_keeps_all_from_being_stored(
    service: Service, url: str, status: int
) -> None:
    before = service.http.get("/status").json()["t"]
    put = {
        "resource": {"resourceType": "Patient", "id": "tx-get"},
        "request": {"method": "PUT", "url": "Patient/tx-get"},
    }
    body = bundle(put, {"request": {"method": "GET", "url": url}})
    assert_outcome(send(service, body), status, "Bundle.entry[1].request.url")
    assert service.http.get("/status").json()["t"] == before


def test_search_inside_a_bundle_tells_what_it_leaves_out(service: Service) -> None:
    for _ in range(3):
        service.post({"resourceType": "Basic", "code": {"text": "x"}})
    asked = {"request": {"method": "GET", "url": "Basic?_count=2&nonsense=1"}}
    for kind in ("batch", "transaction"):
        found = send(service, bundle(asked, kind=kind)).json()["entry"][0]["resource"]
        assert found["total"] >= 3
        assert [link["relation"] for link in found["link"]] == ["self", "first", "next"]
        assert [e["search"]["mode"] for e in found["entry"]] == ["match", "match", "outcome"]


def test_same_condition_twice_in_one_transaction_makes_one(service: Service) -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:t", "value": "twin"}]}
    condition = {"ifNoneExist": "identifier=urn:t|twin"}
    body = bundle(
        post("Patient", patient, f"{URN}1", **condition),
        post("Patient", patient, f"{URN}2", **condition),
        post("Observation", observation(f"{URN}2")),
    )
    response = send(service, body)
    assert response.status_code == 200, response.text
    first, second, third = (e["response"] for e in response.json()["entry"])
    assert first["location"] == second["location"]
    assert (first["status"], second["status"]) == ("201 Created", "200 OK")
    assert len(service.found("Patient", identifier="urn:t|twin")) == 1
    stored = service.http.get(f"/fhir/{third['location']}").json()
    assert first["location"].startswith(stored["subject"]["reference"] + "/")


def test_canonicals_in_lists_are_rewritten(service: Service) -> None:
    plan = {"resourceType": "PlanDefinition", "status": "draft", "library": [f"{URN}1"]}
    library = {
        "resourceType": "Library",
        "status": "draft",
        "type": {"text": "logic"},
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"{URN}1"}],
    }
    response = send(
        service, bundle(post("PlanDefinition", plan), post("Library", library, f"{URN}1"))
    )
    locations = [e["response"]["location"] for e in response.json()["entry"]]
    stored = service.http.get(f"/fhir/{locations[0]}").json()
    assert stored["library"] == [locations[1].split("/_history")[0]]


def test_delete_of_what_is_not_there_with_if_match_is_412(service: Service) -> None:
    entry = {"request": {"method": "DELETE", "url": "Patient/nobody", "ifMatch": 'W/"1"'}}
    assert_outcome(send(service, bundle(entry)), 412, "Bundle.entry[0].request.ifMatch")


@pytest.mark.parametrize("entry", ["x", [1], [None], {"a": 1}, 5])
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_malformed_entries(service: Service, kind: str, entry: Any) -> None:
    body = {"resourceType": "Bundle", "type": kind, "entry": entry}
    assert_outcome(send(service, body), 400)


@pytest.mark.parametrize("resource", ["x", {}, 5, {"resourceType": 1}])
def test_malformed_batch_resources_fail_alone(service: Service, resource: Any) -> None:
    bad = {"resource": resource, "request": {"method": "POST", "url": "Patient"}}
    good = post("Patient", {"resourceType": "Patient"})
    entries = send(service, bundle(bad, good, {}, kind="batch")).json()["entry"]
    assert [e["response"]["status"] for e in entries] == [
        "400 Bad Request",
        "201 Created",
        "400 Bad Request",
    ]
    place = entries[0]["response"]["outcome"]["issue"][0]["expression"]
    assert place == ["Bundle.entry[0].resource"]


def test_batch_entries_stand_alone(service: Service) -> None:
    response = send(
        service,
        bundle(
            post("Patient", {"resourceType": "Patient"}),
            post("Patient", {"resourceType": "Patient", "gender": "x"}),
            {"request": {"method": "GET", "url": "Patient?_count=1"}},
            kind="batch",
        ),
    )
    entries = response.json()["entry"]
    assert entries[0]["response"]["status"] == "201 Created"
    assert entries[1]["response"]["status"] == "422 Unprocessable Entity"
    place = entries[1]["response"]["outcome"]["issue"][0]["expression"]
    assert place == ["Bundle.entry[1].resource.gender"]
    assert entries[2]["resource"]["type"] == "searchset"


def test_other_bundles_are_refused_at_the_base(service: Service) -> None:
    assert_outcome(send(service, bundle(kind="collection")), 400, "Bundle.type")
    assert_outcome(send(service, {"resourceType": "Patient"}), 400)


def test_synthea_transaction_bundles(service: Service) -> None:
    folder = os.environ.get("CHARTLAKE_DATA")
    if not folder:
        pytest.skip("CHARTLAKE_DATA is not set: no Synthea transaction bundles to post")
    paths = sorted((Path(folder) / "fhir" / "transaction_bundles").glob("*.json.gz"))[:6]
    assert paths
    for path in paths:
        body = gzip.decompress(path.read_bytes())
        sent = json.loads(body)
        response = service.http.post("/fhir", content=body, headers=FHIR)
        assert response.status_code == 200, response.text[:500]
        entries = response.json()["entry"]
        assert len(entries) == len(sent["entry"])
        for asked, got in list(zip(sent["entry"], entries, strict=True))[::25]:
            stored = service.http.get(f"/fhir/{got['response']['location']}")
            assert stored.json()["resourceType"] == asked["resource"]["resourceType"]
            assert "urn:uuid" not in json.dumps(stored.json().get("subject", {}))
