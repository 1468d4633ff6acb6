"""Changes of a drug: the dose that holds after one, its direction, and when it began or ended.

`Lisinopril 10 mg daily was increased to 20 mg daily`: the dose is 20 mg, the change `increased`.
"""

import re

from nlp.dosage.parts import DOSE, MARKS, STRENGTH, Part
from nlp.mention import Attribute
from nlp.results.result_dates import FULL_DATE, UNKNOWN, value_of

INCREASED, DECREASED, CHANGED = "increased", "decreased", "changed"

_NUMBER = r"(?:\d[\d,]*(?:\.\d+)?|\.\d+|one\b|two\b|half\b)"
_CHANGE = re.compile(
    r"\b(?:increas|decreas|reduc|chang|titrat|lower|rais|adjust|go up|went up|up(?!\s+to\b)|down"
    r"|advanc)\w*"
    r"[^.;\n]{0,20}?"
    rf"\bto\s+(?={_NUMBER})|\b(?:restart|resum)ed\b[^.;\n]{{0,20}}?\bat\s+(?={_NUMBER})"
    rf"|\bfrom\s+{_NUMBER}[^.;\n]{{0,30}}?\bto\s+(?={_NUMBER})",
    re.IGNORECASE,
)
# A step that is only planned stays an instruction, one behind `then` is the next stage.
_PLANNED = re.compile(
    r"\b(?:may|can|could|then|will|would|plan to|consider|if|and|may be|weeks?|days?|months?)\W+$",
    re.IGNORECASE,
)
_FROM = re.compile(r"\b(?:from|previously|instead of|prior dose(?: of)?)\s+$", re.IGNORECASE)
_DIRECTIONS = (
    (INCREASED, r"increas\w+|up-?titrat\w+|titrat\w+ up|rais(?:e|ed|ing)|go(?:ing)? up|went up"),
    (DECREASED, r"decreas\w+|reduc\w+|lower(?:ed|ing)?|cut(?:ting)? (?:back|down)|down-?titrat\w+"),
    (CHANGED, r"adjust(?:ed|ing)?|chang(?:e|ed|ing)(?= (?:the )?(?:dose|her|his|to|from))"),
)
_BEFORE = tuple(
    (name, re.compile(rf"\b(?:{words})\b(?:\s+(?:the|her|his|dose|dosage|of|home|on))*\s*$", re.I))
    for name, words in _DIRECTIONS
)
_BEHIND = tuple(
    (
        name,
        re.compile(
            rf"(?:[^.;\n]{{0,60}}?(?:\b(?:was|is|were|been|be|and|dose)|[-,(]))?\s*(?P<cue>(?:{words})\b)",
            re.IGNORECASE,
        ),
    )
    for name, words in _DIRECTIONS
)
_YEAR = r"(?:(?<=in )|(?<=since )|(?<=early )|(?<=late ))(?P<year>(?:19|20)\d\d)\b"
_STARTED = re.compile(
    rf"\b(?:since|start(?:ed|ing)?(?: date:?)?|began|begun|beginning|initiated|begin(?:ning)?)"
    rf"(?:\s+(?:on|in|around|taking it))*[:\s]+(?:early |late )?(?:{FULL_DATE}|{_YEAR})",
    re.IGNORECASE,
)
_STOPPED = re.compile(
    rf"\b(?:stop(?:ped|ping)?|discontinued|d/c'?d|ended|end date:?|completed|finished"
    rf"|last (?:dose|taken)|until|through)(?:\s+(?:on|in|around|it))*[:\s]+"
    rf"(?:early |late )?(?:{FULL_DATE}|{_YEAR})",
    re.IGNORECASE,
)


def dosage_in_force(text: str, begin: int, end: int) -> int:
    """Where the dosage that holds now starts: behind `10 mg daily was increased to`."""
    found = begin
    for match in _CHANGE.finditer(text, begin, end):
        if not _PLANNED.search(text[begin : match.start()]):
            found = match.end()
    return found


def superseded(text: str, begin: int, parts: list[Part]) -> list[Part]:
    """The parts without the dose of before: `increased to 150 mg daily from 100 mg daily`.

    What follows a superseded dose, up to the next one, was its frequency and route.
    """
    kept: list[Part] = []
    old = False
    for part in parts:
        if part.kind in (DOSE, STRENGTH):
            old = _FROM.search(text[begin : part.begin]) is not None
        if not old or part.kind in MARKS:
            kept.append(part)
    return kept


def change_of(text: str, low: int, start: int, stop: int, end: int) -> Attribute | None:
    """CHANGE: `increased`, `decreased` or `changed`, said right before the drug or behind it.

    `text[low:start]` is before the drug (and its amount), `text[stop:end]` behind it.
    """
    for name, pattern in _BEFORE:
        found = pattern.search(text, low, start)
        if found is not None:
            words = found.group().rstrip()
            begin = found.start()
            return Attribute("CHANGE", words, begin, begin + len(words), 1.0, {"change": name})
    nearest: Attribute | None = None
    for name, pattern in _BEHIND:
        match = pattern.match(text, stop, end)
        if match is not None and not _PLANNED.search(
            text[stop : match.end()].rsplit(" ", 1)[0] + " "
        ):
            begin = match.start("cue")
            here = Attribute(
                "CHANGE", text[begin : match.end()], begin, match.end(), 1.0, {"change": name}
            )
            if nearest is None or here.end < nearest.end:
                nearest = here
    return nearest


def dates_of(text: str, low: int, start: int, stop: int, end: int) -> list[Attribute]:
    """START_DATE and STOP_DATE behind the drug (`since March 2020`, `stopped 5/1/2023`)."""
    found = []
    for type, pattern in (("START_DATE", _STARTED), ("STOP_DATE", _STOPPED)):
        match = pattern.search(text, stop, end)
        if match is None:
            continue
        value = value_of(match)
        if value != UNKNOWN:
            found.append(Attribute(type, match.group(), *match.span(), 1.0, {"date": value}))
    return found
