"""What a lake is doing when it is killed, and what must hold when it is open again.

Each operation has a lake that is made for it once (`prepare`), what runs in the process that is
killed (`run`), and what is done after the kill besides opening the lake (`finish`): what a service
does at its start, or its operator (running an import or a backup again).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crash import oracle
from crash.oracle import Expected, Row
from crash.processes import Say

from service.importer import Importer
from service.ingest import Ingest
from storage import index_queue, rewrite, rotation, segments, settling
from storage.audit_record import AuditRecord, Entity
from storage.backup.backup_folder import BackupFolder
from storage.backup.restore import restore
from storage.lake import Delete, Lake, Put
from storage.lake_folder import LakeFolder
from storage.master_keys.key_file import KeyFileMasterKey

Arm = Callable[[], None]
PATIENTS = 4


@dataclass(frozen=True)
class Places:
    """Where things lie for one run; all of it is copied from what `prepare` left."""

    base: Path

    @property
    def lake(self) -> Path:
        return self.base / "lake"

    @property
    def backups(self) -> Path:
        return self.base / "backups"

    @property
    def restored(self) -> Path:
        return self.base / "restored"

    @property
    def new_key(self) -> KeyFileMasterKey:
        return KeyFileMasterKey(self.base / "new.key")

    @property
    def old_key(self) -> KeyFileMasterKey:
        return KeyFileMasterKey(self.lake / "keys" / "master.key")

    @property
    def ndjson(self) -> Path:
        return self.base / "patients.ndjson"

    def open(self) -> Lake:
        return Lake.open(self.lake)


@dataclass(frozen=True)
class Operation:
    """See the module. `arm` is called by `run` when the count of places to be killed at begins."""

    name: str
    run: Callable[[Places, Say, Arm], None]
    prepare: Callable[[Places], None] | None = None
    finish: Callable[[Places, Lake, Expected, bool], None] | None = None
    open: Callable[[Places, bool], Lake] = lambda places, _done: places.open()


def small_steps() -> None:
    """More places to be killed at."""
    settling.SETTLE_ROWS = 7
    index_queue._ROWS = 20
    segments._MIN_GROUP_ROWS = segments._MAX_GROUP_ROWS = 8
    rewrite.TARGET_ROWS = 40


def patient(n: int, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p{n}", **more}


def observation(id: str, n: int, code: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/p{n}"},
    }


def fill(places: Places) -> None:
    """Two segments a type, superseded and deleted versions, some of it hot."""
    KeyFileMasterKey.create(places.base / "new.key")
    with places.open() as lake:
        for part in range(3):
            lake.transact([Put(patient(n, multipleBirthInteger=part)) for n in range(PATIENTS)])
            lake.transact(
                [Put(observation(f"o{part}-{n}", n % PATIENTS, f"c{n % 3}")) for n in range(8)]
            )
            if part:
                lake.transact([Delete("Observation", f"o{part}-0")])
                lake.transact([Put(observation(f"o{part - 1}-1", 2, "changed"))])
            if part < 2:
                lake.flush()


def write(lake: Lake, say: Say, n: int, operations: list[Put | Delete]) -> None:
    say("begin", n, operations)
    commit = lake.transact(operations, cursor=("writer", n))
    say("stored", n, [
        Row(v.t, v.resource_type, v.id, v.version_id, v.deleted, v.body) for v in commit.versions
    ])  # fmt: skip


def _make(places: Places, say: Say, arm: Arm) -> None:
    arm()
    with places.open() as lake:
        write(lake, say, 1, [Put(patient(1)), Put(observation("first", 1, "c1"))])


def _write(places: Places, say: Say, arm: Arm) -> None:
    with places.open() as lake:
        arm()
        for n in range(1, 5):
            more: list[Put | Delete] = [Put(observation(f"w{n}-{i}", n % 4, "w")) for i in range(3)]
            write(
                lake,
                say,
                n,
                [*more, Put(patient(n % 4, active=True)), Delete("Observation", f"o2-{n}")],
            )
        assert lake.search("Observation", [("code", "w")]).total == 12


def _flush(places: Places, say: Say, arm: Arm) -> None:
    with places.open() as lake:
        arm()
        lake.flush()


def _compact(places: Places, say: Say, arm: Arm) -> None:
    with places.open() as lake:
        arm()
        lake.compact()
        lake._retirement.remove(grace_s=0)


def _reindex(places: Places, say: Say, arm: Arm) -> None:
    with places.open() as lake:
        arm()
        lake.reindex()


def _renew(places: Places, say: Say, arm: Arm) -> None:
    with places.open() as lake:
        arm()
        lake.renew_keys()


def _rotate(places: Places, say: Say, arm: Arm) -> None:
    arm()
    rotation.rotate(LakeFolder(places.lake), places.old_key, places.new_key)
    say("rotated")


def _with_either_key(places: Places, done: bool) -> Lake:
    """With the old master key or the new one, never both; the new one when that was told."""
    opened = []
    for key in (places.old_key, places.new_key):
        try:
            rotation.open_keystore(LakeFolder(places.lake), key)
            opened.append(key)
        except Exception:
            continue
    assert len(opened) == 1, f"{len(opened)} master keys open the lake"
    assert not done or opened[0].path == places.new_key.path, "the old master key opens it still"
    return Lake.open(places.lake, master_key=opened[0])


def _erase(places: Places, say: Say, arm: Arm) -> None:
    with places.open() as lake:
        arm()
        lake.erase([("Observation", "o0-1"), ("Observation", "o2-2")], reason="x")
        say("erased")


def _purge(places: Places, say: Say, arm: Arm) -> None:
    with places.open() as lake:
        arm()
        lake.purge("p1", reason="x")
        say("erased")


def _erasing(is_gone: Callable[[Row], bool]) -> Callable[[Places, Lake, Expected, bool], None]:
    def finish(places: Places, lake: Lake, expected: Expected, done: bool) -> None:
        for job in lake.eraser.unfinished():
            result = lake.eraser.finish(job)
            assert result.state == "completed"
        erasures = lake.erasures_since(0)
        assert erasures in ((1,) if done else (0, 1))
        if erasures:
            expected.log = [row for row in expected.log if not is_gone(row)]

    return finish


def _of_patient_1(row: Row) -> bool:
    if row.key == ("Patient", "p1"):
        return True
    # Those that are in the record of p1, or were once.
    return row.resource_type == "Observation" and row.id in _OF_PATIENT_1


_OF_PATIENT_1 = {f"o{part}-{n}" for part in range(3) for n in (1, 5)}


def _make_import(places: Places) -> None:
    fill(places)
    lines = [patient(n % 700, multipleBirthInteger=n % 700) for n in range(700)]
    lines += [observation(f"i{n}", n % 50, f"c{n % 5}") for n in range(500)]
    places.ndjson.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _import(places: Places, say: Say, arm: Arm) -> None:
    with places.open() as lake:
        arm()
        _run_import(places, lake)
        lake.flush()
        say("imported")


def _run_import(places: Places, lake: Lake) -> None:
    report = Importer(Ingest(lake, max_note_bytes=1 << 20)).run([places.ndjson])
    assert report.rejected == []
    assert sum(report.stored.values()) == 1200


def _import_again(places: Places, lake: Lake, expected: Expected, done: bool) -> None:
    before = oracle.rows(lake)
    assert set(expected.log) <= set(before)
    # Batches are commits: each is there whole.
    sizes = [
        sum(1 for row in before if row.t == t)
        for t in {r.t for r in before} - {r.t for r in expected.log}
    ]
    assert sorted(sizes) in ([], [500], [500, 500], [200, 500, 500]), sizes
    assert not done or len(sizes) == 3
    _run_import(places, lake)
    lines = [json.loads(line) for line in places.ndjson.read_text().splitlines()]
    wanted = oracle.content(expected.log)
    wanted |= {(r["resourceType"], r["id"]): oracle.without_stamps(dict(r)) for r in lines}
    expected.log = oracle.rows(lake)
    assert oracle.content(expected.log) == wanted, "the import, run again, gives another lake"


def _backup(places: Places, say: Say, arm: Arm) -> None:
    with places.open() as lake:
        arm()
        lake.backup(places.backups)
        say("backed up")


def _restore_all(places: Places, lake: Lake, expected: Expected, done: bool) -> None:
    folder = BackupFolder(places.backups)
    assert len(folder.ids()) in ((1,) if done else (0, 1))
    for id in folder.ids():
        _check_backup(places, folder, id, expected)
    lake.backup(places.backups)
    _check_backup(places, folder, folder.ids()[-1], expected)
    # What was broken off goes with the first backup that is pruned.
    lake.backup(places.backups)
    lake.prune_backups(places.backups, 1)
    left = [path.name for path in places.backups.rglob("*.tmp")]
    assert left == [], left


def _check_backup(places: Places, folder: BackupFolder, id: str, expected: Expected) -> None:
    shutil.rmtree(places.restored, ignore_errors=True)
    _restore_into(places, id)
    with Lake.open(places.restored, master_key=places.old_key) as restored:
        assert oracle.rows(restored) == expected.log
        assert restored.verify() == []


def _restore_into(places: Places, id: str | None = None) -> None:
    folder = LakeFolder(places.restored)
    keystore = places.lake / "keys" / "keystore.json"
    restore(BackupFolder(places.backups), folder, keystore, places.old_key, id)


def _make_backup(places: Places) -> None:
    fill(places)
    with places.open() as lake:
        lake.backup(places.backups)


def _restore(places: Places, say: Say, arm: Arm) -> None:
    arm()
    _restore_into(places)
    say("restored")


def _restore_again(places: Places, lake: Lake, expected: Expected, done: bool) -> None:
    assert places.restored.exists() or not done
    if not places.restored.exists():
        _restore_into(places)
    with Lake.open(places.restored, master_key=places.old_key) as restored:
        assert oracle.rows(restored) == expected.log
        assert restored.verify() == []
    left = [path.name for path in places.base.iterdir() if path.name.endswith(".restoring")]
    assert left == [], left


def _copy_keys(places: Places, say: Say, arm: Arm) -> None:
    with places.open() as lake:
        arm()
        lake.key_copies.register(places.base / "copies")
        say("registered")
        lake.renew_keys()
        assert lake.key_copies.update_all() == {}


def _copy_keys_again(places: Places, lake: Lake, expected: Expected, done: bool) -> None:
    copies = places.base / "copies"
    if done:
        assert lake.key_copies.folders() == [str(copies.absolute())]
    lake.key_copies.register(copies)
    lake.renew_keys()
    assert lake.key_copies.update_all() == {}
    (copy,) = copies.glob("*.json")
    assert copy.read_bytes() == lake.folder.keystore.read_bytes()


def _audit(places: Places, say: Say, arm: Arm) -> None:
    with places.open() as lake:
        arm()
        for n in range(6):
            entity = Entity("Patient", f"audited-{n}", 1, "R")
            lake.record_access([AuditRecord("R", "read", "user:soak", entities=(entity,))]).result()
            say("recorded", n)
        write(lake, say, 1, [Put(patient(1, active=False))])


OPERATIONS = [
    Operation("make", _make, prepare=lambda places: None),
    Operation("write", _write),
    Operation("flush", _flush),
    Operation("compact", _compact),
    Operation("reindex", _reindex),
    Operation("renew keys", _renew),
    Operation("rotate, closed", _rotate, open=_with_either_key),
    Operation("erase", _erase, finish=_erasing(lambda row: row.id in ("o0-1", "o2-2"))),
    Operation("purge", _purge, finish=_erasing(_of_patient_1)),
    Operation("import", _import, prepare=_make_import, finish=_import_again),
    Operation("backup", _backup, finish=_restore_all),
    Operation("restore", _restore, prepare=_make_backup, finish=_restore_again),
    Operation("copy keys", _copy_keys, finish=_copy_keys_again),
    Operation("audit", _audit),
]
