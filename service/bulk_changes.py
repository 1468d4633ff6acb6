"""`$bulk-delete` and `$bulk-patch` as jobs: many resources changed, some hundred a commit.

Which ones is settled when the job is accepted: those that the searches match as of its commit `t`,
at the version that they have there. One that was changed or deleted since is skipped, never
overwritten. Each step notes what it is about to do (`pending`), commits its changes together with
the number of the step (a consumer cursor), and then notes that it is done; so a step that a crash
interrupted is either done again, or known to be done, and nothing is changed or counted twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from schemas.outcomes import FhirError, Issue, error
from schemas.parse import canonical_bytes
from service.changes.patch_document import Patch, read_patch
from service.changes.references import References
from service.ingest import Ingest
from service.jobs import Handler, Interrupted, Postponed, Stopping
from service.operations.parameters import as_parameters
from service.reference_integrity import EXISTING, ReferenceIntegrity
from storage.audit_trail import AuditTrail
from storage.jobs import COMPLETED, VALUES, Job
from storage.lake import Delete, Guard, Lake, OvertakenError, Page, Put, RefusedError, Version
from storage.reading import present

BULK_DELETE, BULK_PATCH = "bulk-delete", "bulk-patch"

STEP = 250
"""Resources in one commit: a short wait for other writers."""
TURN_S = 2.0
"""How long a job works before others that wait (an erase, say) have their turn."""
MAX_LISTED = 1_000
"""Skipped and failed resources that a report names; further ones are counted."""

# How often a step is decided anew because others change the same resources at the same time.
_ATTEMPTS = 20
_COUNTS = ("changed", "unchanged", "skipped", "failed")

Json = dict[str, Any]
Decide = Callable[[Version, list[Guard]], Put | Delete | None]
"""The change of one resource; None when it is as it should be already. Raises FhirError.

