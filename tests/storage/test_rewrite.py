"""Rewriting segments: readers see the same before, meanwhile and after; an erase sees to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from schemas.outcomes import FhirError
from storage import index, rewrite, segment_columns, segments, settling, writer
from storage.lake import Delete, Lake, Put
from storage.rewrite import Rewriting

Make = Callable[..., dict[str, Any]]


def fill(lake: Lake, observation: Make, flushes: int = 4, each: int = 6) -> None:
    """Some flushed segments of Observations of three patients, with updates and a deletion."""
    for flush in range(flushes):
        lake.transact(
            [
                Put(observation(f"o{flush}-{n}", patient=f"p{n % 3}", effectiveDateTime=f"202{n}"))
                for n in range(each)
            ]
        )
        lake.transact([Put(observation("o0-0", patient="p0", status="amended"))])
        lake.flush()
    lake.transact([Delete("Observation", "o0-1")])
    lake.flush()


def everything(lake: Lake) -> list[tuple[Any, ...]]:
    return [
        (v.t, v.resource_type, v.id, v.version_id, v.deleted, v.method, v.last_updated, v.body)
        for v in lake.changes(0, limit=10_000)
    ]


def segment_ids(lake: Lake, state: int = 1) -> list[int]:
    with lake._database.reading() as connection:
        return [
            id
            for (id,) in connection.execute(
                "SELECT id FROM segment WHERE state = ? ORDER BY id", (state,)
            )
        ]


def versions_of(lake: Lake, id: str) -> list[int]:
    with lake._database.reading() as connection:
        return [v for (v,) in connection.execute("SELECT v FROM version WHERE id = ?", (id,))]


def forget(vs: list[int]) -> Callable[[apsw.Connection], None]:
    """What an erase does with the rows of versions, in the transaction of the rewrite."""

    def also(connection: apsw.Connection) -> None:
        for v in vs:
            for one in index.TABLES:
                connection.execute(f"DELETE FROM {one.NAME} WHERE v = ?", (v,))
            connection.execute(
                "UPDATE resource_count SET count = count - 1 WHERE type = "
                "(SELECT type FROM version WHERE v = ? AND t_end IS NULL AND NOT deleted)",
                (v,),
            )
        connection.executemany("DELETE FROM version WHERE v = ?", [(v,) for v in vs])

    return also


def files_of(lake: Lake) -> list[str]:
    return lake._segments.files.list()


COUNTS = "SELECT patient_id, status, count(*) AS n FROM observation GROUP BY ALL ORDER BY ALL"


def test_readers_see_the_same_before_and_after(
    lake: Lake, observation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "SETTLE_ROWS", 3)
    monkeypatch.setattr(segments, "_MIN_GROUP_ROWS", 4)
    monkeypatch.setattr(segments, "_MAX_GROUP_ROWS", 4)
    fill(lake, observation)
    lake.transact([Put(observation("hot"))])
    before, counts = everything(lake), lake.sql(COUNTS).rows()
    held = lake.snapshot()
    past = lake.sql(COUNTS, at=3).rows()
    assert len(held.segments("Observation")) == 5
    lake._rewriter.rewrite([Rewriting("Observation", segment_ids(lake))])
    (segment,) = lake.snapshot().segments("Observation")
    table = segment.open().read()
    assert table.equals(segment_columns.sorted_by_patient("Observation", table))
    assert everything(lake) == before
    assert lake.sql(COUNTS).rows() == counts
    assert lake.sql(COUNTS, at=3).rows() == past
    assert sum(part.open().read().num_rows for part in held.segments("Observation")) == segment.rows
    assert lake.verify() == []
    assert lake.stats()["hot_rows"] == 1


def test_a_run_is_cut_into_files_of_disjoint_patients(
    lake: Lake, observation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "_MIN_GROUP_ROWS", 2)
    monkeypatch.setattr(segments, "_MAX_GROUP_ROWS", 2)
    monkeypatch.setattr(rewrite, "TARGET_ROWS", 6)
    fill(lake, observation)
    before = everything(lake)
    lake._rewriter.rewrite([Rewriting("Observation", segment_ids(lake))])
    parts = lake.snapshot().segments("Observation")
    assert [part.rows for part in parts] == [6, 6, 6, 6, 5]
    patients = [part.open().read(["patient_id"])["patient_id"].to_pylist() for part in parts]
    joined = [patient for part in patients for patient in part]
    assert joined == sorted(joined)
    with lake._database.reading() as connection:
        runs = connection.execute("SELECT count(DISTINCT run) FROM segment WHERE state = 1").get
    assert runs == 1
    assert everything(lake) == before
    assert lake.verify() == []


def test_old_files_go_when_no_snapshot_has_them_and_the_grace_is_over(
    lake: Lake, observation: Make
) -> None:
    fill(lake, observation)
    held = lake.snapshot()
    rows = sum(segment.rows for segment in held.segments("Observation"))
    lake._rewriter.rewrite([Rewriting("Observation", segment_ids(lake))])
    assert len(files_of(lake)) == 6
    assert lake._retirement.remove() == 0
    assert lake._retirement.remove(grace_s=0) == 0
    assert sum(part.open().read().num_rows for part in held.segments("Observation")) == rows
    del held
    assert lake._retirement.remove(grace_s=0) == 5
    assert len(files_of(lake)) == 1
    assert segment_ids(lake, 2) == []
    assert lake.verify() == []


def test_a_closed_snapshot_holds_nothing(lake: Lake, observation: Make) -> None:
    fill(lake, observation)
    held = lake.snapshot()
    held.segments("Observation")
    held.close()
    lake._rewriter.rewrite([Rewriting("Observation", segment_ids(lake))])
    assert lake._retirement.remove(grace_s=0) == 5


def test_an_erase_takes_versions_and_files_at_once_and_tells_readers(
    lake: Lake, observation: Make
) -> None:
    fill(lake, observation)
    lake.sql("SELECT count(code) FROM observation")
    held = lake.snapshot()
    parts = held.segments("Observation")
    gone = versions_of(lake, "o0-0")
    before = everything(lake)
    lake._rewriter.rewrite(
        [Rewriting("Observation", segment_ids(lake))], gone, also=forget(gone), erase=True
    )
    assert lake._retirement.remove() == 5
    assert everything(lake) == [row for row in before if row[2] != "o0-0"]
    assert len(files_of(lake)) == 1
    for part in parts:
        with pytest.raises(OSError) as failure:
            part.open()
        assert part.failure(failure.value).category == "conflict"
    from storage.analytics import sql

    for query in ("SELECT count(code) FROM observation", "SELECT body FROM observation"):
        with pytest.raises(FhirError) as told:
            sql.run(held, query)
        assert told.value.category == "conflict"
        assert "erased while it was read" in told.value.issues[0].diagnostics
    assert lake.sql("SELECT count(*) FROM observation WHERE id = 'o0-0'").rows() == [(0,)]
    lake._hot_tables.forget()
    assert lake.verify() == []


def test_a_reader_in_an_older_transaction_is_told_of_the_erase(
    lake: Lake, observation: Make
) -> None:
    from storage import reading

    fill(lake, observation)
    gone = versions_of(lake, "o0-0")
    with lake._database.reading() as connection:
        reading.read(connection, lake._bodies, "Observation", "o1-0", lake.t)
        lake._rewriter.rewrite(
            [Rewriting("Observation", segment_ids(lake))], gone, also=forget(gone), erase=True
        )
        lake._retirement.remove()
        with pytest.raises(FhirError) as told:
            reading.read(connection, lake._bodies, "Observation", "o0-0", lake.t)
        assert told.value.category == "conflict"
    with pytest.raises(FhirError) as told:
        lake.read("Observation", "o0-0")
    assert told.value.category == "not-found"


def test_all_that_a_segment_held_may_be_erased(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient("a"))])
    lake.flush()
    lake._rewriter.rewrite(
        [Rewriting("Patient", segment_ids(lake))], [1], also=forget([1]), erase=True
    )
    lake._retirement.remove()
    assert files_of(lake) == []
    lake.transact([Put(patient("b"))])
    assert lake.sql("SELECT id FROM patient").rows() == [("b",)]
    lake.flush()
    assert lake.sql("SELECT id FROM patient").rows() == [("b",)]
    assert lake.verify() == []


def test_what_is_left_out_must_be_gone_from_the_versions(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient("a"))])
    lake.flush()
    with pytest.raises(ValueError, match="still known"):
        lake._rewriter.rewrite([Rewriting("Patient", segment_ids(lake))], [1])
    assert lake.read("Patient", "a").version_id == 1
    assert len(files_of(lake)) == 1
    assert lake.verify() == []


def test_a_segment_that_is_retired_is_not_rewritten_again(lake: Lake, observation: Make) -> None:
    fill(lake, observation)
    old = segment_ids(lake)
    lake._rewriter.rewrite([Rewriting("Observation", old)])
    with pytest.raises(FhirError) as told:
        lake._rewriter.rewrite([Rewriting("Observation", old)])
    assert told.value.category == "conflict"
    assert lake.verify() == []
    assert len(files_of(lake)) == 6


def test_one_who_waits_interrupts_a_rewrite_that_gives_way(lake: Lake, observation: Make) -> None:
    fill(lake, observation)
    begun, alone, outcome = threading.Event(), threading.Event(), []

    def pause() -> None:
        begun.set()
        while not lake._rewriter._waiting:
            alone.wait(0.005)

    def run() -> None:
        try:
            lake._rewriter.rewrite([Rewriting("Observation", segment_ids(lake))], pause=pause)
        except rewrite.Interrupted as failure:
            outcome.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    with lake._rewriter.alone():
        alone.set()
    thread.join()
    assert len(outcome) == 1
    assert len(segment_ids(lake)) == 5
    assert lake.verify() == []


class Stop(Exception):
    pass


@pytest.mark.parametrize("step", range(12))
def test_a_rewrite_that_stops_at_any_step_loses_nothing(
    tmp_path: Path, observation: Make, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(settling, "SETTLE_ROWS", 8)
    monkeypatch.setattr(segments, "_MIN_GROUP_ROWS", 4)
    monkeypatch.setattr(segments, "_MAX_GROUP_ROWS", 4)
    monkeypatch.setattr(rewrite, "TARGET_ROWS", 16)
    path = tmp_path / "lake"
    with Lake.open(path) as lake:
        fill(lake, observation)
        before = everything(lake)
        calls = iter(range(100))

        def stopping(method: Any) -> Any:
            def call(*args: Any, **more: Any) -> Any:
                if next(calls) >= step:
                    raise Stop
                return method(*args, **more)

            return call

        with monkeypatch.context() as patched:
            patched.setattr(writer.Writer, "run", stopping(writer.Writer.run))
            with pytest.raises(Stop):
                lake._rewriter.rewrite([Rewriting("Observation", segment_ids(lake))])
                lake._retirement.remove(grace_s=0)
                raise Stop
        assert everything(lake) == before
    with Lake.open(path) as lake:
        assert everything(lake) == before
        assert lake.verify() == []
        assert lake.sql("SELECT count(*) FROM observation").rows() == [(23,)]
        lake._retirement.remove(grace_s=0)
        lake._rewriter.rewrite([Rewriting("Observation", segment_ids(lake))])
        lake._retirement.remove(grace_s=0)
        assert everything(lake) == before
        assert lake.verify() == []
        assert len(files_of(lake)) == len(segment_ids(lake)) == 2


def test_reading_and_writing_go_on_during_rewrites(
    tmp_path: Path, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "SETTLE_ROWS", 5)
    failures: list[BaseException] = []
    done = threading.Event()
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(patient(f"p{n}")) for n in range(60)])

        def run(work: Callable[[int], None]) -> None:
            number = 0
            try:
                while not done.is_set():
                    work(number)
                    number += 1
            except BaseException as failure:
                failures.append(failure)

        def read(number: int) -> None:
            version = lake.read("Patient", f"p{number % 60}")
            assert version.resource()["id"] == f"p{number % 60}"

        def count(_number: int) -> None:
            assert lake.sql("SELECT count(*), count(DISTINCT id) FROM patient").rows() == [(60, 60)]

        def write(number: int) -> None:
            lake.transact([Put(patient(f"p{number % 60}", multipleBirthInteger=number))])

        def flush(_number: int) -> None:
            lake.flush()

        works = (read, count, write, flush)
        threads = [threading.Thread(target=run, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for _ in range(10):
            live = segment_ids(lake)
            if len(live) > 1:
                lake._rewriter.rewrite([Rewriting("Patient", live)])
        done.set()
        for thread in threads:
            thread.join()
        assert failures == []
        lake._retirement.remove(grace_s=0)
        assert lake.verify() == []
