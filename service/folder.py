"""A lake folder behind the same methods as the HTTP client, for commands without a service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

from schemas.releases import ReleaseStore
from service.as_of import parse_at, view_at
from service.audit_command import command_trail
from service.dead_letters import chosen, listed
from service.enrich import Enricher
from service.ingest import Ingest
from service.lake_access import open_lake, open_to_read
from service.note_text import document_reference
from service.notices import Notice
from service.settings import Settings
from storage.lake import LakeAt
from storage.process_trail import recording


class FolderLake:
    """An open lake folder; use as a context manager."""

    def __init__(
        self,
        settings: Settings,
        *,
        create: bool = False,
        reading: bool = False,
        command: str,
    ) -> None:
        """`create`: make the lake where there is none; `reading`: beside a service, if need be.

        `command`: what the audit log says is done.

        Raises `FhirError`, `SettingError`.
        """
        self.settings = settings
        self.notices: list[str] = []
        """What is to be said of answers as of a past commit, for people."""
        trail = command_trail(command)
        self._recording = ExitStack()
        with trail.active():
            self.lake = open_to_read(settings) if reading else open_lake(settings, create=create)
        self._trail = trail
        self.ingest = Ingest.of(self.lake, settings)
        self.enricher = Enricher(self.lake, self.ingest, settings)

    def __enter__(self) -> FolderLake:
        self._recording.enter_context(self._trail.active())
        self._recording.enter_context(recording(self.lake, self._trail))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._recording.__exit__(kind, failure, trace)
        finally:
            self.close()

    def close(self) -> None:
        """Stop reading notes and close the lake."""
        self.enricher.stop()
        self.lake.close()

    def note(self, text: str, patient: str, **params: str) -> dict[str, Any]:
        """Store a plain text note of a patient; `findings` reads it."""
        resource = document_reference(text, patient=patient, **params)
        return self.ingest.create(resource).stored.resource()

    def findings(self, note_id: str, *, wait_s: int = 120) -> dict[str, Any]:
        """What the NLP finds in a stored note; reads it here and now.

        Raises ReleaseError when a loaded release that is in use cannot be read.
        """
        ReleaseStore(self.settings.terminology_path).check()
        self.enricher.start()
        return self.enricher.findings(self.lake.read("DocumentReference", note_id), wait_s=wait_s)

    def nlp_queue(self) -> dict[str, Any]:
        """How far the reading of notes is, in figures."""
        return self.enricher.figures()

    def nlp_failures(self) -> list[dict[str, Any]]:
        """Notes that could not be read, each with version, time and reason."""
        return listed(self.lake)

    def nlp_retry(self, notes: Sequence[str] = ()) -> int:
        """Read these notes, or all that could not be read, again here and now; how many."""
        asked = self.enricher.retry(chosen(self.lake, list(notes)))
        self._read_to_the_end()
        return asked

    def nlp_reread(self) -> int:
        """Read all notes again with the pipeline of today, here and now; how many versions."""
        asked = self.enricher.reread()
        self._read_to_the_end()
        return asked

    def _read_to_the_end(self) -> None:
        self.enricher.start()
        while not self.enricher.catch_up():
            pass

    def erase(
        self, keys: Sequence[tuple[str, str]], reason: str, *, keep_derived: bool = False
    ) -> dict[str, Any]:
        """Erase all versions of resources, here and now; what was erased."""
        return self.lake.erase(keys, reason=reason, keep_derived=keep_derived)

    def purge(self, id: str, reason: str, *, include_shared: bool = False) -> dict[str, Any]:
        """Erase a patient's whole record, here and now; what was erased."""
        return self.lake.purge(id, reason=reason, include_shared=include_shared)

    def resume_erases(self) -> list[dict[str, Any]]:
        """Finish the erases that were interrupted; what each erased."""
        jobs = [self.lake.eraser.finish(job) for job in self.lake.eraser.unfinished()]
        return [job.result for job in jobs if job.result is not None]

    def timeline(self, patient_id: str, **params: Any) -> list[dict[str, Any]]:
        """A patient's events in clinical order."""
        types = params.pop("types", None)
        wanted = tuple(types.split(",")) if types else None
        with self._as_of(params.pop("at", None)) as (view, _):
            events = view.timeline(patient_id, types=wanted, **params)
        return [event.to_dict() for event in events]

    def cohort(self, definition: dict[str, Any], *, at: int | str | None = None) -> dict[str, Any]:
        """Run a cohort definition."""
        with self._as_of(at) as (view, said):
            result: dict[str, Any] = view.cohort(definition).to_dict()
        result["warnings"] = [*result["warnings"], *said.warnings]
        return result

    def sql(
        self, query: str, parameters: list[Any] | None = None, *, at: int | str | None = None
    ) -> Any:
        """Run a query; the same shape as the service's answer."""
        with self._as_of(at) as (view, said):
            table = view.sql(
                query,
                parameters or [],
                timeout_s=self.settings.sql_timeout_s,
                max_rows=self.settings.sql_max_rows,
            )
        return {
            "columns": list(table.columns),
            "rows": table.rows(),
            "truncated": table.truncated,
            "t": view.t,
            "warnings": said.warnings,
        }

    @contextmanager
    def _as_of(self, at: int | str | None) -> Iterator[tuple[LakeAt, Notice]]:
        """The lake as of `at`; what is to be said of the answer goes to `notices`."""
        with view_at(self.lake, parse_at(at)) as (view, said):
            yield view, said
        if at is not None:
            self.notices += [f"as of commit {view.t}", *said.warnings]
