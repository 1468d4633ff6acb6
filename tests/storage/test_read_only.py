"""A lake opened read-only beside the process that writes, or without one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage.lake import Delete, Lake, Put
from storage.lake_folder import LakeFolder
from storage.master_keys.key_file import KeyFileMasterKey

Make = Callable[..., dict[str, Any]]

WRITER = """
import sys
from storage.lake_folder import LakeFolder
from storage.master_keys.key_file import KeyFileMasterKey
from storage.lake import Lake, Put
with Lake.open(sys.argv[1]) as lake:
    print("open", flush=True)
    for line in sys.stdin:
        what, _, id = line.strip().partition(" ")
        if what == "flush":
            lake.flush()
        elif what == "renew":
            lake.renew_keys()
        elif what == "put":
            system = f"http://example.org/{id}"  # a term that is new each time
            identifier = [{"system": system, "value": id}]
            lake.transact([Put({"resourceType": "Patient", "id": id, "identifier": identifier})])
        print(lake.t, flush=True)
"""


class Writer:
    """Another process that has the lake open and does what it is told."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "open\n"

    def do(self, line: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0


def files(path: Path) -> set[str]:
    """All files but SQLite's own and readers' accesses, which the next writer removes."""
    found = {str(f.relative_to(path)) for f in path.rglob("*") if f.is_file()}
    found = {name for name in found if not name.startswith("audit-spool/")}
    return found - {"hot.db-wal", "hot.db-shm"}


def test_it_follows_another_process_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lake"
    Lake.open(path).close()
    writer = Writer(path)
    with Lake.open(path, read_only=True) as reader:
        assert (reader.t, reader.history().total) == (0, 0)
        for number in range(6):
            t = writer.do(f"put p{number}")
            assert reader.t == t == number + 1
            found = reader.search("Patient", [("identifier", f"http://example.org/p{number}|")])
            assert [v.id for v in found.versions] == [f"p{number}"]
            assert reader.sql("SELECT count(*) FROM patient").rows() == [(t,)]
            assert reader.sql("SELECT count(*) FROM patient", at=1).rows() == [(1,)]
            if number == 2:
                writer.do("flush")
            if number == 3:
                writer.do("renew")
            assert len(reader.search("Patient", []).versions) == t
            assert reader.read("Patient", "p0").resource()["id"] == "p0"
        assert reader.verify() == []
        writer.end()
        before = files(path)
        assert reader.history().total == 6
        with Lake.open(path) as lake:
            lake.transact([Put({"resourceType": "Patient", "id": "p0"})])
            assert reader.read("Patient", "p0").version_id == 2
    assert files(path) == before


def test_it_works_without_a_writer_and_changes_nothing(tmp_path: Path, patient: Make) -> None:
    path = tmp_path / "lake"
    with Lake.open(path) as lake:
        lake.transact([Put(patient())])
    content = (path / "hot.db").read_bytes()
    before = files(path)
    with Lake.open(path, read_only=True) as one, Lake.open(path, read_only=True) as two:
        assert one.read("Patient", "p1").body == two.read("Patient", "p1").body
    assert files(path) == before
    assert (path / "hot.db").read_bytes() == content


def test_it_reads_what_a_killed_writer_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "lake"
    Lake.open(path).close()
    writer = Writer(path)
    writer.do("put a")
    writer.process.kill()
    writer.process.wait()
    with Lake.open(path, read_only=True) as reader:
        assert reader.read("Patient", "a").version_id == 1


def test_whatever_would_change_something_is_refused(tmp_path: Path, patient: Make) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(patient())])
    with Lake.open(tmp_path / "lake", read_only=True) as reader:
        for change in (
            lambda: reader.transact([Put(patient(id="new"))]),
            lambda: reader.transact([Delete("Patient", "p1")]),
            lambda: reader.transact([], cursor=("nlp", 1)),
            reader.flush,
            reader.reindex,
            reader.renew_keys,
        ):
            with pytest.raises(FhirError) as refused:
                change()
            assert refused.value.category == "forbidden"
            assert "read-only" in refused.value.issues[0].diagnostics
        assert reader.history().total == 1


def test_a_moment_that_is_not_settled_is_refused(
    tmp_path: Path, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(patient())])
        with Lake.open(tmp_path / "lake", read_only=True) as reader:
            time.sleep(0.005)
            moment = datetime.now(UTC)
            time.sleep(0.005)
            with pytest.raises(FhirError) as refused:
                reader.at(moment)
            assert refused.value.issues[0].expression == ("at",)
            lake.transact([Put(patient())])  # later than the moment: now it is settled
            assert reader.at(moment).t == 1
            real = time.time_ns
            monkeypatch.setattr(time, "time_ns", lambda: real() + 61 * 10**9)
            assert reader.at(datetime.now(UTC) + timedelta(milliseconds=5)).t == 2


def test_there_must_be_a_lake(tmp_path: Path) -> None:
    with pytest.raises(FhirError) as refused:
        Lake.open(tmp_path / "none", read_only=True)
    assert refused.value.category == "not-found"
    assert not os.listdir(tmp_path)


def test_readers_are_never_wrong_while_another_thread_writes(tmp_path: Path, patient: Make) -> None:
    path = tmp_path / "lake"
    acknowledged = [0]
    failures: list[BaseException] = []

    def read() -> None:
        try:
            with Lake.open(path, read_only=True) as reader:
                while acknowledged[0] < 60:
                    least = acknowledged[0]
                    view = reader.at()
                    assert view.t >= least
                    assert view.sql("SELECT count(*) FROM patient").rows() == [(view.t,)]
                    assert view.search("Patient", [("_count", "1")]).total == view.t
                    assert view.history(count=1).total == view.t
        except BaseException as failure:
            failures.append(failure)

    with Lake.open(path) as lake:
        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(60):
            acknowledged[0] = lake.transact([Put(patient(id=f"p{number}"))]).t
            if number % 20 == 19:
                lake.flush()
        for thread in threads:
            thread.join()
    assert failures == []


def test_new_keys_under_another_master_key_ask_for_a_restart(tmp_path: Path, patient: Make) -> None:
    old, new = tmp_path / "old.key", tmp_path / "new.key"
    for path in (old, new):
        KeyFileMasterKey.create(path)
    folder = tmp_path / "lake"
    with Lake.open(folder, master_key=KeyFileMasterKey(old)) as lake:
        lake.transact([Put(patient())])
    with Lake.open(folder, master_key=KeyFileMasterKey(old), read_only=True) as reader:
        assert reader.read("Patient", "p1").version_id == 1
        LakeFolder(folder)._keys(KeyFileMasterKey(old)).rotate(KeyFileMasterKey(new))
        assert reader.read("Patient", "p1").version_id == 1
        with Lake.open(folder, master_key=KeyFileMasterKey(new)) as lake:
            lake.renew_keys()
        with pytest.raises(FhirError, match="Restart it with the new master key") as refused:
            reader.read("Patient", "p1")
        assert refused.value.category == "unavailable"
        assert str(tmp_path) not in str(refused.value)
