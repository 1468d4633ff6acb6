"""Procedure: operations, therapies, and imaging that was done.

https://hl7.org/fhir/R4/procedure.html. NEGATED → not-done; planned, or under a plan → preparation;
mentioned in an assessment without saying → unknown; else completed. `performed` is not given: the
note's date is not the operation's.
"""

from collections.abc import Sequence
from typing import Any

from nlp.context import DONE
from nlp.derived.note_source import NoteSource, codeable_concept, concept_key, reference, skeleton
from nlp.mention import FAMILY, HISTORICAL, HYPOTHETICAL, NEGATED, UNCERTAIN, Mention

_ORDER = ("completed", "preparation", "unknown", "not-done")
_PLAN = frozenset(("plan", "instructions"))
_UNSAID = frozenset(("assessment_and_plan", "indication", "differential_diagnosis"))
_IGNORED = frozenset((FAMILY, HYPOTHETICAL, UNCERTAIN))


def _status(mention: Mention) -> str | None:
    if _IGNORED & set(mention.traits):
        return None
    if NEGATED in mention.traits:
        return "not-done"
    stated = mention.attribute("STATUS")
    if stated is not None:
        return "completed" if stated.value == {"status": DONE} else "preparation"
    if HISTORICAL in mention.traits:
        return "completed"
    if mention.section in _PLAN:
        return "preparation"
    return "unknown" if mention.section in _UNSAID else "completed"


def procedure(mentions: Sequence[Mention], source: NoteSource) -> dict[str, Any] | None:
    """One Procedure for all mentions of one procedure; None when they say nothing of it."""
    by_status: dict[str, list[Mention]] = {}
    for mention in mentions:
        status = _status(mention)
        if status is not None:
            by_status.setdefault(status, []).append(mention)
    if not by_status:
        return None
    status = min(by_status, key=_ORDER.index)
    evidence = by_status[status]
    first = evidence[0]
    resource = skeleton(source, "Procedure", concept_key(first), evidence)
    resource["status"] = status
    resource["code"] = codeable_concept(first.concepts, first.text)
    resource["subject"] = reference(source.patient)
    if source.encounter:
        resource["encounter"] = reference(source.encounter)
    return resource
