"""Reading notes when things go wrong: failures are recorded, the queue goes on, nothing doubles."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError
from schemas.validate import validate
from service.dead_letters import chosen, dead_letters, described
from service.enrich import CURSOR, Enricher
from service.ingest import Ingest
from service.note_pool import NotePool
from service.settings import load_settings
from storage.lake import Delete, Lake, Put


class ScriptedPool(NotePool):
    """A pool whose worker is a script: text → resources, an exception, or None for never."""

    def __init__(self) -> None:
        super().__init__(2, "")
        self.script: dict[str, Any] = {}
        self.calls: list[str] = []
        self.kills = 0

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if not arguments:
            future.set_result("scripted/1")
            return future
        texts, source = arguments
        self.calls.append(texts[0])
        answer = self.script.get(texts[0], [])
        if isinstance(answer, Exception):
            future.set_exception(answer)
        elif answer is not None:
            future.set_result(
                ([], [], answer) if isinstance(answer, str) else ([], derived(answer, source), "")
            )
        return future

    def kill(self) -> None:
        self.kills += 1


def derived(resources: list[dict[str, Any]], source: dict[str, Any]) -> list[dict[str, Any]]:
    """The resources with a Provenance, tagged and placed as the NLP does."""
    tag = {"system": "https://chartlake.org/fhir/CodeSystem/origin", "code": "nlp-derived"}
    meta = {"source": source["reference"], "tag": [tag]}
    note = source["reference"].partition("/")[2]
    version = f"{source['reference']}/_history/{source['version_id']}"
    targets = [{"reference": f"{r['resourceType']}/{r['id']}"} for r in resources]
    provenance = {
        "resourceType": "Provenance",
        "id": f"provenance-{note}",
        "target": targets,
        "recorded": "2025-01-01T00:00:00Z",
        "agent": [{"who": {"display": "scripted/1"}}],
        "entity": [{"role": "source", "what": {"reference": version}}],
    }
    return [{**r, "meta": meta} for r in [*resources, *([provenance] if resources else [])]]


def condition(id: str, text: str) -> dict[str, Any]:
    subject = {"reference": "Patient/p"}
    return {"resourceType": "Condition", "id": id, "subject": subject, "code": {"text": text}}


def note(text: str, id: str = "n", **more: Any) -> Put:
    attachment = {"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode()}
    return Put(
        {
            "resourceType": "DocumentReference",
            "id": id,
            "status": "current",
            "subject": {"reference": "Patient/p"},
            "content": [{"attachment": attachment}],
            **more,
        }
    )


@pytest.fixture
def enricher(tmp_path: Path) -> Iterator[Enricher]:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put({"resourceType": "Patient", "id": "p"})])
        ingest = Ingest(lake, max_note_bytes=1_000_000)
        found = Enricher(lake, ingest, load_settings({"nlp_timeout_s": 1}, environ={}))
        found._pool = found._asked = ScriptedPool()
        yield found
        found.stop()


def pool(enricher: Enricher) -> ScriptedPool:
    found = enricher._pool
    assert isinstance(found, ScriptedPool)
    return found


def conditions(lake: Lake) -> list[str]:
    return sorted(v.resource()["code"]["text"] for v in lake.search("Condition", []).versions)


def test_failure_is_recorded_and_the_queue_goes_on(enricher: Enricher) -> None:
    lake = enricher.lake
    bad = ValueError("quotes the note")
    pool(enricher).script = {
        "first": [condition("c1", "gout")],
        "bad": bad,
        "other": [condition("c2", "acne")],
    }
    lake.transact([note("first")])
    enricher.start()
    assert enricher.catch_up(20)
    assert conditions(lake) == ["gout"]
    lake.transact([note("bad")])
    lake.transact([note("other", "n2")])
    assert enricher.catch_up(20)
    assert conditions(lake) == ["acne"]
    about = [("entity", "DocumentReference/n"), ("type", "transform")]
    event = lake.search("AuditEvent", about).versions[0].resource()
    assert validate(event) == []
    assert event["outcomeDesc"].endswith("ValueError")
    recorded = lake.search("AuditEvent", [("altid", "system:nlp"), ("subtype", "nlp")])
    assert recorded.total == 3
    for id, state in (("n", "failed"), ("n2", "done")):
        found = enricher.findings(lake.read("DocumentReference", id))
        assert found["state"] == state


def test_reading_again_after_a_crash_changes_nothing(enricher: Enricher) -> None:
    lake = enricher.lake
    pool(enricher).script = {"a": [condition("c1", "gout")]}
    lake.transact([note("a")])
    enricher.start()
    assert enricher.catch_up(20)
    enricher.stop()
    t = lake.t
    lake.transact([], cursor=(CURSOR, 0))
    again = Enricher(lake, enricher.ingest, enricher.settings)
    again._pool = again._asked = pool(enricher)
    again.start()
    assert again.catch_up(20)
    again.stop()
    assert pool(enricher).calls == ["a", "a"]
    assert lake.t == t
    assert lake.read("Condition", "c1").version_id == 1


def test_many_notes_of_one_commit_are_all_read(enricher: Enricher) -> None:
    lake = enricher.lake
    pool(enricher).script = {f"note {i}": [condition(f"c{i}", f"fact {i}")] for i in range(80)}
    lake.transact([note(f"note {i}", f"n{i}") for i in range(80)])
    enricher.start()
    assert enricher.catch_up(30)
    assert len(lake.search("Condition", [("_count", "0")]).versions) == 0
    assert lake.search("Condition", [("_count", "0")]).total == 80


def test_a_note_that_never_ends_is_given_up_and_blames_no_other(enricher: Enricher) -> None:
    lake = enricher.lake
    pool(enricher).script = {"stuck": None} | {
        f"good {i}": [condition(f"c{i}", f"fact {i}")] for i in range(5)
    }
    lake.transact([note("stuck", "s")])
    for i in range(5):
        lake.transact([note(f"good {i}", f"n{i}")])
    enricher.start()
    assert enricher.catch_up(20)
    assert conditions(lake) == [f"fact {i}" for i in range(5)]
    assert pool(enricher).calls.count("stuck") == 2
    assert enricher.findings(lake.read("DocumentReference", "s"))["state"] == "failed"
    assert lake.search("AuditEvent", [("type", "transform")]).total == 1


def test_a_persons_correction_and_deletion_win(enricher: Enricher) -> None:
    lake = enricher.lake
    facts = [condition("c1", "gout"), condition("c2", "asthma"), condition("c3", "acne")]
    pool(enricher).script = {"v1": facts, "v2": facts}
    lake.transact([note("v1")])
    enricher.start()
    assert enricher.catch_up(20)
    corrected = {**lake.read("Condition", "c1").resource(), "code": {"text": "corrected"}}
    lake.transact([Put(corrected), Delete("Condition", "c2")])
    lake.transact([note("v2")])
    assert enricher.catch_up(20)
    assert conditions(lake) == ["acne", "corrected"]


def test_facts_come_back_with_a_note_that_says_them_again(enricher: Enricher) -> None:
    lake = enricher.lake
    pool(enricher).script = {"yes": [condition("c1", "gout")], "no": []}
    enricher.start()
    for text, found in (("yes", ["gout"]), ("no", []), ("yes", ["gout"])):
        lake.transact([note(text)])
        assert enricher.catch_up(20)
        assert conditions(lake) == found


@pytest.mark.parametrize(
    "more",
    [
        {"status": "entered-in-error"},
        {"status": "superseded"},
        {"docStatus": "entered-in-error"},
        {"subject": {"reference": "http://other.example/fhir/Patient/p"}},
    ],
)
def test_withdrawn_and_foreign_notes_yield_no_facts(
    enricher: Enricher, more: dict[str, Any]
) -> None:
    lake = enricher.lake
    pool(enricher).script = {"a": [condition("c1", "gout")]}
    lake.transact([note("a")])
    enricher.start()
    assert enricher.catch_up(20)
    assert conditions(lake) == ["gout"]
    lake.transact([note("a", **more)])
    assert enricher.catch_up(20)
    assert conditions(lake) == []
    assert enricher.findings(lake.read("DocumentReference", "n"))["state"] == "unread"


def test_a_failed_note_is_listed_until_a_retry_reads_it(enricher: Enricher) -> None:
    lake = enricher.lake
    pool(enricher).script = {"bad": ValueError("quotes the note"), "fine": []}
    lake.transact([note("bad"), note("fine", "n2")])
    enricher.start()
    assert enricher.catch_up(20)
    letters = [described(*letter) for letter in dead_letters(lake)]
    assert [(one["note"], one["version"], one["reason"]) for one in letters] == [
        ("DocumentReference/n", "1", "ValueError")
    ]
    assert "quotes" not in str(letters)
    # It fails again: still one record, and still listed.
    assert enricher.retry(chosen(lake, [])) == 1
    assert enricher.catch_up(20)
    assert pool(enricher).calls.count("bad") == 2
    assert len(list(dead_letters(lake))) == 1
    # Mended meanwhile (a newer pipeline, more memory).
    pool(enricher).script["bad"] = [condition("c1", "gout")]
    assert enricher.retry(chosen(lake, ["DocumentReference/n"])) == 1
    assert enricher.catch_up(20)
    assert conditions(lake) == ["gout"]
    assert list(dead_letters(lake)) == []
    assert enricher.findings(lake.read("DocumentReference", "n"))["state"] == "done"
    with pytest.raises(FhirError) as refused:
        chosen(lake, ["n"])
    assert refused.value.category == "not-found"


def test_failures_of_older_versions_are_history(enricher: Enricher) -> None:
    lake = enricher.lake
    pool(enricher).script = {"bad": ValueError(), "good": []}
    lake.transact([note("bad")])
    enricher.start()
    assert enricher.catch_up(20)
    lake.transact([note("good")])
    assert enricher.catch_up(20)
    assert list(dead_letters(lake)) == []
    lake.transact([note("bad", "gone")])
    assert enricher.catch_up(20)
    assert len(list(dead_letters(lake))) == 1
    lake.transact([Delete("DocumentReference", "gone")])
    assert enricher.catch_up(20)
    assert list(dead_letters(lake)) == []


def test_rereading_supersedes_what_an_older_pipeline_found(enricher: Enricher) -> None:
    lake = enricher.lake
    script = {f"note {i}": [condition(f"c{i}", f"old {i}")] for i in range(10)}
    pool(enricher).script = script | {"v1": []}
    lake.transact([note(f"note {i}", f"n{i}") for i in range(10)] + [note("v1", "changed")])
    enricher.start()
    assert enricher.catch_up(20)
    lake.transact([note("note 9", "changed")])
    assert enricher.catch_up(20)
    pool(enricher).script |= {f"note {i}": [condition(f"c{i}", f"new {i}")] for i in range(5)}
    pool(enricher).calls.clear()
    assert enricher.reread() == 12
    assert enricher.catch_up(20)
    assert conditions(lake) == sorted(
        [f"new {i}" for i in range(5)] + [f"old {i}" for i in range(5, 10)]
    )
    # The superseded version was not read again; what is found unchanged has no new version.
    assert "v1" not in pool(enricher).calls
    assert lake.read("Condition", "c7").version_id == 1
    assert lake.read("Condition", "c2").version_id == 2
    assert enricher.rereading() == 0


def test_rereading_goes_on_after_a_stop_and_new_notes_go_first(enricher: Enricher) -> None:
    lake = enricher.lake
    pool(enricher).script = {f"note {i}": [] for i in range(30)}
    for i in range(30):
        lake.transact([note(f"note {i}", f"n{i}")])
    enricher.start()
    assert enricher.catch_up(20)
    enricher.stop()
    enricher.reread()
    assert enricher.rereading() == 30
    again = Enricher(lake, enricher.ingest, enricher.settings)
    again._pool = again._asked = pool(enricher)
    pool(enricher).calls.clear()
    lake.transact([note("fresh", "fresh")])
    again.start()
    assert again.catch_up(20)
    again.stop()
    assert pool(enricher).calls[0] == "fresh"
    assert sorted(pool(enricher).calls[1:]) == sorted(f"note {i}" for i in range(30))
    assert again.rereading() == 0
    assert again.rate.notes == 31


def test_a_note_in_another_language_says_so(enricher: Enricher) -> None:
    lake = enricher.lake
    pool(enricher).script = {"english": [condition("c1", "gout")], "espanol": "not-supported (es)"}
    lake.transact([note("english")])
    enricher.start()
    assert enricher.catch_up(20)
    lake.transact([note("espanol")])
    assert enricher.catch_up(20)
    assert conditions(lake) == []
    found = enricher.findings(lake.read("DocumentReference", "n"))
    assert (found["state"], found["reason"]) == ("failed", "not-supported (es)")
    assert [described(*letter)["reason"] for letter in dead_letters(lake)] == ["not-supported (es)"]
