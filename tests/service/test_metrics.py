"""`/metrics` in Prometheus's text format, and the queue of notes over HTTP."""

from __future__ import annotations

import re

from .conftest import Service

_SAMPLE = re.compile(r'[a-z_:][a-z0-9_:]*(\{[a-z_]+="[^"\\]*"\})? -?[0-9.e+-]+')


def test_every_line_is_a_comment_or_a_sample(service: Service) -> None:
    patient = service.patient()
    service.note(patient, "Diabetes. Takes metformin 500 mg daily.")
    response = service.http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    for line in lines:
        assert line.startswith(("# HELP ", "# TYPE ")) or _SAMPLE.fullmatch(line), line
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(samples["chartlake_notes_read_total"]) >= 1
    assert float(samples["chartlake_notes_ready"]) == 1
    assert "chartlake_notes_unread" in samples
    assert int(samples['chartlake_resources{type="Patient"}']) >= 1


def test_queue_failures_and_retry(service: Service) -> None:
    queue = service.http.get("/nlp/queue").json()
    assert queue["state"] == "ready"
    assert {"unread", "retrying", "rereading", "characters_per_s"} <= set(queue)
    assert service.http.get("/nlp/failures").json() == {"failures": []}
    nothing = service.http.post("/nlp/retry")
    assert (nothing.status_code, nothing.json()) == (202, {"retrying": 0})
    unknown = service.http.post("/nlp/retry", params={"note": "nobody"})
    assert unknown.status_code == 404
    assert unknown.json()["resourceType"] == "OperationOutcome"
