"""A new key for `hot.db`, while others read and write, and wherever it is interrupted."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError, error
from storage import database_renewal, rotation
from storage.database import Database
from storage.keystore import Keystore
from storage.lake import Lake, Put
from storage.master_keys.key_file import KeyFileMasterKey

Make = Callable[..., dict[str, Any]]

# Renews the keys of the lake argv[1] and dies at the argv[2]-th change of the disk.
DIE = """
import os, sys
from pathlib import Path
from storage import database_renewal, keystore_file, private_files
from storage.lake import Lake, Put
left = [int(sys.argv[2])]
def dying(method):
    def call(*args, **kwargs):
        if left[0] == 0:
            os._exit(9)
        left[0] -= 1
        return method(*args, **kwargs)
    return call
lake = Lake.open(sys.argv[1])
lake.transact([Put({"resourceType": "Patient", "id": "last"})])
for name in ("rename", "unlink"):
    setattr(Path, name, dying(getattr(Path, name)))
for module in (database_renewal, keystore_file):
    for name in ("sync_folder", "sync_file", "create_file"):
        if hasattr(module, name):
            setattr(module, name, dying(getattr(module, name)))
lake.renew_keys()
os._exit(0)
"""


def keystore(path: Path) -> Keystore:
    return Keystore.open(
        path / "keys" / "keystore.json", KeyFileMasterKey(path / "keys" / "master.key")
    )


def content(lake: Lake) -> list[tuple[Any, ...]]:
    return [(v.t, v.resource_type, v.id, v.version_id, v.body) for v in lake.changes(0, limit=9999)]


def test_nothing_but_the_keys_changes(tmp_path: Path, patient: Make, observation: Make) -> None:
    path = tmp_path / "lake"
    with Lake.open(path) as lake:
        lake.transact([Put(patient(f"p{n}")) for n in range(50)])
        lake.flush()
        lake.transact([Put(observation(f"o{n}", patient=f"p{n}")) for n in range(50)])
        before, old = content(lake), keystore(path)
        first = lake.search("Observation", [("_count", "20")])
        shutil.copy(path / "hot.db", tmp_path / "copy.db")
        lake.renew_keys()
        assert content(lake) == before
        assert lake.search("Observation", [("_cursor", first.next or "")]).total in (None, 50)
        lake.transact([Put(patient("after"))])
        lake.flush()
        assert lake.verify() == []
        new = keystore(path)
        assert new.database_key != old.database_key
        assert new.secret("x") == old.secret("x")
        assert database_renewal.opens(tmp_path / "copy.db", old.database_key)
        assert not any(database_renewal.opens(tmp_path / "copy.db", k) for k in new.database_keys())
    with Lake.open(path) as lake:
        assert content(lake)[: len(before)] == before
        assert lake.read("Patient", "after").version_id == 1
        assert lake.verify() == []
    names = {p.name for p in path.iterdir()}
    assert names == {"hot.db", "keys", "lake", "lock", "audit-spool"}
    assert (path / "hot.db").stat().st_mode & 0o777 == 0o600


def test_a_reader_in_flight_finishes_on_the_old_file_and_harms_not_the_new_one(
    tmp_path: Path, patient: Make
) -> None:
    path = tmp_path / "lake"
    lake = Lake.open(path)
    lake.transact([Put(patient("p1"))])
    with lake._database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM version").get == 1
        lake.renew_keys()
        lake.transact([Put(patient("p2"))])
        assert connection.execute("SELECT count(*) FROM version").get == 1
    assert lake.read("Patient", "p2").version_id == 1
    # The old file's reader has gone by now, and took no log with it: as after a crash, all is there
    # in the files as they lie.
    shutil.copytree(path, tmp_path / "copy")
    lake.close()
    with Lake.open(tmp_path / "copy") as copy:
        assert [v.id for v in copy.changes(0)] == ["p1", "p2"]
        assert copy.verify() == []


def test_readers_of_another_process_follow_to_the_new_file(tmp_path: Path, patient: Make) -> None:
    path = tmp_path / "lake"
    with Lake.open(path) as lake:
        lake.transact([Put(patient("p1"))])
        # What another process has: a key store and a database of its own, opened before.
        elsewhere = keystore(path)
        database = Database(path / "hot.db", elsewhere.database_key, keys=elsewhere.database_keys)

        def count() -> int:
            with database.reading() as connection:
                found: int = connection.execute("SELECT count(*) FROM version").get
            return found

        assert count() == 1
        during: list[int] = []

        def put_in_place(file: Path) -> None:
            present(file)
            # The new file is there, and the key store still has both keys.
            during.append(database_renewal.opens(file, keystore(path).database_keys()[1]))

        present = database_renewal.put_in_place
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(database_renewal, "put_in_place", put_in_place)
            lake.renew_keys()
        assert during == [True]
        lake.transact([Put(patient("p2"))])
        assert count() == 2
        lake.renew_keys()
        assert count() == 2
        database.close()
        assert lake.verify() == []


def test_nothing_is_renewed_when_the_master_key_was_rotated_meanwhile(
    tmp_path: Path, patient: Make
) -> None:
    path = tmp_path / "lake"
    with Lake.open(path) as lake:
        lake.transact([Put(patient("p1"))])
        old = KeyFileMasterKey(path / "keys" / "master.key")
        new = KeyFileMasterKey.create(tmp_path / "new.key")
        assert rotation.rotate(lake.folder, old, new) == (False, {})
        before = (path / "keys" / "keystore.json").read_bytes()
        with pytest.raises(FhirError, match="Restart it with the new one") as refused:
            lake.renew_keys()
        assert refused.value.category == "forbidden"
        assert (path / "keys" / "keystore.json").read_bytes() == before
        lake.flush()
    with Lake.open(path, master_key=new) as lake:
        assert lake.read("Patient", "p1").version_id == 1
        lake.renew_keys()
        assert lake.verify() == []


def test_readers_and_writers_go_on(tmp_path: Path, patient: Make) -> None:
    failures: list[BaseException] = []
    done = threading.Event()
    written = [0]
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(patient(f"p{n}")) for n in range(20)])

        def run(work: Callable[[], object]) -> None:
            try:
                while not done.is_set():
                    work()
            except BaseException as failure:
                failures.append(failure)

        def write() -> None:
            lake.transact([Put(patient("p0", multipleBirthInteger=written[0]))])
            written[0] += 1

        def read() -> None:
            t = lake.t
            assert lake.search("Patient", [("_count", "0")]).total == 20
            assert lake.read("Patient", "p0").t >= t

        threads = [threading.Thread(target=run, args=(work,)) for work in (write, read, read)]
        for thread in threads:
            thread.start()
        for _ in range(6):
            lake.renew_keys()
        lake.flush()
        done.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert lake.t == 1 + written[0]
        assert lake.verify() == []


@pytest.mark.parametrize("step", [0, 3, 5, 7, 9, 11, 12, 13, 14, 16, 20, 22])
def test_dying_at_any_step_loses_nothing(tmp_path: Path, patient: Make, step: int) -> None:
    path = tmp_path / "lake"
    with Lake.open(path) as lake:
        lake.transact([Put(patient("p1"))])
        lake.flush()
    old = keystore(path).database_key
    died = subprocess.run([sys.executable, "-c", DIE, str(path), str(step)], capture_output=True)
    assert died.returncode in (0, 9), died.stderr
    with Lake.open(path) as lake:
        assert [v.id for v in lake.changes(0)] == ["p1", "last"]
        lake.transact([Put(patient("p2"))])
        assert lake.verify() == []
    settled = keystore(path)
    assert settled.next_database_key is None
    assert database_renewal.opens(path / "hot.db", settled.database_key)
    assert not list(path.glob("hot.db.*")), "leftovers"
    if died.returncode == 0:
        assert settled.database_key != old


def test_a_full_disk_leaves_everything_as_it_was(
    lake: Lake, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.transact([Put(patient("p1"))])

    def full(_connection: object, path: Path, _key: bytes) -> None:
        raise error("unavailable", "full")

    with monkeypatch.context() as patched:
        patched.setattr(database_renewal, "write", full)
        with pytest.raises(FhirError):
            lake.renew_keys()
    lake.transact([Put(patient("p2"))])
    lake.renew_keys()
    assert [v.id for v in lake.changes(0)] == ["p1", "p2"]


def test_a_failure_names_no_key(tmp_path: Path, lake: Lake) -> None:
    connection = lake._database.writer()
    try:
        (tmp_path / "folder" / "hot.db.renewing").mkdir(parents=True)
        connection.execute("BEGIN")  # VACUUM is refused in a transaction
        with pytest.raises(FhirError) as refused:
            database_renewal.write(connection, tmp_path / "hot.db", b"k" * 32)
    finally:
        connection.close()
    assert "hexkey" not in str(refused.value)
    assert refused.value.__suppress_context__
    assert not list(tmp_path.glob("hot.db.*"))


def test_when_putting_in_place_fails_the_lake_stops_writing_and_a_restart_settles_it(
    tmp_path: Path, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(patient("p1"))])
        with monkeypatch.context() as patched:

            def fail(_path: Path) -> None:
                raise OSError

            patched.setattr(database_renewal, "put_in_place", fail)
            with pytest.raises(FhirError, match="Restart it"):
                lake.renew_keys()
        with pytest.raises(FhirError, match="Restart it"):
            lake.transact([Put(patient("p2"))])
        assert lake.read("Patient", "p1").version_id == 1
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(patient("p2"))])
        assert lake.verify() == []
