"""What is done to a lake besides reading and writing it: erasing, checking, moving, copying."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from schemas.param_set import ParamSet
from storage import audit_trail, index_definitions, statistics, verify
from storage.audit import Head
from storage.audit_change import of_process
from storage.audit_record import AuditRecord
from storage.audit_spool import SPOOL_KEY, SpoolCodec
from storage.audit_verify import verify_chain
from storage.backup.backup_folder import BackupFolder
from storage.backup.prune import prune
from storage.backup.take import BackupReport, take
from storage.bulk.prepared import PreparedSegment
from storage.bulk.storing import BulkCommit
from storage.erase.references import Key
from storage.erase.target import ERASE, PURGE, Target
from storage.index_queue import await_index
from storage.jobs import Job
from storage.open_lake import OpenLake
from storage.recent_versions import OvertakenError
from storage.reindex import Reindex
from storage.spool_verify import verify_spool
from storage.verify import Finding


class LakeUpkeep(OpenLake):
    """The upkeep of a lake; part of `storage.lake.Lake`."""

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

    # Bulk imports

    def store_segments(
        self,
        prepared: Sequence[PreparedSegment],
        *,
        cursor: tuple[str, int] | None = None,
        progress: tuple[str, dict[str, Any]] | None = None,
        audit: AuditRecord | None = None,
    ) -> BulkCommit:
        """Store prepared segments, each of another type, as one commit, or nothing.

        They are durable, indexed and flushed on return. What says already what the lake has stays
        as it is; other resources get their next version. `cursor` moves a consumer's cursor, and
        `progress` (id of a job, what it is to hold) notes how far a job is, in the same
        transaction. Other commits wait for the writing of the files, so segments of some thousand
        resources are kind to others.

        Raises `OvertakenError` where the index blocks were made by other search parameters: prepare
        them again. FhirError: `conflict`, `unavailable`; JobCancelled.
        """
        bulk = self._changing().bulk
        trail = audit_trail.current() if audit is None else None
        record = audit or (trail.change() if trail is not None else of_process(()))
        with self._gate.alone(), self._definitions.writing():
            if any(one.definitions != self._definitions.count for one in prepared):
                raise OvertakenError
            stored = bulk.store(prepared, record, cursor=cursor, progress=progress)
        if trail is not None and any(numbers.any() for numbers in stored.versions):
            trail.changed()
        self._compactor.wake()
        return stored

    @property
    def definitions_count(self) -> int:
        """By which state of the search parameters index rows are made now."""
        return self._definitions.count

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
        self,
        *,
        sample: int | None = None,
        anchor: tuple[int, bytes] | None = None,
        checked: Counter[str] | None = None,
    ) -> list[Finding]:
        """What is wrong with the lake on disk; empty when nothing is.

        Reads every segment whole. `sample` limits the comparison of the index with the bodies to
        so many versions (None: all of them). `anchor`: number and hash of an audit event, as
        `audit_head` gave them, that must still be in the log. What was looked at is added to
        `checked`.
        """
        await_index(self._database, None if self.read_only else self._writer, self.t)
        with audit_trail.unobserved():
            found = verify.verify(
                self._database,
                self._segments,
                self._terms,
                self._bodies,
                lambda connection: verify_chain(self._audit, connection, anchor),
                sample=sample,
                checked=checked,
                params=self._definitions.params,
            )
        codec = SpoolCodec(self._keystore.secret(SPOOL_KEY), self._keystore.lake_id)
        spool = self.folder.audit_spool
        return [*found, *verify_spool(spool, codec, self._audit, self._database)]

    def reindex(self) -> None:
        """Rebuild the search index from the bodies, while others search and write."""
        self._definitions.wait_for_earlier_writes()
        pending = self._definitions.pending
        with self._alone():
            self._reindexing().run(self._segments)
        self._definitions.mark_ready(self._writer, pending)

    # Search parameters of the lake's own

    @property
    def search_params(self) -> ParamSet:
        """The parameters that each type can be searched by: R4's own, and those that were added.

        One that is not indexed yet is among them, `pending`: it cannot be searched by.
        """
        return self._definitions.params

    def accept_indexing(self) -> Job | None:
        """A job for the parameters that are not indexed yet; None when there are none such."""
        return index_definitions.accept(self.jobs, self._definitions)

    def index_definitions(self, job: Job, stopping: Callable[[], bool]) -> dict[str, Any]:
        """Do the job: see `storage.index_definitions`. Raises IndexStopped, JobCancelled."""
        return index_definitions.run(
            job,
            self.jobs,
            self._definitions,
            self._reindexing(),
            self._segments,
            self._writer,
            self._alone,
            stopping,
        )

    def _reindexing(self) -> Reindex:
        params = self._definitions
        return Reindex(
            self._database, self._writer, self._bodies, self._terms, lambda: params.params
        )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No segment is made or replaced within."""
        with self._flusher.paused(), self._rewriter.alone():  # As an erase does.
            yield

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

    def stats(self) -> dict[str, Any]:
        """`t`, current `resources` by type, `versions`, `hot_rows`, `segments`, `bytes` on disk."""
        with self._database.reading() as connection:
            return statistics.stats(connection, self._terms, self.folder)
