"""The parts of a dosage in a stretch of text: amounts, strengths, forms, routes, durations, PRN.

Every part keeps its place in the text. `clauses` groups them as FHIR `Dosage` does: one clause for
`1 tablet every morning`, another for `and 2 at bedtime`.
"""

# ruff: noqa: E501 - a regular expression is read better unbroken

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from nlp.frequency import NUMBER, Frequency, find_frequencies, number, undotted_end

_MASS = r"(?:mg|mcg|micrograms?|µg|μg|ug|milligrams?|grams?|gm|g|meq|mmol|units?|iu|international units|u|million units|%)"
_VOLUME = r"(?:ml|milliliters?|cc|l|liters?|oz|teaspoons?|teaspoonfuls?|tsp|tablespoons?|tbsp)"
_COUNTED = (
    r"(?:tablets?|tabs?|capsules?|caps?|pills?|puffs?|sprays?|drops?|gtts?|patch(?:es)?|suppositor(?:y|ies)"
    r"|inhalations?|lozenges?|packets?|scoops?|vials?|ampules?|ampoules?|nebs?|nebulizers?|applications?|applicatorfuls?)"
)
UCUM_UNITS = {
    "mg": "mg", "milligram": "mg", "mcg": "ug", "microgram": "ug", "µg": "ug", "μg": "ug", "ug": "ug",
    "g": "g", "gm": "g", "gram": "g", "meq": "meq", "mmol": "mmol", "ml": "mL", "milliliter": "mL",
    "cc": "mL", "l": "L", "liter": "L", "iu": "[iU]", "international unit": "[iU]", "%": "%",
    "oz": "[foz_us]", "teaspoon": "[tsp_us]", "teaspoonful": "[tsp_us]", "tsp": "[tsp_us]",
    "tablespoon": "[tbs_us]", "tbsp": "[tbs_us]",
}  # fmt: skip
_SINGULAR = {
    "tabs": "tablet", "tab": "tablet", "tablets": "tablet", "caps": "capsule", "cap": "capsule",
    "capsules": "capsule", "patches": "patch", "gtt": "drop", "gtts": "drop", "drops": "drop",
    "suppositories": "suppository", "u": "unit", "units": "unit", "nebs": "nebulization",
    "neb": "nebulization",
}  # fmt: skip

