"""`Patient/$member-match` (Da Vinci HRex 1.0.0)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.member_matching import coverages_agree, demographics_agree
from service.settings import load_settings
from storage.lake import Lake, Put

UMB = {"system": "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp", "code": "UMB"}


def patient(id: str, family: str, given: str, birth: str, **more: Any) -> dict[str, Any]:
    name = {"family": family, "given": [given]}
    return {"resourceType": "Patient", "id": id, "name": [name], "birthDate": birth, **more}


def coverage(id: str, member: str, number: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Coverage",
        "id": id,
        "status": "active",
        "identifier": [{"system": "http://payer.org", "value": number}],
        "beneficiary": {"reference": f"Patient/{member}"},
        "payor": [{"display": "Payer"}],
        **more,
    }


TYPED = [{"type": {"coding": [{"code": "UMB"}]}, "system": "http://payer.org/umb", "value": "U1"}]
NUMBERED = [{"type": {"coding": [{"code": "MB"}]}, "system": "http://payer.org/mb", "value": "M2"}]
RESOURCES = [
    patient("ann", "O’Brien-Müller", "Ann", "1980-02-03", gender="female", identifier=TYPED),
    coverage("of-ann", "ann", "111", subscriberId="S1"),
    patient("bea", "Smith", "Bea", "1990-01-01", identifier=NUMBERED),
    coverage("of-bea", "bea", "222"),
    patient("cleo", "Smith", "Cleo", "1990-01-01"),
    coverage("of-cleo", "cleo", "333"),
    patient("twin-1", "Jones", "Dan", "1970-01-01"),
    coverage("of-twin-1", "twin-1", "444"),
    patient("twin-2", "Jones", "Dan", "1970-01-01"),
    coverage("of-twin-2", "twin-2", "444"),
    coverage("wrong", "cleo", "555", status="entered-in-error"),
    patient(
        "merged", "Old", "Eve", "1960-01-01",
        link=[{"other": {"reference": "Patient/ann"}, "type": "replaced-by"}],
    ),
    coverage("of-merged", "merged", "666"),
]  # fmt: skip


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with Lake.open(tmp_path_factory.mktemp("match") / "lake") as lake:
        lake.transact([Put(resource) for resource in RESOURCES])
        app = create_app(lake, load_settings({"nlp": False}, environ={}))
        yield TestClient(app, base_url="http://localhost")


def post(http: TestClient, member: Any, matched: Any, **more: Any) -> Any:
    given = {"MemberPatient": member, "CoverageToMatch": matched, **more}
    parts = [{"name": name, "resource": resource} for name, resource in given.items() if resource]
    body = {"resourceType": "Parameters", "parameter": parts}
    return http.post("/fhir/Patient/$member-match", json=body)


def without_id(resource: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in resource.items() if key != "id"}


def member(family: str, given: str, birth: str, **more: Any) -> dict[str, Any]:
    return without_id(patient("", family, given, birth, **more))


def asked(number: str, **more: Any) -> dict[str, Any]:
    return without_id(coverage("", "1", number, **more))


def identifier(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    (parameter,) = response.json()["parameter"]
    assert parameter["name"] == "MemberIdentifier"
    found: dict[str, Any] = parameter["valueIdentifier"]
    assert "UMB" in [coding["code"] for coding in found["type"]["coding"]]
    return found


def test_one_member_matches(http: TestClient) -> None:
    response = post(
        http,
        member("O’Brien-Müller", "Ann", "1980-02-03", gender="female"),
        asked("111"),
        CoverageToLink=asked("new"),
    )
    assert identifier(response) == TYPED[0]
    found = identifier(post(http, member("Smith", "Bea", "1990-01-01"), asked("222")))
    assert (found["system"], found["value"]) == ("http://payer.org/mb", "M2")
    found = identifier(post(http, member("Smith", "Cleo", "1990-01-01"), asked("333")))
    assert (found["system"], found["value"]) == ("http://localhost/fhir/Patient", "cleo")
    assert found["type"]["coding"] == [UMB]


def test_by_subscriber(http: TestClient) -> None:
    other = {"subscriberId": "S1", "identifier": [{"value": "none"}]}
    matched = {**asked("x"), **other}
    assert identifier(post(http, member("O’Brien-Müller", "Ann", "1980-02-03"), matched))


@pytest.mark.parametrize(
    ("someone", "matched"),
    [
        (member("Smith", "Bea", "1990-01-01"), asked("333")),
        (member("Smith", "Bea", "1990-01-02"), asked("222")),
        (member("Smit", "Bea", "1990-01-01"), asked("222")),
        (member("Smith", "Zoe", "1990-01-01"), asked("222")),
        (member("O’Brien-Müller", "Ann", "1980-02-03", gender="male"), asked("111")),
        (member("Smith", "Cleo", "1990-01-01"), asked("555")),
        (member("Old", "Eve", "1960-01-01"), asked("666")),
        (member("Jones", "Dan", "1970-01-01"), asked("444")),  # Two of them.
        (member("Smith", "Bea", "1990"), asked("222")),
        (member("Smith", "Bea", "1990-01-01"), {**asked("222"), "identifier": []}),
        ({"resourceType": "Patient", "birthDate": "1990-01-01"}, asked("222")),
    ],
)
def test_none_or_several(
    http: TestClient, someone: dict[str, Any], matched: dict[str, Any]
) -> None:
    if matched.get("identifier") == []:
        matched = {key: value for key, value in matched.items() if key != "identifier"}
    response = post(http, someone, matched)
    assert response.status_code == 422
    for value in ("Smith", "1990-01-01", "Bea", "222"):
        assert value not in response.text


def test_consent(http: TestClient) -> None:
    consent = {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"text": "privacy"},
        "category": [{"text": "disclosure"}],
        "policy": [{"uri": "http://hl7.org/fhir/us/davinci-hrex/consent#regular"}],
        "provision": {"type": "permit", "period": {"start": "2020-01-01", "end": "9000-01-01"}},
    }
    someone, matched = member("Smith", "Bea", "1990-01-01"), asked("222")
    assert identifier(post(http, someone, matched, Consent=consent))
    for change in (
        {"status": "rejected"},
        {"provision": {"type": "deny"}},
        {"provision": {"period": {"end": "2021-01-01"}}},
        {"provision": {"period": {"start": "8000-01-01"}}},
    ):
        response = post(http, someone, matched, Consent={**copy.deepcopy(consent), **change})
        assert response.status_code == 422
        assert response.json()["issue"][0]["expression"][0].startswith("Consent.")


def test_what_is_refused(http: TestClient) -> None:
    someone, matched = member("Smith", "Bea", "1990-01-01"), asked("222")
    assert post(http, None, matched).status_code == 400
    assert post(http, someone, None).status_code == 400
    assert post(http, someone, matched, Other=someone).status_code == 400
    response = post(http, {**someone, "gender": "x"}, matched)
    assert response.status_code == 422
    assert response.json()["issue"][0]["expression"] == ["MemberPatient.gender"]
    assert post(http, matched, someone).status_code == 422
    assert http.get("/fhir/Patient/$member-match").status_code in (400, 404, 405)


def test_spelling() -> None:
    one = patient("1", "O’Brien Müller", "Ann-Marie", "1980-01-01")
    other = patient("2", "O'BRIEN-MULLER", "ann marie", "1980-01-01", gender="unknown")
    assert demographics_agree(one, other)
    assert demographics_agree({**one, "gender": "female"}, other)
    other["name"][0]["use"] = "anonymous"
    assert not demographics_agree(one, other)
    numbers = [{"value": "1"}], [{"system": "urn:x", "value": "1"}]
    assert coverages_agree({"identifier": numbers[0]}, {"identifier": numbers[1]})
    assert not coverages_agree(
        {"identifier": [{"system": "urn:y", "value": "1"}]}, {"identifier": numbers[1]}
    )
