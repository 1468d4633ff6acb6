"""Relations between findings of one sentence: whose illness it is, what an allergy causes."""

import re

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


def _relative_of(text: str, ent: Span, sentence: Span) -> Attribute | None:
    """The relative nearest to the finding in its sentence; before it counts as nearer."""
    best: tuple[int, Attribute] | None = None
    for match in _RELATIVE.finditer(text, sentence.start_char, sentence.end_char):
        if match.end() <= ent.start_char:
            distance = ent.start_char - match.end()
        elif match.start() >= ent.end_char:
            between = text[ent.end_char : match.start()]
            linked = _LINK.fullmatch(between) is not None
            distance = 0 if linked else _UNLINKED + match.start() - ent.end_char
        else:
            continue
        value = relative_code(match["who"], match["side"])
        found = Attribute("RELATION", match.group(), match.start(), match.end(), 1.0, value)
        if best is None or distance < best[0]:
            best = (distance, found)
    return best[1] if best else None


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
        for ent in ents:
            while sentences[slot].end <= ent.start:
                slot += 1
                allergen = None
            if ent.label_ == MEDICATION:
                allergen = ent if _is_allergen(ent) else None
            elif allergen is not None and ent.label_ in (SYMPTOM, CONDITION):
                self._reaction(allergen, ent)
            if FAMILY in ent._.traits:
                relative = _relative_of(text, ent, sentences[slot])
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
