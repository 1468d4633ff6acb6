"""Reading notes when things go wrong: failures are recorded, the queue goes on, nothing doubles."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from schemas.validate import validate
from service.enrich import CURSOR, Enricher
from service.ingest import Ingest
from service.settings import load_settings
from storage.lake import Lake, Put


class ScriptedEnricher(Enricher):
    """An enricher whose worker process is a script: text → resources, or an exception."""

    script: dict[str, Any]
    calls: list[str]

    def _submit(self, function: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if not arguments:
            future.set_result("scripted/1")
            return future
        texts, source = arguments
        self.calls.append(texts[0])
        answer = self.script.get(texts[0], [])
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(([], [{**r, "meta": _meta(source)} for r in answer]))
        return future


def _meta(source: dict[str, Any]) -> dict[str, Any]:
    tag = {"system": "https://chartlake.org/fhir/CodeSystem/origin", "code": "nlp-derived"}
    return {"source": source["reference"], "tag": [tag]}


def condition(id: str, text: str) -> dict[str, Any]:
    subject = {"reference": "Patient/p"}
    return {"resourceType": "Condition", "id": id, "subject": subject, "code": {"text": text}}


def note(text: str, id: str = "n") -> Put:
    attachment = {"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode()}
    return Put(
        {
            "resourceType": "DocumentReference",
            "id": id,
            "status": "current",
            "subject": {"reference": "Patient/p"},
            "content": [{"attachment": attachment}],
        }
    )


@pytest.fixture
def enricher(tmp_path: Path) -> Iterator[ScriptedEnricher]:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put({"resourceType": "Patient", "id": "p"})])
        ingest = Ingest(lake, max_note_bytes=1_000_000)
        found = ScriptedEnricher(lake, ingest, load_settings({}, environ={}))
        found.script, found.calls = {}, []
        yield found
        found.stop()


def conditions(lake: Lake) -> list[str]:
    return sorted(v.resource()["code"]["text"] for v in lake.search("Condition", []).versions)


def test_failure_is_recorded_and_the_queue_goes_on(enricher: ScriptedEnricher) -> None:
    lake = enricher.lake
    enricher.script = {"good": [condition("c1", "gout")], "bad": ValueError("quotes the note")}
    lake.transact([note("good")])
    enricher.start()
    assert enricher.catch_up(20)
    assert conditions(lake) == ["gout"]
    lake.transact([note("bad")])
    lake.transact([note("good", "n2")])
    assert enricher.catch_up(20)
    assert conditions(lake) == ["gout"]
    assert lake.read("Condition", "c1").resource()["meta"]["source"] == "DocumentReference/n2"
    event = lake.search("AuditEvent", [("entity", "DocumentReference/n")]).versions[0].resource()
    assert validate(event) == []
    assert event["outcomeDesc"].endswith("ValueError")
    state = {
        id: enricher.findings(lake.read("DocumentReference", id))["state"] for id in ("n", "n2")
    }
    assert state == {"n": "failed", "n2": "done"}


def test_reading_again_changes_nothing(enricher: ScriptedEnricher) -> None:
    lake = enricher.lake
    enricher.script = {"a": [condition("c1", "gout")]}
    lake.transact([note("a")])
    enricher.start()
    assert enricher.catch_up(20)
    t = lake.t
    lake.transact([], cursor=(CURSOR, 0))
    assert enricher.catch_up(20)
    assert enricher.calls == ["a", "a"]
    assert lake.t == t
    assert lake.read("Condition", "c1").version_id == 1


def test_many_notes_of_one_commit_are_all_read(enricher: ScriptedEnricher) -> None:
    lake = enricher.lake
    enricher.script = {f"note {i}": [condition(f"c{i}", f"fact {i}")] for i in range(80)}
    lake.transact([note(f"note {i}", f"n{i}") for i in range(80)])
    enricher.start()
    assert enricher.catch_up(30)
    assert len(lake.search("Condition", [("_count", "0")]).versions) == 0
    assert lake.search("Condition", [("_count", "0")]).total == 80
