"""Disks that are full, fail to write or fail to sync, in every step that writes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import apsw
import pytest

from schemas.outcomes import FhirError
from storage import checkpoints, index_queue
from storage.lake import Lake, Put

Make = Callable[..., dict[str, Any]]

# How the operating system calls it → what SQLite makes of it.
NO_ROOM = apsw.SQLITE_FULL
BAD_WRITE = apsw.SQLITE_IOERR_WRITE
BAD_SYNC = apsw.SQLITE_IOERR_FSYNC


class FailingDisk(apsw.VFS):
    """SQLite's own file access with failures: `fail(operation, file suffix, result code)`."""

    NAME = "chartlake-failing"

    def __init__(self) -> None:
        self.failures: dict[tuple[str, str], int] = {}
        self.met = 0
        super().__init__(self.NAME, "unix")

    def xOpen(self, name, flags):
        return _File(self, name, flags)

    def check(self, operation: str, name: str) -> None:
        for (failing, suffix), code in list(self.failures.items()):
            if operation == failing and name.endswith(suffix):
                self.met += 1
                raise apsw.exception_for(code)

    @contextmanager
    def failing(self, operation: str, suffix: str, code: int) -> Iterator[None]:
        """`operation` (write, sync) on files whose name ends so fails in the block."""
        self.failures[operation, suffix] = code
        try:
            yield
        finally:
            del self.failures[operation, suffix]


class _File(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name, flags) -> None:
        self._disk = disk
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("unix", name, flags)

    def xWrite(self, data, offset):
        self._disk.check("write", self._name)
        return super().xWrite(data, offset)

    def xSync(self, flags):
        self._disk.check("sync", self._name)
        return super().xSync(flags)


@cache
def the_disk() -> FailingDisk:
    """One for the process: SQLite keeps what is registered with it."""
    return FailingDisk()


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    """Every database opened in the test lies on it."""
    found = the_disk()
    found.met = 0
    name = f"multipleciphers-{FailingDisk.NAME}"
    apsw.Connection(":memory:", vfs=name).close()
    apsw.set_default_vfs(name)
    try:
        yield found
    finally:
        apsw.set_default_vfs("multipleciphers-unix")


def outcome(call: Callable[[], Any]) -> str:
    """`stored`, or the category and text of the refusal."""
    try:
        call()
    except FhirError as failure:
        return f"{failure.category}: {failure}"
    return "stored"


def test_a_full_disk_refuses_every_writer_and_the_lake_goes_on_by_itself(
    tmp_path: Path, disk: FailingDisk, patient: Make
) -> None:
    outcomes: dict[str, str] = {}

    def write(name: str) -> None:
        for number in range(20):
            id = f"{name}-{number}"
            outcomes[id] = outcome(lambda id=id: lake.transact([Put(patient(id))]))

    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(patient("before"))])
        threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        while len(outcomes) < 10:
            time.sleep(0.001)
        with disk.failing("write", "-wal", NO_ROOM):
            refused = outcome(lambda: lake.transact([Put(patient("refused"))]))
            assert lake.read("Patient", "before").version_id == 1
        for thread in threads:
            thread.join()
        assert refused.startswith("unavailable") and "full" in refused
        assert lake.failure is None
        lake.transact([Put(patient("after"))])
        stored = {id for id, told in outcomes.items() if told == "stored"}
        assert {told for told in outcomes.values() if told != "stored"} <= {refused}
        assert there(lake) == stored | {"before", "after"}
        assert [v.t for v in lake.changes(0)] == list(range(1, lake.t + 1))
        assert lake.verify() == []
    with Lake.open(tmp_path / "lake") as lake:
        assert there(lake) == stored | {"before", "after"}


def there(lake: Lake) -> set[str]:
    return {version.id for version in lake.changes(0, limit=10_000)}


def test_a_search_is_refused_while_the_index_finds_no_room_and_answered_after(
    tmp_path: Path, disk: FailingDisk, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_queue, "_ROWS", 1)  # Fails between two of its transactions, too.
    with Lake.open(tmp_path / "lake") as lake:
        for number in range(3):
            lake.transact([Put(patient(f"p{number}"))])
        with disk.failing("write", "-wal", NO_ROOM):
            told = outcome(lambda: lake.search("Patient", [("gender", "female")]))
            assert told.startswith("unavailable") and "full" in told
        assert lake.search("Patient", [("gender", "female")]).total == 3
        assert lake.verify() == []


