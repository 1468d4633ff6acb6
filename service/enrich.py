"""Notes of the commit log → NLP → derived resources → commit.

A consumer of the log with a durable cursor: what it derived and the cursor move in one commit, so a
crash repeats work but never loses or doubles it. A note that cannot be read by the pipeline leaves
an `AuditEvent` saying so, and the queue goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import multiprocessing
import threading
import time
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from typing import Any

from schemas.codes import NLP_DERIVED_TAG
from schemas.ids import format_instant, parse_reference
from schemas.notes import note_text
from schemas.outcomes import FhirError, error
from schemas.parse import canonical_bytes
from service import note_reader
from service.ingest import Ingest
from service.settings import Settings
from storage.lake import Delete, Lake, Put, Version

log = logging.getLogger("chartlake.enrich")

CURSOR = "nlp"
DERIVED_TYPES = (
    "AllergyIntolerance",
    "Condition",
    "FamilyMemberHistory",
    "MedicationStatement",
    "Observation",
    "Procedure",
    "Provenance",
)
_POLL_S = 0.2
_ATTEMPTS = 2
_BATCH = 32

Resource = dict[str, Any]


class Enricher:
    """Reads the notes of one lake in worker processes, as they are committed."""

    def __init__(self, lake: Lake, ingest: Ingest, settings: Settings) -> None:
        """Nothing runs until `start`."""
        self.lake = lake
        self.ingest = ingest
        self.settings = settings
        self.state = "loading" if settings.nlp else "off"
        self.pipeline = ""
        self._pool: ProcessPoolExecutor | None = None
        self._pool_lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow the log, in a thread; the pipeline loads meanwhile."""
        if self.settings.nlp:
            self._thread = threading.Thread(target=self._run, name="enrich", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the note in hand; what is left is read after the next start."""
        self._stop.set()
        with self._pool_lock:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
        if self._thread is not None:
            self._thread.join(timeout=10)

    async def annotate(self, text: str) -> list[Resource]:
        """Mentions of `text`. Raises `not-supported` where the NLP is switched off."""
        if not self.settings.nlp:
            raise error("not-supported", "Reading notes is switched off here (setting `nlp`).")
        future = self._submit(note_reader.mentions, text)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.settings.nlp_timeout_s)
        except TimeoutError:
            raise error("throttled", "Reading this text took too long; try again later.") from None

    def findings(self, note: Version, *, wait_s: int = 0) -> Resource:
        """State, mentions and derived resources of a stored note, see `operations.nlp`."""
        deadline = time.monotonic() + wait_s
        while (state := self._state_of(note)) == "pending" and time.monotonic() < deadline:
            time.sleep(0.05)
        found: Resource = {
            "note": f"DocumentReference/{note.id}/_history/{note.version_id}",
            "state": state,
            "pipeline": self.pipeline,
        }
        if state == "done":
            mentions, _ = self._read(note)
            found["entities"] = mentions
            found["resources"] = [
                f"{version.resource_type}/{version.id}" for version in self._derived(note.id)
            ]
        return found

    def catch_up(self, timeout_s: float = 600) -> bool:
        """Wait until every committed note has been read; False when time ran out."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not self.settings.nlp or not self._pending():
                return True
            time.sleep(0.05)
        return False

    def backlog(self) -> int:
        """Versions of notes that are committed and not read yet."""
        if not self.settings.nlp:
            return 0
        return self.lake.count_changes(self.lake.cursor(CURSOR), types=("DocumentReference",))

    def _state_of(self, note: Version) -> str:
        if not self.settings.nlp:
            return "off"
        if self.lake.cursor(CURSOR) < note.t:
            return "pending"
        if not self._texts(note.resource()) or _patient_of(note.resource()) is None:
            return "unread"
        return "failed" if self._has_failed(note) else "done"

    def _pending(self) -> list[Version]:
        """The next unread notes, whole commits only: the cursor counts commits, not notes."""
        limit = _BATCH
        while True:
            notes = self.lake.changes(
                self.lake.cursor(CURSOR), types=("DocumentReference",), limit=limit
            )
            if len(notes) < limit:
                return notes
            whole = [note for note in notes if note.t != notes[-1].t]
            if whole:
                return whole
            limit *= 2

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.pipeline = self._submit(note_reader.ready).result()
                self.state = "ready"
                break
            except Exception as failure:
                self.state = "failed"
                log.error("the note reader does not load: %s", type(failure).__name__)
                self._stop.wait(5)
        while not self._stop.is_set():
            try:
                notes = self._pending()
                begun = [self._begin(note) for note in notes]
                for index, note in enumerate(notes):
                    if self._stop.is_set():
                        return
                    last_of_commit = index + 1 == len(notes) or notes[index + 1].t != note.t
                    self._enrich(note, begun[index], advance=last_of_commit)
                if not notes:
                    self._stop.wait(_POLL_S)
            except Exception as failure:
                if not self._stop.is_set():
                    log.error("reading notes failed (%s), trying again", type(failure).__name__)
                    self._stop.wait(1)

    def _begin(self, note: Version) -> Future[Any] | None:
        """Hand a note to the workers ahead of its turn; None when there is nothing to read."""
        if note.deleted or self._superseded(note):
            return None
        call = self._call(note)
        return self._submit(note_reader.read, *call) if call is not None else None

    def _enrich(self, note: Version, begun: Future[Any] | None, *, advance: bool) -> None:
        """Derive, replace and withdraw; move the cursor when the commit's last note is done."""
        operations: list[Put | Delete]
        if self._superseded(note):
            operations = []
        elif note.deleted:
            operations = [_withdraw(version) for version in self._derived(note.id)]
        else:
            try:
                _, resources = self._read(note, begun)
                operations = self._replacement(note.id, resources)
            except Exception as failure:
                if self._stop.is_set():
                    return
                log.error("a note could not be read: %s", type(failure).__name__)
                # What an earlier version of the note said is no longer vouched for either.
                operations = [_withdraw(version) for version in self._derived(note.id)]
                operations.append(Put(_failure_event(note, type(failure).__name__), method="POST"))
        if operations or advance:
            self.lake.transact(operations, cursor=(CURSOR, note.t) if advance else None)

    def _superseded(self, note: Version) -> bool:
        try:
            return self.lake.read("DocumentReference", note.id).version_id != note.version_id
        except FhirError:
            return not note.deleted

    def _read(
        self, note: Version, begun: Future[Any] | None = None
    ) -> tuple[list[Resource], list[Resource]]:
        """Mentions and resources of a note; a worker that dies or hangs gets a second chance."""
        call = self._call(note)
        if call is None:
            return [], []
        for attempt in range(_ATTEMPTS):
            future = begun if begun and attempt == 0 else self._submit(note_reader.read, *call)
            try:
                found: tuple[list[Resource], list[Resource]] = future.result(
                    timeout=self.settings.nlp_timeout_s
                )
                return found
            except (BrokenProcessPool, CancelledError, TimeoutError):
                self._discard_pool()
                if attempt + 1 == _ATTEMPTS or self._stop.is_set():
                    raise
        raise AssertionError("unreachable")

    def _call(self, note: Version) -> tuple[list[str], dict[str, Any]] | None:
        resource = note.resource()
        texts, patient = self._texts(resource), _patient_of(resource)
        if not texts or patient is None:
            return None
        return texts, {
            "reference": f"DocumentReference/{note.id}",
            "version_id": note.version_id,
            "patient": f"Patient/{patient}",
            "encounter": _encounter_of(resource),
            "date": resource.get("date") or format_instant(note.last_updated),
            "author": None,
        }

    def _texts(self, resource: Resource) -> list[str]:
        try:
            notes = note_text(
                resource, self.ingest.binary_reader(), max_bytes=self.settings.max_note_bytes
            )
        except FhirError:
            return []
        return [note.text for note in notes if note.text]

    def _derived(self, note_id: str) -> Iterable[Version]:
        for resource_type in DERIVED_TYPES:
            params = [
                ("_source", f"DocumentReference/{note_id}"),
                ("_tag", f"{NLP_DERIVED_TAG['system']}|{NLP_DERIVED_TAG['code']}"),
                ("_count", "1000"),
            ]
            cursor: str | None = ""
            while cursor is not None:
                extra = [("_cursor", cursor)] if cursor else []
                page = self.lake.search(resource_type, [*params, *extra], strict=True)
                yield from page.versions
                cursor = page.next

    def _has_failed(self, note: Version) -> bool:
        try:
            self.lake.read("AuditEvent", _failure_id(note))
        except FhirError:
            return False
        return True

    def _replacement(self, note_id: str, resources: list[Resource]) -> list[Put | Delete]:
        """Writes that turn what was derived before into `resources`; nothing where equal."""
        before = {(v.resource_type, v.id): v for v in self._derived(note_id)}
        operations: list[Put | Delete] = []
        for resource in resources:
            old = before.pop((resource["resourceType"], resource["id"]), None)
            if old is None or _content(old.resource()) != _content(resource):
                operations.append(Put(resource))
        operations.extend(_withdraw(version) for version in before.values())
        return operations

    def _submit(self, function: Any, *arguments: Any) -> Future[Any]:
        with self._pool_lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    max_workers=max(1, self.settings.nlp_workers),
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=note_reader.load,
                    initargs=(self.settings.nlp_model,),
                )
            return self._pool.submit(function, *arguments)

    def _discard_pool(self) -> None:
        """Kill a pool that is broken or stuck in a note; the next submit makes another."""
        with self._pool_lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            for process in list((getattr(pool, "_processes", None) or {}).values()):
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)