What it was decided by is added to the guards."""


def handlers(lake: Lake, ingest: Ingest) -> dict[str, Handler]:
    """The handlers of the kinds of bulk change."""

    def run(job: Job, stopping: Stopping) -> Json:
        decide = _delete if job.kind == BULK_DELETE else _patch(ingest, job.request[VALUES])
        existing = ingest.policy.reference_integrity == EXISTING
        return _Work(lake, job, decide, check_references=existing).run(stopping)

    return {kind: Handler(run, result_body) for kind in (BULK_DELETE, BULK_PATCH)}


def result_body(job: Job) -> Json:
    """The report of a completed job as Parameters."""
    result = dict(job.result or {})
    return as_parameters({"job": job.id, "kind": job.kind, **result})


def patch_of(values: Json) -> Patch:
    """The patch of a request. Raises FhirError for what is none."""
    return read_patch(values["patch"].encode(), values["format"])


class _Work:
    """One job at work; `progress` is what is stored of it."""

    def __init__(self, lake: Lake, job: Job, decide: Decide, *, check_references: bool) -> None:
        self._lake = lake
        self._job = job
        self._decide = decide
        self._check_references = check_references
        self._t = int(job.request["t"])
        self._searches: list[list[Any]] = job.request[VALUES]["searches"]
        self._cursor = f"job:{job.id}"
        self._progress: Json = {
            "search": 0,
            "page": None,
            "step": 0,
            **dict.fromkeys(_COUNTS, 0),
            VALUES: {"skipped": [], "failures": [], "pending": None},
            **job.progress,
        }

    def run(self, stopping: Stopping) -> Json:
        """Do what is left; the report. Raises FhirError, Interrupted, Postponed, JobCancelled."""
        trail = AuditTrail(
            agent=str(self._job.request["agent"]),
            name=self._job.kind,
            action="D" if self._job.kind == BULK_DELETE else "U",
            lists_entities=False,
        )
        over = time.monotonic() + TURN_S
        try:
            with trail.active():
                while (page := self._page()) is not None:
                    if stopping():
                        raise Interrupted
                    if time.monotonic() > over:
                        raise Postponed(0.0)
                    self._step(page)
        except FhirError as failure:
            changed = self._progress["changed"]
            told = f"{changed} resources had been changed before this; what is left is as it was."
            issue = Issue("information", "informational", told)
            raise FhirError(failure.category, [*failure.issues, issue]) from None
        report = self._report()
        progress = {**self._progress, "text": "finished"}
        # In one: a crash in between would report twice, or keep what an erasure must find.
        self._lake.jobs.update(self._job.id, state=COMPLETED, progress=progress, result=report)
        return report

    def _page(self) -> Page | None:
        """The next resources to change, as of the job's commit; None at the end."""
        while self._progress["search"] < len(self._searches):
            resource_type, criteria = self._searches[self._progress["search"]]
            params = [(name, value) for name, value in criteria]
            params += [("_count", str(STEP)), ("_total", "none")]
            if self._progress["page"]:
                params.append(("_cursor", self._progress["page"]))
            found = self._lake.search(
                resource_type, params, strict=True, at=self._t, audit_log=False
            )
            if found.versions:
                return found
            self._next(found)
        return None

    def _next(self, page: Page) -> None:
        self._progress["page"] = page.next
        if page.next is None:
            self._progress["search"] += 1

    def _step(self, page: Page) -> None:
        step = self._progress["step"] + 1
        if self._lake.cursor(self._cursor) >= step:
            done = self._progress[VALUES]["pending"]  # Committed before a crash.
        else:
            done = self._commit(page, step)
        for name in _COUNTS:
            self._progress[name] += done[name]
        values = self._progress[VALUES]
        for name in ("skipped", "failures"):
            values[name] = [*values[name], *done["values"][name]][:MAX_LISTED]
        values["pending"] = None
        self._progress["step"] = step
        self._next(page)
        self._save()

    def _commit(self, page: Page, step: int) -> Json:
        """Change the resources of a page in one commit; what became of them."""
        refused: dict[tuple[str, str], str] = {}
        for _ in range(_ATTEMPTS):
            integrity = ReferenceIntegrity(self._lake, self._lake.t)
            operations, done = self._decided(page, refused, integrity)
            self._progress[VALUES]["pending"] = done
            self._save()
            try:
                self._lake.transact(
                    operations, cursor=(self._cursor, step), guards=integrity.guards
                )
            except OvertakenError:
                continue
            except RefusedError as failure:
                # Somebody else was faster, or it cannot be changed at all.
                operation = operations[failure.index]
                key = _key(operation)
                if failure.category not in ("precondition", "conflict", "not-found"):
                    refused[key] = failure.issues[0].diagnostics
                continue
            return done
        raise Postponed(1.0)

    def _decided(
        self, page: Page, refused: dict[tuple[str, str], str], integrity: ReferenceIntegrity
    ) -> tuple[list[Put | Delete], Json]:
        operations: list[Put | Delete] = []
        counts = dict.fromkeys(_COUNTS, 0)
        skipped: list[str] = []
        failures: list[Json] = []
        for version in page.versions:
            shown = f"{version.resource_type}/{version.id}"
            if not self._is_current(version):
                counts["skipped"] += 1
                skipped.append(shown)
                continue
            try:
                text = refused.get((version.resource_type, version.id))
                if text is not None:
                    raise error("method-not-allowed", text)
                operation = self._decide(version, integrity.guards)
                if self._check_references and operation is not None:
                    _check_references(operation, integrity)
            except FhirError as failure:
                counts["failed"] += 1
                failures.append(_failure(shown, failure))
                continue
            if operation is None:
                counts["unchanged"] += 1
            else:
                counts["changed"] += 1
                operations.append(operation)
        return operations, {**counts, "values": {"skipped": skipped, "failures": failures}}

    def _is_current(self, version: Version) -> bool:
        """Whether the version that was matched is the one that is there now."""
        now = present(self._lake.read, version.resource_type, version.id)
        return now is not None and now.version_id == version.version_id

    def _save(self) -> None:
        counts = sum(self._progress[name] for name in _COUNTS)
        text = f"{counts} of {self._job.request['matched']} resources"
        self._progress["text"] = text
        self._lake.jobs.update(self._job.id, progress=self._progress)

    def _report(self) -> Json:
        values = self._progress[VALUES]
        return {
            "t": self._t,
            "matched": self._job.request["matched"],
            "unknown": self._job.request["unknown"],
            **{name: self._progress[name] for name in _COUNTS},
            "skippedResource": values["skipped"],
            "failure": values["failures"],
        }


def _check_references(operation: Put | Delete, integrity: ReferenceIntegrity) -> None:
    """Raises FhirError where the change would leave a reference that leads nowhere."""
    key = _key(operation)
    if isinstance(operation, Delete):
        integrity.check_deletion(key, {key}, key[0])
    elif issues := integrity.missing(operation.resource, "", {key}, ()):
        raise FhirError("unprocessable", issues)


def _delete(version: Version, _guards: list[Guard]) -> Delete:
    return Delete(version.resource_type, version.id, version.version_id)


def _patch(ingest: Ingest, values: Json) -> Decide:
    patch = patch_of(values)
    keep = ingest.policy.administrative_references == "logical"

    def decide(version: Version, guards: list[Guard]) -> Put | None:
        references = References(ingest.lake, {}, keep_administrative=keep, bundle=False)
        resource, _ = references.resolved(patch.apply(version.resource()), "")
        guards += references.guards
        if canonical_bytes(resource) == canonical_bytes(version.resource()):
            return None
        ingest.check(resource, version.resource_type)
        ingest.check_note(resource)
        return Put(resource, method="PATCH", if_match=version.version_id)

    return decide


def _key(operation: Put | Delete) -> tuple[str, str]:
    if isinstance(operation, Delete):
        return operation.resource_type, operation.id
    return operation.resource["resourceType"], operation.resource["id"]


def _failure(shown: str, failure: FhirError) -> Json:
    """Why a resource could not be changed: places and rules, as issues tell them, no content."""
    issue = failure.issues[0]
    told = {"resource": shown, "code": issue.code, "diagnostics": issue.diagnostics[:500]}
    return {**told, "expression": ", ".join(issue.expression)} if issue.expression else told
