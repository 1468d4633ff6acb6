"""Condition: what the patient has, had, may have, or was said not to have.

https://hl7.org/fhir/R4/condition.html. Of several mentions of one diagnosis those in a deciding
section (assessment, problem list) count before the others; among those that count, present
beats past, past beats doubt, doubt beats denial. NEGATED → refuted without a clinicalStatus;
HISTORICAL → inactive, unless the disease persists by nature (`history of diabetes` is how
clinicians write that somebody has it), then active. What only
a list of past illnesses names, or what was diagnosed long ago, is active too unless it is an event
(`stroke`). What the note says ended (`resolved`, `in remission`) has that clinicalStatus, whatever
its nature.

UNCERTAIN → provisional and active; but what is only to be looked for (`rule out`, `r/o`,
`evaluate for`, `consider`) is unconfirmed, and what stands in a differential diagnosis is
differential, both without a clinicalStatus: a search for active conditions must not find them.
Without a clinicalStatus the category is encounter-diagnosis, since the invariant con-3 asks
problem list items for one.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from nlp.context import DIFFERENTIAL, RULE_OUT, UNENDED
from nlp.derived.note_source import NoteSource, codeable_concept, concept_key, reference, skeleton
from nlp.mention import HISTORICAL, NEGATED, UNCERTAIN, Mention
from nlp.rules import rows
from schemas import codes

DECIDING_SECTIONS = frozenset(("assessment", "assessment_and_plan", "problem_list"))
# Flags of a term: a disease that persists by nature, an event that is over when it has happened.
_PERSISTS, _EVENT = "c", "a"
_DOUBTS = {RULE_OUT: "unconfirmed", DIFFERENTIAL: "differential"}
_ORDER = ("present", "past", "doubted", "denied")


def assertion(mention: Mention) -> str:
    """One of `present`, `past`, `doubted`, `denied`."""
    if NEGATED in mention.traits:
        return "denied"
    if UNCERTAIN in mention.traits:
        return "doubted"
    if HISTORICAL in mention.traits:
        return "past"
    return "present"


def deciding(
    mentions: Sequence[Mention], sections: frozenset[str] = DECIDING_SECTIONS
) -> tuple[str, list[Mention]]:
    """The assertion that holds for the fact, and the mentions that say so."""
    counted = [m for m in mentions if m.section in sections] or list(mentions)
    strongest = min((assertion(m) for m in counted), key=_ORDER.index)
    return strongest, [m for m in mentions if assertion(m) == strongest]


@cache
def _narrower() -> dict[str, list[str]]:
    return {broad: codes.split("|") for broad, codes in rows("broader.tsv", 2)}


def _code(mention: Mention) -> str:
    return mention.concepts[0].code if mention.concepts else ""


def _ending(evidence: Sequence[Mention]) -> str | None:
    """How the note says that the disease ended, the last word on it; UNENDED where none says so."""
    said = [a.value["status"] if (a := m.attribute("STATUS")) else None for m in evidence]
    endings = [status for status in said if status is not None and status != UNENDED]
    if endings:
        return endings[-1]
    return UNENDED if said and all(status == UNENDED for status in said) else None


def _clinical_status(holds: str, flags: frozenset[str], evidence: Sequence[Mention]) -> str:
    """What a disease that is said to be there, or to have been there, is now."""
    if holds != "past":
        return "active"
    ending = _ending(evidence)
    if ending is not None and ending != UNENDED:
        return ending
    lasts = _PERSISTS in flags or (ending == UNENDED and _EVENT not in flags)
    return "active" if lasts else "inactive"


def _doubt(evidence: Sequence[Mention]) -> str:
    """`provisional` when one mention holds the diagnosis for possible, else what all say."""
    said = [m.attribute("STATUS") for m in evidence]
    kinds = {_DOUBTS.get(a.value["status"], "provisional") if a else "provisional" for a in said}
    return next(kind for kind in ("provisional", "differential", "unconfirmed") if kind in kinds)


def _is_there(group: Sequence[Mention]) -> bool:
    holds, evidence = deciding(group)
    return holds in ("present", "past") and (
        _clinical_status(holds, group[0].flags, evidence) == "active"
    )


def join_broader(groups: Sequence[list[Mention]]) -> list[list[Mention]]:
    """The groups, without those that a narrower diagnosis of the same note already covers.

    `diabetes` beside `type 2 diabetes` is the same problem. Only what is stated to be present is
    joined: a denied or doubted diagnosis keeps its own resource.
    """
    present = {_code(group[0]) for group in groups if group[0].concepts and _is_there(group)}
    kept: list[list[Mention]] = []
    joined: dict[str, list[Mention]] = {}
    for group in groups:
        code = _code(group[0])
        narrow = next((n for n in _narrower().get(code, ()) if n in present), None)
        if narrow is None or code not in present:
            kept.append(group)
        else:
            joined.setdefault(narrow, []).extend(group)
    return [[*group, *joined.get(_code(group[0]), [])] for group in kept]


def _status(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def condition(mentions: Sequence[Mention], source: NoteSource) -> dict[str, Any]:
    """One Condition for all mentions of one diagnosis."""
    holds, evidence = deciding(mentions)
    # The evidence may be of the broader diagnosis alone; what it is called stays the narrower one.
    key = concept_key(mentions[0])
    first = next((m for m in evidence if concept_key(m) == key), mentions[0])
    resource = skeleton(source, "Condition", concept_key(first), evidence)
    verification = {"denied": "refuted", "doubted": _doubt(evidence)}.get(holds, "confirmed")
    if verification in ("confirmed", "provisional"):
        clinical = _clinical_status(holds, first.flags, evidence)
        resource["clinicalStatus"] = _status(codes.CONDITION_CLINICAL, clinical)
    resource["verificationStatus"] = _status(codes.CONDITION_VERIFICATION, verification)
    of_encounter = source.encounter or "clinicalStatus" not in resource
    category = "encounter-diagnosis" if of_encounter else "problem-list-item"
    resource["category"] = [_status(codes.CONDITION_CATEGORY, category)]
    resource["code"] = codeable_concept(first.concepts, first.text)
    resource["subject"] = reference(source.patient)
    if source.encounter:
        resource["encounter"] = reference(source.encounter)
    if source.date:
        resource["recordedDate"] = source.date
    resource["evidence"] = [{"detail": [reference(source.reference)]}]
    return resource
