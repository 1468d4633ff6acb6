"""`_format`, `Accept`, `_pretty`, `_summary`, `_elements` on every interaction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from schemas.fhir_xml_parser import from_xml
from schemas.outcomes import FhirError
from schemas.summary import is_subsetted
from schemas.validate import validate
from service.app import create_app
from service.content_negotiation import form_of, negotiated
from service.representation import asked
from service.settings import load_settings
from storage.lake import Lake

XML = {"Accept": "application/fhir+xml"}
PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Ann</div>'},
    "active": True,
    "name": [{"family": "Ann"}],
    "maritalStatus": {"text": "single"},
}
OBSERVATION = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "code": {"text": "HbA1c"},
    "subject": {"reference": "Patient/p"},
    "note": [{"text": "fasting"}],
}


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service in this process with a patient (three versions) and an observation."""
    with Lake.open(tmp_path_factory.mktemp("representation") / "lake") as lake:
        client = TestClient(
            create_app(lake, load_settings({"nlp": False}, environ={})),
            base_url="http://localhost",
            headers={"Accept-Encoding": "identity"},
        )
        for count in (1, 2, 3):
            resource = {**PATIENT, "multipleBirthInteger": count}
            assert client.put("/fhir/Patient/p", json=resource).status_code in (200, 201)
        assert client.put("/fhir/Observation/o", json=OBSERVATION).status_code == 201
        yield client


