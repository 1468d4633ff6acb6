"""`hot.db`: one page-encrypted SQLite database, its connections and its tables.

| table | key | what |
|---|---|---|
| `lake` | `name` | identity and layout of the lake, where its segments are; the last `v`, once one
| | | was erased; the last audit event, and the last one that `audit_reference` has |
| `term` | `id` | text ↔ small number, for what recurs in every row (types, parameters, systems) |
| `commit_log` | `t` | when commit `t` was made, and its first version |
| `version` | `v` | one row a version, in commit order; `t_end` is the commit that superseded it;
| | | `id` as in `storage.packed_ids` |
| `patient` | `id` | patient id ↔ small number, for the `patient` of versions |
| `hot_body` | `v` | its bytes, until a segment has them |
| `index_pending` | `v` | its index rows, until they are in the index; see `storage.index_queue` |
| `segment` | `id` | one row a Parquet file: size, digest, which `v` it has, which sorted `run` it
| | | is a part of, its `state` (0 settling, 1 live, 2 retired), retired since when (0: erased) |
| `former_segment` | `file` | segments that others came in the place of: backups may hold their
| | | files, so their keys stay until an erase concerns `run`, the run that has their versions now |
| `segment_begun` | `file` | files being written, to be removed after a crash |
| `consumer_cursor` | `name` | last `t` that a consumer has dealt with |
| `resource_count` | `type` | current resources of a type |
| `audit` | `n` | one row an access or change, see `storage.audit` |
| `audit_reference` | `ref`, `n` | audit rows by the resources that they concern |
| `audit_spool` | `file` | how far a reader's spool file was taken into the audit log |
| `job` | `id` | work that goes on after a restart, see `storage/jobs.py` |
| `erasure` | `id` | that versions were erased, when and why; not which |
| `erased_version` | `v` | erased versions whose index rows are still to be removed |
| `*_index` | | the search index of hot versions, see `storage/index` |
| `index_part`, `index_block` | `id` | that of flushed ones, see `storage/index/parts.py` |

`v` counts versions across the lake and grows with `t`. A version is visible at `T` when
`t <= T` and `t_end` is null or beyond `T`: rows are never changed otherwise, so any past `T` can be
read while others write.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import apsw

from schemas.outcomes import error
from storage import (
    audit,
    database_renewal,
    disk_failures,
    index,
    index_queue,
    packed_ids,
    spool_positions,
)
from storage.private_files import create_file, folder_lock

LAYOUT = 3

_READER_CACHE_KIB = 16 * 1024
_WRITER_CACHE_KIB = 64 * 1024

# Compiled statements. The writer has one for each number of rows that it stores at once.
_READER_STATEMENTS = 100
_WRITER_STATEMENTS = 500

# Free pages kept for the next rows (2 MiB), and pages given back in one transaction: each may be
# one that is moved.
_SPARE_PAGES = 512
_GIVEN_BACK_PAGES = 1_024

_TABLES = """
CREATE TABLE lake (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE term (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE commit_log (
  t INTEGER PRIMARY KEY, instant_us INTEGER NOT NULL, first_v INTEGER NOT NULL
);
CREATE INDEX commit_log_instant ON commit_log (instant_us);
CREATE TABLE version (
  v INTEGER PRIMARY KEY,
  type INTEGER NOT NULL,
  id BLOB NOT NULL,
  version_id INTEGER NOT NULL,
  t INTEGER NOT NULL,
  t_end INTEGER,
  method TEXT NOT NULL,
  deleted INTEGER NOT NULL,
  patient INTEGER,
  segment INTEGER,
  segment_row INTEGER
);
CREATE UNIQUE INDEX version_id ON version (type, id, version_id);
CREATE INDEX version_type ON version (type, v);
CREATE INDEX version_ended ON version (type, t_end) WHERE t_end IS NOT NULL;
CREATE INDEX version_deleted ON version (type, t) WHERE deleted;
CREATE TABLE patient (id INTEGER PRIMARY KEY, packed BLOB NOT NULL UNIQUE);
CREATE TABLE hot_body (v INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE segment (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  type INTEGER NOT NULL,
  file TEXT NOT NULL UNIQUE,
  rows INTEGER NOT NULL,
  group_rows INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 BLOB NOT NULL,
  min_v INTEGER NOT NULL,
  max_v INTEGER NOT NULL,
  state INTEGER NOT NULL,
  run INTEGER NOT NULL,
  retired_us INTEGER
);
CREATE INDEX segment_type ON segment (type, max_v);
CREATE TABLE former_segment (file TEXT PRIMARY KEY, run INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE segment_begun (file TEXT PRIMARY KEY, type INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE consumer_cursor (name TEXT PRIMARY KEY, t INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE resource_count (type INTEGER PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE job (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  request TEXT NOT NULL,
  progress TEXT NOT NULL,
  result TEXT,
  created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX job_open ON job (created_us) WHERE state IN ('accepted', 'running');
CREATE TABLE erasure (
  id INTEGER PRIMARY KEY,
  t INTEGER NOT NULL,
  instant_us INTEGER NOT NULL,
  kind TEXT NOT NULL,
  versions INTEGER NOT NULL,
  reason TEXT NOT NULL,
  job TEXT NOT NULL
);
CREATE TABLE erased_version (v INTEGER PRIMARY KEY, type INTEGER NOT NULL);
CREATE TABLE search_definition (
  id TEXT PRIMARY KEY,
  version_id INTEGER NOT NULL,
  params TEXT NOT NULL,
  ready INTEGER NOT NULL
) WITHOUT ROWID;
"""


class Renewals(Protocol):
    """How often the database was given another file (`storage.elsewhere.Published`)."""

    @property
    def renewals(self) -> int:
        """Counted by who puts it there, before anything is written to it."""

    def renewed(self) -> None:
        """Count one more."""


class Database:
    """Opens connections to one `hot.db`; lends them to readers.

    Several processes may have it open: one that writes, and others `read_only`, which never change
    the file, nor copy its log into it.
    """

    def __init__(
        self,
        path: Path,
        key: bytes,
        *,
        keys: Callable[[], Sequence[bytes]] | None = None,
        read_only: bool = False,
    ) -> None:
        """`keys` gives the keys to try when another process gave the database a new one."""
        self.path = path
        self.read_only = read_only
        self.on_renewed: Callable[[], None] | None = None
        """Called when another file was found in the place of the one that was read until then."""
        self.published: Renewals | None = None
        """Where processes of one service tell each other that another file was put there."""
        self._seen_renewals = -1
        self._key = key
        self._keys = keys
        self._idle: list[apsw.Connection] = []
        # The file that the idle connections have open: a renewal of the key puts another there.
        self._inode = 0
        self._lock = threading.Lock()
        self._closed = False

    def create(self, lake_id: str, segments_url: str = "") -> None:
        """Make the file with its tables. Durable and closed on return."""
        # SQLite would make it as the umask has it; its -wal and -shm take the mode of the file.
        create_file(self.path, b"")
        connection = self._connect()
        try:
            # Before anything is written: what a flush leaves free can be given back.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            with connection:
                connection.execute(_TABLES)
                connection.execute(audit.DDL)
                connection.execute(spool_positions.DDL)
                connection.execute(index_queue.DDL)
                index.create_tables(connection)
                connection.executemany(
                    "INSERT INTO lake VALUES (?, ?)",
                    [("id", lake_id), ("layout", str(LAYOUT)), ("segments_url", segments_url)],
                )
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()

    def check(self, lake_id: str) -> None:
        """Refuse a file of another key, lake or layout (FhirError) before anything is written."""
        try:
            connection = self._connect(writable=False)
            try:
                found = dict(connection.execute("SELECT name, value FROM lake"))
            finally:
                connection.close()
        except apsw.CantOpenError:
            raise error(
                "forbidden",
                f"{self.path} cannot be opened: SQLite needs the files beside it, {self.path.name}"
                "-wal and -shm, or leave to make them, also for reading. Let this process write in "
                "the folder, or open the lake while the process that writes is running.",
            ) from None
        except apsw.Error as failure:
            raise error(
                "forbidden",
                f"{self.path} cannot be read with the key of this lake's keystore "
                f"({type(failure).__name__}): it belongs to another lake or is damaged. "
                "Bring back the hot.db and keys/keystore.json that belong together.",
            ) from None
        if found.get("id") != lake_id:
            raise error("forbidden", f"{self.path} belongs to another lake than its keystore.")
        if found.get("layout") != str(LAYOUT):
            raise error(
                "not-supported",
                f"{self.path} has layout {found.get('layout')}; this release reads {LAYOUT}.",
            )

    def segments_url(self) -> str:
        """Where the segments lie when not in the lake's folder; else empty."""
        with self.reading() as connection:
            return str(
                connection.execute("SELECT value FROM lake WHERE name = 'segments_url'").get or ""
            )

    def keep_segments_here(self) -> None:
        """Record that the segments lie in the lake's folder. Durable on return."""
        connection = self.writer()
        try:
            connection.execute("UPDATE lake SET value = '' WHERE name = 'segments_url'")
        finally:
            connection.close()

    def writer(self) -> apsw.Connection:
        """A new connection that may write; the caller closes it, after all readers."""
        connection = self._connect()
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit is on the disk when COMMIT returns.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
        # The pages are encrypted; zeroing bodies that move to segments would gain little.
        connection.execute("PRAGMA secure_delete = FAST")
        return connection

    def reading(self) -> Lent:
        """A connection in a read transaction: everything read in it is of one moment."""
        return Lent(self, transaction=True)

    def statement(self) -> Lent:
        """A connection for one statement, which is of one moment by itself.

        A reader of one row is a third faster for it. What it gives must be fetched in the block.
        """
        return Lent(self, transaction=False)

    def renew_key(self, connection: apsw.Connection, key: bytes) -> apsw.Connection:
        """Put the file that `database_renewal.write` made in the old one's place.

        `connection`, the old file's writer, is closed; returns the new one's. Readers that are
        reading finish on the old file, which the disk keeps until then.
        """
        # Who opens a connection holds the lock shared: no one opens one file with another's log.
        with folder_lock(self.path.with_name("keys")), self._lock:
            database_renewal.put_in_place(self.path)
            if self.published is not None:
                self.published.renewed()
            self._key = key
            idle, self._idle = self._idle, []
            self._inode = os.stat(self.path).st_ino
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        for old in (*idle, connection):
            old.close()
        return self.writer()

    def close(self) -> None:
        """Close the readers' connections. Those in use are closed when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> tuple[apsw.Connection, int]:
        """A connection, and the inode of the file that it has open."""
        stale: list[apsw.Connection] = []
        try:
            with self._lock:
                if self._closed:
                    raise error("unavailable", "The lake is closed.")
                inode = self._inode_now()
                if inode != self._inode:
                    renewed = self._inode and self.on_renewed
                    stale, self._idle, self._inode = self._idle, [], inode
                    if renewed:
                        renewed()
                if self._idle:
                    return self._idle.pop(), inode
        finally:
            for connection in stale:
                connection.close()
        # While it is opened, no other file may take the place of the one that it is of.
        with folder_lock(self.path.with_name("keys"), shared=True):
            # Only what is looked at under the lock above is taken note of: there the idle
            # connections to the file before it are given up.
            inode = self._inode if self._is_put_here else self._inode_of_file()
            with disk_failures.naming_damage():
                connection = self._connect(writable=False)
        connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
        return connection, inode

    def _give(self, connection: apsw.Connection, inode: int) -> None:
        with self._lock:
            if not self._closed and inode == self._inode:
                self._idle.append(connection)
                return
        connection.close()

    @property
    def _is_put_here(self) -> bool:
        """Whether it is this process that puts another file there, if any."""
        return bool(self._inode) and self._keys is None

    def _inode_now(self) -> int:
        """The inode of the file that is to be read; asked with the lock held."""
        if self._is_put_here:
            return self._inode
        if self.published is not None and self._keys is not None:
            seen = self.published.renewals
            if seen == self._seen_renewals:
                return self._inode
            self._seen_renewals = seen
        return self._inode_of_file()

    def _inode_of_file(self) -> int:
        try:
            return os.stat(self.path).st_ino
        except FileNotFoundError:
            return self._inode

    def _drop(self, connection: apsw.Connection) -> None:
        with contextlib.suppress(apsw.Error):
            connection.close()

    def _connect(self, *, writable: bool = True) -> apsw.Connection:
        if self.read_only:
            flags = apsw.SQLITE_OPEN_READONLY
        else:
            flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if writable else 0)
        kept = _WRITER_STATEMENTS if writable else _READER_STATEMENTS
        connection = database_renewal.connect(self.path, self._key, flags, kept)
        try:
            self._prepare(connection, writable)
        except apsw.NotADBError:
            connection.close()
            found = [k for k in (self._keys or list)() if database_renewal.opens(self.path, k)]
            if not found:
                raise
            connection = database_renewal.connect(self.path, found[0], flags, kept)
            self._prepare(connection, writable)
            self._key = found[0]
        except BaseException:
            connection.close()
            raise
        return connection

    @staticmethod
    def _prepare(connection: apsw.Connection, writable: bool) -> None:
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.set_busy_timeout(10_000)
        connection.create_scalar_function(
            packed_ids.UNPACK_SQL, _unpacked_id, 1, deterministic=True
        )
        if writable:
            # The last one to close copies the write-ahead log into the database and removes it.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        else:
            connection.execute("PRAGMA query_only = ON")
        # Opens the file and its log, which SQLite puts off to the first read.
        connection.execute("SELECT count(*) FROM sqlite_schema").get  # noqa: B018


def give_back_pages(connection: apsw.Connection) -> bool:
    """Take some free pages off the file, within a transaction; whether there are more to take.

    A few megabytes stay, for the commits that come next.
    """
    free = connection.execute("PRAGMA freelist_count").get
    if free <= _SPARE_PAGES:
        return False
    taken = min(free - _SPARE_PAGES, _GIVEN_BACK_PAGES)
    connection.execute(f"PRAGMA incremental_vacuum({taken})").fetchall()
    return int(connection.execute("PRAGMA freelist_count").get) < free


class Lent:
    """A reader's connection, for the length of a `with` block."""

    __slots__ = ("_connection", "_database", "_inode", "_transaction")

    def __init__(self, database: Database, *, transaction: bool) -> None:
        self._database = database
        self._transaction = transaction

    def __enter__(self) -> apsw.Connection:
        self._connection, self._inode = self._database._take()
        if self._transaction:
            try:
                self._connection.execute("BEGIN")
            except BaseException:
                self._database._drop(self._connection)
                raise
        return self._connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(failure)
        if disk_failures.is_damage(failure):
            raise disk_failures.damaged(failure) from None

    def _end(self, failure: BaseException | None) -> None:
        if self._transaction:
            try:
                self._connection.execute("ROLLBACK")
            except apsw.Error:
                self._database._drop(self._connection)
                return
        elif failure is not None and isinstance(failure, apsw.Error):
            self._database._drop(self._connection)
            return
        if self._connection.txn_state() != apsw.SQLITE_TXN_NONE:
            # A statement that was not read to its end keeps the connection at its moment, and the
            # next reader would be answered from that past.
            self._database._drop(self._connection)
            return
        self._database._give(self._connection, self._inode)


def _unpacked_id(*keys: Any) -> str:
    return packed_ids.unpack(keys[0])
