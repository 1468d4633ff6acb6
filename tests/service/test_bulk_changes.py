"""`$bulk-delete` and `$bulk-patch`: pinned, resumable, counted, and nothing overwritten."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from schemas.outcomes import FhirError
from service import bulk_changes
from service.app import create_app
from service.bulk_changes import BULK_DELETE, BULK_PATCH, handlers
from service.ingest import Ingest
from service.jobs import Interrupted, Postponed
from service.settings import load_settings
from storage.jobs import VALUES, Job, JobCancelled
from storage.lake import Delete, Lake, Put

MARK = [{"op": "add", "path": "/note", "value": [{"text": "seen"}]}]


def observation(id: str, code: str = "x", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": "urn:c", "code": code}]},
        **more,
    }


@pytest.fixture
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with Lake.open(tmp_path_factory.mktemp("bulk") / "lake") as lake:
        resources = [observation(f"x{n}") for n in range(7)]
        resources += [observation(f"y{n}", "y") for n in range(2)]
        lake.transact([Put(resource) for resource in resources])
        lake.transact([Put({"resourceType": "Patient", "id": "p"})])
        yield lake


@pytest.fixture
def http(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A service, its jobs running; three resources in each commit of a job."""
    monkeypatch.setattr(bulk_changes, "STEP", 3)
    app = create_app(lake, load_settings({"nlp": False}, environ={}))
    with TestClient(app, base_url="http://localhost") as client:
        yield client


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service that none of the tests changes anything in."""
    with Lake.open(tmp_path_factory.mktemp("refusing") / "lake") as lake:
        lake.transact([Put(observation("x0"))])
        app = create_app(lake, load_settings({"nlp": False}, environ={}))
        yield TestClient(app, base_url="http://localhost")
        assert lake.jobs.unfinished([BULK_DELETE, BULK_PATCH]) == []


def finished(http: TestClient, response: Any) -> dict[str, Any]:
    assert response.status_code == 202, response.text
    deadline = time.monotonic() + 20
    while True:
        status = http.get(response.headers["Content-Location"])
        if status.status_code != 202:
            break
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert status.status_code == 200, status.text
    report: dict[str, Any] = {}
    for parameter in status.json()["parameter"]:
        value = next((v for k, v in parameter.items() if k.startswith("value")), None)
        if value is None:
            parts = {
                p["name"]: next(v for k, v in p.items() if k != "name") for p in parameter["part"]
            }
            report.setdefault(parameter["name"], []).append(parts)
        elif parameter["name"] in ("skippedResource",):
            report.setdefault(parameter["name"], []).append(value)
        else:
            report[parameter["name"]] = value
    return report


def left(http: TestClient, **params: str) -> int:
    return int(http.get("/fhir/Observation", params={**params, "_count": "0"}).json()["total"])


def test_delete_what_a_search_matches(http: TestClient, lake: Lake) -> None:
    report = finished(http, http.post("/fhir/Observation/$bulk-delete", params={"code": "urn:c|x"}))
    assert (report["kind"], report["matched"], report["changed"]) == ("bulk-delete", 7, 7)
    assert (report["skipped"], report["failed"], report["unchanged"]) == (0, 0, 0)
    assert left(http) == 2
    assert lake.vread("Observation", "x0", 1).body  # History stays.
    with pytest.raises(FhirError, match="deleted"):
        lake.read("Observation", "x0")


def test_delete_all_of_some_types(http: TestClient) -> None:
    report = finished(
        http, http.delete("/fhir/$bulk-delete", params={"_type": "Observation,Patient"})
    )
    assert report["changed"] == 10
    assert left(http) == 0


def test_bounds_of_the_last_change(http: TestClient, lake: Lake) -> None:
    moment = lake.read("Observation", "y0").resource()["meta"]["lastUpdated"]
    time.sleep(0.01)
    lake.transact([Put(observation("later"))])
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "end", "valueInstant": moment},
            {"name": "isHardDelete", "valueBoolean": False},
            {"name": "code", "valueString": "y"},
        ],
    }
    report = finished(http, http.post("/fhir/Observation/$bulk-delete", json=parameters))
    assert report["changed"] == 2
    report = finished(
        http, http.post("/fhir/Observation/$bulk-delete", params={"_since": "2100-01-01T00:00:00Z"})
    )
    assert report["matched"] == 0
    assert left(http) == 8


def test_patch_what_a_search_matches(http: TestClient) -> None:
    kind = {"Content-Type": "application/json-patch+json"}
    url = "/fhir/Observation/$bulk-patch?code=x"
    report = finished(http, http.post(url, content=json.dumps(MARK), headers=kind))
    assert (report["matched"], report["changed"]) == (7, 7)
    assert http.get("/fhir/Observation/x3").json()["note"] == [{"text": "seen"}]
    assert "note" not in http.get("/fhir/Observation/y0").json()
    # Again: they are as they should be, so there is nothing to store.
    report = finished(http, http.post(url, content=json.dumps(MARK), headers=kind))
    assert (report["changed"], report["unchanged"]) == (0, 7)
    assert http.get("/fhir/Observation/x3").json()["meta"]["versionId"] == "2"


def test_patch_those_named(http: TestClient) -> None:
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {
                "name": "patch",
                "valueString": json.dumps([{"op": "remove", "path": "/code/coding"}]),
            },
            {"name": "resource", "valueReference": {"reference": "Observation/y0"}},
            {"name": "resource", "valueString": "Observation/none,Patient/p"},
        ],
    }
    report = finished(http, http.post("/fhir/$bulk-patch", json=parameters))
    assert (report["matched"], report["unknown"], report["changed"]) == (2, 1, 0)
    # Neither can be done: an Observation needs a code, a Patient has none.
    failures = {failure["resource"]: failure for failure in report["failure"]}
    assert set(failures) == {"Observation/y0", "Patient/p"}
    assert "code" in failures["Observation/y0"]["expression"]


def test_fhirpath_patch(http: TestClient) -> None:
    operation = {
        "name": "operation",
        "part": [
            {"name": "type", "valueCode": "replace"},
            {"name": "path", "valueString": "Observation.status"},
            {"name": "value", "valueCode": "amended"},
        ],
    }
    patch = {"resourceType": "Parameters", "parameter": [operation]}
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patch", "resource": patch},
            {"name": "code", "valueString": "y"},
        ],
    }
    report = finished(http, http.post("/fhir/Observation/$bulk-patch", json=parameters))
    assert report["changed"] == 2
    assert http.get("/fhir/Observation/y1").json()["status"] == "amended"
    assert http.get("/fhir/Observation/x1").json()["status"] == "final"


def test_references_by_a_condition_are_resolved(http: TestClient) -> None:
    for condition, changed in (("_id=p", 2), ("_id=unknown", 0)):
        subject = {"reference": f"Patient?{condition}"}
        patch = json.dumps([{"op": "add", "path": "/subject", "value": subject}])
        kind = {"Content-Type": "application/json-patch+json"}
        url = "/fhir/Observation/$bulk-patch?code=y"
        report = finished(http, http.post(url, content=patch, headers=kind))
        assert (report["changed"], report["failed"]) == (changed, 2 - changed)
    assert http.get("/fhir/Observation/y0").json()["subject"] == {"reference": "Patient/p"}


def test_merge_patch_of_a_type(http: TestClient) -> None:
    response = http.patch(
        "/fhir/Patient/$bulk-patch",
        content=b'{"active": true}',
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert finished(http, response)["changed"] == 1
    assert http.get("/fhir/Patient/p").json()["active"] is True


@pytest.mark.parametrize(
    ("method", "url", "place"),
    [
        ("POST", "$bulk-delete", "_type"),
        ("POST", "$bulk-delete?_type=Foo", "_type"),
        ("POST", "Observation/$bulk-delete?colour=red", "colour"),
        ("POST", "Observation/$bulk-delete?_count=3", "_count"),
        ("POST", "Observation/$bulk-delete?isHardDelete=true", "isHardDelete"),
        ("POST", "Observation/$bulk-delete?deleteAuditEvent=true", "deleteAuditEvent"),
        ("POST", "Observation/$bulk-delete?_since=2020", "_since"),
        ("POST", "Observation/$bulk-delete?date=soon", "date"),
        ("POST", "Observation/$bulk-patch?resource=Patient/p", "resource"),
        ("POST", "Observation/$bulk-patch?resource=x0&code=x", "code"),
    ],
)
def test_what_is_refused(refusing: TestClient, method: str, url: str, place: str) -> None:
    body = {"resourceType": "Parameters", "parameter": [{"name": "patch", "valueString": "[]"}]}
    response = refusing.request(method, f"/fhir/{url}", json=body if "patch" in url else None)
    assert response.status_code == 400, response.text
    assert place in response.json()["issue"][0]["expression"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json-patch+json", 400),
        (b"[", "application/json-patch+json", 400),
        (b"\xff", "application/json-patch+json", 400),
        (b"<x/>", "text/plain", 415),
        (b'{"resourceType": "Parameters"}', "application/fhir+json", 400),
    ],
)
def test_patches_that_are_none(refusing: TestClient, body: bytes, kind: str, status: int) -> None:
    url = "/fhir/Observation/$bulk-patch"
    response = refusing.post(url, content=body, headers={"Content-Type": kind})
    assert response.status_code == status


# Below, the handlers are run by hand, so that they can be interrupted anywhere.


def accepted(lake: Lake, kind: str, patch: Any = None, code: str = "x") -> Job:
    values: dict[str, Any] = {"searches": [["Observation", [["code", code]]]]}
    if patch is not None:
        values |= {"format": "application/json-patch+json", "patch": json.dumps(patch)}
    request = {"t": lake.t, "matched": 7, "unknown": 0, "agent": "token:ann", VALUES: values}
    return lake.jobs.add(kind, request)


def run(lake: Lake, job: Job, stop_after: int = 10**6) -> dict[str, Any]:
    """Run a job as the runner does; it is told to stop after so many steps."""
    asked = 0

    def stopping() -> bool:
        nonlocal asked
        asked += 1
        return asked > stop_after

    job = lake.jobs.get(job.id)
    return handlers(lake, Ingest(lake, max_note_bytes=1000))[job.kind].run(job, stopping)


def test_what_others_changed_since_is_skipped(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_changes, "STEP", 3)
    job = accepted(lake, BULK_PATCH, MARK)
    lake.transact(
        [Put(observation("x1", issued="2024-01-01T00:00:00Z")), Delete("Observation", "x2")]
    )
    lake.transact([Put(observation("new"))])
    report = run(lake, job)
    assert (report["changed"], report["skipped"]) == (5, 2)
    assert sorted(report["skippedResource"]) == ["Observation/x1", "Observation/x2"]
    assert "note" not in lake.read("Observation", "x1").resource()
    assert "note" not in lake.read("Observation", "new").resource()


def test_who_is_faster_at_the_last_moment_is_not_overwritten(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = accepted(lake, BULK_PATCH, MARK)
    transact, raced = lake.transact, []

    def race(operations: Any, **more: Any) -> Any:
        if len(operations) > 1 and not raced:
            raced.append(1)
            transact([Put(observation("x4", issued="2024-01-01T00:00:00Z"))])
        return transact(operations, **more)

    monkeypatch.setattr(lake, "transact", race)
    report = run(lake, job)
    assert (report["changed"], report["skippedResource"]) == (6, ["Observation/x4"])


class Killed(BaseException):
    """Stands for a kill of the process."""


def killing(write: Any, place: int, writes: list[int]) -> Any:
    """`write`, failing at the place-th of all writes: before it (even) or right after it (odd)."""

    def wrapped(*given: Any, **more: Any) -> Any:
        writes.append(1)
        if len(writes) == place // 2 + 1 and not place % 2:
            raise Killed
        answer = write(*given, **more)
        if len(writes) == place // 2 + 1:
            raise Killed
        return answer

    return wrapped


@pytest.mark.parametrize("kind", [BULK_DELETE, BULK_PATCH])
def test_a_kill_anywhere_changes_and_counts_nothing_twice(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Fail at each durable write of a job in turn, and go on with it."""
    monkeypatch.setattr(bulk_changes, "STEP", 3)
    append = [{"op": "add", "path": "/code/coding/-", "value": {"code": "once"}}]
    for place in range(100):
        code = f"{kind}-{place}"
        lake.transact([Put(observation(f"{code}-{n}", code)) for n in range(7)])
        job = accepted(lake, kind, append if kind == BULK_PATCH else None, code=code)
        writes: list[int] = []
        with monkeypatch.context() as patched:
            patched.setattr(lake, "transact", killing(lake.transact, place, writes))
            patched.setattr(lake.jobs, "update", killing(lake.jobs.update, place, writes))
            try:
                run(lake, job)
            except Killed:
                pass
            else:
                break
        if not lake.jobs.get(job.id).is_finished:  # The last of its writes ends it.
            run(lake, job)
        report = lake.jobs.get(job.id).result or {}
        assert (report["changed"], report["skipped"], report["failed"]) == (7, 0, 0)
        history = lake.history("Observation", f"{code}-0").versions
        assert len(history) == 2
        if kind == BULK_PATCH:
            assert [len(v.resource()["code"]["coding"]) for v in history] == [2, 1]
    assert place == 20


