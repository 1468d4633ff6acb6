"""A SearchParameter over HTTP: a job indexes by it, then it is listed and searched by."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import load_settings
from storage.lake import Lake, Put

DEFINITION = {
    "resourceType": "SearchParameter",
    "url": "http://example.org/SearchParameter/nickname",
    "name": "Nickname",
    "status": "active",
    "description": "by nickname",
    "code": "nickname",
    "base": ["Patient"],
    "type": "string",
    "expression": "Patient.name.where(use = 'nickname').given",
}
PATIENT = {"resourceType": "Patient", "name": [{"use": "nickname", "given": ["Lu"]}]}


def listed(client: TestClient) -> set[str]:
    resources = client.get("/fhir/metadata").json()["rest"][0]["resource"]
    patient = next(one for one in resources if one["type"] == "Patient")
    return {param["name"] for param in patient["searchParam"]}


def search(client: TestClient) -> Any:
    return client.get("/fhir/Patient", params={"nickname": "lu"})


def test_a_parameter_is_added_indexed_and_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(PATIENT | {"id": "p"})])
        app = create_app(lake, load_settings({"nlp": False}, environ={}))
        with TestClient(app, base_url="http://localhost") as client:
            gate = threading.Event()
            held = lake.index_definitions

            def later(*args: Any) -> Any:
                gate.wait(20)
                return held(*args)

            monkeypatch.setattr(lake, "index_definitions", later)
            created = client.post("/fhir/SearchParameter", json=DEFINITION)
            assert created.status_code == 201, created.text
            refused = search(client)
            assert refused.status_code == 503
            issue = refused.json()["issue"][0]
            assert issue["code"] == "transient" and issue["expression"] == ["nickname"]
            assert "nickname" not in listed(client)
            job = next(iter(lake.jobs.unfinished(["index-search-parameters"])))
            assert job.id in issue["diagnostics"]
            assert client.get(f"/fhir/_jobs/{job.id}").status_code == 202
            gate.set()
            deadline = time.monotonic() + 20
            while not lake.jobs.get(job.id).is_finished:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert "1 versions" in client.get(f"/fhir/_jobs/{job.id}").text
            assert [e["resource"]["id"] for e in search(client).json()["entry"]] == ["p"]
            assert "nickname" in listed(client)
            wrong = client.post("/fhir/SearchParameter", json=DEFINITION | {"expression": "a.("})
            assert wrong.status_code == 422
            assert wrong.json()["issue"][0]["expression"]
            client.delete(f"/fhir/SearchParameter/{created.json()['id']}")
            strict = {"Prefer": "handling=strict"}
            gone = client.get("/fhir/Patient", params={"nickname": "lu"}, headers=strict)
            assert gone.status_code == 400


def test_what_an_earlier_process_left_is_indexed_at_the_start(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(PATIENT | {"id": "p"}), Put(DEFINITION | {"id": "nickname"})])
        app = create_app(lake, load_settings({"nlp": False}, environ={}))
        with TestClient(app, base_url="http://localhost") as client:
            deadline = time.monotonic() + 20
            while search(client).status_code == 503:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert search(client).json()["total"] == 1
