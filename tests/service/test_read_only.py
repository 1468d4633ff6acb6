"""A second service that only reads, beside the one that writes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from schemas.validate import validate
from storage.audit_change import user
from storage.lake import Lake

from .conftest import FHIR, Service, assert_outcome

Start = Callable[..., Service]


@pytest.fixture
def pair(start_service: Start) -> tuple[Service, Service]:
    """A service that writes and one that reads the same folder."""
    writing = start_service("lake", "--no-nlp")
    return writing, start_service("lake", "--read-only", "--workers", "1")


def files(path: Path) -> set[str]:
    found = {str(f.relative_to(path)) for f in path.rglob("*") if f.is_file()}
    return {f for f in found if not f.startswith(("hot.db-", "audit-spool/"))}


def test_it_reads_what_the_other_stores(pair: tuple[Service, Service]) -> None:
    writing, reading = pair
    assert reading.http.get("/readyz").status_code == 200
    for _ in range(3):
        id = writing.patient()
        answer = reading.http.get(f"/fhir/Patient/{id}")
        assert answer.content == writing.http.get(f"/fhir/Patient/{id}").content
        assert answer.headers["chartlake-commit"] == str(writing.http.get("/status").json()["t"])
    total = reading.http.get("/fhir/_history?_count=0").json()["total"]
    assert total == reading.http.post("/sql", json={"query": "FROM resource"}).json()["t"] == 3
    assert reading.http.get("/status").json()["read_only"] is True
    assert reading.http.post("/fhir/Patient/_search", data={"_count": "1"}).status_code == 200
    patient = {"resourceType": "Patient"}
    assert reading.http.post("/fhir/Patient/$validate", json=patient).status_code == 200


def test_it_refuses_every_change(pair: tuple[Service, Service]) -> None:
    writing, reading = pair
    id = writing.patient()
    patient = {"resourceType": "Patient", "id": id}
    text = {"Content-Type": "text/plain"}
    entry = {"request": {"method": "POST", "url": "Patient"}, "resource": patient}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert_outcome(reading.post({"resourceType": "Patient"}), 403)
    assert_outcome(reading.http.post("/fhir/Patient", content="{", headers=FHIR), 403)
    assert_outcome(reading.http.put(f"/fhir/Patient/{id}", json=patient), 403)
    assert_outcome(reading.http.delete(f"/fhir/Patient/{id}"), 403)
    assert_outcome(reading.http.post(f"/notes?patient={id}", content="x", headers=text), 403)
    assert_outcome(reading.http.post("/fhir", json=bundle), 403)
    get = {"request": {"method": "GET", "url": f"Patient/{id}"}}
    batch = reading.http.post("/fhir", json={**bundle, "type": "batch", "entry": [entry, get]})
    statuses = [answer["response"]["status"] for answer in batch.json()["entry"]]
    assert statuses == ["403 Forbidden", "200 OK"]
    assert writing.http.get("/status").json()["t"] == 1
    statement = reading.http.get("/fhir/metadata").json()
    assert validate(statement, "CapabilityStatement") == []
    rest = statement["rest"][0]
    codes = {one["code"] for one in rest["resource"][0]["interaction"]}
    assert codes == {"read", "vread", "history-instance", "history-type", "search-type"}
    system = {one["code"] for one in rest["interaction"]}
    assert system == {"batch", "search-system", "history-system"}


def events(writing: Service, **params: str) -> list[tuple[str, str, str]]:
    """Agent, interaction and outcome of the audit events that the writing service has, oldest."""
    found = writing.found("AuditEvent", _sort="date", _count="1000", **params)
    return [
        (event["agent"][0]["name"], event["subtype"][-1]["code"], event["outcome"])
        for event in found
    ]


def awaited(writing: Service, number: int, **params: str) -> list[tuple[str, str, str]]:
    """So many events, as soon as they are there: within a second, on a machine with time."""
    deadline = time.monotonic() + 15
    while len(found := events(writing, **params)) < number and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def test_reads_are_in_the_log_of_the_lake(pair: tuple[Service, Service]) -> None:
    writing, reading = pair
    id = writing.patient()
    assert reading.http.get(f"/fhir/Patient/{id}").status_code == 200
    assert_outcome(reading.http.get("/fhir/Patient/none"), 404)
    assert_outcome(reading.http.delete(f"/fhir/Patient/{id}"), 403)
    with Lake.open(writing.data, read_only=True) as lake:
        lake.read("Patient", id)
    command = [sys.executable, "-m", "service.cli", "timeline", id, "--data", str(writing.data)]
    subprocess.run(command, check=True, capture_output=True)
    process, cli = f"process:{user()}", f"cli:{user()}"
    assert awaited(writing, 5, patient=id) == [
        ("local", "create", "0"),
        ("local", "read", "0"),
        ("local", "delete", "4"),
        (process, "read", "0"),
        (cli, "timeline", "0"),
    ]
    assert ("local", "read", "4") in events(writing, entity="Patient/none")
    opened = [agent for agent, _, _ in events(writing, subtype="open")]
    assert opened == [process, process, process, cli]
    # What was acknowledged is recorded, also when the reader is killed the moment after.
    assert reading.http.get(f"/fhir/Patient/{id}/_history").status_code == 200
    reading.kill()
    assert len(awaited(writing, 1, patient=id, subtype="history-instance")) == 1
    assert len(awaited(writing, 1, subtype="audit-spool-broken-off")) == 1
    writing.stop()
    verify = [sys.executable, "-m", "service.cli", "verify", "--data", str(writing.data)]
    assert subprocess.run(verify, check=False, capture_output=True).returncode == 0


def test_reads_wait_for_the_writer_to_come_back(pair: tuple[Service, Service]) -> None:
    writing, reading = pair
    id = writing.patient()
    writing.kill()
    for _ in range(5):
        assert reading.http.get(f"/fhir/Patient/{id}").status_code == 200
    writing.start()
    assert events(writing, patient=id, subtype="read") == [("local", "read", "0")] * 5


@pytest.mark.slow
def test_what_cannot_be_recorded_is_not_answered(start_service: Start) -> None:
    writing = start_service("lake", "--no-nlp")
    id = writing.patient()
    reading = start_service("lake", "--read-only", "--workers", "1")
    spool = writing.data / "audit-spool"
    moved = spool.rename(writing.data / "away")
    spool.write_bytes(b"")  # no folder; root may write in any
    assert_outcome(reading.http.get(f"/fhir/Patient/{id}"), 503)
    assert reading.http.get("/healthz").status_code == 200
    spool.unlink()
    moved.rename(spool)
    assert reading.http.get(f"/fhir/Patient/{id}").status_code == 200
    assert len(awaited(writing, 1, patient=id, subtype="read")) == 1
    spool.rename(moved)
    spool.write_bytes(b"")
    command = [
        sys.executable,
        "-m",
        "service.cli",
        "serve",
        "--read-only",
        "--workers",
        "1",
        "--port",
        "0",
    ]
    refused = subprocess.run(
        [*command, "--data", str(writing.data)], check=False, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "unaudited_reads" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
    without = start_service(
        "lake", "--read-only", "--workers", "1", CHARTLAKE_UNAUDITED_READS="true"
    )
    assert without.http.get(f"/fhir/Patient/{id}").status_code == 200


@pytest.mark.slow
def test_a_second_writer_is_refused_and_commands_read_beside(start_service: Start) -> None:
    writing = start_service("lake", "--no-nlp")
    writing.patient()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments, "--data", str(writing.data)],
            capture_output=True,
            text=True,
            env={**os.environ, "CHARTLAKE_PORT": "0"},
        )

    for command, hint in (
        (["serve"], "--read-only"),
        (["reindex"], "--read-only"),
    ):
        refused = run(*command)
        assert refused.returncode == 1
        assert hint in refused.stderr.splitlines()[-1]
        assert "Traceback" not in refused.stderr
    for command in (
        ["verify"],
        ["export", "--out", str(writing.data.parent / "out")],
    ):
        done = run(*command)
        assert done.returncode == 0, done.stderr
        assert "beside the process" in done.stderr
    assert (writing.data.parent / "out" / "Patient.ndjson").exists()


def test_readers_are_never_blocked_nor_wrong(pair: tuple[Service, Service]) -> None:
    """Answers are of an acknowledged commit or a later one, and whole, also during flushes."""
    writing, reading = pair
    acknowledged = [0]
    done = threading.Event()
    failures: list[BaseException] = []
    counts = [0, 0]

    def over_http() -> None:
        try:
            with httpx.Client(base_url=reading.url, timeout=30) as http:
                while not done.is_set():
                    least, begun = acknowledged[0], time.monotonic()
                    total = http.get("/fhir/Patient?_count=1").json()["total"]
                    answer = http.post("/sql", json={"query": "SELECT count(*) FROM patient"})
                    assert answer.json()["rows"][0][0] == answer.json()["t"] >= total >= least
                    assert time.monotonic() - begun < 20
                    counts[0] += 1
        except BaseException as failure:
            failures.append(failure)

    def in_a_notebook() -> None:
        try:
            with Lake.open(writing.data, read_only=True) as lake:
                while not done.is_set():
                    least, view = acknowledged[0], lake.at()
                    assert view.t >= least
                    page = view.search("Patient", [("_count", "1000")])
                    assert len(page.versions) == page.total == view.t
                    assert view.sql("SELECT count(*) FROM patient").rows() == [(view.t,)]
                    counts[1] += 1
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=over_http), threading.Thread(target=in_a_notebook)]
    for thread in threads:
        thread.start()
    try:
        for number in range(150):
            writing.patient(name=[{"text": f"n{number}"}])
            acknowledged[0] += 1
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert min(counts) > 0
    writing.stop()
    before = files(writing.data)
    assert reading.http.get("/fhir/Patient?_count=0").json()["total"] == 150
    reading.stop()
    assert files(writing.data) == before
