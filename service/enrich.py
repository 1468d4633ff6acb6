"""Notes of the commit log → NLP → derived resources → commit.

A consumer of the log with a durable cursor. Notes are read side by side and stored as they are
done, so that a long one holds up no other; the cursor moves past a commit when all of its notes,
and of those before it, are done. A crash repeats work but never loses or doubles it. A note that
cannot be read leaves an `AuditEvent` saying so, and the queue goes on.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from schemas.ids import format_instant, parse_reference
from schemas.notes import note_text
from schemas.outcomes import FhirError, error
from schemas.validate import validate as structural_issues
from schemas.validation_mark import is_marked
from service import note_reader
from service.derived_facts import (
    derived_from,
    failure_event,
    failure_id,
    note_is_there,
    replacement,
    withdrawal,
)
from service.ingest import Ingest
from service.note_pool import NotePool
from service.settings import Settings
from storage.audit_record import AuditRecord
from storage.lake import Delete, Lake, Put, Version

log = logging.getLogger("chartlake.enrich")

CURSOR = "nlp"
_RECORD = AuditRecord("E", "nlp", "system:nlp")
_POLL_S = 0.1
_ATTEMPTS = 2
_WINDOW = 64
_WITHDRAWN = ("entered-in-error", "superseded")
_REMEMBERED_NOTES = 64
_REMEMBERED_MENTIONS = 2_000

Resource = dict[str, Any]
Key = tuple[str, int]


@dataclass
class Reading:
    """A note in hand: its version, its worker's future while it runs, when that began."""

    note: Version
    attempts: int = 0
    future: Future[Any] | None = None
    began_s: float = 0.0

    @property
    def key(self) -> Key:
        """Id and version of the note."""
        return self.note.id, self.note.version_id


