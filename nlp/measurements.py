"""Measurements: gives each test the value and unit that are about it.

A value without a unit gets the test's usual unit only if it is plausible in it; a value with a
unit that the test cannot have, or outside every plausible range, is not taken: a wrong number is
worse than none.
"""

# ruff: noqa: E501 - a regular expression is read better unbroken

import re
from decimal import Decimal
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span

from nlp.mention import TEST, Attribute
from nlp.terminology import Term, knowledge_base

# Written unit (lower case, no blanks) → UCUM.
UNITS = {
    "%": "%", "percent": "%", "mg/dl": "mg/dL", "g/dl": "g/dL", "gm/dl": "g/dL", "g/l": "g/L",
    "mmol/l": "mmol/L", "mmol": "mmol/L", "meq/l": "meq/L", "meq": "meq/L", "umol/l": "umol/L",
    "μmol/l": "umol/L", "µmol/l": "umol/L", "mcmol/l": "umol/L", "mmol/mol": "mmol/mol",
    "k/ul": "10*3/uL", "k/μl": "10*3/uL", "k/µl": "10*3/uL", "k/mcl": "10*3/uL", "k": "10*3/uL",
    "thou/ul": "10*3/uL", "x10^3/ul": "10*3/uL", "10^3/ul": "10*3/uL", "x10e3/ul": "10*3/uL",
    "x10^9/l": "10*9/L", "10^9/l": "10*9/L", "k/mm3": "10*3/uL", "thousand": "10*3/uL",
    "/mm3": "/uL", "/ul": "/uL", "cells/ul": "/uL", "cells/mm3": "/uL", "/cumm": "/uL",
    "m/ul": "10*6/uL", "10^6/ul": "10*6/uL", "x10^12/l": "10*12/L",
    "u/l": "U/L", "units/l": "U/L", "iu/l": "[IU]/L", "u/ml": "U/mL", "iu/ml": "[IU]/mL",
    "ng/ml": "ng/mL", "ng/l": "ng/L", "ng/dl": "ng/dL", "pg/ml": "pg/mL", "pg/dl": "pg/dL",
    "ug/dl": "ug/dL", "mcg/dl": "ug/dL", "ug/ml": "ug/mL", "mcg/ml": "ug/mL", "mg/l": "mg/L",
    "miu/l": "m[IU]/L", "miu/ml": "m[IU]/mL", "uiu/ml": "u[IU]/mL", "μiu/ml": "u[IU]/mL",
    "µiu/ml": "u[IU]/mL", "mu/l": "m[IU]/L", "mm/hr": "mm/h", "mm/h": "mm/h", "mm/hour": "mm/h",
    "mmhg": "mm[Hg]", "mmofhg": "mm[Hg]", "bpm": "/min", "beats/min": "/min", "beats/minute": "/min",
    "beatsperminute": "/min", "/min": "/min", "breaths/min": "/min", "breathsperminute": "/min",
    "f": "[degF]", "°f": "[degF]", "degf": "[degF]", "degreesf": "[degF]",
    "degreesfahrenheit": "[degF]", "fahrenheit": "[degF]", "c": "Cel", "°c": "Cel",
    "degreesc": "Cel", "degreescelsius": "Cel", "celsius": "Cel", "kg": "kg", "kgs": "kg",
    "kilograms": "kg", "lb": "[lb_av]", "lbs": "[lb_av]", "pounds": "[lb_av]", "cm": "cm",
    "inches": "[in_i]", "in": "[in_i]", "kg/m2": "kg/m2", "kg/m^2": "kg/m2", "kg/m²": "kg/m2",
    "ml/min": "mL/min", "ml/min/1.73m2": "mL/min/{1.73_m2}", "ml/min/1.73": "mL/min/{1.73_m2}",
    "ml/min/1.73m^2": "mL/min/{1.73_m2}", "ml/min/1.73m²": "mL/min/{1.73_m2}",
    "fl": "fL", "sec": "s", "seconds": "s", "s": "s", "mg/g": "mg/g", "mcg/mg": "ug/mg",
    "l/min": "L/min", "g/24h": "g/(24.h)",
}  # fmt: skip
# Units that are the same amount under another name: either is taken for the other.
_EQUAL = (
    {"10*3/uL", "10*9/L"},
    {"10*6/uL", "10*12/L"},
    {"m[IU]/L", "u[IU]/mL"},
    {"U/L", "[IU]/L"},
    {"ng/mL", "ug/L"},
    {"mL/min/{1.73_m2}", "mL/min"},
    {"ng/L", "pg/mL"},
    {"mg/g", "ug/mg"},
)
_UNIT = "|".join(
    re.escape(unit).replace("/", r"\s*/\s*").replace(r"\^", r"\s*\^\s*")
    for unit in sorted(UNITS, key=len, reverse=True)
)
_UNIT = (
    r"degrees?\s*(?:fahrenheit|celsius|f|c)\b|beats\s+per\s+minute|breaths\s+per\s+minute"
    rf"|mm\s+of\s+hg|mm\s*hg|ml\s*/\s*min\s*/\s*1\.73\s*m(?:2|\^2|²)?|{_UNIT}"
)
_LINK = (
    r"(?:\s*(?:\(!\)|\([A-Za-z ,/0-9.%\-]{0,24}\)|:|=|~|\||,?\s*(?:which|that)\b|\b(?:level|levels|count|value|result|reading|rate|score|range|today|yesterday"
    r"|currently|now|repeat|last|most recent|on admission|on arrival|at discharge|on room air|this morning|is|was|were|of|at|has been|had been|remains|remained|improved|increased"
    r"|decreased|rose|fell|dropped|elevated|low|high|stable|normal|measured|found|noted|to be|came back|returned|"
    r"around|about|approximately|approx|down|up|to|estimated|peaked|check(?:ed)?|in the clinic|here|a bit|slightly|mildly|still|well controlled|"
    r"oral|orally|tympanic|rectal)\b|-(?=\s)|,(?=\s*\d)|\+|\bH\b|\bL\b)){0,7}\s*"
)
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d{1,6})(?:\.\d{1,4})?|\.\d{1,3}"
_VALUE = re.compile(
    rf"{_LINK}(?:(?P<from>from\s+(?:{_NUMBER})\s*(?:{_UNIT})?\s+to\s+)|(?P<arrow>(?:(?:{_NUMBER})\s*(?:->|→|>)\s*)+))?"
    rf"(?P<cmp>[<>≤≥]=?\s*|(?:less|greater|more)\s+than\s+)?(?P<value>{_NUMBER})"
    rf"(?:\s*(?P<unit>(?:{_UNIT})(?![A-Za-z])))?(?P<rest>\s*(?:/|-|–|to\b|x\b|:)\s*\d)?",
    re.IGNORECASE,
)
_BLOOD_PRESSURE = re.compile(
    rf"{_LINK}(?P<systolic>\d{{2,3}})\s*(?:/|over)\s*(?P<diastolic>\d{{2,3}})(?!\s*/?\s*\d)"
    r"(?:\s*(?P<unit>mm\s*hg|mm\s+of\s+hg))?",
    re.IGNORECASE,
)
_RANGE = re.compile(
    rf"{_LINK}(?:(?:in\s+(?:the\s+)?)?(?P<low>{_NUMBER})\s*%?\s*(?:-|–|to)\s*(?P<high>{_NUMBER}))(?![\d/:.]|s\b|\s*[-–/]\s*\d)"
    rf"(?:\s*(?P<unit>(?:{_UNIT})(?![A-Za-z])))?",
    re.IGNORECASE,
)
_FEET = re.compile(
    rf"{_LINK}(?P<feet>[1-7])\s*(?:['′’]|ft\.?|feet|foot)[\s,-]*(?:(?P<inches>\d{{1,2}}(?:\.\d+)?|\d+\s*1/2)\s*(?:[\"″”]|''|in\b\.?|inch(?:es)?)?)?(?!\d)",
    re.IGNORECASE,
)
_METRES = re.compile(rf"{_LINK}(?P<metres>[0-2]\.\d{{1,2}})\s*m(?:et(?:er|re)s?)?\b", re.IGNORECASE)
_GOAL = re.compile(r"\b(?:goal|target)s?\s*(?:for|of|is|:)?\s*$", re.IGNORECASE)
_GOAL_REACH = 20
# What joins two tests whose values are written as a pair: `Hgb/Hct 10.2/31`.
_PAIR_JOINT = re.compile(r"\s*[/&]\s*|\s+and\s+")
_PAIR = re.compile(
    rf"{_LINK}(?P<first>{_NUMBER})\s*%?\s*/\s*(?P<second>{_NUMBER})(?!\s*/|\d)", re.IGNORECASE
)
_OUT_OF = re.compile(r"\s*(?:/|out of|of)\s*(?P<most>\d+)(?![\d/]|\.\d)")
_INCHES_PER_FOOT = 12
_HEIGHT_LOINC, _SCORE, _INCH = "8302-2", "{score}", "[in_i]"
_RANGED_NAMES = ("glucose", "fasting glucose", "fingerstick glucose")
_AFTER_REFUSED = re.compile(
    r"\s*(?:(?:years?|yrs?|y/?o|days?|weeks?|months?|hours?|minutes?|times|pm|am|mg|mcg|milligrams?|units?|tabs?|th\b|st\b|nd\b|rd\b)\b|[/\-]\s*\d{1,2}\s*/)",
    re.IGNORECASE,
)
_COMPARATORS = {"<": "<", ">": ">", "≤": "<=", "≥": ">=", "<=": "<=", ">=": ">=", "less than": "<",
                "greater than": ">", "more than": ">"}  # fmt: skip
