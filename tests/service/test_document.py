"""`Composition/$document` (R4 documents.html)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from schemas.outcomes import FhirError
from schemas.validate import validate
from service.app import create_app
from service.operations import document as operation
from service.settings import load_settings
from storage import composition as composition_document
from storage.lake import Delete, Lake, Put


def ref(key: str) -> dict[str, str]:
    return {"reference": key}


def composition(id: str, *entries: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Composition",
        "id": id,
        "status": "final",
        "type": {"text": "discharge"},
        "date": "2024-01-01",
        "title": "Discharge",
        "subject": ref("Patient/a"),
        "author": [ref("Practitioner/dr")],
        "section": [{"title": "all", "entry": [ref(entry) for entry in entries]}],
        **more,
    }


def observation(id: str, patient: str, **more: Any) -> dict[str, Any]:
    subject = ref(f"Patient/{patient}")
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"text": "x"},
        "subject": subject,
        **more,
    }


RESOURCES = [
    {"resourceType": "Patient", "id": "a", "managingOrganization": ref("Organization/clinic")},
    {"resourceType": "Patient", "id": "b"},
    {"resourceType": "Organization", "id": "clinic", "name": "Clinic"},
    {"resourceType": "Practitioner", "id": "dr"},
    observation("x", "a", hasMember=[ref("Observation/y"), ref("Observation/none")]),
    observation("y", "a", performer=[ref("http://elsewhere.org/Practitioner/1")]),
    observation("gone", "a"),
    {
        "resourceType": "MedicationRequest",
        "id": "m",
        "status": "active",
        "intent": "order",
        "contained": [{"resourceType": "Medication", "id": "drug"}],
        "medicationReference": ref("#drug"),
        "subject": ref("Patient/a"),
    },
    composition("whole", "Observation/x", "MedicationRequest/m"),
    composition("foreign", "http://elsewhere.org/Observation/1", "Observation/gone"),
    composition("cyclic", "Composition/cyclic", "Observation/x"),
    composition("of-b", "Observation/x", subject=ref("Patient/b")),
]
WHOLE = [
    "Composition/whole", "Patient/a", "Practitioner/dr", "Observation/x", "MedicationRequest/m",
    "Organization/clinic", "Observation/y",
]  # fmt: skip


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with Lake.open(tmp_path_factory.mktemp("document") / "lake") as lake:
        lake.transact([Put(resource) for resource in RESOURCES])
        lake.transact([Delete("Observation", "gone")])
        yield lake


@pytest.fixture(scope="module")
def http(lake: Lake) -> TestClient:
    app = create_app(lake, load_settings({"nlp": False}, environ={}))
    return TestClient(app, base_url="http://localhost")


def keys(bundle: dict[str, Any]) -> list[str]:
    return [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in bundle["entry"]]


def test_everything_it_refers_to_is_in_it(http: TestClient) -> None:
    response = http.get("/fhir/Composition/whole/$document")
    assert response.status_code == 200
    bundle = response.json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "document")
    assert keys(bundle) == WHOLE
    assert bundle["entry"][0]["fullUrl"] == "http://localhost/fhir/Composition/whole"
    assert validate(bundle) == []
    assert bundle["identifier"]["value"].startswith("urn:uuid:")
    # Of what the others refer to, one is on another server, one was never here: that is said.
    assert response.headers["Warning"].startswith('199 chartlake "2 references')


def test_what_it_refers_to_itself_must_be_here(http: TestClient) -> None:
    response = http.get("/fhir/Composition/foreign/$document")
    assert response.status_code == 422
    places = [place for issue in response.json()["issue"] for place in issue["expression"]]
    assert places == ["Composition.section[0].entry[0]", "Composition.section[0].entry[1]"]


def test_cycles_and_other_patients(http: TestClient) -> None:
    bundle = http.get("/fhir/Composition/cyclic/$document").json()
    assert keys(bundle)[0] == "Composition/cyclic"
    assert len(keys(bundle)) == len(set(keys(bundle)))
    assert "Patient/a" not in keys(http.get("/fhir/Composition/of-b/$document").json())


def test_persist(http: TestClient, lake: Lake) -> None:
    before = lake.t
    made = http.get("/fhir/Composition/whole/$document", params={"persist": "false"})
    assert "Location" not in made.headers
    assert lake.t == before
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "persist", "valueBoolean": True}],
    }
    made = http.post("/fhir/Composition/whole/$document", json=parameters)
    assert made.status_code == 200, made.text
    stored = http.get(made.headers["Location"]).json()
    assert stored == made.json()
    assert keys(stored) == WHOLE


def test_by_the_parameter_id_and_as_of(http: TestClient, lake: Lake) -> None:
    t = lake.t
    lake.transact([Put({"resourceType": "Practitioner", "id": "dr", "active": True})])
    for id in ("whole", "http://localhost/fhir/Composition/whole"):
        bundle = http.get("/fhir/Composition/$document", params={"id": id, "at": str(t)}).json()
        assert keys(bundle) == WHOLE
        assert bundle["entry"][2]["resource"]["meta"]["versionId"] == "1"


def test_in_xml_and_in_part(http: TestClient) -> None:
    response = http.get("/fhir/Composition/whole/$document", params={"_format": "xml"})
    assert b'<type value="document"/>' in response.content


@pytest.mark.parametrize(
    ("path", "status", "place"),
    [
        ("Composition/none/$document", 404, None),
        ("Composition/whole/$document?graph=http://example.org/g", 400, "graph"),
        ("Composition/whole/$document?id=whole", 400, "id"),
        ("Composition/whole/$document?persist=yes", 400, "persist"),
        ("Composition/$document", 400, "id"),
        ("Composition/$document?id=http://elsewhere.org/Composition/1", 400, "id"),
    ],
)
def test_what_is_refused(http: TestClient, path: str, status: int, place: str | None) -> None:
    response = http.get(f"/fhir/{path}")
    assert response.status_code == status
    if place is not None:
        assert response.json()["issue"][0]["expression"] == [place]


def test_what_is_stored_goes_with_the_record_and_holds_nothing_erased_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(resource) for resource in RESOURCES])
        erased: list[dict[str, Any]] = []
        erase = threading.Thread(
            target=lambda: erased.append(lake.erase([("Observation", "x")], reason="x"))
        )

        def slowly(*asked: Any) -> composition_document.Document:
            made = composition_document.document(*asked)
            erase.start()
            erase.join(0.3)
            return made

        monkeypatch.setattr(operation, "document", slowly)
        app = create_app(lake, load_settings({"nlp": False}, environ={}))
        with TestClient(app, base_url="http://localhost") as http:
            made = http.get("/fhir/Composition/whole/$document?persist=true")
        assert made.status_code == 200
        erase.join(30)
        id = made.json()["id"]
        stored = lake.read("Bundle", id)
        assert stored.t < erased[0]["t"]
        lake.purge("a", reason="x")
        with pytest.raises(FhirError) as failure:
            lake.read("Bundle", id)
        assert failure.value.category == "not-found"
