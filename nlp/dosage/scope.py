"""How far the words behind a drug's name are about that drug.

A note names drugs that no dictionary has, and things that are no drug: `Provera 2.5 mg qd, CaCO3
500 mg bid`, `injected with Marcaine, and a needle was placed through which 2 L of CO2 …`. Too many
words that the grammar does not know, or one such word before a second dose, end the instruction.
"""

import re
from collections.abc import Sequence

from nlp.dosage.parts import (
    AND,
    DOSE,
    FREQUENCY,
    INSTRUCTION,
    MARKS,
    RATE,
    ROUTE,
    SITE,
    STOP,
    STRENGTH,
    THEN,
    Part,
)
from nlp.dosage.tokens import word_set

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9'’-]+")
# Words that lead to a dosage or say nothing of another thing.
_LEADING = word_set(
    "a an the of to on for at by in and or with was were is are be been being has had have having"
    " she he they it its his her their this that which who patient pt currently now also still dose"
    " doses dosage dosed dosing given gave get gets started start starting begun placed put taking"
    " taken take takes took using use uses used continued continue prescribed increased decreased"
    " changed titrated tapered tolerated total approximately about roughly current usual home daily"
    " oral therapy treatment treated loaded maintained received receives receiving infusion bolus"
    " injection tablet tablets capsule capsules form strength written written as will should would"
    " can may sig scheduled only plus low high prior previously same another additional stable"
)
_MOST = {DOSE: 3, STRENGTH: 3, RATE: 3, ROUTE: 1, SITE: 1}
_MOST_ELSE = 2
_MOST_FOR_ONE_TIME = 0
_OF_ANOTHER = re.compile(
    r"\s+of\s+(?!(?:the|this|it|that|water|fluid|elemental)\b|\d[\d.,]*\s*(?:mg|mcg|g)\b)\w"
)
_DAY_OF_AN_EVENT = re.compile(
    r"\b(?:started|since|stopped|began|begun|discharged|admitted|seen|due|scheduled|last|next|this"
    r"|return\w*|follow\w*|done|visit|appointment|surgery|dialysis)\s+(?:up\s+)?(?:on\s+)?$",
    re.IGNORECASE,
)
# An instruction whose words were cut off by the next test: nothing is left of it.
_HEADLESS = word_set("check monitor hold avoid notify contact until till goal target keep wait")
_AMOUNTS = frozenset((DOSE, STRENGTH, RATE))


def _unknown_words(text: str, begin: int, end: int) -> int:
    return sum(word.lower() not in _LEADING for word in _WORD.findall(text[begin:end]))


def _names_another(text: str, begin: int, end: int) -> bool:
    """Whether a name stands there: `Tums t.i.d. and also Mylanta at night`."""
    words = _WORD.findall(text[begin:end])
    return any(word[0].isupper() and word.lower() not in _LEADING for word in words)


def about_the_drug(text: str, begin: int, parts: Sequence[Part]) -> list[Part]:
    """The parts and marks that are about the drug whose name ends at `begin`."""
    kept: list[Part] = []
    before = begin
    dosed = told = False
    for part in parts:
        if part.kind in MARKS:
            kept.append(part)
            if part.kind == THEN:
                before = part.end
            continue
        unknown = _unknown_words(text, before, part.begin)
        if unknown > _allowed(part):
            break
        if part.kind in _AMOUNTS and _OF_ANOTHER.match(text, part.end):
            break
        if part.kind in (DOSE, RATE):
            if dosed and told and unknown:
                break
            dosed = True
        if part.kind == FREQUENCY:
            if told and _names_another(text, before, part.begin):
                break
            told = True
            days = "dayOfWeek" in part.value["repeat"]
            if days and _DAY_OF_AN_EVENT.search(text[max(0, part.begin - 30) : part.begin]):
                continue
        if part.kind == INSTRUCTION and part.value["text"].lower().split()[-1] in _HEADLESS:
            continue
        kept.append(part)
        before = part.end
    while kept and kept[-1].kind in (AND, STOP, THEN):
        kept.pop()
    return kept


def _allowed(part: Part) -> int:
    if part.kind == FREQUENCY and "count" in part.value["repeat"]:
        return _MOST_FOR_ONE_TIME
    return _MOST.get(part.kind, _MOST_ELSE)