_REACH = 90
_BP_LOINC = "85354-9"
_LOW_SYSTOLIC, _HIGH_SYSTOLIC, _LOW_DIASTOLIC, _HIGH_DIASTOLIC = 50, 300, 20, 200


def unit_code(written: str) -> str | None:
    """The UCUM code of a unit as written, None when it is not known."""
    compact = re.sub(r"\s+", "", written.lower()).replace("degree", "degrees").replace("ss", "s")
    return UNITS.get(compact)


def _same_unit(one: str, other: str) -> bool:
    return one == other or any(one in equal and other in equal for equal in _EQUAL)


def fitting_unit(term: Term | None, value: Decimal, written: str | None) -> tuple[bool, str | None]:
    """Whether `value` can be this test's, and its UCUM unit (None: it has none that is known)."""
    units = term.units if term is not None else ()
    if written is not None:
        code = unit_code(written)
        if code is None or not units:
            return code is not None, code
        for unit in units:
            if _same_unit(unit.ucum, code):
                plausible = unit.low is None or unit.high is None
                return plausible or unit.low <= value <= unit.high, code  # type: ignore[operator]
        return False, None
    if term is not None and term.type == "VITAL" and not units:
        return False, None  # A height or weight says nothing without its unit.
    ranged = [unit for unit in units if unit.low is not None and unit.high is not None]
    for unit in ranged:
        if unit.low <= value <= unit.high:  # type: ignore[operator]
            return True, unit.ucum
    return not ranged and not units, None


