"""Every claim of the CapabilityStatement is tried against the service that makes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import load_settings
from storage.lake import Lake

FHIR = {"Content-Type": "application/fhir+json"}
PATIENT = {"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:s", "value": "1"}]}


class Claimed:
    """A service and its statement."""

    def __init__(self, http: TestClient) -> None:
        self.http = http
        assert self.put("Patient/p", PATIENT).status_code == 201
        self.statement: dict[str, Any] = http.get("/fhir/metadata").json()
        self.rest: dict[str, Any] = self.statement["rest"][0]
        self.resources = {one["type"]: one for one in self.rest["resource"]}

    def put(self, path: str, resource: dict[str, Any], **headers: str) -> httpx.Response:
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        return self.http.put(f"/fhir/{path}", json=resource, headers={**FHIR, **named})

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(
            f"/fhir/{path}", headers={k.replace("_", "-"): v for k, v in headers.items()}
        )


@pytest.fixture(scope="module")
def claimed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Claimed]:
    """A service in this process."""
    with Lake.open(tmp_path_factory.mktemp("claims") / "lake") as lake:
        app = create_app(lake, load_settings({"nlp": False}, environ={}))
        yield Claimed(TestClient(app, base_url="http://localhost"))


def is_there(answer: httpx.Response) -> bool:
    """Did a route take it, whatever it came to?"""
    if answer.status_code == 405 or answer.status_code >= 500:
        return False
    return "There is nothing at this address" not in answer.text


_ASKED = {
    "read": ("GET", "Patient/p", None),
    "vread": ("GET", "Patient/p/_history/1", None),
    "update": ("PUT", "Patient/p", PATIENT),
    "patch": ("PATCH", "Patient/p", None),
    "delete": ("DELETE", "Patient/d", None),
    "history-instance": ("GET", "Patient/p/_history", None),
    "history-type": ("GET", "Patient/_history", None),
    "create": ("POST", "Patient", PATIENT),
    "search-type": ("GET", "Patient?_id=p", None),
    "transaction": ("POST", "", {"resourceType": "Bundle", "type": "transaction"}),
    "batch": ("POST", "", {"resourceType": "Bundle", "type": "batch"}),
    "search-system": ("GET", "?_type=Patient&_id=p", None),
    "history-system": ("GET", "_history", None),
}


def test_every_interaction_is_answered(claimed: Claimed) -> None:
    codes = {i["code"] for r in claimed.resources.values() for i in r["interaction"]}
    codes |= {i["code"] for i in claimed.rest["interaction"]}
    assert codes >= {"read", "vread", "update", "create", "delete", "search-type", "transaction"}
    for code in codes:
        method, path, body = _ASKED[code]
        more: dict[str, Any] = {"json": body} if body is not None else {}
        answer = claimed.http.request(method, f"/fhir/{path}", headers=FHIR, **more)
        assert is_there(answer), code
        if code != "patch":  # It has no body here.
            assert answer.status_code < 300, (code, answer.text)


def test_every_operation_is_answered(claimed: Claimed) -> None:
    asked = [("", one["name"]) for one in claimed.rest.get("operation", ())]
    common = {one["name"] for one in claimed.resources["Account"]["operation"]}
    asked += [("Account", name) for name in sorted(common)]
    for place, resource in claimed.resources.items():
        names = {one["name"] for one in resource["operation"]} - common
        asked += [(place, name) for name in sorted(names)]
    assert len(asked) > 5
    for place, name in dict.fromkeys(asked):
        paths = [f"{place}/${name}", f"{place}/p/${name}"] if place else [f"${name}"]
        answers = [
            claimed.http.request(method, f"/fhir/{path}", headers=FHIR)
            for path in paths
            for method in ("GET", "POST")
        ]
        assert any(is_there(answer) for answer in answers), (place, name)
        assert all(answer.status_code < 500 for answer in answers), (place, name)


def test_operations_are_named_once(claimed: Claimed) -> None:
    for name, resource in claimed.resources.items():
        names = [one["name"] for one in resource["operation"]]
        assert len(names) == len(set(names)), name
    for one in claimed.rest.get("operation", ()):
        assert one["definition"].startswith("http")


def test_forms_are_spoken(claimed: Claimed) -> None:
    for form in claimed.statement["format"]:
        answer = claimed.http.get("/fhir/Patient/p", params={"_format": form})
        assert answer.status_code == 200, form
    assert claimed.http.get("/fhir/Patient/p", params={"_format": "turtle"}).status_code == 406
    for form in claimed.statement.get("patchFormat", ()):
        answer = claimed.http.patch(
            "/fhir/Patient/p", content=b"{}", headers={"Content-Type": form}
        )
        assert answer.status_code != 415 and is_there(answer), form
    other = {"Content-Type": "application/x-other"}
    assert claimed.http.patch("/fhir/Patient/p", content=b"{}", headers=other).status_code == 415


def test_conditions_do_what_is_said(claimed: Claimed) -> None:
    patient = claimed.resources["Patient"]
    assert patient["conditionalRead"] == "full-support"
    etag = claimed.get("Patient/p").headers["etag"]
    assert claimed.get("Patient/p", If_None_Match=etag).status_code == 304
    assert patient["conditionalCreate"] is True
    more = {**FHIR, "If-None-Exist": "identifier=urn:s|2"}
    fresh = {"resourceType": "Patient", "identifier": [{"system": "urn:s", "value": "2"}]}
    statuses = [
        claimed.http.post("/fhir/Patient", json=fresh, headers=more).status_code for _ in range(2)
    ]
    assert statuses == [201, 200]
    updated = claimed.put("Patient?identifier=urn:s|2", fresh)
    assert (updated.status_code == 200) is patient["conditionalUpdate"]
    deleted = claimed.http.delete("/fhir/Patient?identifier=urn:s|2")
    assert (deleted.status_code < 300) is (patient["conditionalDelete"] != "not-supported")
    created = claimed.put("Patient/by-client", {"resourceType": "Patient", "id": "by-client"})
    assert (created.status_code == 201) is patient["updateCreate"]


def test_versions_are_kept_as_is_said(claimed: Claimed) -> None:
    patient = claimed.resources["Patient"]
    assert patient["versioning"] == "versioned" and patient["readHistory"] is True
    claimed.put("Patient/v", {"resourceType": "Patient", "id": "v"})
    claimed.put("Patient/v", {"resourceType": "Patient", "id": "v", "active": True})
    claimed.http.delete("/fhir/Patient/v")
    assert claimed.get("Patient/v/_history/1").status_code == 200
    assert claimed.get("Patient/v/_history").json()["total"] == 3


def test_includes_are_taken(claimed: Claimed) -> None:
    strict = {"Prefer": "handling=strict"}
    for member, name in (("searchInclude", "_include"), ("searchRevInclude", "_revinclude")):
        for value in claimed.resources["Observation"].get(member, ())[:40]:
            answer = claimed.get(f"Observation?_id=o&{name}={value}", **strict)
            assert answer.status_code == 200, answer.text


def test_it_is_made_once_and_names_the_address_that_was_asked(claimed: Claimed) -> None:
    for host in ("localhost:1", "127.0.0.1:2"):
        statement = claimed.get("metadata", Host=host).json()
        assert statement["implementation"]["url"] == f"http://{host}/fhir"
    assert claimed.get("metadata").headers["cache-control"] == "no-store"
    for mode, status in (("full", 200), ("normative", 200), ("terminology", 400), ("x", 400)):
        assert claimed.get(f"metadata?mode={mode}").status_code == status


def test_a_service_that_only_reads_claims_no_change(tmp_path: Any) -> None:
    with Lake.open(tmp_path / "lake"), Lake.open(tmp_path / "lake", read_only=True) as lake:
        app = create_app(lake, load_settings({"nlp": False}, environ={}))
        http = TestClient(app, base_url="http://localhost")
        rest = http.get("/fhir/metadata").json()["rest"][0]
    patient = next(one for one in rest["resource"] if one["type"] == "Patient")
    codes = {one["code"] for one in (*patient["interaction"], *rest["interaction"])}
    assert not codes & {"create", "update", "patch", "delete", "transaction"}
    assert patient["updateCreate"] is False and patient["conditionalCreate"] is False
    assert "erase" not in {one["name"] for one in patient["operation"]}
