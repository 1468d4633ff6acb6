"""FHIR transaction: a Bundle stored whole or not at all.

R4 http.html#transaction. Entries are processed DELETE, POST, PUT and PATCH, GET and HEAD, whatever
their order.
"""

from __future__ import annotations

from typing import Any

from schemas.outcomes import FhirError, error
from service.bundle_entries import (
    READS,
    Entry,
    answered_entry,
    changed_entry,
    check_envelope,
    failed_entry,
    read_entry,
)
from service.changes.asked import located
from service.changes.attempt import Attempt
from service.changes.store import store
from service.ingest import Ingest
from service.prefer import NONE, Preferences
from service.responses import bundle_bytes
from service.sub_requests import SubRequests
from storage.elsewhere import NotHere

Resource = dict[str, Any]


def transact(
    bundle: Resource,
    ingest: Ingest,
    ask: SubRequests | None = None,
    base: str = "",
    wanted: Preferences = NONE,
) -> bytes:
    """Store a transaction Bundle and return the response Bundle.

    `ask` answers the reads in it; without, they are refused. `base`: the FHIR base URL. Raises
    `FhirError` naming the entry that prevented it; then nothing at all is stored.
    """
    given = check_envelope(bundle, ingest.policy.max_bundle_entries)
    entries = [read_entry(index, entry, base) for index, entry in enumerate(given)]
    changes = [entry.change for entry in entries if entry.change is not None]
    reads = [entry for entry in entries if entry.change is None]
    if reads and not ingest.lake.stores_itself:
        raise NotHere  # What they ask for may be answered there only.
    for entry in reads:
        if entry.method not in READS:
            raise error(
                "not-supported",
                "A transaction has no operations; call it by itself or in a batch.",
                f"{entry.place}.request.url",
            )
        if ask is None:
            raise error(
                "not-supported", "Nothing is read in an import.", f"{entry.place}.request.method"
            )

    def check_reads(attempt: Attempt) -> None:
        for entry in reads:
            _check_read(entry, attempt, ask)

    done = iter(store(ingest, changes, bundle=True, before=check_reads if reads else None))
    answers = []
    for entry in entries:
        if entry.change is not None:
            answers.append(changed_entry(next(done), wanted))
            continue
        try:
            answers.append(answered_entry(_answer(entry, ask)))
        except FhirError as failure:  # What was there a moment ago, when it was checked.
            answers.append(failed_entry(failure))
    return bundle_bytes("transaction-response", answers)


def _answer(entry: Entry, ask: SubRequests | None) -> Any:
    assert ask is not None
    answer = ask.ask(entry.method, entry.url, entry.headers)
    failure = answer.failure()
    if failure is not None:
        raise located(failure, f"{entry.place}.request.url")
    return answer


def _check_read(entry: Entry, attempt: Attempt, ask: SubRequests | None) -> None:
    """Refuse, before anything is stored, a read that will not be answered afterwards."""
    named = entry.url.partition("?")[0].strip("/")
    for step in attempt.steps:
        if any(f"{one.resource_type}/{one.id}" == named for one in step.deletes):
            raise error("not-found", "This transaction deletes it.", f"{entry.place}.request.url")
        if step.resource is not None and f"{step.change.resource_type}/{step.id}" == named:
            return
    _answer(entry, ask)
