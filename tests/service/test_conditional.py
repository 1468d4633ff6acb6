"""Conditional create, update, patch and delete, and what headers ask (R4 http.html#cond-update).

The same rules over REST, in a batch and in a transaction: each case runs through all three.
"""

from __future__ import annotations

import base64
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest

from .conftest import FHIR, Service, assert_outcome

_NUMBERS = itertools.count(1)
SYSTEM = "urn:conditional"


def identified(value: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "identifier": [{"system": SYSTEM, "value": value}],
        **more,
    }


def fresh() -> str:
    return f"c-{next(_NUMBERS)}"


class Way:
    """One way to ask for a change; the answer as (status, id of the resource, issues' places)."""

    def __init__(self, service: Service, kind: str) -> None:
        self.service = service
        self.kind = kind

    def ask(
        self, method: str, url: str, resource: Any = None, **headers: str
    ) -> tuple[int, str, list[str]]:
        if self.kind == "rest":
            return self._rest(method, url, resource, headers)
        names = {"If-None-Exist": "ifNoneExist", "If-Match": "ifMatch"}
        names["If-None-Match"] = "ifNoneMatch"
        request = {"method": method, "url": url}
        request |= {names[k.replace("_", "-")]: v for k, v in headers.items()}
        entry: dict[str, Any] = {"request": request}
        if method == "PATCH":
            data = json.dumps(resource).encode()
            entry["resource"] = {
                "resourceType": "Binary",
                "contentType": "application/json-patch+json",
                "data": base64.b64encode(data).decode(),
            }
        elif resource is not None:
            entry["resource"] = resource
        body = {"resourceType": "Bundle", "type": self.kind, "entry": [entry]}
        response = self.service.http.post("/fhir", json=body, headers=FHIR)
        if self.kind == "transaction" and response.status_code != 200:
            return response.status_code, "", _places(response.json())
        answer = response.json()["entry"][0]["response"]
        status = int(answer["status"].split()[0])
        if status >= 400:
            return status, "", _places(answer["outcome"])
        return status, answer.get("location", "//").split("/")[1], []

    def _rest(
        self, method: str, url: str, resource: Any, headers: dict[str, str]
    ) -> tuple[int, str, list[str]]:
        kind = "application/json-patch+json" if method == "PATCH" else FHIR["Content-Type"]
        given = {k.replace("_", "-"): v for k, v in headers.items()}
        response = self.service.http.request(
            method,
            f"/fhir/{url}",
            content=None if resource is None else json.dumps(resource).encode(),
            headers={"Content-Type": kind, **given},
        )
        if response.status_code >= 400:
            return response.status_code, "", _places(assert_outcome(response, response.status_code))
        location = response.headers.get("location", "/////").split("/")
        return response.status_code, location[-3], []


def _places(outcome: dict[str, Any]) -> list[str]:
    return [place for issue in outcome["issue"] for place in issue.get("expression", [])]


@pytest.fixture(params=["rest", "batch", "transaction"])
def way(service: Service, request: pytest.FixtureRequest) -> Way:
    return Way(service, request.param)


def stored(service: Service, *values: str, **more: Any) -> list[str]:
    return [service.post(identified(value, **more)).json()["id"] for value in values]


def test_conditional_create(service: Service, way: Way) -> None:
    value = fresh()
    condition = f"identifier={SYSTEM}|{value}"
    status, id, _ = way.ask("POST", "Patient", identified(value), If_None_Exist=condition)
    assert status == 201
    assert way.ask("POST", "Patient", identified(value), If_None_Exist=condition)[:2] == (200, id)
    # As fhirpy sends it: the condition in the address.
    assert way.ask("POST", f"Patient?{condition}", identified(value))[:2] == (200, id)
    stored(service, value)
    status, _, places = way.ask("POST", "Patient", identified(value), If_None_Exist=condition)
    assert status == 412
    assert places == ["If-None-Exist"] or places[0].endswith(".request.ifNoneExist")
    both = {"If_None_Exist": "identifier=x"}
    assert way.ask("POST", f"Patient?{condition}", identified(value), **both)[0] == 400


def test_conditional_update_without_a_match_creates(service: Service, way: Way) -> None:
    value, own = fresh(), fresh()
    url = f"Patient?identifier={SYSTEM}|{value}"
    status, id, _ = way.ask("PUT", url, identified(value))
    assert status == 201
    assert service.http.get(f"/fhir/Patient/{id}").status_code == 200
    other = fresh()
    url = f"Patient?identifier={SYSTEM}|{other}"
    assert way.ask("PUT", url, identified(other, id=own))[:2] == (201, own)
    # The id is taken by what the condition does not match: nothing is overwritten.
    third = fresh()
    url = f"Patient?identifier={SYSTEM}|{third}"
    assert way.ask("PUT", url, identified(third, id=own))[0] == 409
    assert service.http.get(f"/fhir/Patient/{own}").json()["meta"]["versionId"] == "1"


