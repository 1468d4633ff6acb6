"""Prepared segments: what is stored so is what a transaction stores, and nothing by halves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.parse import canonical_bytes
from storage.bulk.prepared import PreparedSegment
from storage.bulk.preparing import Accepted, prepare_segment
from storage.bulk.storing import BulkCommit
from storage.jobs import JobCancelled
from storage.lake import Delete, Lake, OvertakenError, Put
from storage.writer import Writer

Make = Callable[..., dict[str, Any]]


def prepared(lake: Lake, resources: list[dict[str, Any]]) -> PreparedSegment:
    kind = resources[0]["resourceType"]
    encoded = [canonical_bytes(one) for one in resources]
    accepted = [
        Accepted(dict(one), body, n)
        for n, (one, body) in enumerate(zip(resources, encoded, strict=True))
    ]
    return prepare_segment(kind, accepted, lake._index_rows, lake.definitions_count)


def store(lake: Lake, *kinds: list[dict[str, Any]], **more: Any) -> BulkCommit:
    return lake.store_segments([prepared(lake, one) for one in kinds], **more)


def observations(make: Make, count: int, **more: Any) -> list[dict[str, Any]]:
    return [make(f"o{n}", patient=f"p{n % 7}", **more) for n in range(count)]


def without_moment(body: bytes) -> bytes:
    begin = body.index(b'"lastUpdated":"') + 15
    return body[:begin] + body[begin + 24 :]


METAS: list[dict[str, Any]] = [
    {},
    {"meta": {}},
    {"meta": {"versionId": "9", "lastUpdated": "2001-01-01T00:00:00Z"}},
    {"meta": {"source": "#a", "versionId": "9", "profile": ["http://example.org/p"]}},
    {"meta": {"tag": [{"system": "urn:a", "code": 'x"versionId":"1"'}]}},
    {"valueQuantity": {"value": Decimal("1.50"), "unit": "é\n"}},
]


def test_bodies_are_those_that_a_transaction_stores(
    tmp_path: Path, lake: Lake, observation: Make
) -> None:
    given = [observation(f"o{n}", **more) for n, more in enumerate(METAS)]
    late = {"status": "final", "resourceType": "Observation", "id": "late", "code": {"text": "a"}}
    store(lake, [*given, late])
    with Lake.open(tmp_path / "other") as other:
        other.transact([Put(one) for one in (*given, late)])
        for one in (*given, late):
            mine, theirs = (x.read("Observation", one["id"]) for x in (lake, other))
            assert without_moment(mine.body) == without_moment(theirs.body)
            assert mine.resource()["meta"]["lastUpdated"] == mine.last_updated.isoformat(
                timespec="milliseconds"
            ).replace("+00:00", "Z")
    assert lake.verify() == []


def test_one_commit_has_all_types_and_all_that_finds_them(
    lake: Lake, patient: Make, observation: Make, found: Callable[..., list[str]]
) -> None:
    made = store(lake, [patient(f"p{n}") for n in range(7)], observations(observation, 40))
    assert (made.t, lake.t, lake.stats()["hot_rows"]) == (1, 1, 0)
    assert [numbers.tolist() for numbers in made.versions] == [[1] * 7, [1] * 40]
    assert lake.search("Observation", [("patient", "p3"), ("code", "4548-4")]).total == 6
    assert found(lake, "Patient", ("_id", "p2")) == ["p2"]
    assert lake.search("Observation", [("_lastUpdated", "lt2001")]).total == 0
    assert lake.history("Observation").total == 40
    assert len(lake.changes(0)) == 47
    assert lake.sql("SELECT count(*) FROM observation WHERE code = '4548-4'").rows()[0][0] == 40
    assert lake.search("AuditEvent", [("entity", "Observation/o39")]).total == 1
    assert lake.search("AuditEvent", [("patient", "Patient/p6")]).total == 1
    assert lake.verify() == []


def test_what_is_there_gets_its_next_version_unless_it_says_the_same(
    lake: Lake, observation: Make, found: Callable[..., list[str]]
) -> None:
    first = observations(observation, 30)
    store(lake, first)
    lake.transact([Put(observation("hot", code="1-1")), Delete("Observation", "o4")])
    again = store(lake, first)  # All the same, but for what was deleted.
    assert sorted(again.versions[0].tolist()) == [0] * 29 + [3]
    changed = [observation("o1", code="2-2"), observation("hot", code="2-2"), *first[5:]]
    made = store(lake, changed)
    assert sorted(made.versions[0].tolist()) == [0] * 25 + [2, 2]
    assert sorted(found(lake, "Observation", ("code", "2-2"))) == ["hot", "o1"]
    assert found(lake, "Observation", ("code", "1-1")) == []
    assert found(lake, "Observation", ("code", "1-1"), at=made.t - 1) == ["hot"]
    assert lake.vread("Observation", "o1", 1).resource()["code"]["coding"][0]["code"] == "4548-4"
    assert store(lake, changed).t == made.t == lake.t
    assert lake.search("Observation", []).total == 31
    assert lake.verify() == []


def test_commits_of_others_come_before_or_after(
    lake: Lake, patient: Make, observation: Make
) -> None:
    stop = threading.Event()
    stored: list[str] = []

    def write() -> None:
        while not stop.is_set():
            id = f"w{len(stored)}"
            lake.transact([Put(observation(id))])
            stored.append(id)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for turn in range(6):
            rows = [observation(f"b{turn}-{n}", code=f"{turn}-1") for n in range(50)]
            store(lake, rows, [patient(f"x{turn}")])
    finally:
        stop.set()
        thread.join()
    assert lake.search("Observation", [("_total", "accurate")]).total == 300 + len(stored)
    assert lake.verify() == []


def test_a_failure_leaves_nothing(
    tmp_path: Path, lake: Lake, observation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any) -> None:
        raise OSError(28, "full")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "run_at", fail)
        with pytest.raises(OSError, match="full"):
            store(lake, observations(observation, 20), cursor=("import", 1))
    assert (lake.t, lake.cursor("import"), lake.stats()["segments"]) == (0, 0, 0)
    assert not list((tmp_path / "lake").rglob("*.parquet"))
    store(lake, observations(observation, 20), cursor=("import", 1))
    assert lake.cursor("import") == 1
    assert lake.verify() == []


def test_numbers_that_were_taken_meanwhile_are_not_used(
    lake: Lake, patient: Make, observation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_at, taken = Writer.run_at, []

    def overtaken(writer: Writer, work: Any) -> Any:
        if not taken:
            taken.append(1)
            # As an erase does, which is no commit of others that could be kept waiting.
            writer.transact([*_prepared_patient(lake, patient)])
        return run_at(writer, work)

    monkeypatch.setattr(Writer, "run_at", overtaken)
    assert store(lake, observations(observation, 20)).t == 2
    assert lake.read("Observation", "o0").t == 2
    monkeypatch.undo()
    # All is in order, but for the commit that this test made without an audit event.
    assert [finding.place for finding in lake.verify()] == ["audit"]


def _prepared_patient(lake: Lake, patient: Make) -> list[Any]:
    from storage.operations import prepare

    return prepare([Put(patient("taker"))], lake._index_rows)


def test_how_far_a_job_is_goes_with_the_commit(lake: Lake, observation: Make) -> None:
    job = lake.jobs.add("import", {})
    lake.jobs.update(job.id, state="running")
    store(lake, observations(observation, 5), progress=(job.id, {"line": 5}))
    assert lake.jobs.get(job.id).progress == {"line": 5}
    t = lake.t
    store(lake, observations(observation, 5), progress=(job.id, {"line": 10}))
    assert (lake.jobs.get(job.id).progress, lake.t) == ({"line": 10}, t)
    lake.jobs.cancel(job.id)
    with pytest.raises(JobCancelled):
        store(lake, observations(observation, 9, code="3-3"), progress=(job.id, {"line": 15}))
    assert lake.t == t
    assert lake.verify() == []


def test_blocks_made_by_other_search_parameters_are_refused(lake: Lake, observation: Make) -> None:
    made = prepared(lake, observations(observation, 3))
    made.definitions += 1
    with pytest.raises(OvertakenError):
        lake.store_segments([made])
    assert lake.t == 0


def test_guards_from_before_are_overtaken(lake: Lake, observation: Make) -> None:
    matches = lake.find("Observation", [("identifier", "urn:a|1")])
    identified = observation("i", identifier=[{"system": "urn:a", "value": "1"}])
    store(lake, [identified, *observations(observation, 3)])
    with pytest.raises(OvertakenError):
        lake.transact([Put(observation("j"))], guards=[matches.guard])


def test_erase_and_compaction_see_it_as_any_other(
    lake: Lake, patient: Make, observation: Make
) -> None:
    for turn in range(3):
        rows = [observation(f"o{turn}-{n}", patient=f"p{n % 7}") for n in range(60)]
        store(lake, rows, [patient(f"p{n}", active=bool(turn % 2)) for n in range(7)])
    lake.compact()
    before = lake.t
    lake.purge("p3", reason="asked for")
    assert lake.search("Observation", [("patient", "p3")]).total == 0
    assert lake.search("Observation", [], at=before).total == 180 - 27
    assert lake.verify() == []
    lake.reindex()
    assert lake.search("Observation", [("patient", "p2")]).total == 27
    assert lake.verify() == []


def test_it_is_there_after_the_lake_was_closed(
    tmp_path: Path, observation: Make, found: Callable[..., list[str]]
) -> None:
    with Lake.open(tmp_path / "one") as lake:
        store(lake, observations(observation, 20), cursor=("import", 20))
        lake.backup(tmp_path / "copy")
    with Lake.open(tmp_path / "one", read_only=True) as lake:
        assert lake.cursor("import") == 20
        assert lake.search("Observation", [("patient", "p1")]).total == 3
        assert lake.verify() == []
