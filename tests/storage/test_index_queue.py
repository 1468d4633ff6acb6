"""Rows wait for the index without anyone seeing an index that lags, whatever happens meanwhile."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage import index_queue, writer
from storage.lake import Delete, Lake, Put
from storage.writer_jobs import Job

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def patient_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A lake whose writer never empties the queue just because there is nothing else to do."""
    monkeypatch.setattr(writer, "_IDLE_S", 3600.0)
    monkeypatch.setattr(writer, "_LAG_S", 3600.0)
    with Lake.open(tmp_path / "lake") as opened:
        yield opened


def waiting(lake: Lake) -> int:
    with lake._database.reading() as connection:
        return int(connection.execute("SELECT count(*) FROM index_pending").get)


def indexed(lake: Lake) -> int:
    with lake._database.reading() as connection:
        return int(connection.execute("SELECT count(DISTINCT v) FROM token_index").get)


def test_what_was_acknowledged_is_in_the_next_search(patient_lake: Lake, patient: Make) -> None:
    for number in range(5):
        patient_lake.transact([Put(patient(f"p{number}"))])
        assert waiting(patient_lake) == 1
        page = patient_lake.search("Patient", [("gender", "female")])
        assert page.total == number + 1
        assert waiting(patient_lake) == 0
    patient_lake.transact([Put(patient("p0", gender="male")), Delete("Patient", "p1")])
    assert patient_lake.search("Patient", [("gender", "female")]).total == 3
    assert patient_lake.search("Patient", [("gender", "female")], at=5).total == 5


def test_a_search_of_the_past_waits_for_nothing(patient_lake: Lake, patient: Make) -> None:
    patient_lake.transact([Put(patient("a"))])
    patient_lake.search("Patient", [])
    patient_lake.transact([Put(patient("b"))])
    assert patient_lake.search("Patient", [("gender", "female")], at=1).total == 1
    assert waiting(patient_lake) == 1


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_crash_leaves_the_queue_and_repeats_what_was_begun(
    patient_lake: Lake, patient: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr(index_queue, "_ROWS", 2)
    for number in range(6):
        patient_lake.transact([Put(patient(f"p{number}", birthDate="1980-01-02"))])

    def begin() -> None:
        emptying = patient_lake._writer._index.empty()
        for _ in range(steps):
            next(emptying)

    # In the writer's thread, which would empty the queue before work alone.
    monkeypatch.setattr(patient_lake._writer, "_empty_all", lambda: None)
    patient_lake._writer._submit(Job(alone=begin))
    monkeypatch.undo()
    copy = tmp_path / "copy"
    assert waiting(patient_lake) == 6
    shutil.copytree(patient_lake.folder.path, copy)
    with Lake.open(copy) as crashed:
        assert crashed.search("Patient", [("gender", "female")]).total == 6
        assert crashed.search("Patient", [("birthdate", "1980-01-02")]).total == 6
        assert waiting(crashed) == 0
        assert crashed.verify() == []


def test_a_long_queue_is_emptied_without_a_search(
    patient_lake: Lake, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "QUEUED_VERSIONS", 10)
    for number in range(9):
        patient_lake.transact([Put(patient(f"p{number}"))])
    assert (waiting(patient_lake), indexed(patient_lake)) == (9, 0)
    patient_lake.transact([Put(patient("p9"))])
    until(lambda: waiting(patient_lake) == 0)
    assert indexed(patient_lake) == 10


def test_a_short_queue_is_emptied_when_there_is_nothing_else_to_do(
    lake: Lake, patient: Make
) -> None:
    lake.transact([Put(patient("a"))])
    until(lambda: waiting(lake) == 0)
    assert indexed(lake) == 1


def test_a_steady_writer_does_not_keep_the_queue_from_being_emptied(
    patient_lake: Lake, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_LAG_S", 0.0)
    patient_lake.transact([Put(patient("a"))])
    until(lambda: waiting(patient_lake) == 0)


def test_a_process_that_only_reads_waits_for_the_index_and_says_when_it_does_not_come(
    patient_lake: Lake, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_queue, "_AWAIT_S", 0.1)
    patient_lake.transact([Put(patient("a"))])
    with Lake.open(patient_lake.folder.path, read_only=True) as reader:
        with pytest.raises(FhirError) as failure:
            reader.search("Patient", [("gender", "female")])
        assert failure.value.category == "unavailable"
        assert reader.read("Patient", "a").version_id == 1
        patient_lake._writer.index_all()
        assert reader.search("Patient", [("gender", "female")]).total == 1
        assert reader.verify() == []


def test_a_reindex_replaces_what_waits(patient_lake: Lake, patient: Make) -> None:
    patient_lake.transact([Put(patient("a"))])
    patient_lake.reindex()
    assert waiting(patient_lake) == 0
    assert patient_lake.verify() == []


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)