def xml_of(response: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/fhir+xml; charset=utf-8"
    assert int(response.headers["content-length"]) == len(response.content)
    return from_xml(response.content)


@pytest.mark.parametrize(
    "path",
    [
        "Patient/p",
        "Patient/p/_history/2",
        "Patient/p/_history",
        "Patient/_history",
        "_history",
        "Patient?name=ann",
        "metadata",
    ],
)
def test_xml_says_what_json_says(http: TestClient, path: str) -> None:
    in_json = http.get(f"/fhir/{path}")
    in_xml = http.get(f"/fhir/{path}", headers=XML)
    assert xml_of(in_xml) == in_json.json()
    for name in ("etag", "last-modified", "chartlake-commit"):
        assert in_xml.headers.get(name) == in_json.headers.get(name)


@pytest.mark.parametrize(
    "value",
    ["xml", "application/fhir+xml", "application/fhir xml", "text/xml", "application/xml"],
)
def test_format_wins_over_accept(http: TestClient, value: str) -> None:
    response = http.get("/fhir/Patient/p", params={"_format": value}, headers={"Accept": "*/*"})
    assert xml_of(response)["id"] == "p"
    response = http.get("/fhir/Patient/p", params={"_format": "json"}, headers=XML)
    assert response.json()["id"] == "p"


def test_xml_is_stored_as_json_is(http: TestClient) -> None:
    for kind in ("application/fhir+xml", "application/xml; charset=utf-8", "text/xml"):
        body = (
            '<Patient xmlns="http://hl7.org/fhir"><id value="x"/><active value="true"/>'
            '<birthDate value="1970"/></Patient>'
        )
        response = http.put("/fhir/Patient/x", content=body, headers={"Content-Type": kind, **XML})
        assert xml_of(response, response.status_code)["birthDate"] == "1970"
    stored = http.get("/fhir/Patient/x").json()
    assert (stored["active"], stored["birthDate"]) == (True, "1970")


def test_a_transaction_in_xml(http: TestClient) -> None:
    body = (
        '<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/><entry><resource>'
        '<Patient><gender value="male"/></Patient></resource><request><method value="POST"/>'
        '<url value="Patient"/></request></entry></Bundle>'
    )
    response = http.post("/fhir", content=body, headers={"Content-Type": "text/xml", **XML})
    answer = xml_of(response)
    assert answer["type"] == "transaction-response"
    assert answer["entry"][0]["response"]["status"].startswith("201")


def test_errors_have_the_form_that_was_asked_for(http: TestClient) -> None:
    for response, status in (
        (http.get("/fhir/Patient/none", headers=XML), 404),
        (http.get("/fhir/Nonsense/1", headers=XML), 404),
        (http.get("/fhir/a/b/c/d/e/f", headers=XML), 404),
        (http.get("/fhir/Patient/p?_summary=some", headers=XML), 400),
        (
            http.put("/fhir/Patient/p", content=b"<", headers={"Content-Type": "text/xml", **XML}),
            400,
        ),
        (http.post("/fhir/Patient", json={"resourceType": "Patient", "x": 1}, headers=XML), 422),
        (http.post("/fhir/Patient", content=b"x", headers={"Content-Type": "a/b", **XML}), 415),
    ):
        outcome = xml_of(response, status)
        assert outcome["resourceType"] == "OperationOutcome"
        assert validate(outcome) == []


def test_a_failure_that_xml_cannot_say_is_told_in_json(http: TestClient) -> None:
    response = http.post("/fhir/Patient", json={"resourceType": "Patient", "\x01": 1}, headers=XML)
    assert response.status_code == 422
    assert response.json()["resourceType"] == "OperationOutcome"


def test_forms_that_are_not_offered(http: TestClient) -> None:
    before = http.get("/fhir/Patient/p").headers["etag"]
    for params, accept in (
        ({}, "text/turtle"),
        ({"_format": "ttl"}, "*/*"),
        ({}, "application/fhir+json; fhirVersion=3.0"),
    ):
        response = http.put(
            "/fhir/Patient/p", params=params, json=PATIENT, headers={"Accept": accept}
        )
        assert response.status_code == 406
        assert response.json()["resourceType"] == "OperationOutcome"
    assert http.get("/fhir/Patient/p").headers["etag"] == before


def test_pretty(http: TestClient) -> None:
    plain = http.get("/fhir/Patient/p")
    for params in ({"_pretty": "true"}, {"_format": "html"}):
        pretty = http.get("/fhir/Patient/p", params=params)
        assert pretty.json() == plain.json()
        assert '\n  "id": "p"' in pretty.text
    assert http.get("/fhir/Patient/p", params={"_pretty": "false"}).content == plain.content
    xml = http.get("/fhir/Patient/p", params={"_pretty": "true", "_format": "xml"})
    assert xml_of(xml) == plain.json()
    assert '\n  <id value="p"/>' in xml.text
    assert http.get("/fhir/Patient/p", params={"_pretty": "1"}).status_code == 400


@pytest.mark.parametrize("path", ["Patient/p", "Patient/p/_history/1"])
def test_summary_of_one_resource(http: TestClient, path: str) -> None:
    def found(kind: str) -> dict[str, Any]:
        response = http.get(f"/fhir/{path}", params={"_summary": kind})
        assert response.status_code == 200
        return dict(response.json())

    assert "maritalStatus" not in found("true")
    assert set(found("text")) == {"resourceType", "id", "meta", "text"}
    assert set(found("data")) >= {"maritalStatus", "name"}
    assert "text" not in found("data")
    for kind in ("true", "text", "data"):
        assert is_subsetted(found(kind))
    assert found("false") == http.get(f"/fhir/{path}").json()
    response = http.get(f"/fhir/{path}", params={"_summary": "count"})
    assert response.status_code == 400


@pytest.mark.parametrize("path", ["Patient", "Patient/_history", "_history", "Patient/p/_history"])
def test_summary_of_bundles(http: TestClient, path: str) -> None:
    whole = http.get(f"/fhir/{path}").json()
    bundle = http.get(f"/fhir/{path}", params={"_summary": "true"}).json()
    assert not is_subsetted(bundle)
    assert bundle.get("total") == whole.get("total")
    assert len(bundle["entry"]) == len(whole["entry"])
    for entry in bundle["entry"]:
        assert is_subsetted(entry["resource"])
        assert "text" not in entry["resource"]
        assert "fullUrl" in entry


def test_count(http: TestClient) -> None:
    for response in (
        http.get("/fhir/Patient", params={"_summary": "count", "_count": "10"}),
        http.post("/fhir/Patient/_search", data={"_summary": "count"}),
    ):
        bundle = response.json()
        assert bundle["total"] >= 1
        assert "entry" not in bundle
    assert http.get("/fhir/Patient/_history?_summary=count").status_code == 400


def test_elements_of_a_search(http: TestClient) -> None:
    bundle = http.get("/fhir/Observation", params={"_elements": "subject"}).json()
    (entry,) = bundle["entry"]
    assert set(entry["resource"]) == {"resourceType", "id", "meta", "status", "code", "subject"}
    response = http.get("/fhir/Observation", params={"_elements": "subjekt"})
    assert response.status_code == 400
    assert response.json()["issue"][0]["expression"] == ["_elements"]
    both = {"_elements": "subject", "_summary": "true"}
    assert http.get("/fhir/Observation", params=both).status_code == 400
    text = {"_summary": "text", "_include": "Observation:subject"}
    assert http.get("/fhir/Observation", params=text).status_code == 400


def test_a_form_says_it_too(http: TestClient) -> None:
    form = {"_id": "p", "_format": "xml", "_elements": "name"}
    bundle = xml_of(http.post("/fhir/Patient/_search", data=form))
    assert set(bundle["entry"][0]["resource"]) == {"resourceType", "id", "meta", "name", "active"}
    twice = http.post("/fhir/Patient/_search?_format=json", data={"_format": "xml"})
    assert twice.status_code == 400


def test_links_keep_what_was_asked_for(http: TestClient) -> None:
    params = {"_count": "1", "_elements": "name", "_format": "xml", "_pretty": "true"}
    for path in ("Patient", "Patient/_history"):
        page, seen = xml_of(http.get(f"/fhir/{path}", params=params)), 0
        while True:
            seen += len(page["entry"])
            links = {link["relation"]: link["url"] for link in page["link"]}
            if "next" not in links:
                break
            page = xml_of(http.get(links["next"]))
            assert is_subsetted(page["entry"][0]["resource"])
        assert seen > 1


def test_a_part_is_never_stored_over_the_whole(http: TestClient) -> None:
    part = http.get("/fhir/Patient/p", params={"_elements": "name"}).json()
    response = http.put("/fhir/Patient/p", json=part)
    assert response.status_code == 422
    assert response.json()["issue"][0]["expression"] == ["Patient.meta.tag"]
    entry = {"resource": part, "request": {"method": "PUT", "url": "Patient/p"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    response = http.post("/fhir", json=bundle)
    assert response.status_code == 422
    assert response.json()["issue"][0]["expression"] == ["Bundle.entry[0].resource.meta.tag"]
    assert http.get("/fhir/Patient/p").json()["maritalStatus"] == {"text": "single"}


def test_parts_inside_of_a_batch(http: TestClient) -> None:
    urls = (
        "Patient/p?_elements=name",
        "Patient?_id=p&_summary=true",
        "Patient?_summary=count",
        "Patient/p?_format=xml&_pretty=true",  # The form is that of the Bundle.
        "Patient/p?_elements=nonsense",
        "Patient/p",
    )
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    for headers in ({}, XML):
        response = http.post("/fhir", json=bundle, headers=headers)
        answer = xml_of(response) if headers else response.json()
        one, searched, counted, formed, refused, whole = answer["entry"]
        assert set(one["resource"]) == {"resourceType", "id", "meta", "name", "active"}
        assert "maritalStatus" not in searched["resource"]["entry"][0]["resource"]
        assert counted["resource"]["total"] >= 1
        assert "entry" not in counted["resource"]
        assert formed["resource"] == whole["resource"]
        assert refused["response"]["status"].startswith("400")
        assert whole["resource"]["maritalStatus"] == {"text": "single"}


def test_a_stored_bundle_is_a_resource(http: TestClient) -> None:
    stored = {
        "resourceType": "Bundle",
        "id": "b",
        "type": "searchset",
        "entry": [{"resource": PATIENT, "search": {"mode": "match"}}],
    }
    assert http.put("/fhir/Bundle/b", json=stored).status_code == 201
    found = http.get("/fhir/Bundle/b", params={"_elements": "type"}).json()
    assert set(found) == {"resourceType", "id", "meta", "type"}


def test_a_change_is_acknowledged_even_where_xml_cannot_say_it(tmp_path: Path) -> None:
    odd = {
        "resourceType": "Patient",
        "id": "odd",
        "text": {"status": "generated", "div": "<div>no namespace</div>"},
    }
    settings = load_settings({"nlp": False, "validation": "structure-only"}, environ={})
    with Lake.open(tmp_path / "lake") as lake:
        http = TestClient(create_app(lake, settings), base_url="http://localhost")
        response = http.put("/fhir/Patient/odd", json=odd, headers=XML)
        assert response.status_code == 201
        assert response.json()["id"] == "odd"
        response = http.get("/fhir/Patient/odd", headers=XML)
        assert response.status_code == 406
        outcome = xml_of(response, 406)
        assert outcome["issue"][0]["expression"] == ["Patient.text.div"]


def test_head_and_not_modified(http: TestClient) -> None:
    head = http.head("/fhir/Patient/p", headers=XML)
    assert head.headers["content-type"].startswith("application/fhir+xml")
    etag = head.headers["etag"]
    response = http.get("/fhir/Patient/p", headers={**XML, "If-None-Match": etag})
    assert (response.status_code, response.content) == (304, b"")


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("application/json, text/plain, */*", "json"),
        ("application/fhir+xml, application/fhir+json;q=0.9", "xml"),
        ("application/fhir+json;q=0.5, application/fhir+xml;q=0.6", "xml"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        ("application/fhir+json;q=0, */*", "xml"),
        ("application/fhir+json; fhirVersion=4.0", "json"),
        ("application/fhir+json; fhirVersion=1.0", None),
        ("application/fhir+json; q=nonsense", None),
        ("image/png", None),
        (",,", None),
    ],
)
def test_accept(accept: str, form: str | None) -> None:
    assert negotiated(accept) == form


def test_values_of_format() -> None:
    assert form_of("application/fhir+json; charset=utf-8") == "json"
    assert form_of("application/fhir+json; fhirVersion=3.0") is None
    assert form_of("HTML") == "html"
    assert form_of("turtle") is None


_NAMES = st.sampled_from(["_format", "_pretty", "_summary", "_elements"])


@given(st.lists(st.tuples(_NAMES, st.text())), st.text())
def test_any_wish_is_understood_or_refused(params: list[tuple[str, str]], accept: str) -> None:
    try:
        asked(params, accept)
    except FhirError as failure:
        assert failure.category in ("not-acceptable", "value", "invalid", "not-supported")