_CONCENTRATION = re.compile(
    rf"(?P<n>{NUMBER})\s*(?P<u>{_MASS})\s*/\s*(?P<d>\d+(?:\.\d+)?\s*)?(?P<v>ml|cc|l|hr|hour|h|actuation|puff|spray|inh|dose|tablet|tab)\b(?!\s*/)",
    re.IGNORECASE,
)
_COMBINED = re.compile(
    r"(?P<n>\d+(?:\.\d+)?)\s*(?:mg|mcg|g)?\s*[-/]\s*(?P<m>\d+(?:\.\d+)?)\s*(?P<u>mg|mcg|g)\b(?!\s*/)"
    r"|(?<![\d/.])(?P<n0>\d{1,2}(?:\.\d)?)\s*/\s*(?P<m0>\d{3})(?![\d/])",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    rf"(?<![\w.])(?P<n>{NUMBER})\s*(?:(?:-|–|to|or)\s*(?P<m>{NUMBER})\s*)?-?(?P<u>(?:{_MASS}|{_VOLUME}|{_COUNTED}))(?![A-Za-z])(?!\s*/\s*(?:dl|l\b|kg\s*/))(?P<per>\s*/\s*kg)?",
    re.IGNORECASE,
)
# A bare number before a frequency, after "take" or "and": "take 2 at bedtime".
_BARE = re.compile(
    rf"(?:\b(?:take|takes|taking|then|and|plus|,)\s+)(?P<n>{NUMBER})\s*(?:(?:-|–|to|or)\s*(?P<m>{NUMBER})\s*)?(?=(?:po\b|p\.o\.|by mouth|orally|at|in|every|each|q|once|twice|b\.?i\.?d|t\.?i\.?d|daily|nightly|with|before)(?:\W|$|\d|h))",
    re.IGNORECASE,
)
_FORM = re.compile(
    rf"\b(?:(?:extended[- ]release|delayed[- ]release|immediate[- ]release|sustained[- ]release|enteric[- ]coated|chewable|oral|disintegrating|topical|nasal|ophthalmic|inhalation|rectal|vaginal|transdermal|metered[- ]dose)\s+)*(?:{_COUNTED[3:-1]}|cream|ointment|gel|lotion|solution|suspension|syrup|elixir|inhaler|nebulizer solution|injection|pen|kit|powder|foam|shampoo|liquid|eye drops|ear drops|drip|infusion|lozenge|troche|mdi|hfa|diskus)\b",
    re.IGNORECASE,
)
_ROUTES: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), code, display)
    for pattern, code, display in (
        (r"\bp\.?o\b\.?|\bby mouth\b|\borally\b|\boral(?:ly)?\b(?!\s+(?:cavity|intake|exam))|\bper os\b", "26643006", "Oral route"),
        (r"\bi\.?v\b\.?p?b?|\bintravenous(?:ly)?\b|\bivpb\b", "47625008", "Intravenous route"),
        (r"\bi\.?m\b\.?|\bintramuscular(?:ly)?\b", "78421000", "Intramuscular route"),
        (r"\bs\.?\s?(?:q|c)\b\.?|\bsub[- ]?q\b|\bsub[- ]?cut(?:aneous(?:ly)?)?\b(?!\s+(?:tissue|fat|layer|space|plane|pocket|emphysema|port|closure))\.?|\bsq\b|\bsc\b", "34206005", "Subcutaneous route"),
        (r"\bs\.?l\b\.?|\bsublingual(?:ly)?\b|\bunder the tongue\b", "37839007", "Sublingual route"),
        (r"\bp\.?r\b\.?|\bper rectum\b|\brectal(?:ly)?\b", "37161004", "Per rectum"),
        (r"\btopical(?:ly)?\b|\bto (?:the )?(?:affected|skin)\b(?: areas?)?", "6064005", "Topical route"),
        (r"\bintranasal(?:ly)?\b|\bin(?:to)? (?:each|both) nostrils?\b|\bnasal(?:ly)?\b|\b(?:each|per) nostril\b", "46713006", "Nasal route"),
        (r"\binh\b|\binhal(?:ed|ation)\b|\bvia (?:mdi|nebulizer|inhaler)\b|\bby inhalation\b|\bnebulized\b", "447694001", "Respiratory tract route"),
        (r"\b(?:both|each|right|left|affected) eyes?\b|\bophthalmic\b|\bo\.?[us]\b\.?(?=\s|$)", "54485002", "Ophthalmic route"),
        (r"\b(?:both|each|right|left|affected) ears?\b|\botic\b", "10547007", "Otic route"),
        (r"\btransdermal(?:ly)?\b", "45890007", "Transdermal route"),
        (r"\bvaginal(?:ly)?\b|\bper vagina\b", "16857009", "Per vagina"),
        (r"\b(?:via|per|through)\s+(?:(?:peg|g|ng|gastrostomy|feeding)[- ]?tube|peg)\b", "", "Via feeding tube"),
    )
)  # fmt: skip
_DURATION = re.compile(
    rf"\b(?:for(?:\s+(?:a\s+total\s+of|the\s+next|another|up\s+to))?|x|×|times)\s*(?P<n>{NUMBER})\s*(?:(?:-|–|to)\s*\d+\s*)?(?:more\s+|additional\s+)?(?P<u>days?|d|weeks?|wks?|months?|mos?|years?|hours?|hrs?)\b(?!\s*(?:ago|old))"
    rf"|\b(?P<n2>{NUMBER})[- ](?P<u2>day|week|month)s?\s+(?:course|supply|taper|regimen)\b",
    re.IGNORECASE,
)
_PRN = re.compile(
    r"\b(?:prn|p\.\s?r\.\s?n\.?|as needed|when needed|if needed|as necessary|as required)(?!\w)(?:\s+for\s+(?P<why>[a-z][a-z /\-]{2,40}?)(?=[.,;:()\n]|\s+(?:and|every|q|not|max|take|x)\b|$))?|\bp\.r\.n\.",
    re.IGNORECASE,
)
_TAPER = re.compile(r"\b(?:taper|tapering|sliding scale|titrate[ds]?|titration)\b", re.IGNORECASE)
_TIME_UNITS = {"d": "d", "w": "wk", "m": "mo", "y": "a", "h": "h"}


