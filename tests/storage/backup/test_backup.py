"""What was backed up comes back; only what is new is copied; without the keys nothing does."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage.backup.backup_folder import BackupFolder
from storage.backup.restore import RestoreReport, restore
from storage.lake import Delete, Lake, Put
from storage.lake_folder import LakeFolder
from storage.master_keys.key_file import KeyFileMasterKey

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def filled(lake: Lake, patient: Make, observation: Make) -> Lake:
    """Versions in both tiers, one superseded, one deleted."""
    lake.transact([Put(patient(f"p{n}")) for n in range(50)])
    lake.transact([Put(observation(f"o{n}", patient=f"p{n % 50}")) for n in range(400)])
    lake.flush()
    lake.transact([Put(patient("p1", active=True)), Delete("Observation", "o1")])
    lake.flush()
    lake.transact([Put(observation("hot"))], cursor=("nlp", 3))
    return lake


def copied_segments(tmp_path: Path) -> dict[str, int]:
    """When each segment in the backups was copied."""
    found = (tmp_path / "backups" / "segments").rglob("*.parquet")
    return {path.name: path.stat().st_mtime_ns for path in found}


def everything(lake: Lake) -> list[tuple[Any, ...]]:
    """Every version there is, in order."""
    return [
        (v.resource_type, v.id, v.version_id, v.t, v.last_updated, v.method, v.deleted, v.body)
        for v in lake.changes(0, limit=100_000)
    ]


def bring_back(
    lake_path: Path, backups: Path, target: Path, id: str | None = None
) -> RestoreReport:
    keys = lake_path / "keys"
    return restore(
        BackupFolder(backups),
        LakeFolder(target),
        keys / "keystore.json",
        KeyFileMasterKey(keys / "master.key"),
        id,
    )


def reopened(lake_path: Path, target: Path) -> Lake:
    return Lake.open(target, master_key=KeyFileMasterKey(lake_path / "keys" / "master.key"))


def test_a_restored_lake_is_the_lake_that_was_backed_up(filled: Lake, tmp_path: Path) -> None:
    before = everything(filled)
    filled.backup(tmp_path / "backups")
    filled.transact([Put({"resourceType": "Patient", "id": "later"})])
    report = bring_back(tmp_path / "lake", tmp_path / "backups", tmp_path / "restored")
    assert (report.t, report.shredded, report.rebuilt) == (4, [], False)
    with reopened(tmp_path / "lake", tmp_path / "restored") as restored:
        assert everything(restored) == before
        assert restored.cursor("nlp") == 3
        assert restored.verify() == []
        page = restored.search("Observation", [("patient", "p7"), ("code", "4548-4")])
        assert page.total == 8
        restored.transact([Put({"resourceType": "Patient", "id": "new"})])
        restored.flush()
        assert restored.verify() == []


def test_a_second_backup_copies_only_what_is_new(filled: Lake, tmp_path: Path) -> None:
    first = filled.backup(tmp_path / "backups")
    again = filled.backup(tmp_path / "backups")
    assert first.new_bytes == first.bytes
    assert again.new_bytes == 0
    filled.transact([Put({"resourceType": "Patient", "id": "x"})])
    filled.flush()
    before = copied_segments(tmp_path)
    third = filled.backup(tmp_path / "backups")
    assert 0 < third.new_bytes < third.bytes
    after = copied_segments(tmp_path)
    assert len(after) == len(before) + 2
    assert before.items() <= after.items()
    assert len({first.id, again.id, third.id}) == 3


def test_each_backup_can_be_restored_and_pruning_keeps_those_asked_for(
    filled: Lake, tmp_path: Path
) -> None:
    states = {}
    for n in range(4):
        filled.transact([Put({"resourceType": "Patient", "id": f"x{n}"})])
        if n % 2:
            filled.flush()
        states[filled.backup(tmp_path / "backups").id] = everything(filled)
    assert filled.prune_backups(tmp_path / "backups", 2) == 2
    kept = BackupFolder(tmp_path / "backups").ids()
    assert kept == list(states)[2:]
    for id in kept:
        bring_back(tmp_path / "lake", tmp_path / "backups", tmp_path / id, id)
        with reopened(tmp_path / "lake", tmp_path / id) as restored:
            assert everything(restored) == states[id]
    with pytest.raises(FhirError, match="no backup"):
        bring_back(tmp_path / "lake", tmp_path / "backups", tmp_path / "no", next(iter(states)))


def test_backups_while_others_write_and_flush_are_whole(
    lake: Lake, observation: Make, tmp_path: Path
) -> None:
    stop = threading.Event()
    last: list[int] = [0]

    def write(first: int) -> None:
        number = first
        while not stop.is_set():
            pair = [Put(observation(f"w{first}-{number}-{n}")) for n in range(2)]
            last[0] = max(last[0], lake.transact(pair).t)
            number += 1
            if first == 0 and number % 40 == 0:
                lake.flush()

    writers = [threading.Thread(target=write, args=(n,)) for n in range(2)]
    for writer in writers:
        writer.start()
    try:
        reports = []
        for _ in range(5):
            acknowledged = last[0]
            report = lake.backup(tmp_path / "backups")
            assert report.t >= acknowledged
            reports.append(report)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    for report in reports:
        bring_back(tmp_path / "lake", tmp_path / "backups", tmp_path / report.id, report.id)
        with reopened(tmp_path / "lake", tmp_path / report.id) as restored:
            # The log may bring back some commits more than the manifest promises, never less.
            assert restored.t >= report.t
            assert restored.verify() == []
            for t in range(1, restored.t + 1):
                assert len([v for v in restored.changes(t - 1, limit=2) if v.t == t]) == 2


def test_no_backup_holds_a_key_or_plaintext(filled: Lake, tmp_path: Path) -> None:
    filled.backup(tmp_path / "backups")
    keys = json.loads((tmp_path / "lake" / "keys" / "keystore.json").read_bytes())
    wrapped = [*keys["keys"].values(), *keys["segments"].values()]
    content = b"".join(p.read_bytes() for p in (tmp_path / "backups").rglob("*") if p.is_file())
    for secret in (*wrapped, "Hemoglobin", "female", '"id":"p17"'):
        assert secret.encode() not in content


def test_the_wrong_keys_and_a_folder_in_use_are_refused_and_nothing_is_left(
    filled: Lake, tmp_path: Path
) -> None:
    filled.backup(tmp_path / "backups")
    with Lake.open(tmp_path / "other"):
        pass
    with pytest.raises(FhirError, match="another lake"):
        bring_back(tmp_path / "other", tmp_path / "backups", tmp_path / "restored")
    with pytest.raises(FhirError, match="not empty"):
        bring_back(tmp_path / "lake", tmp_path / "backups", tmp_path / "other")
    with pytest.raises(FhirError, match="no key store"):
        bring_back(tmp_path / "nowhere", tmp_path / "backups", tmp_path / "restored")
    with pytest.raises(FhirError, match="no backup"):
        bring_back(tmp_path / "lake", tmp_path / "nowhere", tmp_path / "restored")
    assert not (tmp_path / "restored").exists()
    assert not list(tmp_path.glob("*.restoring"))


@pytest.mark.parametrize("part", ["database", "segments", "backups"])
@pytest.mark.parametrize("damage", ["flip", "remove", "cut"])
def test_a_damaged_backup_is_named_and_nothing_is_restored(
    filled: Lake, tmp_path: Path, part: str, damage: str
) -> None:
    filled.backup(tmp_path / "backups")
    victim = max(
        (p for p in (tmp_path / "backups" / part).rglob("*") if p.is_file()),
        key=lambda p: p.stat().st_size,
    )
    content = bytearray(victim.read_bytes())
    if damage == "remove":
        victim.unlink()
    elif damage == "cut":
        victim.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
    with pytest.raises(FhirError) as failure:
        bring_back(tmp_path / "lake", tmp_path / "backups", tmp_path / "restored")
    assert failure.value.category in ("internal", "invalid", "forbidden", "not-found")
    assert not (tmp_path / "restored").exists()


def test_a_damaged_segment_is_not_backed_up(filled: Lake, tmp_path: Path) -> None:
    segment = next((tmp_path / "lake" / "lake").rglob("*.parquet"))
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    with pytest.raises(FhirError, match=r"damaged.*verify"):
        filled.backup(tmp_path / "backups")
    assert BackupFolder(tmp_path / "backups").ids() == []


def test_a_segment_that_is_lost_is_named(filled: Lake, tmp_path: Path) -> None:
    segment = next((tmp_path / "lake" / "lake").rglob("*.parquet"))
    segment.unlink()
    with pytest.raises(FhirError, match=rf"{segment.stem}.*missing.*verify"):
        filled.backup(tmp_path / "backups")


def test_a_backup_is_taken_beside_the_process_that_writes(filled: Lake, tmp_path: Path) -> None:
    before = everything(filled)
    with Lake.open(tmp_path / "lake", read_only=True) as beside:
        beside.backup(tmp_path / "backups")
    bring_back(tmp_path / "lake", tmp_path / "backups", tmp_path / "restored")
    with reopened(tmp_path / "lake", tmp_path / "restored") as restored:
        assert everything(restored) == before
        assert restored.verify() == []
        assert restored.search("Observation", [("code", "4548-4")]).total == 400


def test_a_lake_whose_database_cannot_be_read_is_made_anew_from_its_segments(
    filled: Lake, tmp_path: Path
) -> None:
    filled.flush()
    before = everything(filled)
    filled.backup(tmp_path / "backups")
    filled.renew_keys()
    report = bring_back(tmp_path / "lake", tmp_path / "backups", tmp_path / "restored")
    assert report.rebuilt
    with reopened(tmp_path / "lake", tmp_path / "restored") as restored:
        assert everything(restored) == before
        assert restored.verify() == []
        assert restored.cursor("nlp") == 3
        assert restored.search("Patient", [("active", "true")]).total == 1
        assert restored.read("Patient", "p1", at=1).version_id == 1
        assert [v.id for v in restored.search("Observation", [], at=2).versions][:1] == ["o0"]


def test_a_backup_that_was_broken_off_is_none_and_its_files_are_used(
    filled: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BackupFolder, "add_manifest", _full)
    with pytest.raises(FhirError, match="broken off"):
        filled.backup(tmp_path / "backups")
    monkeypatch.undo()
    assert BackupFolder(tmp_path / "backups").ids() == []
    report = filled.backup(tmp_path / "backups")
    assert report.new_bytes == 0
    shutil.rmtree(tmp_path / "backups" / "segments")
    assert filled.backup(tmp_path / "backups").new_bytes > 0


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("anew", [False, True])
def test_search_parameters_that_were_added_come_back(
    lake: Lake, patient: Make, tmp_path: Path, anew: bool
) -> None:
    lake.transact([Put(patient("p", name=[{"given": ["Ann"]}]))])
    definition = {
        "resourceType": "SearchParameter",
        "id": "first-name",
        "url": "http://example.org/SearchParameter/first-name",
        "status": "active",
        "code": "first-name",
        "base": ["Patient"],
        "type": "string",
        "expression": "Patient.name.given.first()",
    }
    lake.transact([Put(definition)])
    lake.flush()
    lake.reindex()
    lake.backup(tmp_path / "backups")
    if anew:
        lake.renew_keys()
    report = bring_back(tmp_path / "lake", tmp_path / "backups", tmp_path / "restored")
    assert report.rebuilt == anew
    with reopened(tmp_path / "lake", tmp_path / "restored") as restored:
        assert restored.search("Patient", [("first-name", "ann")], strict=True).total == 1
        assert restored.verify() == []
