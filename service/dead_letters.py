"""Notes that could not be read: each has a record in the lake, with the reason.

The record is an AuditEvent (`derived_facts.failure_event`). It stands until the note is read, by a
retry or in a newer version; those of older versions stay as history and are not listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.outcomes import FhirError, error
from service.derived_facts import FAILURE_PREFIX, failure_id
from storage.lake import Lake, Version

_QUESTION = (("type", "transform"), ("outcome", "8"), ("_count", "500"))


def dead_letters(lake: Lake) -> Iterator[tuple[Version, dict[str, Any]]]:
    """The notes whose current version could not be read, each with its record."""
    cursor: str | None = ""
    while cursor is not None:
        extra = [("_cursor", cursor)] if cursor else []
        page = lake.search("AuditEvent", [*_QUESTION, *extra], strict=True)
        for version in page.versions:
            if version.id.startswith(FAILURE_PREFIX):
                event = version.resource()
                note = _note_of(lake, event)
                if note is not None and failure_id(note) == version.id:
                    yield note, event
        cursor = page.next


def described(note: Version, event: dict[str, Any]) -> dict[str, Any]:
    """One entry of the list of dead letters, as JSON: ids, time and reason, no text."""
    return {
        "note": f"DocumentReference/{note.id}",
        "version": str(note.version_id),
        "failed": event["recorded"],
        "reason": event["outcomeDesc"].rpartition(": ")[2],
        "event": f"AuditEvent/{event['id']}",
    }


def listed(lake: Lake) -> list[dict[str, Any]]:
    """All dead letters, described."""
    return [described(note, event) for note, event in dead_letters(lake)]


def chosen(lake: Lake, ids: list[str]) -> list[Version]:
    """The dead letters of these ids, all where there is none.

    Raises `not-found` for an id that is not among them.
    """
    letters = {note.id: note for note, _ in dead_letters(lake)}
    if not ids:
        return list(letters.values())
    wanted = [id.removeprefix("DocumentReference/") for id in ids]
    unknown = [id for id in wanted if id not in letters]
    if unknown:
        raise error(
            "not-found",
            f"DocumentReference/{unknown[0][:64]} is not among the notes that could not be read; "
            "`chartlake nlp failures` lists them.",
        )
    return [letters[id] for id in wanted]


def _note_of(lake: Lake, event: dict[str, Any]) -> Version | None:
    reference = event["entity"][0]["what"]["reference"]
    try:
        return lake.read("DocumentReference", reference.partition("/")[2])
    except FhirError:
        return None  # Deleted or erased since.
