"""Killed and restarted; searched for plaintext: what the disk keeps and what it does not tell."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from .conftest import Service


def test_killed_service_loses_nothing_acknowledged(start_service: Callable[..., Service]) -> None:
    service = start_service("lake", "--no-nlp")
    acknowledged: list[str] = []

    def write() -> None:
        try:
            while True:
                acknowledged.append(service.patient())
        except (httpx.TransportError, AssertionError):
            return

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    while len(acknowledged) < 60:
        pass
    service.kill()
    for writer in writers:
        writer.join()
    service.start()
    for id in acknowledged:
        assert service.http.get(f"/fhir/Patient/{id}").status_code == 200
    assert service.http.get("/fhir/Patient?_count=0").json()["total"] >= len(acknowledged)


def test_terminated_service_closes_its_lake(start_service: Callable[..., Service]) -> None:
    service = start_service("lake", "--no-nlp")
    service.patient()
    service.stop()
    assert service.process.returncode == 0
    assert not (service.data / "hot.db-wal").exists()


@pytest.mark.slow
def test_notes_queued_at_a_kill_are_read_after_it(start_service: Callable[..., Service]) -> None:
    service = start_service("lake", "--no-nlp")
    patient = service.patient()
    response = service.http.post(
        f"/notes?patient={patient}",
        content="Assessment: asthma.",
        headers={"Content-Type": "text/plain"},
    )
    assert response.status_code == 201
    service.kill()
    service.options = ()
    service.start()
    service.wait("/readyz", 90)
    service.wait_read()
    assert len(service.found("Condition", patient=patient)) == 1


@pytest.mark.slow
def test_no_plaintext_on_the_disk(start_service: Callable[..., Service]) -> None:
    service = start_service("lake")
    service.wait("/readyz", 90)
    patient = service.patient(name=[{"family": "Zebrowitz", "given": ["Quentin"]}])
    service.note(patient, "Zebrowitz has gout and takes allopurinol 300 mg daily.")
    words = [b"Zebrowitz", b"Quentin", b"gout", b"allopurinol", b"Allopurinol", patient.encode()]
    seen = scan(service.data, words)
    service.kill()
    seen |= scan(service.data, words)
    assert seen == set()
    assert not any(word in service.log.read_bytes() for word in words)


def scan(folder: Path, words: list[bytes]) -> set[tuple[str, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 2
    return {(path.name, word) for path in files for word in words if word in path.read_bytes()}