def test_it_stops_with_the_service_and_goes_on(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_changes, "STEP", 3)
    job = accepted(lake, BULK_DELETE)
    with pytest.raises(Interrupted):
        run(lake, job, stop_after=1)
    assert lake.search("Observation", [("code", "x")]).total == 4
    assert lake.jobs.get(job.id).progress["text"] == "3 of 7 resources"
    assert run(lake, job)["changed"] == 7


def test_others_have_their_turn(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_changes, "STEP", 3)
    monkeypatch.setattr(bulk_changes, "TURN_S", -1.0)
    job = accepted(lake, BULK_DELETE)
    with pytest.raises(Postponed):
        run(lake, job)
    monkeypatch.undo()
    assert run(lake, job)["changed"] == 7


def test_cancel(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_changes, "STEP", 3)
    job = accepted(lake, BULK_DELETE)
    with pytest.raises(Interrupted):
        run(lake, job, stop_after=1)
    work = lake.jobs.get(job.id)
    lake.jobs.cancel(job.id)
    with pytest.raises(JobCancelled):
        handlers(lake, Ingest(lake, max_note_bytes=1))[job.kind].run(work, lambda: False)
    assert lake.search("Observation", [("code", "x")]).total == 4
    assert VALUES not in lake.jobs.get(job.id).request


