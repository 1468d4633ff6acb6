"""Dosage: gives each drug the doses, routes, frequencies and durations that are about it.

A drug owns the text from its end to the next drug or test, within its sentence; in a list also the
line below that begins with `Take` or `Sig`, in prose a sentence that begins `The dose is`. An
amount right before a drug (`500 mg of metformin`) is that drug's. A brand in parentheses shares its
ingredient's dosage.
"""

import re
from itertools import pairwise
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span

from nlp.dosage import dosages, instruction, read
from nlp.dosage.implied_route import route_of_form
from nlp.dosage.parts import (
    AS_NEEDED,
    CLOSE,
    DOSE,
    DURATION,
    EXPOSED,
    FREQUENCY,
    INDICATION,
    INFUSED_OVER,
    INSTRUCTION,
    METHOD,
    OPEN,
    PHASE,
    RATE,
    ROUTE,
    SCALE,
    STRENGTH,
    TELLING,
    Part,
)
from nlp.dosage.scope import about_the_drug
from nlp.medication_changes import change_of, dates_of, dosage_in_force, superseded
from nlp.mention import CONDITION, FAMILY, MEDICATION, SYMPTOM, TEST, Attribute

_NUMBER = r"(?:\d[\d,]*(?:\.\d+)?(?:/\d)?|\.\d+|½|(?:one|two|three|four|half|a half)\b)"
_WAY = (
    r"(?:p\.?o\.?|i\.?v\.?|i\.?m\.?|s\.?[cq]\.?|subq|oral(?:ly)?|intravenous|intramuscular"
    r"|subcutaneous|sublingual|topical|inhaled|nebuli[sz]ed|intranasal|nasal|rectal|vaginal"
    r"|transdermal|ophthalmic|otic|intrathecal|intravesical|intravitreal|epidural|intradermal"
    r"|intraperitoneal)"
)
# An amount or a way right before the name: `500 mg of metformin`, `IV vancomycin`.
_BEFORE = re.compile(
    rf"(?:(?<=[\s(])|^)(?P<amount>(?:(?:[1-4]|one|two|three|four)\s+)?"
    rf"{_NUMBER}\s*(?:(?:-|to|or)\s*{_NUMBER})?\s*-?"
    r"(?:mg|mcg|g|grams?|milligrams?|micrograms?|units?|ml|meq|tablets?|tabs?|capsules?|caps?|puffs?"
    r"|pills?|drops?|sprays?|iu)(?:/kg|/m2|/m\(2\)|/day|/d)*(?!\w)"
    rf"|{_NUMBER}[- ](?:day|week|month)\s+(?:course|supply|taper|regimen|trial)|{_WAY}(?=\s))"
    rf"(?:\s+(?:of|dose of|doses of|tablets?|tabs?|capsules?|caps?|daily|weekly|bid|tid|per day"
    rf"|a day|once|twice|{_WAY}))*\s*$",
    re.IGNORECASE,
)
_CONTINUES = re.compile(
    r"\s*(?:[-•*]\s*)?(?:sig\b|take|takes|use|apply|inject|inhale|instill|place|dose|dosage|chew"
    r"|dissolve|give|insert|swallow|spray|put|mix|administer|wear|then\b|followed by|thereafter"
    r"|\d+(?:\.\d+)?\s*(?:mg|mcg|tab|cap|ml|unit|puff|spray|drop))",
    re.IGNORECASE,
)
# A sentence about the dose of the one drug that the sentence before it names.
_ITS_DOSE = re.compile(
    r"\s*(?:(?:the|her|his|their|current|usual|starting|this|its)\s+)*(?:dose|dosage)\s+"
    r"(?:is|was|will be|has been)\b"
    r"|\s*(?:she|he|the patient|patient|pt)\s+(?:takes|is taking|uses|was taking|injects)\s+"
    r"(?:it\b|this\b|\d)",
    re.IGNORECASE,
)
_WINDOW = 320
_MAX_CONTINUED_LINES = 2
_BARE_AMOUNT = re.compile(
    r"[ \t]*(?<=[ \t])(?P<n>\d{1,3}(?:,\d{3})+|\d{1,4}(?:\.\d{1,3})?(?P<second>/\d{1,3}(?:\.\d)?)?)"
    r"(?![\d%/])[ \t]*"
)
_SAID = EXPOSED | {METHOD, PHASE, SCALE, INFUSED_OVER}
_REGULAR = frozenset((FREQUENCY, ROUTE, AS_NEEDED, DURATION))
_AMOUNTS = frozenset((DOSE, STRENGTH, RATE))
# Without a frequency behind it a number may be a level, a year, or the number of the next item.
_NO_AMOUNT = re.compile(r"\d+\.\d|(?:19|20)\d\d\b|\d[ \t]*\.")
_AMOUNT_ENDS = re.compile(r"[ \t]*(?:$|[,;)\n]|\.(?:\s|$)|and\b)")
# A test named as a limit or reason does not end the instruction: `hold for SBP < 100`.
_CONDITION_OF_USE = re.compile(
    r"\b(?:hold|held|prn|if|for|when|until|unless|goal|target|keep|maintain|needed)\W+"
    r"(?:\w+\W+){0,3}$",
    re.IGNORECASE,
)
_BEEN = re.compile(
    r"\b(?:has|have|had|'s|'ve)\s+(?:already\s+)?been\s+"
    r"(?:on|taking|using|receiving|treated with)\b",
    re.IGNORECASE,
)
_BEEN_REACH = 60
_BY_ITSELF = re.compile(
    r"(?:use |take |apply )?(?:as directed|as instructed|ut dict|as prescribed)"
)
# What drugs are for that is no finding of the dictionary.
_PURPOSES = re.compile(
    r"(?:severe |moderate |mild |breakthrough |chronic |acute |high |low |elevated )*"
    r"(?:pain|sleep|blood pressure|bp|cholesterol|anxiety|mood|rate control|heart rate|stroke"
    r"|prevention|prophylaxis|sedation|agitation|spasms?|inflammation|infection|itching|itch|fluid"
    r"|bowel|constipation|nausea|breathing|heart|thyroid|diabetes|blood sugar|sugar|allerg\w+"
    r"|dvt|vte|gi |stress ulcer|secondary|primary|neuropath\w+|birth control|contraception)",
    re.IGNORECASE,
)


