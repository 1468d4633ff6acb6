"""What callers are told when the database cannot write."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from schemas.outcomes import FhirError
from storage.lake import Delete, Lake, Put
from storage.operations import Operation

Make = Callable[..., dict[str, Any]]


def test_a_full_disk_refuses_and_recovers(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient("a"))])
    lake._writer.run(lambda c: None)
    pages = lake._writer._connection.execute("PRAGMA page_count").get
    lake._writer._connection.execute(f"PRAGMA max_page_count = {pages}")
    large = {"text": {"status": "generated", "div": "<div>" + "x" * 200_000 + "</div>"}}
    with pytest.raises(FhirError) as failure:
        lake.transact([Put(patient("b", **large))])
    assert failure.value.category == "unavailable"
    assert "full" in str(failure.value)
    assert lake.t == 1
    lake._writer._connection.execute("PRAGMA max_page_count = 1073741823")
    assert lake.transact([Put(patient("b", **large))]).t == 2
    assert lake.verify() == []


@pytest.mark.parametrize("kind", [apsw.IOError, apsw.CorruptError])
def test_after_a_disk_failure_nothing_is_acknowledged_any_more(
    tmp_path: Path, patient: Make, kind: type[apsw.Error]
) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(patient("a"))])

        def fail(_connection: apsw.Connection) -> None:
            raise kind("x")

        for call in (lambda: lake._writer.run(fail), lambda: lake.transact([Put(patient("b"))])):
            with pytest.raises(FhirError) as failure:
                call()
            assert failure.value.category == "unavailable"
        assert "restart" in str(failure.value)
        assert lake.read("Patient", "a").version_id == 1
    with Lake.open(tmp_path / "lake") as lake:
        assert (lake.t, lake.stats()["resources"]) == (1, {"Patient": 1})
        assert lake.transact([Put(patient("b"))]).t == 2


@contextmanager
def one_group(lake: Lake) -> Iterator[Callable[..., None]]:
    """Transactions given to `ask` are in one COMMIT, in their order; `told` has the outcome."""
    go = threading.Event()
    busy = threading.Event()
    threads = []

    def wait(_connection: apsw.Connection) -> None:
        busy.set()
        go.wait()

    def ask(operations: list[Operation], told: list[Any]) -> None:
        def call() -> None:
            try:
                told.append(lake.transact(operations))
            except FhirError as failure:
                told.append(failure.category)

        before = lake._writer._jobs.qsize()
        threads.append(threading.Thread(target=call))
        threads[-1].start()
        while lake._writer._jobs.qsize() == before:
            time.sleep(0.001)

    threads.append(threading.Thread(target=lambda: lake._writer.run(wait, index=False)))
    threads[-1].start()
    busy.wait()
    try:
        yield ask
    finally:
        go.set()
        for thread in threads:
            thread.join()


def test_a_group_is_checked_in_its_order_and_a_refused_one_harms_no_other(
    lake: Lake, patient: Make
) -> None:
    lake.transact([Put(patient("old"))])
    first, second, third, fourth, fifth, sixth = ([] for _ in range(6))
    with one_group(lake) as ask:
        ask([Put(patient("a"), must_not_exist=True)], first)
        ask([Put(patient("x")), Put(patient("a"), must_not_exist=True)], second)
        ask([Put(patient("a", gender="male"), if_match=1), Delete("Patient", "old")], third)
        ask([Put(patient("b")), Put(patient("a"), if_match=1)], fourth)
        ask([Delete("Patient", "old"), Delete("Patient", "a", if_match=2)], fifth)
        ask([Put(patient("a"), must_not_exist=True), Delete("Patient", "old")], sixth)
    assert (second, fourth) == (["conflict"], ["precondition"])
    assert [told[0].t for told in (first, third, fifth, sixth)] == [2, 3, 4, 5]
    assert [(v.id, v.version_id, v.t, v.deleted) for v in fifth[0].versions] == [
        ("old", 2, 3, True),
        ("a", 3, 4, True),
    ]
    assert [(v.t, v.id, v.version_id, v.deleted) for v in lake.changes(0)] == [
        (1, "old", 1, False),
        (2, "a", 1, False),
        (3, "a", 2, False),
        (3, "old", 2, True),
        (4, "a", 3, True),
        (5, "a", 4, False),
    ]
    assert lake.stats()["resources"] == {"Patient": 1}
    assert lake.search("Patient", [("gender", "male")], at=3).total == 1
    assert lake.verify() == []


def test_an_unforeseen_failure_is_the_one_transactions_own(
    lake: Lake, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storage import commit

    apply = commit.apply

    def failing(connection: Any, batch: Any, position: Any, operations: Any, cursor: Any) -> Any:
        made = apply(connection, batch, position, operations, cursor)
        if operations[0].id == "bad":
            raise ZeroDivisionError
        return made

    monkeypatch.setattr(commit, "apply", failing)
    good: list[Any] = []
    failed: list[Any] = []
    with one_group(lake) as ask:
        ask([Put(patient("a"))], good)

        def bad() -> None:
            with pytest.raises(ZeroDivisionError):
                lake.transact([Put(patient("bad"))])
            failed.append(True)

        thread = threading.Thread(target=bad)
        thread.start()
        while lake._writer._jobs.qsize() < 2:
            time.sleep(0.001)
        ask([Put(patient("b"))], good)
    thread.join()
    assert failed == [True]
    assert sorted(made.t for made in good) == [1, 2]
    assert {v.id for v in lake.changes(0)} == {"a", "b"}
    assert lake.verify() == []


def test_many_writers_of_one_resource_lose_no_update(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient("a"))])
    won: list[int] = []

    def race() -> None:
        for _ in range(20):
            version = lake.read("Patient", "a").version_id
            try:
                lake.transact([Put(patient("a"), if_match=version)])
            except FhirError as failure:
                assert failure.category == "precondition"
            else:
                won.append(version)

    threads = [threading.Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(1, len(won) + 1))
    assert lake.read("Patient", "a").version_id == len(won) + 1
    assert lake.verify() == []