def test_conditional_update_of_one_match(service: Service, way: Way) -> None:
    value = fresh()
    (id,) = stored(service, value)
    url = f"Patient?identifier={SYSTEM}|{value}"
    assert way.ask("PUT", url, identified(value, active=True))[:2] == (200, id)
    assert way.ask("PUT", url, identified(value, id=id, active=False))[:2] == (200, id)
    status, _, places = way.ask("PUT", url, identified(value, id="another"))
    assert status == 400
    assert places[0].endswith(("Patient.id", "resource.id"))
    assert way.ask("PUT", url, identified(value), If_Match='W/"1"')[0] == 412
    assert way.ask("PUT", url, identified(value), If_Match='W/"3"')[0] == 200
    assert way.ask("PUT", url, identified(value), If_None_Match="*")[0] == 412


def test_conditional_changes_of_several_matches(service: Service, way: Way) -> None:
    value = fresh()
    stored(service, value, value)
    url = f"Patient?identifier={SYSTEM}|{value}"
    patch = [{"op": "add", "path": "/active", "value": True}]
    assert way.ask("PUT", url, identified(value))[0] == 412
    assert way.ask("PATCH", url, patch)[0] == 412
    assert way.ask("DELETE", url)[0] == 412
    assert len(service.found("Patient", identifier=f"{SYSTEM}|{value}")) == 2


def test_conditional_patch_and_delete(service: Service, way: Way) -> None:
    value = fresh()
    url = f"Patient?identifier={SYSTEM}|{value}"
    patch = [{"op": "add", "path": "/active", "value": True}]
    assert way.ask("PATCH", url, patch)[0] == 404
    assert way.ask("DELETE", url)[0] == 204
    (id,) = stored(service, value)
    assert way.ask("PATCH", url, patch)[:2] == (200, id)
    assert way.ask("PATCH", url, patch, If_Match='W/"1"')[0] == 412
    assert way.ask("PATCH", url, patch, If_Match='W/"2"')[0] == 200
    assert service.http.get(f"/fhir/Patient/{id}").json()["active"] is True
    assert way.ask("DELETE", url, If_Match='W/"1"')[0] == 412
    assert way.ask("DELETE", url)[0] == 204
    assert_outcome(service.http.get(f"/fhir/Patient/{id}"), 410)
    assert way.ask("DELETE", f"Patient/{id}")[0] == 204
    assert way.ask("PATCH", f"Patient/{id}", patch)[0] == 410


@pytest.mark.parametrize(
    "query",
    [
        "identifier=",
        "nonsense=1",
        "_count=1&identifier=a",
        "identifier=a&_sort=_id",
        "identifier=a&at=3",
        "birthdate=tomorrow",
        "_pretty=true",
        "",
    ],
)
def test_what_is_no_condition_is_refused(way: Way, query: str) -> None:
    for method, resource in (("PUT", identified("x")), ("DELETE", None)):
        status, _, places = way.ask(method, f"Patient?{query}", resource)
        assert status == 400
        assert places


def test_if_none_match_creates_only(service: Service, way: Way) -> None:
    id = fresh()
    body = {"resourceType": "Patient", "id": id}
    assert way.ask("PUT", f"Patient/{id}", body, If_None_Match="*")[:2] == (201, id)
    status, _, places = way.ask("PUT", f"Patient/{id}", body, If_None_Match="*")
    assert status == 412
    assert service.http.get(f"/fhir/Patient/{id}").json()["meta"]["versionId"] == "1"
    assert way.ask("PUT", f"Patient/{id}", body, If_None_Match='W/"1"')[0] == 400
    assert places


def test_if_match_any_version(service: Service, way: Way) -> None:
    id = fresh()
    body = {"resourceType": "Patient", "id": id}
    assert way.ask("PUT", f"Patient/{id}", body, If_Match="*")[0] == 412
    service.http.put(f"/fhir/Patient/{id}", json=body, headers=FHIR)
    assert way.ask("PUT", f"Patient/{id}", body, If_Match="*")[0] == 200
    assert way.ask("DELETE", f"Patient/{id}", If_Match='W/"7"')[0] == 412
    assert way.ask("DELETE", f"Patient/{id}", If_Match='"2"')[0] == 204
    assert way.ask("DELETE", "Patient/never-was", If_Match='W/"1"')[0] == 412
    assert way.ask("DELETE", f"Patient/{id}", If_Match="new")[0] == 400


