"""The date of a result as written: `on 3/4/2023`, `(03/04/23)`, `in March 2023`, `yesterday`.

Months come first (`3/4` is March 4), as in the notes this pipeline reads; where the first number
is over 12 it is the day. A date that is not certain (no year, `last week`, `2 days ago`) is read
as `unknown`: the result is not of the note's day, and of which day is not guessed.
"""

# ruff: noqa: E501 - a regular expression is read better unbroken

import re
from datetime import date

UNKNOWN = "unknown"
"""The result has another date than the note, and which one the note does not say."""

NOTE = "note"
"""The result is said to be of now."""

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul",
            "august aug", "september sept sep", "october oct", "november nov", "december dec",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_MONTH = r"(?:" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\b\.?"
_YEAR = r"(?:19|20)\d\d"
FULL_DATE = (
    rf"(?P<iso>(?P<iy>{_YEAR})-(?P<im>\d\d)-(?P<id>\d\d)(?!\d))"
    r"|(?P<num>(?P<n1>\d{1,2})(?P<nsep>[/.-])(?P<n2>\d{1,2})(?P=nsep)(?P<ny>(?:19|20)?\d\d)(?![\d/]))"
    rf"|(?P<mdy>(?P<mm>{_MONTH})\s+(?P<md>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<my>{_YEAR}))"
    rf"|(?P<dmy>(?P<dd>\d{{1,2}})(?:st|nd|rd|th)?[\s-](?P<dm>{_MONTH})[\s,-]+(?P<dy>{_YEAR}))"
    rf"|(?P<mony>(?P<ym>{_MONTH})(?:\s+of)?,?\s+(?P<yy>{_YEAR}))"
    rf"|(?P<numy>(?P<nm>\d{{1,2}})/(?P<nyy>{_YEAR})(?![\d/]))"
)
_PAST = (
    r"yesterday|last\s+(?:week|month|year|night|visit|fall|spring|summer|winter|admission|check)"
    r"|(?:a|one|two|three|four|five|six|several|\d{1,2})\s+"
    r"(?:hours?|days?|weeks?|wks?|months?|mos?|years?|yrs?)\s+(?:ago|prior|earlier|before)"
    r"|previously|prior|baseline|the\s+day\s+before"
)
_NOW = (
    r"today|tonight|this\s+(?:morning|am|afternoon|evening|visit|admission)|currently|now|"
    r"on\s+(?:admission|arrival|presentation|discharge|exam(?:ination)?)|at\s+discharge|in\s+(?:the\s+)?(?:ed|er)"
)
DATE = re.compile(
    rf"(?:(?:on|in|from|of|dated|as\s+of|since|back\s+in|drawn|collected|checked)\s+)*\(?(?:{FULL_DATE}"
    rf"|(?:(?<=in )|(?<=in early )|(?<=in late ))(?P<year>{_YEAR})\b"
    r"|(?:(?<=on )|(?<=from )|(?<=\())(?P<md2>\d{1,2}/\d{1,2})(?![\d/])"
    rf"|(?P<month>(?<=in ){_MONTH}(?!\s*\d))|(?P<past>\b(?:{_PAST})\b)|(?P<now>\b(?:{_NOW})\b))\)?",
    re.IGNORECASE,
)
"""A date phrase; `value_of` gives what it says."""

# A date that heads a line or a sentence: `Labs (3/4/2023): Na 138`, `On 3/4/2023 her A1c was 8`.
_HEADING = re.compile(
    r"[\s\-*•#]*(?:(?:his|her|the|pt|patient'?s|most|recent|latest|last|repeat|labs?|laboratory|data|"
    r"results?|values?|studies|chemistry|bloodwork|blood|work|vitals?|signs?|drawn|done|dated|obtained|"
    r"collected|from|of|on|in|as|for|at)\b[\s,:]*)*"
    rf"\(?(?:{FULL_DATE}|(?P<year>(?<=in ){_YEAR})\b|(?P<md2>\d{{1,2}}/\d{{1,2}})(?=[\s):,]*(?:\)|:|,)))\)?",
    re.IGNORECASE,
)


def _iso(year: str, month: int, day: int) -> str:
    full = int(year) if len(year) == 4 else 2000 + int(year)
    if len(year) == 2 and full > date.today().year + 1:
        full -= 100
    try:
        return date(full, month, day).isoformat()
    except ValueError:
        return UNKNOWN


def value_of(match: re.Match[str]) -> str:
    """The FHIR date of a match of `DATE`, or `UNKNOWN`, or `NOTE`."""
    groups = match.groupdict()
    if groups["iso"]:
        return _iso(groups["iy"], int(groups["im"]), int(groups["id"]))
    if groups["num"]:
        first, second = int(groups["n1"]), int(groups["n2"])
        if first > 12:
            first, second = second, first
        return _iso(groups["ny"], first, second) if 1 <= first <= 12 else UNKNOWN
    if groups["mdy"]:
        return _iso(groups["my"], _month(groups["mm"]), int(groups["md"]))
    if groups["dmy"]:
        return _iso(groups["dy"], _month(groups["dm"]), int(groups["dd"]))
    if groups["mony"]:
        return f"{groups['yy']}-{_month(groups['ym']):02d}"
    if groups["numy"]:
        month = int(groups["nm"])
        return f"{groups['nyy']}-{month:02d}" if 1 <= month <= 12 else UNKNOWN
    if groups["year"]:
        return groups["year"]
    return NOTE if groups.get("now") else UNKNOWN


def _month(name: str) -> int:
    return _MONTHS[name.lower().rstrip(".")]


def heading_date(text: str, begin: int, end: int) -> tuple[str, int, int] | None:
    """`(date, begin, end)` of the date that `text[begin:end]` opens with, None without one."""
    match = _HEADING.match(text, begin, end)
    if match is None:
        return None
    name = next(name for name in match.groupdict() if match[name])
    return value_of(match), match.start(name), match.end(name)
