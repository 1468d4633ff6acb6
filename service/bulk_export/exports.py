"""Exports of one lake: begun, written by the job runner, kept until they expire or are deleted.

An export is pinned to one commit and belongs to who asked for it. Its files lie encrypted in the
lake's folder under a key of its own (`storage.bulk_export.export_files`); key and files go when it
expires, when it is deleted, and when anything that may be in it is erased. It is written from its
beginning again after a restart.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.ids import format_instant
from schemas.outcomes import FhirError, error, operation_outcome
from schemas.parse import canonical_bytes, parse_resource
from schemas.summary import parse_elements
from service.bulk_export.request import LATEST, PARQUET, ExportRequest, issue_of
from service.bulk_export.selection import patients_of
from service.jobs import Handler, Interrupted, Postponed, Stopping
from storage.audit_trail import AuditTrail
from storage.bulk_export.content import Content, Represent, Selection
from storage.bulk_export.export_files import ExportFiles, new_export_key
from storage.bulk_export.output import ExportedFile, NdjsonOutput
from storage.jobs import CANCELLED, COMPLETED, FAILED, VALUES, Job
from storage.lake import Lake, LakeAt
from storage.listing import all_pages

log = logging.getLogger("chartlake.exports")

EXPORT = "export"
"""The kind of job."""

MAX_UNFINISHED = 4
"""Exports under way at once; who asks for another is told to wait."""

TURN_S = 2.0
"""How long an export is written before others that wait (an erase, say) have their turn."""

_TOLD_EVERY_S = 0.5
_SWEPT_EVERY_S = 300.0
_DELETIONS_A_LINE = 500

Json = dict[str, Any]


class Exports:
    """The exports of one lake."""

    def __init__(self, lake: Lake, *, hours: float) -> None:
        """`hours`: how long finished files can be fetched (setting `export_hours`)."""
        self._lake = lake
        self._hours = hours
        self._files = ExportFiles(lake.folder.exports)
        self._running: dict[str, _Writing] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if not lake.read_only:
            lake.on_erase(lambda _erased: self._forget_all())

    def handler(self) -> Handler:
        """What the job runner does with exports."""
        return Handler(
            self._run, lambda job: dict(job.result or {}), cancelled=lambda job: self._drop(job.id)
        )

    def start(self) -> None:
        """Remove what expired, now and from time to time."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._sweep_on, name="exports", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop removing."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def accept(self, request: ExportRequest, *, agent: str, url: str, base: str) -> Job:
        """A durable job for an export as of now.

        `url`: the request's; `base`: the FHIR base by which the client knows the service. Raises
        FhirError: `throttled`; `not-found`, `value` for groups and patients that are not there.
        """
        if len(self._lake.jobs.unfinished((EXPORT,))) >= MAX_UNFINISHED:
            raise error(
                "throttled",
                f"{MAX_UNFINISHED} exports are under way, the most at once. Ask again when one "
                "of them is finished.",
            )
        view = self._lake.at()
        # Told now, rather than by a job that fails.
        patients_of(view, request)
        return self._lake.jobs.add(
            EXPORT,
            {
                "t": view.t,
                "agent": agent,
                "url": url,
                "base": base,
                "key": new_export_key(),
                VALUES: request.stored(),
            },
        )

    def get(self, id: str, agent: str) -> Job:
        """An export of `agent`, finished or not. Raises `not-found` for all others.

        Also for one that expired, was deleted, or held what was erased since.
        """
        job = self._lake.jobs.get(id)
        if job.kind != EXPORT or job.state == CANCELLED or job.request["agent"] != agent:
            raise error("not-found", f"There is no export {id[:64]}.")
        if job.state == COMPLETED:
            if self._lake.erasures_since(job.request["t"]):
                self._remove(id)
                raise error(
                    "not-found", "Data were erased since this export was made; export again."
                )
            if self.expires(job) <= datetime.now(UTC):
                self._remove(id)
                raise error("not-found", f"The export {id[:64]} has expired; export again.")
        return job

    def expires(self, job: Job) -> datetime:
        """When the files of a finished export go."""
        return job.updated + timedelta(hours=self._hours)

    def delete(self, id: str, agent: str) -> None:
        """Cancel an export, or remove a finished one with its files."""
        job = self.get(id, agent)
        if job.is_finished:
            self._remove(id)
            return
        self._lake.jobs.cancel(id)
        if id not in self._running:
            self._files.remove(id)

    def content(self, job: Job, file: str) -> tuple[Json, Iterator[bytes]]:
        """A file of a finished export: its entry in the result, and what is in it, in pieces.

        Raises FhirError `not-found`.
        """
        entries = [*_entries(job.result or {})]
        entry = next((one for one in entries if one["name"] == file), None)
        if entry is None or not self._files.size(job.id, file):
            raise error("not-found", "This export has no such file, or it is gone.")
        return entry, self._files.read(job.id, file, job.request["key"])

    # The job

    def _run(self, job: Job, stopping: Stopping) -> Json:
        writing = self._running.get(job.id)
        if writing is None:
            self._files.remove(job.id)  # Of an interrupted try.
            writing = self._running[job.id] = _Writing(self._lake, job, self._files)
        over, told = time.monotonic() + TURN_S, 0.0
        try:
            if self._lake.erasures_since(job.request["t"]):
                raise _erased()  # What is written already may hold what is gone.
            for text in writing.steps:
                if stopping():
                    raise Interrupted
                if time.monotonic() - told > _TOLD_EVERY_S:
                    told = time.monotonic()
                    self._lake.jobs.update(job.id, progress={"text": text})
                if time.monotonic() > over:
                    raise Postponed(0.0)
            self._lake.record_access(writing.trail.finish(0)).result()
            if self._lake.erasures_since(job.request["t"]):
                raise _erased()
        except Postponed:
            raise
        except BaseException as failure:
            if isinstance(failure, Interrupted):
                self._running.pop(job.id, None)
            else:
                self._drop(job.id)
            raise
        self._running.pop(job.id, None)
        return writing.result()

    # Going

    def _drop(self, id: str) -> None:
        """Let go of an export that will not be finished: of what it has in hand, and its files."""
        writing = self._running.pop(id, None)
        if writing is not None:
            writing.steps.close()
        self._files.remove(id)

    def _remove(self, id: str) -> None:
        self._lake.jobs.remove(id)  # The key first: without it the files are noise.
        self._files.remove(id)

    def _forget_all(self) -> None:
        """An erase took something out of the lake: it may be in any export that began before."""
        for job in self._lake.jobs.finished(EXPORT):
            if job.state == COMPLETED and self._lake.erasures_since(job.request["t"]):
                self._remove(job.id)

    def _sweep_on(self) -> None:
        while True:
            try:
                self.sweep()
            except Exception as failure:
                log.error("expired exports are not removed (%s)", type(failure).__name__)
            if self._stop.wait(_SWEPT_EVERY_S):
                return

    def sweep(self) -> None:
        """Remove what expired, failed or was cancelled, and files that belong to no export."""
        now = datetime.now(UTC)
        for job in self._lake.jobs.finished(EXPORT):
            kept = job.state in (COMPLETED, FAILED) and self.expires(job) > now
            if not kept and job.id not in self._running:
                self._remove(job.id)
        for id in self._files.exports():
            try:
                self._lake.jobs.get(id)
            except FhirError as failure:
                if failure.category != "not-found":
                    raise
                self._files.remove(id)