def test_a_checkpoint_without_room_harms_no_commit(
    tmp_path: Path, disk: FailingDisk, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", 4)
    monkeypatch.setattr(checkpoints, "_RETRY_S", 0.0)
    with Lake.open(tmp_path / "lake") as lake:
        with disk.failing("write", ".db", NO_ROOM):
            for number in range(20):
                lake.transact([Put(patient(f"p{number}"))])
            assert disk.met > 0
            assert lake.failure is None
        lake.transact([Put(patient("after"))])
        assert len(there(lake)) == 21
        assert lake.verify() == []
    with Lake.open(tmp_path / "lake") as lake:
        assert len(there(lake)) == 21


@pytest.mark.parametrize(
    ("operation", "suffix", "code", "name"),
    [
        ("sync", "-wal", BAD_SYNC, "IOERR_FSYNC"),
        ("write", "-wal", BAD_WRITE, "IOERR_WRITE"),
        ("sync", ".db", BAD_SYNC, "IOERR_FSYNC"),
        ("write", ".db", BAD_WRITE, "IOERR_WRITE"),
    ],
)
def test_after_a_failed_write_or_sync_nothing_is_acknowledged_until_a_restart(
    tmp_path: Path,
    disk: FailingDisk,
    patient: Make,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    suffix: str,
    code: int,
    name: str,
) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", 4)
    stored = set()
    told = ""
    with Lake.open(tmp_path / "lake") as lake:
        for number in range(5):
            lake.transact([Put(patient(f"p{number}"))])
            stored.add(f"p{number}")
        with disk.failing(operation, suffix, code):
            for number in range(5, 30):
                told = outcome(lambda n=number: lake.transact([Put(patient(f"p{n}"))]))
                if told != "stored":
                    break
                stored.add(f"p{number}")
        assert disk.met > 0
        assert told.startswith("unavailable")
        # The disk works again, but what it did meanwhile is not known.
        for call in (
            lambda: lake.transact([Put(patient("later"))]),
            lambda: lake.search("Patient", [("gender", "female")]),
            lake.flush,
        ):
            assert outcome(call).startswith("unavailable")
        assert lake.failure is not None
        assert name in lake.failure and "\n" not in lake.failure and "restart" in lake.failure
        assert lake.read("Patient", "p0").version_id == 1
        assert {v.id for v in lake.changes(0)} == stored
    with Lake.open(tmp_path / "lake") as lake:
        # What was refused by the failing sync may have reached the disk after all; all else not.
        assert stored <= there(lake)
        assert len(there(lake) - stored) <= 1
        assert lake.verify() == []
        assert lake.transact([Put(patient("later"))]).t == lake.t


WRITER_ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from schemas.outcomes import FhirError
from storage.lake import Lake, Put

path = Path(sys.argv[1])
ballast = path.parent / "ballast"

def patient(n):
    text = "".join(chr(97 + (n * k * k) % 26) for k in range(2000))
    return {"resourceType": "Patient", "id": f"p{n}",
            "text": {"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>"
                     + text + "</div>"}}

def told(call):
    try:
        call()
    except FhirError as failure:
        assert failure.category == "unavailable", failure
        assert "full" in str(failure), failure
        return True
    return False

with Lake.open(path) as lake:
    stored = 0
    ballast.write_bytes(b"x" * (1 << 20))
    while stored < 20_000 and not told(lambda: lake.transact([Put(patient(stored))])):
        stored += 1
    assert 10 < stored < 20_000, stored
    assert told(lake.flush)
    assert lake.failure is None
    left = [f.name for f in path.rglob("*") if f.name.endswith((".tmp", ".parquet"))]
    assert left == [], left
    assert lake.read("Patient", "p0").version_id == 1
    ballast.unlink()
    assert not told(lambda: lake.transact([Put(patient(stored))]))
    assert len(lake.changes(0, limit=100_000)) == stored + 1 == lake.t
    assert lake.verify() == []
with Lake.open(path) as lake:
    assert lake.t == stored + 1
    assert lake.verify() == []
print("whole", stored)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        done = subprocess.run(
            [sys.executable, "-c", WRITER_ON_A_SMALL_DISK, str(small / "lake")],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("whole")
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
