"""FHIR transaction: a Bundle stored whole or not at all.

R4 http.html#transaction. Entries are processed DELETE, POST, PUT, GET, whatever their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.ids import new_id
from schemas.outcomes import FhirError, Issue, error, operation_outcome
from schemas.validate import MAX_ISSUES
from service.bundle_entries import (
    METHODS,
    Entry,
    Outcome,
    answer_get,
    check_envelope,
    failed_entry,
    located,
    read_entry,
    response_entry,
)
from service.bundle_references import ConditionalReferences, rewrite
from service.ingest import Ingest, find_one
from storage.lake import Delete, Put

Resource = dict[str, Any]


def transact(
    bundle: Resource,
    ingest: Ingest,
    base: str = "",
    *,
    keep_administrative: bool,
    representation: bool = False,
) -> dict[str, Any]:
    """Store a transaction Bundle and return the response Bundle.

    `base`: the FHIR base URL for links. `keep_administrative`: policy for conditional references,
    see `bundle_references`. `representation`: put the stored resources into the response.

    Raises `FhirError` naming the entry that prevented it; then nothing at all is stored.
    """
    entries = [read_entry(index, entry) for index, entry in enumerate(check_envelope(bundle))]
    with ingest.conditional:
        outcomes = _store(entries, ingest, keep_administrative)
    answers = {index: response_entry(o, representation) for index, o in outcomes.items()}
    for entry in entries:
        if entry.method == "GET":
            try:
                outcome = answer_get(entry, ingest.lake, base)
                answers[entry.index] = response_entry(outcome, representation)
            except FhirError as failure:  # What was there a moment ago, when it was checked.
                answers[entry.index] = failed_entry(failure)
    response: dict[str, Any] = {"resourceType": "Bundle", "type": "transaction-response"}
    if entries:
        response["entry"] = [answers[entry.index] for entry in entries]
    return response


def _check_get(
    entry: Entry,
    ingest: Ingest,
    pending: Mapping[tuple[str, str], Resource],
    gone: set[tuple[str, str]],
) -> None:
    """Refuse, before anything is stored, a GET that will not be answered afterwards."""
    key = (entry.resource_type, entry.id)
    if key in gone:
        raise error("not-found", "This transaction deletes it.", f"{entry.place}.request.url")
    if key not in pending:
        answer_get(entry, ingest.lake, "")


def _store(entries: list[Entry], ingest: Ingest, keep_administrative: bool) -> dict[int, Outcome]:
    outcomes: dict[int, Outcome] = {}
    ids: dict[int, str] = {}
    targets: dict[str, str] = {}
    seen_urls: dict[str, int] = {}
    conditions: dict[tuple[str, str], int] = {}
    twins: dict[int, int] = {}  # Entries that ask for the same conditional create as another.
    for entry in entries:
        if entry.method not in ("POST", "PUT"):
            continue
        ids[entry.index] = entry.id or new_id()
        condition = (entry.resource_type, entry.if_none_exist)
        if entry.if_none_exist and condition in conditions:
            twins[entry.index] = conditions[condition]
            ids[entry.index] = ids[conditions[condition]]
        elif entry.if_none_exist:
            conditions[condition] = entry.index
            place = f"{entry.place}.request.ifNoneExist"
            try:
                match = find_one(ingest.lake, entry.resource_type, entry.if_none_exist, place)
            except FhirError as failure:
                raise located(failure, place) from None
            if match is not None:
                outcomes[entry.index] = Outcome(match, "200 OK")
                ids[entry.index] = match.id
        if entry.full_url is not None:
            if entry.full_url in seen_urls:
                raise error(
                    "invalid",
                    f"Entries {seen_urls[entry.full_url]} and {entry.index} share a fullUrl.",
                    f"{entry.place}.fullUrl",
                )
            seen_urls[entry.full_url] = entry.index
            targets[entry.full_url] = f"{entry.resource_type}/{ids[entry.index]}"
    new = [e for e in entries if e.index in ids and e.index not in (outcomes | twins)]
    for entry in new:
        rewrite(entry.resource, targets)
    stored = {e.index: {**(e.resource or {}), "id": ids[e.index]} for e in new}
    pending = {(e.resource_type, ids[e.index]): stored[e.index] for e in new}
    references = ConditionalReferences(
        ingest.lake, pending, keep_administrative=keep_administrative
    )
    notices = _check(new, stored, ingest)
    for entry in new:
        resource = stored[entry.index]
        references.resolve(resource, f"{entry.place}.resource")
        ingest.check_note(resource, pending, f"{entry.place}.resource.")
    gone = {(e.resource_type, e.id) for e in entries if e.method == "DELETE"}
    for entry in entries:
        if entry.method == "GET":
            _check_get(entry, ingest, pending, gone)
    _commit(entries, stored, ingest, outcomes, [*notices, *references.notices])
    for index, first in twins.items():
        outcomes[index] = Outcome(outcomes[first].version, "200 OK")
    return outcomes


def _check(new: list[Entry], stored: dict[int, Resource], ingest: Ingest) -> list[Issue]:
    """Validate what is about to be stored; the issues of all entries are in one refusal."""
    notices: list[Issue] = []
    failures: list[Issue] = []
    for entry in new:
        try:
            prefix = f"{entry.place}.resource."
            notices += ingest.check(stored[entry.index], entry.resource_type, prefix)
        except FhirError as failure:
            failures += failure.issues
            if len(failures) >= MAX_ISSUES:
                break
    if failures:
        raise FhirError("unprocessable", failures)
    return notices


def _commit(
    entries: list[Entry],
    stored: dict[int, Resource],
    ingest: Ingest,
    outcomes: dict[int, Outcome],
    notices: list[Issue],
) -> None:
    operations: list[Put | Delete] = []
    order: list[Entry] = []
    for entry in sorted(entries, key=lambda e: METHODS.index(e.method)):
        if entry.index in stored:
            operations.append(
                Put(
                    stored[entry.index],
                    method=entry.method,
                    if_match=entry.if_match,
                    must_not_exist=entry.method == "POST",
                )
            )
            order.append(entry)
        elif entry.method == "DELETE":
            if _exists(ingest, entry):
                operations.append(Delete(entry.resource_type, entry.id, entry.if_match))
                order.append(entry)
            elif entry.if_match is not None:
                place = f"{entry.place}.request.ifMatch"
                raise error("precondition", "It does not exist.", place)
            else:
                outcomes[entry.index] = Outcome(None, "204 No Content")
    if not operations:
        return
    try:
        commit = ingest.commit(operations)
    except FhirError as failure:
        raise _placed(failure, order, stored) from None
    by_entry = _notices_by_entry(notices)
    for entry, version in zip(order, commit.versions, strict=True):
        if version.deleted:
            outcomes[entry.index] = Outcome(version, "204 No Content")
        else:
            status = "201 Created" if version.version_id == 1 else "200 OK"
            notes = by_entry.get(entry.index)
            outcome = operation_outcome(notes) if notes else None
            outcomes[entry.index] = Outcome(version, status, outcome=outcome)


def _placed(failure: FhirError, order: list[Entry], stored: dict[int, Resource]) -> FhirError:
    """The lake's refusal, placed at the entry whose resource it names."""
    for entry in order:
        id = entry.id or stored[entry.index]["id"]
        if f"{entry.resource_type}/{id}" in str(failure):
            return located(failure, entry.place)
    return failure


def _exists(ingest: Ingest, entry: Entry) -> bool:
    try:
        ingest.lake.read(entry.resource_type, entry.id)
    except FhirError:
        return False
    return True


def _notices_by_entry(notices: list[Issue]) -> dict[int, list[Issue]]:
    grouped: dict[int, list[Issue]] = {}
    for issue in notices:
        index = int(issue.expression[0].partition("[")[2].partition("]")[0])
        grouped.setdefault(index, []).append(issue)
    return grouped
