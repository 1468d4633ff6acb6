"""What entries of batches and transactions may ask, and what their answers hold (R4 http.html)."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from .conftest import FHIR, Service, assert_outcome
from .test_transaction import URN, bundle, observation, post, send


def entries(service: Service, body: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
    response = service.http.post("/fhir", json=body, headers={**FHIR, **headers})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["entry"]
    return found


def status(entry: dict[str, Any]) -> int:
    return int(entry["response"]["status"].split()[0])


def binary(patch: Any, kind: str = "application/json-patch+json") -> dict[str, Any]:
    data = base64.b64encode(json.dumps(patch).encode()).decode()
    return {"resourceType": "Binary", "contentType": kind, "data": data}


def patch(url: str, resource: dict[str, Any], **request: str) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "PATCH", "url": url, **request}}


def test_order_is_delete_post_put_patch_get(service: Service) -> None:
    gone, kept = service.patient(), service.patient()
    body = bundle(
        {"request": {"method": "GET", "url": f"Patient/{kept}"}},
        patch(f"Patient/{kept}", binary([{"op": "add", "path": "/active", "value": True}])),
        {"request": {"method": "GET", "url": f"Patient?_id={gone}"}},
        {"request": {"method": "DELETE", "url": f"Patient/{gone}"}},
        kind="batch",
    )
    read, patched, found, deleted = entries(service, body)
    assert [status(one) for one in (read, patched, found, deleted)] == [200, 200, 200, 204]
    assert read["resource"]["active"] is True
    assert found["resource"]["total"] == 0
    assert deleted["response"]["etag"] == 'W/"2"'


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_answers_are_complete(service: Service, kind: str) -> None:
    body = bundle(post("Patient", {"resourceType": "Patient", "active": True}), kind=kind)
    (plain,) = entries(service, body)
    assert plain["response"]["status"] == "201 Created"
    assert plain["response"]["location"].startswith("Patient/")
    assert plain["response"]["location"].endswith("/_history/1")
    assert plain["response"]["etag"] == 'W/"1"'
    assert plain["response"]["lastModified"].endswith("Z")
    assert "resource" not in plain
    (whole,) = entries(service, body, Prefer="return=representation")
    assert whole["resource"]["active"] is True
    (outcome,) = entries(service, body, Prefer="return=OperationOutcome")
    assert outcome["response"]["outcome"]["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_patch_entries(service: Service, kind: str) -> None:
    id = service.patient()
    add = binary([{"op": "add", "path": "/birthDate", "value": "1970-01-01"}])
    merge = binary({"active": True}, "application/merge-patch+json")
    for resource in (add, merge):
        (done,) = entries(service, bundle(patch(f"Patient/{id}", resource), kind=kind))
        assert status(done) == 200
    found = service.http.get(f"/fhir/Patient/{id}").json()
    assert (found["birthDate"], found["active"]) == ("1970-01-01", True)
    history = service.http.get(f"/fhir/Patient/{id}/_history").json()["entry"]
    assert [one["request"]["method"] for one in history] == ["PATCH", "PATCH", "POST"]


@pytest.mark.parametrize(
    ("resource", "wanted"),
    [
        (binary([{"op": "test", "path": "/gender", "value": "male"}]), 422),
        (binary([{"op": "add", "path": "/favourite", "value": 1}]), 422),
        (binary([{"op": "replace", "path": "/id", "value": "other"}]), 422),
        (binary([{"op": "nothing"}]), 400),
        (binary([], "application/xml-patch+xml"), 415),
        (
            {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": "%"},
            400,
        ),
        ({"resourceType": "Patient"}, 400),
    ],
)
def test_bad_patch_entries(service: Service, resource: dict[str, Any], wanted: int) -> None:
    id = service.patient()
    body = bundle(patch(f"Patient/{id}", resource))
    outcome = assert_outcome(send(service, body), wanted)
    assert outcome["issue"][0]["expression"][0].startswith("Bundle.entry[0]")
    assert service.http.get(f"/fhir/Patient/{id}").json()["meta"]["versionId"] == "1"


def test_a_patch_may_refer_to_another_entry(service: Service) -> None:
    id = service.post(observation("Patient/nobody")).json()["id"]
    value = {"reference": f"{URN}7"}
    body = bundle(
        patch(f"Observation/{id}", binary([{"op": "add", "path": "/subject", "value": value}])),
        post("Patient", {"resourceType": "Patient"}, f"{URN}7"),
    )
    _, created = entries(service, body)
    patient = created["response"]["location"].split("/_history")[0]
    assert service.http.get(f"/fhir/Observation/{id}").json()["subject"]["reference"] == patient


def test_references_to_what_conditions_match(service: Service) -> None:
    """References by fullUrl become those of the resources that were there already."""
    known = {"resourceType": "Patient", "identifier": [{"system": "urn:ref", "value": "k1"}]}
    id = service.post(known).json()["id"]
    for entry in (
        post("Patient", known, f"{URN}1", ifNoneExist="identifier=urn:ref|k1"),
        {
            "fullUrl": f"{URN}1",
            "resource": known,
            "request": {"method": "PUT", "url": "Patient?identifier=urn:ref|k1"},
        },
    ):
        body = bundle(entry, post("Observation", observation(f"{URN}1")))
        _, made = entries(service, body)
        stored = service.http.get(f"/fhir/{made['response']['location']}").json()
        assert stored["subject"]["reference"] == f"Patient/{id}"


def test_relative_references_go_by_the_full_url(service: Service) -> None:
    base = "http://elsewhere.example/fhir"
    body = bundle(
        post("Patient", {"resourceType": "Patient", "id": "here"}, f"{base}/Patient/here"),
        post("Observation", observation("Patient/here"), f"{base}/Observation/o"),
        post("Observation", observation(f"{base}/Patient/here"), f"{base}/Observation/p"),
        post("Observation", observation("Patient/here"), "http://other.example/Observation/q"),
    )
    made = [one["response"]["location"] for one in entries(service, body)]
    patient = made[0].split("/_history")[0]
    subjects = [
        service.http.get(f"/fhir/{location}").json()["subject"]["reference"]
        for location in made[1:]
    ]
    assert subjects == [patient, patient, "Patient/here"]


@pytest.mark.parametrize("kind", ["batch", "transaction", "rest"])
def test_conditional_references(service: Service, kind: str) -> None:
    value = f"cr-{kind}"
    known = {"resourceType": "Patient", "identifier": [{"system": "urn:ref", "value": value}]}
    id = service.post(known).json()["id"]

    def ask(reference: str) -> tuple[int, dict[str, Any]]:
        resource = observation(reference)
        if kind == "rest":
            response = service.post(resource)
            return response.status_code, response.json()
        response = send(service, bundle(post("Observation", resource), kind=kind))
        if response.status_code != 200:
            return response.status_code, response.json()
        (one,) = response.json()["entry"]
        if status(one) != 201:
            return status(one), one["response"]["outcome"]
        return 201, service.http.get(f"/fhir/{one['response']['location']}").json()

    place = "Observation.subject" if kind == "rest" else "Bundle.entry[0].resource.subject"
    code, stored = ask(f"Patient?identifier=urn:ref|{value}")
    assert (code, stored["subject"]) == (201, {"reference": f"Patient/{id}"})
    code, outcome = ask("Patient?identifier=urn:ref|nobody-has-it")
    assert (code, outcome["issue"][0]["expression"]) == (412, [place])
    service.post(known)
    code, outcome = ask(f"Patient?identifier=urn:ref|{value}")
    assert (code, outcome["issue"][0]["expression"]) == (412, [place])


def test_one_resource_twice_is_refused(service: Service) -> None:
    known = {"resourceType": "Patient", "identifier": [{"system": "urn:ref", "value": "twice"}]}
    id = service.post(known).json()["id"]
    before = service.http.get("/status").json()["t"]
    put = {"resource": {**known, "id": id}, "request": {"method": "PUT", "url": f"Patient/{id}"}}
    others = [
        {"request": {"method": "DELETE", "url": f"Patient/{id}"}},
        {"request": {"method": "DELETE", "url": "Patient?identifier=urn:ref|twice"}},
        patch(f"Patient/{id}", binary([])),
        {
            "resource": known,
            "request": {"method": "PUT", "url": "Patient?identifier=urn:ref|twice"},
        },
    ]
    for other in others:
        outcome = assert_outcome(send(service, bundle(put, other)), 400)
        assert outcome["issue"][0]["expression"][0].endswith(".request.url")
    assert service.http.get("/status").json()["t"] == before


def test_reads_of_every_kind(service: Service) -> None:
    id = service.patient()
    urls = {
        f"Patient/{id}": 200,
        f"Patient/{id}/_history/1": 200,
        f"Patient/{id}/_history": 200,
        "Patient/_history?_count=1": 200,
        "_history?_count=1": 200,
        "metadata": 200,
        f"Patient?_id={id}": 200,
        "Patient/never-was": 404,
        "Nothing/1": 404,
        "Patient?birthdate=x": 400,
        f"Patient/{id}/$nothing": 404,
    }
    asked = [{"request": {"method": "GET", "url": url}} for url in urls]
    found = entries(service, bundle(*asked, kind="batch"))
    assert [status(one) for one in found] == list(urls.values())
    assert found[0]["response"]["etag"] == 'W/"1"'
    assert found[0]["response"]["lastModified"].endswith("Z")
    assert found[3]["resource"]["type"] == "history"
    links = {link["relation"]: link["url"] for link in found[6]["resource"]["link"]}
    assert links["self"].startswith(f"{service.url}/fhir/Patient?")
    unchanged = {"request": {"method": "GET", "url": f"Patient/{id}", "ifNoneMatch": 'W/"1"'}}
    head = {"request": {"method": "HEAD", "url": f"Patient/{id}"}}
    absolute = {"request": {"method": "GET", "url": f"{service.url}/fhir/Patient/{id}"}}
    for kind in ("batch", "transaction"):
        found = entries(service, bundle(unchanged, head, absolute, kind=kind))
        assert [status(one) for one in found] == [304, 200, 200]
        assert ["resource" in one for one in found] == [False, False, True]


def test_operations_in_a_batch(service: Service) -> None:
    check = {
        "resource": {"resourceType": "Patient", "gender": "x"},
        "request": {"method": "POST", "url": "Patient/$validate"},
    }
    search = {"request": {"method": "POST", "url": "Patient/_search?_id=nobody"}}
    found = entries(service, bundle(check, search, kind="batch"))
    assert [status(one) for one in found] == [200, 200]
    assert found[0]["resource"]["resourceType"] == "OperationOutcome"
    assert found[1]["resource"]["total"] == 0
    assert_outcome(send(service, bundle(check)), 400, "Bundle.entry[0].request.url")


@pytest.mark.parametrize(
    ("request_", "place"),
    [
        ({"method": "POST", "url": "Patient/1"}, "request.url"),
        ({"method": "PUT", "url": "Patient"}, "request.url"),
        ({"method": "DELETE", "url": "Patient"}, "request.url"),
        ({"method": "DELETE", "url": "Patient/1/_history/1"}, "request.url"),
        ({"method": "DELETE", "url": "Patient/1?active=true"}, "request.url"),
        ({"method": "DELETE", "url": "http://elsewhere/Patient/1"}, "request.url"),
        ({"method": "DELETE", "url": "Patient/é"}, "request.url"),
        ({"method": "DELETE", "url": "Nothing/1"}, "request.url"),
        ({"method": "DELETE", "url": "Patient/1", "ifMatch": "x"}, "request.ifMatch"),
        ({"method": "PUT", "url": "Patient/1"}, "resource"),
        ({"method": "POST", "url": "Patient", "ifMatch": 'W/"1"'}, "request.ifMatch"),
        ({"method": "DELETE", "url": "Patient/1", "ifNoneExist": "a=b"}, "request.ifNoneExist"),
    ],
)
def test_bad_requests_name_their_place(
    service: Service, request_: dict[str, Any], place: str
) -> None:
    assert_outcome(send(service, bundle({"request": request_})), 400, f"Bundle.entry[0].{place}")
    (one,) = entries(service, bundle({"request": request_}, kind="batch"))
    assert status(one) == 400
    assert one["response"]["outcome"]["issue"][0]["expression"] == [f"Bundle.entry[0].{place}"]


def test_every_invalid_entry_is_told(service: Service) -> None:
    bad = {"resourceType": "Patient", "gender": "x"}
    outcome = assert_outcome(
        send(service, bundle(post("Patient", bad), post("Patient", bad))),
        422,
        "Bundle.entry[1].resource.gender",
    )
    errors = [issue for issue in outcome["issue"] if issue["severity"] == "error"]
    assert [issue["expression"] for issue in errors] == [
        [f"Bundle.entry[{index}].resource.gender"] for index in (0, 1)
    ]


@pytest.mark.slow
def test_policies(start_service: Any) -> None:
    """Settings: no ids of clients' own, deletes of several, and few entries."""
    strict = start_service(
        "strict",
        CHARTLAKE_UPDATE_CREATE="false",
        CHARTLAKE_CONDITIONAL_DELETE="multiple",
        CHARTLAKE_MAX_BUNDLE_ENTRIES="3",
        CHARTLAKE_NLP="false",
    )
    own = {"resourceType": "Patient", "id": "own"}
    assert_outcome(strict.http.put("/fhir/Patient/own", json=own, headers=FHIR), 405)
    url = "/fhir/Patient?identifier=urn:p|1"
    assert_outcome(strict.http.put(url, json=own, headers=FHIR), 405)
    tagged = {"resourceType": "Patient", "identifier": [{"system": "urn:p", "value": "1"}]}
    assert strict.http.put(url, json=tagged, headers=FHIR).status_code == 201
    ids = [strict.post(tagged).json()["id"] for _ in range(2)]
    again = {**tagged, "id": ids[0]}
    assert strict.http.put(f"/fhir/Patient/{ids[0]}", json=again, headers=FHIR).status_code == 200
    response = strict.http.delete(url)
    assert response.status_code == 200
    assert "3 resources" in response.json()["issue"][0]["diagnostics"]
    assert strict.found("Patient") == []
    entry = {"request": {"method": "GET", "url": "Patient"}}
    for kind in ("batch", "transaction"):
        assert entries(strict, bundle(entry, entry, entry, kind=kind))
        body = bundle(*[entry] * 4, kind=kind)
        assert_outcome(send(strict, body), 413, "Bundle.entry")
    resource = strict.http.get("/fhir/metadata").json()["rest"][0]["resource"][0]
    assert resource["updateCreate"] is False
    assert resource["conditionalDelete"] == "multiple"


