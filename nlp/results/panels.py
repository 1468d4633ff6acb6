"""Several results written as one: `AST/ALT 45/60`, `ABG 7.32/50/60/24`, `H&H 10.2/31`."""

# ruff: noqa: E501 - a regular expression is read better unbroken

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nlp.mention import Attribute
from nlp.results.interpretation import NUMBER
from nlp.results.units import fitting_unit
from nlp.terminology import Term

JOINT = re.compile(r"\s*[/&|]\s*|,?\s+and\s+|,\s*")
"""What joins the names of tests whose values follow together."""

_LINK = r"(?:\s*(?::|=|-(?=\s)|\b(?:is|was|were|are|of|at|levels?|counts?|ratio|today|now|elevated|normal|low|high|both|respectively|stable|showed|with|(?:on|RA)\s+(?:room\s+air|ra|admission|arrival|\d+\s*l(?:iters?)?(?:\s*nc)?|\d+\s*%(?:\s*fio2)?))\b|\(\s*(?:ra|room\s+air|on\s+[^()]{1,20})\s*\))){0,5}\s*"
_SEPARATOR = r"\s*(?:/|,|\||\band\b|&|,\s*and\b)\s*"
_VALUES = re.compile(
    rf"{_LINK}(?P<list>(?:{NUMBER})\s*%?(?:{_SEPARATOR}(?:{NUMBER})\s*%?)+)(?!\s*/?\s*\d|[A-Za-z])",
    re.IGNORECASE,
)
_ONE = re.compile(rf"(?P<value>{NUMBER})(?P<percent>\s*%)?")
_REFUSED = re.compile(
    r"\s*(?:mg|mcg|years?|days?|hours?|weeks?|months?|units|tabs?)\b(?!\s*/)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a panel: LOINC code, display, UCUM unit, plausible range."""

    loinc: str
    display: str
    unit: str
    low: float
    high: float


_HGB = Part("718-7", "Hemoglobin", "g/dL", 2, 25)
_HCT = Part("4544-3", "Hematocrit", "%", 5, 75)
PANELS: dict[str, tuple[Part, ...]] = {
    # The order of a written blood gas is fixed: pH/pCO2/pO2/HCO3.
    "arterial blood gas": (
        Part("2744-1", "pH of arterial blood", "[pH]", 6.5, 8),
        Part("2019-8", "Carbon dioxide in arterial blood", "mm[Hg]", 8, 150),
        Part("2703-7", "Oxygen in arterial blood", "mm[Hg]", 20, 700),
        Part("1960-4", "Bicarbonate in arterial blood", "mmol/L", 3, 60),
    ),
    "hemoglobin and hematocrit": (_HGB, _HCT),
    "Apgar score": (
        Part("9272-6", "1 minute Apgar score", "{score}", 0, 10),
        Part("9274-2", "5 minute Apgar score", "{score}", 0, 10),
    ),
}
_MINIMUM = {"arterial blood gas": 3}


def _numbers(text: str, begin: int, end: int) -> list[re.Match[str]]:
    match = _VALUES.match(text, begin, end)
    if match is None or _REFUSED.match(text, match.end(), end):
        return []
    return list(_ONE.finditer(text, *match.span("list")))


def read_several(text: str, begin: int, end: int, terms: Sequence[Term | None]) -> list[Attribute]:
    """One value for each of `terms`, in order; nothing unless all fit and their number is right."""
    found = _numbers(text, begin, end)
    if len(found) != len(terms):
        return []
    values: list[Attribute] = []
    for match, term in zip(found, terms, strict=True):
        value = Decimal(match["value"].replace(",", ""))
        fit = fitting_unit(term, value, "%" if match["percent"] else None)
        if term is None or term.type != "LAB" or not term.units or not fit.fits:
            return []
        content: dict[str, Any] = {"value": value, "unitWritten": fit.written}
        if fit.code is not None:
            content |= {"code": fit.code, "unit": fit.code}
        values.append(Attribute("TEST_VALUE", match["value"], *match.span("value"), 1.0, content))
    return values


def read_panel(text: str, begin: int, end: int, name: str) -> list[Attribute]:
    """The values behind a panel's name as one TEST_VALUE with `components`, or nothing."""
    parts = PANELS[name]
    found = _numbers(text, begin, end)
    if not _MINIMUM.get(name, len(parts)) <= len(found) <= len(parts) + (name in _MINIMUM):
        return []
    components: list[dict[str, Any]] = []
    for match, part in zip(found, parts, strict=False):
        value = Decimal(match["value"].replace(",", ""))
        if not part.low <= value <= part.high:
            return []
        components.append(
            {"loinc": part.loinc, "display": part.display, "value": value, "code": part.unit}
        )
    span = found[0].start(), found[-1].end()
    content = {"components": components, "unitWritten": False}
    return [Attribute("TEST_VALUE", text[span[0] : span[1]], *span, 1.0, content)]