class _Writing:
    """One export in hand: `steps` writes it, telling its progress."""

    def __init__(self, lake: Lake, job: Job, files: ExportFiles) -> None:
        self._job = job
        self._files = files
        self._view = lake.at(int(job.request["t"]))
        self._request = ExportRequest.restored(job.request[VALUES])
        self._written: dict[str, list[ExportedFile]] = {"output": [], "deleted": [], "error": []}
        self.trail = AuditTrail(
            agent=str(job.request["agent"]), name=EXPORT, action="E", lists_entities=False
        )
        self.steps = self._steps()

    def result(self) -> Json:
        """What the manifest is made of."""
        request = self._request
        return {
            "t": self._view.t,
            "transactionTime": format_instant(self._view.instant),
            "format": request.format,
            "organizedBy": "Patient" if request.by_patient else None,
            **{name: [one.stored() for one in files] for name, files in self._written.items()},
        }

    def _steps(self) -> Generator[str, None, None]:
        request, view = self._request, self._view
        # What is read here is counted below; that it was looked for is no access of its own.
        with AuditTrail("", EXPORT, "E", lists_entities=False).active():
            patients = patients_of(view, request)
            selection = Selection(
                types=request.compartment_types(),
                supporting=request.supporting_types(),
                patients=None if patients is None else frozenset(patients),
                all_patients=request.of_patients and patients is None,
                since=request.since,
                # Moments are told in milliseconds and stored in microseconds.
                until=request.until and request.until + timedelta(microseconds=999),
                ids=_matching(view, request),
                provenance=request.with_provenance,
                latest=request.provenance == LATEST,
            )
        content = Content(
            view,
            selection,
            self._files,
            self._job.id,
            self._job.request["key"],
            representation(request, str(self._job.request["base"])),
        )
        steps = content.run(parquet=request.format == PARQUET, by_patient=request.by_patient)
        while True:
            # Never across a yield: the trail is a context variable of whoever runs the job.
            with AuditTrail("", EXPORT, "E", lists_entities=False).active():
                text = next(steps, None)
            if text is None:
                break
            yield text
        self._written["output"] = content.files
        if request.since is not None:
            self._deleted(selection)
        if request.told:
            self._outcomes()
        self.trail.gave(content.count)
        if patients is not None:
            self.trail.concerns(patients)

    def _ndjson(self, name: str, kind: str) -> NdjsonOutput:
        return NdjsonOutput(
            self._files, self._job.id, str(self._job.request["key"]), name, kind=kind
        )

    def _deleted(self, selection: Selection) -> None:
        output = self._ndjson("deleted", "Bundle")
        assert self._request.since is not None
        entries: list[Json] = []
        for resource_type in selection.types:
            for one in self._view.lake.deletions(resource_type, self._request.since, self._view.t):
                if selection.all_patients and one.patient is None:
                    continue
                if selection.patients is not None and one.patient not in selection.patients:
                    continue
                url = f"{resource_type}/{one.id}"
                entries.append({"request": {"method": "DELETE", "url": url}})
        for begin in range(0, len(entries), _DELETIONS_A_LINE):
            part = entries[begin : begin + _DELETIONS_A_LINE]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": part}
            output.add([canonical_bytes(bundle)])
        output.close()
        self._written["deleted"] = output.written

    def _outcomes(self) -> None:
        output = self._ndjson("OperationOutcome", "OperationOutcome")
        output.add(
            [canonical_bytes(operation_outcome([issue_of(text)])) for text in self._request.told]
        )
        output.close()
        self._written["error"] = output.written


