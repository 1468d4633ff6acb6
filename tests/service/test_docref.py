"""`DocumentReference/$docref` (US Core 6.1.0)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import load_settings
from storage.lake import Lake, Put

CCD = {"coding": [{"system": "http://loinc.org", "code": "34133-9"}]}
LETTER = {"coding": [{"system": "http://loinc.org", "code": "68609-7"}]}


def document(id: str, patient: str = "a", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference",
        "id": id,
        "status": "current",
        "subject": {"reference": f"Patient/{patient}"},
        "content": [{"attachment": {"url": "http://example.org/d"}}],
        **more,
    }


DOCUMENTS = [
    document("ccd", type=CCD, date="2024-01-01T00:00:00Z"),
    document(
        "letter",
        type=LETTER,
        date="2022-01-01T00:00:00Z",
        context={"period": {"start": "2010-01-01", "end": "2010-12-31"}},
        meta={"profile": ["http://example.org/letter|1"]},
    ),
    document("untyped", content=[{"attachment": {"url": "urn:x"}, "format": {"code": "urn:f"}}]),
    document("old", type=CCD, status="superseded", date="2020-01-01T00:00:00Z"),
    document("wrong", type=CCD, status="entered-in-error", date="2024-01-01T00:00:00Z"),
    document("other", "b", type=CCD, author=[{"reference": "Patient/a"}]),
]


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with Lake.open(tmp_path_factory.mktemp("docref") / "lake") as lake:
        patients = [{"resourceType": "Patient", "id": id} for id in "ab"]
        lake.transact([Put(resource) for resource in [*patients, *DOCUMENTS]])
        app = create_app(lake, load_settings({"nlp": False}, environ={}))
        yield TestClient(app, base_url="http://localhost")


def ids(bundle: dict[str, Any]) -> list[str]:
    entries = bundle.get("entry", [])
    return [e["resource"]["id"] for e in entries if e["search"]["mode"] == "match"]


def found(http: TestClient, **params: Any) -> list[str]:
    response = http.get("/fhir/DocumentReference/$docref", params=params)
    assert response.status_code == 200, response.text
    bundle = response.json()
    assert bundle["type"] == "searchset"
    assert bundle["total"] == len(ids(bundle))
    return ids(bundle)


def test_the_current_documents_the_latest_first(http: TestClient) -> None:
    assert found(http, patient="a") == ["ccd", "letter", "untyped"]
    assert found(http, patient="Patient/b") == ["other"]
    assert found(http, patient="unknown") == []


def test_types(http: TestClient) -> None:
    assert found(http, patient="a", type="http://loinc.org|34133-9") == ["ccd"]
    assert found(http, patient="a", type="34133-9,68609-7") == ["ccd", "letter"]
    assert found(http, patient="a", type=["34133-9", "http://loinc.org|68609-7"]) == [
        "ccd",
        "letter",
    ]
    assert found(http, patient="a", type="urn:other|34133-9") == []
    assert found(http, patient="a", type="|34133-9") == []


def test_dates_are_those_of_care(http: TestClient) -> None:
    # Superseded documents are of their time too; the untyped one is of no known time.
    assert found(http, patient="a", start="2019", end="2021") == ["old", "untyped"]
    assert found(http, patient="a", end="2010") == ["letter", "untyped"]
    assert found(http, patient="a", start="2024-01-01T00:00:00Z") == ["ccd", "untyped"]


def test_profiles(http: TestClient) -> None:
    assert found(http, patient="a", profile="http://example.org/letter") == ["letter"]
    assert found(http, patient="a", profile=["urn:f", "http://example.org/letter|1"]) == [
        "letter",
        "untyped",
    ]


def test_on_demand(http: TestClient) -> None:
    response = http.get(
        "/fhir/DocumentReference/$docref", params={"patient": "a", "on-demand": "true"}
    )
    assert ids(response.json()) == []
    (outcome,) = response.json()["entry"]
    assert "on demand" in outcome["resource"]["issue"][0]["diagnostics"]
    assert len(found(http, patient="a", **{"on-demand": "false"})) == 3


def test_by_post_and_in_pages(http: TestClient) -> None:
    coding = {"system": "http://loinc.org", "code": "34133-9"}
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patient", "valueId": "a"},
            {"name": "type", "valueCoding": coding},
            {"name": "start", "valueDateTime": "2019"},
            {"name": "_count", "valueInteger": 1},
        ],
    }
    page = http.post("/fhir/DocumentReference/$docref", json=parameters).json()
    links = {link["relation"]: link["url"] for link in page["link"]}
    following = http.get(links["next"]).json()
    assert [*ids(page), *ids(following)] == ["ccd", "old"]
    assert [link["relation"] for link in following["link"]] == ["self"]


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({}, "patient"),
        ({"patient": "no id"}, "patient"),
        ({"patient": "a", "type": "http://loinc.org|"}, "type"),
        ({"patient": "a", "start": "x"}, "start"),
        ({"patient": "a", "on-demand": "1"}, "on-demand"),
        ({"patient": "a", "period": "2020"}, "period"),
    ],
)
def test_what_is_refused(http: TestClient, params: dict[str, str], place: str) -> None:
    response = http.get("/fhir/DocumentReference/$docref", params=params)
    assert response.status_code == 400
    assert place in response.json()["issue"][0]["expression"]