class Attributes:
    """Adds DOSE, STRENGTH, FORM, ROUTE, FREQUENCY … and SIG to drugs.

    SIG is the whole instruction; its value has the FHIR `Dosage` entries as `dosage`.
    """

    def __call__(self, doc: Doc) -> Doc:
        """Read each drug's stretch of text."""
        text = doc.text
        ents = [ent for ent in doc.ents if ent.label_ in (MEDICATION, TEST)]
        if not any(ent.label_ == MEDICATION for ent in ents):
            return doc
        sentences = list(doc.sents)
        findings = [ent for ent in doc.ents if ent.label_ in (CONDITION, SYMPTOM)]
        regions = _regions(text, ents, sentences)
        for drug, before, end in regions:
            if FAMILY in drug._.traits:
                continue
            start = dosage_in_force(text, drug.end_char, end)
            parts = about_the_drug(text, start, read(text, start, end))
            if before is not None:
                parts = read(text, before, drug.start_char) + parts
            parts = superseded(text, drug.end_char, parts)
            parts = _with_bare_amount(text, start, end, parts)
            parts = _instructing(text, parts, findings)
            parts = _without_elapsed(text, drug, parts)
            if any(part.kind in EXPOSED for part in parts):
                _attach(text, drug, parts)
        for number, (drug, before, end) in enumerate(regions):
            if FAMILY not in drug._.traits:
                low = regions[number - 1][0].end_char if number else 0
                _attach_changes(text, drug, max(low, drug.sent.start_char), before, end)
        _share_with_brand(text, [drug for drug, _, _ in regions])
        return doc


def _instructing(text: str, parts: list[Part], findings: list[Span]) -> list[Part]:
    """The parts without words that only seem to be an instruction.

    In prose `for` may begin anything: a purpose is a finding or one of a few known purposes. Where
    nothing tells of a dosage, `monitor INR` behind a drug is no instruction for taking it.
    """
    kept = [part for part in parts if part.kind != INDICATION or _is_purpose(text, part, findings)]
    if any(part.kind in TELLING for part in kept):
        return kept
    return [
        part
        for part in kept
        if part.kind != INSTRUCTION or _BY_ITSELF.match(text[part.begin : part.end].lower())
    ]


def _without_elapsed(text: str, drug: Span, parts: list[Part]) -> list[Part]:
    """The parts without how long it was taken so far: `has been on insulin for 26 years`."""
    before = text[max(drug.sent.start_char, drug.start_char - _BEEN_REACH) : drug.start_char]
    been = _BEEN.search(before) is not None
    return [
        part
        for part in parts
        if part.kind != DURATION or not (been or part.value.get("unit") == "a")
    ]


def _is_purpose(text: str, part: Part, findings: list[Span]) -> bool:
    if any(ent.start_char < part.end and part.begin < ent.end_char for ent in findings):
        return True
    return _PURPOSES.match(part.value["text"]) is not None


