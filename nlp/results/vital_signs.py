"""Blood pressure, height in feet and inches, and the oxygen that a saturation was measured on."""

# ruff: noqa: E501 - a regular expression is read better unbroken

import re
from dataclasses import replace
from decimal import Decimal

from nlp.mention import Attribute

_LINK = (
    r"(?:\s*(?:\([A-Za-z ,/0-9.%\-]{0,24}\)|:|=|~|\||\b(?:is|was|were|of|at|today|currently|now|here|elevated|high|low|normal|stable|well\s+controlled"
    r"|reading|readings|level|check|checked|found|noted|measured|to\s+be|on\s+(?:arrival|admission|exam|repeat)|in\s+the\s+(?:clinic|office|ed)|repeat|initial(?:ly)?|sitting|standing|supine|lying|"
    r"left\s+arm|right\s+arm|manual|ra|la|rue|lue|taken|around|about|approximately|approx|improved|increased|decreased|dropped|fell|rose|to|down|up|the|a|this\s+morning|remains|remained|has\s+been|had\s+been|running|averaging)\b|-(?=\s)|,(?=\s*\d)|\+)){0,7}\s*"
)
_NUMBER = r"\d{1,3}"
_BLOOD_PRESSURE = re.compile(
    rf"{_LINK}(?P<systolic>\d{{2,3}})\s*(?:/|over|\\)\s*(?P<diastolic>\d{{2,3}})(?!\s*/?\s*\d|-\d)"
    r"(?:\s*(?P<unit>mm\s*\.?\s*of\s*hg|mm\s*\.?\s*hg))?",
    re.IGNORECASE,
)
_FURTHER = re.compile(
    r"\s*[,;(]*\s*(?:and|but|then|with)?\s*(?:(?P<newer>-{1,2}>|→|now|currently|(?:which\s+)?(?:improved|improving|increased|decreased|dropped|rose|fell|came\s+down|went\s+up|up|down)\s+to)"
    r"|(?:a\s+)?repeat(?:ed)?(?:\s+(?:bp|was|of|at))*|,|;|and)\s*(?:of\s+|was\s+|at\s+)?"
    r"(?P<systolic>\d{2,3})\s*/\s*(?P<diastolic>\d{2,3})(?!\s*/?\s*\d)",
    re.IGNORECASE,
)
_LOW_SYSTOLIC, _HIGH_SYSTOLIC, _LOW_DIASTOLIC, _HIGH_DIASTOLIC = 40, 300, 15, 200
_FEET = re.compile(
    rf"{_LINK}(?P<feet>[1-7])\s*(?:['′’´]|-?\s*ft\.?|-?\s*feet|-?\s*foot)[\s,-]*(?:and\s+)?(?:(?P<inches>\d+\s*1/2|\d{{1,2}}(?:\.\d+)?)\s*-?\s*(?:[\"″”]|''|’’|in\b\.?|inch(?:es)?)?)?(?!\d)",
    re.IGNORECASE,
)
_METRES = re.compile(rf"{_LINK}(?P<metres>[0-2]\.\d{{1,2}})\s*m(?:et(?:er|re)s?)?\b", re.IGNORECASE)
_INCHES_PER_FOOT = 12
_OXYGEN = re.compile(
    r"\s*,?\s*(?:\(?\s*(?:on|with|at|while\s+on|via|breathing)\s+)?\(?(?P<flow>\d{1,2}(?:\.\d)?)\s*-?\s*(?:l(?:iters?|pm)?\b(?:\s*(?:/\s*min|per\s+minute))?)"
    r"(?=\s*,?\s*(?:\)|$|[.;,]|of\s+|via\b|by\b|per\b|nc\b|n\.c|nasal|o2\b|oxygen|nrb|non-?rebreather|mask|face|trach|hfnc|cannula))",
    re.IGNORECASE,
)


def _pressure(text: str, match: re.Match[str]) -> Attribute | None:
    systolic, diastolic = Decimal(match["systolic"]), Decimal(match["diastolic"])
    if not (
        _LOW_SYSTOLIC <= systolic <= _HIGH_SYSTOLIC
        and _LOW_DIASTOLIC <= diastolic <= _HIGH_DIASTOLIC
        and systolic > diastolic
    ):
        return None
    span = match.start("systolic"), match.end("diastolic")
    value = {
        "systolic": systolic,
        "diastolic": diastolic,
        "code": "mm[Hg]",
        "unit": "mmHg",
        "unitWritten": True,
    }
    return Attribute("TEST_VALUE", text[span[0] : span[1]], *span, 1.0, value)


def read_blood_pressure(text: str, begin: int, end: int) -> list[Attribute]:
    """Systolic and diastolic pressure in mm[Hg] after the words blood pressure; each of several.

    No other unit is in use for it: a number pair behind the words is mm[Hg].
    """
    found: list[Attribute] = []
    match = _BLOOD_PRESSURE.match(text, begin, end)
    while match is not None:
        value = _pressure(text, match)
        if value is None:
            break
        if match.groupdict().get("newer"):
            # Of a trend the newest is the value: see `reading`.
            found[-1] = replace(found[-1], type="EARLIER_VALUE")
        found.append(value)
        match = _FURTHER.match(text, match.end(), end)
    return found


def read_height(text: str, begin: int, end: int) -> list[Attribute]:
    """A height in metres, or in feet and inches as inches; nothing when it is not written so."""
    metres = _METRES.match(text, begin, end)
    if metres is not None:
        value = {"value": Decimal(metres["metres"]), "code": "m", "unit": "m", "unitWritten": True}
        return [Attribute("TEST_VALUE", metres["metres"], *metres.span("metres"), 1.0, value)]
    match = _FEET.match(text, begin, end)
    if match is None:
        return []
    written = match["inches"] or "0"
    half = Decimal("0.5") if written.endswith("1/2") else Decimal(0)
    inches = Decimal(written.removesuffix("1/2").strip() or "0") + half
    if inches >= _INCHES_PER_FOOT:
        return []
    total = int(match["feet"]) * _INCHES_PER_FOOT + inches
    content = {"value": total, "code": "[in_i]", "unit": "in", "unitWritten": True}
    begin, end = match.start("feet"), match.end()
    return [Attribute("TEST_VALUE", text[begin:end], begin, end, 1.0, content)]


def oxygen_flow(text: str, begin: int, end: int) -> Attribute | None:
    """The flow of oxygen (L/min) that stands behind a saturation: `91% on 2L NC`, or None."""
    match = _OXYGEN.match(text, begin, end)
    if match is None:
        return None
    return Attribute(
        "OXYGEN_FLOW", match["flow"], *match.span("flow"), 1.0, {"flow": Decimal(match["flow"])}
    )