def _withdraw(version: Version) -> Delete:
    return Delete(version.resource_type, version.id)


def _content(resource: Resource) -> bytes:
    """The resource without what the lake stamps, for comparison."""
    meta = {
        key: value
        for key, value in resource.get("meta", {}).items()
        if key not in ("versionId", "lastUpdated")
    }
    return canonical_bytes({**resource, "meta": meta})


def _patient_of(note: Resource) -> str | None:
    text = note.get("subject", {}).get("reference")
    if not isinstance(text, str):
        return None
    reference = parse_reference(text)
    return reference.id if reference.resource_type == "Patient" else None


def _encounter_of(note: Resource) -> str | None:
    for encounter in note.get("context", {}).get("encounter", []):
        if isinstance(encounter.get("reference"), str):
            return str(encounter["reference"])
    return None


def _failure_id(note: Version) -> str:
    """Logical id of the failure record of one version of a note."""
    digest = hashlib.sha256(f"{note.id}/{note.version_id}".encode()).hexdigest()
    return f"nlp-failure-{digest[:32]}"


def _failure_event(note: Version, reason: str) -> Resource:
    """The durable record of a note that could not be read (R4 auditevent.html)."""
    return {
        "resourceType": "AuditEvent",
        "id": _failure_id(note),
        "type": {
            "system": "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle",
            "code": "transform",
            "display": "Transform/Translate Record Lifecycle Event",
        },
        "action": "E",
        "recorded": format_instant(datetime.now(UTC)),
        "outcome": "8",
        "outcomeDesc": f"The note could not be read by the NLP: {reason}",
        "agent": [{"who": {"display": "Chartlake NLP"}, "requestor": False}],
        "source": {"observer": {"display": "Chartlake"}},
        "entity": [{"what": {"reference": f"DocumentReference/{note.id}"}}],
    }
