"""What a note says of a result: `(H)`, `low`, `critical`, and the range it is compared with.

Codes of HL7 v3 ObservationInterpretation,
https://terminology.hl7.org/CodeSystem-v3-ObservationInterpretation.html. Only what is written is
given: no value is compared with a range here.
"""

# ruff: noqa: E501 - a regular expression is read better unbroken

import re
from decimal import Decimal
from typing import Any

from nlp.results.units import UNIT

NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d{1,7})(?:\.\d{1,5})?|\.\d{1,4}"

DISPLAYS = {
    "H": "High", "L": "Low", "HH": "Critical high", "LL": "Critical low", "N": "Normal",
    "A": "Abnormal", "AA": "Critical abnormal",
}  # fmt: skip

_DEGREE = (
    r"(?:(?:just|a\s+(?:little|bit)|slightly|mildly|moderately|markedly|severely|significantly|very|quite|still|only|"
    r"extremely|minimally|borderline|somewhat|persistently|again|remains|remained|was|is|which|were)\s+)*"
)
_WORDS = (
    r"(?P<critical_high>critical(?:ly)?\s+(?:high|elevated))|(?P<critical_low>critical(?:ly)?\s+low)"
    r"|(?P<high>elevated|raised|high|supra-?therapeutic|above\s+(?:normal|range)|↑+|⬆)"
    r"|(?P<low>low|reduced|sub-?therapeutic|decreased|below\s+(?:normal|range)|↓+|⬇)"
    r"|(?P<normal>normal|unremarkable|within\s+(?:the\s+)?normal\s+(?:limits|range)|wnl|nl(?=\W|$)"
    r"|in\s+(?:the\s+)?normal\s+range|negative\s+for\s+elevation)"
    r"|(?P<critical>critical|panic)|(?P<abnormal>abnormal)"
)
_LETTERS = (
    r"(?P<letter>HH|LL|H|L|A|N|C|\*H|\*L|H\*|L\*|High|Low|HIGH|LOW|Normal|Abnormal|CRIT|Critical)"
)
_CODES = {
    "critical_high": "HH", "critical_low": "LL", "high": "H", "low": "L", "normal": "N",
    "critical": "AA", "abnormal": "A",
}  # fmt: skip
_LETTER_CODES = {
    "HH": "HH", "LL": "LL", "H": "H", "L": "L", "A": "A", "N": "N", "C": "AA", "*H": "H",
    "*L": "L", "H*": "H", "L*": "L", "HIGH": "H", "LOW": "L", "NORMAL": "N", "ABNORMAL": "A",
    "CRIT": "AA", "CRITICAL": "AA",
}  # fmt: skip

WORD_FLAG = re.compile(rf"\s*{_DEGREE}(?:{_WORDS})(?![A-Za-z-])", re.IGNORECASE)
"""A flag in words, before or behind a value."""

_TRAILING_WORD = re.compile(
    rf"\s*(?:[,(\[–-]|which\s+(?:is|was)|and)?\s*{_DEGREE}(?:{_WORDS})(?![A-Za-z-])\s*[)\]]?"
    r"(?=\s*(?:$|[.,;:|)\n(\[]|and\b|but\b|for\b|today\b|at\b|on\b|with\b|compared\b|from\b|since\b|this\b))",
    re.IGNORECASE,
)
_TRAILING_LETTER = re.compile(rf"\s*[|,]?\s*(?:[(\[]\s*{_LETTERS}\s*[)\]])")
_BARE_LETTER = re.compile(
    r"\s*[|,]?\s*(?P<letter>HH|LL|H|L|\*H|\*L|H\*|L\*)(?![\w/'’.-]|\s*[=:(/])"
)
_BEFORE = re.compile(
    rf"(?:^|[\s,;(:]){_DEGREE}(?:{_WORDS})(?:\s+(?:serum|level\s+of|his|her|the|a))*\s+$",
    re.IGNORECASE,
)
_BEFORE_REACH = 40
_RANGE_NAME = r"(?:ref(?:erence)?(?:\s+(?:range|interval))?|normal(?:\s+range)?|nl|range|normals?|lab\s+normal|rr)\s*(?:is|of)?\s*[:=]?\s*"
REFERENCE = re.compile(
    rf"\s*[|,;]?\s*(?:[(\[]\s*(?:{_RANGE_NAME})?|(?P<named>{_RANGE_NAME}))"
    rf"(?:(?P<low>{NUMBER})\s*(?:{UNIT})?\s*(?:-|–|—|to)\s*(?P<high>{NUMBER})"
    rf"|(?P<op><=?|>=?|≤|≥|up\s+to|less\s+than|greater\s+than|under|over)\s*(?P<bound>{NUMBER}))"
    rf"\s*(?P<unit>(?=\S\S|%)(?:{UNIT})(?![A-Za-z]))?\s*[)\]]?",
    re.IGNORECASE,
)
_COLUMN = re.compile(
    rf"[\s|]+(?P<low>{NUMBER})\s*(?:-|–)\s*(?P<high>{NUMBER})(?P<op>)(?P<bound>)(?P<named>)"
    rf"(?:[\s|]*(?=\S\S|%)(?P<unit>(?:{UNIT})(?![A-Za-z])))?(?=[\s|]*(?:$|\n|[HL]\b|\*))",
    re.IGNORECASE,
)


def code_of(match: re.Match[str]) -> str:
    """The interpretation code of a match of one of the flags."""
    groups = match.groupdict()
    if groups.get("letter"):
        return _LETTER_CODES[groups["letter"].upper()]
    return next(code for name, code in _CODES.items() if groups.get(name))


def flag_after(text: str, begin: int, end: int, *, next_is_test: bool) -> re.Match[str] | None:
    """The flag that stands behind a value. A last word before the next test's name is that one's."""
    match = _TRAILING_LETTER.match(text, begin, end) or _BARE_LETTER.match(text, begin, end)
    if match is not None:
        return match
    match = _TRAILING_WORD.match(text, begin, end)
    if match is None or (next_is_test and not text[match.end() : end].strip(" ,;")):
        bracketed = match is not None and match.group().rstrip().endswith((")", "]"))
        return match if bracketed else None
    return match


def flag_before(text: str, begin: int, limit: int) -> re.Match[str] | None:
    """The flag that stands before a test's name at `begin`: `elevated troponin`."""
    return _BEFORE.search(text[max(limit, begin - _BEFORE_REACH) : begin])


def reference_range(text: str, begin: int, end: int) -> tuple[dict[str, Any], re.Match[str]] | None:
    """The reference range behind a value: `{"low", "high"}` (one may be missing), or None."""
    match = REFERENCE.match(text, begin, end) or _COLUMN.match(text, begin, end)
    if match is None:
        return None
    if match["low"]:
        low, high = (Decimal(match[name].replace(",", "")) for name in ("low", "high"))
        return ({"low": low, "high": high}, match) if low < high else None
    bound = Decimal(match["bound"].replace(",", ""))
    upper = match["op"].lower() in ("<", "<=", "≤", "up to", "less than", "under") or match[
        "op"
    ].lower().startswith("up")
    return {"high" if upper else "low": bound}, match
