"""MedicationStatement: what the note says the patient takes, took, or does not take.

https://hl7.org/fhir/R4/medicationstatement.html. When mentions of one drug disagree, the list of
discharge medications decides; else the last explicit word (`was stopped`); else the last section
that lists it; else the status is unknown. A drug that is only planned is `intended`; under any
other condition it is no statement about the patient and gives no resource.
"""

from collections.abc import Sequence
from typing import Any

from nlp.context import INTENDED
from nlp.derived.dosage_instruction import dosages
from nlp.derived.note_source import NoteSource, codeable_concept, concept_key, reference, skeleton
from nlp.medication_status import ALLERGY, NOT_TAKEN
from nlp.mention import FAMILY, HISTORICAL, HYPOTHETICAL, NEGATED, Concept, Mention

# What a report of an operation names was given then.
_DURING = frozenset(("procedure", "anesthesia"))
_ENDED = frozenset(("stopped", "completed", "on-hold", "not-taken"))
_UNSAID, _LISTED, _SAID, _DISCHARGE = range(4)


def status_of(mention: Mention) -> tuple[int, str] | None:
    """How strongly the mention says what; None when it says nothing of the patient's taking it."""
    if FAMILY in mention.traits:
        return None
    attribute = mention.attribute("STATUS")
    status = attribute.value["status"] if attribute is not None else None
    if status == ALLERGY:
        return None
    if HYPOTHETICAL in mention.traits and status != INTENDED:
        return None
    if NEGATED in mention.traits:
        return _SAID, NOT_TAKEN
    if status is not None and attribute is not None and attribute.text:
        return _SAID, status
    if mention.section == "discharge_medications":
        return _DISCHARGE, "active"
    if status is not None:
        return _LISTED, status
    if HISTORICAL in mention.traits:
        return _SAID, "completed"
    if mention.section in _DURING:
        return _UNSAID, "completed"
    regular = mention.attribute("FREQUENCY") is not None
    return (_UNSAID, "active") if regular else (_UNSAID, "unknown")


def medication_statement(mentions: Sequence[Mention], source: NoteSource) -> dict[str, Any] | None:
    """One MedicationStatement for all mentions of one drug; None when they say nothing of it."""
    said = [(mention, found) for mention in mentions if (found := status_of(mention)) is not None]
    if not said:
        return None
    _, (_, status) = max(said, key=lambda item: (item[1][0], item[0].begin))
    evidence = [mention for mention, (_, theirs) in said if theirs == status]
    named = evidence[0]
    resource = skeleton(source, "MedicationStatement", concept_key(named), evidence)
    resource["status"] = status
    resource["medicationCodeableConcept"] = codeable_concept(agreed_concepts(evidence), named.text)
    resource["subject"] = reference(source.patient)
    if source.encounter:
        resource["context"] = reference(source.encounter)
    period = _period(evidence, status)
    if period:
        resource["effectivePeriod"] = period
    if source.date:
        resource["dateAsserted"] = source.date
    if source.author:
        resource["informationSource"] = reference(source.author)
    resource["derivedFrom"] = [reference(source.reference)]
    reasons = dict.fromkeys(words for mention in evidence for words in _reasons(mention))
    if reasons:
        resource["reasonCode"] = [{"text": words} for words in reasons]
    change = evidence[-1].attribute("CHANGE")
    if change is not None:
        resource["note"] = [{"text": f"Dose {change.value['change']}"}]
    dosage = _dosage(evidence) if status != NOT_TAKEN else []
    if dosage:
        resource["dosage"] = dosage
    return resource


def agreed_concepts(evidence: Sequence[Mention]) -> tuple[Concept, ...]:
    """The ingredient, and the clinical drug if no two mentions name different ones.

    `from 10 mg tablets to 20 mg tablets` names two: neither is the drug that is taken all along.
    """
    first = evidence[0].concepts[:1]
    products = {c.code: c for mention in evidence for c in mention.concepts[1:]}
    return (*first, *products.values()) if len(products) == 1 else first


def _reasons(mention: Mention) -> list[str]:
    return [a.value["text"] for a in mention.attributes if a.type == "INDICATION"]


def _period(evidence: Sequence[Mention], status: str) -> dict[str, str]:
    """From when to when the note says it was taken; an end only where it is no longer taken."""
    period: dict[str, str] = {}
    for type, name in (("START_DATE", "start"), ("STOP_DATE", "end")):
        dates = [a.value["date"] for m in evidence for a in m.attributes if a.type == type]
        if dates and (name == "start" or status in _ENDED):
            period[name] = dates[-1]
    # Dates of other precision compare by what both have; an end before its start is not believed.
    if len(period) == 2:
        both = min(map(len, period.values()))
        if period["start"][:both] > period["end"][:both]:
            return {}
    return period


def _dosage(evidence: Sequence[Mention]) -> list[dict[str, Any]]:
    """The dosage of the mention that says most; of equals, the last."""
    best: list[dict[str, Any]] = []
    for mention in evidence:
        found = dosages(mention)
        if found and sum(len(d) for d in found) >= sum(len(d) for d in best):
            best = found
    return best
