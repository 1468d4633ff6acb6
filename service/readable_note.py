"""What is read in a note, and what is known of it: the arguments of a reading.

Not every DocumentReference is a note to read: one without text, without a patient of this lake,
withdrawn or malformed yields nothing.
"""

from __future__ import annotations

from typing import Any

from schemas.ids import format_instant, parse_reference
from schemas.notes import note_text
from schemas.outcomes import FhirError
from schemas.validate import validate as structural_issues
from schemas.validation_mark import is_marked
from service.ingest import Ingest
from storage.lake import Lake, Version

Resource = dict[str, Any]
_WITHDRAWN = frozenset({"entered-in-error", "superseded"})


def is_superseded(lake: Lake, note: Version) -> bool:
    """Whether a newer version of the note is stored."""
    try:
        return lake.read("DocumentReference", note.id).version_id != note.version_id
    except FhirError:
        return not note.deleted


def source_of(
    note: Version, ingest: Ingest, *, max_bytes: int
) -> tuple[list[str], Resource] | None:
    """The arguments of `note_reader.read`; None where there is nothing to read.

    `max_bytes`: the longest text, in bytes (setting `max_note_bytes`).
    """
    if note.deleted:
        return None
    resource = note.resource()
    if is_marked(resource) and structural_issues(resource):
        return None  # Stored at the validation level `minimal`: nothing in it is where it was.
    if resource.get("status") in _WITHDRAWN or resource.get("docStatus") == "entered-in-error":
        return None
    texts, patient = _texts(resource, ingest, max_bytes), _patient_of(resource)
    if not texts or patient is None:
        return None
    return texts, {
        "reference": f"DocumentReference/{note.id}",
        "version_id": note.version_id,
        "patient": f"Patient/{patient}",
        "encounter": _encounter_of(resource),
        "date": resource.get("date") or format_instant(note.last_updated),
        "author": None,
    }


def _texts(resource: Resource, ingest: Ingest, max_bytes: int) -> list[str]:
    try:
        notes = note_text(resource, ingest.binary_reader(), max_bytes=max_bytes)
    except FhirError:
        return []
    return [note.text for note in notes if note.text]


def _patient_of(note: Resource) -> str | None:
    """Id of the patient in this lake; another server's patient with that id is somebody else."""
    text = note.get("subject", {}).get("reference")
    if not isinstance(text, str):
        return None
    reference = parse_reference(text)
    here = reference.kind == "relative" and reference.resource_type == "Patient"
    return reference.id if here else None


def _encounter_of(note: Resource) -> str | None:
    for encounter in note.get("context", {}).get("encounter", []):
        text = encounter.get("reference")
        if isinstance(text, str) and parse_reference(text).kind == "relative":
            return text
    return None