def _matching(view: LakeAt, request: ExportRequest) -> dict[str, frozenset[str]]:
    """The ids that `_typeFilter` leaves of each type that it is about."""
    found: dict[str, frozenset[str]] = {}
    for resource_type, alternatives in request.filters.items():
        ids: set[str] = set()
        for criteria in alternatives:
            params = [(name, value) for name, value in criteria]
            for page in all_pages(view, resource_type, params):
                ids.update(version.id for version in page.versions)
        found[resource_type] = frozenset(ids)
    return found


def representation(request: ExportRequest, base: str) -> Represent | None:
    """How a body becomes a line: `_elements`, and attachments whose address is absolute."""
    elements = parse_elements(",".join(request.elements)) if request.elements else None
    address = b'"url":"' + base.encode() + b"/Binary/"

    def line(_resource_type: str, body: bytes) -> bytes:
        if elements is not None:
            body = canonical_bytes(elements.keep(parse_resource(body)))
        return body.replace(_ATTACHED, address) if _ATTACHED in body else body

    return line if request.format != PARQUET else None


# Bodies are compact JSON: in a text the quotes would be escaped.
_ATTACHED = b'"url":"Binary/'


def manifest(job: Job, *, requires_token: bool) -> Json:
    """The body of the answer about a finished export.

    `outcome` says the same as `error`, for clients of version 4 of the guide.
    https://hl7.org/fhir/uv/bulkdata/export.html#response---complete-status
    """
    result = job.result or {}
    base, format = f"{job.request['base']}/_export/{job.id}", result["format"]

    def listed(name: str) -> list[Json]:
        return [
            {
                **({"type": one["type"]} if one["type"] else {}),
                "url": f"{base}/{one['name']}",
                "count": one["count"],
            }
            for one in result[name]
        ]

    told = listed("error")
    found: Json = {
        "transactionTime": result["transactionTime"],
        "request": job.request["url"],
        "requiresAccessToken": requires_token,
        "outputFormat": format,
    }
    if result["organizedBy"]:
        found["outputOrganizedBy"] = result["organizedBy"]
    return {
        **found,
        "output": listed("output"),
        "deleted": listed("deleted"),
        "error": told,
        "outcome": told,
    }


def _entries(result: Json) -> Iterator[Json]:
    for name in ("output", "deleted", "error"):
        yield from result.get(name, ())


def _erased() -> FhirError:
    return error(
        "conflict", "Data were erased while they were exported; nothing is given out. Export again."
    )
