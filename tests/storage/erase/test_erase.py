"""After an erase no reader finds it, in no way; all else is as it was."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError, Issue
from storage.audit_change import user
from storage.erase import eraser
from storage.erase.remnants import Remnants
from storage.erase.removal import SelectionChanged
from storage.erase.target import ERASE, Target
from storage.jobs import CANCELLED, COMPLETED, FAILED, RUNNING, JobCancelled
from storage.lake import Delete, Lake, Put, Version

Fill = Callable[[Lake, list[str]], None]


@pytest.fixture
def ward(lake: Lake, fill: Fill) -> Lake:
    fill(lake, ["a", "b", "c"])
    return lake


def everything(lake: Lake) -> dict[tuple[str, str, int], Version]:
    """Every version that the log yields."""
    found = lake.changes(0, limit=1_000_000)
    return {(v.resource_type, v.id, v.version_id): v for v in found}


def in_columns(lake: Lake, at: int | None = None) -> set[tuple[str, str]]:
    table = lake.sql("SELECT resource_type, id FROM resource", at=at)
    return {(row[0], row[1]) for row in table.rows()}


def assert_gone(lake: Lake, key: tuple[str, str]) -> None:
    for read in (
        lambda: lake.read(*key),
        lambda: lake.vread(*key, 1),
        lambda: lake.history(*key),
    ):
        with pytest.raises(FhirError) as failure:
            read()
        assert failure.value.category == "not-found"


def test_a_purge_takes_the_record_and_nothing_else(ward: Lake) -> None:
    before = everything(ward)
    t = ward.t
    result = ward.purge("a", reason="request 17")
    after = everything(ward)
    gone = {key[:2] for key in before} - {key[:2] for key in after}
    assert len(gone) == sum(result["resources"].values()) == 22
    assert result["versions"] == len(before) - len(after)
    assert after == {key: version for key, version in before.items() if key[:2] not in gone}
    assert all("-a" in id or id in ("a", "moved") for _, id in gone)
    for key in gone:
        assert_gone(ward, key)
    assert ward.search("Observation", [("subject", "Patient/a")]).versions == []
    assert ward.search("Patient", [("family", "familya")]).versions == []
    assert [v.id for v in ward.search("Patient", [("family", "familyb")]).versions] == ["b"]
    assert in_columns(ward).isdisjoint(gone)
    assert result["shared"]["examples"] == ["Group/ward"]
    assert result["referring"]["total"] == 1
    assert result["t"] == t + 1 == ward.t
    assert ward.verify() == []


def test_the_past_lacks_it_and_says_so(ward: Lake) -> None:
    t = ward.t
    assert ward.erasures_since(t) == ward.erasures_since(0) == 0
    gone = ward.purge("a", reason="x")["t"]
    assert ("Patient", "a") not in in_columns(ward, at=t)
    assert ("Patient", "b") in in_columns(ward, at=t)
    with pytest.raises(FhirError):
        ward.read("Patient", "a", at=t)
    assert (ward.erasures_since(t), ward.erasures_since(gone)) == (1, 0)
    ward.purge("b", reason="x")
    assert (ward.erasures_since(t), ward.erasures_since(gone)) == (2, 1)


def test_an_erase_leaves_the_rest_of_the_record(ward: Lake) -> None:
    ward.erase([("Observation", "o0-a"), ("Observation", "gone-a")], reason="wrong patient")
    assert_gone(ward, ("Observation", "o0-a"))
    assert_gone(ward, ("Observation", "gone-a"))
    assert ward.read("Patient", "a").version_id == 2
    assert ward.verify() == []


def test_the_same_id_begins_anew(ward: Lake, tmp_path: Path) -> None:
    ward.purge("a", reason="x")
    commit = ward.transact([Put({"resourceType": "Patient", "id": "a", "active": False})])
    assert commit.versions[0].version_id == 1
    assert [v.version_id for v in ward.history("Patient", "a").versions] == [1]
    ward.flush()
    assert ("Patient", "a") in in_columns(ward)
    assert ward.verify() == []


def test_no_number_is_given_twice(lake: Lake, tmp_path: Path) -> None:
    lake.transact([Put({"resourceType": "Patient", "id": "a"})])
    lake.flush()
    lake.transact([Put({"resourceType": "Patient", "id": "b"})])
    lake.purge("b", reason="x")
    t = lake.t
    path = lake.folder.path
    lake.close()
    with Lake.open(path) as again:
        assert again.t == t
        assert again.stats()["versions"] == 1
        again.transact([Put({"resourceType": "Patient", "id": "c"})])
        assert again.stats()["versions"] == 2
        assert again.changes(t)[0].id == "c"
        assert in_columns(again) == {("Patient", "a"), ("Patient", "c")}
        with again._database.reading() as connection:
            assert connection.execute("SELECT max(v) FROM version").get == 3
        assert again.verify() == []


def test_numbers_and_notes_of_it_are_gone(ward: Lake) -> None:
    result = ward.purge("a", reason="x")
    with ward._database.reading() as connection:
        packed = [row[0] for row in connection.execute("SELECT packed FROM patient ORDER BY 1")]
        assert packed == ["b", "c"]
        assert connection.execute("SELECT count(*) FROM erased_version").get == 0
        rows = list(connection.execute("SELECT t, kind, versions, reason, job FROM erasure"))
    (job,) = [row[4] for row in rows]
    assert rows == [(result["t"], "purge", result["versions"], "x", job)]
    told = ward.jobs.get(job)
    assert (told.state, told.request) == (
        COMPLETED,
        {"reason": "x", "agent": f"process:{user()}"},
    )


def test_jobs_forget_whom_they_named(ward: Lake) -> None:
    ward.erase([("Observation", "o1-a")], reason="x")
    refused = ward.eraser.accept(Target(ERASE, frozenset({("Patient", "a")})), "x")
    ward.jobs.cancel(refused.id)
    ward.purge("a", reason="y")
    with ward._database.reading() as connection:
        texts = [str(row) for row in connection.execute("SELECT request, result FROM job")]
    assert not any("-a" in text or "Patient/a" in text for text in texts)


def test_jobs_forget_names_within_texts_and_before_they_are_finished(ward: Lake) -> None:
    told = "Patient/b is referred to by Observation/o1-a. Observation/o1-ab too, and Patient/a/x"
    done, going = (ward.jobs.add("bulk-delete", {"t": 1}) for _ in range(2))
    ward.jobs.update(done.id, state=COMPLETED, result={"failure": [{"diagnostics": told}]})
    ward.jobs.update(going.id, state=RUNNING, progress={"values": {"skipped": ["Patient/a"]}})
    waiting = ward.eraser.accept(Target(ERASE, frozenset({("Observation", "o1-a")})), "x")
    ward.purge("a", reason="y")
    (kept,) = (ward.jobs.get(done.id).result or {})["failure"]
    assert kept["diagnostics"] == (
        "Patient/b is referred to by (erased). Observation/o1-ab too, and (erased)/x"
    )
    assert ward.jobs.get(going.id).progress == {"values": {"skipped": ["(erased)"]}}
    # It is told what there is of it now: nothing.
    assert ward.jobs.get(waiting.id).request["resources"] == ["Observation/o1-a"]


def test_the_rest_of_a_record_whose_patient_is_erased_can_be_purged(ward: Lake) -> None:
    ward.erase([("Patient", "a")], reason="x")
    assert ward.read("Observation", "o1-a").version_id == 1
    assert "Patient" not in ward.purge("a", reason="x")["resources"]
    assert_gone(ward, ("Observation", "o1-a"))
    with pytest.raises(FhirError, match="not known"):
        ward.purge("a", reason="x")
    assert ward.verify() == []


# What others do meanwhile


def test_no_reader_finds_it_before_the_segments_are_rewritten(
    ward: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    t = ward.t
    total = ward.search("Observation", [("code", "4548-4")]).total
    assert total is not None

    def away(_self: Any) -> int:
        raise FhirError("unavailable", [Issue("error", "transient", "The store is away.")])

    with monkeypatch.context() as patch:
        patch.setattr(Remnants, "rewrite_segments", away)
        with pytest.raises(FhirError, match="store is away"):
            ward.purge("a", reason="x")
    assert ("Patient", "a") not in in_columns(ward)
    assert ("Patient", "a") not in in_columns(ward, at=t)
    page = ward.search("Observation", [("code", "4548-4")])
    assert page.total == len(page.versions) == total - 14
    assert any("is not finished" in str(finding) for finding in ward.verify())
    (job,) = ward.eraser.unfinished()
    assert ward.eraser.finish(job).state == COMPLETED
    assert ward.verify() == []


def test_an_answer_begun_before_is_whole_or_told(ward: Lake) -> None:
    snapshot = ward.snapshot()
    segments = snapshot.segments("Observation")
    hot = snapshot.hot_rows("Observation").num_rows
    ward.purge("a", reason="x")
    for segment in segments:
        with pytest.raises((OSError, FhirError, ValueError)) as failure:
            segment.open().read()
        assert segment.failure(failure.value).category == "conflict"
        assert "erased while it was read" in str(segment.failure(failure.value))
    # Another snapshot of the same commit does not take its hot rows over.
    assert ward.snapshot(snapshot.t).hot_rows("Observation").num_rows < hot


def test_what_is_written_after_the_selection_goes_too(
    ward: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = {"resourceType": "Observation", "id": "late", "status": "final", "code": {"text": "x"}}
    select = eraser.Selector.select

    def slow(self: Any) -> Any:
        found = select(self)
        ward.transact([Put({**late, "subject": {"reference": "Patient/a"}})])
        ward.transact([Put({"resourceType": "Patient", "id": "a", "gender": "other"})])
        ward.transact([Delete("Observation", "o3-a")])
        ward.transact([Put({**late, "id": "later", "subject": {"reference": "Patient/b"}})])
        return found

    monkeypatch.setattr(eraser.Selector, "select", slow)
    ward.purge("a", reason="x")
    assert_gone(ward, ("Observation", "late"))
    assert_gone(ward, ("Patient", "a"))
    assert_gone(ward, ("Observation", "o3-a"))
    assert ward.read("Observation", "later").version_id == 1
    assert ward.verify() == []


def test_an_older_resource_that_joins_the_record_is_looked_at_again(
    ward: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    select = eraser.Selector.select

    def slow(self: Any) -> Any:
        found = select(self)
        looks.append(found.last_v)
        if len(looks) == 1:
            moved = ward.read("Observation", "o5-b").resource()
            ward.transact([Put({**moved, "subject": {"reference": "Patient/a"}})])
        return found

    monkeypatch.setattr(eraser.Selector, "select", slow)
    ward.purge("a", reason="x")
    assert len(looks) == 2
    assert_gone(ward, ("Observation", "o5-b"))
    assert ward.verify() == []


def test_what_is_written_all_the_time_is_not_erased_by_half(
    ward: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise SelectionChanged

    before = everything(ward)
    monkeypatch.setattr(eraser, "remove", never)
    with pytest.raises(FhirError, match="written to all the time"):
        ward.purge("a", reason="x")
    assert everything(ward) == before
    assert ward.eraser.unfinished() == []
    with ward._database.reading() as connection:
        assert connection.execute("SELECT state FROM job").get == FAILED


def test_readers_and_writers_go_on(ward: Lake) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []
    written = []

    def use() -> None:
        while not stop.is_set():
            try:
                written.append(ward.transact([Put({"resourceType": "Basic", "id": "z"})]).t)
                assert ward.read("Patient", "b").version_id == 2
                assert {v.id for v in ward.search("Patient", []).versions} >= {"b", "c"}
                assert ("Patient", "b") in in_columns(ward)
            except FhirError as failure:
                if failure.category != "conflict":
                    failures.append(failure)
            except BaseException as failure:
                failures.append(failure)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    ward.purge("a", reason="x")
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert written == [*sorted(set(written))] or len(set(written)) == len(written)
    assert ward.read("Basic", "z").version_id == len(written)
    assert ward.verify() == []


# The job


def test_a_job_that_is_cancelled_in_time_erases_nothing(
    ward: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(ward)
    job = ward.eraser.accept(Target(ERASE, frozenset({("Patient", "a")})), "x")
    select = eraser.Selector.select

    def cancel(self: Any) -> Any:
        found = select(self)
        ward.jobs.cancel(job.id)
        return found

    monkeypatch.setattr(eraser.Selector, "select", cancel)
    with pytest.raises(JobCancelled):
        ward.eraser.run(job.id)
    assert ward.jobs.get(job.id).state == CANCELLED
    assert everything(ward) == before
    assert ward.verify() == []


def test_past_the_removal_it_stops_between_steps_and_goes_on(ward: Lake) -> None:
    job = ward.eraser.accept(Target(ERASE, frozenset({("Observation", "o1-a")})), "x")
    for step in ("index", "patients", "database key", "datastore key", "key copies"):
        answers = iter([False, True])
        with pytest.raises(eraser.Paused):
            ward.eraser.run(job.id, lambda: next(answers))  # noqa: B023
        now = ward.jobs.get(job.id)
        assert (now.state, now.progress["step"]) == (RUNNING, step)
        with pytest.raises(FhirError, match="past the point"):
            ward.jobs.cancel(job.id)
    assert ward.eraser.run(job.id).state == COMPLETED
    assert ward.eraser.run(job.id).state == COMPLETED
    assert ward.verify() == []


def test_a_key_copy_out_of_reach_keeps_the_job_running(ward: Lake, tmp_path: Path) -> None:
    copy = ward.key_copies.register(tmp_path / "safe")
    taken = copy.rename(tmp_path / "taken")
    with pytest.raises(FhirError, match="could not be brought up to date") as failure:
        ward.purge("a", reason="x")
    assert failure.value.category == "unavailable"
    assert str(tmp_path / "safe") in str(failure.value)
    (job,) = ward.eraser.unfinished()
    assert (job.state, job.progress["step"]) == (RUNNING, "key copies")
    taken.rename(copy)
    assert ward.eraser.finish(job).state == COMPLETED
    assert copy.read_bytes() == ward.folder.keystore.read_bytes()


def test_who_keeps_something_is_told(ward: Lake) -> None:
    told: list[frozenset[tuple[str, str]]] = []
    ward.on_erase(told.append)
    ward.erase([("Observation", "o1-a")], reason="x")
    assert told == [frozenset({("Observation", "o1-a")})]


def test_an_erase_and_a_reindex_do_not_wait_for_each_other_for_ever(
    ward: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(enter: Callable[[], AbstractContextManager[Any]]) -> Any:
        @contextmanager
        def slowly() -> Iterator[None]:
            with enter():
                time.sleep(0.1)
                yield

        return slowly

    monkeypatch.setattr(ward._flusher, "paused", slow(ward._flusher.paused))
    monkeypatch.setattr(ward._rewriter, "alone", slow(ward._rewriter.alone))
    erasing = threading.Event()
    rewrite = ward.eraser._remnants.rewrite_segments
    monkeypatch.setattr(
        ward.eraser._remnants, "rewrite_segments", lambda: (erasing.set(), rewrite())[1]
    )
    both = [
        threading.Thread(target=lambda: ward.purge("a", reason="x"), daemon=True),
        threading.Thread(target=lambda: (erasing.wait(), ward.reindex()), daemon=True),
    ]
    for one in both:
        one.start()
    for one in both:
        one.join(20)
    assert not any(one.is_alive() for one in both)
    assert ward.verify() == []
