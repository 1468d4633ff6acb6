"""Making the database of a lake anew from its segments.

A segment holds everything of its versions but what is derived from others: which version superseded
it, and the search index (`Lake.reindex`). What was never flushed is in no segment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apsw
import pyarrow as pa

from storage.audit import AuditLog
from storage.audit_change import rebuilding
from storage.database import Database
from storage.keystore import Keystore
from storage.lake_folder import LakeFolder
from storage.packed_ids import pack
from storage.private_files import sync_folder
from storage.segment_files import SegmentFiles
from storage.segment_store import LIVE
from storage.segments import SegmentFile, decryption_properties
from storage.terms import intern_in

_COLUMNS = ("v", "t", "id", "version_id", "last_updated", "method", "deleted", "patient_id")

_INSERT = (
    "INSERT INTO version (v, type, id, version_id, t, method, deleted, patient, segment, "
    "segment_row) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def rebuild(
    folder: LakeFolder,
    keystore: Keystore,
    files: SegmentFiles,
    segments: Iterable[tuple[str, str, int, bytes]],
    cursors: Mapping[str, int],
) -> None:
    """Make `hot.db`, which must not be there, from segments: (type, name, bytes, SHA-256) of each.

    Every version must be in exactly one of them. The search index is left empty. Raises OSError or
    ArrowException for a segment that cannot be read; there is no `hot.db` then.
    """
    unfinished = folder.database.with_name("hot.db.rebuilt")
    for leftover in folder.path.glob(unfinished.name + "*"):
        leftover.unlink()
    database = Database(unfinished, keystore.database_key)
    database.create(keystore.lake_id)
    connection = database.writer()
    try:
        with connection:
            for number, (resource_type, name, size, sha256) in enumerate(segments, 1):
                file = _file(keystore, files, resource_type, name)
                _segment(connection, number, file, size, sha256)
            _supersede(connection)
            connection.executemany("INSERT INTO consumer_cursor VALUES (?, ?)", cursors.items())
            _begin_audit(connection, keystore)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    unfinished.rename(folder.database)
    sync_folder(folder.path)


def _file(keystore: Keystore, files: SegmentFiles, resource_type: str, name: str) -> SegmentFile:
    return SegmentFile(
        name,
        resource_type,
        files.filesystem,
        files.path(resource_type, name),
        files.cache_key(resource_type, name),
        decryption_properties(name, keystore.segment_key(name)),
        0,
        lambda _file, failure: _unreadable(failure),
    )


def _segment(
    connection: apsw.Connection, number: int, file: SegmentFile, size: int, sha256: bytes
) -> None:
    intern = intern_in(connection)
    type_number = intern(file.resource_type)
    patients: dict[str, int] = {}
    rows = group_rows = min_v = max_v = 0
    commits: dict[int, tuple[int, int]] = {}
    with file.open() as opened:
        for group in range(opened.num_row_groups):
            table = opened.read_row_group(group, list(_COLUMNS))
            group_rows = group_rows or table.num_rows
            found = []
            for v, t, id, version_id, instant_us, method, deleted, patient_id in _rows(table):
                patient = None
                if patient_id is not None:
                    patient = patients.get(patient_id)
                    if patient is None:
                        patient = patients[patient_id] = _patient(connection, patient_id)
                found.append(
                    (
                        v,
                        type_number,
                        pack(id),
                        version_id,
                        t,
                        method,
                        int(deleted),
                        patient,
                        number,
                        rows,
                    )
                )
                rows += 1
                min_v, max_v = min(min_v or v, v), max(max_v, v)
                commits[t] = (instant_us, min(v, commits.get(t, (0, v))[1]))
            connection.executemany(_INSERT, found)
    connection.executemany(
        "INSERT INTO commit_log (t, instant_us, first_v) VALUES (?, ?, ?) "
        "ON CONFLICT (t) DO UPDATE SET first_v = min(first_v, excluded.first_v)",
        [(t, instant_us, v) for t, (instant_us, v) in commits.items()],
    )
    connection.execute(
        "INSERT INTO segment (id, type, file, rows, group_rows, bytes, sha256, min_v, max_v, "
        f"state, run) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, {LIVE}, ?)",
        (number, type_number, file.name, rows, group_rows, size, sha256, min_v, max_v, number),
    )


def _rows(table: pa.Table) -> Iterator[Sequence[Any]]:
    columns = [table.column(name) for name in _COLUMNS]
    columns[4] = columns[4].cast(pa.int64())
    return zip(*(column.to_pylist() for column in columns), strict=True)


def _patient(connection: apsw.Connection, patient_id: str) -> int:
    key = pack(patient_id)
    connection.execute("INSERT OR IGNORE INTO patient (packed) VALUES (?)", (key,))
    return int(connection.execute("SELECT id FROM patient WHERE packed = ?", (key,)).get)


def _begin_audit(connection: apsw.Connection, keystore: Keystore) -> None:
    """The audit log was in the old database alone; the new one says where it begins."""
    t = connection.execute("SELECT max(t) FROM commit_log").get
    log = AuditLog(keystore.secret("audit"), keystore.lake_id)
    log.append(connection, None, [(rebuilding(), t)])


def _supersede(connection: apsw.Connection) -> None:
    """Work out what no segment says: when each version ended, and how many are current."""
    connection.execute(
        "UPDATE version SET t_end = n.t FROM version n WHERE n.type = version.type "
        "AND n.id = version.id AND n.version_id = (SELECT min(l.version_id) FROM version l "
        "WHERE l.type = version.type AND l.id = version.id AND l.version_id > version.version_id)"
    )
    connection.execute(
        "INSERT INTO resource_count SELECT type, sum(t_end IS NULL AND NOT deleted) "
        "FROM version GROUP BY type"
    )


def _unreadable(failure: BaseException) -> Any:
    raise failure