def test_links_of_the_statement(service: Service) -> None:
    statement: dict[str, Any] = service.http.get("/fhir/metadata").json()
    assert statement["patchFormat"] == [
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/fhir+json",
    ]
    resource = statement["rest"][0]["resource"][0]
    assert {"code": "patch"} in resource["interaction"]
    claims = ("conditionalCreate", "conditionalUpdate", "updateCreate")
    assert [resource[name] for name in claims] == [True] * 3
    assert resource["conditionalDelete"] == "single"


def test_media_types_of_patches(service: Service) -> None:
    id = service.patient()
    url = f"/fhir/Patient/{id}"

    def ask(body: Any, kind: str) -> httpx.Response:
        return service.http.patch(url, content=json.dumps(body), headers={"Content-Type": kind})

    operations = [{"op": "add", "path": "/active", "value": True}]
    for kind in ("application/json-patch+json; charset=UTF-8", "application/json"):
        assert ask(operations, kind).status_code == 200
    for kind in ("application/merge-patch+json", "application/json", "application/fhir+json"):
        assert ask({"active": None, "gender": "other"}, kind).status_code == 200
    assert "active" not in service.http.get(url).json()
    for kind in ("application/xml-patch+xml", "text/plain", ""):
        outcome = assert_outcome(ask(operations, kind), 415)
        assert "application/json-patch+json" in outcome["issue"][0]["diagnostics"]
    assert_outcome(ask({"gender": "x"}, "application/merge-patch+json"), 422, "Patient.gender")
    assert_outcome(ask({"id": "y"}, "application/merge-patch+json"), 422, "Patient.id")
    assert_outcome(ask({"id": None}, "application/merge-patch+json"), 422, "Patient.id")
    assert_outcome(ask("x", "application/merge-patch+json"), 400, "patch")


