"""Relations between findings of one sentence: whose illness it is, what an allergy causes."""

import re
from bisect import bisect_left, bisect_right

from spacy.language import Language
from spacy.tokens import Doc, Span

from nlp.medication_status import ALLERGY
from nlp.mention import CONDITION, FAMILY, MEDICATION, NEGATED, SYMPTOM, Attribute

# v3 RoleCode, https://terminology.hl7.org/CodeSystem-v3-RoleCode.html
_SIDED = {
    "grandmother": "GRMTH", "grandfather": "GRFTH", "aunt": "AUNT", "uncle": "UNCLE",
    "cousin": "COUSN", "grandparent": "GRPRN",
}  # fmt: skip
_PLAIN = {
    "mother": ("MTH", "mother"), "mom": ("MTH", "mother"), "father": ("FTH", "father"),
    "dad": ("FTH", "father"), "sister": ("SIS", "sister"), "brother": ("BRO", "brother"),
    "sibling": ("SIB", "sibling"), "son": ("SON", "natural son"),
    "daughter": ("DAU", "natural daughter"),
    "child": ("CHILD", "child"), "children": ("CHILD", "child"), "parent": ("PRN", "parent"),
    "nephew": ("NEPHEW", "nephew"), "niece": ("NIECE", "niece"), "twin": ("TWIN", "twin"),
    "grandmother": ("GRMTH", "grandmother"), "grandfather": ("GRFTH", "grandfather"),
    "grandparent": ("GRPRN", "grandparent"), "aunt": ("AUNT", "aunt"), "uncle": ("UNCLE", "uncle"),
    "cousin": ("COUSN", "cousin"), "mgm": ("MGRMTH", "maternal grandmother"),
    "mgf": ("MGRFTH", "maternal grandfather"), "pgm": ("PGRMTH", "paternal grandmother"),
    "pgf": ("PGRFTH", "paternal grandfather"), "half-brother": ("HBRO", "half-brother"),
    "half-sister": ("HSIS", "half-sister"), "husband": ("HUSB", "husband"),
    "wife": ("WIFE", "wife"), "spouse": ("SPS", "spouse"), "roommate": ("ROOM", "roommate"),
    "partner": ("DOMPART", "domestic partner"), "boyfriend": ("SIGOTHR", "significant other"),
    "girlfriend": ("SIGOTHR", "significant other"), "friend": ("FRND", "unrelated friend"),
    "neighbor": ("NBOR", "neighbor"),
}  # fmt: skip
_RELATIVE = re.compile(
    r"\b(?:(?P<side>maternal|paternal)\s+)?(?P<who>" + "|".join(_PLAIN) + r")s?\b", re.IGNORECASE
)


# What joins a finding to a relative named after it: `diabetes in her father`, `asthma (mother)`.
_LINK = re.compile(
    r"\s*(?:[(:–-]|,?\s*\b(?:in|of|on)\b)\s*(?:(?:his|her|the|a|an|both|one|two|patient's)\s+)*",
    re.IGNORECASE,
)
_UNLINKED = 1000


def relative_code(who: str, side: str | None) -> dict[str, str]:
    """The v3 RoleCode of a relative: `{"code", "display"}`."""
    who = who.lower()
    code, display = _PLAIN[who]
    if side is not None and who in _SIDED and who != "grandparent":
        letter = side[0].upper()
        return {"code": letter + _SIDED[who], "display": f"{side.lower()} {who}"}
    return {"code": code, "display": display}


def _relatives_in(text: str, sentence: Span) -> list[Attribute]:
    """The relatives that a sentence names, in order."""
    return [
        Attribute(
            "RELATION",
            match.group(),
            match.start(),
            match.end(),
            1.0,
            relative_code(match["who"], match["side"]),
        )
        for match in _RELATIVE.finditer(text, sentence.start_char, sentence.end_char)
    ]


def _relative_of(text: str, ent: Span, relatives: list[Attribute]) -> Attribute | None:
    """The relative nearest to the finding in its sentence; before it counts as nearer."""
    slot = bisect_right(relatives, ent.start_char, key=lambda found: found.end)
    before = relatives[slot - 1] if slot else None
    slot = bisect_left(relatives, ent.end_char, key=lambda found: found.begin)
    after = relatives[slot] if slot < len(relatives) else None
    if before is None or after is None:
        return before or after
    if _LINK.fullmatch(text, ent.end_char, after.begin) is not None:
        return after if ent.start_char > before.end else before
    distance = ent.start_char - before.end
    return before if distance <= _UNLINKED + after.begin - ent.end_char else after


class Relations:
    """Adds RELATION to a relative's findings, REACTION and REACTION_OF to allergies."""

    def __call__(self, doc: Doc) -> Doc:
        """Join what stands in one sentence."""
        text = doc.text
        ents = list(doc.ents)
        if not ents:
            return doc
        slot = 0
        sentences = list(doc.sents)
        allergen: Span | None = None
        relatives: list[Attribute] | None = None
        for ent in ents:
            while sentences[slot].end <= ent.start:
                slot += 1
                allergen = relatives = None
            if ent.label_ == MEDICATION:
                allergen = ent if _is_allergen(ent) else None
            elif allergen is not None and ent.label_ in (SYMPTOM, CONDITION):
                self._reaction(allergen, ent)
            if FAMILY in ent._.traits:
                if relatives is None:
                    relatives = _relatives_in(text, sentences[slot])
                relative = _relative_of(text, ent, relatives)
                if relative is not None:
                    ent._.attributes = [*ent._.attributes, relative]
        return doc

    @staticmethod
    def _reaction(allergen: Span, reaction: Span) -> None:
        if NEGATED in reaction._.traits:
            return
        name = Attribute("REACTION", reaction.text, reaction.start_char, reaction.end_char)
        allergen._.attributes = [*allergen._.attributes, name]
        back = Attribute("REACTION_OF", allergen.text, allergen.start_char, allergen.end_char)
        reaction._.attributes = [*reaction._.attributes, back]


def _is_allergen(drug: Span) -> bool:
    return any(a.type == "STATUS" and a.value == {"status": ALLERGY} for a in drug._.attributes)


@Language.factory("relations", requires=["doc.ents", "span._.traits"])
def create_relations(nlp: Language, name: str) -> Relations:
    """The factory that spaCy calls."""
    return Relations()
