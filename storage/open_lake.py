"""Opening a lake folder: its parts, how they are joined, and letting go of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from schemas.outcomes import error
from storage import as_of, audit_trail, database_renewal, reading
from storage.as_of import AsOf
from storage.audit import AuditLog
from storage.audit_change import opening
from storage.audit_events import AuditEvents
from storage.audit_intake import AuditIntake
from storage.audit_queue import AuditQueue, into_log
from storage.audit_record import AuditRecord
from storage.audit_spool import SPOOL_KEY, AuditSpool, SpoolCodec
from storage.bulk.storing import BulkStore
from storage.canonicals import Canonicals
from storage.commit import Position
from storage.commit_gate import CommitGate
from storage.compaction import Compactor
from storage.conditions import KnownMatches
from storage.current_versions import CurrentVersions
from storage.elsewhere import IN_ORDER, Elsewhere, NotHere, Published
from storage.erase.eraser import Eraser
from storage.erase.remnants import Remnants
from storage.flush import Flusher
from storage.index import DirectRows
from storage.jobs import Jobs
from storage.key_copies import KeyCopies
from storage.keys import MasterKey
from storage.lake_folder import LakeFolder
from storage.listing import Listings
from storage.new_segments import NewSegments
from storage.private_files import FolderLock
from storage.query.flushed import FlushedIndex
from storage.query.limits import SearchLimits
from storage.query.page import Cursors
from storage.recent_versions import Guard
from storage.retirement import Retirement
from storage.rewrite import Rewriter
from storage.search_definitions import TYPE as SEARCH_PARAMETER
from storage.search_definitions import SearchDefinitions, current_definitions
from storage.segment_files import LocalSegmentFiles
from storage.segment_store import SegmentStore
from storage.settling import Settler
from storage.snapshot import HotTables
from storage.terms import Terms, add_term
from storage.version_rows import Bodies
from storage.writer import Writer

if TYPE_CHECKING:
    from storage.lake import Lake


@dataclass(frozen=True)
class Upkeep:
    """All that changes a lake; a lake that was opened read-only has none of it."""

    writer: Writer
    flusher: Flusher
    retirement: Retirement
    rewriter: Rewriter
    compactor: Compactor
    intake: AuditIntake
    eraser: Eraser
    bulk: BulkStore


class OpenLake:
    """The parts of one open lake folder; `storage.lake.Lake` is what others use of it."""

    def __init__(
        self,
        path: Path,
        master_key: MasterKey | None,
        *,
        create: bool,
        segments_url: str,
        read_only: bool,
        unaudited: bool,
        published: Published | None,
        elsewhere: Elsewhere | None,
    ) -> None:
        """Use `Lake.open`."""
        self._published = published
        self._elsewhere = elsewhere
        # What conditions matched, see `HandedChanges`: commit, guard, id.
        self._found: dict[tuple[str, tuple[tuple[str, str], ...], int], tuple[int, Guard, str]] = {}
        self.folder = LakeFolder(path, segments_url)
        self.read_only = read_only
        self._lock: FolderLock | None = None
        if read_only:
            self._keystore, self._database = self.folder.open_read_only(master_key)
        else:
            self._lock, self._keystore, self._database = self.folder.open(master_key, create=create)
        try:
            self._start(unaudited=unaudited)
        except BaseException:
            self._database.close()
            if self._lock is not None:
                self._lock.release()
            raise

    def _start(self, *, unaudited: bool) -> None:
        files = self.folder.segment_files(self._database, self._keystore.lake_id)
        self._segments = SegmentStore(files, self._keystore, self._database)
        self._terms = Terms(self._add_term)
        self._index_rows = DirectRows(self._terms.id)
        self._definitions = SearchDefinitions(
            self._database,
            self._index_rows,
            read_only=self.read_only,
            published=self._published,
        )
        with self._database.reading() as connection:
            self._definitions.load(connection)
        self.on_definitions: list[Callable[[], None]] = []
        """Called after search parameters were added, changed or taken away."""
        self._bodies = Bodies(self._terms, self._segments.bodies)
        if IN_ORDER:
            self._database.published = self._published
        self._kept = None
        if self._published is not None and self._elsewhere is not None:
            self._kept = CurrentVersions(self._published)
        self._cursors = Cursors(self._keystore.secret("paging cursors"))
        self._audit = AuditLog(self._keystore.secret("audit"), self._keystore.lake_id)
        self._listings = Listings(self._cursors)
        self._audit_events = AuditEvents(self._keystore.lake_id, self._cursors)
        self._hot_tables = HotTables(self._terms)
        self._gate = CommitGate()
        self._matches = KnownMatches()
        self.jobs = Jobs(self._database, lambda work: self._writer.run(work))
        self.key_copies = KeyCopies(self.folder.keystore)
        self._index = FlushedIndex()
        self.search_limits = SearchLimits()
        self.canonicals = Canonicals(cast("Lake", self), self._database)
        self._upkeep: Upkeep | None = None
        self._spool: AuditSpool | None = None
        codec = SpoolCodec(self._keystore.secret(SPOOL_KEY), self._keystore.lake_id)
        if self.read_only:
            self._database.on_renewed = self._forget
            self._spool = AuditSpool(self.folder.audit_spool, codec, unaudited=unaudited)
            self._accesses = AuditQueue(self._spool.begin)
            if self._elsewhere is not None:
                return  # That the service opened it is recorded already.
            try:
                self.record_access([opening(audit_trail.current())]).result()
            except BaseException:
                self._spool.close()
                raise
            return
        writer = Writer(self._database.writer(), self._committed)
        parts = (self._database, writer, self._segments, self._terms)
        new_segments = NewSegments(*parts)
        settler = Settler(self._database, writer, self._segments)
        retirement = Retirement(*parts)
        rewriter = Rewriter(*parts, new_segments, settler)
        compactor = Compactor(self._database, rewriter, retirement)
        flusher = Flusher(*parts, new_segments, settler, compactor.wake)
        self._accesses = AuditQueue(into_log(writer, self._audit))
        intake = AuditIntake(self.folder.audit_spool, codec, self._audit, writer, self._database)
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
        bulk = BulkStore(
            self._database,
            writer,
            new_segments,
            flusher,
            self._bodies,
            self._audit,
            self._index_rows,
        )
        self._upkeep = Upkeep(
            writer, flusher, retirement, rewriter, compactor, intake, eraser, bulk
        )
        eraser.listeners.append(lambda _erased: self._index.clear())
        eraser.listeners.append(lambda _erased: self._listings.clear())
        eraser.listeners.append(lambda _erased: self.canonicals.clear())
        eraser.listeners.append(lambda _erased: self._matches.forget())
        eraser.listeners.append(self._forget_definitions)
        try:
            flusher.start()
            # What was done before is recorded before.
            intake.start()
            self._accesses.add([opening(audit_trail.current())]).result()
            self._reconcile_definitions()
            if self._published is not None:
                writer.published = self._published
                self._published.erased(writer.position.t)
                self._published.committed(writer.position.t)
                self._published.indexed(writer.indexed_t)
            compactor.start()
        except BaseException:
            intake.stop()
            flusher.stop()
            writer.close()
            raise

    def _committed(self, position: Position) -> None:
        """What the writer does before it tells anyone of a commit."""
        if self._published is not None:
            self._published.committed(position.t)
        self._flusher.wake(position)

    def _take_in_accesses(self) -> None:
        """Take what other processes of this service recorded into the audit log, to be found."""
        if self._upkeep is not None and self._published is not None:
            self._upkeep.intake.take_in()

    def _add_term(self, text: str) -> int:
        if self._elsewhere is None:
            return int(self._writer.run(lambda c: add_term(c, text), index=False))
        with self._database.statement() as connection:
            found = connection.execute("SELECT id FROM term WHERE text = ?", (text,)).get
        return self._elsewhere.term(text) if found is None else int(found)

    def _reconcile_definitions(self) -> None:
        """Let the search parameters be those that the lake's SearchParameters define."""
        with self._database.reading() as connection:
            current = current_definitions(connection)

        def read(id: str) -> dict[str, Any]:
            t = self._writer.position.t
            with self._database.reading() as connection, audit_trail.unobserved():
                found = reading.read(connection, self._bodies, SEARCH_PARAMETER, id, t)
            return found.resource()

        self._definitions.reconcile(self._writer, current, read)

    def _forget_definitions(self, erased: frozenset[tuple[str, str]]) -> None:
        if any(resource_type == SEARCH_PARAMETER for resource_type, _ in erased):
            self._reconcile_definitions()
            for listener in self.on_definitions:
                listener()

    def _forget(self) -> None:
        """Let go of what is kept in memory: what an erasure took out may be in it."""
        self._segments.close()
        self._hot_tables.forget()
        self._index.clear()
        self._listings.clear()
        self.canonicals.clear()
        self._found.clear()
        if self._kept is not None:
            self._kept.clear()
        _forget_columns(self._segments.files.place)

    def _changing(self) -> Upkeep:
        """What changes the lake. Raises FhirError `forbidden` where it was opened to be read.

        `NotHere` where it is another process of this service that changes it.
        """
        if self._upkeep is None:
            if self._elsewhere is not None:
                raise NotHere
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
        unaudited: bool = False,
        published: Published | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> Self:
        """Open the lake at `path` for reading and writing, making it when `create` and new.

        Without `master_key` the lake's own `keys/master.key` is used. `segments_url` says where a
        new lake is to keep its segments (empty: in the folder; `s3://…`: see
        docs/object_storage.md); an existing one knows, and refuses another. Raises FhirError when
        there is no lake, another process has it open, the master key is another one, or parts are
        gone.

        `read_only` opens it beside the process that writes, or without one: everything that this
        process commits can be read at once, nothing is changed, and what would change something
        raises FhirError `forbidden`. Who opens it and what is read are recorded all the same, in
        `audit-spool` in the folder (docs/many_processes.md): FhirError `unavailable` where that
        cannot be written, unless `unaudited`.

        `published`: memory in which the process that writes tells how far it is, for those that
        read. `elsewhere`: a lake opened read-only hands its changes to that process
        (`storage.elsewhere`).
        """
        return cls(
            Path(path),
            master_key,
            create=create,
            segments_url=segments_url,
            read_only=read_only,
            unaudited=unaudited,
            published=published,
            elsewhere=elsewhere,
        )

    def __enter__(self) -> Self:
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
            self._accesses.close()
        finally:
            if self._spool is not None:
                self._spool.close()
            if self._upkeep is not None:
                self._upkeep.intake.stop()
                self._upkeep.compactor.stop()
                self._upkeep.flusher.stop()
            self._database.close()
            if self._upkeep is not None:
                self._upkeep.writer.close()
            self._segments.close()
            self._index.clear()
            self.canonicals.clear()
            _forget_columns(self._segments.files.place)
            if self._lock is not None:
                self._lock.release()

    @property
    def t(self) -> int:
        """The last commit; of the process that writes, when this one only reads."""
        if self._upkeep is not None:
            return self._upkeep.writer.position.t
        if self._published is not None:
            return self._published.t
        with self._database.reading() as connection:
            return int(connection.execute("SELECT ifnull(max(t), 0) FROM commit_log").get)

    @property
    def failure(self) -> str | None:
        """Why nothing can be stored until a restart, in one line; None as long as all is well."""
        return self._upkeep.writer.failure if self._upkeep is not None else None

    @property
    def is_indexed(self) -> bool:
        """Whether all that is committed is in the search index, so that a search waits for none."""
        if self._upkeep is None:
            return self._published is not None and self._published.is_indexed
        return self._writer.indexed_t >= self._writer.position.t

    @property
    def reads_locally(self) -> bool:
        """Whether a single version can be read without asking another machine."""
        return isinstance(self._segments.files, LocalSegmentFiles)

    def record_access(self, records: Sequence[AuditRecord], *, durable: bool = True) -> Future[Any]:
        """Append records of accesses to the audit log; wait for the future before you answer.

        Not `durable`: the future is done at once, and the records are on the disk within a tenth of
        a second. The future fails with FhirError `unavailable` where they cannot be written. In a
        process that only reads they come into the log with the moment of this call.
        """
        if self.read_only:
            now_us = time.time_ns() // 1_000_000 * 1000
            records = [replace(record, recorded_us=now_us) for record in records]
        return self._accesses.add(records, durable=durable)

    # For those who answer

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
            raise NotHere if self._elsewhere is not None else as_of.not_settled()
        with self._database.reading() as connection:
            return as_of.commit_at(connection, moment_us)

    def _renew_database_key(self) -> None:
        self._keystore.renew_database_key(
            lambda key: self._writer.replace_connection(
                lambda connection: database_renewal.write(connection, self._database.path, key),
                lambda connection: self._database.renew_key(connection, key),
            )
        )
        # What an erasure took out may still be in memory, decoded.
        self._index.clear()


def _forget_columns(place: str) -> None:
    """Let go of the decrypted columns that queries keep in memory: a closed lake shows nothing."""
    from storage.analytics.column_cache import CACHE

    CACHE.forget(f"{place}/")
