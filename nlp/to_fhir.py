"""From mentions to FHIR R4 resources: one resource a fact, its mentions as evidence.

| mention | resource |
|---|---|
| drug | MedicationStatement, or AllergyIntolerance where an allergy is meant |
| `latex allergy`, `peanut allergy` | AllergyIntolerance |
| `NKDA`, `no known allergies` | AllergyIntolerance with that code, unless an allergy is named |
| diagnosis | Condition; of a relative FamilyMemberHistory |
| sign, symptom | Observation, present or absent; of a relative FamilyMemberHistory |
| test with a value | Observation |
| procedure; imaging or functional test without a value | Procedure |
| of somebody who is no relative; hypothetical; body site; laboratory test without a value | none |

Every resource is checked with `schemas.validate` and, in a note of any usual length, with the
models of `fhir.resources`, before it is given out.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from nlp.derived.allergy_intolerance import allergy_intolerance
from nlp.derived.condition import condition, join_broader
from nlp.derived.family_member_history import family_member_history, relative
from nlp.derived.medication_statement import medication_statement
from nlp.derived.note_source import NoteSource, concept_key
from nlp.derived.observation import measurement, results, symptom, value_key
from nlp.derived.procedure import procedure
from nlp.derived.provenance import provenance
from nlp.medication_status import ALLERGY
from nlp.mention import (
    CONDITION,
    FAMILY,
    HISTORICAL,
    HYPOTHETICAL,
    MEDICATION,
    NEGATED,
    NO_KNOWN_ALLERGY,
    OTHER_PERSON,
    PROCEDURE,
    SYMPTOM,
    TEST,
    UNCERTAIN,
    Mention,
)
from schemas.validate import validate

__all__ = ["DerivationError", "NoteSource", "to_resources"]

_NOT_THE_PATIENTS = frozenset((NEGATED, FAMILY, HYPOTHETICAL, UNCERTAIN))
# `Seasonal allergies` are a disease of the nose.
_NO_SUBSTANCE = frozenset(("seasonal", "environmental", "perennial", "nasal", "respiratory"))
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
# How much of one note the models of `fhir.resources` check, beside our own check of everything.
_MODELLED_RESOURCES, _MODELLED_MENTIONS = 200, 8
_PROCEDURE_LIKE = frozenset(("IMAGING", "FUNCTION"))


def _is_allergy(mention: Mention) -> bool:
    status = mention.attribute("STATUS")
    return status is not None and status.value == {"status": ALLERGY}


def _names_allergy(mention: Mention) -> bool:
    """Whether a diagnosis is an allergy to a substance: `latex allergy`, `peanut allergies`."""
    words = mention.text.lower().split()
    return (
        mention.category == CONDITION
        and len(words) > 1
        and words[-1] in ("allergy", "allergies")
        and not _NO_SUBSTANCE.intersection(words)
    )


def _kind(mention: Mention) -> str | None:
    """Which resource the mention is evidence for; None when for none."""
    traits = set(mention.traits)
    if OTHER_PERSON in traits:
        return None
    if mention.type == NO_KNOWN_ALLERGY:
        return None if traits & {FAMILY, HYPOTHETICAL, UNCERTAIN, HISTORICAL} else "NoAllergy"
    if mention.category == MEDICATION:
        if not _is_allergy(mention):
            return "MedicationStatement"
        return None if traits & {NEGATED, FAMILY, HYPOTHETICAL} else "AllergyIntolerance"
    if _names_allergy(mention):
        return None if traits & _NOT_THE_PATIENTS else "AllergyIntolerance"
    if mention.category in (CONDITION, SYMPTOM):
        if HYPOTHETICAL in traits or mention.attribute("REACTION_OF") is not None:
            return None
        if FAMILY in traits:
            return None if traits & {NEGATED, UNCERTAIN} else "FamilyMemberHistory"
        if mention.section == "allergies":
            return None
        return "Condition" if mention.category == CONDITION else "Symptom"
    if mention.category == PROCEDURE:
        return "Procedure"
    if mention.category == TEST:
        if mention.attribute("TEST_VALUE") is not None:
            return None if traits & {NEGATED, HYPOTHETICAL} else "Measurement"
        return "Procedure" if mention.type in _PROCEDURE_LIKE else None
    return None


def _writable(mention: Mention) -> Mention:
    """The mention with a blank for each character that no FHIR string may hold."""
    quoted = (mention.text, *(attribute.text for attribute in mention.attributes))
    if not any(_UNWRITABLE.search(text) for text in quoted):
        return mention
    return replace(
        mention,
        text=_UNWRITABLE.sub(" ", mention.text),
        attributes=tuple(
            replace(attribute, text=_UNWRITABLE.sub(" ", attribute.text))
            for attribute in mention.attributes
        ),
    )


def _group(mentions: Iterable[Mention], key: Callable[[Mention], str]) -> list[list[Mention]]:
    groups: dict[str, list[Mention]] = {}
    for mention in mentions:
        groups.setdefault(key(mention), []).append(mention)
    return list(groups.values())


@cache
def _model(resource_type: str) -> Any:
    return get_fhir_model_class(resource_type)


class DerivationError(Exception):
    """A derived resource would not be valid FHIR. The message names elements, never note text."""


def _checked(resource: dict[str, Any], number: int) -> dict[str, Any]:
    """`resource`, the `number`th of its note, when it is valid FHIR; else raises DerivationError.

    `schemas` looks at all of it. The models of `fhir.resources` take 0.3 ms a mention: they see the
    first of the evidence, which is all built by one function, and the first resources of a book.
    """
    resource_type = resource["resourceType"]
    issues = validate(resource)
    if issues:
        places = ", ".join(
            f"{(issue.expression or ('?',))[0].removeprefix(resource_type + '.')} ({issue.code})"
            for issue in issues
        )
        raise _invalid(resource_type, places)
    if number >= _MODELLED_RESOURCES:
        return resource
    seen = resource
    if len(resource.get("extension", ())) > _MODELLED_MENTIONS:
        seen = {**resource, "extension": resource["extension"][:_MODELLED_MENTIONS]}
    try:
        _model(resource_type).model_validate(seen)
    except ValidationError as error:
        # The error's own words quote the values, which are the patient's: keep only the places.
        places = ", ".join(
            f"{'.'.join(map(str, problem['loc']))} ({problem['type']})"
            for problem in error.errors(
                include_url=False, include_context=False, include_input=False
            )
        )
        raise _invalid(resource_type, places) from None
    return resource


def _invalid(resource_type: str, places: str) -> DerivationError:
    return DerivationError(
        f"derived {resource_type} is not valid at {places}; report it with the pipeline version"
    )


def to_resources(
    mentions: Sequence[Mention], source: NoteSource, *, recorded: datetime | None = None
) -> list[dict[str, Any]]:
    """The resources that the mentions of one note amount to, their Provenance last; [] for none.

    Deterministic: ids depend on the note and the fact alone, so that a re-run replaces. `recorded`
    is the Provenance's time, the note's date when not given. Numbers are `Decimal`. Raises
    DerivationError for a resource that would not be valid (a bad reference or date in `source`).
    """
    mentions = [_writable(mention) for mention in mentions]
    by_kind: dict[str, list[Mention]] = {}
    for mention in mentions:
        kind = _kind(mention)
        if kind is not None:
            by_kind.setdefault(kind, []).append(mention)
    by_span = {(m.begin, m.end): m for m in mentions}
    found: list[dict[str, Any] | None] = []
    for group in join_broader(_group(by_kind.get("Condition", ()), concept_key)):
        found.append(condition(group, source))
    for group in _group(by_kind.get("MedicationStatement", ()), concept_key):
        found.append(medication_statement(group, source))
    for group in _group(by_kind.get("AllergyIntolerance", ()), concept_key):
        found.append(allergy_intolerance(group, source, by_span))
    if "AllergyIntolerance" not in by_kind:
        # Beside an allergy the note contradicts `no known allergies`, or meant others.
        for group in _group(by_kind.get("NoAllergy", ()), concept_key):
            found.append(allergy_intolerance(group, source, by_span))
    for group in _group(by_kind.get("Symptom", ()), concept_key):
        found.append(symptom(group, source))
    measured = (one for mention in by_kind.get("Measurement", ()) for one in results(mention))
    for group in _group(measured, value_key):
        found.append(measurement(group, source))
    for group in _group(by_kind.get("Procedure", ()), concept_key):
        found.append(procedure(group, source))
    for group in _group(by_kind.get("FamilyMemberHistory", ()), lambda m: relative(m)["code"]):
        found.append(family_member_history(group, source))
    stated = (resource for resource in found if resource is not None)
    resources = [_checked(resource, number) for number, resource in enumerate(stated)]
    if resources:
        resources.append(_checked(provenance(resources, source, recorded), 0))
    return resources
