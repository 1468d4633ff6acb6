"""Where mentions came from, and what every resource derived from them carries."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nlp.language import clinical_norm
from nlp.mention import Concept, Mention
from schemas import codes

_WORD = re.compile(r"[^\W_]+")
# FHIR's valueString bound is 1 MB; a quotation of this length is already the whole sentence.
_MAX_QUOTE_CHARS = 1000


@dataclass(frozen=True, slots=True)
class NoteSource:
    """The note: `reference` is `DocumentReference/id`, `patient` `Patient/id`, `date` a FHIR date
    or dateTime of the note (None when it has none), `encounter` and `author` references or None.
    """

    reference: str
    version_id: str | None
    patient: str
    encounter: str | None = None
    date: str | None = None
    author: str | None = None

    @property
    def versioned(self) -> str:
        """The reference with its version, when there is one."""
        if self.version_id is None:
            return self.reference
        return f"{self.reference}/_history/{self.version_id}"


def concept_key(mention: Mention) -> str:
    """What makes two mentions one fact: their first code, else their normalised words."""
    if mention.concepts:
        first = mention.concepts[0]
        return f"{first.system}|{first.code}"
    return " ".join(clinical_norm(word) for word in _WORD.findall(mention.text.lower()))


def resource_id(source: NoteSource, resource_type: str, key: str) -> str:
    """A deterministic id: same note, type and fact, same id, whatever the pipeline's version.

    So a newer pipeline's finding replaces the older one's instead of standing beside it.
    """
    content = "\x1f".join((source.reference, resource_type, key))
    return "nlp-" + hashlib.sha256(content.encode("utf-8")).hexdigest()[:48]


def codeable_concept(concepts: Sequence[Concept], text: str) -> dict[str, Any]:
    """A CodeableConcept with the codes, if any, and the words of the note."""
    concept: dict[str, Any] = {}
    if concepts:
        concept["coding"] = [_coding(c) for c in concepts]
    concept["text"] = " ".join(text.split())
    return concept


def _coding(concept: Concept) -> dict[str, Any]:
    coding = {"system": concept.system, "code": concept.code, "display": concept.display}
    if concept.version:
        coding["version"] = concept.version
    return coding


def mention_extension(mention: Mention, source: NoteSource) -> dict[str, Any]:
    """The NLP_MENTION extension: where it was read, what exactly, and how sure."""
    parts: list[dict[str, Any]] = [
        {"url": "begin", "valueInteger": mention.begin},
        {"url": "end", "valueInteger": mention.end},
        {"url": "text", "valueString": mention.text[:_MAX_QUOTE_CHARS]},
        {"url": "score", "valueDecimal": Decimal(str(mention.score))},
    ]
    if mention.concepts:
        score = min(concept.score for concept in mention.concepts)
        parts.append({"url": "conceptScore", "valueDecimal": Decimal(str(score))})
    parts.append({"url": "category", "valueCode": mention.category})
    parts.extend({"url": "trait", "valueCode": trait} for trait in mention.traits)
    if mention.section:
        parts.append({"url": "section", "valueString": mention.section})
    parts.append({"url": "source", "valueReference": {"reference": source.versioned}})
    return {"url": codes.NLP_MENTION, "extension": parts}


def skeleton(
    source: NoteSource, resource_type: str, key: str, mentions: Sequence[Mention]
) -> dict[str, Any]:
    """Type, id, meta and the mention extensions of a derived resource."""
    return {
        "resourceType": resource_type,
        "id": resource_id(source, resource_type, key),
        "meta": {"source": source.reference, "tag": [dict(codes.NLP_DERIVED_TAG)]},
        "extension": [mention_extension(mention, source) for mention in mentions],
    }


def reference(target: str) -> dict[str, Any]:
    """A Reference."""
    return {"reference": target}
