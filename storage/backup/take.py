"""Taking a backup of an open lake, while it is read and written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw

from schemas.ids import format_instant
from schemas.outcomes import error
from storage.backup import database_copy
from storage.backup.backup_folder import BackupFolder
from storage.backup.manifest import CopiedFile, CopiedSegment, Manifest
from storage.database import Database
from storage.keystore import Keystore
from storage.private_files import make_folder, sync_folder
from storage.segment_store import RETIRED, SegmentStore
from storage.versions import from_microseconds

_BLOCK_BYTES = 4 * 2**20

# An erase that begins meanwhile takes files from under a backup; the next attempt is without them.
_ATTEMPTS = 5

MANIFEST_KEY = "backup manifest"


@dataclass(frozen=True, slots=True)
class BackupReport:
    """A backup that was taken: its id, the commit it shows, bytes it needed, bytes it added."""

    id: str
    t: int
    bytes: int
    new_bytes: int


class _Changed(Exception):
    """The lake's files were replaced (an erase) while they were copied."""


class _Missing(_Changed):
    """A segment's file is not there; it may have been replaced just now."""

    def __init__(self, segment: CopiedSegment) -> None:
        super().__init__()
        self.segment = segment


def take(
    database: Database, store: SegmentStore, keystore: Keystore, folder: BackupFolder
) -> BackupReport:
    """Copy what is not in the folder yet; then the manifest, which makes the backup exist.

    Raises FhirError: `unavailable` (no room, no right to write), `internal` (the lake is damaged).
    """
    folder.create()
    missing: set[str] = set()
    for _ in range(_ATTEMPTS):
        try:
            return _take(database, store, keystore, folder)
        except _Missing as gone:
            if gone.segment.name in missing:
                # A new look at the lake still finds it: it was not replaced, it is lost.
                raise error(
                    "internal",
                    f"Segment {gone.segment.name} of {gone.segment.resource_type} is missing, so "
                    "the lake cannot be backed up. Run `chartlake verify`.",
                ) from None
            missing.add(gone.segment.name)
        except _Changed:
            continue
        except OSError as failure:
            raise error(
                "unavailable",
                f"The backup was broken off ({type(failure).__name__}: {failure.strerror}); what "
                "is there already is used by the next one.",
            ) from None
    raise error("unavailable", "An erase is going on; take the backup when it has ended.")


def _take(
    database: Database, store: SegmentStore, keystore: Keystore, folder: BackupFolder
) -> BackupReport:
    inode = os.stat(database.path).st_ino
    with database.reading() as connection:
        t, instant_us = connection.execute(
            "SELECT t, instant_us FROM commit_log ORDER BY t DESC LIMIT 1"
        ).get or (0, 0)
        cursors = dict(connection.execute("SELECT name, t FROM consumer_cursor"))
        listed: Sequence[Any] = connection.execute(
            "SELECT s.id, t.text, s.file, s.bytes, s.sha256 FROM segment s "
            f"JOIN term t ON t.id = s.type WHERE s.state <> {RETIRED} ORDER BY s.id"
        ).fetchall()
        files, new_bytes = [], 0
        for path in (database.path, database.path.with_name(database.path.name + "-wal")):
            copied, added = _file(path, folder)
            files.append(copied)
            new_bytes += added
    if os.stat(database.path).st_ino != inode:
        raise _Changed
    pinned = [row[0] for row in listed]
    if not store.pin(pinned):
        raise _Changed
    try:
        segments = [CopiedSegment(row[1], row[2], row[3], row[4].hex()) for row in listed]
        for segment in segments:
            new_bytes += _segment(segment, store, folder)
    finally:
        store.unpin(pinned)
    instant = from_microseconds(instant_us)
    manifest = Manifest(keystore.lake_id, t, format_instant(instant), files, segments, cursors)
    id = _new_id(folder, t)
    folder.add_manifest(id, manifest.to_bytes(keystore.secret(MANIFEST_KEY)))
    size = sum(file.bytes for file in files) + sum(segment.bytes for segment in segments)
    return BackupReport(id, t, size, new_bytes)


def _new_id(folder: BackupFolder, t: int) -> str:
    id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-t{t}"
    taken = {known for known in folder.ids() if known == id or known.startswith(id + "-")}
    return f"{id}-{len(taken) + 1}" if taken else id


def _file(path: Path, folder: BackupFolder) -> tuple[CopiedFile, int]:
    digests: list[str] = []
    size = added = 0
    try:
        for digest, content in database_copy.pieces(path):
            if not folder.has_piece(digest):
                folder.add_piece(digest, content)
                added += len(content)
            digests.append(digest)
            size += len(content)
    except apsw.CantOpenError:
        raise _Changed from None
    return CopiedFile(path.name, size, digests), added


def _segment(segment: CopiedSegment, store: SegmentStore, folder: BackupFolder) -> int:
    """Copy a segment that is not there yet, checking on the way that it is what was written."""
    target = folder.segment(segment.resource_type, segment.name)
    if target.exists() and target.stat().st_size == segment.bytes:
        return 0
    make_folder(target.parent)
    temporary = target.with_name(target.name + ".tmp")
    path = store.files.path(segment.resource_type, segment.name)
    digest = hashlib.sha256()
    try:
        source = store.files.filesystem.open_input_stream(path)
    except FileNotFoundError:
        raise _Missing(segment) from None
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with source, os.fdopen(descriptor, "wb") as out:
        while block := source.read(_BLOCK_BYTES):
            digest.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != segment.sha256:
        temporary.unlink()
        raise error(
            "internal",
            f"Segment {segment.name} of {segment.resource_type} is damaged and cannot be backed "
            "up. Run `chartlake verify`.",
        )
    temporary.rename(target)
    sync_folder(target.parent)
    return segment.bytes