def test_parameters_beside_an_id_are_refused(service: Service) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        response = service.http.request(
            method, "/fhir/Patient/x?active=true", content=b"{}", headers=FHIR
        )
        assert_outcome(response, 400, "active")


def test_prefer_on_deletes_and_strictness(service: Service) -> None:
    id = service.patient()
    wanted = {"Prefer": "return=OperationOutcome"}
    response = service.http.delete(f"/fhir/Patient/{id}", headers=wanted)
    assert response.status_code == 200
    assert response.json()["resourceType"] == "OperationOutcome"
    assert response.headers["etag"] == 'W/"2"'
    response = service.http.delete("/fhir/Patient/never-was", headers=wanted)
    assert "nothing" in response.json()["issue"][0]["diagnostics"]
    odd = service.post({"resourceType": "Patient"}, Prefer="return=presentation")
    assert odd.status_code == 201
    strict = "handling=strict; return=presentation"
    assert_outcome(service.post({"resourceType": "Patient"}, Prefer=strict), 400, "Prefer")


# Races: what is decided by a search or a version is still so when it is stored.


def race(service: Service, count: int, ask: Any) -> list[httpx.Response]:
    """What `count` threads get that ask at the same moment, each over its own connection."""
    barrier = Barrier(count)

    def one(number: int) -> httpx.Response:
        with httpx.Client(base_url=service.url, timeout=60) as http:
            http.get("/healthz")
            barrier.wait()
            return ask(http, number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.parametrize("kind", ["create", "address", "update", "batch", "transaction"])
def test_32_threads_on_one_condition_make_one(service: Service, kind: str) -> None:
    value = fresh()
    condition = f"identifier={SYSTEM}|{value}"

    def ask(http: httpx.Client, number: int) -> httpx.Response:
        body = identified(value, multipleBirthInteger=number)
        if kind == "create":
            return http.post("/fhir/Patient", json=body, headers={"If-None-Exist": condition})
        if kind == "address":
            return http.post(f"/fhir/Patient?{condition}", json=body)
        if kind == "update":
            return http.put(f"/fhir/Patient?{condition}", json=body)
        request = {"method": "POST", "url": "Patient", "ifNoneExist": condition}
        entry = {"resource": body, "request": request}
        return http.post("/fhir", json={"resourceType": "Bundle", "type": kind, "entry": [entry]})

    answers = race(service, 32, ask)
    assert {answer.status_code for answer in answers} <= {200, 201}, [a.text for a in answers]
    found = service.found("Patient", identifier=f"{SYSTEM}|{value}")
    assert len(found) == 1
    versions = service.http.get(f"/fhir/Patient/{found[0]['id']}/_history").json()["total"]
    assert versions == (32 if kind == "update" else 1)


def test_conditions_in_other_words_race_as_well(service: Service) -> None:
    """Two conditions that are met by the same resource must not both create it."""
    value = fresh()
    words = [f"identifier={SYSTEM}|{value}", f"identifier={value}", f"family={value}"]
    body = identified(value, name=[{"family": value}])

    def ask(http: httpx.Client, number: int) -> httpx.Response:
        condition = {"If-None-Exist": words[number % len(words)]}
        return http.post("/fhir/Patient", json=body, headers=condition)

    answers = race(service, 18, ask)
    assert sorted(answer.status_code for answer in answers) == [200] * 17 + [201]


def test_no_patch_is_lost(service: Service) -> None:
    id = service.patient()
    url = f"/fhir/Patient/{id}"

    def ask(http: httpx.Client, number: int) -> httpx.Response:
        patch = [{"op": "add", "path": "/identifier/-", "value": {"value": f"n{number}"}}]
        kind = {"Content-Type": "application/json-patch+json"}
        return http.patch(url, content=json.dumps(patch), headers=kind)

    body = {"resourceType": "Patient", "id": id, "identifier": [{"value": "first"}]}
    service.http.put(url, json=body, headers=FHIR)
    answers = race(service, 24, ask)
    assert {answer.status_code for answer in answers} == {200}
    found = service.http.get(url).json()
    assert {one["value"] for one in found["identifier"]} == {"first", *(f"n{i}" for i in range(24))}
    assert found["meta"]["versionId"] == "26"


def test_one_of_many_with_if_match_wins(service: Service) -> None:
    id = service.patient()

    def ask(http: httpx.Client, number: int) -> httpx.Response:
        patch = {"multipleBirthInteger": number}
        headers = {"Content-Type": "application/merge-patch+json", "If-Match": 'W/"1"'}
        return http.patch(f"/fhir/Patient/{id}", content=json.dumps(patch), headers=headers)

    answers = race(service, 12, ask)
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 11
