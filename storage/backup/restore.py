"""Making a lake folder again from a backup and the key store."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from schemas.outcomes import FhirError, error
from storage import spool_positions
from storage.audit import AuditLog
from storage.backup.backup_folder import BackupFolder
from storage.backup.manifest import CopiedSegment, Manifest
from storage.backup.take import MANIFEST_KEY
from storage.database import Database
from storage.keys import MasterKey
from storage.keystore import Keystore
from storage.lake_folder import LakeFolder
from storage.private_files import create_file, make_folder, sync_folder
from storage.rebuild import rebuild
from storage.segment_files import LocalSegmentFiles

_BLOCK_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What was restored: the backup, its commit, segments brought back.

    `shredded`: segments whose keys an erase has destroyed since the backup; what was in them cannot
    be brought back. `rebuilt`: the database could not be opened for the same reason and was made
    anew from the segments.
    """

    id: str
    t: int
    segments: int
    shredded: list[str]
    rebuilt: bool


def restore(
    source: BackupFolder,
    target: LakeFolder,
    keystore_file: Path,
    master_key: MasterKey,
    id: str | None = None,
) -> RestoreReport:
    """Restore a backup (None: the latest) into a folder that is not there or empty.

    `keystore_file` is the lake's key store as it is now (or a copy of it): a backup has no keys.
    Raises FhirError: `conflict` (the target is in use), `not-found`, `forbidden` (another master
    key, or another lake's key store), `internal` (the backup is damaged). The target is left as it
    was found then.
    """
    if target.path.exists() and any(target.path.iterdir()):
        raise error(
            "conflict",
            f"{target.path} is not empty: a restore never overwrites. Name a new folder.",
        )
    if not keystore_file.is_file():
        raise error("not-found", f"There is no key store at {keystore_file}.")
    keystore = Keystore.open(keystore_file, master_key)
    ids = source.ids()
    if id is None and not ids:
        raise error("not-found", f"There is no backup in {source.path}.")
    id = id or ids[-1]
    manifest = Manifest.from_bytes(source.manifest_bytes(id), keystore.secret(MANIFEST_KEY))
    partial = target.path.with_name(target.path.name + ".restoring")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        report = _restore(source, LakeFolder(partial), keystore_file, master_key, id, manifest)
        if target.path.exists():
            target.path.rmdir()
        partial.rename(target.path)
        sync_folder(target.path.parent)
    except OSError as failure:
        raise error(
            "unavailable",
            f"{target.path} could not be written ({type(failure).__name__}: {failure.strerror}).",
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return report


def _restore(
    source: BackupFolder,
    folder: LakeFolder,
    keystore_file: Path,
    master_key: MasterKey,
    id: str,
    manifest: Manifest,
) -> RestoreReport:
    make_folder(folder.path)
    make_folder(folder.keystore.parent)
    make_folder(folder.segments)
    create_file(folder.keystore, keystore_file.read_bytes())
    keystore = Keystore.open(folder.keystore, master_key)
    known = keystore.segment_names()
    there = [segment for segment in manifest.segments if segment.name in known]
    for segment in there:
        _segment(source, folder, segment)
    for file in manifest.files:
        _file(source, folder.path / file.name, file.pieces)
    database = Database(folder.database, keystore.database_key)
    shredded = [segment.name for segment in manifest.segments if segment.name not in known]
    rebuilt = not _opens(database, keystore.lake_id)
    if not rebuilt:
        # The copies lie in the folder. What is in an object store belongs to the lake that was
        # backed up: two lakes on one prefix would remove each other's segments.
        database.keep_segments_here()
        _empty_spool(database, keystore)
    if rebuilt:
        for path in folder.path.glob("hot.db*"):
            path.unlink()
        files = [(s.resource_type, s.name, s.bytes, bytes.fromhex(s.sha256)) for s in there]
        rebuild(folder, keystore, LocalSegmentFiles(folder.segments), files, manifest.cursors)
        _index(folder, master_key)
    elif shredded:
        # Without an erase no key is destroyed of a segment that a backup may hold.
        raise error(
            "forbidden",
            f"The key store has no key for {len(shredded)} segments of this backup, such as "
            f"{shredded[0]}: it is not the lake's latest. Give the one in use, or a later copy.",
        )
    return RestoreReport(id, manifest.t, len(there), shredded, rebuilt)


def _opens(database: Database, lake_id: str) -> bool:
    """Whether the database copied can be read; not after an erase, which gives it a new key."""
    try:
        database.check(lake_id)
    except FhirError:
        return False
    return True


def _empty_spool(database: Database, keystore: Keystore) -> None:
    """Wait for no spool file of the lake that was backed up: a backup has none."""
    connection = database.writer()
    try:
        audit = AuditLog(keystore.secret("audit"), keystore.lake_id)
        spool_positions.close_all(connection, audit)
    finally:
        connection.close()


def _index(folder: LakeFolder, master_key: MasterKey) -> None:
    from storage.lake import Lake

    with Lake.open(folder.path, master_key=master_key) as lake:
        lake.reindex()


def _segment(source: BackupFolder, folder: LakeFolder, segment: CopiedSegment) -> None:
    path = source.segment(segment.resource_type, segment.name)
    target = folder.segments / segment.resource_type / path.name
    make_folder(target.parent)
    digest = hashlib.sha256()
    try:
        with path.open("rb") as copy, _new_file(target) as out:
            while block := copy.read(_BLOCK_BYTES):
                digest.update(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
    except FileNotFoundError:
        raise _damaged(segment, "is missing") from None
    if digest.hexdigest() != segment.sha256:
        raise _damaged(segment, "is not what was stored")
    sync_folder(target.parent)


def _file(source: BackupFolder, target: Path, pieces: list[str]) -> None:
    with _new_file(target) as out:
        for digest in pieces:
            out.write(source.piece(digest))
        out.flush()
        os.fsync(out.fileno())
    sync_folder(target.parent)


def _new_file(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _damaged(segment: CopiedSegment, what: str) -> FhirError:
    return error(
        "internal",
        f"The backup is damaged: segment {segment.name} of {segment.resource_type} {what}. "
        "Restore another backup.",
    )
