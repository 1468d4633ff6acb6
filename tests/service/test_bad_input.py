"""Every bad input gets a 4xx OperationOutcome that names the place, and nothing is stored."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from .conftest import FHIR, Service, assert_outcome


@pytest.fixture
def unchanged(service: Service):  # type: ignore[no-untyped-def]
    """Asserts that the test stored nothing."""
    before = service.http.get("/status").json()["t"]
    yield
    assert service.http.get("/status").json()["t"] == before


@pytest.mark.parametrize(
    ("body", "status", "expression"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"[]", 400, None),
        (b"null", 400, None),
        (b'{"resourceType":"Patient"', 400, None),
        (b'{"resourceType":"Patient","active":tru}', 400, None),
        (b'{"resourceType":"Patient","gender":"male","gender":"female"}', 400, None),
        (b'{"resourceType":"Patient","name":[{"family":"M\xfcller"}]}', 400, None),
        (b'{"resourceType":"Observation"}', 400, None),
        (b'{"id":"1"}', 400, None),
        (b'{"resourceType":"Patient","favouriteColour":"red"}', 422, "Patient.favouriteColour"),
        (b'{"resourceType":"Patient","gender":["male"]}', 422, "Patient.gender"),
        (b'{"resourceType":"Patient","name":{"family":"A"}}', 422, "Patient.name"),
        (b'{"resourceType":"Patient","birthDate":"1999-02-30"}', 422, "Patient.birthDate"),
        (b'{"resourceType":"Patient","birthDate":"yesterday"}', 422, "Patient.birthDate"),
        (b'{"resourceType":"Patient","gender":"f"}', 422, "Patient.gender"),
        (b'{"resourceType":"Patient","active":"true"}', 422, "Patient.active"),
        (b'{"resourceType":"Patient","link":[{"type":"seealso"}]}', 422, "Patient.link[0].other"),
        (b'{"resourceType":"Patient","name":[]}', 422, "Patient.name"),
        (b"[" * 100_000, 400, None),
    ],
)
@pytest.mark.usefixtures("unchanged")
def test_bad_patient(service: Service, body: bytes, status: int, expression: str | None) -> None:
    response = service.http.post("/fhir/Patient", content=body, headers=FHIR)
    assert_outcome(response, status, expression)


@pytest.mark.usefixtures("unchanged")
def test_missing_required_element(service: Service) -> None:
    assert_outcome(
        service.http.post("/fhir/Observation", json={"resourceType": "Observation"}, headers=FHIR),
        422,
        "Observation.status",
    )


@pytest.mark.usefixtures("unchanged")
def test_media_types(service: Service) -> None:
    body = b'{"resourceType":"Patient"}'
    for kind in ("text/plain", "text/turtle", "application/x-www-form-urlencoded"):
        response = service.http.post("/fhir/Patient", content=body, headers={"Content-Type": kind})
        assert_outcome(response, 415)
    accept = {"Accept": "text/turtle"}
    assert_outcome(service.http.get("/fhir/Patient", headers=accept), 406)


@pytest.mark.usefixtures("unchanged")
def test_methods_and_addresses(service: Service) -> None:
    assert_outcome(service.http.get("/nowhere"), 404)
    assert_outcome(service.http.patch("/fhir/metadata/1/x", json={}), 405)
    assert_outcome(service.http.put("/notes", json={}), 405)
    body = {"resourceType": "Patient", "id": "other"}
    response = service.http.put("/fhir/Patient/this", json=body, headers=FHIR)
    assert_outcome(response, 400, "Patient.id")
    response = service.http.put("/fhir/Patient/no%20id", json={**body, "id": "no id"}, headers=FHIR)
    assert_outcome(response, 400, "Patient.id")


def document(data: Any, content_type: str = "text/plain") -> dict[str, Any]:
    attachment = {"contentType": content_type, "data": data}
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": attachment}],
    }


ATTACHMENT = "DocumentReference.content[0].attachment.data"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b" \n\t ", 400),
        (b"x" * 5_000_000, 413),
        (bytes(range(256)) * 20, 400),
        ("Café au lait spots".encode("latin-1"), 400),
        (b"\x00\x01\x02", 400),
    ],
)
@pytest.mark.usefixtures("unchanged")
def test_bad_notes(service: Service, content: bytes, status: int) -> None:
    headers = {"Content-Type": "text/plain"}
    response = service.http.post("/notes?patient=nobody", content=content, headers=headers)
    assert_outcome(response, status, ATTACHMENT if status == 400 else None)
    inline = document(base64.b64encode(content).decode())
    response = service.http.post("/fhir/DocumentReference", json=inline, headers=FHIR)
    # An empty text is no base64: the document itself is invalid.
    outcome = assert_outcome(response, status if content else 422)
    places = [place for issue in outcome["issue"] for place in issue.get("expression", [])]
    assert any(place.startswith("DocumentReference.content[0].attachment") for place in places)


def test_latin_1_is_read_when_declared(service: Service) -> None:
    patient = service.patient()
    response = service.http.post(
        f"/notes?patient={patient}",
        content="Patient has café-au-lait spots.".encode("latin-1"),
        headers={"Content-Type": "text/plain; charset=iso-8859-1"},
    )
    assert response.status_code == 201
    data = response.json()["content"][0]["attachment"]["data"]
    assert base64.b64decode(data).decode() == "Patient has café-au-lait spots."


@pytest.mark.usefixtures("unchanged")
def test_note_of_an_unknown_patient(service: Service) -> None:
    response = service.http.post(
        "/notes?patient=nobody", content="Stable.", headers={"Content-Type": "text/plain"}
    )
    assert_outcome(response, 422, "DocumentReference.subject")
    assert_outcome(service.http.post("/notes", content="x"), 400)
    note = {**document("U3RhYmxlLg=="), "subject": {"reference": "Patient/nobody"}}
    response = service.http.post("/fhir/DocumentReference", json=note, headers=FHIR)
    assert_outcome(response, 422, "DocumentReference.subject")


@pytest.mark.usefixtures("unchanged")
def test_bad_search(service: Service) -> None:
    for query in ("date=tomorrow", "_count=many", "_count=-1", "_lastUpdated=x", "_cursor=zzz"):
        assert_outcome(service.http.get(f"/fhir/Observation?{query}"), 400)
    assert_outcome(service.http.get("/fhir/Observation?code:unheard=1"), 400)
    strict = {"Prefer": "handling=strict"}
    assert_outcome(service.http.get("/fhir/Observation?colour=red", headers=strict), 400)
    lenient = service.http.get("/fhir/Observation?colour=red").json()
    assert lenient["entry"][-1]["search"]["mode"] == "outcome"
    assert "colour" in lenient["entry"][-1]["resource"]["issue"][0]["diagnostics"]


@pytest.mark.usefixtures("unchanged")
def test_bad_sql_and_cohorts(service: Service) -> None:
    for query in (
        "DROP TABLE patient",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT 1; SELECT 2",
        "SELEC",
    ):
        assert_outcome(service.http.post("/sql", json={"query": query}), 400)
    assert_outcome(service.http.post("/cohorts", json={"inclde": []}), 400)
    assert_outcome(
        service.http.post("/cohorts", content="{", headers={"Content-Type": "application/json"}),
        400,
    )


@pytest.mark.usefixtures("unchanged")
def test_numbers_that_are_none(service: Service) -> None:
    for number in ("²", "9" * 5_000, "-1", "1.0"):
        assert service.http.get(f"/fhir/Patient/x/_history/{number}").status_code == 404
        assert_outcome(service.http.get(f"/fhir/Patient/x/_history?_count={number}"), 400, "_count")
    for header in ('W/"9e9"', "W/x", '"' + "1" * 500 + '"'):
        response = service.http.put(
            "/fhir/Patient/x",
            json={"resourceType": "Patient", "id": "x"},
            headers={**FHIR, "If-Match": header},
        )
        assert_outcome(response, 400, "If-Match")


@pytest.mark.parametrize("parts", ["x", [1], None, [{"name": "resource"}], [{"name": "other"}]])
def test_validate_without_a_resource(service: Service, parts: Any) -> None:
    body = {"resourceType": "Parameters", "parameter": parts}
    response = service.http.post("/fhir/Patient/$validate", json=body, headers=FHIR)
    outcome = assert_outcome(response, 400)
    assert outcome["issue"][0]["expression"][0].startswith("Parameters.parameter")


def test_validate_tells_what_create_would(service: Service) -> None:
    good = {"resourceType": "Patient", "gender": "male"}
    for body in (
        {**good, "gender": "x"},
        {
            "resourceType": "Parameters",
            "parameter": [{"name": "resource", "resource": {**good, "gender": "x"}}],
        },
    ):
        response = service.http.post("/fhir/Patient/$validate", json=body, headers=FHIR)
        assert_outcome(response, 200, "Patient.gender")
    response = service.http.post("/fhir/Patient/$validate", json=good, headers=FHIR)
    assert response.json()["issue"][0]["severity"] == "information"


@pytest.mark.parametrize(
    "charset", ["undefined", "unicode_escape", "raw_unicode_escape", "idna", "base64", "nonsense"]
)
@pytest.mark.usefixtures("unchanged")
def test_charsets_that_are_none(service: Service, charset: str) -> None:
    headers = {"Content-Type": f"text/plain; charset={charset}"}
    response = service.http.post("/notes?patient=x", content=rb"\ud800 text", headers=headers)
    assert_outcome(response, 400)


def test_note_of_an_unknown_encounter(service: Service) -> None:
    patient = service.patient()
    response = service.http.post(
        f"/notes?patient={patient}&encounter=nope",
        content="Stable.",
        headers={"Content-Type": "text/plain"},
    )
    assert_outcome(response, 422, "DocumentReference.context.encounter[0]")
