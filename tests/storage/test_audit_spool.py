"""What readers record comes into the audit log: each access once, whoever dies when."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.outcomes import FhirError
from storage import audit_intake, audit_spool
from storage.audit import rows
from storage.audit_change import user
from storage.audit_intake import AuditIntake
from storage.audit_record import AuditRecord, AuditRow, Entity
from storage.audit_spool import SPOOL_KEY, AuditSpool, SpoolCodec
from storage.audit_trail import AuditTrail
from storage.backup.backup_folder import BackupFolder
from storage.backup.restore import restore
from storage.lake import Lake, Put
from storage.lake_folder import LakeFolder
from storage.master_keys.key_file import KeyFileMasterKey

Make = Callable[..., dict[str, Any]]
READ = AuditRecord("R", "read", "ward", entities=(Entity("Patient", "p1", 1, "R"),))


@pytest.fixture(autouse=True)
def _by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lakes take in when they are told to (or opened), not by the clock."""
    monkeypatch.setattr(audit_intake, "EVERY_S", 3600)


@pytest.fixture
def path(tmp_path: Path, patient: Make) -> Path:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(patient())])
    return tmp_path / "lake"


def table(lake: Lake) -> list[AuditRow]:
    with lake._database.reading() as connection:
        return list(rows(connection, "1 ORDER BY n"))


def names(lake: Lake) -> list[str]:
    return [row.name for row in table(lake)]


def spooled(path: Path) -> list[Path]:
    return sorted((path / "audit-spool").iterdir())


def intake(lake: Lake) -> AuditIntake:
    """That of a process that has just begun."""
    return AuditIntake(
        lake.folder.audit_spool, codec(lake), lake._audit, lake._writer, lake._database
    )


def codec(lake: Lake) -> SpoolCodec:
    return SpoolCodec(lake._keystore.secret(SPOOL_KEY), lake._keystore.lake_id)


def numbered(*numbers: int) -> list[AuditRecord]:
    return [AuditRecord("R", "read", "w", request_id=f"r-{n}", recorded_us=n) for n in numbers]


def taken(lake: Lake) -> Counter[str]:
    return Counter(row.record().request_id for row in table(lake) if row.agent == "w")


def problems(path: Path) -> list[str]:
    with Lake.open(path, read_only=True) as lake:
        return [str(finding) for finding in lake.verify()]


def test_what_a_program_reads_is_recorded_with_its_moment(path: Path) -> None:
    before_us = time.time_ns() // 1000 - 1000
    with Lake.open(path, read_only=True) as reader:
        reader.read("Patient", "p1")
        with pytest.raises(FhirError):
            reader.read("Patient", "none")
        reader.at(1).vread("Patient", "p1", 1)
        reader.history("Patient", "p1")
        reader.search("Patient", [("gender", "female")])
        reader.sql("SELECT count(*) FROM patient")
        reader.snapshot()
        reader.timeline("p1")
        reader.changes(0)
    after_us = time.time_ns() // 1000
    time.sleep(0.01)
    with Lake.open(path) as lake:
        found = table(lake)[2:]
        assert [(row.action, row.name, row.outcome) for row in found] == [
            ("E", "open", 0), ("R", "read", 0), ("R", "read", 4), ("R", "vread", 0),
            ("R", "history", 0), ("E", "search-type", 0), ("E", "sql", 0), ("E", "snapshot", 0),
            ("E", "timeline", 0), ("R", "changes", 0), ("E", "open", 0),
        ]  # fmt: skip
        assert {row.agent for row in found} == {f"process:{user()}"}
        assert found[1].record().patients == ("p1",)
        assert found[2].record().failure == "not-found"
        assert found[2].record().entities[0][:2] == ("Patient", "none")
        assert found[5].record().parameters == ("gender",)
        assert found[6].record().parameters == ("patient",)
        for row in found[:-1]:
            assert row.accessed_us is not None
            assert before_us <= row.accessed_us <= after_us < row.instant_us
            event = lake.read("AuditEvent", f"audit-{row.n}").resource()
            assert event["recorded"] < event["meta"]["lastUpdated"]
        assert found[-1].accessed_us is None
        assert lake.verify() == []
        assert spooled(path) == []


