"""What the pipeline finds in a text: mentions with their concepts, traits and attributes."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

MEDICATION = "MEDICATION"
CONDITION = "CONDITION"
SYMPTOM = "SYMPTOM"
PROCEDURE = "PROCEDURE"
TEST = "TEST"
ANATOMY = "ANATOMY"
# A type of CONDITION: `NKDA`, a statement about allergies that is no disease.
NO_KNOWN_ALLERGY = "NO_KNOWN_ALLERGY"
CATEGORIES = (MEDICATION, CONDITION, SYMPTOM, PROCEDURE, TEST, ANATOMY)

NEGATED = "NEGATED"
UNCERTAIN = "UNCERTAIN"
HISTORICAL = "HISTORICAL"
HYPOTHETICAL = "HYPOTHETICAL"
FAMILY = "FAMILY"
# Of somebody who is no relative: a donor, a roommate, a sick contact.
OTHER_PERSON = "OTHER_PERSON"
TRAITS = (NEGATED, UNCERTAIN, HISTORICAL, HYPOTHETICAL, FAMILY, OTHER_PERSON)


def plain_json(value: Any) -> Any:
    """`value` with each `Decimal` as an int or float, so that any JSON encoder takes it."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Concept:
    """A code for a mention; `release` says which edition of the terminology it was taken from.

    `version` is that of FHIR's `Coding.version`, where a loaded release gave the code.
    """

    system: str
    code: str
    display: str
    score: float = 1.0
    release: str = ""
    version: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON of one `concepts` entry of `POST /nlp/annotate`."""
        return {
            "system": self.system,
            "code": self.code,
            "display": self.display,
            "score": self.score,
            "release": self.release,
        }


@dataclass(frozen=True, slots=True)
class Attribute:
    """A part of the text that qualifies a mention: a dose, a lab value, a relative, a status.

    `begin` and `end` are code points of the note; `value` is the parsed form (a dict of plain
    types and `Decimal`), None where the words are all there is.
    """

    type: str
    text: str
    begin: int
    end: int
    score: float = 1.0
    value: Any = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON of one `attributes` entry of `POST /nlp/annotate`."""
        return {
            "type": self.type,
            "text": self.text,
            "span": [self.begin, self.end],
            "score": self.score,
            "value": plain_json(self.value),
        }


@dataclass(frozen=True, slots=True)
class Mention:
    """One clinical fact as written: `text == note[begin:end]`, offsets in code points.

    `category` is one of `CATEGORIES`; `type` refines it (`BRAND_NAME`, `LAB`, `DIAGNOSIS` …);
    `traits` are out of `TRAITS`; `section` is the section's category, None before any header.
    """

    text: str
    begin: int
    end: int
    category: str
    type: str
    score: float = 1.0
    traits: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    concepts: tuple[Concept, ...] = ()
    section: str | None = None
    flags: frozenset[str] = field(default=frozenset(), compare=False)

    def attribute(self, type: str) -> Attribute | None:
        """The first attribute of that type, None when there is none."""
        return next((a for a in self.attributes if a.type == type), None)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of one entity of `POST /nlp/annotate`."""
        return {
            "text": self.text,
            "span": [self.begin, self.end],
            "category": self.category,
            "type": self.type,
            "score": self.score,
            "traits": list(self.traits),
            "attributes": [a.to_dict() for a in self.attributes],
            "concepts": [c.to_dict() for c in self.concepts],
            "section": self.section,
        }