@dataclass(slots=True)
class Part:
    """One piece: `kind` is DOSE, STRENGTH, FORM, ROUTE, FREQUENCY, DURATION, AS_NEEDED or TAPER."""

    kind: str
    begin: int
    end: int
    value: dict[str, Any] = field(default_factory=dict)


def unit_of(written: str) -> tuple[str, str | None]:
    """The unit as one word in the singular, and its UCUM code if it has one.

    `units` of insulin or heparin have no UCUM code of their own: `U` is enzyme activity.
    """
    text = re.sub(r"\s+", " ", written.strip().lower())
    text = _SINGULAR.get(text, text)
    if text not in UCUM_UNITS and text.endswith("s"):
        text = text[:-1]
    return text, UCUM_UNITS.get(text)


def _quantity(low: str, high: str | None, unit: str, per_kg: bool = False) -> dict[str, Any] | None:
    value = number(low)
    if value is None or value <= 0:
        return None
    word, ucum = unit_of(unit)
    quantity: dict[str, Any] = {"value": value, "unit": word + ("/kg" if per_kg else "")}
    if ucum is not None:
        quantity["code"] = ucum + ("/kg" if per_kg else "")
    if high is not None:
        top = number(high)
        if top is not None and top > value:
            quantity["high"] = top
    return quantity


def _overlaps(parts: list[Part], begin: int, end: int) -> bool:
    return any(begin < part.end and part.begin < end for part in parts)


def _amounts(text: str, begin: int, end: int) -> list[Part]:
    parts: list[Part] = []
    for match in _CONCENTRATION.finditer(text, begin, end):
        value = _quantity(match["n"], None, match["u"])
        if value is not None:
            value["per"] = f"{(match['d'] or '').strip()} {match['v']}".strip()
            parts.append(Part("STRENGTH", *match.span(), value))
    for match in _AMOUNT.finditer(text, begin, end):
        if _overlaps(parts, *match.span()):
            continue
        value = _quantity(match["n"], match["m"], match["u"], bool(match["per"]))
        if value is not None:
            percent = match["u"] == "%"
            parts.append(Part("STRENGTH" if percent else "DOSE", *match.span(), value))
    for match in _COMBINED.finditer(text, begin, end):
        first, second = number(match["n"] or match["n0"]), number(match["m"] or match["m0"])
        overlapping = [p for p in parts if match.start() < p.end and p.begin < match.end()]
        if first is None or second is None or any("high" in p.value for p in overlapping):
            continue
        parts = [part for part in parts if part not in overlapping]
        parts.append(Part("STRENGTH", *match.span(), {"text": match.group()}))
    for match in _BARE.finditer(text, begin, end):
        start = match.start("n")
        stop = match.end("m") if match["m"] else match.end("n")
        value = _quantity(match["n"], match["m"], "")
        if value is not None and value["value"] <= 10 and not _overlaps(parts, start, stop):
            value.pop("unit")
            parts.append(Part("DOSE", start, stop, value))
    return parts


def _is_counted(part: Part) -> bool:
    unit = part.value.get("unit", "")
    return bool(re.fullmatch(_COUNTED, unit)) or "unit" not in part.value