def test_a_trail_is_the_record_where_there_is_one(path: Path) -> None:
    with Lake.open(path, read_only=True) as reader:
        trail = AuditTrail("ward", "read", "R")
        with trail.active():
            reader.read("Patient", "p1")
        reader.record_access(trail.finish(0), durable=False).result()
    with Lake.open(path) as lake:
        assert [(r.agent, r.name) for r in table(lake)[2:4]] == [
            (f"process:{user()}", "open"),
            ("ward", "read"),
        ]


def test_searches_are_in_the_order_of_the_accesses(path: Path) -> None:
    """Also those that were taken in long after later events."""
    with Lake.open(path) as lake, Lake.open(path, read_only=True) as reader:
        moments = []
        for number in range(12):
            time.sleep(0.003)
            moments.append(time.time_ns() // 1_000_000 * 1000)
            one = AuditRecord("R", "read", "w", request_id=f"r-{number}")
            (reader if number % 3 else lake).record_access([one]).result()
            if number == 6:
                intake(lake).take_in()
        intake(lake).take_in()

        def found(*params: tuple[str, str], count: str = "5") -> list[int]:
            ids: list[int] = []
            cursor: str | None = ""
            while cursor is not None:
                more = [("_cursor", cursor)] if cursor else []
                page = lake.search(
                    "AuditEvent", [("altid", "w"), *params, ("_count", count), *more]
                )
                for version in page.versions:
                    n = int(version.id.removeprefix("audit-"))
                    (row,) = [row for row in table(lake) if row.n == n]
                    ids.append(int(row.record().request_id.removeprefix("r-")))
                cursor = page.next
            assert page.total == len(ids)
            return ids

        order = list(range(12))
        assert [int(r.record().request_id[2:]) for r in table(lake) if r.agent == "w"] != order
        for count in ("1", "5", "50"):
            assert found(("_sort", "date"), count=count) == order
            assert found(count=count) == order[::-1]

        def instant(us: int) -> str:
            return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(us // 10**6)) + (
                f".{us // 1000 % 1000:03}Z"
            )

        for cut in (1, 4, 8, 11):
            at = instant(moments[cut])
            assert found(("date", f"lt{at}"), ("_sort", "date")) == order[:cut]
            assert found(("date", f"ge{at}"), ("_sort", "date"), count="2") == order[cut:]


def test_a_file_is_taken_in_while_it_grows(path: Path) -> None:
    with Lake.open(path) as lake:
        taking = intake(lake)
        spool = AuditSpool(lake.folder.audit_spool, codec(lake))
        for n in range(4):
            spool.append(numbered(n))
            taking.take_in()
            assert taken(lake) == Counter(f"r-{i}" for i in range(n + 1))
            assert len(spooled(path)) == 1
        spool.close()
        taking.take_in()
        assert spooled(path) == []
        assert names(lake)[-1] == "read"
        assert lake.verify() == []


def test_a_file_does_not_grow_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_spool, "_FILE_BYTES", 150)
    with Lake.open(path) as lake:
        spool = AuditSpool(lake.folder.audit_spool, codec(lake))
        for n in range(10):
            spool.append(numbered(n))
        assert len(spooled(path)) > 2
        spool.close()
        intake(lake).take_in()
        assert taken(lake) == Counter(f"r-{n}" for n in range(10))
        assert "audit-spool-broken-off" not in names(lake)
        assert (spooled(path), lake.verify()) == ([], [])


class CrashError(BaseException):
    """The process ends here."""


steps = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(1, 3)),
        st.tuples(st.just("reader"), st.sampled_from(["close", "kill", "torn"])),
        st.tuples(
            st.just("take"),
            st.sampled_from(["", "before commit", "after commit", "before remove", "after remove"]),
        ),
    ),
    max_size=14,
)


