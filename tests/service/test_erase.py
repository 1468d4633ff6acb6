"""`$erase`, `$purge` and their jobs over HTTP, and the commands."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.cli import main
from storage.lake import Lake, Put

from .conftest import FHIR, Service, assert_outcome


def parameters(**values: Any) -> dict[str, Any]:
    kinds = {str: "valueString", bool: "valueBoolean"}
    parts = [{"name": name, kinds[type(value)]: value} for name, value in values.items()]
    return {"resourceType": "Parameters", "parameter": parts}


def post(service: Service, path: str, **values: Any) -> httpx.Response:
    return service.http.post(f"/fhir/{path}", json=parameters(**values), headers=FHIR)


def finished(service: Service, accepted: httpx.Response) -> httpx.Response:
    """Ask for the status of a job, as a FHIR client does, until it is finished."""
    assert accepted.status_code == 202, accepted.text
    where = accepted.headers["content-location"]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = service.http.get(where)
        if answer.status_code != 202:
            return answer
        assert answer.headers["x-progress"]
        assert int(answer.headers["retry-after"]) > 0
        assert answer.content == b""
        time.sleep(0.05)
    raise AssertionError("the job did not finish")


def observation(service: Service, patient: str) -> str:
    resource = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/{patient}"},
    }
    return str(service.post(resource).json()["id"])


def test_a_purge_over_http(service: Service) -> None:
    patient, other = service.patient(), service.patient()
    mine, theirs = observation(service, patient), observation(service, other)
    note = service.note(patient, "The patient has pneumonia and takes metformin 500 mg.")
    assert note["resources"]
    answer = finished(service, post(service, f"Patient/{patient}/$purge", reason="request 1"))
    assert answer.status_code == 200
    body = answer.json()
    assert body["resourceType"] == "Parameters"
    assert {p["name"] for p in body["parameter"]} >= {"job", "kind", "t", "versions", "resources"}
    assert patient not in answer.text
    for path in (f"Patient/{patient}", f"Observation/{mine}", f"DocumentReference/{note['id']}"):
        assert_outcome(service.http.get(f"/fhir/{path}"), 404)
    for path in note["resources"]:
        assert_outcome(service.http.get(f"/fhir/{path}"), 404)
    assert service.http.get(f"/notes/{note['id']}/findings").status_code == 404
    assert service.http.get(f"/fhir/Observation/{theirs}").status_code == 200


def test_an_erase_over_http(service: Service) -> None:
    patient = service.patient()
    one, two = observation(service, patient), observation(service, patient)
    answer = finished(service, post(service, f"Observation/{one}/$erase", reason="wrong"))
    assert answer.status_code == 200
    assert_outcome(service.http.get(f"/fhir/Observation/{one}"), 404)
    assert service.http.get(f"/fhir/Observation/{two}").status_code == 200
    again = {
        "resourceType": "Observation",
        "id": one,
        "status": "final",
        "code": {"text": "new"},
    }
    created = service.http.put(f"/fhir/Observation/{one}", json=again, headers=FHIR)
    assert (created.status_code, created.headers["etag"]) == (201, 'W/"1"')


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("Patient/nobody-to-purge/$purge", parameters(reason="x"), 404),
        ("Observation/nothing/$erase", parameters(reason="x"), 404),
        ("Nothing/x/$erase", parameters(reason="x"), 404),
        ("Patient/x/$purge", parameters(), 400),
        ("Patient/x/$purge", parameters(reason="x", keepDerived=True), 400),
        ("Patient/x/$purge", parameters(reason=True), 400),
        ("Patient/x/$erase", {"resourceType": "Patient"}, 400),
        ("Patient/x/$erase", {"resourceType": "Parameters", "parameter": [1]}, 400),
    ],
)
def test_what_cannot_be_erased_is_refused(
    service: Service, path: str, body: dict[str, Any], status: int
) -> None:
    assert_outcome(service.http.post(f"/fhir/{path}", json=body, headers=FHIR), status)


def test_an_unknown_job_and_a_finished_one(service: Service) -> None:
    assert_outcome(service.http.get("/fhir/_jobs/none"), 404)
    assert_outcome(service.http.delete("/fhir/_jobs/none"), 404)
    patient = service.patient()
    accepted = post(service, f"Patient/{patient}/$purge", reason="x")
    assert finished(service, accepted).status_code == 200
    assert_outcome(service.http.delete(accepted.headers["content-location"]), 409)


@pytest.mark.slow
def test_a_killed_service_goes_on_and_cannot_be_talked_out_of_it(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    """A key copy out of reach holds the job at its last step, where the service is killed."""
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put({"resourceType": "Patient", "id": "p1"})])
        copy = lake.key_copies.register(tmp_path / "safe")
    taken = copy.rename(tmp_path / "taken")
    service = start_service("lake", CHARTLAKE_NLP="false")
    where = post(service, "Patient/p1/$purge", reason="x").headers["content-location"]
    path = where[where.index("/fhir") :]
    deadline = time.monotonic() + 30
    while "waiting" not in service.http.get(path).headers["x-progress"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    outcome = assert_outcome(service.http.delete(path), 409)
    assert "past the point" in outcome["issue"][0]["diagnostics"]
    service.kill()
    taken.rename(copy)
    service.start()
    while (answer := service.http.get(path)).status_code == 202:
        assert time.monotonic() < deadline + 60
        time.sleep(0.05)
    assert answer.status_code == 200
    assert_outcome(service.http.get("/fhir/Patient/p1"), 404)


# The command line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put({"resourceType": "Patient", "id": id}) for id in ("p1", "p2")])
        group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True}
        members = [{"entity": {"reference": f"Patient/{id}"}} for id in ("p1", "p2")]
        lake.transact([Put({**group, "member": members})])
    return tmp_path / "lake"


def test_purge_and_erase_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", str(folder)]
    assert main(["purge", "Patient/p1", "--reason", "x", "--yes", *data]) == 0
    out = capsys.readouterr().out
    assert "1 Patient (1 versions)" in out
    assert "another patient's record as well and were kept: Group/g" in out
    assert main(["erase", "Group/g", "Patient/p2", "--reason", "x", *data]) == 0
    assert "1 Group, 1 Patient (2 versions)" in capsys.readouterr().out
    assert main(["verify", *data]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["purge", "Patient/p1", "--reason", "x"], "cannot be undone"),
        (["purge", "Patient/p9", "--reason", "x", "--yes"], "Patient/p9 is not known"),
        (["purge", "no id", "--reason", "x", "--yes"], "named as Patient/ID"),
        (["erase", "Patient/p1"], "needs a --reason"),
        (["erase", "--reason", "x"], "name what to erase"),
        (["erase", "Patient", "--reason", "x"], "named as TYPE/ID"),
        (["erase", "Nothing/x", "--reason", "x"], "not a resource type"),
    ],
)
def test_commands_refuse_in_one_line(
    folder: Path,
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert main([*arguments, "--data", str(folder)]) == 1
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    with Lake.open(folder) as lake:
        assert lake.stats()["resources"] == {"Group": 1, "Patient": 2}


def test_an_interrupted_erase_is_finished(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Lake.open(folder) as lake:
        copy = lake.key_copies.register(tmp_path / "safe")
    taken = copy.rename(tmp_path / "taken")
    data = ["--data", str(folder)]
    assert main(["purge", "Patient/p1", "--reason", "x", "--yes", *data]) == 1
    assert "could not be brought up to date" in capsys.readouterr().err
    taken.rename(copy)
    assert main(["erase", "--resume", *data]) == 0
    assert "1 interrupted erases finished" in capsys.readouterr().out


def test_purge_by_url(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    patient = service.patient()
    url = ["--url", service.url]
    assert main(["purge", f"Patient/{patient}", "--reason", "x", "--yes", *url]) == 0
    assert "1 Patient (1 versions)" in capsys.readouterr().out
    assert main(["erase", f"Patient/{patient}", "--reason", "x", *url]) == 1
    assert "is not known" in capsys.readouterr().err
