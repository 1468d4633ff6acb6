"""Takes the spool into the audit log: each record once, in the order of its file.

How far a file was taken in is written in the transaction that appends its records, so a crash
repeats nothing and loses nothing. A file is removed when all of it was taken in and its process has
let go of it. One that is not what was written is set aside under another name, and that is an event
of the log: nothing is dropped.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import apsw

from schemas.outcomes import FhirError
from storage import spool_positions
from storage.audit import AuditLog
from storage.audit_record import AuditRecord
from storage.audit_spool import (
    DamagedError,
    Place,
    SpoolCodec,
    broken_off,
    damaged,
    removed,
    set_aside,
)
from storage.commit import Position
from storage.database import Database
from storage.private_files import make_folder, sync_folder
from storage.spool_positions import DAMAGED, DONE, OPEN, REMOVED, Taken
from storage.writer import Writer

log = logging.getLogger("chartlake.audit")

EVERY_S = 0.5
"""How often is looked for what readers recorded."""

_JOB_RECORDS = 2_000
_STALE_S = 60
_NAME = re.compile(r"[0-9a-f]{32}")


class AuditIntake:
    """The writing process's side of the spool."""

    def __init__(
        self, folder: Path, codec: SpoolCodec, audit: AuditLog, writer: Writer, database: Database
    ) -> None:
        make_folder(folder)
        self._folder = folder
        self._codec = codec
        self._audit = audit
        self._writer = writer
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chartlake-spool", daemon=True)
        self._failing = ""
        self._database = database
        self._unreadable: set[str] = set()
        with database.reading() as connection:
            self._undone, _ = spool_positions.read(connection, audit, spool_positions.UNDONE)

    def start(self) -> None:
        """Take in what is there, then go on in a thread. Raises FhirError."""
        _remove_stale(self._folder)
        self.take_in()
        self._thread.start()

    def stop(self) -> None:
        """Finish the file that is being taken in."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def take_in(self) -> None:
        """Take in all that is there. Raises FhirError; what was taken in until then, is."""
        with self._lock:
            names = files(self._folder)
            for name in names:
                try:
                    self._file(name)
                except OSError as failure:  # `verify` says so as long as it is there.
                    if name not in self._unreadable:
                        self._unreadable.add(name)
                        log.error("spool file %s cannot be taken in: %s", name, failure.strerror)
            for name, taken in list(self._undone.items()):
                if taken.state == OPEN and name not in names:
                    self._append(name, [removed()], Taken(REMOVED, taken.place))
                    log.error("spool file %s was removed before all of it was taken in", name)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self.take_in()
                self._failing = ""
            except FhirError as failure:
                if failure.category != self._failing:
                    log.error("what readers recorded cannot be taken in: %s", failure.category)
                self._failing = failure.category

    def _file(self, name: str) -> None:
        path = self._folder / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        try:
            ended = has_ended(descriptor)
            with self._database.reading() as connection:
                taken, sound = spool_positions.of_file(connection, self._audit, name)
            size = os.fstat(descriptor).st_size
            if taken.state == DAMAGED:
                self._keep(path)  # Found before; a crash came before it got its other name.
            elif (
                not sound
                or size < taken.place.offset
                or (taken.state == DONE and size > taken.place.offset)
            ):
                self._set_aside(path, [], taken.place)
            elif taken.state == DONE:
                self._remove(path)
            elif ended or size > taken.place.offset:
                content = os.pread(descriptor, size - taken.place.offset, taken.place.offset)
                self._content(path, content, taken.place, ended=ended)
        finally:
            os.close(descriptor)

    def _content(self, path: Path, content: bytes, place: Place, *, ended: bool) -> None:
        """Take in what a file holds from `place` on."""
        end = place.offset + len(content)
        found: list[AuditRecord] = []
        closed = False
        try:
            for frame in self._codec.frames(path.name, content, place):
                if closed:
                    raise DamagedError("something follows its end")
                if not frame.records:
                    closed = True
                    if not ended:
                        break  # Its process is about to let go of it.
                found += frame.records
                place = frame.end
                if len(found) >= _JOB_RECORDS:
                    self._append(path.name, found, Taken(OPEN, place))
                    found = []
            if ended and place.offset < end:
                raise DamagedError("its last record is not whole")
        except DamagedError as failure:
            log.error("spool file %s is kept: %s", path.name, failure)
            self._set_aside(path, found, place)
            return
        if ended:
            if not closed:
                found.append(broken_off())
            self._append(path.name, found, Taken(DONE, place))
            self._remove(path)
        elif found:
            self._append(path.name, found, Taken(OPEN, place))

    def _append(self, name: str, records: Sequence[AuditRecord], taken: Taken) -> None:
        """Append records and how far the file was taken in, in one transaction."""

        def append(connection: apsw.Connection, position: Position) -> None:
            position.audit = self._audit.append(
                connection,
                position.audit,
                [(record, None) for record in records],
                position.audit_references,
            )
            spool_positions.write(connection, self._audit, name, taken)

        self._writer.begin(append).result()
        if taken.state == DONE:
            self._undone.pop(name, None)
        else:
            self._undone[name] = taken

    def _set_aside(self, path: Path, before: list[AuditRecord], place: Place) -> None:
        """Take in what is sound, say in the log that the rest is not, and keep the file."""
        self._append(path.name, [*before, damaged()], Taken(DAMAGED, place))
        self._keep(path)

    def _keep(self, path: Path) -> None:
        kept = set_aside(path)
        while kept.exists():  # Another of the same name was put there before.
            kept = kept.with_name(kept.name + "-")
        path.rename(kept)
        sync_folder(self._folder)

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)


def files(folder: Path) -> list[str]:
    """The names of the files in the spool, oldest first."""
    try:
        return sorted(name for name in os.listdir(folder) if _NAME.fullmatch(name))
    except FileNotFoundError:
        return []


def has_ended(descriptor: int) -> bool:
    """Has the process that appended to a file let go of it (closed it, or died)?"""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_stale(folder: Path) -> None:
    """Files that a crash left before they had a record; no access of theirs was answered."""
    for path in folder.glob("*.new"):
        try:
            if time.time() - path.stat().st_mtime > _STALE_S:
                path.unlink()
        except FileNotFoundError:
            continue
