"""Notes of the commit log → NLP → derived resources → commit.

A consumer of the log with a durable cursor (`service.note_log`). Notes are read side by side and
stored as they are done, so that a long one holds up no other. A crash repeats work but never loses
or doubles it. A note that cannot be read leaves an `AuditEvent` saying so, and the queue goes on.

Notes are read again on request: those that failed (`retry`), or all (`reread`), with the pipeline
of today. New notes go first.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from schemas.outcomes import FhirError, error
from service import note_reader
from service.derived_facts import (
    derived_from,
    failure_event,
    failure_of,
    note_is_there,
    replacement,
    withdrawal,
)
from service.ingest import Ingest
from service.note_log import Key, NoteLog, key_of
from service.note_pool import NotePool
from service.readable_note import is_superseded, source_of
from service.reading_rate import ReadingRate
from service.settings import Settings
from storage.audit_record import AuditRecord
from storage.lake import Delete, Lake, Put, Version

log = logging.getLogger("chartlake.enrich")

CURSOR = "nlp"
REREAD_CURSOR, REREAD_UNTIL = "nlp-reread", "nlp-reread-until"
_RECORD = AuditRecord("E", "nlp", "system:nlp")
_POLL_S = 0.1
_RELOAD_S, _RELOAD_MOST_S = 5.0, 300.0
_ATTEMPTS = 2
_WINDOW = 64
_REMEMBERED_NOTES = 64
_REMEMBERED_MENTIONS = 2_000

Resource = dict[str, Any]


@dataclass
class Reading:
    """A note in hand: its version, its worker's future while it runs, when that began.

    `log`: the pass over the log that it is of; None for one that is retried.
    """

    note: Version
    log: NoteLog | None
    characters: int = 0
    attempts: int = 0
    future: Future[Any] | None = None
    began_s: float = 0.0

    @property
    def key(self) -> Key:
        """Id and version of the note."""
        return key_of(self.note)


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
        releases = str(settings.terminology_path)
        self._pool = NotePool(settings.nlp_workers, settings.nlp_model, releases)
        # Who asks for a reading waits apart from the notes that arrive.
        self._asked = NotePool(1, settings.nlp_model, releases)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._open: OrderedDict[Key, Reading] = OrderedDict()
        self._arrivals = NoteLog(lake, CURSOR)
        self._rereading = NoteLog(lake, REREAD_CURSOR)
        # Held while a cursor is moved, or a pass over the log begins.
        self._passing = threading.Lock()
        self._retries: deque[Version] = deque()
        self.rate = ReadingRate()
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

    async def annotate(self, text: str) -> Resource:
        """Mentions of `text`, its language, and why it was not read (`note_reader.reading`).

        Raises `not-supported` where the NLP is off, `timeout`.
        """
        self.require()
        future = asyncio.wrap_future(self._asked.submit(note_reader.reading, text))
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
        if state == "failed" and (failure := failure_of(self.lake, note)) is not None:
            found["reason"] = failure.resource()["outcomeDesc"].rpartition(": ")[2]
        if state == "done":
            found["entities"] = self._mentions_of(note)
            derived = list(derived_from(self.lake, note.id))
            found["resources"] = [f"{version.resource_type}/{version.id}" for version in derived]
            if derived and derived[-1].resource_type == "Provenance":
                found["pipeline"] = derived[-1].resource()["agent"][0]["who"]["display"]
        return found

    def backlog(self) -> int:
        """Versions of notes that are committed and not read yet."""
        if not self.settings.nlp:
            return 0
        return self._arrivals.remaining()

    def retrying(self) -> int:
        """Notes that are to be tried again."""
        return len(self._retries) + sum(
            1 for reading in tuple(self._open.values()) if reading.log is None
        )

    def figures(self) -> dict[str, Any]:
        """The queue in figures: no id and no text."""
        notes_per_s, characters_per_s = self.rate.per_second()
        return {
            "state": self.state,
            "pipeline": self.pipeline,
            "unread": self.backlog(),
            "retrying": self.retrying(),
            "rereading": self.rereading(),
            "read": self.rate.notes,
            "failed": self.rate.failures,
            "notes_per_s": round(notes_per_s, 2),
            "characters_per_s": round(characters_per_s, 1),
        }

    def rereading(self) -> int:
        """Versions of notes that are still to be looked at by a `reread`; 0 when none is on."""
        until = self.lake.cursor(REREAD_UNTIL)
        if not self.settings.nlp or self.lake.cursor(REREAD_CURSOR) >= until:
            return 0
        return self._rereading.remaining(until)

    def retry(self, notes: Iterable[Version]) -> int:
        """Read these notes again, after those that arrive; how many that are.

        Raises `not-supported` where the NLP is off. The record of a failure stands until its note
        is read: what a crash forgets is still listed, and can be retried again.
        """
        self.require()
        waiting = {key_of(note) for note in self._retries}
        added = [note for note in notes if key_of(note) not in waiting]
        self._retries.extend(added)
        return len(added)

    def reread(self) -> int:
        """Read all notes again with the pipeline of today; how many versions are looked at.

        Goes on after a restart. What is found again unchanged stays as it is, all else is
        superseded. Raises `not-supported` where the NLP is off.
        """
        self.require()
        # Later ones are yet to be read for the first time.
        until = self.lake.cursor(CURSOR)
        with self._passing:
            self._rereading.is_abandoned = True
            self.lake.transact([], cursor=(REREAD_CURSOR, 0), audit=_RECORD)
            self.lake.transact([], cursor=(REREAD_UNTIL, until), audit=_RECORD)
            self._rereading = NoteLog(self.lake, REREAD_CURSOR)
            self._rereading.resume()
        return self.lake.count_changes(0, types=("DocumentReference",)) - self.lake.count_changes(
            until, types=("DocumentReference",)
        )

    def catch_up(self, timeout_s: float = 600) -> bool:
        """Wait until every note has been read that is to be; False when time ran out."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.backlog() <= 0 and not self.retrying() and not self.rereading():
                return True
            time.sleep(0.05)
        return False

    def require(self) -> None:
        """Raise `not-supported` where the NLP is off."""
        if not self.settings.nlp:
            raise error("not-supported", "Reading notes is switched off here (setting `nlp`).")

    def _state_of(self, note: Version) -> str:
        if not self.settings.nlp:
            return "off"
        if not self._arrivals.is_finished(note) or self._is_asked_again(note):
            return "pending"
        if self._source(note) is None:
            return "unread"
        return "done" if failure_of(self.lake, note) is None else "failed"

    def _source(self, note: Version) -> tuple[list[str], Resource] | None:
        return source_of(note, self.ingest, max_bytes=self.settings.max_note_bytes)

    def _is_asked_again(self, note: Version) -> bool:
        key = key_of(note)
        return key in self._open or any(key_of(other) == key for other in tuple(self._retries))

    def _mentions_of(self, note: Version) -> list[Resource]:
        """The mentions as the reading found them, read again where they are not remembered."""
        key = (note.id, note.version_id)
        call = self._source(note)
        if key in self._mentions or call is None:
            return self._mentions.get(key, [])
        try:
            future = self._asked.submit(note_reader.read, *call)
            mentions, _, _ = future.result(timeout=self._asked_timeout_s())
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
        self._arrivals.resume()
        with self._passing:
            self._rereading.resume()
        while not self._stop.is_set():
            try:
                if not self._step():
                    self._stop.wait(_POLL_S)
            except Exception as failure:
                if not self._stop.is_set():
                    log.error("reading notes failed (%s), trying again", type(failure).__name__)
                    self._stop.wait(1)

    def _load(self) -> None:
        pause_s = _RELOAD_S
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
                    # Each try costs seconds of the processors that answer requests.
                    self._stop.wait(pause_s)
                    pause_s = min(2 * pause_s, _RELOAD_MOST_S)

    def _step(self) -> bool:
        """Fetch, begin and finish what can be; False when there was nothing to do."""
        self._fetch()
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

    def _fetch(self) -> None:
        """Take on notes: those that arrived; with room left, some that are to be read again."""
        if len(self._open) < _WINDOW:
            self._take(self._arrivals, self._arrivals.next(_WINDOW))
        if len(self._open) >= 2 * self._pool.workers:
            return
        if self._retries:
            note = self._retries[0]
            self._open.setdefault(key_of(note), Reading(note, None))
            self._retries.popleft()  # Only now: who looks meanwhile finds it in one of the two.
        elif self.rereading():
            with self._passing:
                until = self.lake.cursor(REREAD_UNTIL)
                self._take(self._rereading, self._rereading.next(_WINDOW, until=until))

    def _take(self, log: NoteLog, notes: list[Version]) -> None:
        for note in notes:
            if key_of(note) in self._open:  # It is being read at this moment.
                log.finish(key_of(note))
            else:
                self._open[key_of(note)] = Reading(note, log)

    def _begin(self) -> None:
        """Give the workers as many notes as there are workers.

        A note during which a worker died or hung is tried once more, alone: whichever note it was
        that did it, the others are not to blame.
        """
        running = sum(1 for reading in self._open.values() if reading.future is not None)
        for reading in list(self._open.values()):
            if reading.future is not None:
                continue
            if is_superseded(self.lake, reading.note):
                self._finish(reading, [])  # The newer version has its turn.
                continue
            call = self._source(reading.note)
            if call is None:
                self._finish(reading, withdrawal(self.lake, reading.note.id))
            elif running < (1 if reading.attempts else self._pool.workers):
                reading.characters = sum(map(len, call[0]))
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
            mentions, resources, reason = future.result()
        except (BrokenProcessPool, CancelledError) as failure:
            self._break(reading, type(failure).__name__)
            return
        except Exception as failure:
            self._fail(reading, type(failure).__name__)
            return
        if reason:
            self._fail(reading, reason)
            return
        self.rate.read(reading.characters)
        self._remember(reading.note, mentions)
        if is_superseded(self.lake, reading.note):
            self._finish(reading, [])
            return
        operations = replacement(self.lake, reading.note.id, resources)
        failed_before = failure_of(self.lake, reading.note)
        if failed_before is not None:
            operations.append(Delete(failed_before.resource_type, failed_before.id))
        self._finish(reading, operations)

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
        before = failure_of(self.lake, reading.note)
        method = "POST" if before is None else "PUT"
        operations.append(Put(failure_event(reading.note, reason), method=method))
        self.rate.failed()
        self._finish(reading, operations)

    def _finish(self, reading: Reading, operations: list[Put | Delete]) -> None:
        """Commit, and move the cursor past all commits that have no open note left."""
        log = reading.log
        with self._passing:
            reached = log.cursor_after(reading.key) if log is not None else None
            cursor = (log.name, reached) if log is not None and reached is not None else None
            if operations or cursor:
                with self.lake.no_erase():
                    # What was erased since it was read must not come back as what was read in it.
                    if not note_is_there(self.lake, reading.note):
                        operations = []
                    self.lake.transact(operations, cursor=cursor, audit=_RECORD)
            if log is not None:
                log.finish(reading.key)
        del self._open[reading.key]


def _too_long() -> FhirError:
    return error("timeout", "Reading this text took too long; send it in parts.")