def read_value(text: str, begin: int, end: int, term: Term | None) -> list[Attribute]:
    """The TEST_VALUE (and TEST_UNIT, where written) that follows a test's name, or nothing."""
    match = _VALUE.match(text, begin, end)
    if match is None or (match["rest"] and not _is_score(text, match, term)):
        return []
    if not match["unit"] and _AFTER_REFUSED.match(text, match.end("value"), end):
        return []
    value = Decimal(match["value"].replace(",", ""))
    fits, code = fitting_unit(term, value, match["unit"])
    if not fits:
        return []
    content: dict[str, Any] = {"value": value}
    if match["cmp"]:
        content["comparator"] = _COMPARATORS[re.sub(r"\s+", " ", match["cmp"].strip().lower())]
    if code is not None:
        content["code"] = code
        content["unit"] = match["unit"] or code
        content["unitWritten"] = match["unit"] is not None
    found = [Attribute("TEST_VALUE", match["value"], *match.span("value"), 1.0, content)]
    if match["unit"]:
        found.append(
            Attribute("TEST_UNIT", match["unit"], *match.span("unit"), 1.0, {"code": code})
        )
    return found


def _is_score(text: str, match: re.Match[str], term: Term | None) -> bool:
    """Whether what follows the value is what it is out of: `8/10`, `24 out of 30`."""
    if term is None or not any(unit.ucum == _SCORE for unit in term.units):
        return False
    out_of = _OUT_OF.match(text, match.end("value"))
    return out_of is not None and any(unit.high == int(out_of["most"]) for unit in term.units)


def read_range(text: str, begin: int, end: int, term: Term) -> list[Attribute]:
    """The range that follows a test's name (`EF 35-40%`), or nothing.

    Only for what is measured at the bedside or estimated: in a laboratory report `12-16` behind a
    name is the reference range, not a result.
    """
    if term.type not in ("VITAL", "FUNCTION") and term.name not in _RANGED_NAMES:
        return []
    match = _RANGE.match(text, begin, end)
    if match is None or _AFTER_REFUSED.match(text, match.end()):
        return []
    low, high = (Decimal(match[name].replace(",", "")) for name in ("low", "high"))
    fits_low, code = fitting_unit(term, low, match["unit"])
    fits_high, same = fitting_unit(term, high, match["unit"])
    if not (fits_low and fits_high and low < high and code == same):
        return []
    content: dict[str, Any] = {"value": low, "high": high}
    if code is not None:
        content |= {"code": code, "unit": match["unit"] or code}
    begin, end = match.start("low"), match.end("unit" if match["unit"] else "high")
    return [Attribute("TEST_VALUE", text[begin:end], begin, end, 1.0, content)]


