"""The lake: every version of every resource, in the order of one commit log.

with Lake.open("data") as lake:
    commit = lake.transact([Put({"resourceType": "Patient", "id": "p1"})])
    lake.read("Patient", "p1").resource()
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from schemas.outcomes import error
from storage import (
    as_of,
    audit_trail,
    database_renewal,
    erasures,
    history,
    reading,
    statistics,
    verify,
)
from storage.as_of import AsOf
from storage.audit import AuditLog, Head
from storage.audit_change import of_process, opening, recorder
from storage.audit_event import number_of, refusal
from storage.audit_events import AuditEvents
from storage.audit_queue import AuditQueue
from storage.audit_record import AuditRecord
from storage.audit_verify import verify_chain
from storage.backup.backup_folder import BackupFolder
from storage.backup.prune import prune
from storage.backup.take import BackupReport, take
from storage.compaction import Compactor
from storage.database import Lent
from storage.erase.eraser import Eraser
from storage.erase.references import Key
from storage.erase.remnants import Remnants
from storage.erase.target import ERASE, PURGE, Target
from storage.flush import Flusher
from storage.index_queue import await_index
from storage.jobs import Jobs
from storage.key_copies import KeyCopies
from storage.keys import MasterKey
from storage.lake_at import LakeAt
from storage.lake_folder import LakeFolder
from storage.new_segments import NewSegments
from storage.operations import Delete, Operation, Put, prepare
from storage.private_files import FolderLock
from storage.query import search
from storage.query.flushed import FlushedIndex
from storage.query.page import Cursors
from storage.reindex import Reindex
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

__all__ = [
    "AsOf",
    "Commit",
    "Delete",
    "Finding",
    "Lake",
    "LakeAt",
    "Page",
    "Put",
    "Snapshot",
    "Version",
]


@dataclass(frozen=True)
class _Upkeep:
    """All that changes a lake; a lake that was opened read-only has none of it."""

    writer: Writer
    flusher: Flusher
    retirement: Retirement
    rewriter: Rewriter
    compactor: Compactor
    accesses: AuditQueue
    eraser: Eraser


class Lake:
    """One open lake folder. All methods may be called from many threads.

    Wherever a method takes `at`, it is a commit, or a moment (an aware datetime in the past): the
    last commit at or before it. What is answered as of a commit never changes, but for what an
    erasure takes out of it; see `erasures_since`.
    """

    def __init__(
        self,
        path: Path,
        master_key: MasterKey | None,
        *,
        create: bool,
        segments_url: str,
        read_only: bool,
    ) -> None:
        """Use `Lake.open`."""
        self.folder = LakeFolder(path, segments_url)
        self.read_only = read_only
        self._lock: FolderLock | None = None
        if read_only:
            self._keystore, self._database = self.folder.open_read_only(master_key)
        else:
            self._lock, self._keystore, self._database = self.folder.open(master_key, create=create)
        try:
            self._start()
        except BaseException:
            self._database.close()
            if self._lock is not None:
                self._lock.release()
            raise

    def _start(self) -> None:
        files = self.folder.segment_files(self._database, self._keystore.lake_id)
        self._segments = SegmentStore(files, self._keystore, self._database)
        self._terms = Terms(lambda work: self._writer.run(work, index=False))
        self._bodies = Bodies(self._terms, self._segments.bodies)
        self._cursors = Cursors(self._keystore.secret("paging cursors"))
        self._audit = AuditLog(self._keystore.secret("audit"), self._keystore.lake_id)
        self._audit_events = AuditEvents(self._keystore.lake_id, self._cursors)
        self._hot_tables = HotTables(self._terms)
        self.jobs = Jobs(self._database, lambda work: self._writer.run(work))
        self.key_copies = KeyCopies(self.folder.keystore)
        self._index = FlushedIndex()
        self._upkeep: _Upkeep | None = None
        if self.read_only:
            self._database.on_renewed = self._forget
            return
        writer = Writer(self._database.writer(), lambda position: self._flusher.wake(position))
        parts = (self._database, writer, self._segments, self._terms)
        new_segments = NewSegments(*parts)
        settler = Settler(self._database, writer, self._segments)
        retirement = Retirement(*parts)
        rewriter = Rewriter(*parts, new_segments, settler)
        compactor = Compactor(self._database, rewriter, retirement)
        flusher = Flusher(*parts, new_segments, settler, compactor.wake)
        accesses = AuditQueue(writer, self._audit)
        remnants = Remnants(
            *parts,
            flusher,
            new_segments,
            rewriter,
            retirement,
            self._keystore,
            self._renew_database_key,
        )
        eraser = Eraser(
            *parts, self._bodies, flusher, remnants, self.key_copies, self.jobs, self._audit
        )
        self._upkeep = _Upkeep(writer, flusher, retirement, rewriter, compactor, accesses, eraser)
        self.on_erase(lambda _erased: self._index.clear())
        try:
            flusher.start()
            accesses.add([opening(audit_trail.current())]).result()
            compactor.start()
        except BaseException:
            flusher.stop()
            writer.close()
            raise

    def _forget(self) -> None:
        """Let go of what is kept in memory: what an erasure took out may be in it."""
        self._segments.close()
        self._hot_tables.forget()
        self._index.clear()
        _forget_columns(self._segments.files.place)

    def _changing(self) -> _Upkeep:
        """What changes the lake. Raises FhirError `forbidden` where it was opened to be read."""
        if self._upkeep is None:
            raise error(
                "forbidden",
                "This lake was opened read-only. Changes go through the process that has it open "
                "for writing.",
            )
        return self._upkeep

    @property
    def _writer(self) -> Writer:
        return self._changing().writer

    @property
    def _flusher(self) -> Flusher:
        return self._changing().flusher

    @property
    def _retirement(self) -> Retirement:
        return self._changing().retirement

    @property
    def _rewriter(self) -> Rewriter:
        return self._changing().rewriter

    @property
    def _compactor(self) -> Compactor:
        return self._changing().compactor

    @property
    def eraser(self) -> Eraser:
        """Erases as jobs, see `storage.erase.eraser`. FhirError `forbidden` where read-only."""
        return self._changing().eraser

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        master_key: MasterKey | None = None,
        create: bool = True,
        segments_url: str = "",
        read_only: bool = False,
    ) -> Lake:
        """Open the lake at `path` for reading and writing, making it when `create` and new.

        Without `master_key` the lake's own `keys/master.key` is used. `segments_url` says where a
        new lake is to keep its segments (empty: in the folder; `s3://…`: see
        docs/object_storage.md); an existing one knows, and refuses another. Raises FhirError when
        there is no lake, another process has it open, the master key is another one, or parts are
        gone.

        `read_only` opens it beside the process that writes, or without one: everything that this
        process commits can be read at once, nothing is changed, and what would change something
        raises FhirError `forbidden`.
        """
        return cls(
            Path(path), master_key, create=create, segments_url=segments_url, read_only=read_only
        )

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
            if self._upkeep is not None:
                self._upkeep.accesses.close()
        finally:
            if self._upkeep is not None:
                self._upkeep.compactor.stop()
                self._upkeep.flusher.stop()
            self._database.close()
            if self._upkeep is not None:
                self._upkeep.writer.close()
            self._segments.close()
            self._index.clear()
            _forget_columns(self._segments.files.place)
            if self._lock is not None:
                self._lock.release()

    @property
    def t(self) -> int:
        """The last commit; of the process that writes, when this one only reads."""
        if self._upkeep is not None:
            return self._writer.position.t
        with self._database.reading() as connection:
            return int(connection.execute("SELECT ifnull(max(t), 0) FROM commit_log").get)

    def at(self, at: AsOf | None = None) -> LakeAt:
        """The lake as it was after a commit, or at a moment; None: as it is now, for good.

        Raises FhirError `value` for a commit that is not there yet, a moment in the future or
        without a zone, and, where this process only reads, for one that is not settled yet.
        """
        return LakeAt(self, self._at(at))

    def erasures_since(self, t: int) -> int:
        """How many erasures took something out of what is answered as of commit `t`."""
        with self._database.reading() as connection:
            return erasures.since(connection, t)

    @property
    def failure(self) -> str | None:
        """Why nothing can be stored until a restart, in one line; None as long as all is well."""
        return self._upkeep.writer.failure if self._upkeep is not None else None

    # Writing

    def transact(
        self,
        operations: Sequence[Operation],
        *,
        cursor: tuple[str, int] | None = None,
        audit: AuditRecord | None = None,
    ) -> Commit:
        """Store all operations as one commit, or none; durable on return.

        `cursor` (name, t) moves a consumer's cursor in the same transaction. When nothing changes
        (deletions of what is deleted, a cursor alone) there is no new commit, and `t` is the last
        one. Raises FhirError: `precondition`, `conflict`, `not-found` (a deletion of what never
        was), `invalid`, `method-not-allowed` (a change to the lake's own audit log).

        The change is recorded in the audit log in the same transaction: as `audit` says, else as
        the trail that is active says, else as this process's.
        """
        for operation in operations:
            identity = _identity(operation)
            if number_of(*identity) is not None:
                raise refusal(identity[1])
        prepared = prepare(operations, self._terms)
        if not prepared:
            return self._writer.transact(prepared, cursor)
        trail = audit_trail.current() if audit is None else None
        record = audit or (trail.change() if trail is not None else of_process(prepared))
        commit = self._writer.transact(prepared, cursor, recorder(self._audit, record, prepared))
        if trail is not None:
            trail.changed()
        return commit

    def record_access(self, records: Sequence[AuditRecord], *, durable: bool = True) -> Future[Any]:
        """Append records of accesses to the audit log; wait for the future before you answer.

        Not `durable`: the future is done at once, and the records are on the disk within a tenth of
        a second. The future fails with FhirError `unavailable` where they cannot be written.
        """
        if self._upkeep is None:
            nothing: Future[Any] = Future()
            nothing.set_result(None)
            return nothing
        return self._upkeep.accesses.add(records, durable=durable)

    # Erasing

    def erase(
        self, resources: Iterable[Key], *, reason: str, keep_derived: bool = False
    ) -> dict[str, Any]:
        """Erase all versions of resources, by (type, id), so that no copy yields them any more.

        What the NLP read in an erased note goes with it, unless `keep_derived`. Returns what was
        erased, as a count by type, and what still refers to it; see docs/erasure.md. `reason` is
        kept. Raises FhirError: `not-found`, `value`, `conflict`; `unavailable` when all is erased
        here, but a copy of the key store is out of reach: the job then goes on later.
        """
        target = Target(ERASE, frozenset(resources), keep_derived=keep_derived)
        return self._erase(target, reason)

    def purge(
        self, patient_id: str, *, reason: str, include_shared: bool = False
    ) -> dict[str, Any]:
        """Erase a patient's whole record, also what was in it once; see `erase`.

        What is another patient's record as well is kept and named, unless `include_shared`.
        """
        keys = frozenset({("Patient", patient_id)})
        return self._erase(Target(PURGE, keys, patient_id, shared=include_shared), reason)

    def on_erase(self, listener: Callable[[frozenset[Key]], None]) -> None:
        """Call `listener` with the (type, id) of what was erased, to forget what it keeps of it."""
        if self._upkeep is not None:
            self._upkeep.eraser.listeners.append(listener)

    @contextlib.contextmanager
    def no_erase(self) -> Iterator[None]:
        """Nothing is erased in the block: for who reads, and writes by what was read."""
        with self._changing().eraser.gate:
            yield

    def _erase(self, target: Target, reason: str) -> dict[str, Any]:
        return self.eraser.finish(self.eraser.accept(target, reason)).result or {}

    # Reading

    def read(self, resource_type: str, id: str, *, at: AsOf | None = None) -> Version:
        """The version of a resource that is current at `at`. FhirError `not-found`, `deleted`."""
        with self._one_row() as connection:
            if number_of(resource_type, id) is not None:
                return self._audit_events.read(connection, id)
            return reading.read(connection, self._bodies, resource_type, id, self._at(at))

    def vread(
        self, resource_type: str, id: str, version_id: int, *, at: AsOf | None = None
    ) -> Version:
        """One version that was there at `at`, tombstones included. FhirError `not-found`."""
        with self._one_row() as connection:
            if number_of(resource_type, id) is not None:
                return self._audit_events.read(connection, id, version_id)
            return reading.vread(
                connection, self._bodies, resource_type, id, version_id, self._at(at)
            )

    def history(
        self,
        resource_type: str | None = None,
        id: str | None = None,
        *,
        types: Sequence[str] = (),
        since: str | None = None,
        during: str | None = None,
        at: AsOf | None = None,
        count: int | None = None,
        cursor: str | None = None,
    ) -> Page:
        """Versions of a resource, a type or the lake, newest first, deletions included.

        `types` narrows the lake's. `since` (a FHIR date or instant) leaves those committed at or
        after it, `during` (a date or dateTime of any precision) those that were current at some
        point of it. `count` versions a page (None: all; 0: their number alone). All pages show the
        history as of `at`, or as it was when the first one was read. FhirError `not-found` (a
        resource that never was), `value`.
        """
        wanted = tuple(types) if resource_type is None else (resource_type,)
        question = history.Question(wanted, id, since, during)
        with self._database.reading() as connection:
            if resource_type and id and number_of(resource_type, id) is not None:
                return Page([self._audit_events.read(connection, id)], 1)
            return history.history(
                connection,
                self._bodies,
                self._terms,
                self._cursors,
                self._at(at),
                question,
                count,
                cursor,
            )

    def search(
        self,
        resource_type: str,
        params: Sequence[tuple[str, str]],
        *,
        strict: bool = False,
        at: AsOf | None = None,
        audit_log: bool = True,
    ) -> Page:
        """Current resources of a type that meet all parameters (R4 search.html).

        Unknown parameters are named in `Page.ignored`, or refused when `strict`; a known parameter
        with a modifier or value that is not supported is always refused. `at` pins the search to a
        past commit; the pages of one search are pinned to that of its first. AuditEvents are those
        that were stored and, with `audit_log`, those of the lake's own log.
        """
        t = self._at(at)
        trail = audit_trail.current()
        if trail is not None:
            trail.asked_by(resource_type, (name for name, _ in params))
        await_index(self._database, None if self.read_only else self._writer, t)
        with self._database.reading() as connection:

            def stored(params: Sequence[tuple[str, str]], t: int) -> Page:
                return search.search(
                    connection,
                    self._bodies,
                    self._terms,
                    self._cursors,
                    self._index,
                    t,
                    resource_type,
                    params,
                    strict=strict,
                )

            if resource_type != "AuditEvent" or not audit_log:
                return stored(params, t)
            return self._audit_events.search(
                connection, stored, params, t, latest=t == self.t, strict=strict
            )

    def changes(
        self,
        since_t: int,
        *,
        types: Sequence[str] | None = None,
        limit: int = 1000,
        at: AsOf | None = None,
    ) -> list[Version]:
        """Versions of the commits after `since_t` (up to `at`), deletions too, in commit order."""
        with self._database.reading() as connection:
            return reading.changes(
                connection, self._bodies, self._terms, since_t, types, limit, self._at(at)
            )

    def count_changes(self, since_t: int, *, types: Sequence[str] | None = None) -> int:
        """How many versions `changes` would give without a limit, without reading them."""
        with self._database.reading() as connection:
            return reading.count_changes(connection, self._terms, since_t, types)

    def cursor(self, name: str) -> int:
        """The last `t` that the consumer `name` has dealt with; 0 for a new one."""
        with self._database.reading() as connection:
            return reading.consumer_cursor(connection, name)

    # Answers over many resources

    def snapshot(self, at: AsOf | None = None) -> Snapshot:
        """The lake as of a commit, in columns, for analytic queries."""
        return Snapshot(self._database, self._segments, self._terms, self._hot_tables, self._at(at))

    def sql(
        self,
        query: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        *,
        at: AsOf | None = None,
        timeout_s: float = 30,
        max_rows: int = 100_000,
    ) -> Table:
        """The answer to one read-only SQL statement; see `storage.analytics.sql`."""
        from storage.analytics import sql

        table = sql.run(self.snapshot(at), query, parameters, timeout_s, max_rows)
        trail = audit_trail.current()
        if trail is not None:
            trail.gave(len(table))
        return table

    def cohort(self, definition: dict[str, Any], *, at: AsOf | None = None) -> CohortResult:
        """The patients that meet a definition; see `storage.analytics.cohort`."""
        from storage.analytics import cohort

        result = cohort.run(self.snapshot(at), definition)
        trail = audit_trail.current()
        if trail is not None:
            trail.gave(result.count)
            trail.concerns(str(member["patient_id"]) for member in result.members)
        return result

    def timeline(
        self,
        patient_id: str,
        *,
        at: AsOf | None = None,
        types: Sequence[str] | None = None,
        since: Any = None,
        until: Any = None,
    ) -> list[TimelineEvent]:
        """What happened to a patient, in order; see `storage.analytics.timeline`."""
        from storage.analytics import timeline

        events = timeline.build(self.snapshot(at), patient_id, types, since, until)
        trail = audit_trail.current()
        if trail is not None:
            trail.gave(len(events))
            trail.concerns([patient_id])
        return events

    # Upkeep

    def flush(self) -> None:
        """Move all bodies from the hot tier into segments."""
        self._flusher.flush()

    def audit_head(self) -> Head:
        """Number, moment and hash of the last audit event, to be noted outside of the lake."""
        with self._database.reading() as connection:
            return self._audit.head(connection)

    def compact(self) -> int:
        """Flush, then merge all segments of each type into one sorted run; how many were merged.

        The lake does this by itself where it is worth it; at once it makes reading by patient as
        fast as it gets. Writers and readers go on. The old files stay for some time, for whoever
        still reads them, so the disk needs room for both.
        """
        self._flusher.flush()
        return self._compactor.compact()

    def verify(
        self, *, sample: int | None = None, anchor: tuple[int, bytes] | None = None
    ) -> list[Finding]:
        """What is wrong with the lake on disk; empty when nothing is.

        Reads every segment whole. `sample` limits the comparison of the index with the bodies to
        so many versions (None: all of them). `anchor`: number and hash of an audit event, as
        `audit_head` gave them, that must still be in the log.
        """
        await_index(self._database, None if self.read_only else self._writer, self.t)
        with audit_trail.unobserved():
            return verify.verify(
                self._database,
                self._segments,
                self._terms,
                self._bodies,
                lambda connection: verify_chain(self._audit, connection, anchor),
                sample=sample,
            )

    def reindex(self) -> None:
        """Rebuild the search index from the bodies, while others search and write."""
        rebuilding = Reindex(self._database, self._writer, self._bodies, self._terms)
        with self._rewriter.alone(), self._flusher.paused():
            rebuilding.run(self._segments)

    def backup(self, folder: Path) -> BackupReport:
        """Copy what is new in this lake into a folder of backups; see `storage.backup`.

        Also beside the process that writes: a file that is removed meanwhile is not missed, as the
        copy is begun again with what came in its place.
        """
        if self._upkeep is not None:
            # Rows on their way into the index would be copied twice.
            self._upkeep.writer.index_all()
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
        self._renew_database_key()
        self._keystore.renew_datastore_key()

    def _renew_database_key(self) -> None:
        self._keystore.renew_database_key(
            lambda key: self._writer.replace_connection(
                lambda connection: database_renewal.write(connection, self._database.path, key),
                lambda connection: self._database.renew_key(connection, key),
            )
        )
        # What an erasure took out may still be in memory, decoded.
        self._index.clear()

    def stats(self) -> dict[str, Any]:
        """`t`, current `resources` by type, `versions`, `hot_rows`, `segments`, `bytes` on disk."""
        with self._database.reading() as connection:
            return statistics.stats(connection, self._terms, self.folder)

    def _one_row(self) -> Lent:
        """A connection to read one version with.

        It is one statement, which needs no transaction; what the audit log has to be told of it
        (the patient) is another.
        """
        if audit_trail.current() is None:
            return self._database.statement()
        return self._database.reading()

    def _at(self, at: AsOf | None) -> int:
        """The commit that `at` stands for. Raises FhirError `value`."""
        if at is None:
            return self.t
        if not isinstance(at, datetime):
            return as_of.commit_number(at, self.t)
        moment_us = as_of.microseconds(at)
        with self._database.reading() as connection:
            if as_of.is_settled(connection, moment_us):
                return as_of.commit_at(connection, moment_us)
        if self._upkeep is not None:
            # After what the writer has in hand, and with nothing to come before the moment.
            self._writer.run_at(lambda _connection, position: position.pass_by(moment_us))
        elif not as_of.is_long_past(moment_us):
            raise as_of.not_settled()
        with self._database.reading() as connection:
            return as_of.commit_at(connection, moment_us)


def _identity(operation: Operation) -> tuple[str, str]:
    if isinstance(operation, Delete):
        return operation.resource_type, operation.id
    return str(operation.resource.get("resourceType")), str(operation.resource.get("id"))


def _forget_columns(place: str) -> None:
    """Let go of the decrypted columns that queries keep in memory: a closed lake shows nothing."""
    from storage.analytics.column_cache import CACHE

    CACHE.forget(f"{place}/")
