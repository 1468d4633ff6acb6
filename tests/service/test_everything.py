"""`$everything`: nothing missing, nothing twice, nothing of others (operations)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import load_settings
from storage.lake import Delete, Lake, Put

OBSERVATIONS = 2_300


def ref(key: str) -> dict[str, str]:
    return {"reference": key}


def observation(id: str, patient: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"text": "x"},
        "subject": ref(f"Patient/{patient}"),
        **more,
    }


def provenance(id: str, *targets: str, agent: str) -> dict[str, Any]:
    return {
        "resourceType": "Provenance",
        "id": id,
        "target": [ref(target) for target in targets],
        "recorded": "2024-01-01T00:00:00Z",
        "agent": [{"who": ref(agent)}],
    }


def resources() -> list[dict[str, Any]]:
    """Two patients, a and b, and what they share."""
    return [
        {"resourceType": "Organization", "id": "clinic", "partOf": ref("Organization/group")},
        {"resourceType": "Organization", "id": "group"},
        {"resourceType": "Organization", "id": "elsewhere"},
        {"resourceType": "Practitioner", "id": "dr"},
        {"resourceType": "PractitionerRole", "id": "role", "practitioner": ref("Practitioner/dr")},
        {"resourceType": "Medication", "id": "drug", "manufacturer": ref("Organization/maker")},
        {"resourceType": "Organization", "id": "maker"},
        {"resourceType": "Binary", "id": "scan", "contentType": "text/plain", "data": "AAAA"},
        {
            "resourceType": "Patient",
            "id": "a",
            "managingOrganization": ref("Organization/clinic"),
            "generalPractitioner": [ref("PractitionerRole/role")],
        },
        {"resourceType": "Patient", "id": "b"},
        {
            "resourceType": "Encounter",
            "id": "visit",
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": ref("Patient/a"),
            "period": {"start": "2020-03-01", "end": "2020-03-03"},
        },
        {
            "resourceType": "MedicationRequest",
            "id": "order",
            "status": "active",
            "intent": "order",
            "medicationReference": ref("Medication/drug"),
            "subject": ref("Patient/a"),
            "encounter": ref("Encounter/visit"),
            "authoredOn": "2020-03-02",
        },
        {
            "resourceType": "DocumentReference",
            "id": "note",
            "status": "current",
            "subject": ref("Patient/a"),
            "content": [{"attachment": {"contentType": "text/plain", "url": "Binary/scan"}}],
        },
        observation("old", "a", effectiveDateTime="2010-01-01"),
        observation(
            "new",
            "a",
            effectiveDateTime="2020-03-02T10:00:00Z",
            encounter=ref("Encounter/visit"),
            derivedFrom=[ref("Observation/of-b"), ref("Observation/none")],
        ),
        observation("undated", "a"),
        observation("by-a", "b", performer=[ref("Patient/a")]),
        observation("of-b", "b"),
        observation("gone", "a"),
        provenance("of-new", "Observation/new", agent="Practitioner/scribe"),
        provenance("of-b", "Observation/of-b", agent="Practitioner/other"),
        {"resourceType": "Practitioner", "id": "scribe"},
        {"resourceType": "Practitioner", "id": "other"},
    ]


RECORD = {
    "Patient/a", "Encounter/visit", "MedicationRequest/order", "DocumentReference/note",
    "Observation/old", "Observation/new", "Observation/undated", "Observation/by-a",
}  # fmt: skip
REFERRED = {
    "Organization/clinic", "Organization/group", "Organization/maker", "Practitioner/dr",
    "PractitionerRole/role", "Medication/drug", "Binary/scan", "Provenance/of-new",
    "Practitioner/scribe",
}  # fmt: skip


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with Lake.open(tmp_path_factory.mktemp("everything") / "lake") as lake:
        lake.transact([Put(resource) for resource in resources()])
        lake.transact([Delete("Observation", "gone")])
        yield lake


@pytest.fixture(scope="module")
def http(lake: Lake) -> TestClient:
    app = create_app(lake, load_settings({"nlp": False}, environ={}))
    return TestClient(app, base_url="http://localhost")


def keys(bundle: dict[str, Any], mode: str) -> list[str]:
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in bundle.get("entry", [])
        if entry["search"]["mode"] == mode
    ]


def found(http: TestClient, path: str = "Patient/a", **params: Any) -> dict[str, Any]:
    response = http.get(f"/fhir/{path}/$everything", params=params)
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_the_compartment_and_what_it_refers_to(http: TestClient) -> None:
    bundle = found(http)
    assert bundle["type"] == "searchset"
    assert bundle["total"] == len(RECORD)
    assert sorted(keys(bundle, "match")) == sorted(RECORD)
    assert sorted(keys(bundle, "include")) == sorted(REFERRED)
    assert bundle["entry"][0]["fullUrl"] == "http://localhost/fhir/Patient/a"
    assert [link["relation"] for link in bundle["link"]] == ["self"]


def test_other_patients_are_left_out_and_it_is_said(http: TestClient) -> None:
    bundle = found(http)
    outcome = bundle["entry"][-1]
    assert outcome["search"]["mode"] == "outcome"
    # Patient b, whom `by-a` is about, and the observation of b that `new` is derived from.
    assert (
        "refers to 2 resources that are of other" in outcome["resource"]["issue"][0]["diagnostics"]
    )


def test_types(http: TestClient) -> None:
    bundle = found(http, _type=["Observation,Medication", "Practitioner"])
    assert {key.partition("/")[0] for key in keys(bundle, "match")} == {"Observation"}
    assert keys(bundle, "include") == [
        "Medication/drug", "Practitioner/dr", "Practitioner/scribe",
    ]  # fmt: skip


def test_dates_of_care(http: TestClient) -> None:
    dated = {"Encounter/visit", "MedicationRequest/order", "Observation/new", "Observation/old"}
    undated = RECORD - dated
    assert set(keys(found(http, start="2020-03-02"), "match")) == undated | dated - {
        "Observation/old"
    }
    assert set(keys(found(http, end="2019"), "match")) == undated | {"Observation/old"}
    assert set(keys(found(http, start="2020-03-03", end="2020-03"), "match")) == undated | {
        "Encounter/visit"
    }
    assert set(keys(found(http, start="2021", end="2022"), "match")) == undated


def test_since(lake: Lake, http: TestClient) -> None:
    moment = http.get("/fhir/Patient/a").json()["meta"]["lastUpdated"]
    assert keys(found(http, _since=moment), "match") == []
    assert len(keys(found(http, _since="2000-01-01T00:00:00+01:00"), "match")) == len(RECORD)


@pytest.mark.parametrize("count", [1, 3, 8, 100])
def test_pages_have_each_resource_once(http: TestClient, count: int) -> None:
    page, seen = found(http, _count=count), []
    while True:
        entries = keys(page, "match") + keys(page, "include")
        assert 0 < len(entries) <= count
        assert page["total"] == len(RECORD)
        seen += entries
        links = {link["relation"]: link["url"] for link in page["link"]}
        if "next" not in links:
            break
        page = http.get(links["next"]).json()
    assert sorted(seen) == sorted(RECORD | REFERRED)
    assert found(http, _count=0).get("entry") is None


def test_pages_stay_on_their_commit(http: TestClient, lake: Lake) -> None:
    first = found(http, _count=5, _elements="status", _format="json")
    t = lake.t
    lake.transact([Put(observation("later", "a")), Delete("Observation", "old")])
    (following,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
    assert "_elements=status" in following
    seen = keys(first, "match") + keys(first, "include")
    page = http.get(following).json()
    seen += keys(page, "match") + keys(page, "include")
    while links := [link["url"] for link in page["link"] if link["relation"] == "next"]:
        page = http.get(links[0]).json()
        seen += keys(page, "match") + keys(page, "include")
    assert sorted(seen) == sorted(RECORD | REFERRED)
    assert set(keys(found(http), "match")) == RECORD - {"Observation/old"} | {"Observation/later"}
    assert set(keys(found(http, at=str(t)), "match")) == RECORD
    lake.transact(
        [
            Delete("Observation", "later"),
            Put(observation("old", "a", effectiveDateTime="2010-01-01")),
        ]
    )


def test_an_erasure_ends_a_chain_of_pages(http: TestClient, lake: Lake) -> None:
    lake.transact([Put(observation("to-erase", "a"))])
    first = found(http, _count=5)
    (following,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
    lake.erase([("Observation", "to-erase")], reason="test")
    response = http.get(following)
    assert response.status_code == 400
    assert "erased" in response.json()["issue"][0]["diagnostics"]
    assert "Observation/to-erase" not in keys(found(http), "match")


def test_by_post(http: TestClient) -> None:
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "start", "valueDate": "2020"},
            {"name": "_type", "valueCode": "Observation"},
            {"name": "_count", "valueInteger": 1},
        ],
    }
    page = http.post("/fhir/Patient/a/$everything", json=parameters).json()
    (following,) = [link["url"] for link in page["link"] if link["relation"] == "next"]
    second = http.get(following).json()
    both = keys(page, "match") + keys(second, "match")
    assert len(both) == 2
    assert set(both) <= {"Observation/new", "Observation/undated", "Observation/by-a"}
    assert http.post("/fhir/Patient/a/$everything").json()["total"] == len(RECORD)


def test_an_encounter(http: TestClient) -> None:
    bundle = found(http, "Encounter/visit")
    assert set(keys(bundle, "match")) == {
        "Encounter/visit", "MedicationRequest/order", "Observation/new",
    }  # fmt: skip
    assert {"Patient/a", "Medication/drug"} <= set(keys(bundle, "include"))
    assert "Observation/of-b" not in keys(bundle, "include")


@pytest.mark.parametrize(
    ("path", "params", "status", "place"),
    [
        ("Patient/none", {}, 404, None),
        ("Patient", {}, 400, "$everything"),
        ("Patient/a", {"foo": "1"}, 400, "foo"),
        ("Patient/a", {"_type": "Foo"}, 400, "_type"),
        ("Patient/a", {"start": "soon"}, 400, "start"),
        ("Patient/a", {"start": "2020", "end": "2019"}, 400, "start"),
        ("Patient/a", {"_since": "2020"}, 400, "_since"),
        ("Patient/a", {"_count": "-1"}, 400, "_count"),
        ("Patient/a", {"_cursor": "x"}, 400, "_cursor"),
        ("Patient/a", {"start": ["2020", "2021"]}, 400, "start"),
        ("Encounter/visit", {"start": "2020"}, 400, "start"),
    ],
)
def test_what_is_refused(
    http: TestClient, path: str, params: dict[str, Any], status: int, place: str | None
) -> None:
    response = http.get(f"/fhir/{path}/$everything", params=params)
    assert response.status_code == status
    if place:
        assert place in response.json()["issue"][0]["expression"]


def test_a_cursor_of_another_question(http: TestClient) -> None:
    first = found(http, _count=2)
    (following,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
    assert http.get(following.replace("Patient/a", "Patient/b")).status_code == 400
    assert http.get(following + "&_type=Observation").status_code == 400


def test_deleted_patient(http: TestClient, lake: Lake) -> None:
    lake.transact([Put({"resourceType": "Patient", "id": "c"})])
    t = lake.t
    lake.transact([Delete("Patient", "c")])
    assert http.get("/fhir/Patient/c/$everything").status_code == 410
    assert keys(found(http, "Patient/c", at=str(t)), "match") == ["Patient/c"]


def test_the_access_is_recorded(http: TestClient, lake: Lake) -> None:
    before = lake.audit_head().n
    page = found(http, _count=3)
    assert lake.audit_head().n == before + 1
    event = lake.read("AuditEvent", f"audit-{before + 1}").resource()
    assert "everything" in [one["code"] for one in event["subtype"]]
    told = str(event)
    assert "Patient/a" in told
    assert "Patient/b" not in told  # Read to find out what belongs to whom, not given out.
    assert len(keys(page, "match")) == 3


def test_thousands_of_resources(http: TestClient, lake: Lake) -> None:
    lake.transact([Put({"resourceType": "Patient", "id": "many"})])
    lake.transact([Put(observation(f"many-{n}", "many")) for n in range(OBSERVATIONS)])
    page, seen = found(http, "Patient/many"), []
    while True:
        seen += keys(page, "match")
        links = [link["url"] for link in page["link"] if link["relation"] == "next"]
        if not links:
            break
        page = http.get(links[0]).json()
    assert len(seen) == len(set(seen)) == OBSERVATIONS + 1
