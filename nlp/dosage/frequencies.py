"""How often: `BID`, `q4-6h`, `3 times a week`, `every other day` as FHIR `Timing.repeat`.

https://hl7.org/fhir/R4/datatypes.html#Timing. Units are UCUM: min, h, d, wk, mo, a.
"""

from decimal import Decimal
from typing import Any

from nlp.dosage.numbers import ORDINALS, number, number_range, positive_int
from nlp.dosage.occasions import clock_at, meal_at, offset_at
from nlp.dosage.parts import daily_at, every
from nlp.dosage.phrases import phrase_at
from nlp.dosage.tokens import Tokens
from nlp.dosage.units import time_unit
from nlp.dosage.weekdays import OTHER_DAYS, days_at, days_without, other_days_at

Frequency = tuple[dict[str, Any], int]
_HOURS_OF_Q = frozenset((1, 2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 72))
_PER = {"daily": "d", "weekly": "wk", "monthly": "mo", "hourly": "h", "nightly": "d", "yearly": "a"}
_COUNT_WORDS = {"once": 1, "twice": 2, "thrice": 3}
_BARE_PARTS = {
    "morning": "MORN", "mornings": "MORN", "am": "MORN", "noon": "NOON", "midday": "NOON",
    "afternoon": "AFT", "evening": "EVE", "evenings": "EVE", "pm": "EVE", "night": "NIGHT",
    "nights": "NIGHT", "bedtime": "HS", "hs": "HS", "nighttime": "NIGHT",
}  # fmt: skip
_SPOKEN_DAYS = frozenset(("morning", "evening", "night", "afternoon"))
_GLUED_TIMES = {"xday": "d", "xdaily": "d", "xd": "d", "xweek": "wk", "xwk": "wk", "xweekly": "wk"}
_MOST_TIMES = 24
_DIVIDED = frozenset(("divided", "equal"))


def _period(t: Tokens, i: int) -> tuple[Decimal, str, int] | None:
    """`day`, `8 hours`, `other week` behind `every`, `per`, `/`: number, unit, place behind."""
    count = number(t, i)
    if count is not None:
        value, j = count
        if t.word(j) in ("st", "nd", "rd", "th") and t.glued(j):
            j += 1
        if t.word(j) == "-":
            j += 1
        unit = time_unit(t, j)
        return (value, unit[0], unit[1]) if unit is not None and value > 0 else None
    ordinal = ORDINALS.get(t.word(i))
    if ordinal is not None:
        unit = _spoken_unit(t, i + 1)
        return (Decimal(ordinal), unit[0], unit[1]) if unit is not None else None
    unit = _spoken_unit(t, i)
    return (Decimal(1), unit[0], unit[1]) if unit is not None else None


def _spoken_unit(t: Tokens, i: int) -> tuple[str, int] | None:
    if t.word(i) in _SPOKEN_DAYS:
        return "d", i + 1
    return time_unit(t, i) if t.word(i) not in ("°", "w", "d", "h") or t.glued(i) else None


def _ranged_period(t: Tokens, i: int) -> Frequency | None:
    """`4-6 hours`, `4 hours to 6 hours`, `6 (six) hours` behind `every`, `q`."""
    amount = number_range(t, i)
    if amount is None:
        return None
    low, high, j = amount
    if t.word(j) == "-" and time_unit(t, j + 1) is not None:
        j += 1
    unit = time_unit(t, j)
    if unit is None:
        return None
    code, j = unit
    if high is None and t.word(j) in ("to", "-", "or"):
        k = j + 2 if t.word(j + 1) in ("q", "every") else j + 1
        further = number(t, k)
        same = time_unit(t, further[1]) if further is not None else None
        if further is not None and same is not None and same[0] == code and further[0] > low:
            return every(low, code, longest=further[0]), same[1]
    if low <= 0 or (code in ("min", "s") and high is None and low < 1):
        return None
    return every(low, code, longest=high), j


