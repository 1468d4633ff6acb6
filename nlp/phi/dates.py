"""Elements of dates other than the year, and ages over 89 (45 CFR 164.514(b)(2)(i)(C)).

A year alone may stay. A weekday alone says no date and is left.
"""

# ruff: noqa: E501 - a regular expression is read better unbroken

import re
from collections.abc import Iterator

from nlp.phi.span import AGE, DATE, PhiSpan

MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_YEAR = r"(?:1[89]|20)\d\d"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_ORDINAL = r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth|twenty-(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|thirty-first)"
_WEEKDAY = r"(?:mon|tues?|wed(?:nes)?|thurs?|fri|sat(?:ur)?|sun)(?:day)?"
_TIME = r"(?:[T\s,@]+(?:at\s+)?\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?\s*(?:[ap]\.?m\.?|Z|[+-]\d\d:?\d\d|hrs?)?)?"
_DATE = re.compile(
    rf"(?<![\w/.-])(?:{_WEEKDAY}[.,]?\s+)?(?:the\s+)?(?:"
    rf"{_YEAR}\s*[-/.]\s*(?:0?[1-9]|1[0-2])\s*[-/.]\s*{_DAY}(?![\d/]){_TIME}"
    rf"|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{{4,6}})?(?!\d)"
    rf"|(?:0?[1-9]|1[0-2])\s?[/.-]\s?{_DAY}\s?[/.-]\s?(?:{_YEAR}|\d\d)(?![\d/]){_TIME}"
    rf"|{_DAY}\s?[/.-]\s?(?:0?[1-9]|1[0-2])\s?[/.-]\s?(?:{_YEAR}|\d\d)(?![\d/]){_TIME}"
    rf"|{_DAY}(?:st|nd|rd|th)?[\s-]*(?:day\s+)?(?:of\s+)?{MONTH}\b\.?(?:[\s,/-]*(?:of\s+)?(?:{_YEAR}|['’]?\d\d(?!\d|\s*(?:mg|mcg|units|%))))?"
    rf"|{_DAY}{MONTH}(?:{_YEAR}|\d\d)"
    rf"|{MONTH}\b\.?[\s-]+(?:the\s+)?{_DAY}(?:st|nd|rd|th)?\b(?:(?:\s*(?:,|-|/)\s*|\s+)(?:{_YEAR}|['’]\d\d)|[-/]\d\d)?(?!\d|\.\d)"
    rf"|{_ORDINAL}(?:\s+day)?\s+of\s+{MONTH}\b(?:[\s,]+{_YEAR})?|{MONTH}\s+(?:the\s+)?{_ORDINAL}\b(?:[\s,]+{_YEAR})?"
    rf"|{MONTH}\b\.?[\s,/'’-]*(?:of\s+)?{_YEAR}|{MONTH}[-/]\d\d(?!\d)"
    rf"|(?:0?[1-9]|1[0-2])\s?/\s?{_YEAR}(?![\d/])"
    r")",
    re.IGNORECASE,
)
_MONTH_ALONE = re.compile(
    r"\b(?:January|February|March|April|June|July|August|September|October|November|December)\b"
    r"|\b(?:in|since|until|by|of|from|through|last|this|next|early|late|mid)[\s-]+(?P<may>May|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b"
)
# Month and day without a year: only where a date is what the words ask for; `5/5 strength` is none.
_SHORT = re.compile(
    rf"(?:\b(?:on|since|from|until|till|through|by|dated|date|due|of|for|before|after|between|and|to|visit|seen|labs?|admitted|discharged|started|stopped|placed|drawn|hospital|returned|appointment|implanted|inserted|removed|born|birth|dob|dos|operation|procedure|admission|discharge|d\.o\.b\.?|seen|surgery|injury|expires?|exp|signed|completed|performed|scheduled|last|next|thru|ending|starting|effective|interrogated|dictated|transcribed|appt|f/u|d/c|adm|in|clinic|refill(?:ed)?|updated|reviewed|checked|(?<![A-Za-z])[DT])[\s:]+|\(|^[ \t*•-]*|{_WEEKDAY}[.,]?\s+)"
    r"(?P<date>(?:0?[1-9]|1[0-2])[/-](?:0?[1-9]|[12]\d|3[01]))(?!\d|[/.%-]\d|%|\s*(?:mm|strength|power|pain|systolic|murmur|tab|pulses?|in\b|motor|bilat|of\b|cup|pack|ppd|pts?\b|and\s+1/2|SEM|hours?|doses?|weeks?|months?|days?|years?|mg|cm|ml|score|reflex))",
    re.IGNORECASE | re.MULTILINE,
)
_HOLIDAY = re.compile(
    r"\b(?:Christmas(?:\s+(?:Eve|Day))?|Thanksgiving|Easter|Halloween|New\s+Year(?:'s|’s)?(?:\s+(?:Eve|Day))?|Independence\s+Day|Labor\s+Day|Memorial\s+Day|Valentine(?:'s|’s)?\s+Day|Fourth\s+of\s+July|July\s+4th|4th\s+of\s+July)\b",
    re.IGNORECASE,
)
_OLD = r"(?:9\d|1[0-2]\d)"
_OLD_WORDS = r"(?:ninety(?:[\s-](?:one|two|three|four|five|six|seven|eight|nine))?|(?:a|one)\s+hundred(?:\s+(?:and\s+)?(?:one|two|three|four|five|six|seven|eight|nine|ten))?)"
_AGE = re.compile(
    rf"(?<![\d.])\b(?P<before>{_OLD}|{_OLD_WORDS})(?=\s*-?\s*(?:years?|yrs?|y)\b[\s.-]*(?:old|o\b|of\s+age)|\s*-?\s*y\.?\s?/?\s?o\b|\s*y\.o\.?|\s*-?(?:year|yr)s?-?old|\s?yo[MF]?\b|[\s-]*(?:M|F)\b(?=\s+(?:with|who|presenting|admitted|s/p|h/o)))"
    rf"|\b(?:age[ds]?(?:\s?/\s?(?:sex|gender))?|age\s+(?:of|is)|(?:her|his|their)\s+age\s+(?:is|was)|turned|turns|turning|is\s+now|at\s+the\s+age\s+of)\s*[:=]?\s*(?P<after>{_OLD}|{_OLD_WORDS})\b(?![\d/.%]|\s*(?:%|mg|kg|lb|mm))"
    r"|\bin\s+(?:his|her|their|the)\s+(?:early\s+|mid[\s-]|late\s+)?(?P<decade>nineties|90['’]?s)\b",
    re.IGNORECASE,
)


def dates(text: str) -> Iterator[PhiSpan]:
    """Every date, month or holiday in `text`."""
    for match in _DATE.finditer(text):
        yield PhiSpan(match.start(), match.end(), DATE, 0.98)
    for match in _SHORT.finditer(text):
        yield PhiSpan(*match.span("date"), DATE, 0.8)
    for match in _MONTH_ALONE.finditer(text):
        yield PhiSpan(*match.span("may" if match["may"] else 0), DATE, 0.8)
    for match in _HOLIDAY.finditer(text):
        yield PhiSpan(match.start(), match.end(), DATE, 0.8)


def ages(text: str) -> Iterator[PhiSpan]:
    """Every age over 89."""
    for match in _AGE.finditer(text):
        name = next(name for name in ("before", "after", "decade") if match[name])
        yield PhiSpan(*match.span(name), AGE, 0.95)
