"""Flushing: bodies move into segments, and nothing changes for readers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from schemas.outcomes import FhirError
from storage import flush, segments, settling, writer
from storage.keystore import Keystore
from storage.lake import Delete, Lake, Put
from storage.master_keys.key_file import KeyFileMasterKey

Make = Callable[..., dict[str, Any]]


def fill(lake: Lake, patient: Make, observation: Make) -> None:
    for number in range(6):
        lake.transact(
            [Put(patient(f"p{number}"))]
            + [Put(observation(f"o{number}-{n}", patient=f"p{number}")) for n in range(5)]
        )
    lake.transact([Put(patient("p0", active=True)), Delete("Observation", "o0-0")])


def everything(lake: Lake) -> list[tuple[Any, ...]]:
    return [
        (v.t, v.resource_type, v.id, v.version_id, v.deleted, v.method, v.last_updated, v.body)
        for v in lake.changes(0, limit=10_000)
    ]


def test_readers_see_the_same_before_and_after(
    lake: Lake, patient: Make, observation: Make
) -> None:
    fill(lake, patient, observation)
    before = everything(lake)
    current = [v.body for v in lake.search("Observation", [("patient", "p3")]).versions]
    lake.flush()
    stats = lake.stats()
    assert (stats["hot_rows"], stats["segments"]) == (0, 2)
    assert everything(lake) == before
    assert [v.body for v in lake.search("Observation", [("patient", "p3")]).versions] == current
    assert lake.read("Patient", "p0", at=1).version_id == 1
    assert lake.vread("Observation", "o0-0", 2).deleted
    lake.transact([Put(patient("p0"))])
    lake.flush()
    assert lake.read("Patient", "p0").version_id == 3
    assert lake.stats()["segments"] == 3
    lake.flush()
    assert lake.stats()["segments"] == 3
    assert lake.verify() == []


def test_segments_are_sorted_encrypted_and_have_the_columns(
    lake: Lake, patient: Make, observation: Make
) -> None:
    fill(lake, patient, observation)
    lake.flush()
    (segment,) = lake.snapshot().segments("Observation")
    table = segment.open().read()
    keys = list(zip(table["patient_id"].to_pylist(), table["v"].to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert table.num_rows == segment.rows == 31
    gone = table.filter(table["deleted"]).to_pylist()
    assert [(row["id"], row["body"], row["patient_id"]) for row in gone] == [("o0-0", b"", "p0")]
    assert table["code"].to_pylist().count("4548-4") == 30
    with pytest.raises(OSError):
        pq.ParquetFile(segment.path)
    raw = Path(segment.path).read_bytes()
    assert raw[:4] == b"PARE"
    assert segment.name.encode() in raw  # what it names is its key's id, not a key


def test_each_segment_has_its_own_key(lake: Lake, patient: Make) -> None:
    for number in range(2):
        lake.transact([Put(patient(f"p{number}"))])
        lake.flush()
    first, second = lake.snapshot().segments("Patient")
    with pytest.raises((OSError, ValueError)):
        pq.ParquetFile(first.path, decryption_properties=second.decryption_properties).read()


def test_a_segment_whose_key_is_destroyed_cannot_be_read_and_says_so(
    tmp_path: Path, patient: Make
) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(patient())])
        lake.flush()
        (segment,) = lake.snapshot().segments("Patient")
        name = segment.name
    keystore = Keystore.open(
        tmp_path / "lake" / "keys" / "keystore.json",
        KeyFileMasterKey(tmp_path / "lake" / "keys" / "master.key"),
    )
    assert keystore.segment_names() == {name}
    keystore.destroy_segment_keys([name])
    with Lake.open(tmp_path / "lake") as lake:
        with pytest.raises(FhirError) as refused:
            lake.read("Patient", "p1")
        assert f"{name} cannot be read: its key was destroyed" in str(refused.value)
        (finding,) = lake.verify()
        assert f"{name}.parquet: its key is missing" in str(finding)


def test_a_type_is_cut_into_several_segments(
    lake: Lake, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flush, "SEGMENT_ROWS", 7)
    monkeypatch.setattr(settling, "SETTLE_ROWS", 3)
    monkeypatch.setattr(segments, "_MAX_GROUP_ROWS", 2)
    monkeypatch.setattr(segments, "_MIN_GROUP_ROWS", 2)
    lake.transact([Put(patient(f"p{n:02}")) for n in range(20)])
    lake.flush()
    assert [s.rows for s in lake.snapshot().segments("Patient")] == [7, 7, 6]
    for number in range(20):
        assert lake.read("Patient", f"p{number:02}").resource()["id"] == f"p{number:02}"
    assert lake.verify() == []


def test_the_background_flush_begins_by_itself(
    tmp_path: Path, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flush, "HOT_ROWS", 50)
    monkeypatch.setattr(flush, "_WORTH_ROWS", 10)
    with Lake.open(tmp_path / "lake") as lake:
        for number in range(80):
            lake.transact([Put(patient(f"p{number}"))])
        deadline = threading.Event()
        for _ in range(200):
            if lake.stats()["segments"]:
                break
            deadline.wait(0.02)
        assert lake.stats()["segments"]
        assert lake.search("Patient", [("_count", "0")]).total == 80


def test_reading_and_writing_go_on_during_flushes(
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
            snapshot = lake.snapshot()
            held = snapshot.hot_rows("Patient").num_rows + sum(
                s.rows for s in snapshot.segments("Patient")
            )
            visible = held - len(snapshot.superseded("Patient"))
            assert visible == 60, (snapshot.t, visible)

        def write(number: int) -> None:
            lake.transact([Put(patient(f"p{number % 60}", multipleBirthInteger=number))])

        threads = [threading.Thread(target=run, args=(work,)) for work in (read, count, write)]
        for thread in threads:
            thread.start()
        for _ in range(12):
            lake.flush()
        done.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert lake.verify() == []


class Stop(Exception):
    pass


@pytest.mark.parametrize("step", range(6))
def test_a_flush_that_stops_at_any_step_loses_nothing(
    tmp_path: Path, patient: Make, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(settling, "SETTLE_ROWS", 4)
    path = tmp_path / "lake"
    with Lake.open(path) as lake:
        lake.transact([Put(patient(f"p{n}")) for n in range(10)])
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
            patched.setattr(writer.Writer, "run_at", stopping(writer.Writer.run_at))
            with pytest.raises(Stop):
                lake.flush()
        assert everything(lake) == before
    with Lake.open(path) as lake:
        assert everything(lake) == before
        assert lake.verify() == []
        lake.flush()
        assert everything(lake) == before
        assert lake.verify() == []
        assert lake.stats()["segments"] == 1
        (file,) = (path / "lake").rglob("*.parquet*")
    # Keys of files that never came to be are gone with them.
    master_key = KeyFileMasterKey(path / "keys" / "master.key")
    keystore = Keystore.open(path / "keys" / "keystore.json", master_key)
    assert keystore.segment_names() == {file.stem}
