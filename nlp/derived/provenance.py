"""Provenance: which resources were read in which version of which note, by which pipeline.

https://hl7.org/fhir/R4/provenance.html
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from nlp.derived.note_source import NoteSource, reference, resource_id
from nlp.pipeline import PIPELINE_VERSION
from schemas import codes
from schemas.ids import format_instant


def recorded_instant(source: NoteSource, recorded: datetime | None) -> str:
    """`recorded`, else the note's date; the present time only where the note has none."""
    if recorded is not None:
        return format_instant(recorded)
    if source.date is not None:
        date = source.date
        if "T" in date:
            parsed = datetime.fromisoformat(date)
        else:
            parsed = datetime.fromisoformat((date + "-01-01")[:10] if len(date) < 10 else date)
        return format_instant(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
    return format_instant(datetime.now(UTC))


def provenance(
    resources: Sequence[dict[str, Any]], source: NoteSource, recorded: datetime | None
) -> dict[str, Any]:
    """One Provenance for all that one run read in one note."""
    return {
        "resourceType": "Provenance",
        "id": resource_id(source, "Provenance", "nlp"),
        "meta": {"source": source.reference, "tag": [dict(codes.NLP_DERIVED_TAG)]},
        "target": [reference(f"{r['resourceType']}/{r['id']}") for r in resources],
        "recorded": recorded_instant(source, recorded),
        "agent": [
            {
                "type": {"coding": [{"system": codes.PROVENANCE_PARTICIPANT, "code": "assembler"}]},
                "who": {"type": "Device", "display": PIPELINE_VERSION},
            }
        ],
        "entity": [{"role": "source", "what": reference(source.versioned)}],
    }
