"""The lake: every version of every resource, in the order of one commit log.

with Lake.open("data") as lake:
    commit = lake.transact([Put({"resourceType": "Patient", "id": "p1"})])
    lake.read("Patient", "p1").resource()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from schemas.outcomes import error
from storage import database_renewal, history, reading, statistics, verify
from storage.backup.backup_folder import BackupFolder
from storage.backup.prune import prune
from storage.backup.take import BackupReport, take
from storage.compaction import Compactor
from storage.flush import Flusher
from storage.keys import MasterKey
from storage.lake_folder import LakeFolder
from storage.new_segments import NewSegments
from storage.operations import Delete, Operation, Put, prepare
from storage.query import search
from storage.query.page import Cursors
from storage.reindex import reindex
from storage.retirement import Retirement
from storage.rewrite import Rewriter
from storage.segment_store import SegmentStore
from storage.settling import Settler
from storage.snapshot import HotTables, Snapshot
from storage.terms import Terms
from storage.verify import Finding
from storage.version_rows import Bodies
from storage.versions import Commit, Page, Version
from storage.writer import Writer

if TYPE_CHECKING:
    from storage.analytics.cohort import CohortResult
    from storage.analytics.table import Table
    from storage.analytics.timeline_event import TimelineEvent

__all__ = ["Commit", "Delete", "Finding", "Lake", "Page", "Put", "Snapshot", "Version"]


class Lake:
    """One open lake folder. All methods may be called from many threads."""

    def __init__(
        self, path: Path, master_key: MasterKey | None, *, create: bool, segments_url: str
    ) -> None:
        """Use `Lake.open`."""
        self.folder = LakeFolder(path, segments_url)
        self._lock, self._keystore, self._database = self.folder.open(master_key, create=create)
        try:
            self._start()
        except BaseException:
            self._database.close()
            self._lock.release()
            raise

    def _start(self) -> None:
        files = self.folder.segment_files(self._database, self._keystore.lake_id)
        self._segments = SegmentStore(files, self._keystore, self._database)
        self._writer = Writer(
            self._database.writer(), lambda position: self._flusher.wake(position)
        )
        self._terms = Terms(self._writer.run)
        parts = (self._database, self._writer, self._segments, self._terms)
        new_segments = NewSegments(*parts)
        settler = Settler(self._database, self._writer, self._segments)
        self._retirement = Retirement(*parts)
        self._rewriter = Rewriter(*parts, new_segments, settler)
        self._compactor = Compactor(self._database, self._rewriter, self._retirement)
        self._flusher = Flusher(*parts, new_segments, settler, self._compactor.wake)
        self._bodies = Bodies(self._terms, self._segments.bodies)
        self._cursors = Cursors(self._keystore.secret("paging cursors"))
        self._hot_tables = HotTables(self._terms)
        try:
            self._flusher.start()
            self._compactor.start()
        except BaseException:
            self._writer.close()
            raise

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        master_key: MasterKey | None = None,
        create: bool = True,
        segments_url: str = "",
    ) -> Lake:
        """Open the lake at `path` for reading and writing, making it when `create` and new.

        Without `master_key` the lake's own `keys/master.key` is used. `segments_url` says where a
        new lake is to keep its segments (empty: in the folder; `s3://…`: see
        docs/object_storage.md); an existing one knows, and refuses another. Raises FhirError when
        there is no lake, another process has it open, the master key is another one, or parts are
        gone.
        """
        return cls(Path(path), master_key, create=create, segments_url=segments_url)

    def __enter__(self) -> Lake:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self, *, flush: bool = False) -> None:
        """Finish what was begun and let go of the folder; `flush` moves hot bodies out first."""
        try:
            if flush:
                self._flusher.flush()
        finally:
            self._compactor.stop()
            self._flusher.stop()
            self._database.close()
            self._writer.close()
            self._segments.close()
            _forget_columns(self._segments.files.place)
            self._lock.release()

    @property
    def t(self) -> int:
        """The last commit."""
        return self._writer.position.t

    # Writing

    def transact(
        self, operations: Sequence[Operation], *, cursor: tuple[str, int] | None = None
    ) -> Commit:
        """Store all operations as one commit, or none; durable on return.

        `cursor` (name, t) moves a consumer's cursor in the same transaction. When nothing changes
        (deletions of what is deleted, a cursor alone) there is no new commit, and `t` is the last
        one. Raises FhirError: `precondition`, `conflict`, `not-found` (a deletion of what never
        was), `invalid`.
        """
        return self._writer.transact(prepare(operations, self._terms), cursor)

    # Reading

    def read(self, resource_type: str, id: str, *, at: int | None = None) -> Version:
        """The version of a resource that is current at `at`. FhirError `not-found`, `deleted`."""
        with self._database.reading() as connection:
            return reading.read(connection, self._bodies, resource_type, id, self._at(at))

    def vread(self, resource_type: str, id: str, version_id: int) -> Version:
        """One version, tombstones included. FhirError `not-found`."""
        with self._database.reading() as connection:
            return reading.vread(connection, self._bodies, resource_type, id, version_id)

    def history(
        self, resource_type: str, id: str, *, count: int | None = None, cursor: str | None = None
    ) -> Page:
        """Versions of a resource, newest first, deletions included; `count` a page (all: None).

        All pages show the history as it was when the first one was read. FhirError `not-found`,
        `value` (a cursor of something else).
        """
        with self._database.reading() as connection:
            return history.history(
                connection, self._bodies, self._cursors, self.t, resource_type, id, count, cursor
            )

    def search(
        self,
        resource_type: str,
        params: Sequence[tuple[str, str]],
        *,
        strict: bool = False,
        at: int | None = None,
    ) -> Page:
        """Current resources of a type that meet all parameters (R4 search.html).

        Unknown parameters are named in `Page.ignored`, or refused when `strict`; a known parameter
        with a modifier or value that is not supported is always refused. `at` pins the search to a
        past commit; the pages of one search are pinned to that of its first.
        """
        with self._database.reading() as connection:
            return search.search(
                connection,
                self._bodies,
                self._terms,
                self._cursors,
                self._at(at),
                resource_type,
                params,
                strict=strict,
            )

    def changes(
        self, since_t: int, *, types: Sequence[str] | None = None, limit: int = 1000
    ) -> list[Version]:
        """Versions of the commits after `since_t`, deletions included, in commit order."""
        with self._database.reading() as connection:
            return reading.changes(connection, self._bodies, self._terms, since_t, types, limit)

    def count_changes(self, since_t: int, *, types: Sequence[str] | None = None) -> int:
        """How many versions `changes` would give without a limit, without reading them."""
        with self._database.reading() as connection:
            return reading.count_changes(connection, self._terms, since_t, types)

    def cursor(self, name: str) -> int:
        """The last `t` that the consumer `name` has dealt with; 0 for a new one."""
        with self._database.reading() as connection:
            return reading.consumer_cursor(connection, name)

    # Answers over many resources

    def snapshot(self, at: int | None = None) -> Snapshot:
        """The lake as of a commit, in columns, for analytic queries."""
        return Snapshot(self._database, self._segments, self._terms, self._hot_tables, self._at(at))

    def sql(
        self,
        query: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        *,
        at: int | None = None,
        timeout_s: float = 30,
        max_rows: int = 100_000,
    ) -> Table:
        """The answer to one read-only SQL statement; see `storage.analytics.sql`."""
        from storage.analytics import sql

        return sql.run(self.snapshot(at), query, parameters, timeout_s, max_rows)

    def cohort(self, definition: dict[str, Any], *, at: int | None = None) -> CohortResult:
        """The patients that meet a definition; see `storage.analytics.cohort`."""
        from storage.analytics import cohort

        return cohort.run(self.snapshot(at), definition)

    def timeline(
        self,
        patient_id: str,
        *,
        at: int | None = None,
        types: Sequence[str] | None = None,
        since: Any = None,
        until: Any = None,
    ) -> list[TimelineEvent]:
        """What happened to a patient, in order; see `storage.analytics.timeline`."""
        from storage.analytics import timeline

        return timeline.build(self.snapshot(at), patient_id, types, since, until)

    # Upkeep

    def flush(self) -> None:
        """Move all bodies from the hot tier into segments."""
        self._flusher.flush()

    def compact(self) -> int:
        """Flush, then merge all segments of each type into one sorted run; how many were merged.

        The lake does this by itself where it is worth it; at once it makes reading by patient as
        fast as it gets. Writers and readers go on. The old files stay for some time, for whoever
        still reads them, so the disk needs room for both.
        """
        self._flusher.flush()
        return self._compactor.compact()

    def verify(self, *, sample: int | None = None) -> list[Finding]:
        """What is wrong with the lake on disk; empty when nothing is.

        Reads every segment whole. `sample` limits the comparison of the index with the bodies to
        so many versions (None: all of them).
        """
        return verify.verify(
            self._database, self._segments, self._terms, self._bodies, sample=sample
        )

    def reindex(self) -> None:
        """Rebuild the search index from the bodies. Writers wait meanwhile."""
        reindex(self._writer, self._bodies, self._terms)

    def backup(self, folder: Path) -> BackupReport:
        """Copy what is new in this lake into a folder of backups; see `storage.backup`."""
        return take(self._database, self._segments, self._keystore, BackupFolder(folder))

    def prune_backups(self, folder: Path, keep: int) -> int:
        """Remove all but the `keep` latest backups of this lake in a folder; how many."""
        return prune(BackupFolder(folder), self._keystore, keep)

    def segment_key(self, name: str) -> bytes:
        """The key of a segment, for a reader outside of this process. Never log or store it."""
        return self._keystore.segment_key(name)

    def renew_keys(self) -> None:
        """Give the database a new key and file, and then the key store a new datastore key.

        What copies of either were made before is unreadable with the key store as it is then.
        Readers go on; writers wait while the database is written anew. Raises FhirError:
        `forbidden` (the master key was rotated since this process began: restart with the new
        one), `unavailable` (no room on the disk, a provider that does not answer).
        """
        self._keystore.check_master_key()
        self._keystore.renew_database_key(
            lambda key: self._writer.replace_connection(
                lambda connection: database_renewal.write(connection, self._database.path, key),
                lambda connection: self._database.renew_key(connection, key),
            )
        )
        self._keystore.renew_datastore_key()

    def stats(self) -> dict[str, Any]:
        """`t`, current `resources` by type, `versions`, `hot_rows`, `segments`, `bytes` on disk."""
        with self._database.reading() as connection:
            return statistics.stats(connection, self._terms, self.folder)

    def _at(self, at: int | None) -> int:
        last = self.t
        if at is None:
            return last
        if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at <= last:
            raise error(
                "value",
                f"There is no commit {str(at)[:32]} to read at; commits go up to {last}.",
                "at",
            )
        return at


def _forget_columns(place: str) -> None:
    """Let go of the decrypted columns that queries keep in memory: a closed lake shows nothing."""
    from storage.analytics.column_cache import CACHE

    CACHE.forget(place)