def _attach(text: str, drug: Span, parts: list[Part]) -> None:
    said = [part for part in _unopened(parts) if part.kind in _SAID]
    first = min(part.begin for part in said)
    last = max(part.end for part in said)
    found = instruction(text, parts)
    forms = [part.value.get("form", "") for part in parts if part.kind == "FORM"]
    implied = route_of_form(drug.text, " ".join(forms))
    entries = dosages(found.clauses, "", implied)
    value: dict[str, Any] | None = {"dosage": entries} if entries else None
    attributes = [
        _attribute(text, part)
        for part in found.parts
        if part.kind in EXPOSED
        and (part.kind != INDICATION or part.value["text"] in found.indications)
    ]
    sig = Attribute("SIG", text[first:last], first, last, 1.0, value)
    drug._.attributes = [*drug._.attributes, *attributes, sig]


def _unopened(parts: list[Part]) -> list[Part]:
    """The parts without a form inside brackets of the name: `(ProAir HFA) 2 puffs`."""
    for number, part in enumerate(parts):
        if part.kind == OPEN:
            break
        if part.kind == CLOSE:
            rest = parts[number + 1 :]
            return rest if any(p.kind in TELLING for p in rest) else parts
    return parts


def _attribute(text: str, part: Part) -> Attribute:
    return Attribute(
        part.kind, text[part.begin : part.end], part.begin, part.end, 1.0, part.value or None
    )


def _attach_changes(text: str, drug: Span, low: int, before: int | None, end: int) -> None:
    change = change_of(text, low, before or drug.start_char, drug.end_char, end)
    found = [change] if change is not None else []
    found.extend(dates_of(text, low, drug.start_char, drug.end_char, end))
    if found:
        drug._.attributes = [*drug._.attributes, *found]


def _with_bare_amount(text: str, begin: int, end: int, parts: list[Part]) -> list[Part]:
    """The parts with the number of `metformin 1000 BID`, `ASA 81`: what it counts is not said.

    It is no dose, but the words of the instruction must not lose it.
    """
    match = _BARE_AMOUNT.match(text, begin, end)
    if match is None or any(part.kind in _AMOUNTS for part in parts):
        return parts
    after = match.end()
    instructed = any(part.begin == after and part.kind in _REGULAR for part in parts)
    if not instructed and (
        match["second"]
        or _NO_AMOUNT.match(text, match.start("n"))
        or not _AMOUNT_ENDS.match(text, after)
    ):
        return parts
    return [Part("AMOUNT", *match.span("n")), *parts]


def _regions(
    text: str, ents: list[Span], sentences: list[Span]
) -> list[tuple[Span, int | None, int]]:
    """Each drug with where an amount before it starts (or None) and where its text ends."""
    ents = [
        ent
        for ent in ents
        if ent.label_ == MEDICATION
        or not _CONDITION_OF_USE.search(text[max(0, ent.start_char - 30) : ent.start_char])
    ]
    regions: list[tuple[Span, int | None, int]] = []
    slot = 0
    for position, ent in enumerate(ents):
        while sentences[slot].end <= ent.start:
            slot += 1
        if ent.label_ != MEDICATION:
            continue
        sentence = sentences[slot]
        following = ents[position + 1] if position + 1 < len(ents) else None
        alone = not position or ents[position - 1].end_char <= sentence.start_char
        end = sentence.end_char
        for line in sentences[slot + 1 : slot + 1 + _MAX_CONTINUED_LINES]:
            taken = following is not None and following.start < line.end
            goes_on = _CONTINUES.match(line.text) or (alone and _ITS_DOSE.match(line.text))
            if taken or not goes_on or text[end - 2 : end].count("\n") > 1:
                break
            end = line.end_char
        if following is not None and following.start_char < end:
            end = following.start_char
        end = min(end, ent.end_char + _WINDOW)
        low = max(sentence.start_char, ents[position - 1].end_char if position else 0)
        before = _BEFORE.search(text[max(low, ent.start_char - 60) : ent.start_char])
        begin = max(low, ent.start_char - 60) + before.start("amount") if before else None
        if begin is not None and regions and regions[-1][2] > begin:
            previous, previous_before, _ = regions[-1]
            between = text[previous.end_char : begin].strip()
            if (
                between
                and between[-1] not in ",;(+"
                and not between.endswith(("and", "or", "with"))
            ) or not between:
                begin = None
            else:
                regions[-1] = (previous, previous_before, begin)
        regions.append((ent, begin, end))
    return regions


def _share_with_brand(text: str, drugs: list[Span]) -> None:
    for first, second in pairwise(drugs):
        between = text[first.end_char : second.start_char].strip()
        same = first.kb_id_.split("#")[0] == second.kb_id_.split("#")[0]
        if same and between in ("(", "/", "-", ""):
            shared = [a for a in second._.attributes if a.type != "STATUS"]
            own = {a.type for a in first._.attributes}
            first._.attributes = [
                *first._.attributes,
                *(a for a in shared if a.type not in own),
            ]


@Language.factory("attributes", requires=["doc.ents", "span._.traits"])
def create_attributes(nlp: Language, name: str) -> Attributes:
    """The factory that spaCy calls."""
    return Attributes()