@given(steps)
@settings(max_examples=40, deadline=None)
def test_each_access_comes_in_once_whoever_dies_when(script: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Lake.open(Path(folder) / "lake") as lake:
        spool: AuditSpool | None = None
        taking = intake(lake)
        count = 0
        for what, how in script:
            if what == "record":
                spool = spool or AuditSpool(lake.folder.audit_spool, codec(lake))
                spool.append(numbered(*range(count, count + how)))
                count += how
            elif what == "reader" and spool is not None:
                _end(spool, how)
                spool = None
            elif what == "take":
                try:
                    with _Dying(taking, how):
                        taking.take_in()
                except CrashError:
                    taking = intake(lake)
        if spool is not None:
            spool.close()
        taking.take_in()
        taking.take_in()
        assert taken(lake) == Counter(f"r-{n}" for n in range(count))
        in_order = [row.record().request_id for row in table(lake) if row.agent == "w"]
        assert in_order == sorted(in_order, key=lambda id: int(id[2:]))
        assert all(file.name.endswith(".damaged") for file in spooled(lake.folder.path))
        torn = names(lake).count("audit-spool-damaged")
        assert len(lake.verify()) == torn == len(spooled(lake.folder.path))


def _end(spool: AuditSpool, how: str) -> None:
    file = spool._file
    if how == "close" or file is None:
        spool.close()
        return
    if how == "torn":
        os.write(file._descriptor, file._codec.frame(file.name, file.place, numbered(99))[:-3])
    os.close(file._descriptor)
    spool._file = None
    spool.close()


class _Dying:
    """The writing process is killed at a step of taking in."""

    def __init__(self, taking: AuditIntake, step: str) -> None:
        self.patch = pytest.MonkeyPatch()
        order, _, function = step.partition(" ")
        if not step:
            return
        attribute = {"commit": "_append", "remove": "_remove"}[function]
        real = getattr(taking, attribute)

        def die(*args: Any) -> None:
            if order == "after":
                real(*args)
            raise CrashError

        self.patch.setattr(taking, attribute, die)

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        self.patch.undo()


def three_frames(path: Path) -> Path:
    """A spool file of a reader that was killed: opening, and two reads."""
    with Lake.open(path, read_only=True) as reader:
        reader.record_access(numbered(1)).result()
        reader.record_access(numbered(2)).result()
        assert reader._spool is not None
        file = reader._spool._file
        assert file is not None
        os.close(file._descriptor)
        reader._spool._file = None
    (spool,) = spooled(path)
    return spool


def frames(content: bytes) -> list[bytes]:
    found = []
    while content:
        end = 4 + int.from_bytes(content[:4], "big")
        found.append(content[:end])
        content = content[end:]
    return found


@pytest.mark.parametrize(
    ("tamper", "kept"),
    [
        (lambda f: [f[0], f[1][:-1] + bytes([f[1][-1] ^ 1]), f[2]], 0),
        (lambda f: [f[0], f[1][:20] + bytes([f[1][20] ^ 1]) + f[1][21:], f[2]], 0),
        (lambda f: [f[0], f[2], f[1]], 0),
        (lambda f: [f[0], f[2]], 0),
        (lambda f: [f[0], f[1], f[1], f[2]], 1),
        (lambda f: [f[0], f[1], f[2][:-5]], 1),
        (lambda f: [f[0], f[1], f[2], b"\0" * 9], 2),
        (lambda f: [f[0], f[1], f[2], b"\0\1\0\0garbage"], 2),
        (lambda f: [f[1], f[2]], 0),
    ],
)
def test_a_file_that_was_changed_is_told_and_kept(path: Path, tamper: Any, kept: int) -> None:
    spool = three_frames(path)
    changed = b"".join(tamper(frames(spool.read_bytes())))
    spool.write_bytes(changed)
    (problem,) = problems(path)
    assert problem.startswith(f"audit-spool/{spool.name}: ")
    with Lake.open(path) as lake:
        assert len(taken(lake)) == kept
        assert "audit-spool-damaged" in names(lake)
        assert [f.name for f in spooled(path) if f.suffix] == [f"{spool.name}.damaged"]
        assert any("it is kept until you remove it" in str(f) for f in lake.verify())
    assert (path / "audit-spool" / f"{spool.name}.damaged").read_bytes() == changed
    with Lake.open(path) as lake:  # Told once.
        assert names(lake).count("audit-spool-damaged") == 1
        (path / "audit-spool" / f"{spool.name}.damaged").unlink()
        assert lake.verify() == []


def test_a_file_of_another_name_or_lake_is_refused(path: Path, tmp_path: Path) -> None:
    spool = three_frames(path)
    copy = spool.with_name("0" * 32)
    shutil.copy(spool, copy)
    with Lake.open(path) as lake:
        assert sum(taken(lake).values()) == 2
        assert any(copy.name in str(f) for f in lake.verify())


def test_a_file_that_is_put_back_is_not_taken_in_again(path: Path) -> None:
    spool = three_frames(path)
    content = spool.read_bytes()
    for _ in range(2):
        with Lake.open(path) as lake:
            assert sum(taken(lake).values()) == 2
            assert lake.verify() == []
        assert not spool.exists()
        spool.write_bytes(content)
    # More than there was when it was done with.
    spool.write_bytes(content + frames(content)[0])
    with Lake.open(path) as lake:
        assert sum(taken(lake).values()) == 2
        assert "audit-spool-damaged" in names(lake)


def test_a_file_that_was_removed_or_cut_is_told(path: Path) -> None:
    with Lake.open(path) as lake:
        spools = [AuditSpool(lake.folder.audit_spool, codec(lake)) for _ in range(2)]
        for spool in spools:
            spool.append(numbered(1))
            spool.append(numbered(2))
        intake(lake).take_in()
        removed, cut = (spool._file for spool in spools)
        assert removed is not None
        assert cut is not None
        removed.path.unlink()
        os.truncate(cut.path, 30)
        told = "\n".join(str(f) for f in lake.verify())
        assert f"{removed.name}: it was removed after 2 records were taken in" in told
        assert f"{cut.name}: records that were taken in already are missing in it" in told
        # The processes notice themselves, and go on in another file.
        for spool in spools:
            spool.append(numbered(3))
            spool.close()
        intake(lake).take_in()
        assert taken(lake) == {"r-1": 2, "r-2": 2, "r-3": 2}
        assert names(lake).count("audit-spool-removed") == 3  # two that noticed, and the intake
        assert names(lake).count("audit-spool-damaged") == 1


def test_where_it_was_taken_to_cannot_be_moved_with_the_database_key(path: Path) -> None:
    """To have accesses skipped."""
    with Lake.open(path) as lake:
        spool = AuditSpool(lake.folder.audit_spool, codec(lake))
        spool.append(numbered(1))
        intake(lake).take_in()
        file = spool._file
        assert file is not None
        spool.append(numbered(2))
        connection = lake._database.writer()
        connection.execute(
            "UPDATE audit_spool SET frames = ?, bytes = ?, tag = ?",
            (file.place.frames, file.place.offset, file.place.tag),
        )
        connection.close()
        assert any("what the database says of it was changed" in str(f) for f in lake.verify())
        intake(lake).take_in()
        assert "audit-spool-damaged" in names(lake)
        spool.close()
        assert (path / "audit-spool" / f"{file.name}.damaged").exists()


def test_what_cannot_be_recorded_is_not_answered(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lake.open(path, read_only=True) as reader:
        real = os.write

        def full(descriptor: int, content: bytes) -> int:
            real(descriptor, bytes(content)[:7])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(audit_spool.os, "write", full)
            with pytest.raises(FhirError) as refused:
                reader.read("Patient", "p1")
            assert refused.value.category == "unavailable"
            assert "audit-spool" in refused.value.issues[0].diagnostics
            # Batched: kept, and no one is answered before they could be written.
            for number in (1, 2):
                with pytest.raises(FhirError):
                    reader.record_access(numbered(number), durable=False).result()
        reader.record_access(numbered(3)).result()
    assert problems(path) == []
    with Lake.open(path) as lake:
        assert taken(lake) == {"r-1": 1, "r-2": 1, "r-3": 1}
        assert "audit-spool-damaged" not in names(lake)


def test_a_folder_that_cannot_be_written_is_not_read_without_leave(path: Path) -> None:
    (path / "audit-spool").rmdir()
    (path / "audit-spool").write_bytes(b"")  # no folder: root may write in any
    with pytest.raises(FhirError) as refused:
        Lake.open(path, read_only=True)
    assert refused.value.category == "unavailable"
    assert "unaudited_reads" in refused.value.issues[0].diagnostics
    with Lake.open(path, read_only=True, unaudited=True) as reader:
        assert reader.read("Patient", "p1").version_id == 1


def test_nothing_of_it_is_readable_without_the_key(path: Path) -> None:
    with Lake.open(path, read_only=True) as reader:
        reader.read("Patient", "p1")
        (spool,) = spooled(path)
        content = spool.read_bytes()
        assert spool.stat().st_mode & 0o777 == 0o600
        for word in (b"Patient", b"p1", b"read", b"process"):
            assert word not in content


def test_a_restored_lake_begins_with_an_empty_spool(path: Path, tmp_path: Path) -> None:
    with Lake.open(path) as lake:
        spool = AuditSpool(lake.folder.audit_spool, codec(lake))
        spool.append(numbered(1))
        intake(lake).take_in()
        lake.backup(tmp_path / "backups")
        spool.append(numbered(2))
        spool.close()
    target = LakeFolder(tmp_path / "again")
    key = KeyFileMasterKey(path / "keys" / "master.key")
    restore(BackupFolder(tmp_path / "backups"), target, path / "keys" / "keystore.json", key)
    with Lake.open(target.path, master_key=key) as lake:
        assert spooled(target.path) == []
        assert taken(lake) == {"r-1": 1}
        assert "audit-spool-removed" not in names(lake)
        assert lake.verify() == []


READER = """
import sys
from storage.audit_record import AuditRecord
from storage.lake import Lake
with Lake.open(sys.argv[1], read_only=True) as lake:
    n = 0
    while True:
        id = f"{sys.argv[2]}-{n}"
        lake.record_access([AuditRecord("R", "read", "w", request_id=id)]).result()
        print(id, flush=True)
        n += 1
"""
WRITER = """
import sys, time
from storage import audit_intake
from storage.lake import Lake, Put
audit_intake.EVERY_S = 0.01
with Lake.open(sys.argv[1]) as lake:
    print("open", flush=True)
    while True:
        lake.transact([Put({"resourceType": "Patient", "id": "p"})])
        time.sleep(0.01)
"""


def _killed(process: subprocess.Popen[str]) -> list[str]:
    process.send_signal(signal.SIGKILL)
    out, _ = process.communicate()
    return out.split("\n")[:-1]


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.slow
def test_processes_that_are_killed_lose_and_double_nothing(
    path: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    acknowledged: list[str] = []
    readers = [started(READER, str(path), f"reader{n}") for n in range(2)]
    for turn in range(3):
        writer = started(WRITER, str(path))
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        time.sleep(0.13 + 0.07 * turn)
        if turn == 1:
            acknowledged += _killed(readers.pop())
        _killed(writer)
    acknowledged += _killed(readers.pop())
    assert len(acknowledged) > 20
    with Lake.open(path) as lake:
        found = taken(lake)
        assert set(acknowledged) <= set(found)
        assert len(found) - len(acknowledged) <= 2  # durable, but not told any more
        assert set(found.values()) == {1}
        assert names(lake).count("audit-spool-broken-off") == 2
        assert [str(f) for f in lake.verify()] == []
