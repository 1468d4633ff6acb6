"""FHIR batch: a Bundle of independent requests, each answered on its own (R4 http.html#batch)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from schemas.outcomes import FhirError, operation_outcome
from schemas.parse import canonical_bytes
from service.audit_interactions import UNKNOWN, fhir_interaction
from service.bundle_entries import (
    Entry,
    Outcome,
    answer_get,
    check_envelope,
    failed_entry,
    read_entry,
    response_entry,
)
from service.errors import unexpected
from service.ingest import Ingest, relocated
from storage import audit_trail
from storage.audit_trail import AuditTrail

Resource = dict[str, Any]


def run_batch(
    bundle: Resource, ingest: Ingest, base: str, *, representation: bool = False
) -> dict[str, Any]:
    """Do each entry of a batch Bundle; one that fails stops no other.

    `base`: the FHIR base URL for links. Raises `FhirError` only for the Bundle itself. Order of
    processing is DELETE, POST, PUT, GET.
    """
    entries = check_envelope(bundle)
    answers: list[dict[str, Any]] = [{}] * len(entries)
    order = {"DELETE": 0, "POST": 1, "PUT": 2}
    by_method = sorted(
        range(len(entries)),
        key=lambda i: order.get(entries[i].get("request", {}).get("method", ""), 3),
    )
    for index in by_method:
        with _recorded(entries[index]) as part:
            try:
                outcome = _do(read_entry(index, entries[index]), ingest, base)
                answers[index] = response_entry(outcome, representation)
            except FhirError as failure:
                part.failure = failure.category
                answers[index] = failed_entry(_relocated(index, failure))
            except Exception as failure:
                part.failure = "internal"
                answers[index] = failed_entry(unexpected(failure))
    result: dict[str, Any] = {"resourceType": "Bundle", "type": "batch-response"}
    if answers:
        result["entry"] = answers
    return result


def _recorded(entry: Resource) -> AbstractContextManager[AuditTrail]:
    """An audit event of its own for an entry (whatever it asks), by the batch's agent."""
    trail = audit_trail.current() or AuditTrail("anonymous", "batch", "E")
    asked = entry.get("request")
    method, url = (str((asked or {}).get(name, "")) for name in ("method", "url"))
    path = [part for part in url.partition("?")[0].split("/") if part]
    found = fhir_interaction(method, path)
    name = UNKNOWN.name if found.named_by_client else found.name
    return trail.part(name, found.action, found.target)


def _do(entry: Entry, ingest: Ingest, base: str) -> Outcome:
    if entry.method == "GET":
        return answer_get(entry, ingest.lake, base)
    if entry.method == "DELETE":
        version = ingest.delete(entry.resource_type, entry.id, entry.if_match)
        return Outcome(version, "204 No Content")
    body = canonical_bytes(entry.resource or {})
    if entry.method == "POST":
        created = ingest.create(body, entry.resource_type, if_none_exist=entry.if_none_exist)
    else:
        created = ingest.update(body, entry.resource_type, entry.id, entry.if_match)
    outcome = operation_outcome(created.issues) if created.issues else None
    status = "201 Created" if created.created else "200 OK"
    return Outcome(created.version, status, outcome=outcome)


def _relocated(index: int, failure: FhirError) -> FhirError:
    """The failure of one entry's resource, its places told from the Bundle."""
    entry = f"Bundle.entry[{index}]"
    found = (relocated(issue, f"{entry}.resource.") for issue in failure.issues)
    issues = [replace(issue, expression=issue.expression or (entry,)) for issue in found]
    return FhirError(failure.category, issues)
