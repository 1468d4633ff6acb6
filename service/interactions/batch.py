"""FHIR batch: a Bundle of independent requests, each answered on its own (R4 http.html#batch)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from schemas.outcomes import FhirError
from service.audit_interactions import UNKNOWN, fhir_interaction
from service.bundle_entries import (
    answered_entry,
    changed_entry,
    check_envelope,
    failed_entry,
    read_entry,
)
from service.changes.asked import relocated
from service.changes.attempt import ORDER
from service.errors import unexpected
from service.ingest import Ingest
from service.prefer import NONE, Preferences
from service.responses import bundle_bytes
from service.sub_requests import SubRequests
from storage import audit_trail
from storage.audit_trail import AuditTrail

Resource = dict[str, Any]


def run_batch(
    bundle: Resource,
    ingest: Ingest,
    ask: SubRequests,
    base: str,
    wanted: Preferences = NONE,
) -> bytes:
    """Do each entry of a batch Bundle; one that fails stops no other. The response Bundle.

    `ask` answers what changes nothing; `base`: the FHIR base URL. Raises `FhirError` only for the
    Bundle itself. Order of processing is DELETE, POST, PUT and PATCH, GET and HEAD.
    """
    entries = check_envelope(bundle, ingest.policy.max_bundle_entries)
    answers: list[bytes] = [b""] * len(entries)
    by_method = sorted(
        range(len(entries)),
        key=lambda i: ORDER.get(entries[i].get("request", {}).get("method", ""), 3),
    )
    for index in by_method:
        with _recorded(entries[index], ask) as part:
            try:
                answers[index] = _do(index, entries[index], ingest, ask, base, wanted)
            except FhirError as failure:
                part.failure = failure.category
                answers[index] = failed_entry(_relocated(index, failure))
            except Exception as failure:
                part.failure = "internal"
                answers[index] = failed_entry(unexpected(failure))
    return bundle_bytes("batch-response", answers)


def _recorded(entry: Resource, ask: SubRequests) -> AbstractContextManager[AuditTrail]:
    """An audit event of its own for an entry (whatever it asks), by the batch's agent."""
    trail = audit_trail.current() or AuditTrail("anonymous", "batch", "E")
    asked = entry.get("request")
    method, url = (str((asked or {}).get(name, "")) for name in ("method", "url"))
    path = [part for part in url.partition("?")[0].split("/") if part]
    found = fhir_interaction(method, path)
    is_word_of_client = found.named_by_client and found.name not in ask.operations
    name = UNKNOWN.name if is_word_of_client else found.name
    return trail.part(name, found.action, found.target)


def _do(
    index: int,
    given: Resource,
    ingest: Ingest,
    ask: SubRequests,
    base: str,
    wanted: Preferences,
) -> bytes:
    entry = read_entry(index, given, base)
    if entry.change is not None:
        return changed_entry(ingest.change(entry.change), wanted)
    answer = ask.ask(entry.method, entry.url, entry.headers, entry.body)
    failure = answer.failure()
    if failure is not None:
        raise failure
    return answered_entry(answer)


def _relocated(index: int, failure: FhirError) -> FhirError:
    """The failure of one entry's resource, its places told from the Bundle."""
    entry = f"Bundle.entry[{index}]"
    found = (relocated(issue, f"{entry}.resource.") for issue in failure.issues)
    issues = [replace(issue, expression=issue.expression or (entry,)) for issue in found]
    return FhirError(failure.category, issues)
