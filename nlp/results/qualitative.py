"""Results in words: positive, non-reactive, trace, 2+, no growth. SNOMED CT qualifier values.

Each code's fully specified name is in the SNOMED International Global Patient Set of September
2020 (value set in `hl7.terminology.r4` 7.0.1).
"""

# ruff: noqa: E501 - a regular expression is read better unbroken

import re

from nlp.mention import Concept
from schemas import codes

VALUES = {
    "positive": ("10828004", "Positive"),
    "negative": ("260385009", "Negative"),
    "detected": ("260373001", "Detected"),
    "not_detected": ("260415000", "Not detected"),
    "reactive": ("11214006", "Reactive"),
    "nonreactive": ("131194007", "Non-Reactive"),
    "indeterminate": ("82334004", "Indeterminate"),
    "equivocal": ("42425007", "Equivocal"),
    "inconclusive": ("419984006", "Inconclusive"),
    "no_growth": ("264868006", "No growth"),
    "trace": ("260405006", "Trace"),
    "plus1": ("260347006", "Present + out of ++++"),
    "plus2": ("260348001", "Present ++ out of ++++"),
    "plus3": ("260349009", "Present +++ out of ++++"),
    "plus4": ("260350009", "Present ++++ out of ++++"),
    "normal": ("17621005", "Normal"),
    "abnormal": ("263654008", "Abnormal"),
    "high": ("75540009", "High"),
    "low": ("62482003", "Low"),
    "present": ("52101004", "Present"),
    "absent": ("2667000", "Absent"),
}
# The interpretation that a result in words states with its value.
INTERPRETED = {"normal": "N", "abnormal": "A", "high": "H", "low": "L"}

_WORDS = (
    r"(?P<not_detected>not\s+(?:been\s+)?detected|undetectable|non-?detected|none\s+detected)"
    r"|(?P<nonreactive>non-?\s?reactive|not\s+reactive|NR\b)"
    r"|(?P<no_growth>(?:no\s+growth|NGTD|NG)\b(?:\s*(?:to\s+date|so\s+far|final|thus\s+far|(?:at|after|for|x|in)\s*\d+\s*(?:h|hrs?|hours?|d|days?))?\b)?)"
    r"|(?P<negative>negative|neg\b|not\s+positive)"
    r"|(?P<indeterminate>indeterminate)|(?P<equivocal>equivocal)|(?P<inconclusive>inconclusive)"
    r"|(?P<positive>positive|pos\b)|(?P<reactive>reactive)|(?P<detected>detected)"
    r"|(?P<trace>trace|tr\b)"
    r"|(?P<plus4>4\+|\+4|\+{4})(?![\w+])|(?P<plus3>3\+|\+3|\+{3})(?![\w+])"
    r"|(?P<plus2>2\+|\+2|\+{2})(?![\w+])|(?P<plus1>1\+|\+1)(?![\w+])"
)
_NORMALITY = (
    r"|(?P<normal>normal|unremarkable|within\s+(?:the\s+)?normal\s+(?:limits|range)|WNL)"
    r"|(?P<abnormal>abnormal)|(?P<high>elevated|raised|high|increased|prolonged)|(?P<low>low|decreased|reduced)"
)
_DEGREE = r"(?:(?:strongly|weakly|slightly|mildly|markedly|moderately|all|also|again|still|both|completely|entirely|essentially|grossly|initially|persistently)\s+)*"
AFTER = re.compile(rf"\s*{_DEGREE}(?:{_WORDS}{_NORMALITY})(?![A-Za-z]|-[a-z])", re.IGNORECASE)
"""A result in words behind a test's name."""

_BEFORE = re.compile(
    rf"(?:^|[\s,;(:]){_DEGREE}(?:{_WORDS}{_NORMALITY})(?:\s+(?:rapid|urine|serum|blood|for|his|her|the))*\s*$",
    re.IGNORECASE,
)
_URINE_BEFORE = re.compile(
    r"(?:^|[\s,;(:])(?P<amount>no|small|moderate|large|many|few|rare|occasional)\s+$", re.IGNORECASE
)
_REACH = 32
# What a word behind the name must not be followed by: `low sodium diet`, `normal saline`.
FOR = re.compile(r"\s+for\s+", re.IGNORECASE)


def concept(name: str) -> Concept:
    """The SNOMED CT concept of a result in words."""
    code, display = VALUES[name]
    return Concept(codes.SNOMED, code, display)


def name_of(match: re.Match[str]) -> str:
    """Which result a match is: a key of `VALUES`."""
    return next(name for name in VALUES if match.groupdict().get(name))


def before(text: str, begin: int, limit: int) -> re.Match[str] | None:
    """The result in words that stands before a test's name: `trace protein`, `normal TSH`."""
    return _BEFORE.search(text[max(limit, begin - _REACH) : begin])


def amount_before(text: str, begin: int, limit: int) -> re.Match[str] | None:
    """An amount in words before what a urine strip shows: `no ketones`, `large blood`."""
    return _URINE_BEFORE.search(text[max(limit, begin - _REACH) : begin])
