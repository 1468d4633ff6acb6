"""Dosage: gives each drug the doses, routes, frequencies and durations that are about it.

A drug owns the text from its end to the next drug or test, within its sentence; in a list also the
line below that begins with `Take` or `Sig`. An amount right before a drug (`500 mg of metformin`)
is that drug's. A brand in parentheses shares its ingredient's dosage.
"""

import re
from itertools import pairwise

from spacy.language import Language
from spacy.tokens import Doc, Span

from nlp.dosage import Part, find_parts
from nlp.frequency import NUMBER
from nlp.mention import FAMILY, MEDICATION, TEST, Attribute

_BEFORE = re.compile(
    rf"(?:(?<=[\s(])|^)(?P<amount>{NUMBER}\s*(?:-|to)?\s*(?:{NUMBER})?\s*-?(?:mg|mcg|g|grams?|units?|ml|meq|tablets?|tabs?|capsules?|caps?|puffs?|pills?|drops?|sprays?|iu)\b"
    rf"|{NUMBER}[- ](?:day|week|month)\s+(?:course|supply|taper|regimen))"
    r"(?:\s+(?:of|po|p\.o\.|iv|im|oral|intravenous|sublingual|dose of))*\s*$",
    re.IGNORECASE,
)
_CONTINUES = re.compile(
    r"\s*(?:sig\b|take|takes|use|apply|inject|inhale|instill|place|dose|dosage|chew|dissolve|give"
    r"|\d+(?:\.\d+)?\s*(?:mg|mcg|tab|cap|ml|unit|puff|spray|drop))",
    re.IGNORECASE,
)
_WINDOW = 240
_MAX_CONTINUED_LINES = 2
_CHANGE = re.compile(
    r"\b(?:increas|decreas|reduc|chang|titrat|lower|rais|adjust|go up|went up|up|down)\w*"
    r"[^.;\n]{0,20}?"
    rf"\bto\s+(?={NUMBER})|\b(?:restart|resum)ed\b[^.;\n]{{0,20}}?\bat\s+(?={NUMBER})|\bfrom\s+{NUMBER}[^.;\n]{{0,30}}?\bto\s+(?={NUMBER})",
    re.IGNORECASE,
)
_BARE_AMOUNT = re.compile(
    r"[ \t]*(?<=[ \t])(?P<n>\d{1,3}(?:,\d{3})+|\d{1,4}(?:\.\d{1,3})?(?P<second>/\d{1,3}(?:\.\d)?)?)"
    r"(?![\d%/])[ \t]*"
)
_TELLING = frozenset(("FREQUENCY", "ROUTE", "AS_NEEDED", "DURATION"))
# Without a frequency behind it a number may be a level, a year, or the number of the next item.
_NO_AMOUNT = re.compile(r"\d+\.\d|(?:19|20)\d\d\b|\d[ \t]*\.")
_AMOUNT_ENDS = re.compile(r"[ \t]*(?:$|[,;)\n]|\.(?:\s|$)|and\b)")
_FROM = re.compile(r"\b(?:from|previously|instead of)\s+$", re.IGNORECASE)
_BARRIER = re.compile(
    r"\b(?:disp(?:ense)?|refills?|qty|quantity|max(?:imum)?|(?:not|don't) (?:to )?exceed)\b[^\n;]*",
    re.IGNORECASE,
)


def _attribute(text: str, part: Part) -> Attribute:
    return Attribute(
        part.kind, text[part.begin : part.end], part.begin, part.end, 1.0, part.value or None
    )


class Attributes:
    """Adds DOSE, AMOUNT, STRENGTH, FORM, ROUTE, FREQUENCY, DURATION, AS_NEEDED and SIG to drugs."""

    def __call__(self, doc: Doc) -> Doc:
        """Read each drug's stretch of text."""
        text = doc.text
        ents = [ent for ent in doc.ents if ent.label_ in (MEDICATION, TEST)]
        if not any(ent.label_ == MEDICATION for ent in ents):
            return doc
        sentences = list(doc.sents)
        regions = _regions(text, ents, sentences)
        for drug, before, end in regions:
            if FAMILY in drug._.traits:
                continue
            end = _without_dispense(text, drug.end_char, end)
            parts = find_parts(text, _after_change(text, drug.end_char, end), end)
            if before is not None:
                parts = find_parts(text, before, drug.start_char) + parts
            parts = _current(text, drug.end_char, parts)
            parts = _with_bare_amount(text, _after_change(text, drug.end_char, end), end, parts)
            if parts:
                _attach(text, drug, parts)
        _share_with_brand(text, [drug for drug, _, _ in regions])
        return doc


def _attach(text: str, drug: Span, parts: list[Part]) -> None:
    first = min(part.begin for part in parts)
    last = max(part.end for part in parts)
    sig = Attribute("SIG", text[first:last], first, last)
    drug._.attributes = [*drug._.attributes, *(_attribute(text, part) for part in parts), sig]


def _after_change(text: str, begin: int, end: int) -> int:
    """Where the dosage that holds now starts: behind `10 mg daily was increased to`."""
    changes = list(_CHANGE.finditer(text, begin, end))
    return changes[-1].end() if changes else begin


def _current(text: str, begin: int, parts: list[Part]) -> list[Part]:
    """The parts without the dose of before: `increased to 150 mg daily from 100 mg daily`.

    What follows a superseded dose, up to the next one, was its frequency and route.
    """
    kept: list[Part] = []
    superseded = False
    for part in parts:
        if part.kind in ("DOSE", "STRENGTH"):
            superseded = _FROM.search(text[begin : part.begin]) is not None
        if not superseded:
            kept.append(part)
    return kept


def _with_bare_amount(text: str, begin: int, end: int, parts: list[Part]) -> list[Part]:
    """The parts with the number of `metformin 1000 BID`, `ASA 81`: what it counts is not said.

    It is no dose, but the words of the instruction must not lose it.
    """
    match = _BARE_AMOUNT.match(text, begin, end)
    if match is None or any(part.kind in ("DOSE", "STRENGTH") for part in parts):
        return parts
    after = match.end()
    instructed = any(part.begin == after and part.kind in _TELLING for part in parts)
    if not instructed and (
        match["second"]
        or _NO_AMOUNT.match(text, match.start("n"))
        or not _AMOUNT_ENDS.match(text, after)
    ):
        return parts
    return [Part("AMOUNT", *match.span("n")), *parts]


def _without_dispense(text: str, begin: int, end: int) -> int:
    barrier = _BARRIER.search(text, begin, end)
    return barrier.start() if barrier else end


def _regions(
    text: str, ents: list[Span], sentences: list[Span]
) -> list[tuple[Span, int | None, int]]:
    """Each drug with where an amount before it starts (or None) and where its text ends."""
    regions: list[tuple[Span, int | None, int]] = []
    slot = 0
    for position, ent in enumerate(ents):
        while sentences[slot].end <= ent.start:
            slot += 1
        if ent.label_ != MEDICATION:
            continue
        sentence = sentences[slot]
        following = ents[position + 1] if position + 1 < len(ents) else None
        end = sentence.end_char
        for line in sentences[slot + 1 : slot + 1 + _MAX_CONTINUED_LINES]:
            taken = following is not None and following.start < line.end
            if taken or not _CONTINUES.match(line.text) or text[end - 2 : end].count("\n") > 1:
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