def read_height(text: str, begin: int, end: int) -> list[Attribute]:
    """A height in metres, or in feet and inches as inches; nothing when it is not written so."""
    metres = _METRES.match(text, begin, end)
    if metres is not None:
        value = {"value": Decimal(metres["metres"]), "code": "m", "unit": "m"}
        return [Attribute("TEST_VALUE", metres["metres"], *metres.span("metres"), 1.0, value)]
    match = _FEET.match(text, begin, end)
    if match is None:
        return []
    written = match["inches"] or "0"
    half = Decimal("0.5") if written.endswith("1/2") else Decimal(0)
    inches = Decimal(written.removesuffix("1/2").strip() or "0") + half
    if inches >= _INCHES_PER_FOOT:
        return []
    value = {"value": int(match["feet"]) * _INCHES_PER_FOOT + inches, "code": _INCH, "unit": "in"}
    begin, end = match.start("feet"), match.end()
    return [Attribute("TEST_VALUE", text[begin:end], begin, end, 1.0, value)]


def read_pair(
    text: str, begin: int, end: int, terms: tuple[Term | None, Term | None]
) -> tuple[list[Attribute], list[Attribute]]:
    """The values of two tests that are written as a pair: `Hgb/Hct 10.2/31`, or nothing."""
    match = _PAIR.match(text, begin, end)
    if match is None or _AFTER_REFUSED.match(text, match.end()):
        return [], []
    found: list[list[Attribute]] = []
    for name, term in zip(("first", "second"), terms, strict=True):
        value = Decimal(match[name].replace(",", ""))
        fits, code = fitting_unit(term, value, None)
        if term is None or term.type != "LAB" or not fits:
            return [], []
        content: dict[str, Any] = {"value": value}
        if code is not None:
            content |= {"code": code, "unit": code, "unitWritten": False}
        found.append([Attribute("TEST_VALUE", match[name], *match.span(name), 1.0, content)])
    return found[0], found[1]


def read_blood_pressure(text: str, begin: int, end: int) -> list[Attribute]:
    """Systolic and diastolic pressure in mm[Hg] after the words blood pressure, or nothing."""
    match = _BLOOD_PRESSURE.match(text, begin, end)
    if match is None:
        return []
    systolic, diastolic = Decimal(match["systolic"]), Decimal(match["diastolic"])
    if not (
        _LOW_SYSTOLIC <= systolic <= _HIGH_SYSTOLIC
        and _LOW_DIASTOLIC <= diastolic <= _HIGH_DIASTOLIC
        and systolic > diastolic
    ):
        return []
    span = match.start("systolic"), match.end("diastolic")
    value = {"systolic": systolic, "diastolic": diastolic, "code": "mm[Hg]", "unit": "mmHg"}
    return [Attribute("TEST_VALUE", text[span[0] : span[1]], *span, 1.0, value)]


class Measurements:
    """Adds TEST_VALUE and TEST_UNIT to tests."""

    def __init__(self) -> None:
        self._kb = knowledge_base()

    def __call__(self, doc: Doc) -> Doc:
        """Read what follows each test on its line, up to the next entity."""
        text = doc.text
        ents = doc.ents
        for position, ent in enumerate(ents):
            if ent.label_ != TEST or any(a.type == "TEST_VALUE" for a in ent._.attributes):
                continue
            if _GOAL.search(text, max(0, ent.start_char - _GOAL_REACH), ent.start_char):
                continue  # `Goal LDL < 70` is not a result.
            end = min(len(text), ent.end_char + _REACH)
            line_end = text.find("\n", ent.end_char, end)
            end = line_end if line_end >= 0 else end
            if position + 1 < len(ents):
                following = ents[position + 1]
                if self._read_pair(text, ent, following, end):
                    continue
                end = min(end, following.start_char)
            found = self._read(text, ent, end)
            if found:
                ent._.attributes = [*ent._.attributes, *found]
        return doc

    def _read_pair(self, text: str, first: Span, second: Span, end: int) -> bool:
        if second.label_ != TEST or not _PAIR_JOINT.fullmatch(
            text, first.end_char, second.start_char
        ):
            return False
        terms = (self._kb.term(first.kb_id_), self._kb.term(second.kb_id_))
        values = read_pair(text, second.end_char, end, terms)
        for ent, found in zip((first, second), values, strict=True):
            ent._.attributes = [*ent._.attributes, *found]
        return bool(values[0])

    def _read(self, text: str, ent: Span, end: int) -> list[Attribute]:
        term = self._kb.term(ent.kb_id_)
        if term is not None and term.type == "IMAGING":
            return []
        if term is not None and any(code.code == _BP_LOINC for code in term.codes):
            return read_blood_pressure(text, ent.end_char, end)
        if term is not None and any(code.code == _HEIGHT_LOINC for code in term.codes):
            height = read_height(text, ent.end_char, end)
            if height:
                return height
        if term is not None:
            ranged = read_range(text, ent.end_char, end, term)
            if ranged:
                return ranged
        return read_value(text, ent.end_char, end, term)


@Language.factory("measurements", requires=["doc.ents"])
def create_measurements(nlp: Language, name: str) -> Measurements:
    """The factory that spaCy calls."""
    return Measurements()
