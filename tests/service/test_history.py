"""History over HTTP at all three levels (R4 http.html#history)."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.parse import parse_json
from schemas.validate import validate
from service.client import Chartlake

from .conftest import Service, assert_outcome


@pytest.fixture(scope="module")
def ids(service: Service) -> dict[str, str]:
    """A patient of three versions (the last a deletion) and a device."""
    patient = service.patient(gender="other")
    service.http.put(f"/fhir/Patient/{patient}", json={"resourceType": "Patient", "id": patient})
    service.http.delete(f"/fhir/Patient/{patient}")
    device = service.post({"resourceType": "Device"}).json()["id"]
    return {"patient": patient, "device": device}


def history(service: Service, path: str, **params: Any) -> dict[str, Any]:
    response = service.http.get(f"/fhir/{path}", params=params)
    assert response.status_code == 200, response.text
    bundle: dict[str, Any] = response.json()
    assert bundle["type"] == "history"
    # Decimals as they were sent: the service is shared, and other tests store Observations.
    assert validate(parse_json(response.content), "Bundle") == []
    assert response.headers["chartlake-commit"].isdigit()
    return bundle


def test_entries_say_what_was_done(service: Service, ids: dict[str, str]) -> None:
    for path in ("_history", "Patient/_history", f"Patient/{ids['patient']}/_history"):
        found = [
            entry
            for entry in history(service, path, _count=20)["entry"]
            if entry["fullUrl"].endswith(ids["patient"])
        ]
        assert [e["request"]["method"] for e in found] == ["DELETE", "PUT", "POST"], path
        assert [e["response"]["etag"] for e in found] == ['W/"3"', 'W/"2"', 'W/"1"']
        assert [e["response"]["status"] for e in found] == ["204", "200", "201"]
        assert [e["request"]["url"] for e in found][1:] == [f"Patient/{ids['patient']}", "Patient"]
        assert "resource" not in found[0]
        assert found[1]["resource"]["meta"]["lastUpdated"] == found[1]["response"]["lastModified"]


def test_a_type_and_a_list_of_types(service: Service, ids: dict[str, str]) -> None:
    devices = history(service, "Device/_history")
    assert {e["fullUrl"].split("/")[-2] for e in devices["entry"]} == {"Device"}
    both = history(service, "_history", _type="Device,Patient", _count=0)["total"]
    patients = history(service, "Patient/_history", _count=0)
    assert both == devices["total"] + patients["total"]
    assert "entry" not in patients


def test_pages_keep_to_their_question_and_moment(service: Service, ids: dict[str, str]) -> None:
    since = service.http.get(f"/fhir/Patient/{ids['patient']}/_history/1").json()["meta"]
    params = {"_since": since["lastUpdated"], "_type": "Patient,Device", "_count": 2}
    page = history(service, "_history", **params)
    total, seen = page["total"], list(page["entry"])
    service.patient()
    while links := [link["url"] for link in page["link"] if link["relation"] == "next"]:
        page = service.http.get(links[0]).json()
        assert page["total"] == total
        seen += page["entry"]
    assert len(seen) == total >= 4
    assert {entry["fullUrl"].split("/")[-2] for entry in seen} == {"Patient", "Device"}


def test_what_was_current_during_a_time(service: Service, ids: dict[str, str]) -> None:
    path = f"Patient/{ids['patient']}/_history"
    second = service.http.get(f"/fhir/Patient/{ids['patient']}/_history/2").json()["meta"]
    found = history(service, path, _at=second["lastUpdated"])
    assert '"2"' in str([entry["response"]["etag"] for entry in found["entry"]])
    assert history(service, path, _at="1999")["total"] == 0
    assert history(service, path, _at=second["lastUpdated"][:4])["total"] == 3


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({"_since": "yesterday"}, "_since"),
        ({"_at": "2024-13"}, "_at"),
        ({"_count": "-1"}, "_count"),
        ({"_cursor": "AAAA"}, "_cursor"),
        ({"_type": "Nothing"}, "_type"),
        ({"at": "2024-05-01"}, "at"),
        ({"at": "999999999"}, "at"),
        ({"_sort": "_lastUpdated"}, "_sort"),
        ({"_count": ["1", "2"]}, "_count"),
    ],
)
def test_bad_parameters_are_named(service: Service, params: dict[str, Any], place: str) -> None:
    assert_outcome(service.http.get("/fhir/_history", params=params), 400, place)


def test_a_type_has_no_types(service: Service) -> None:
    response = service.http.get("/fhir/Patient/_history", params={"_type": "Device"})
    assert_outcome(response, 400, "_type")
    assert_outcome(service.http.get("/fhir/Nothing/_history"), 404)


def test_the_client_follows_pages(service: Service, ids: dict[str, str]) -> None:
    with Chartlake(service.url) as client:
        entries = list(client.history("Patient", ids["patient"], _count=1))
        assert [entry["response"]["etag"] for entry in entries] == ['W/"3"', 'W/"2"', 'W/"1"']
        first = next(client.history(_type="Device"))
        assert first["resource"]["resourceType"] == "Device"