class Enricher:
    """Reads the notes of one lake in worker processes, as they are committed."""

    def __init__(self, lake: Lake, ingest: Ingest, settings: Settings) -> None:
        """Nothing runs until `start`."""
        self.lake = lake
        lake.on_erase(self.forget)
        self.ingest = ingest
        self.settings = settings
        self.state = "loading" if settings.nlp else "off"
        self.pipeline = ""
        self._pool = NotePool(settings.nlp_workers, settings.nlp_model)
        # Who asks for a reading waits apart from the notes that arrive.
        self._asked = NotePool(1, settings.nlp_model)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._open: OrderedDict[Key, Reading] = OrderedDict()
        self._fetched_t = 0
        # Done beyond the cursor, with the commit of each.
        self._done: dict[Key, int] = {}
        self._mentions: OrderedDict[Key, list[Resource]] = OrderedDict()

    def start(self) -> None:
        """Begin to follow the log, in a thread; the pipeline loads meanwhile."""
        if self.settings.nlp and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="enrich", daemon=True)
            self._thread.start()

    def forget(self, erased: Collection[tuple[str, str]]) -> None:
        """Let go of what is remembered of notes that were erased."""
        for id, version_id in list(self._mentions):
            if ("DocumentReference", id) in erased:
                self._mentions.pop((id, version_id), None)

    def stop(self) -> None:
        """Stop at once; what is not read yet is read after the next start."""
        self._stop.set()
        self._pool.kill()
        self._asked.kill()
        if self._thread is not None:
            self._thread.join(timeout=30)

    # What clients ask

    async def annotate(self, text: str) -> list[Resource]:
        """Mentions of `text`. Raises `not-supported` where the NLP is off, `timeout`."""
        if not self.settings.nlp:
            raise error("not-supported", "Reading notes is switched off here (setting `nlp`).")
        future = asyncio.wrap_future(self._asked.submit(note_reader.mentions, text))
        try:
            return await asyncio.wait_for(future, self._asked_timeout_s())
        except (TimeoutError, BrokenProcessPool):
            self._asked.kill()
            raise _too_long() from None

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
            found["entities"] = self._mentions_of(note)
            found["resources"] = [
                f"{version.resource_type}/{version.id}"
                for version in derived_from(self.lake, note.id)
            ]
        return found

    def backlog(self) -> int:
        """Versions of notes that are committed and not read yet."""
        if not self.settings.nlp:
            return 0
        cursor = self.lake.cursor(CURSOR)
        return self.lake.count_changes(cursor, types=("DocumentReference",)) - len(self._done)

    def catch_up(self, timeout_s: float = 600) -> bool:
        """Wait until every committed note has been read; False when time ran out."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.backlog() <= 0:
                return True
            time.sleep(0.05)
        return False

    def _state_of(self, note: Version) -> str:
        if not self.settings.nlp:
            return "off"
        if self.lake.cursor(CURSOR) < note.t and (note.id, note.version_id) not in self._done:
            return "pending"
        if self._call(note) is None:
            return "unread"
        try:
            self.lake.read("AuditEvent", failure_id(note))
        except FhirError:
            return "done"
        return "failed"

    def _mentions_of(self, note: Version) -> list[Resource]:
        """The mentions as the reading found them, read again where they are not remembered."""
        key = (note.id, note.version_id)
        call = self._call(note)
        if key in self._mentions or call is None:
            return self._mentions.get(key, [])
        try:
            future = self._asked.submit(note_reader.read, *call)
            mentions, _ = future.result(timeout=self._asked_timeout_s())
        except (TimeoutError, BrokenProcessPool, CancelledError):
            self._asked.kill()
            raise _too_long() from None
        self._remember(note, mentions)
        return list(mentions)

    def _remember(self, note: Version, mentions: list[Resource]) -> None:
        with self.lake.no_erase():
            if len(mentions) <= _REMEMBERED_MENTIONS and note_is_there(self.lake, note):
                self._mentions[note.id, note.version_id] = mentions
                while len(self._mentions) > _REMEMBERED_NOTES:
                    self._mentions.popitem(last=False)

    def _asked_timeout_s(self) -> float:
        # The first question also waits for the pipeline to load.
        return self.settings.nlp_timeout_s + (0 if self._asked.is_started else 30)

    # The queue

    def _run(self) -> None:
        self._load()
        self._fetched_t = self.lake.cursor(CURSOR)
        while not self._stop.is_set():
            try:
                if not self._step():
                    self._stop.wait(_POLL_S)
            except Exception as failure:
                if not self._stop.is_set():
                    log.error("reading notes failed (%s), trying again", type(failure).__name__)
                    self._stop.wait(1)

    def _load(self) -> None:
        while not self._stop.is_set():
            try:
                self.pipeline = self._pool.load()
                self.state = "ready"
                return
            except Exception as failure:
                self._pool.kill()
                if not self._stop.is_set():
                    self.state = "failed"
                    log.error("the note reader does not load: %s", type(failure).__name__)
                    self._stop.wait(5)

    def _step(self) -> bool:
        """Fetch, begin and finish what can be; False when there was nothing to do."""
        if len(self._open) < _WINDOW:
            for note in self._next_notes():
                self._fetched_t = note.t
                self._open[note.id, note.version_id] = Reading(note)
        if not self._open:
            return False
        self._begin()
        running = [reading.future for reading in self._open.values() if reading.future]
        if running:
            wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
        for reading in list(self._open.values()):
            if self._stop.is_set():
                return True
            if reading.future is not None:
                self._collect(reading)
        return True

    def _next_notes(self) -> list[Version]:
        """The next notes of the log, whole commits only: the cursor counts commits, not notes."""
        limit = _WINDOW
        while True:
            notes = self.lake.changes(self._fetched_t, types=("DocumentReference",), limit=limit)
            if len(notes) < limit:
                return notes
            whole = [note for note in notes if note.t != notes[-1].t]
            if whole:
                return whole
            limit *= 2

    def _begin(self) -> None:
        """Give the workers as many notes as there are workers.

        A note during which a worker died or hung is tried once more, alone: whichever note it was
        that did it, the others are not to blame.
        """
        running = sum(1 for reading in self._open.values() if reading.future is not None)
        for reading in list(self._open.values()):
            if reading.future is not None:
                continue
            if self._is_superseded(reading.note):
                self._finish(reading, [])  # The newer version has its turn.
                continue
            call = self._call(reading.note)
            if call is None:
                self._finish(reading, withdrawal(self.lake, reading.note.id))
            elif running < (1 if reading.attempts else self._pool.workers):
                reading.future = self._pool.submit(note_reader.read, *call)
                reading.began_s = time.monotonic()
                running = self._pool.workers if reading.attempts else running + 1

    def _collect(self, reading: Reading) -> None:
        """Store what a finished reading found; give up one that takes too long."""
        future = reading.future
        if future is None:
            return
        if not future.done():
            if time.monotonic() - reading.began_s > self.settings.nlp_timeout_s:
                self._break(reading, "TimeoutError")
            return
        try:
            mentions, resources = future.result()
        except (BrokenProcessPool, CancelledError) as failure:
            self._break(reading, type(failure).__name__)
            return
        except Exception as failure:
            self._fail(reading, type(failure).__name__)
            return
        self._remember(reading.note, mentions)
        if self._is_superseded(reading.note):
            self._finish(reading, [])
        else:
            self._finish(reading, replacement(self.lake, reading.note.id, resources))

    def _break(self, reading: Reading, reason: str) -> None:
        """The pool is stuck or dead: start afresh, and try what was running once more."""
        if self._stop.is_set():
            return
        self._pool.kill()
        for other in self._open.values():
            if other.future is not None:
                other.future = None
                other.attempts += 1
        if reading.attempts >= _ATTEMPTS:
            self._fail(reading, reason)
        self._load()

    def _fail(self, reading: Reading, reason: str) -> None:
        log.error("a note could not be read: %s", reason)
        # What an earlier version of the note said is no longer vouched for either.
        operations = withdrawal(self.lake, reading.note.id)
        operations.append(Put(failure_event(reading.note, reason), method="POST"))
        self._finish(reading, operations)

    def _finish(self, reading: Reading, operations: list[Put | Delete]) -> None:
        """Commit, and move the cursor past all commits that have no open note left."""
        before = [other.note.t for other in self._open.values() if other.key != reading.key]
        reached = min(before) - 1 if before else self._fetched_t
        cursor = self.lake.cursor(CURSOR)
        moved = reached > cursor
        if operations or moved:
            with self.lake.no_erase():
                # What was erased since it was read must not come back as what was read in it.
                if not note_is_there(self.lake, reading.note):
                    operations = []
                self.lake.transact(
                    operations, cursor=(CURSOR, reached) if moved else None, audit=_RECORD
                )
        del self._open[reading.key]
        done = {**self._done, reading.key: reading.note.t}
        self._done = {key: t for key, t in done.items() if t > max(reached, cursor)}

    # Notes

    def _is_superseded(self, note: Version) -> bool:
        try:
            return self.lake.read("DocumentReference", note.id).version_id != note.version_id
        except FhirError:
            return not note.deleted

    def _call(self, note: Version) -> tuple[list[str], Resource] | None:
        """The arguments of `note_reader.read`; None where there is nothing to read.

        That is: no readable text, no patient of this lake, a note that is withdrawn or malformed.
        """
        if note.deleted:
            return None
        resource = note.resource()
        if is_marked(resource) and structural_issues(resource):
            return None  # Stored at the validation level `minimal`: nothing in it is where it was.
        if _WITHDRAWN.count(resource.get("status", "")) or (
            resource.get("docStatus") == "entered-in-error"
        ):
            return None
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


def _patient_of(note: Resource) -> str | None:
    """Id of the patient in this lake; another server's patient with that id is somebody else."""
    text = note.get("subject", {}).get("reference")
    if not isinstance(text, str):
        return None
    reference = parse_reference(text)
    here = reference.kind == "relative" and reference.resource_type == "Patient"
    return reference.id if here else None


def _encounter_of(note: Resource) -> str | None:
    for encounter in note.get("context", {}).get("encounter", []):
        text = encounter.get("reference")
        if isinstance(text, str) and parse_reference(text).kind == "relative":
            return text
    return None


def _too_long() -> FhirError:
    return error("timeout", "Reading this text took too long; send it in parts.")
