"""Search over HTTP: simple parameters, paging, read-your-writes (R4 search.html)."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Service


@pytest.fixture(scope="module")
def patient(service: Service) -> str:
    """A patient with five HbA1c values, one a month, and one glucose."""
    id = service.patient(name=[{"family": "Searched"}])
    for month in range(1, 6):
        service.post(lab(id, "4548-4", f"2024-0{month}-15T09:30:00+01:00"))
    service.post(lab(id, "2345-7", "2024-03"))
    return id


def lab(patient: str, code: str, date: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": date,
    }


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({}, 6),
        ({"code": "4548-4"}, 5),
        ({"code": "http://loinc.org|4548-4"}, 5),
        ({"code": "http://snomed.info/sct|4548-4"}, 0),
        ({"code": "4548-4,2345-7"}, 6),
        ({"date": "2024-03"}, 2),
        ({"date": "2024-03-15"}, 1),
        ({"date": "ge2024-04-01"}, 2),
        ({"date": "lt2024-02-01"}, 1),
        ({"date": "2024"}, 6),
        ({"date": "2023"}, 0),
        ({"_lastUpdated": "gt2020-01-01"}, 6),
        ({"_lastUpdated": "lt2020-01-01"}, 0),
        ({"status": "final"}, 6),
        ({"status": "amended"}, 0),
    ],
)
def test_parameters(service: Service, patient: str, params: dict[str, str], count: int) -> None:
    for subject in ("patient", "subject"):
        for value in (patient, f"Patient/{patient}"):
            assert len(service.found("Observation", **{subject: value}, **params)) == count


def test_repeated_parameters_narrow(service: Service, patient: str) -> None:
    url = f"/fhir/Observation?patient={patient}&date=ge2024-02-01&date=lt2024-04-01"
    assert service.http.get(url).json()["total"] == 3


def test_post_search_gives_the_same(service: Service, patient: str) -> None:
    form = {"patient": patient, "code": "4548-4"}
    posted = service.http.post("/fhir/Observation/_search", data=form).json()
    got = service.http.get("/fhir/Observation", params=form).json()
    assert posted["total"] == got["total"] == 5
    assert posted["entry"] == got["entry"]


def test_pages_cover_all_once_while_others_write(service: Service, patient: str) -> None:
    url = f"{service.url}/fhir/Observation?patient={patient}&_count=2"
    seen: list[str] = []
    added = False
    while url:
        page = service.http.get(url).json()
        assert page["total"] == 6
        seen += [entry["resource"]["id"] for entry in page["entry"]]
        if not added:
            extra = service.post(lab(patient, "718-7", "2024-06-01")).json()["id"]
            added = True
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    assert len(seen) == len(set(seen)) == 6
    assert extra not in seen
    service.http.delete(f"/fhir/Observation/{extra}")


def test_count_zero_counts(service: Service, patient: str) -> None:
    page = service.http.get(f"/fhir/Observation?patient={patient}&_count=0").json()
    assert page["total"] == 6
    assert "entry" not in page


def test_what_was_acknowledged_is_found_at_once(service: Service) -> None:
    for number in range(20):
        value = f"ryw-{number}"
        service.patient(identifier=[{"system": "urn:ryw", "value": value}])
        assert len(service.found("Patient", identifier=f"urn:ryw|{value}")) == 1


def test_strings_ignore_case_and_accents(service: Service) -> None:
    id = service.patient(name=[{"family": "Ångström-Núñez"}])
    for text in ("angstrom", "ÅNGSTRÖM", "Ångström-nunez"):
        assert id in [p["id"] for p in service.found("Patient", family=text)]
    assert id not in [p["id"] for p in service.found("Patient", **{"family:exact": "angstrom"})]
