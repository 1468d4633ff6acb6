"""SQL, cohorts and timelines over a real lake: hot, flushed, at any commit, encrypted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage.analytics.column_cache import CACHE
from storage.lake import Delete, Lake, Put

from .fhir_samples import condition, medication_request, mention, observation, patient

DIABETES = {
    "name": "diabetes",
    "include": [
        {"condition": {"codes": [{"system": "icd10cm", "code": "E11", "descendants": True}]}},
        {
            "observation": {
                "codes": ["loinc|4548-4"], "select": "latest", "value": {"gt": 8, "unit": "%"},
            }
        },
    ],
    "exclude": [{"medication": {"text": "insulin"}}],
}  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake.open(tmp_path / "lake") as lake:
        yield lake


def put(lake: Lake, *resources: dict[str, Any]) -> int:
    return lake.transact([Put(resource) for resource in resources]).t


def fill(lake: Lake, *, flush: bool) -> list[int]:
    """Three commits, after each of which the answers differ."""
    commits = [
        put(
            lake,
            patient("a", birthDate="1960-01-01"), patient("b"), patient("c"),
            condition("c1", "a", "E11.9", onsetDateTime="2019"), condition("c2", "b", "E11.65"),
            observation("o1", "a", 9, "%", when="2020-01-01"),
            observation("o2", "b", 9, "%", when="2020-01-01"),
            medication_request("m1", "b", "Insulin glargine", authoredOn="2020-01-02"),
        )
    ]  # fmt: skip
    if flush:
        lake.flush()
    commits.append(
        put(
            lake,
            observation("o3", "a", 7, "%", when="2021-01-01"),
            medication_request("m1", "b", "Insulin glargine", status="stopped"),
        )
    )
    if flush:
        lake.flush()
    commits.append(
        lake.transact([Delete("Observation", "o3"), Delete("Condition", "c2"), Put(patient("d"))]).t
    )
    return commits


def answers(lake: Lake, t: int) -> dict[str, Any]:
    found = lake.cohort(DIABETES, at=t)
    counted = lake.sql("SELECT resource_type, count(*) n FROM resource GROUP BY 1 ORDER BY 1", at=t)
    return {
        "members": [m["patient_id"] for m in found.members],
        "attrition": [step["count"] for step in found.attrition],
        "counted": dict(counted.rows()),
        "observations": lake.sql(
            "SELECT id, value_number, t FROM observation ORDER BY id", at=t
        ).rows(),
        "timeline": [(e.reference, e.status) for e in lake.timeline("a", at=t)],
    }


@pytest.mark.parametrize("flush", [False, True])
def test_every_commit_can_be_asked(lake: Lake, flush: bool) -> None:
    first, second, third = fill(lake, flush=flush)
    for _ in range(2):
        assert answers(lake, first) == {
            "members": ["a"],
            "attrition": [3, 2, 2, 1],
            "counted": {"Condition": 2, "MedicationRequest": 1, "Observation": 2, "Patient": 3},
            "observations": [("o1", 9.0, first), ("o2", 9.0, first)],
            "timeline": [
                ("Patient/a", None), ("Condition/c1", "active"), ("Observation/o1", "final"),
            ],
        }  # fmt: skip
        assert answers(lake, second)["members"] == ["b"]
        assert answers(lake, second)["observations"][2] == ("o3", 7.0, second)
        assert answers(lake, third) == {
            "members": ["a"],
            "attrition": [4, 1, 1, 1],
            "counted": {"Condition": 1, "MedicationRequest": 1, "Observation": 2, "Patient": 4},
            "observations": [("o1", 9.0, first), ("o2", 9.0, first)],
            "timeline": [
                ("Patient/a", None), ("Condition/c1", "active"), ("Observation/o1", "final"),
            ],
        }  # fmt: skip
        lake.flush()


def test_what_is_acknowledged_is_in_the_next_answer(lake: Lake) -> None:
    for n in range(1, 20):
        put(lake, patient("a"), observation(f"o{n}", "a", n, "%"))
        if n % 7 == 0:
            lake.flush()
        assert lake.sql("SELECT count(*), max(value_number) FROM observation").rows() == [(n, n)]
        assert len(lake.timeline("a", types=["Observation"])) == n


def test_bodies_are_what_was_stored(lake: Lake) -> None:
    put(lake, patient("a", name=[{"family": "Doe"}]))
    for _ in range(2):
        ((body,),) = lake.sql("SELECT body FROM patient").rows()
        assert body.encode() == lake.read("Patient", "a").body
        lake.flush()


def test_note_and_record_are_one_event(lake: Lake) -> None:
    note = {
        "resourceType": "DocumentReference", "id": "n1", "status": "current",
        "subject": {"reference": "Patient/a"}, "date": "2020-01-02T00:00:00Z",
        "content": [{"attachment": {"contentType": "text/plain"}}],
    }  # fmt: skip
    put(
        lake,
        patient("a"), note,
        condition("c1", "a", "E11.9", onsetDateTime="2020-01-01"),
        mention(condition("d1", "a", "E11.9")),
        mention(condition("d2", "a", "I10"), "NEGATED"),
    )  # fmt: skip
    found = {e.reference: e for e in lake.timeline("a")}
    assert found["Condition/c1"].also_in == ("Condition/d1",)
    assert found["Condition/d2"].status == "negated"
    assert lake.sql("SELECT id FROM nlp_entity ORDER BY id").rows() == [("d1",), ("d2",)]


def test_errors_are_fhir_errors(lake: Lake) -> None:
    put(lake, patient("a"))
    for ask, category in (
        (lambda: lake.sql("DROP VIEW patient"), "not-supported"),
        (lambda: lake.sql("SELECT * FROM nowhere"), "invalid"),
        (lambda: lake.cohort({}), "invalid"),
        (lambda: lake.timeline("z"), "not-found"),
    ):
        with pytest.raises(FhirError) as caught:
            ask()
        assert caught.value.category == category


def test_answers_leave_no_plaintext_behind(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    put(lake, patient("a", name=[{"family": "Zyzzyva"}]), condition("c", "a", "E11.9"))
    lake.flush()
    lake.sql("SELECT * FROM patient JOIN condition USING (patient_id) ORDER BY family")
    lake.cohort(DIABETES)
    lake.timeline("a")
    assert list(elsewhere.iterdir()) == []
    for path in (tmp_path / "lake").rglob("*"):
        if path.is_file():
            assert b"Zyzzyva" not in path.read_bytes(), path


def test_a_closed_lake_leaves_no_decrypted_columns_in_memory(tmp_path: Path) -> None:
    CACHE.forget("")
    with Lake.open(tmp_path / "lake") as lake:
        fill(lake, flush=True)
        lake.sql("SELECT count(code) FROM condition")
        assert CACHE.bytes > 0
    assert CACHE.bytes == 0