def every_at(t: Tokens, i: int) -> Frequency | None:
    """`every 4 to 6 hours`, `each third day`, `q6h`, `q 2 wks`, `q12`."""
    q = t.word(i) == "q"
    if not q and t.word(i) not in ("every", "each", "cada"):
        return None
    j = i + 1
    while t.word(j) in (".", "-") or (t.word(j) == "single" and not q):
        j += 1
    found = _ranged_period(t, j)
    if found is not None:
        return found
    if q:
        hours = number_range(t, j)
        if hours is not None and hours[0] in _HOURS_OF_Q and t.value(j) is not None:
            low, high, k = hours
            if t.word(k) not in ("mg", "ml", "tab", "tabs", "mcg", "units"):
                return every(low, "h", longest=high), k
        return None
    if t.word(j) in ORDINALS and t.word(j) != "other":
        period = _period(t, j)
        return (every(period[0], period[1]), period[2]) if period is not None else None
    if t.word(j) == "other":
        days = days_at(t, j + 1) if j + 1 < len(t) else None
        if days is not None:
            return every(2, "wk") | {"dayOfWeek": days[0]}, days[1]
    count = number(t, j)
    if count is not None:
        period = _period(t, j)
        return (every(period[0], period[1]), period[2]) if period is not None else None
    return None


def _count(t: Tokens, i: int) -> tuple[int, int | None, int] | None:
    """How many times: `3 times`, `2-3x`, `once or twice`, `four`; low, high, place behind."""
    low: int | None = _COUNT_WORDS.get(t.word(i))
    if low is not None:
        if t.word(i + 1) in ("or", "to", "-"):
            high = _COUNT_WORDS.get(t.word(i + 2))
            if high is not None:
                return low, high, i + 3
            more = number(t, i + 2)
            if more is not None and t.word(more[1]) in ("times", "x"):
                return low, positive_int(more[0]), more[1] + 1
        return low, None, i + 1
    amount = number_range(t, i)
    if amount is None:
        return None
    low, top = positive_int(amount[0]), positive_int(amount[1])
    j = amount[2]
    if low is not None and t.word(j) in _GLUED_TIMES:
        return low, top, j  # `3xday`: the word has the unit too.
    if low is None or low > _MOST_TIMES or t.word(j) not in ("times", "time", "x", "veces", "vez"):
        return None
    if t.word(j) == "x" and t.value(j + 1) is not None:
        return None
    return low, top, j + 1


def times_at(t: Tokens, i: int) -> Frequency | None:
    """`3 times a day`, `twice weekly`, `2-3x/day`, `once every 3 months`, `up to 4 times daily`."""
    most = False
    j = i
    if t.word(i) == "up" and t.word(i + 1) == "to":
        most, j = True, i + 2
    count = _count(t, j)
    if count is None:
        return None
    low, high, j = count
    if most:
        low, high = (low, high) if high is not None else (1, low if low > 1 else None)
    if t.word(j) == "-":
        j += 1
    period: tuple[Decimal, str, int] | None = None
    if t.word(j) in _GLUED_TIMES:
        period = (Decimal(1), _GLUED_TIMES[t.word(j)], j + 1)
    elif t.word(j) in _PER:
        period = (Decimal(1), _PER[t.word(j)], j + 1)
    elif t.word(j) in (
        "a", "an", "per", "each", "every", "/", "in", "within", "q", "during", "the", "al", "por",
    ):  # fmt: skip
        k = j + 1
        if t.word(k) in ("a", "each", "single", "the"):
            k += 1
        ranged = _ranged_period(t, k)
        if ranged is not None and "periodMax" in ranged[0]:
            return ranged[0] | {"frequency": low}, ranged[1]
        period = _period(t, k)
    elif time_unit(t, j) is not None and t.word(j) not in ("d", "h", "w"):
        unit = time_unit(t, j)
        period = (Decimal(1), unit[0], unit[1]) if unit is not None else None
    if period is None:
        return None
    repeat = every(period[0], period[1], times=low)
    if high is not None and high > low:
        repeat = {"frequency": low, "frequencyMax": high} | repeat
    return repeat, period[2]


def days_a_week_at(t: Tokens, i: int) -> Frequency | None:
    """`5 days a week`, `3 nights per week`."""
    count = number_range(t, i)
    if count is None or t.word(count[2]) not in ("days", "nights", "mornings", "evenings"):
        return None
    j = count[2] + 1
    if t.word(j) in ("a", "per", "each", "/", "of", "out", "every"):
        j += 1
        while t.word(j) in ("of", "the", "each"):
            j += 1
    if t.word(j) not in ("week", "wk", "weekly"):
        return None
    low, high = positive_int(count[0]), positive_int(count[1])
    if low is None or low > 7:
        return None
    repeat = every(1, "wk", times=low)
    if high is not None:
        repeat = {"frequency": low, "frequencyMax": high} | repeat
    return repeat, j + 1


