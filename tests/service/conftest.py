"""A real service process for the tests of the edge."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

FHIR = {"Content-Type": "application/fhir+json"}


class Service:
    """One `chartlake serve` process on a free loopback port."""

    def __init__(self, data: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.data = data
        self.options = options
        self.env = {**os.environ, **(env or {})}
        self.start()

    def start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", "service.cli", "serve", "--data", str(self.data)]
        self.log = self.data.parent / f"{self.data.name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), *self.options],
                env=self.env,
                stdout=log,
                stderr=log,
            )
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=60)
        self.wait("/healthz")

    def wait(self, path: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(self.log.read_text("utf-8", "replace")[-2000:])
            try:
                if self.http.get(path).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"{path} did not become ready")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.http.close()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        self.http.close()

    def post(self, resource: dict[str, Any], **headers: str) -> httpx.Response:
        return self.http.post(
            f"/fhir/{resource['resourceType']}", json=resource, headers={**FHIR, **headers}
        )

    def patient(self, **more: Any) -> str:
        resource = {"resourceType": "Patient", "gender": "female", **more}
        response = self.post(resource)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def note(self, patient: str, text: str, wait: int = 30) -> dict[str, Any]:
        """Post a note, wait until it is read, and return its findings with the note's id."""
        response = self.http.post(
            f"/notes?patient={patient}",
            content=text.encode(),
            headers={"Content-Type": "text/plain; charset=utf-8"},
        )
        assert response.status_code == 201, response.text
        id = response.json()["id"]
        findings = self.http.get(f"/notes/{id}/findings", params={"wait": wait}).json()
        assert findings["state"] == "done", findings
        return {"id": id, **findings}

    def wait_read(self, seconds: float = 60) -> None:
        """Wait until every stored note is read."""
        deadline = time.monotonic() + seconds
        while self.http.get("/status").json()["notes_unread"]:
            assert time.monotonic() < deadline, "notes are still unread"
            time.sleep(0.05)

    def found(self, path: str, **params: str) -> list[dict[str, Any]]:
        """Matches of a search."""
        response = self.http.get(f"/fhir/{path}", params=params)
        assert response.status_code == 200, response.text
        return [
            entry["resource"]
            for entry in response.json().get("entry", [])
            if entry["search"]["mode"] == "match"
        ]


def assert_outcome(
    response: httpx.Response, status: int, expression: str | None = None
) -> dict[str, Any]:
    """The one shape of every error answer: an OperationOutcome as FHIR JSON, naming the place."""
    assert response.status_code == status, (response.status_code, response.text)
    assert response.headers["content-type"].startswith("application/fhir+json")
    outcome: dict[str, Any] = response.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["diagnostics"]
    if expression is not None:
        places = [place for issue in outcome["issue"] for place in issue.get("expression", [])]
        assert expression in places, places
    assert "Traceback" not in response.text
    return outcome


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service that reads notes; shared by the tests, each with its own patients."""
    running = Service(tmp_path_factory.mktemp("service") / "lake")
    running.wait("/readyz", 90)
    yield running
    running.stop()


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts further services; all are stopped at the test's end."""
    started: list[Service] = []

    def start(name: str = "lake", *options: str, **env: str) -> Service:
        started.append(Service(tmp_path / name, *options, env=env))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            running.kill()
