"""AllergyIntolerance: a drug that the patient is said to react to, with the reactions named.

https://hl7.org/fhir/R4/allergyintolerance.html. `unconfirmed`: a note says so, nobody tested it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from nlp.derived.note_source import NoteSource, codeable_concept, concept_key, reference, skeleton
from nlp.mention import MEDICATION, Mention
from schemas import codes


def allergy_intolerance(
    mentions: Sequence[Mention], source: NoteSource, by_span: Mapping[tuple[int, int], Mention]
) -> dict[str, Any]:
    """One AllergyIntolerance for all mentions of one allergen; `by_span` finds the reactions."""
    first = mentions[0]
    resource = skeleton(source, "AllergyIntolerance", concept_key(first), mentions)
    resource["clinicalStatus"] = {"coding": [{"system": codes.ALLERGY_CLINICAL, "code": "active"}]}
    resource["verificationStatus"] = {
        "coding": [{"system": codes.ALLERGY_VERIFICATION, "code": "unconfirmed"}]
    }
    if first.category == MEDICATION:
        resource["category"] = ["medication"]
    resource["code"] = codeable_concept(first.concepts, first.text)
    resource["patient"] = reference(source.patient)
    if source.encounter:
        resource["encounter"] = reference(source.encounter)
    if source.date:
        resource["recordedDate"] = source.date
    manifestations: dict[str, dict[str, Any]] = {}
    for mention in mentions:
        for attribute in mention.attributes:
            if attribute.type == "REACTION":
                known = by_span.get((attribute.begin, attribute.end))
                concepts = known.concepts if known is not None else ()
                manifestations.setdefault(
                    attribute.text.lower(), codeable_concept(concepts, attribute.text)
                )
    if manifestations:
        resource["reaction"] = [{"manifestation": list(manifestations.values())}]
    return resource