def test_fhirpath_patch_by_rest_and_in_bundles(service: Service) -> None:
    id = service.patient()
    url = f"/fhir/Patient/{id}"

    def parameters(kind: str, path: str, **parts: dict[str, Any]) -> dict[str, Any]:
        named = [{"name": name, **value} for name, value in parts.items()]
        simple = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
        operation = {"name": "operation", "part": [*simple, *named]}
        return {"resourceType": "Parameters", "parameter": [operation]}

    add = parameters(
        "add", "Patient", name={"valueString": "birthDate"}, value={"valueDate": "1970-01-01"}
    )
    response = service.http.patch(url, json=add, headers=FHIR)
    assert response.status_code == 200, response.text
    assert response.headers["etag"] == 'W/"2"'
    assert response.json()["birthDate"] == "1970-01-01"
    stale = service.http.patch(url, json=add, headers={**FHIR, "If-Match": 'W/"1"'})
    assert_outcome(stale, 412, "If-Match")
    assert_outcome(service.http.patch(url, json=add, headers=FHIR), 422, "Parameters.parameter[0]")
    invalid = parameters("replace", "Patient.gender", value={"valueCode": "x"})
    assert_outcome(service.http.patch(url, json=invalid, headers=FHIR), 422, "Patient.gender")
    for path in ("Patient.id", "Patient.meta"):
        done = service.http.patch(url, json=parameters("delete", path), headers=FHIR)
        assert done.status_code == (422 if path == "Patient.id" else 200)
    xml = (
        '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>'
        '<part><name value="type"/><valueCode value="replace"/></part>'
        '<part><name value="path"/><valueString value="Patient.gender"/></part>'
        '<part><name value="value"/><valueCode value="other"/></part></parameter></Parameters>'
    )
    kind = {"Content-Type": "application/fhir+xml"}
    assert service.http.patch(url, content=xml, headers=kind).status_code == 200
    whole = '<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>'
    assert_outcome(service.http.patch(url, content=whole, headers=kind), 415)
    delete = parameters("delete", "Patient.birthDate")
    refer = parameters(
        "add",
        "Patient",
        name={"valueString": "managingOrganization"},
        value={"valueReference": {"reference": f"{URN}8"}},
    )
    for kind_, resource in (("batch", delete), ("transaction", refer)):
        other = post("Organization", {"resourceType": "Organization", "name": "O"}, f"{URN}8")
        done = entries(service, bundle(patch(f"Patient/{id}", resource), other, kind=kind_))
        assert [status(one) for one in done] == [200, 201]
    found = service.http.get(url).json()
    assert (found["gender"], "birthDate" in found) == ("other", False)
    organization = done[1]["response"]["location"].split("/_history")[0]
    assert found["managingOrganization"] == {"reference": organization}


def test_thousands_of_entries_in_one_transaction(service: Service) -> None:
    before = service.http.get("/status").json()["t"]
    patient = post("Patient", {"resourceType": "Patient"}, f"{URN}1")
    many = [post("Observation", observation(f"{URN}1")) for _ in range(3000)]
    made = entries(service, bundle(*many, patient))
    assert {one["response"]["status"] for one in made} == {"201 Created"}
    assert service.http.get("/status").json()["t"] == before + 1
    id = made[-1]["response"]["location"].split("/")[1]
    found = service.http.get(f"/fhir/Observation?patient={id}&_count=1").json()
    assert found["total"] == 3000
