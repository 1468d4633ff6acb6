"""Compaction: by itself and when asked; nothing changes for readers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage import compaction, retirement, settling
from storage.lake import Lake, Put
from storage.settling import Settler

Make = Callable[..., dict[str, Any]]


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to pass")


def flushed(lake: Lake, patient: Make, times: int) -> None:
    for number in range(times):
        lake.transact([Put(patient(f"p{n}", multipleBirthInteger=number)) for n in range(6)])
        lake.flush()


def test_small_segments_are_merged_by_themselves_and_their_files_go(
    tmp_path: Path, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "DELAY_S", 0.0)
    monkeypatch.setattr(compaction, "_RETIREMENT_S", 0.05)
    monkeypatch.setattr(retirement, "GRACE_S", 0.0)
    with Lake.open(tmp_path / "lake") as lake:
        flushed(lake, patient, 12)
        wait_until(lambda: lake.stats()["segments"] < compaction.compaction_policy.FAN_IN)
        wait_until(lambda: len(lake._segments.files.list()) == lake.stats()["segments"])
        assert lake.vread("Patient", "p3", 5).resource()["multipleBirthInteger"] == 4
        assert len(lake.history("Patient", "p3").versions) == 12
        assert lake.verify() == []


def test_asked_for_each_type_becomes_one_run(lake: Lake, patient: Make, observation: Make) -> None:
    for number in range(3):
        lake.transact([Put(patient("p1", multipleBirthInteger=number)), Put(observation("o1"))])
        lake.flush()
    lake.transact([Put(patient("p2"))])
    assert lake.compact() == 7
    assert lake.stats()["segments"] == 2
    assert lake.stats()["hot_rows"] == 0
    assert lake.compact() == 0
    assert [version.version_id for version in lake.history("Patient", "p1").versions] == [3, 2, 1]
    assert lake.verify() == []


def test_writers_wait_only_for_small_transactions(
    lake: Lake, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "SETTLE_ROWS", 20)
    for number in range(2):
        lake.transact([Put(patient(f"p{number}-{n}")) for n in range(300)])
        lake.flush()
    done = threading.Event()
    between = 0

    def compact() -> None:
        lake.compact()
        done.set()

    thread = threading.Thread(target=compact)
    thread.start()
    while not done.is_set():
        lake.transact([Put(patient("busy"))])
        between += 1
    thread.join()
    assert between > 3
    assert lake.verify() == []


def test_closing_gives_up_a_merge_and_the_next_start_takes_it_up(
    tmp_path: Path, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "SETTLE_ROWS", 1)
    begun = threading.Event()
    settle = Settler.settle
    told: list[FhirError] = []

    def slow(self: Settler, segment: int, versions: Any, pause: Any = None) -> None:
        def wait() -> None:
            begun.set()
            time.sleep(0.05)
            pause()

        settle(self, segment, versions, wait)

    with Lake.open(tmp_path / "lake") as lake:
        flushed(lake, patient, 3)
        monkeypatch.setattr(Settler, "settle", slow)

        def compact() -> None:
            try:
                lake.compact()
            except FhirError as failure:
                told.append(failure)

        thread = threading.Thread(target=compact)
        thread.start()
        begun.wait()
    thread.join()
    monkeypatch.setattr(Settler, "settle", settle)
    assert [failure.category for failure in told] == ["unavailable"]
    with Lake.open(tmp_path / "lake") as lake:
        assert lake.verify() == []
        assert lake.stats()["segments"] == 1
        assert len(lake.history("Patient", "p3").versions) == 3
