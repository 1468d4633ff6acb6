"""How often: `BID`, `q4-6h`, `every other day`, `twice a week` as FHIR `Timing.repeat`.

https://hl7.org/fhir/R4/datatypes.html#Timing. Units are UCUM: h, d, wk, mo; `when` are the event
codes of v3 TimingEvent (MORN, NIGHT, HS, C, AC, PC).
"""

# ruff: noqa: E501 - a regular expression is read better unbroken

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

_NUMBERS: dict[str, int | str] = {
    "a": 1, "an": 1, "one": 1, "once": 1, "two": 2, "twice": 2, "three": 3, "thrice": 3,
    "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12,
    "fourteen": 14, "other": 2, "second": 2, "third": 3, "half": "0.5", "half a": "0.5",
    "one half": "0.5", "one-half": "0.5", "½": "0.5",
}  # fmt: skip
NUMBER_WORDS = r"one-half|one half|half a|half|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fourteen"
NUMBER = rf"(?:\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d)?|\.\d+|½|(?:{NUMBER_WORDS})\b)"
_UNIT = {"h": "h", "d": "d", "w": "wk", "m": "mo"}


@dataclass(frozen=True, slots=True)
class Frequency:
    """Where in the text, and `Timing.repeat`."""

    begin: int
    end: int
    repeat: dict[str, Any]


def number(text: str) -> Decimal | None:
    """The value of `2`, `1,000`, `1/2`, `½`, `two`; None when it is none."""
    cleaned = re.sub(r"[\s,]", "", text) if text[:1].isdigit() else text.strip().lower()
    if cleaned in _NUMBERS:
        return Decimal(_NUMBERS[cleaned])
    whole, slash, part = cleaned.partition("/")
    try:
        if slash:
            value = Decimal(whole) / Decimal(part)
            return value if value == value.quantize(Decimal("0.001")) else None
        return Decimal(cleaned)
    except ArithmeticError:
        return None


def _every(count: str, unit: str, upper: str | None = None) -> dict[str, Any]:
    period = number(count)
    if period is None or period <= 0:
        return {}
    code = _UNIT.get(unit[0].lower())
    if code is None:
        return {}
    if unit.lower().startswith("min"):
        code = "min"
    repeat: dict[str, Any] = {"frequency": 1, "period": period}
    if upper is not None:
        highest = number(upper)
        if highest is not None and highest > period:
            repeat["periodMax"] = highest
    repeat["periodUnit"] = code
    return repeat


def _times(count: str, unit: str, upper: str | None = None) -> dict[str, Any]:
    often = number(count)
    if often is None or often != often.to_integral_value() or not 1 <= often <= 24:
        return {}
    repeat: dict[str, Any] = {"frequency": int(often)}
    if upper is not None:
        highest = number(upper)
        if highest is not None and highest > often and highest == highest.to_integral_value():
            repeat["frequencyMax"] = int(highest)
    repeat["period"] = Decimal(1)
    repeat["periodUnit"] = _UNIT[unit[0].lower()]
    return repeat


def _daily(times: int, when: str | None = None) -> dict[str, Any]:
    repeat: dict[str, Any] = {"frequency": times, "period": Decimal(1), "periodUnit": "d"}
    if when is not None:
        repeat["when"] = [when]
    return repeat


# How clinicians write sets of days: one `T` is Tuesday, the second Thursday, likewise with `S`.
_DAY_SETS = {
    "mwf": "mon wed fri", "tts": "tue thu sat", "tths": "tue thu sat", "tuthsa": "tue thu sat",
    "tthsa": "tue thu sat", "ttsa": "tue thu sat", "ttss": "tue thu sat sun",
    "tthss": "tue thu sat sun", "tthsasu": "tue thu sat sun", "tth": "tue thu", "tuth": "tue thu",
    "mwfsu": "mon wed fri sun", "mwfs": "mon wed fri sat", "mtwthf": "mon tue wed thu fri",
    "mtwrf": "mon tue wed thu fri", "mf": "mon fri", "wf": "wed fri", "mw": "mon wed",
}  # fmt: skip
_DAY_NAME = r"(?:mon|tue(?:s)?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:days?)?"
_DAY_JOINT = r"(?:\s*[/,&+\-]\s*(?:and\s+)?|\s+and\s+)"


def _on_days(written: str) -> dict[str, Any]:
    compact = re.sub(r"[^a-z]", "", written.lower())
    days = _DAY_SETS.get(compact)
    named = days.split() if days else [n[:3] for n in re.findall(_DAY_NAME, written.lower())]
    return {"dayOfWeek": list(dict.fromkeys(named))} if named else {}


_COUNT = rf"(?:\d+|{NUMBER_WORDS}|once|twice|thrice)"
_DAY = r"(?:(?:a|per|each|every|/)\s*)?(?:day|daily)\b|/\s*d\b"
_Q = r"\bq\.?\s*"

