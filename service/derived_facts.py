"""What a note's reading changes in the lake: facts written, replaced, withdrawn.

A person's word wins: a derived resource that somebody changed or deleted since the NLP wrote it is
left as it is, whatever the note says when it is read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from schemas.codes import NLP_DERIVED_TAG
from schemas.ids import format_instant
from schemas.outcomes import FhirError
from schemas.parse import canonical_bytes
from storage.lake import Delete, Lake, Put, Version

Resource = dict[str, Any]

DERIVED_TYPES = (
    "AllergyIntolerance",
    "Condition",
    "FamilyMemberHistory",
    "MedicationStatement",
    "Observation",
    "Procedure",
    "Provenance",
)


def derived_from(lake: Lake, note_id: str) -> Iterator[Version]:
    """The current resources that were read in a note, its Provenance last."""
    for resource_type in DERIVED_TYPES:
        params = [
            ("_source", f"DocumentReference/{note_id}"),
            ("_tag", f"{NLP_DERIVED_TAG['system']}|{NLP_DERIVED_TAG['code']}"),
            ("_count", "1000"),
        ]
        cursor: str | None = ""
        while cursor is not None:
            extra = [("_cursor", cursor)] if cursor else []
            page = lake.search(resource_type, [*params, *extra], strict=True)
            yield from page.versions
            cursor = page.next


def replacement(lake: Lake, note_id: str, resources: list[Resource]) -> list[Put | Delete]:
    """Writes that turn what was derived before into `resources`; none where nothing changed."""
    before = {
        (version.resource_type, version.id): version for version in derived_from(lake, note_id)
    }
    ours = _commits_of_the_nlp(lake, {*before, *_identities(resources)})
    operations: list[Put | Delete] = []
    for resource in resources:
        old = before.pop((resource["resourceType"], resource["id"]), None)
        if old is None:
            old = _last_version(lake, resource)
        if old is not None and old.t not in ours:
            continue
        if old is None or old.deleted or _content(old.resource()) != _content(resource):
            operations.append(Put(resource))
    operations.extend(
        Delete(version.resource_type, version.id)
        for version in before.values()
        if version.t in ours
    )
    return operations


def withdrawal(lake: Lake, note_id: str) -> list[Put | Delete]:
    """Writes that hide everything derived from a note; its history stays."""
    return replacement(lake, note_id, [])


def note_is_there(lake: Lake, note: Version) -> bool:
    """Whether this version of a note is still stored: it may have been erased."""
    try:
        return lake.vread("DocumentReference", note.id, note.version_id).t == note.t
    except FhirError:
        return False


FAILURE_PREFIX = "nlp-failure-"


def failure_id(note: Version) -> str:
    """Logical id of the failure record of one version of a note."""
    digest = hashlib.sha256(f"{note.id}/{note.version_id}".encode()).hexdigest()
    return FAILURE_PREFIX + digest[:32]


def failure_of(lake: Lake, note: Version) -> Version | None:
    """The record that this version of a note could not be read; None where there is none."""
    try:
        return lake.read("AuditEvent", failure_id(note))
    except FhirError:
        return None


def failure_event(note: Version, reason: str) -> Resource:
    """The durable record of a note that could not be read (R4 auditevent.html)."""
    return {
        "resourceType": "AuditEvent",
        "id": failure_id(note),
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


def _identities(resources: list[Resource]) -> set[tuple[str, str]]:
    return {(resource["resourceType"], resource["id"]) for resource in resources}


def _commits_of_the_nlp(lake: Lake, identities: set[tuple[str, str]]) -> set[int]:
    """The commits in which the NLP wrote about the note: those that have its Provenance."""
    commits: set[int] = set()
    for resource_type, id in identities:
        if resource_type == "Provenance":
            try:
                commits.update(version.t for version in lake.history(resource_type, id).versions)
            except FhirError:
                continue  # The first reading: nothing was written yet.
    return commits


def _last_version(lake: Lake, resource: Resource) -> Version | None:
    try:
        versions = lake.history(resource["resourceType"], resource["id"], count=1).versions
    except FhirError:
        return None
    return versions[0] if versions else None


def _content(resource: Resource) -> bytes:
    """The resource without what the lake stamps, for comparison."""
    meta = {
        key: value
        for key, value in resource.get("meta", {}).items()
        if key not in ("versionId", "lastUpdated")
    }
    return canonical_bytes({**resource, "meta": meta})
