"""What audit events are found by goes into its index later; nobody sees one that lags."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from storage import audit_references, writer
from storage.audit_record import AuditRecord, Entity
from storage.audit_references import referred
from storage.index_queue import IndexQueue
from storage.lake import Lake, Put


def read_of(id: str, *patients: str) -> AuditRecord:
    entities = (Entity("Patient", id, 1, "R"),)
    return AuditRecord("R", "read", "ward", entities=entities, patients=patients)


def stored(lake: Lake) -> tuple[int, int | None]:
    """How many entries are in the index, and up to which event all of them are."""
    with lake._database.reading() as connection:
        count = int(connection.execute("SELECT count(*) FROM audit_reference").get)
        return count, referred(connection)


def found(lake: Lake, patient: str) -> list[str]:
    page = lake.search("AuditEvent", [("patient", f"Patient/{patient}"), ("_sort", "date")])
    return [version.id for version in page.versions]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """A lake whose writer always has something else to do."""
    monkeypatch.setattr(writer, "_IDLE_S", 3600.0)
    with Lake.open(tmp_path / "lake") as opened:
        yield opened


def test_events_are_found_before_their_entries_are_stored(busy: Lake) -> None:
    for id in ("a", "b", "a"):
        busy.record_access([read_of(id, "c")]).result()
    assert stored(busy) == (0, 0)
    assert found(busy, "a") == ["audit-2", "audit-4"]
    assert found(busy, "c") == ["audit-2", "audit-3", "audit-4"]
    assert busy.verify() == []
    busy._writer.run(lambda _: None)  # Recorded by nobody; the writer has it done.
    assert stored(busy) == (0, 0)


def test_they_are_stored_when_there_is_nothing_else_to_do(lake: Lake) -> None:
    lake.record_access([read_of("a", "b")]).result()
    until(lambda: stored(lake) == (2, 2))
    assert found(lake, "b") == ["audit-2"]
    assert lake.verify() == []


def test_a_log_that_is_busy_stores_them_a_part_at_a_time(
    busy: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "QUEUED", 8)
    monkeypatch.setattr(audit_references, "_ROWS", 5)
    for number in range(4):  # Of each event three entries: the second one is cut in two.
        busy.record_access([read_of(f"p{number}", "x", "y")]).result()
    until(lambda: stored(busy) == (5, 2))
    assert found(busy, "y") == ["audit-2", "audit-3", "audit-4", "audit-5"]
    assert found(busy, "p1") == ["audit-3"]
    path = busy.folder.path
    busy.close()
    with Lake.open(path) as again:
        assert again.verify() == []
        assert found(again, "y") == ["audit-2", "audit-3", "audit-4", "audit-5"]


def test_a_crash_loses_none(busy: Lake, tmp_path: Path) -> None:
    busy.transact([Put({"resourceType": "Patient", "id": "p1"})])
    busy.record_access([read_of("p1", "other")]).result()
    assert stored(busy) == (0, 0)
    copy = tmp_path / "copy"
    shutil.copytree(busy.folder.path, copy)
    with Lake.open(copy) as crashed:
        assert found(crashed, "p1") == ["audit-2", "audit-3"]
        assert found(crashed, "other") == ["audit-3"]
        assert crashed.verify() == []
    with Lake.open(copy) as closed:
        assert stored(closed)[0] == 3
        assert closed.verify() == []


def test_a_lake_of_an_earlier_release_has_all_of_them_stored(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.record_access([read_of("a")]).result()
    with Lake.open(tmp_path / "lake") as lake:
        connection = lake._database.writer()
        connection.execute("DELETE FROM lake WHERE name = 'audit_referred'")
        connection.close()
        assert found(lake, "a") == ["audit-2"]
        assert lake.verify() == []


def test_claiming_more_than_is_stored_is_found_out(busy: Lake) -> None:
    busy.record_access([read_of("a")]).result()
    connection = busy._database.writer()
    connection.execute("UPDATE lake SET value = '2' WHERE name = 'audit_referred'")
    connection.close()
    assert any("event 2 was taken out of the index" in str(f) for f in busy.verify())


def test_they_do_not_wait_for_an_index_that_always_has_something_to_do(
    busy: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, over = IndexQueue.empty, Event()

    def long(queue: IndexQueue) -> Iterator[None]:
        while not over.wait(0.001):
            yield
        yield from empty(queue)

    monkeypatch.setattr(IndexQueue, "empty", long)
    monkeypatch.setattr(writer, "QUEUED_VERSIONS", 1)
    monkeypatch.setattr(writer, "QUEUED", 4)
    busy.transact([Put({"resourceType": "Patient", "id": "p"})])
    for number in range(5):
        busy.record_access([read_of(f"a{number}", "c")]).result()
    try:
        until(lambda: stored(busy)[0] > 0)
    finally:
        over.set()
    assert len(found(busy, "c")) == 5
