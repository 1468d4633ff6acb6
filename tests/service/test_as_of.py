"""`at`: one parameter for a past state, on every surface that reads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.client import Chartlake
from service.settings import load_settings
from storage.lake import Delete, Lake, Put

from .conftest import Service, assert_outcome

COHORT = {"name": "women", "include": [{"gender": "female"}]}
ALL = "SELECT count(*) AS n FROM patient"


@pytest.fixture
def past(service: Service) -> dict[str, Any]:
    """A patient that is changed and deleted, and the commits of that."""
    created = service.post({"resourceType": "Patient", "gender": "female"})
    id = created.json()["id"]
    first = int(service.http.get(f"/fhir/Patient/{id}").headers["chartlake-commit"])
    service.http.put(
        f"/fhir/Patient/{id}", json={"resourceType": "Patient", "id": id, "gender": "male"}
    )
    instant = service.http.get(f"/fhir/Patient/{id}").json()["meta"]["lastUpdated"]
    service.http.delete(f"/fhir/Patient/{id}")
    return {"id": id, "first": first, "instant": instant}


def test_read_and_search(service: Service, past: dict[str, Any]) -> None:
    path = f"/fhir/Patient/{past['id']}"
    response = service.http.get(path, params={"at": past["first"]})
    assert response.json()["gender"] == "female"
    assert response.headers["chartlake-commit"] == str(past["first"])
    response = service.http.get(path, params={"at": past["instant"]})
    assert response.json()["gender"] == "male"
    assert response.headers["chartlake-commit"] == str(past["first"] + 1)
    assert_outcome(service.http.get(path, params={"at": past["first"] - 1}), 404)
    assert_outcome(service.http.get(path), 410)
    assert_outcome(service.http.get(f"{path}/_history/2", params={"at": past["first"]}), 404)
    assert service.http.get(f"{path}/_history", params={"at": past["instant"]}).json()["total"] == 2
    search = {"_id": past["id"], "at": past["instant"]}
    for answer in (
        service.http.get("/fhir/Patient", params=search),
        service.http.post("/fhir/Patient/_search", data=search),
    ):
        bundle = answer.json()
        assert bundle["total"] == 1
        assert answer.headers["chartlake-commit"] == str(past["first"] + 1)
        assert f"at={past['first'] + 1}" in bundle["link"][0]["url"]
        assert "at=" not in str([entry["resource"] for entry in bundle["entry"]])
        assert len(bundle["entry"]) == 1
    pages = list(Chartlake(service.url).search("Patient", _count=1, at=past["first"]))
    now = service.found("Patient", _count="1000")
    assert past["id"] in {p["id"] for p in pages}
    assert past["id"] not in {p["id"] for p in now}


def test_in_a_bundle(service: Service, past: dict[str, Any]) -> None:
    urls = [
        f"Patient/{past['id']}?at={past['first']}",
        f"Patient?_id={past['id']}&at={past['first']}",
        f"Patient/{past['id']}/_history/2?at={past['first']}",
    ]
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    answers = service.http.post("/fhir", json=batch).json()["entry"]
    assert answers[0]["resource"]["gender"] == "female"
    assert answers[1]["resource"]["total"] == 1
    assert answers[2]["response"]["status"].startswith("404")


def test_timeline_cohort_and_sql(service: Service, past: dict[str, Any]) -> None:
    at, url = past["first"], f"/patients/{past['id']}/timeline"
    assert service.http.get(url, params={"at": at}).headers["chartlake-commit"] == str(at)
    fhir = f"/fhir/Patient/{past['id']}/$timeline"
    assert service.http.get(fhir, params={"at": past["instant"]}).status_code == 200
    assert_outcome(service.http.get(fhir), 404)
    cohort = service.http.post("/cohorts", json=COHORT, params={"at": at})
    assert past["id"] in {member["patient_id"] for member in cohort.json()["members"]}
    assert (cohort.json()["t"], cohort.headers["chartlake-commit"]) == (at, str(at))
    answers = [
        service.http.post("/sql", json={"query": ALL, "at": at}).json(),
        service.http.post("/sql", json={"query": ALL}, params={"at": at}).json(),
        Chartlake(service.url).sql(ALL, at=at),
    ]
    before = service.http.post("/sql", json={"query": ALL, "at": at - 1}).json()
    assert before["rows"][0][0] == answers[0]["rows"][0][0] - 1
    assert answers[0] == answers[1] == answers[2]
    assert (answers[0]["t"], answers[0]["warnings"]) == (at, [])


@pytest.mark.parametrize("at", ["-1", "2024-05-01", "2024", "now", "²", "3000-01-01T00:00:00Z"])
def test_what_is_no_past_state_is_refused(service: Service, at: str) -> None:
    t = int(service.http.get("/status").json()["t"])
    if at == "2024":
        at = str(t + 1_000)
    for response in (
        service.http.get("/fhir/Patient/x", params={"at": at}),
        service.http.get("/fhir/Patient", params={"at": at}),
        service.http.get("/fhir/Patient/_history", params={"at": at}),
        service.http.get("/patients/x/timeline", params={"at": at}),
        service.http.post("/cohorts", json=COHORT, params={"at": at}),
        service.http.post("/sql", json={"query": ALL, "at": at}),
        service.http.post("/sql", json={"query": ALL, "at": 1}, params={"at": at}),
    ):
        assert_outcome(response, 400, "at")


@pytest.mark.slow
def test_commands(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put({"resourceType": "Patient", "id": "p", "gender": "female"})])
        lake.transact([Delete("Patient", "p")])
    (tmp_path / "women.json").write_text(json.dumps(COHORT))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "service.cli", arguments[0], "--data"]
        done = subprocess.run(
            [*command, str(tmp_path / "lake"), *arguments[1:]], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done

    assert "1" in run("sql", "--csv", "--at", "1", ALL).stdout.split()
    cohort = run("cohort", "--json", "--at", "1", str(tmp_path / "women.json"))
    assert (json.loads(cohort.stdout)["count"], cohort.stderr) == (1, "chartlake: as of commit 1\n")
    assert json.loads(run("timeline", "--json", "--at", "1", "p").stdout) == []
    export = run("export", "--at", "1", "--out", str(tmp_path / "out"))
    assert "as of commit 1" in export.stderr
    assert (tmp_path / "out" / "Patient.ndjson").read_text().count("\n") == 1


@pytest.fixture
def erased(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A service over a lake in which something was erased after its first commit."""
    monkeypatch.setattr(Lake, "erasures_since", lambda _self, t: 1 if t <= 1 else 0)
    with Lake.open(tmp_path / "lake") as lake:
        for _ in range(3):
            lake.transact([Put({"resourceType": "Patient", "id": "p", "gender": "female"})])
        settings = load_settings({"nlp": False}, environ={})
        yield TestClient(create_app(lake, settings), base_url="http://localhost")


def test_an_answer_from_before_an_erasure_says_so(erased: TestClient) -> None:
    for url in (
        "/fhir/Patient/p?at=1",
        "/fhir/Patient?at=1",
        "/fhir/_history?at=1",
        "/fhir/Patient/p/$timeline?at=1",
        "/patients/p/timeline?at=1",
    ):
        response = erased.get(url)
        assert response.status_code == 200, response.text
        assert response.headers["chartlake-erasures"] == "1", url
        assert "chartlake-erasures" not in erased.get(url.replace("at=1", "at=2")).headers
        assert "chartlake-erasures" not in erased.get(url.replace("at=1", "")).headers
    entries = erased.get("/fhir/Patient?at=1").json()["entry"]
    assert [entry["search"]["mode"] for entry in entries] == ["match", "outcome"]
    assert "erased" in str(erased.get("/fhir/Patient/p/$timeline?at=1").json())
    assert "erased" in str(erased.get("/fhir/Patient/gone?at=1").json())
    assert "erased" not in str(erased.get("/fhir/Patient/gone").json())
    assert "erased" in str(erased.post("/cohorts?at=1", json=COHORT).json()["warnings"])
    assert "erased" in str(erased.post("/sql", json={"query": ALL, "at": 1}).json()["warnings"])