def _occasion_list(t: Tokens, first: list[str], j: int) -> tuple[list[str], int]:
    """`(in the morning) and evening`, `, noon and at bedtime`: parts of the day that follow."""
    while True:
        k = j
        while t.word(k) in (",", "and", "&", "/", "+"):
            k += 1
        if k == j:
            return first, j
        phrase = phrase_at(t, k) if k < len(t) else None
        bare = _BARE_PARTS.get(t.word(k)) or _BARE_PARTS.get(
            t.word(k + 1) if t.word(k) in ("in", "the", "at", "every") else ""
        )
        if phrase is not None and phrase[0].kind == "WHEN":
            first, j = [*first, phrase[0].value], phrase[1]
        elif bare is not None:
            first, j = [*first, bare], k + 1 if t.word(k) in _BARE_PARTS else k + 2
        else:
            return first, j


def _from_phrase(t: Tokens, i: int) -> Frequency | None:
    found = phrase_at(t, i)
    if found is None:
        return None
    phrase, j = found
    if phrase.kind == "WHEN":
        if phrase.value == "MORN" and t.word(i) == "am" and t.word(i - 1) == "i":
            return None
        when, j = _occasion_list(t, [phrase.value], j)
        return daily_at(*dict.fromkeys(when)), j
    if phrase.kind == "EACH":
        times, period, unit = phrase.value.split()
        repeat = every(int(period), unit, times=int(times))
        return _range_of_shorthands(t, repeat, j)
    if phrase.kind == "COUNT":
        return {"count": 1}, j
    return None


def _range_of_shorthands(t: Tokens, repeat: dict[str, Any], j: int) -> Frequency:
    """`BID-TID`, `daily or BID`."""
    if t.word(j) in ("-", "to", "or", "/") and j + 1 < len(t):
        other = phrase_at(t, j + 1)
        if other is not None and other[0].kind == "EACH":
            times, period, unit = other[0].value.split()
            same = (Decimal(period), unit) == (repeat["period"], repeat["periodUnit"])
            if same and int(times) > repeat["frequency"]:
                low = repeat["frequency"]
                return {**repeat, "frequency": low, "frequencyMax": int(times)}, other[1]
    return repeat, j


def _days_of_week(t: Tokens, i: int) -> Frequency | None:
    without = days_without(t, i)
    if without is not None:
        return {"dayOfWeek": without[0]}, without[1]
    others = other_days_at(t, i)
    if others is not None:
        return {"dayOfWeek": [OTHER_DAYS]}, others
    days = days_at(t, i)
    if days is None:
        return None
    j = days[1]
    part = _BARE_PARTS.get(t.word(j)) if t.word(j) in _SPOKEN_DAYS or t.word(j)[-1:] == "s" else ""
    if part:
        return {"dayOfWeek": days[0], "when": [part]}, j + 1
    if t.word(j) == "of" and t.word(j + 1) in ("each", "every") and t.word(j + 2) == "week":
        j += 3
    return {"dayOfWeek": days[0]}, j


def _once_at_an_occasion(t: Tokens, i: int) -> Frequency | None:
    """`once at bedtime`, `once in the morning`: daily, at that occasion."""
    if t.word(i) not in ("once", "twice"):
        return None
    meal = meal_at(t, i + 1) if i + 1 < len(t) else None
    phrase = _from_phrase(t, i + 1) if i + 1 < len(t) else None
    for found in (phrase, meal):
        if found is not None and "when" in found[0] and "food" not in found[0]:
            return found
    return None


def frequency_at(t: Tokens, i: int) -> Frequency | None:
    """The longest wording of a frequency that begins at token `i`."""
    found = [
        reading
        for reading in (
            _from_phrase(t, i),
            every_at(t, i),
            times_at(t, i),
            days_a_week_at(t, i),
            offset_at(t, i),
            meal_at(t, i),
            clock_at(t, i),
            _days_of_week(t, i),
            _once_at_an_occasion(t, i),
        )
        if reading is not None
    ]
    return max(found, key=lambda reading: reading[1]) if found else None