def test_values_are_forgotten_and_erased(lake: Lake) -> None:
    job = accepted(lake, BULK_PATCH, [{"op": "test", "path": "/status", "value": "amended"}])
    report = run(lake, job)
    assert report["failed"] == 7
    done = lake.jobs.get(job.id)
    told = json.dumps([done.request, done.progress, done.result])
    assert "amended" not in told
    assert VALUES not in done.request
    assert VALUES not in done.progress
    assert "Observation/x0" in told
    lake.erase([("Observation", "x0")], reason="test")
    done = lake.jobs.get(job.id)
    assert "Observation/x0" not in json.dumps([done.request, done.progress, done.result])


def test_reports_hold_no_values(lake: Lake) -> None:
    patch = [
        {"op": "replace", "path": "/status", "value": "Family"},
        {"op": "add", "path": "/effectiveDateTime", "value": "Family"},
    ]
    for one in patch:
        job = accepted(lake, BULK_PATCH, [one])
        report = run(lake, job)
        assert report["failed"] == 7
        assert "Family" not in json.dumps(report)


def test_the_report_of_a_job_that_an_erase_interrupts_does_not_name_it(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_changes, "STEP", 3)
    job = accepted(lake, BULK_PATCH, MARK)
    lake.transact([Delete("Observation", "x0")])
    with pytest.raises(Interrupted):
        run(lake, job, stop_after=1)
    lake.erase([("Observation", "x0")], reason="test")
    report = run(lake, job)
    assert (report["changed"], report["skippedResource"]) == (6, ["(erased)"])


def test_who_asked_stands_in_the_audit_log(lake: Lake) -> None:
    job = accepted(lake, BULK_DELETE)
    run(lake, job)
    n = lake.audit_head().n
    event = str(lake.read("AuditEvent", f"audit-{n}").resource())
    assert "token:ann" in event
    assert "bulk-delete" in event