# Ordered: the first that matches at a place wins, so longer wordings stand before shorter ones.
_PATTERNS: tuple[tuple[re.Pattern[str], Any], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), build)
    for pattern, build in (
        (r"(?-i:\b(?:M/?W/?F(?:/?Su?)?|T(?:u|h|/)?T?h?/?S(?:a|at)?/?(?:S|Su|Sun)?|T/?Th|M/?T/?W/?(?:Th|R)/?F|M/?F|W/?F|M/?W)\b)",
         lambda m: _on_days(m.group()) if re.sub("[^a-z]", "", m.group().lower()) in _DAY_SETS else {}),
        (rf"\b{_DAY_NAME}(?:{_DAY_JOINT}{_DAY_NAME})+\b", lambda m: _on_days(m.group())),
        (r"\b(?:on|every|each)\s+(?P<d>(?:mon|tues|wednes|thurs|fri|satur|sun)days?)\b(?!\s+(?:he|she|the|they|we|patient|night|morning))",
         lambda m: {"dayOfWeek": [m["d"].lower()[:3]]}),
        (rf"(?:{_Q}|\bevery\s+|\beach\s+)(?P<n>\d+)\s*(?:-|–|to)\s*(?P<m>\d+)\s*(?P<u>h(?:ou)?rs?\.?|h\b|days?|d\b|weeks?|wks?|months?)",
         lambda m: _every(m["n"], m["u"], m["m"])),
        (rf"\bevery\s+(?P<n>\d+|{NUMBER_WORDS})\s*(?:-\s*)?(?P<u>hours?|hrs?|h|days?|weeks?|wks?|months?)\b",
         lambda m: _every(m["n"], m["u"])),
        (rf"{_Q}(?P<n>\d+)\s*(?P<u>hours?|hrs?\.?|h\b|°|days?|d\b|weeks?|wks?|w\b|months?|mo\b)",
         lambda m: _every(m["n"], "h" if m["u"] == "°" else m["u"])),
        (rf"(?:{_Q}|\bevery\s+)(?P<n>\d+)\s*(?P<u>min(?:ute)?s?)\b", lambda m: _every(m["n"], m["u"])),
        (r"\bbefore\s+(?P<meal>lunch|dinner|supper)\b", lambda m: _daily(1, "ACD" if m["meal"].lower() == "lunch" else "ACV")),
        (r"\b(?:every|each)\s+other\s+(?P<u>day|week|month|night|morning|evening)\b|\bq\.?o\.?d\b\.?|\balternate days\b",
         lambda m: _every("2", {"night": "d", "morning": "d", "evening": "d"}.get((m["u"] or "day").lower(), m["u"] or "day"))),
        (rf"\b(?P<n>{_COUNT})\s*(?:-|–|to|or)\s*(?P<m>\d+|{NUMBER_WORDS})\s*(?:times|x)\s*(?:a|per|each|every|/)?\s*(?P<u>day|daily|week|weekly|month)\w*",
         lambda m: _times(m["n"], m["u"], m["m"])),
        (rf"\b(?P<n>{_COUNT})\s*(?:times|x|×)\s*(?:a|an|per|each|every|/|-)?\s*(?P<u>day|daily|week|weekly|month|monthly)\b",
         lambda m: _times(m["n"], m["u"])),
        (r"\b(?P<n>once|twice|thrice)\s*(?:a|an|per|each|every|-)?\s*(?P<u>daily|day|weekly|week|wk|monthly|month)\b",
         lambda m: _times(m["n"], m["u"])),
        (r"\bb\.?\s?i\.?d\b\.?", lambda m: _daily(2)),
        (r"\bt\.?\s?i\.?d\b\.?", lambda m: _daily(3)),
        (r"\bq\.?\s?i\.?d\b\.?", lambda m: _daily(4)),
        (r"\bbefore\s+(?:each|every|all)?\s*meals?\s+and\s+(?:at\s+)?(?:bedtime|hs|night)\b|\b(?:qac|ac)\s*(?:&|and|\+)\s*(?:q?hs)\b",
         lambda m: {"frequency": 4, "period": Decimal(1), "periodUnit": "d"}),
        (r"\b(?:every|each|q\.?)\s*(?:day\s+)?(?:in\s+the\s+)?(?:morning|a\.?m\b\.?)|\bdaily\s+in\s+the\s+morning\b|\bin\s+the\s+(?:morning|a\.?m\b)|\bqam\b|\bevery\s+day\s+in\s+the\s+morning\b",
         lambda m: _daily(1, "MORN")),
        (r"\b(?:every|each)\s+(?:afternoon)\b|\bin\s+the\s+afternoon\b|\bdaily\s+in\s+the\s+afternoon\b", lambda m: _daily(1, "AFT")),
        (r"\b(?:every|each|q\.?)\s*(?:evening|p\.?m\b\.?)|\b(?:daily\s+)?in\s+the\s+evening\b|\bqpm\b|\bwith\s+(?:dinner|supper)\b|\bevery\s+evening\b",
         lambda m: _daily(1, "EVE")),
        (r"\b(?:daily\s+|nightly\s+|every\s+(?:day|night)\s+)?(?:at|every|each)\s+bed\s?time\b|\bq\.?\s?h\.?s\b\.?|\bq\s?bedtime\b|\bh\.?s\b\.?(?!\w)|\bbefore\s+bed\b|\bat\s+hs\b",
         lambda m: _daily(1, "HS")),
        (r"\b(?:nightly|(?:every|each|at)\s+night|q\s?night(?:ly)?|q\.?noc)\b", lambda m: _daily(1, "NIGHT")),
        (r"\b(?:at|every)\s+noon\b", lambda m: _daily(1)),
        (r"\bwith\s+breakfast\b|\bbefore\s+breakfast\b", lambda m: _daily(1, "CM" if "with" in m.group().lower() else "ACM")),
        (r"\bwith\s+(?:each\s+|every\s+|all\s+)?meals\b|\bwith\s+(?:each|every)\s+meal\b", lambda m: {"frequency": 3, "period": Decimal(1), "periodUnit": "d", "when": ["C"]}),
        (r"\bbefore\s+(?:each\s+|every\s+|all\s+)?meals\b|\bbefore\s+(?:each|every)\s+meal\b|\bqac\b|\ba\.c\b\.?|(?-i:\bAC\b)(?!\s*(?:joint|separation|tear))|(?<=id[ ])ac\b", lambda m: {"frequency": 3, "period": Decimal(1), "periodUnit": "d", "when": ["AC"]}),
        (r"\bafter\s+(?:each\s+|every\s+|all\s+)?meals\b", lambda m: {"frequency": 3, "period": Decimal(1), "periodUnit": "d", "when": ["PC"]}),
        (r"\bq\.?\s?d\b\.?(?!\w)|\bq\s?day\b|\bdaily\b|\bevery\s+day\b|\beach\s+day\b|\b(?:a|per)\s+day\b|\bonce\s+a\s+day\b|\bo\.d\.",
         lambda m: _daily(1)),
        (r"\b(?:once\s+)?weekly\b|\b(?:once\s+)?(?:every|each|per|a)\s+week\b|\bq\.?\s?(?:week(?:ly)?|wk)\b|\b(?:every|each)\s+(?:mon|tues|wednes|thurs|fri|satur|sun)day\b",
         lambda m: {"frequency": 1, "period": Decimal(1), "periodUnit": "wk"}),
        (r"\bmonthly\b|\b(?:every|each|per|a)\s+month\b|\bq\s?month(?:ly)?\b", lambda m: {"frequency": 1, "period": Decimal(1), "periodUnit": "mo"}),
        (r"\bhourly\b|\bevery\s+hour\b|\bq\.?\s?h\b(?!s)", lambda m: _every("1", "h")),
        (r"\bonce\b(?!\s+(?:he|she|the|they|we|you|i|it|again|this|all|stable|patient|pain)\b)|\bx\s?1\b(?!\d|\s*(?:day|week|month|wk))|\bone\s+time\s+(?:dose|only)\b|\bsingle\s+dose\b",
         lambda m: {"count": 1}),
    )
)  # fmt: skip
# One alternation to know quickly that a stretch of text has none of this.
_HINT = re.compile(
    r"\bq|daily|(?-i:M/?W|M/?F|W/?F|T/?T|TuT)|(?:mon|tue|wed|thu|fri|sat|sun)(?:s|r|rs|nes|ur)?(?:day|\b)|\bday|week|month|night|bedtime|morning|evening|noon|meal|breakfast|dinner|supper|lunch"
    r"|\b[bt]\.?\s?i\.?d|\bonce|twice|every|each|hour|\bhs\b|\bx\s?1\b|\ba\.c|\bac\b|o\.d|h\.s|single",
    re.IGNORECASE,
)


def undotted_end(match: re.Match[str]) -> int:
    """The end of the match without a full stop that ends the sentence: `BID.` but `b.i.d.`."""
    words = match.group()
    return match.end() - 1 if words.endswith(".") and "." not in words[:-1] else match.end()


def find_frequencies(text: str, begin: int, end: int) -> list[Frequency]:
    """The frequencies in `text[begin:end]`, in order, not overlapping; offsets into `text`."""
    if not _HINT.search(text, begin, end):
        return []
    found: list[Frequency] = []
    for pattern, build in _PATTERNS:
        for match in pattern.finditer(text, begin, end):
            start, stop = match.start(), undotted_end(match)
            if any(start < other.end and other.begin < stop for other in found):
                continue
            repeat = build(match)
            if repeat:
                found.append(Frequency(start, stop, repeat))
    return sorted(found, key=lambda frequency: frequency.begin)