def find_parts(text: str, begin: int, end: int) -> list[Part]:
    """The dosage parts in `text[begin:end]`, in order of place, not overlapping."""
    parts = _amounts(text, begin, end)
    frequencies: list[Frequency] = find_frequencies(text, begin, end)
    for found in frequencies:
        if not _overlaps(parts, found.begin, found.end):
            parts.append(Part("FREQUENCY", found.begin, found.end, {"repeat": found.repeat}))
    for match in _DURATION.finditer(text, begin, end):
        value = number(match["n"] or match["n2"])
        unit = match["u"] or match["u2"]
        if value is not None and value > 0:
            parts = [p for p in parts if not _overlaps([p], *match.span())]
            code = _TIME_UNITS[unit[0].lower()]
            parts.append(Part("DURATION", *match.span(), {"value": value, "unit": code}))
    for match in _PRN.finditer(text, begin, end):
        if not _overlaps(parts, *match.span()):
            why = {"reason": match["why"].strip()} if match["why"] else {}
            parts.append(Part("AS_NEEDED", *match.span(), why))
    for pattern, code, display in _ROUTES:
        for match in pattern.finditer(text, begin, end):
            if not _overlaps(parts, *match.span()):
                route = {"code": code, "display": display}
                parts.append(Part("ROUTE", match.start(), undotted_end(match), route))
    for match in _FORM.finditer(text, begin, end):
        if not _overlaps(parts, *match.span()):
            parts.append(Part("FORM", *match.span(), {"form": match.group().lower()}))
    for match in _TAPER.finditer(text, begin, end):
        if not _overlaps(parts, *match.span()):
            parts.append(Part("TAPER", *match.span()))
    parts.sort(key=lambda part: part.begin)
    _tell_strength_from_dose(parts)
    return parts


def _tell_strength_from_dose(parts: list[Part]) -> None:
    """`500 mg tablet, take 2 tablets`: with a counted dose, an amount of mass is a strength."""
    doses = [part for part in parts if part.kind == "DOSE"]
    if not any(_is_counted(part) for part in doses):
        return
    for part in doses:
        if not _is_counted(part) and part.value.get("unit") not in ("mL", "ml", "cc", "unit"):
            part.kind = "STRENGTH"


@dataclass(slots=True)
class Clause:
    """What one `Dosage` says: a dose, when, which way, how long."""

    dose: dict[str, Any] | None = None
    repeat: dict[str, Any] | None = None
    route: dict[str, Any] | None = None
    duration: dict[str, Any] | None = None
    as_needed: bool = False


def clauses(parts: list[Part]) -> list[Clause]:
    """Dosage clauses in order. A dose after a frequency starts the next one."""
    found: list[Clause] = []
    current = Clause()
    for part in parts:
        if part.kind == "DOSE":
            said_when = current.repeat is not None or current.duration is not None
            if current.dose is not None and said_when:
                found.append(current)
                current = Clause(route=current.route)
            elif current.dose is not None:
                continue
            current.dose = part.value
        elif part.kind == "FREQUENCY":
            repeat = part.value["repeat"]
            if current.repeat is None:
                current.repeat = dict(repeat)
            elif not _joined(current.repeat, repeat):
                found.append(current)
                current = Clause(current.dose, dict(repeat), current.route)
        elif part.kind == "ROUTE" and current.route is None:
            current.route = part.value
        elif part.kind == "DURATION" and current.duration is None:
            current.duration = part.value
        elif part.kind == "AS_NEEDED":
            current.as_needed = True
    if current != Clause():
        found.append(current)
    if len(found) > 1:
        route = next((clause.route for clause in found if clause.route), None)
        for clause in found:
            clause.route = clause.route or route
    return found


def _joined(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether two frequencies are one: `twice daily with meals`, `daily in the morning`.

    `first` then takes over what `second` adds. `every morning and at bedtime` is not one.
    """
    if second.get("count") == 1 or first.get("count") == 1:
        first.setdefault("count", 1)
        return True
    when = second.get("when")
    if when in (["C"], ["AC"], ["PC"]) and "when" not in first:
        first["when"] = when
        return True
    if first.get("when") in (["C"], ["AC"], ["PC"]) and when is None:
        first.update({k: v for k, v in second.items() if k != "when"})
        return True
    plain = first.get("frequency") == 1 and first.get("periodUnit") == "d" and "when" not in first
    if plain and first.get("period") == Decimal(1) and when is not None:
        first["when"] = when
        return True
    return second == {k: v for k, v in first.items() if k != "when"}
